import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { decisionSchema } from '../../../src/attendance/explain-schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Select } from '../../shared/field.tsx'
import { number } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { useUrlState } from '../../shared/url-state.ts'
import { Card } from '../page.tsx'
import { apiList } from '../session.ts'
import { momentsOf, useZone } from '../site-time.ts'
import { DayFilter, DeviceFilter } from './filters.tsx'
import { confidenceFigure, LivenessBadge } from './marks.tsx'
import { OutcomeBadge, outcomes } from './outcome.tsx'
import { When } from './when.tsx'
import { WhyLink } from './why-link.tsx'

type Decision = Answer<typeof decisionSchema>

const PAGE = 50

/** What was decided, also where nobody punched. */
export function DecisionsView() {
  const { t } = useTranslation()
  const zone = useZone()
  const [url, change] = useUrlState()
  const skip = Number(url.skip) || 0
  const filter = { ...momentsOf(url, zone), device_id: url.device, outcome: url.outcome }
  const decisions = useQuery({
    queryKey: ['decisions', filter, skip],
    queryFn: () => apiList<Decision>('/attendance/decisions', { query: { ...filter, limit: PAGE, skip } }),
    placeholderData: keepPreviousData,
  })
  const total = decisions.data?.total ?? 0
  return (
    <>
      <search className="flex flex-col gap-3">
        <DayFilter zone={zone} />
        <div className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-5">
          <Select
            label={t('attendance.outcome')}
            value={url.outcome ?? ''}
            onChange={({ target }) => change({ outcome: target.value, skip: '' })}
          >
            <option value="">{t('attendance.any')}</option>
            {outcomes.map((outcome) => (
              <option key={outcome} value={outcome}>
                {t(`attendance.outcomes.${outcome}`)}
              </option>
            ))}
          </Select>
          <DeviceFilter />
        </div>
      </search>
      <Card title={t('attendance.decided', { count: total, total: number(total) })}>
        <Table
          caption={t('attendance.views.decisions')}
          rows={{ ...decisions, data: decisions.data?.rows }}
          rowKey={({ decision_id }) => decision_id}
          empty={t('attendance.noDecisions')}
          columns={[
            {
              id: 'time',
              header: t('attendance.time'),
              cell: ({ made_at, device_id }) => <When at={made_at} deviceId={device_id} />,
            },
            {
              id: 'outcome',
              header: t('attendance.outcome'),
              cell: ({ outcome }) => <OutcomeBadge outcome={outcome} />,
            },
            {
              id: 'person',
              header: t('attendance.person'),
              cell: ({ employee_id, employee_name }) =>
                employee_id === null ? (
                  <span className="whitespace-nowrap text-muted">{t('attendance.nobody')}</span>
                ) : (
                  (employee_name ?? employee_id)
                ),
            },
            {
              id: 'confidence',
              header: t('attendance.confidence.title'),
              cell: ({ confidence }) => (confidence === null ? '–' : confidenceFigure(confidence)),
            },
            {
              id: 'liveness',
              header: t('attendance.liveness.title'),
              cell: ({ liveness }) => (liveness === null ? '–' : <LivenessBadge state={liveness} />),
            },
            {
              id: 'acts',
              header: '',
              alignRight: true,
              cell: ({ decision_id, outcome }) => (
                <WhyLink
                  search={{ decision: decision_id }}
                  of={t(`attendance.outcomes.${outcome}` as 'attendance.outcomes.identified')}
                />
              ),
            },
          ]}
        />
        <Pager
          skip={skip}
          limit={PAGE}
          total={total}
          onSkip={(to) => change({ skip: to ? String(to) : '' })}
        />
      </Card>
    </>
  )
}
