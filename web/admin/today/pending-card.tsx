import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { pendingSchema } from '../../../src/attendance/sync-schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { Card } from '../page.tsx'
import { apiList } from '../session.ts'
import { useZone } from '../site-time.ts'
import { DecideDialog } from './decide-dialog.tsx'

export type Pending = Answer<typeof pendingSchema>

const PAGE = 10
const READ_MS = 30_000

/**
 * What somebody has to decide: checks that kiosks kept while they were off line, and punches of which somebody said that
 * it was not them. Nothing is drawn where nothing waits.
 */
export function PendingCard() {
  const { t, i18n } = useTranslation()
  const zone = useZone()
  const [chosen, setChosen] = useState<Pending>()
  const [skip, setSkip] = useState(0)
  const pending = useQuery({
    queryKey: ['pending', skip],
    queryFn: () => apiList<Pending>('/attendance/pending', { query: { limit: PAGE, skip } }),
    refetchInterval: READ_MS,
    placeholderData: keepPreviousData,
  })
  const disputes = useQuery({
    queryKey: ['disputes', 'waiting'],
    queryFn: async () =>
      (await apiList('/attendance/disputes', { query: { state: 'open', limit: 1 } })).total,
    refetchInterval: READ_MS,
  })
  const kept = pending.data?.total ?? 0
  const disputed = disputes.data ?? 0
  if (kept + disputed === 0 && !pending.error) return null
  /** Of the catalogue where it is one of the frequent ones. */
  const why = ({ reason, flags }: Pending) => {
    const key = `pendingReason.${reason}` as 'pendingReason.not_identified'
    const told = reason === null ? [] : [i18n.exists(key) ? t(key) : reason]
    return [...told, ...flags.map((flag) => t(`pendingFlag.${flag}`))].join(', ')
  }
  /** The last one of a page takes the page with it. */
  const decided = () => pending.data?.rows.length === 1 && setSkip(Math.max(0, skip - PAGE))
  return (
    <Card
      title={t('pending.title')}
      aside={
        <Badge tone="warn" symbol="!">
          {number(kept + disputed)}
        </Badge>
      }
    >
      {disputed > 0 && (
        <p className="flex flex-wrap items-center justify-between gap-2 border-line border-b px-4 py-3 last:border-0">
          {t('pending.disputes', { count: disputed, number: number(disputed) })}
          <Link
            to="/admin/attendance"
            search={{ view: 'disputes', state: 'open' } as never}
            className="text-accent hover:underline"
          >
            {t('pending.toDisputes')}
          </Link>
        </p>
      )}
      {(kept > 0 || pending.error) && (
        <>
          <Table
            caption={t('pending.title')}
            rows={{ ...pending, data: pending.data?.rows }}
            rowKey={({ id }) => id}
            empty={t('pending.empty')}
            columns={[
              {
                id: 'time',
                header: t('pending.time'),
                cell: ({ captured_at }) => dateTime(captured_at, zone),
              },
              { id: 'device', header: t('pending.device'), cell: ({ device_id }) => device_id },
              { id: 'why', header: t('pending.why'), cell: why },
              {
                id: 'act',
                header: '',
                alignRight: true,
                cell: (row) => <Button onClick={() => setChosen(row)}>{t('pending.decide')}</Button>,
              },
            ]}
          />
          <Pager skip={skip} limit={PAGE} total={kept} onSkip={setSkip} />
        </>
      )}
      {chosen && (
        <DecideDialog
          pending={chosen}
          why={why(chosen)}
          onDecided={decided}
          onClose={() => setChosen(undefined)}
        />
      )}
    </Card>
  )
}
