import type { PassiveVerdict } from './burst.ts'
import type { ChallengeVerdict } from './challenge.ts'

/** `unavailable`: nothing looked. */
export type PadState = 'bona_fide' | 'attack' | 'undecided' | 'unavailable'

/** What one way of looking says, as it goes into the decision record. */
export interface PadSignal {
  state: PadState
  reason: string
  scores: Record<string, number>
}

export interface PadJudgement {
  state: PadState
  signals: Record<'model' | 'passive' | 'challenge', PadSignal>
}

/**
 * A model's score below this is an attack, one above the other is bona fide, and between them it does not know. Of the
 * sequences that thresholds were chosen on, MiniFASNet's mean was below .1 for all flat prints, nine in ten screens and one
 * head in ninety; above .9 was a third of the heads and nothing else (docs/ACCURACY.md).
 */
const MODEL_ATTACK_BELOW = 0.1
const MODEL_BONA_FIDE_ABOVE = 0.9

/**
 * The state of presentation attack detection from its signals. One that says attack is enough for an attack; a challenge
 * that was passed is what proves a bona fide face, and so does the model where the site says that it is enough.
 * `model` is its score, 0 (attack) to 1 (bona fide); null: there is no such signal.
 */
export function judgePad(
  {
    model,
    passive,
    challenge,
  }: { model: number | null; passive: PassiveVerdict | null; challenge: ChallengeVerdict | null },
  { modelIsEnough }: { modelIsEnough: boolean },
): PadJudgement {
  const signals = {
    model: judgeModel(model),
    passive: passive ?? unavailable('no burst was looked at'),
    challenge: challenge ?? unavailable('no challenge was answered'),
  }
  const states = Object.values(signals).map(({ state }) => state)
  if (states.every((state) => state === 'unavailable')) return { state: 'unavailable', signals }
  if (states.includes('attack')) return { state: 'attack', signals }
  const proven =
    signals.challenge.state === 'bona_fide' || (modelIsEnough && signals.model.state === 'bona_fide')
  return { state: proven ? 'bona_fide' : 'undecided', signals }
}

function judgeModel(score: number | null): PadSignal {
  if (score === null) return unavailable('no model is installed')
  const scores = { score }
  if (score < MODEL_ATTACK_BELOW) return { state: 'attack', reason: 'the model sees an attack', scores }
  if (score > MODEL_BONA_FIDE_ABOVE)
    return { state: 'bona_fide', reason: 'the model sees a bona fide face', scores }
  return { state: 'undecided', reason: 'the model is not sure', scores }
}

const unavailable = (reason: string): PadSignal => ({ state: 'unavailable', reason, scores: {} })
