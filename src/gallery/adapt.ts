import { averageVectors, type EmbedderSpec } from '../face/embed.ts'
import { MIN_QUALITY_SCORE } from '../face/quality.ts'

/** What is known of a check when it is asked whether a template may be learned from it. */
export interface LearningEvidence {
  outcome: string
  liveness: 'bona_fide' | 'attack' | 'undecided' | 'unavailable'
  /** Of the face that would be learned, 0..1. */
  quality: number
  /** What the administrator's template alone says of the face; undefined where the person has none. */
  admin: Likeness | undefined
  /** The best of the person who resembles it next; undefined where nobody else is enrolled. */
  second: Pick<Likeness, 'minusLog10Fmr'> | undefined
  /** Whether somebody said of one of the person's punches that it is not theirs, and nobody has looked into it yet. */
  isDisputed: boolean
  /** Whether there is somebody whom the networks hardly tell from the person. */
  hasLookAlike: boolean
  /** When a template of the person was last learned, also where it was removed since. */
  lastLearnedAt: Date | undefined
  /** The learned templates that the person has. */
  learned: readonly { slot: number; learnedAt: Date }[]
  now: Date
}

interface Likeness {
  confidence: number
  /** Not clamped as the confidence is. */
  minusLog10Fmr: number
}

export interface LearningRules {
  /** The confidence from which a face may be learned, at the present size of the gallery. */
  learning: number
  /** How much surer a check must be of the first person than of the second, in confidence. */
  margin: number
}

export type Learning = { learn: true; slot: LearnedSlot } | { learn: false; why: string }

export type LearnedSlot = (typeof LEARNED_SLOTS)[number]

export const LEARNED_SLOTS = [2, 3] as const

/** A person gets one learned template in so many days at most: a face changes slowly, and so must a template. */
export const TEMPLATE_REPLACEMENT_DAYS = 10
/** A learned template waits so long before it is searched: time to say that a punch was somebody else's. */
export const QUARANTINE_DAYS = 1
/**
 * How many times the margin of a check: a punch of the wrong person is put right by one correction, a template of the
 * wrong person would go on making such punches.
 */
const MARGINS = 2

export const DAY_MS = 24 * 3_600_000

/**
 * Whether a template may be learned from a check, and into which slot: an empty one, else that of the older template.
 * Pure: the same evidence, the same answer. What a learned template recognised is never learned from, so that nothing
 * drifts further from the administrator's photos than one step, however many checks there are.
 */
export function mayLearn(evidence: LearningEvidence, rules: LearningRules): Learning {
  const { admin, second, now, lastLearnedAt } = evidence
  if (evidence.outcome !== 'identified') return no(`the check ended as ${evidence.outcome}`)
  if (evidence.liveness !== 'bona_fide') return no(`liveness is ${evidence.liveness}`)
  if (evidence.quality < MIN_QUALITY_SCORE)
    return no(`quality ${show(evidence.quality)} is below ${show(MIN_QUALITY_SCORE)}`)
  if (!admin) return no("there is no administrator's template")
  if (admin.confidence < rules.learning)
    return no(`the administrator's template is ${show(admin.confidence)} sure, below ${show(rules.learning)}`)
  const margin = MARGINS * rules.margin
  if (second && second.minusLog10Fmr > admin.minusLog10Fmr - 10 * margin)
    return no(`the second person is closer than ${show(margin)}`)
  if (evidence.isDisputed) return no('a punch of the person is disputed')
  if (evidence.hasLookAlike) return no('the person has a look-alike')
  if (lastLearnedAt && now.getTime() - lastLearnedAt.getTime() < TEMPLATE_REPLACEMENT_DAYS * DAY_MS)
    return no(`a template was learned within the last ${TEMPLATE_REPLACEMENT_DAYS} days`)
  return { learn: true, slot: nextSlot(evidence.learned) }
}

function nextSlot(learned: LearningEvidence['learned']): LearnedSlot {
  const since = (slot: LearnedSlot) =>
    learned.find((one) => one.slot === slot)?.learnedAt.getTime() ?? Number.NEGATIVE_INFINITY
  return since(2) <= since(3) ? 2 : 3
}

/**
 * What is learned of a face: a quarter of it, and three of the template that recognised it. The whole of a face that is
 * half somebody else's would let that somebody in; a quarter hardly does, and still brings most of what the whole would
 * (docs/ACCURACY.md).
 */
export function learnedVector(
  specs: readonly EmbedderSpec[],
  parent: Float32Array,
  face: Float32Array,
): Float32Array {
  return averageVectors(specs, [parent, parent, parent, face])
}

/**
 * Why a learned template must go, or undefined. `own` is what it scores with the administrator's template of its person,
 * `other` the most that it scores with that of anybody else, both as -log10 of the false-match rate; `threshold` is the
 * confidence from which a person is recognised.
 */
export function adrift(
  own: Likeness,
  other: Pick<Likeness, 'minusLog10Fmr'> | undefined,
  threshold: number,
): string | undefined {
  if (own.confidence < threshold) return 'the photos of the person no longer recognise it'
  if (other && other.minusLog10Fmr >= own.minusLog10Fmr)
    return 'it is nearer to the photos of somebody else than to those of the person'
  return undefined
}

const no = (why: string): Learning => ({ learn: false, why })
const show = (value: number) => value.toFixed(3)
