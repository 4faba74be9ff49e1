import { useTranslation } from 'react-i18next'
import { number } from '../../../shared/i18n.ts'
import { Card } from '../../page.tsx'

const stages = ['decode', 'detect', 'mesh', 'quality', 'pad', 'embed']

/** How long each stage took. */
export function TimingsCard({ timings }: { timings: Record<string, number> }) {
  const { t } = useTranslation()
  const shown = stages.filter((stage) => stage in timings)
  const longest = Math.max(...shown.map((stage) => timings[stage]), 1)
  const total = shown.reduce((sum, stage) => sum + timings[stage], 0)
  return (
    <Card
      title={t('attendance.timings.title')}
      aside={<span className="text-muted text-sm">{number(total)} ms</span>}
    >
      {total < 1 && <p className="px-4 pt-4 text-muted text-sm">{t('attendance.timings.cached')}</p>}
      <dl className="flex flex-col gap-2 p-4">
        {shown.map((stage) => (
          <div key={stage} className="grid grid-cols-[7rem_1fr_4rem] items-center gap-3 text-sm">
            <dt>{t(`attendance.timings.${stage as 'decode'}`)}</dt>
            <svg aria-hidden="true" viewBox="0 0 100 10" preserveAspectRatio="none" className="h-3 w-full">
              <rect
                width={Math.max(0.5, (100 * timings[stage]) / longest)}
                height="10"
                className="fill-info"
              />
            </svg>
            <dd className="text-right tabular-nums">
              {number(timings[stage], timings[stage] < 10 ? 1 : 0)} ms
            </dd>
          </div>
        ))}
      </dl>
    </Card>
  )
}
