import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { dateTime } from '../../shared/i18n.ts'
import type { Entry } from './audit-page.tsx'
import type { Names } from './names.ts'

type Fields = Record<string, unknown>

/** One entry: what was there before, what came after, and how the change reached the server. */
export function EntryDialog({ entry, names, onClose }: { entry: Entry; names: Names; onClose: () => void }) {
  const { t } = useTranslation()
  const { before, after, from, route, request_id, ...others } = entry.details ?? {}
  return (
    <Dialog title={`${names.action(entry.action)}: ${names.kind(entry.subject_kind)}`} onClose={onClose}>
      <dl className="mb-4 grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-sm">
        <Line label={t('audit.at')}>{dateTime(entry.at)}</Line>
        <Line label={t('audit.by')}>
          {names.author(entry.by)} <code className="text-muted">{entry.by}</code>
        </Line>
        {entry.subject !== null && <Line label={t('audit.subject')}>{entry.subject}</Line>}
        {from !== undefined && <Line label={t('audit.from')}>{String(from)}</Line>}
        {route !== undefined && (
          <Line label={t('audit.route')}>
            <code>{String(route)}</code>
          </Line>
        )}
        {request_id !== undefined && (
          <Line label={t('audit.requestId')}>
            <code>{String(request_id)}</code>
          </Line>
        )}
        {entry.seq !== null && <Line label={t('audit.seq')}>{entry.seq}</Line>}
      </dl>
      {entry.details === null && <p className="mb-4 text-muted">{t('audit.forgotten')}</p>}
      <Changes before={(before ?? {}) as Fields} after={(after ?? {}) as Fields} others={others} />
      <div className="mt-6 flex justify-end">
        <Button onClick={onClose}>{t('common.close')}</Button>
      </div>
    </Dialog>
  )
}

function Line({ label, children }: { label: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted">{label}</dt>
      <dd className="min-w-0 break-all">{children}</dd>
    </>
  )
}

/** Each field with its value before and after; what an act says besides has one value only. */
function Changes({ before, after, others }: { before: Fields; after: Fields; others: Fields }) {
  const { t } = useTranslation()
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
  const rest = Object.entries(others)
  return (
    <>
      {fields.length > 0 && (
        <table className="w-full table-fixed text-left text-sm">
          <caption className="mb-1 text-left font-medium">{t('audit.changes')}</caption>
          <thead className="border-line border-b text-muted">
            <tr>
              <th scope="col" className="py-1 pr-2 font-medium">
                {t('audit.field')}
              </th>
              <th scope="col" className="py-1 pr-2 font-medium">
                {t('audit.before')}
              </th>
              <th scope="col" className="py-1 font-medium">
                {t('audit.after')}
              </th>
            </tr>
          </thead>
          <tbody>
            {fields.map((field) => (
              <tr key={field} className="border-line border-b align-top last:border-0">
                <th scope="row" className="break-words py-1 pr-2 font-normal text-muted">
                  {field}
                </th>
                <td className="break-words py-1 pr-2">
                  <Value of={before[field]} />
                </td>
                <td className="break-words py-1">
                  <Value of={after[field]} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {rest.length > 0 && (
        <dl className="mt-4 grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-sm">
          {rest.map(([name, value]) => (
            <Line key={name} label={name}>
              <Value of={value} />
            </Line>
          ))}
        </dl>
      )}
    </>
  )
}

const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/

function Value({ of: value }: { of: unknown }) {
  const { t } = useTranslation()
  if (value === undefined || value === null || value === '') return '–'
  if (value === '(hidden)') return <em className="text-muted">{t('audit.hidden')}</em>
  if (typeof value === 'boolean') return t(value ? 'audit.yes' : 'audit.no')
  if (typeof value === 'string') return isTime.test(value) ? dateTime(value) : value
  return Array.isArray(value) && value.every((each) => typeof each !== 'object')
    ? value.join(', ') || '–'
    : JSON.stringify(value)
}
