import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Field, Select } from '../../shared/field.tsx'
import { SearchField, useFilters } from '../filters.tsx'
import { actions, kinds, useNames } from './names.ts'

const filters = ['by', 'action', 'kind', 'subject', 'from', 'to']

/** By whom, what, which and when. */
export function Filters() {
  const { t } = useTranslation()
  const { get, set } = useFilters()
  const { users } = useNames()
  const by = get('by')
  const offered = [
    ...users.map(({ id, name }) => [`user:${id}`, name]),
    ['server', t('audit.byServer')],
    ['cli', t('audit.byCli')],
  ] as [string, string][]
  const isFiltered = filters.some((name) => get(name) !== '')
  return (
    <search className="grid gap-3 border-line border-b p-4 sm:grid-cols-2 lg:grid-cols-3">
      <Select label={t('audit.by')} value={by} onChange={({ target }) => set({ by: target.value })}>
        <option value="">{t('audit.everybody')}</option>
        {/* A kiosk or a key, of an address that was kept. */}
        {by !== '' && !offered.some(([value]) => value === by) && <option value={by}>{by}</option>}
        {offered.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </Select>
      <Select
        label={t('audit.action')}
        value={get('action')}
        onChange={({ target }) => set({ action: target.value })}
      >
        <option value="">{t('audit.everything')}</option>
        {actions.map((action) => (
          <option key={action} value={action}>
            {t(`audit.actions.${action}`)}
          </option>
        ))}
      </Select>
      <Select
        label={t('audit.target')}
        value={get('kind')}
        onChange={({ target }) => set({ kind: target.value })}
      >
        <option value="">{t('audit.everything')}</option>
        {kinds.map((kind) => (
          <option key={kind} value={kind}>
            {t(`audit.kinds.${kind}`)}
          </option>
        ))}
      </Select>
      <SearchField label={t('audit.subject')} filter="subject" />
      <Day name="from" label={t('audit.fromDay')} />
      <Day name="to" label={t('audit.toDay')} />
      {isFiltered && (
        <div className="flex items-end">
          <Button onClick={() => set(Object.fromEntries(filters.map((name) => [name, undefined])))}>
            {t('audit.clear')}
          </Button>
        </div>
      )}
    </search>
  )
}

function Day({ name, label }: { name: string; label: string }) {
  const { get, set } = useFilters()
  return (
    <Field
      label={label}
      type="date"
      value={get(name)}
      onChange={({ target }) => set({ [name]: target.value })}
    />
  )
}
