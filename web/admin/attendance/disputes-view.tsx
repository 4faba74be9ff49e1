import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { disputeSchema } from '../../../src/attendance/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Select } from '../../shared/field.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { useUrlState } from '../../shared/url-state.ts'
import { Card } from '../page.tsx'
import { apiList, useMe } from '../session.ts'
import { useZone } from '../site-time.ts'
import { Confidence, Direction, DisputeBadge } from './marks.tsx'
import { ResolveDialog } from './resolve-dialog.tsx'
import { WhyLink } from './why-link.tsx'

export type Dispute = Answer<typeof disputeSchema>

const PAGE = 50
const states = ['open', 'confirmed', 'rejected'] as const

/** Punches of which somebody said at the kiosk: that was not me. */
export function DisputesView() {
  const { t } = useTranslation()
  const { may } = useMe()
  const zone = useZone()
  const [url, change] = useUrlState()
  const [chosen, setChosen] = useState<Dispute>()
  const skip = Number(url.skip) || 0
  const disputes = useQuery({
    queryKey: ['disputes', url.state, skip],
    queryFn: () =>
      apiList<Dispute>('/attendance/disputes', { query: { state: url.state, limit: PAGE, skip } }),
    placeholderData: keepPreviousData,
  })
  return (
    <>
      <p className="max-w-3xl text-muted">{t('attendance.disputes.about')}</p>
      <search>
        <Select
          label={t('attendance.disputes.state')}
          className="max-w-56"
          value={url.state ?? ''}
          onChange={({ target }) => change({ state: target.value, skip: '' })}
        >
          <option value="">{t('attendance.any')}</option>
          {states.map((state) => (
            <option key={state} value={state}>
              {t(`attendance.disputed.${state}`)}
            </option>
          ))}
        </Select>
      </search>
      <Card>
        <Table
          caption={t('attendance.views.disputes')}
          rows={{ ...disputes, data: disputes.data?.rows }}
          rowKey={({ attendance_id }) => attendance_id}
          empty={t('attendance.disputes.empty')}
          columns={[
            {
              id: 'person',
              header: t('attendance.disputes.named'),
              cell: ({ employee_name, employee_id }) => (
                <div>
                  <p className="font-medium">{employee_name}</p>
                  <p className="text-muted text-sm">{employee_id}</p>
                </div>
              ),
            },
            {
              id: 'time',
              header: t('attendance.time'),
              cell: ({ timestamp, device_id, attendance_type }) => (
                <div className="space-y-1">
                  <time dateTime={timestamp} className="whitespace-nowrap tabular-nums">
                    {dateTime(timestamp, zone)}
                  </time>
                  <p className="flex items-center gap-2 text-muted text-sm max-sm:justify-end">
                    <Direction type={attendance_type} /> {device_id}
                  </p>
                </div>
              ),
            },
            {
              id: 'confidence',
              header: t('attendance.confidence.title'),
              cell: ({ confidence_score }) => <Confidence value={confidence_score} />,
            },
            {
              id: 'state',
              header: t('attendance.disputes.state'),
              cell: ({ state, actual_employee_id, notes }) => (
                <div className="space-y-1">
                  <DisputeBadge state={state} />
                  {actual_employee_id !== null && (
                    <p className="text-sm">{t('attendance.disputes.was', { id: actual_employee_id })}</p>
                  )}
                  {notes && <p className="text-muted text-sm">{notes}</p>}
                </div>
              ),
            },
            {
              id: 'acts',
              header: '',
              alignRight: true,
              cell: (dispute) => (
                <div className="flex justify-end gap-2">
                  <WhyLink search={{ explain: dispute.attendance_id }} of={dispute.employee_name} />
                  {dispute.state === 'open' && may('attendance:write') && (
                    <Button className="whitespace-nowrap" onClick={() => setChosen(dispute)}>
                      {t('attendance.disputes.resolve')}
                    </Button>
                  )}
                </div>
              ),
            },
          ]}
        />
        <Pager
          skip={skip}
          limit={PAGE}
          total={disputes.data?.total ?? 0}
          onSkip={(to) => change({ skip: to ? String(to) : '' })}
        />
      </Card>
      {chosen && <ResolveDialog dispute={chosen} onClose={() => setChosen(undefined)} />}
    </>
  )
}
