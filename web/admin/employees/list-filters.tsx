import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Field, Select } from '../../shared/field.tsx'
import { useDepartments, useSites } from './choices.ts'
import { type ListView, sorts, states } from './list-view.ts'

const TYPED_MS = 300

interface ListFiltersProps {
  view: ListView
  onChange: (changes: ListView, options?: { replace?: boolean }) => void
}

/** What narrows the list down. */
export function ListFilters({ view, onChange }: ListFiltersProps) {
  const { t } = useTranslation()
  const departments = useDepartments()
  const sites = useSites() ?? []
  const [typed, setTyped] = useTyped(view.search ?? '', (search) =>
    onChange({ search: search || undefined }, { replace: true }),
  )
  return (
    <search className="grid grid-cols-2 gap-3 p-4 sm:grid-flow-col sm:auto-cols-fr sm:grid-cols-[2fr]">
      <Field
        label={t('employees.search')}
        type="search"
        className="max-sm:col-span-2"
        placeholder={t('employees.searchHint')}
        value={typed}
        maxLength={100}
        onChange={(event) => setTyped(event.target.value)}
      />
      <Select
        label={t('employeeColumn.department')}
        value={view.department ?? ''}
        onChange={(event) => onChange({ department: event.target.value || undefined })}
      >
        <option value="">{t('employees.all')}</option>
        {/* One that is in the address, but has nobody any more, is still what is chosen. */}
        {[...new Set([...(departments ?? []), ...(view.department ? [view.department] : [])])].map((name) => (
          <option key={name}>{name}</option>
        ))}
      </Select>
      <Select
        label={t('employees.stateOf')}
        value={view.state ?? ''}
        onChange={(event) => onChange({ state: states.find((one) => one === event.target.value) })}
      >
        <option value="">{t('employees.all')}</option>
        {states.map((state) => (
          <option key={state} value={state}>
            {t(`employeeState.${state}`)}
          </option>
        ))}
      </Select>
      {sites.length > 1 && (
        <Select
          label={t('employeeColumn.site')}
          value={view.site ?? ''}
          onChange={(event) => onChange({ site: Number(event.target.value) || undefined })}
        >
          <option value="">{t('employees.all')}</option>
          {sites.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </Select>
      )}
      {/* Where the table is one of cards, it has no headers to click at. */}
      <Select
        label={t('employees.sortBy')}
        className="col-span-2 sm:hidden"
        value={view.sort ?? 'name'}
        onChange={(event) => onChange({ sort: sorts.find((one) => one === event.target.value) })}
      >
        {sorts.map((sort) => (
          <option key={sort} value={sort}>
            {t(`employeeSort.${sort}`)}
          </option>
        ))}
      </Select>
    </search>
  )
}

/** A text that is told once nobody types any more; it follows what is told from elsewhere, the Back button say. */
function useTyped(text: string, tell: (text: string) => void) {
  const [typed, setTyped] = useState(text)
  const [told, setTold] = useState(text)
  if (told !== text) {
    setTold(text)
    setTyped(text)
  }
  useEffect(() => {
    if (typed.trim() === text) return
    const timer = setTimeout(() => tell(typed.trim()), TYPED_MS)
    return () => clearTimeout(timer)
  }, [typed, text])
  return [typed, setTyped] as const
}
