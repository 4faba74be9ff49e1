import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Field, Select } from '../../shared/field.tsx'
import { typed } from '../../shared/form-dialog.tsx'
import { api, type Me, useMe } from '../session.ts'

export type Role = Me['role']

const roles = ['hr', 'manager', 'viewer', 'admin', 'owner'] as const satisfies Role[]

/** What somebody may do; of a manager, for which departments. */
export function RoleFields({
  role: given = 'hr',
  departments: chosen = [],
  error,
}: {
  role?: Role
  departments?: string[]
  error?: string
}) {
  const { t } = useTranslation()
  const { me } = useMe()
  const [role, setRole] = useState<Role>(given)
  const departments = useQuery({
    queryKey: ['employees', 'departments'],
    queryFn: () => api<string[]>('/employees/departments'),
    enabled: role === 'manager',
  })
  const known = departments.data ?? []
  return (
    <>
      <Select
        label={t('access.role')}
        hint={t(`access.roleMeans.${role}`)}
        name="role"
        value={role}
        onChange={({ target }) => setRole(target.value as Role)}
      >
        {roles
          .filter((each) => each !== 'owner' || me?.role === 'owner')
          .map((each) => (
            <option key={each} value={each}>
              {t(`roles.${each}`)}
            </option>
          ))}
      </Select>
      {role === 'manager' && (
        <fieldset className="flex flex-col gap-2">
          <legend className="mb-1 font-medium text-sm">{t('access.departments')}</legend>
          {known.map((name) => (
            <label key={name} className="flex items-center gap-2">
              <input
                type="checkbox"
                name="departments"
                value={name}
                defaultChecked={chosen.includes(name)}
                className="size-4 accent-accent"
              />
              {name}
            </label>
          ))}
          {departments.data && (
            <Field
              label={t('access.otherDepartments')}
              hint={t('access.otherDepartmentsHint')}
              error={error}
              name="others"
              defaultValue={chosen.filter((name) => !known.includes(name)).join(', ')}
            />
          )}
        </fieldset>
      )}
    </>
  )
}

/** What was chosen in them. */
export function roleOf(form: FormData): { role: Role; departments?: string[] } {
  const role = typed(form, 'role') as Role
  if (role !== 'manager') return { role }
  const others = typed(form, 'others')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  return { role, departments: [...new Set([...form.getAll('departments').map(String), ...others])] }
}
