import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { userChangesSchema } from '../../../src/access/schema.ts'
import { faultOf, type Sent } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Field } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api, useMe } from '../session.ts'
import { RoleFields, roleOf } from './role-fields.tsx'
import type { Act, User } from './users.tsx'

interface EditUserProps {
  user: User
  onAct: (act: Act) => void
  onClose: () => void
}

/** Name and role, where a change of the role signs them out; and what else can be done about somebody. */
export function EditUser({ user, onAct, onClose }: EditUserProps) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const save = useMutation({
    mutationFn: (body: Sent<typeof userChangesSchema>) =>
      api(`/auth/users/${user.id}`, {
        method: 'PATCH',
        body,
        headers: { 'if-match': `"${user.version}"` },
      }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['users'] })
      queries.invalidateQueries({ queryKey: ['me'] })
      tell(t('access.saved'))
      onClose()
    },
  })
  const submit = (form: FormData) => {
    const { role, departments } = roleOf(form)
    const isSame = role === user.role && `${departments ?? ''}` === `${user.departments ?? ''}`
    save.mutate({ name: typed(form, 'name'), ...(!isSame && { role, departments }) })
  }
  const fault = (field: string) => faultOf(save.error, field)
  return (
    <FormDialog
      title={t('access.changeOf', { name: user.name })}
      act={t('access.save')}
      busy={save.isPending}
      error={fault('departments') ? undefined : save.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <Field
        label={t('access.name')}
        name="name"
        defaultValue={user.name}
        maxLength={200}
        autoComplete="off"
        required
      />
      <RoleFields role={user.role} departments={user.departments ?? undefined} error={fault('departments')} />
      <p className="text-muted text-sm">{t('access.changeMeans')}</p>
      <Acts user={user} onAct={onAct} />
    </FormDialog>
  )
}

/** One's own password, second factor and sessions are on one's own page. */
function Acts({ user, onAct }: Pick<EditUserProps, 'user' | 'onAct'>) {
  const { t } = useTranslation()
  const { me } = useMe()
  if (user.id === me?.id) return null
  const acts: [Act, string][] = [
    ['link', t('access.newLink')],
    ['sessions', t('access.signOut')],
    ['switch', t(user.is_active ? 'access.disable' : 'access.enable')],
    ['remove', t('access.remove')],
  ]
  return (
    <div className="flex flex-wrap gap-2 border-line border-t pt-4">
      {acts.map(([act, label]) => (
        <Button key={act} look={act === 'remove' ? 'danger' : 'plain'} onClick={() => onAct(act)}>
          {label}
        </Button>
      ))}
    </div>
  )
}
