import { intersectionOverUnion } from '../detect/detection.ts'
import type { TimedLook } from './burst.ts'
import { eyeOpening } from './eyes.ts'
import { flatnessOf, MAX_HEAD_FLATNESS, MIN_PLANE_FLATNESS, MIN_SHAPE_CHANGE } from './plane.ts'

/** What a person may be asked for; left and right are the person's own. */
export const actions = ['turn_left', 'turn_right', 'look_up', 'look_down', 'blink'] as const
export type Action = (typeof actions)[number]

export interface ChallengeVerdict {
  state: 'bona_fide' | 'attack' | 'undecided'
  /** A short sentence. */
  reason: string
  scores: Record<string, number>
}

/** Pictures of each step, at least: a photo of each pose is easily had, and a burst is judged beside them from five on. */
const PICTURES_A_STEP = 2
/** Steps of a challenge: with 3 of 5 in any order there are 60 challenges. */
export const CHALLENGE_STEPS = 3
/** From the first picture to the last, and from the challenge's issue to its answer. */
export const CHALLENGE_MS = 10_000
/**
 * Degrees from the person's own neutral pose that make a turn or a nod. The mesh follows rendered heads to some 2 degrees,
 * and sees prints that are tilted by 50 turn by no more than 13 (`bench/liveness.ts`, the half that thresholds were chosen on).
 */
const MIN_TURN_DEG = 15
const MIN_NOD_DEG = 10
/** Frames within this share of a turn and of a nod are those that the eyes' usual opening is taken from. */
const NEUTRAL_SHARE = 0.5
/**
 * Eyes that are open less than this share of their own usual opening are closed. Of rendered heads that looked ahead, closed
 * eyes had .41 to .71 of it, but for one in 31 that had .94; open ones had .77 and more.
 */
const MAX_CLOSED_SHARE = 0.77
/** No head turns faster: large quick shifts of gaze turn it by up to some 500 degrees in a second (Guitton & Volle 1987). */
const MAX_HEAD_SPEED_DEG_PER_S = 500
/** Successive boxes of one face overlap at least so much (intersection over union). */
const MIN_BOX_OVERLAP = 0.2

/**
 * Draws a challenge: different steps in random order; `random(n)` is a whole number from 0 to n - 1, each as likely, from
 * a source that nobody can guess.
 */
export function drawChallenge(random: (n: number) => number): Action[] {
  const left = [...actions]
  return Array.from({ length: CHALLENGE_STEPS }, () => left.splice(random(left.length), 1)[0])
}

/**
 * Whether the pictures, 6 to 12 in the order in which they were taken, show the steps done by a living head. Whose head it
 * is, is for others to say. Wrong, missing or additional steps are undecided, so that the person may try again; a plane, a
 * picture that came twice and a jump that no head makes are attacks.
 */
export function judgeChallenge(steps: readonly Action[], frames: readonly TimedLook[]): ChallengeVerdict {
  const undecided = (reason: string, scores = {}) => ({ state: 'undecided' as const, reason, scores })
  if (frames.length < PICTURES_A_STEP * steps.length)
    return undecided('there are fewer pictures with a face than two a step')
  const { motion, scores } = measure(frames)
  const attack = (reason: string) => ({ state: 'attack' as const, reason, scores })

  if (new Set(frames.map(({ sha256 }) => sha256)).size < frames.length)
    return attack('the same picture came twice')
  if (scores.shortestIntervalMs <= 0)
    return undecided('the pictures are not in the order of their times', scores)
  if (scores.durationMs > CHALLENGE_MS) return undecided('it took longer than the challenge allows', scores)
  if (scores.speed > MAX_HEAD_SPEED_DEG_PER_S) return attack('the head turned faster than heads do')
  if (scores.boxOverlap < MIN_BOX_OVERLAP)
    return undecided('the face was not in one place throughout', scores)
  if (scores.shapeChange >= MIN_SHAPE_CHANGE && scores.flatness > MIN_PLANE_FLATNESS)
    return attack('the face turned as something flat does')

  const shown = stepsShown(motion)
  if (!fulfils(shown, steps))
    return undecided(`asked for ${steps.join(', ')}; seen: ${shown.join(', ') || 'nothing'}`, scores)
  // Said so that what is no number passes nothing.
  if (!(scores.shapeChange >= MIN_SHAPE_CHANGE && scores.flatness <= MAX_HEAD_FLATNESS))
    return undecided('the turns do not show that the face has depth', scores)
  return { state: 'bona_fide', reason: 'the steps were done in order by a face with depth', scores }
}

/** A frame's pose in degrees from the person's own neutral one, and how far the eyes are open. */
interface Moment {
  yaw: number
  pitch: number
  open: number
}

function measure(frames: readonly TimedLook[]) {
  const poses = frames.map(({ look }) => look.pose)
  // A step moves one of these one way for a third of the pictures, so the one in the middle is the neutral one.
  const [yaw, pitch] = [median(poses.map((pose) => pose.yaw)), median(poses.map((pose) => pose.pitch))]
  const moments = frames.map(({ look }) => ({
    yaw: look.pose.yaw - yaw,
    pitch: look.pose.pitch - pitch,
    open: eyeOpening(look.mesh.points),
  }))
  const usual = usualOpening(moments)
  const motion = moments.map((moment): Moment => ({ ...moment, open: moment.open / usual }))
  const between = frames.slice(1).map((frame, index) => {
    const [before, after] = [motion[index], motion[index + 1]]
    const intervalMs = frame.atMs - frames[index].atMs
    const degrees = Math.hypot(after.yaw - before.yaw, after.pitch - before.pitch)
    const overlap = intersectionOverUnion(frames[index].look.detection.box, frame.look.detection.box)
    return { intervalMs, speed: (degrees * 1000) / Math.max(intervalMs, 1), overlap }
  })
  const scores = {
    frames: frames.length,
    durationMs: frames[frames.length - 1].atMs - frames[0].atMs,
    shortestIntervalMs: Math.min(...between.map(({ intervalMs }) => intervalMs)),
    speed: Math.max(...between.map(({ speed }) => speed)),
    boxOverlap: Math.min(...between.map(({ overlap }) => overlap)),
    ...flatnessOf(frames.map(({ look }) => look)),
    leastOpen: Math.min(...motion.map(({ open }) => open)),
  }
  return { motion, scores }
}

/** Eyes look narrower from above and from below. */
function usualOpening(moments: readonly Moment[]): number {
  const ahead = moments.filter(
    ({ yaw, pitch }) =>
      Math.abs(yaw) < NEUTRAL_SHARE * MIN_TURN_DEG && Math.abs(pitch) < NEUTRAL_SHARE * MIN_NOD_DEG,
  )
  return median((ahead.length < CHALLENGE_STEPS ? moments : ahead).map(({ open }) => open))
}

function median(values: number[]): number {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** What the frames show, in their order, each step once however many frames show it. */
function stepsShown(motion: readonly Moment[]): Action[] {
  const shown: Action[] = []
  for (const moment of motion) {
    const action = actionOf(moment)
    if (action && action !== shown.at(-1)) shown.push(action)
  }
  return shown
}

/** A nose that points to the picture's right is that of a head turned to its own left. */
function actionOf({ yaw, pitch, open }: Moment): Action | undefined {
  const [turn, nod] = [Math.abs(yaw) / MIN_TURN_DEG, Math.abs(pitch) / MIN_NOD_DEG]
  if (turn >= 1 && turn >= nod) return yaw > 0 ? 'turn_left' : 'turn_right'
  if (nod >= 1) return pitch > 0 ? 'look_down' : 'look_up'
  return open <= MAX_CLOSED_SHARE ? 'blink' : undefined
}

/** Whether the steps were done in order and no others. Blinks that nobody asked for are nature. */
function fulfils(shown: readonly Action[], steps: readonly Action[]): boolean {
  const moves = (list: readonly Action[]) => list.filter((action) => action !== 'blink')
  if (moves(shown).join() !== moves(steps).join()) return false
  const place = steps.indexOf('blink')
  return (
    place < 0 || shown.some((action, at) => action === 'blink' && moves(shown.slice(0, at)).length === place)
  )
}
