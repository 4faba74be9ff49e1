import { passivePad } from '../face/pad/burst.ts'
import { type Action, type ChallengeVerdict, judgeChallenge } from '../face/pad/challenge.ts'
import { judgePad } from '../face/pad/judge.ts'
import { thirdOf } from '../face/pipeline.ts'
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
 * A face less alike to the best one of its check than this is of somebody else, or of another day: one in 100,000 comparisons
 * of different people reaches it, and photos of one person from different days mostly do not. `bench/liveness.ts` shows what
 * it costs heads that do what they are asked.
 */
const MIN_LIKENESS = 0.75

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

/**
 * What the installed networks say: the mean over all pictures, or over those that were embedded where that is lower, so
 * that no picture that recognises somebody hides behind others. Null where there are none.
 */
function modelScore({ frames, embedded }: Looked): number | null {
  const all = meanOf(frames.map((frame) => (frame.kind === 'face' ? frame.face.padScore : null)))
  const compared = meanOf(embedded.filter(({ votes }) => votes).map(({ face }) => face.padScore))
  return all === null || compared === null ? all : Math.min(all, compared)
}

function meanOf(scores: readonly (number | null)[]): number | null {
  const given = scores.filter((score) => score !== null)
  return given.length === 0 ? null : given.reduce((sum, score) => sum + score, 0) / given.length
}

/**
 * One identity from the first step to the last, and nobody else in view: else one person moves, and the picture of another
 * is recognised.
 */
function sameFaceThroughout(
  verdict: ChallengeVerdict,
  { frames, embedded }: Looked,
  gallery: Pick<Gallery, 'likeness'>,
): ChallengeVerdict {
  const undecided = (reason: string) => ({ state: 'undecided' as const, reason, scores: verdict.scores })
  if (frames.some(({ kind }) => kind === 'several_faces')) return undecided('more than one face was in view')
  const thirds = new Set(embedded.map(({ frame }) => thirdOf(frame, frames.length)))
  if (thirds.size < 3) return undecided('too few pictures show a face')
  const [{ face: first }, ...others] = embedded
  const likeness = Math.min(
    ...others.map(({ face }) => gallery.likeness(face.pack, face.vector, first.vector)),
  )
  const scores = { ...verdict.scores, likeness }
  if (likeness >= MIN_LIKENESS) return { ...verdict, scores }
  return { state: 'attack', reason: 'the face changed while it moved', scores }
}
