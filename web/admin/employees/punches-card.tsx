import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import type { punchSchema } from '../../../src/attendance/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { dateTime, percent } from '../../shared/i18n.ts'
import { Table } from '../../shared/table.tsx'
import { Card } from '../page.tsx'
import { apiList } from '../session.ts'
import { useZone } from '../site-time.ts'
import { type Employee, keyOf } from './people.ts'

type Punch = Answer<typeof punchSchema>

const SHOWN = 20

/** The last punches, and the way to all of them. */
export function PunchesCard({ employee: { employee_id } }: { employee: Employee }) {
  const { t } = useTranslation()
  const zone = useZone()
  const punches = useQuery({
    queryKey: keyOf(employee_id, 'punches'),
    queryFn: () =>
      apiList<Punch>(`/attendance/employee/${encodeURIComponent(employee_id)}`, { query: { limit: SHOWN } }),
  })
  return (
    <Card
      title={t('employees.punches')}
      aside={
        <Link
          to="/admin/attendance"
          search={{ employee_id } as never}
          className="text-accent text-sm hover:underline"
        >
          {t('employees.allPunches')}
        </Link>
      }
    >
      <Table
        caption={t('employees.punches')}
        rows={{ ...punches, data: punches.data?.rows }}
        rowKey={({ id }) => id}
        empty={t('employees.noPunches')}
        columns={[
          {
            id: 'time',
            header: t('employees.time'),
            cell: ({ timestamp }) => <span className="tabular-nums">{dateTime(timestamp, zone)}</span>,
          },
          {
            id: 'type',
            header: t('employees.direction'),
            cell: ({ attendance_type }) => (
              <Badge
                tone={attendance_type === 'IN' ? 'good' : 'info'}
                symbol={attendance_type === 'IN' ? '→' : '←'}
              >
                {t(`direction.${attendance_type}`)}
              </Badge>
            ),
          },
          {
            id: 'where',
            header: t('employees.where'),
            cell: ({ device_id, kind, confidence_score }) => (
              <>
                <p className="break-all">{device_id ?? t('today.byHand')}</p>
                {kind === 'face' && <p className="text-muted text-sm">{percent(confidence_score)}</p>}
              </>
            ),
          },
        ]}
      />
    </Card>
  )
}
