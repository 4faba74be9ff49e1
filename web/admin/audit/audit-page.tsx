import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { auditSchema } from '../../../src/ledger/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { Address } from '../address.tsx'
import { useFilters } from '../filters.tsx'
import { Card, Page } from '../page.tsx'
import { apiList } from '../session.ts'
import { EntryDialog } from './entry-dialog.tsx'
import { Filters } from './filters.tsx'
import { useNames } from './names.ts'
import { Verify } from './verify.tsx'

export type Entry = Answer<typeof auditSchema>

const PAGE = 50

/** Who changed what, when and from where; and whether anything was changed past the program. */
export function AuditPage() {
  const { t } = useTranslation()
  const { get, set, skip } = useFilters()
  const [open, setOpen] = useState<Entry>()
  const names = useNames()
  const query = {
    by: get('by'),
    action: get('action'),
    subject_kind: get('kind'),
    subject: get('subject'),
    from: startOf(get('from')),
    to: startOf(get('to'), 1),
    limit: PAGE,
    skip,
  }
  const entries = useQuery({
    queryKey: ['audit', query],
    queryFn: () => apiList<Entry>('/audit', { query }),
    placeholderData: (before) => before,
  })
  return (
    <Page title={t('audit.title')}>
      <Verify />
      <Card>
        <Filters />
        <Table
          caption={t('audit.title')}
          rows={{ ...entries, data: entries.data?.rows }}
          rowKey={({ id }) => id}
          empty={t('audit.empty')}
          columns={[
            { id: 'at', header: t('audit.at'), cell: ({ at }) => dateTime(at) },
            { id: 'by', header: t('audit.by'), cell: ({ by }) => names.author(by) },
            { id: 'action', header: t('audit.action'), cell: ({ action }) => names.action(action) },
            {
              id: 'what',
              header: t('audit.target'),
              cell: ({ subject_kind, subject }) => (
                <>
                  {names.kind(subject_kind)}
                  {subject !== null && (
                    <span className="block break-all text-muted text-sm">
                      {names.subject(subject_kind, subject)}
                    </span>
                  )}
                </>
              ),
            },
            {
              id: 'from',
              header: t('audit.from'),
              cell: ({ details }) => <Address ip={(details?.from as string) ?? null} />,
            },
            {
              id: 'acts',
              header: '',
              alignRight: true,
              cell: (entry) => (
                <Button look="quiet" onClick={() => setOpen(entry)}>
                  {t('audit.show')}
                </Button>
              ),
            },
          ]}
        />
        <Pager skip={skip} limit={PAGE} total={entries.data?.total ?? 0} onSkip={(to) => set({ skip: to })} />
      </Card>
      {open && <EntryDialog entry={open} names={names} onClose={() => setOpen(undefined)} />}
    </Page>
  )
}

/** The beginning of a day in the browser's time zone, `later` days on; undefined where no day was chosen. */
function startOf(day: string, later = 0): string | undefined {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day) ?? []
  if (year === undefined) return undefined
  return new Date(Number(year), Number(month) - 1, Number(date) + later).toISOString()
}
