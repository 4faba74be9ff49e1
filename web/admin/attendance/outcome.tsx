import { useTranslation } from 'react-i18next'
import { Badge, type Tone } from '../../shared/badge.tsx'

const looks = {
  identified: ['good', '✓'],
  duplicate: ['info', '='],
  not_identified: ['warn', '?'],
  ambiguous: ['warn', '≈'],
  attack: ['bad', '!'],
  undecided: ['warn', '!'],
  no_face: ['neutral', '–'],
  several_faces: ['neutral', '–'],
  poor_quality: ['neutral', '–'],
  entered: ['info', '✎'],
  corrected: ['info', '✎'],
  voided: ['info', '✎'],
  imported: ['info', '⇩'],
  wrong_pin: ['warn', '#'],
} as const satisfies Record<string, [Tone, string]>

export type Outcome = keyof typeof looks

export const outcomes = Object.keys(looks) as Outcome[]

export const isOutcome = (text: string): text is Outcome => text in looks

/** How a decision ended. */
export function OutcomeBadge({ outcome }: { outcome: string }) {
  const { t } = useTranslation()
  if (!isOutcome(outcome)) return <Badge>{outcome}</Badge>
  const [tone, symbol] = looks[outcome]
  return (
    <Badge tone={tone} symbol={symbol}>
      {t(`attendance.outcomes.${outcome}`)}
    </Badge>
  )
}
