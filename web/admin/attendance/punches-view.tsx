import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { number } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { useUrlState } from '../../shared/url-state.ts'
import { Card } from '../page.tsx'
import { apiList, useMe } from '../session.ts'
import { useZone } from '../site-time.ts'
import { PunchPicture } from '../today/punch-picture.tsx'
import { CorrectDialog } from './correct-dialog.tsx'
import { ExportButtons } from './export-buttons.tsx'
import { filterOf, PunchFilters } from './filters.tsx'
import { Confidence, Direction, LivenessBadge, type Punch, PunchMarks } from './marks.tsx'
import { When } from './when.tsx'
import { WhyLink } from './why-link.tsx'

const PAGE = 50

/** The punches that a filter matches, newest first. */
export function PunchesView() {
  const { t } = useTranslation()
  const { may } = useMe()
  const zone = useZone()
  const [url, change] = useUrlState()
  const [chosen, setChosen] = useState<Punch>()
  const skip = Number(url.skip) || 0
  const filter = filterOf(url, zone)
  const punches = useQuery({
    queryKey: ['punches', filter, skip],
    queryFn: () => apiList<Punch>('/attendance', { query: { ...filter, limit: PAGE, skip } }),
    placeholderData: keepPreviousData,
  })
  const total = punches.data?.total ?? 0
  return (
    <>
      <PunchFilters zone={zone} />
      <Card
        title={t('attendance.count', { count: total, total: number(total) })}
        aside={<ExportButtons filter={filter} empty={total === 0} />}
      >
        <Table
          caption={t('attendance.title')}
          rows={{ ...punches, data: punches.data?.rows }}
          rowKey={({ id }) => id}
          empty={t('attendance.empty')}
          columns={[
            {
              id: 'person',
              header: t('attendance.person'),
              cell: (punch) => (
                <div className="flex items-center gap-3 max-sm:flex-row-reverse">
                  <PunchPicture punch={punch} />
                  <div className="min-w-0">
                    <p className="font-medium">{punch.employee_name}</p>
                    <p className="text-muted text-sm">{punch.employee_id}</p>
                  </div>
                </div>
              ),
            },
            {
              id: 'time',
              header: t('attendance.time'),
              cell: ({ timestamp, device_id, superseded_by }) => (
                <When at={timestamp} deviceId={device_id} isOld={superseded_by !== null} />
              ),
            },
            {
              id: 'direction',
              header: t('attendance.direction'),
              cell: ({ attendance_type }) => <Direction type={attendance_type} />,
            },
            { id: 'how', header: t('attendance.how'), cell: (punch) => <How punch={punch} /> },
            {
              id: 'acts',
              header: '',
              alignRight: true,
              cell: (punch) => (
                <div className="flex justify-end gap-2">
                  <WhyLink search={{ explain: punch.id }} of={punch.employee_name} />
                  {may('attendance:write') && punch.superseded_by === null && !punch.is_void && (
                    <Button className="whitespace-nowrap" onClick={() => setChosen(punch)}>
                      {t('attendance.correct.open')}
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
          total={total}
          onSkip={(to) => change({ skip: to ? String(to) : '' })}
        />
      </Card>
      {chosen && <CorrectDialog punch={chosen} onClose={() => setChosen(undefined)} />}
    </>
  )
}

/** What led to a punch, how sure it was, and what became of it. */
function How({ punch }: { punch: Punch }) {
  const { t } = useTranslation()
  const isFace = punch.confidence_score > 0
  return (
    <div className="flex flex-wrap items-center gap-1.5 max-sm:justify-end">
      {isFace && <Confidence value={punch.confidence_score} />}
      {punch.kind === 'face' && punch.liveness !== 'unavailable' && <LivenessBadge state={punch.liveness} />}
      {punch.kind === 'face' && punch.liveness === 'unavailable' && (
        <Badge>{t('attendance.liveness.unavailable')}</Badge>
      )}
      <PunchMarks punch={punch} />
    </div>
  )
}
