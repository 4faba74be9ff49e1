import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { userChangesSchema } from '../../../src/access/schema.ts'
import { ApiError, type Sent } from '../../shared/api.ts'
import { Field } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api } from '../session.ts'
import { RoleFields, roleOf } from './role-fields.tsx'
import type { User } from './users.tsx'

/** Name and role; where the role changes, they sign in again. */
export function EditUser({ user, onClose }: { user: User; onClose: () => void }) {
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
  const fault = (field: string) => (save.error instanceof ApiError ? save.error.field(field) : undefined)
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
    </FormDialog>
  )
}
