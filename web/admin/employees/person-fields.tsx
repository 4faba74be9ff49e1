import { useTranslation } from 'react-i18next'
import { faultOf } from '../../shared/api.ts'
import { Field, Select } from '../../shared/field.tsx'
import { useDepartments, useSites } from './choices.ts'
import type { Employee } from './people.ts'

const texts = ['name', 'department', 'position', 'email', 'phone'] as const
export type Values = Pick<Employee, (typeof texts)[number] | 'site_id'>

const limits = { name: 200, department: 100, position: 100, email: 254, phone: 50 }

/** The fields of a person but the id. `error`: what the server said of what was sent. */
export function PersonFields({ person, error }: { person?: Values; error: unknown }) {
  const { t } = useTranslation()
  const departments = useDepartments()
  const sites = useSites()
  return (
    <>
      {texts.map((name) => (
        <Field
          key={name}
          label={t(`employeeColumn.${name}`)}
          name={name}
          type={name === 'email' ? 'email' : name === 'phone' ? 'tel' : 'text'}
          defaultValue={person?.[name] ?? ''}
          maxLength={limits[name]}
          required={name === 'name'}
          autoComplete="off"
          list={name === 'department' ? 'departments' : undefined}
          error={faultOf(error, name)}
        />
      ))}
      <datalist id="departments">
        {departments?.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      {sites && sites.length > 1 && (
        <Select
          label={t('employeeColumn.site')}
          name="site_id"
          defaultValue={person?.site_id ?? sites[0].id}
          error={faultOf(error, 'site_id')}
        >
          {sites.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </Select>
      )}
    </>
  )
}

/** What the fields say; an empty one clears what was there. */
export function readValues(form: FormData): Partial<Values> {
  const read = texts.map((name) => [name, String(form.get(name) ?? '').trim() || null])
  const site = form.get('site_id')
  return { ...Object.fromEntries(read), ...(site !== null && { site_id: Number(site) }) }
}

/** Whether a refusal is about a field that is drawn, and so is said beside it. */
export function isAboutField(error: unknown): boolean {
  return [...texts, 'site_id', 'employee_id'].some((name) => faultOf(error, name) !== undefined)
}
