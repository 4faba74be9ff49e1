import type { FaceEngine } from '../face/engine.ts'
import { findPack } from '../face/packs/catalogue.ts'
import { digestOf } from '../face/packs/digest.ts'
import type { Action } from '../face/pad/challenge.ts'
import type { Candidate, Gallery, Identification } from '../gallery/gallery.ts'
import { MARGIN } from '../gallery/look-alikes.ts'
import type { AppError } from '../shared/errors.ts'
import type { Decision, PunchType, Rules } from './decide.ts'
import type { DecisionRecord } from './decision-record.ts'
import type { LivenessFound } from './liveness.ts'
import { bestFace, type Looked, type votesOf } from './look.ts'
import type { Punch } from './records.ts'

/** What a check came to. */
export interface Conclusion {
  looked: Looked
  /** Each of several pictures, as the record has it. */
  frames: DecisionRecord['frames']
  pad: LivenessFound
  /** What the kiosk was asked to have done, where the pictures answer a challenge. */
  steps: readonly Action[] | undefined
  /** Who the person says to be. */
  claimed: string | undefined
  /** Undefined where nothing could be compared. */
  found: Identification | undefined
  /** Who was recognised. */
  best: Candidate | undefined
  rules: Rules
  decision: Decision
  refusal: AppError | undefined
  last: Punch | undefined
  requested: PunchType | 'AUTO'
  /** Of the kiosk's site. */
  timeZone: string
  /** When the punch counts. */
  at: Date
  now: Date
  /** The file of the picture, where it is kept. */
  picture: string | undefined
}

interface DescribeDeps {
  engine: Pick<FaceEngine, 'pack'>
}

/** Everything that led to the decision, as it is kept for good. */
export function describe(
  deps: DescribeDeps,
  capturedAt: Date | undefined,
  conclusion: Conclusion,
): DecisionRecord {
  const { looked, frames, found, pad, steps, claimed, rules, decision, refusal, requested, now } = conclusion
  const face = bestFace(looked)
  // The one that looked, which may not be in use any more.
  const pack = (face && findPack(face.pack)) ?? deps.engine.pack
  return {
    rule: decision.rule,
    requested,
    ...(capturedAt && {
      time_of: 'client',
      captured_at: capturedAt.toISOString(),
      received_at: now.toISOString(),
    }),
    ...(claimed !== undefined && { claimed }),
    pack: { name: pack.name, digest: digestOf(pack.files) },
    picture: looked.frames[looked.embedded[0]?.frame ?? 0].picture,
    ...(face && {
      face: { box: face.detection.box, score: face.detection.score, pose: face.pose },
      quality: {
        score: face.quality.score,
        parts: face.quality.parts,
        measures: { ...face.quality.measures },
      },
    }),
    ...(frames && { frames }),
    liveness: {
      state: pad.state,
      policy: rules.padPolicy,
      ...(steps && { steps: [...steps] }),
      signals: pad.signals,
    },
    thresholds: {
      quality: rules.minQuality,
      ...(found && {
        confidence: found.threshold,
        ...found.thresholds,
        high: found.high,
        learning: found.learning,
        margin: MARGIN,
      }),
    },
    ...(refusal && { refused: { code: refusal.code, details: refusal.details } }),
    ...(found && {
      scale: found.scale,
      people: found.people,
      candidates: found.candidates.map((one, index) => ({
        employee_id: one.employeeId,
        template_id: one.templateId,
        raw_score: one.rawScore,
        score: one.score,
        minus_log10_fmr: one.minusLog10Fmr,
        confidence: one.confidence,
        // Beyond what the pack's impostor pairs could count the table is a fitted tail.
        extrapolated: one.extrapolated,
        margin: index === 0 ? null : one.margin,
        look_alike: one.lookAlike,
      })),
    }),
    timings_ms: looked.timings,
  }
}

/** Each of several pictures, with whom it alone resembles most; undefined for a single one. */
export function describeFrames(
  gallery: Gallery,
  looked: Looked,
  votes: ReturnType<typeof votesOf>,
): DecisionRecord['frames'] {
  if (looked.frames.length === 1) return undefined
  return looked.frames.map((frame, index) => {
    const vote = votes.find((one) => one.frame === index)?.vote
    const [best] = vote ? gallery.identify([vote], 1).candidates : []
    return {
      kind: frame.kind,
      quality: frame.kind === 'face' ? frame.face.quality.score : null,
      embedded: looked.embedded.some((one) => one.frame === index),
      votes: best ? { employee_id: best.employeeId, confidence: best.confidence } : null,
      at_ms: looked.atMs[index],
    }
  })
}
