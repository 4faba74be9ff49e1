import { useTranslation } from 'react-i18next'
import type { punchSchema } from '../../../src/attendance/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge, type Tone } from '../../shared/badge.tsx'
import { number } from '../../shared/i18n.ts'

export type Punch = Answer<typeof punchSchema>
type Liveness = Punch['liveness']

export function Direction({ type }: { type: Punch['attendance_type'] }) {
  const { t } = useTranslation()
  return (
    <Badge tone={type === 'IN' ? 'good' : 'info'} symbol={type === 'IN' ? '→' : '←'}>
      {t(`direction.${type}`)}
    </Badge>
  )
}

/** 0.93: as the thresholds are written. */
export const confidenceFigure = (confidence: number) => number(confidence, 2)

/** One wrong match in 10^5 comparisons with a person, and so on: what a confidence means. */
const levels = [
  [0.85, 'verySure'],
  [0.75, 'sure'],
  [0, 'justEnough'],
] as const

/** How sure the networks were of a person whom they recognised, in words and as a figure. */
export function Confidence({ value }: { value: number }) {
  const { t } = useTranslation()
  const [, level] = levels.find(([from]) => value >= from)!
  return (
    <span className="whitespace-nowrap">
      {t(`attendance.confidence.${level}`)}{' '}
      <span className="text-muted tabular-nums">{confidenceFigure(value)}</span>
    </span>
  )
}

const livenessLooks: Record<Liveness, [Tone, string]> = {
  bona_fide: ['good', '✓'],
  attack: ['bad', '!'],
  undecided: ['neutral', '?'],
  unavailable: ['neutral', '–'],
}

/** What presentation attack detection says. */
export function LivenessBadge({ state }: { state: Liveness }) {
  const { t } = useTranslation()
  const [tone, symbol] = livenessLooks[state]
  return (
    <Badge tone={tone} symbol={symbol}>
      {t(`attendance.liveness.${state}`)}
    </Badge>
  )
}

const disputeTones: Record<NonNullable<Punch['disputed']>, Tone> = {
  open: 'warn',
  confirmed: 'bad',
  rejected: 'neutral',
}

export function DisputeBadge({ state }: { state: NonNullable<Punch['disputed']> }) {
  const { t } = useTranslation()
  return (
    <Badge tone={disputeTones[state]} symbol="!">
      {t(`attendance.disputed.${state}`)}
    </Badge>
  )
}

/** What one must know of a punch besides its time: how it came to be, and what became of it. */
export function PunchMarks({ punch }: { punch: Punch }) {
  const { t } = useTranslation()
  const { kind, corrects, is_void, superseded_by, disputed } = punch
  return (
    <>
      {kind === 'manual' && <Badge symbol="✎">{t('attendance.kind.manual')}</Badge>}
      {kind === 'pin' && <Badge symbol="#">{t('attendance.kind.pin')}</Badge>}
      {kind === 'import' && <Badge symbol="⇩">{t('attendance.kind.import')}</Badge>}
      {corrects !== null && (
        <Badge tone="info" symbol="✎">
          {t(is_void ? 'attendance.marks.void' : 'attendance.marks.corrected')}
        </Badge>
      )}
      {superseded_by !== null && (
        <Badge tone="neutral" symbol="⤳">
          {t('attendance.marks.superseded')}
        </Badge>
      )}
      {disputed && <DisputeBadge state={disputed} />}
    </>
  )
}
