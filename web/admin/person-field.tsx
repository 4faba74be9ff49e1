import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useId, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { employeeSchema } from '../../src/employees/schema.ts'
import type { Answer } from '../shared/api.ts'
import { Field } from '../shared/field.tsx'
import { api, useMe } from './session.ts'

type Employee = Answer<typeof employeeSchema>

const SHOWN = 10

/** Who is meant: words of the name find them, and what is sent is the employee id. */
export function PersonField({
  label,
  name,
  error,
  required,
}: {
  label: string
  name: string
  error?: string
  required?: boolean
}) {
  const { t } = useTranslation()
  const { may } = useMe()
  const id = useId()
  const [typed, setTyped] = useState('')
  const found = useQuery({
    queryKey: ['employees', 'found', typed],
    queryFn: () => api<Employee[]>('/employees', { query: { search: typed, limit: SHOWN } }),
    enabled: may('employees:read') && typed !== '',
    placeholderData: keepPreviousData,
  })
  const chosen = found.data?.find(({ employee_id }) => employee_id === typed)
  return (
    <>
      <Field
        label={label}
        name={name}
        list={id}
        maxLength={64}
        autoComplete="off"
        required={required}
        error={error}
        hint={chosen ? `✓ ${chosen.name}` : t('attendance.personHint')}
        onChange={({ target }) => setTyped(target.value.trim())}
      />
      <datalist id={id}>
        {found.data?.map(({ employee_id, name: called }) => (
          <option key={employee_id} value={employee_id}>
            {called}
          </option>
        ))}
      </datalist>
    </>
  )
}
