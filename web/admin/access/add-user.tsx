import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { invitedSchema, newUserSchema } from '../../../src/access/schema.ts'
import { type Answer, faultOf, type Sent } from '../../shared/api.ts'
import { Field } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { api } from '../session.ts'
import { RoleFields, roleOf } from './role-fields.tsx'

/** Invites somebody: they choose their own password with a link. */
export function AddUser({
  onAdded,
  onClose,
}: {
  onAdded: (path: string, who: string) => void
  onClose: () => void
}) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const add = useMutation({
    mutationFn: (body: Sent<typeof newUserSchema>) =>
      api<Answer<typeof invitedSchema>>('/auth/users', { method: 'POST', body }),
    onSuccess: ({ user, link }) => {
      queries.invalidateQueries({ queryKey: ['users'] })
      onAdded(link.path, user.name)
    },
  })
  const fault = (field: string) => faultOf(add.error, field)
  return (
    <FormDialog
      title={t('access.addUser')}
      act={t('access.addUser')}
      busy={add.isPending}
      error={fault('username') || fault('departments') ? undefined : add.error}
      onSubmit={(form) =>
        add.mutate({
          username: typed(form, 'username'),
          name: typed(form, 'name') || undefined,
          ...roleOf(form),
        })
      }
      onClose={onClose}
    >
      <Field
        label={t('access.username')}
        hint={t('access.usernameHint')}
        error={fault('username')}
        name="username"
        maxLength={254}
        autoComplete="off"
        required
      />
      <Field label={t('access.name')} name="name" maxLength={200} autoComplete="off" />
      <RoleFields error={fault('departments')} />
    </FormDialog>
  )
}
