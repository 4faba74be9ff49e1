import { passivePad } from '../face/pad/burst.ts'
import { type Action, type ChallengeVerdict, judgeChallenge } from '../face/pad/challenge.ts'
import { judgePad } from '../face/pad/judge.ts'
import type { Gallery } from '../gallery/gallery.ts'
import type { Liveness, PadPolicy } from './decide.ts'
import type { DecisionRecord } from './decision-record.ts'
import { type Looked, timedLooks } from './look.ts'

/** The state of presentation attack detection and, as the decision record has them, the signals behind it. */
export interface LivenessFound {
  state: Liveness
  signals: NonNullable<DecisionRecord['liveness']>['signals']
}

/**
 * Faces of one check less alike than this are of different people. Of heads that were rendered doing what a challenge asks
 * the best pictures of each third were all sure (1.00) to be of one person, and those of different people .51 at most.
 */
const MIN_LIKENESS = 0.65

/** What the pictures of a check say of a presentation attack; under the policy `off` nobody looks. */
export function judgeLiveness(
  looked: Looked,
  steps: readonly Action[] | undefined,
  gallery: Pick<Gallery, 'likeness'>,
  { policy, modelIsEnough }: { policy: PadPolicy; modelIsEnough: boolean },
): LivenessFound {
  if (policy === 'off') return { state: 'unavailable', signals: [] }
  const looks = timedLooks(looked)
  const challenge = steps ? sameFaceThroughout(judgeChallenge(steps, looks), looked, gallery) : null
  const { state, signals } = judgePad(
    { model: modelScore(looked), passive: passivePad(looks), challenge },
    { modelIsEnough },
  )
  const names = ['model', 'passive', 'challenge'] as const
  return { state, signals: names.map((signal) => ({ signal, ...signals[signal] })) }
}

/** The mean of what the installed networks say of each picture; null where there are none. */
function modelScore({ frames }: Looked): number | null {
  const scores = frames.flatMap((frame) =>
    frame.kind === 'face' && frame.face.padScore !== null ? [frame.face.padScore] : [],
  )
  return scores.length === 0 ? null : scores.reduce((sum, score) => sum + score, 0) / scores.length
}

/** One identity from the first step to the last: else one person moves, and another is recognised. */
function sameFaceThroughout(
  verdict: ChallengeVerdict,
  { embedded }: Looked,
  gallery: Pick<Gallery, 'likeness'>,
): ChallengeVerdict {
  const faces = embedded.map(({ face }) => face)
  const pairs = faces.flatMap((one, index) => faces.slice(index + 1).map((other) => ({ one, other })))
  if (pairs.length === 0)
    return { state: 'undecided', reason: 'too few pictures show a face', scores: verdict.scores }
  const likeness = Math.min(
    ...pairs.map(({ one, other }) => gallery.likeness(one.pack, one.vector, other.vector)),
  )
  const scores = { ...verdict.scores, likeness }
  if (likeness >= MIN_LIKENESS) return { ...verdict, scores }
  return { state: 'attack', reason: 'the face changed while it moved', scores }
}
