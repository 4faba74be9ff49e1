import { useTranslation } from 'react-i18next'
import { Fact } from '../../../shared/fact.tsx'
import { dateTime } from '../../../shared/i18n.ts'
import { useZone } from '../../site-time.ts'
import { confidenceFigure, DisputeBadge } from '../marks.tsx'
import { isOutcome, OutcomeBadge } from '../outcome.tsx'
import { useCandidateName } from './candidate-name.ts'
import type { Explanation } from './explain-view.tsx'
import { useServerSentences } from './rule-text.ts'

/** What was decided in one sentence, and the rule that did. */
export function VerdictCard({ explanation }: { explanation: Explanation }) {
  const { t } = useTranslation()
  const zone = useZone()
  const say = useServerSentences()
  const claim = useClaim(explanation)
  const { outcome, rule, made_at, device_id, requested, captured_at, disputed, vouched } = explanation
  return (
    <section
      aria-label={t('attendance.explain.verdict')}
      className="flex flex-col gap-4 rounded-2xl border border-line bg-surface p-4 sm:p-6"
    >
      <div className="flex flex-wrap items-center gap-2">
        <OutcomeBadge outcome={outcome} />
        {disputed && <DisputeBadge state={disputed} />}
      </div>
      <p className="text-lg sm:text-xl">{useVerdict(explanation)}</p>
      <dl className="grid gap-x-8 gap-y-3 sm:grid-cols-2 lg:grid-cols-4">
        <Fact label={t('attendance.explain.decidedAt')}>{dateTime(made_at, zone)}</Fact>
        <Fact label={t('attendance.device')}>{device_id ?? t('attendance.noDevice')}</Fact>
        {rule && <Fact label={t('attendance.explain.rule')}>{say.rule(rule)}</Fact>}
        {requested && (
          <Fact label={t('attendance.explain.requested')}>
            {requested === 'AUTO' ? t('attendance.explain.auto') : t(`direction.${requested as 'IN'}`)}
          </Fact>
        )}
        {claim && <Fact label={t('attendance.explain.claimed')}>{claim}</Fact>}
        {captured_at && <Fact label={t('attendance.explain.capturedAt')}>{dateTime(captured_at, zone)}</Fact>}
        {vouched?.notes && <Fact label={t('attendance.reason')}>{vouched.notes}</Fact>}
        {vouched?.imported_from && (
          <Fact label={t('attendance.explain.importedFrom')}>{vouched.imported_from}</Fact>
        )}
      </dl>
      {explanation.forgotten && <p className="text-muted">{t('attendance.explain.forgotten')}</p>}
    </section>
  )
}

/** Whose employee code came with the pictures; of somebody who is not among the candidates either nothing can be said. */
function useClaim({ claimed, candidates, frames }: Explanation): string | null {
  const { t } = useTranslation()
  const nameOf = useCandidateName()
  if (!claimed) return null
  const shown = [...candidates, ...frames.map(({ votes }) => votes)]
  const isKnown = claimed.employee_id !== null || shown.some((one) => one?.pseudonym === claimed.pseudonym)
  return isKnown ? nameOf(claimed) : t('attendance.explain.claimedNobody')
}

function useVerdict(explanation: Explanation): string {
  const { t } = useTranslation()
  const caller = useCallerName()
  const { outcome, employee_name, employee_id, candidates, thresholds, vouched, liveness } = explanation
  if (!isOutcome(outcome)) return outcome
  const threshold = thresholds?.confidence ?? null
  const best = candidates[0]?.confidence ?? explanation.confidence
  const key =
    outcome === 'not_identified' && (best === null || threshold === null || best >= threshold)
      ? 'nobody'
      : explanation.kind === 'pin' && outcome === 'identified'
        ? 'by_pin'
        : outcome
  return t(`attendance.verdict.${key}` as 'attendance.verdict.identified', {
    name: employee_name ?? employee_id ?? '',
    confidence: best === null ? '–' : confidenceFigure(best),
    threshold: threshold === null ? '–' : confidenceFigure(threshold),
    by: vouched ? (vouched.by_name ?? caller(vouched.by)) : '',
    why: vouched?.notes ?? '–',
    liveness: liveness?.state ? t(`attendance.liveness.${liveness.state}`) : '–',
  })
}

/** Records name who did something by number: `user:3`, `key:1`, `kiosk:GATE`. */
function useCallerName() {
  const { t } = useTranslation()
  return (by: string | null): string => {
    const [kind, id] = (by ?? '').split(':')
    if (kind === 'user') return t('attendance.caller.user', { id })
    if (kind === 'key') return t('attendance.caller.key', { id })
    return by ?? '–'
  }
}
