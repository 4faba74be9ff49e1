import { useTranslation } from 'react-i18next'
import { number } from '../../../shared/i18n.ts'
import { Card } from '../../page.tsx'
import { LivenessBadge } from '../marks.tsx'
import type { Explanation } from './explain-view.tsx'
import { useServerSentences } from './rule-text.ts'

/** The three ways of looking for a presentation attack, what each says, what was asked for, and what the kiosk does with it. */
export function LivenessCard({ liveness }: { liveness: NonNullable<Explanation['liveness']> }) {
  const { t, i18n } = useTranslation()
  const say = useServerSentences()
  const { state, policy, steps, signals } = liveness
  const scoreName = (score: string) => {
    const key = `attendance.padScores.${score}` as 'attendance.padScores.score'
    const isKnown: boolean = i18n.exists(key)
    return isKnown ? t(key) : score
  }
  return (
    <Card title={t('attendance.liveness.title')} aside={state && <LivenessBadge state={state} />}>
      <ul className="divide-y divide-line">
        {signals.map(({ signal, state: found, reason, scores }) => (
          <li key={signal} className="flex flex-col gap-1 px-4 py-3">
            <div className="flex flex-wrap items-center justify-between gap-2">
              <span className="font-medium">
                {signal ? t(`attendance.signals.${signal}` as 'attendance.signals.model') : '–'}
              </span>
              {found && <LivenessBadge state={found} />}
            </div>
            {reason && <p className="text-muted text-sm">{say.reason(reason)}</p>}
            {Object.keys(scores).length > 0 && (
              <dl className="flex flex-wrap gap-x-4 text-sm">
                {Object.entries(scores).map(([name, value]) => (
                  <div key={name} className="flex gap-1">
                    <dt className="text-muted">{scoreName(name)}</dt>
                    <dd className="tabular-nums">
                      {value === null ? '–' : number(value, Number.isInteger(value) ? 0 : 2)}
                    </dd>
                  </div>
                ))}
              </dl>
            )}
          </li>
        ))}
      </ul>
      {steps && (
        <p className="border-line border-t px-4 py-3 text-sm">
          {t('attendance.liveness.asked', {
            steps: steps.map((step) => t(`step.${step as 'blink'}`)).join(' → '),
          })}
        </p>
      )}
      {policy && (
        <p className="border-line border-t px-4 py-3 text-muted text-sm">
          {t(`attendance.policy.${policy as 'off'}`)}
        </p>
      )}
    </Card>
  )
}
