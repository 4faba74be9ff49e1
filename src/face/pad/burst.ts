import type { Look } from '../pipeline.ts'
import { eyeOpening } from './eyes.ts'
import { flatnessOf, MIN_PLANE_FLATNESS, MIN_SHAPE_CHANGE } from './plane.ts'

/** A face in one of several pictures of a check. */
export interface TimedLook {
  look: Look
  /** When the picture was taken, in milliseconds on any clock that all pictures of the check share. */
  atMs: number
  /** Of the picture as it was sent, in hexadecimal. */
  sha256: string
}

export interface PassiveVerdict {
  state: 'attack' | 'undecided' | 'unavailable'
  /** A short sentence. */
  reason: string
  scores: Record<string, number>
}

/** With fewer the motion between them says too little. */
export const MIN_BURST_FRAMES = 5
/**
 * Landmarks that move by less than this share of the face's width, on the average, are those of one picture sent again: the
 * camera's noise alone moved those of rendered faces by .002 and more.
 */
const MIN_MOVEMENT = 0.0005

/**
 * What several pictures of about a second say of an attack, without anything being asked of the person. It never says
 * bona fide: a video on a screen moves like a head, and a head that is held still moves like a print.
 */
export function passivePad(frames: readonly TimedLook[]): PassiveVerdict {
  if (new Set(frames.map(({ sha256 }) => sha256)).size < frames.length)
    return { state: 'attack', reason: 'the same picture came twice', scores: { frames: frames.length } }
  if (frames.length < MIN_BURST_FRAMES)
    return {
      state: 'unavailable',
      reason: `${frames.length} pictures with a face are fewer than the ${MIN_BURST_FRAMES} that it takes`,
      scores: { frames: frames.length },
    }
  const meshes = frames.map(({ look }) => look.mesh.points)
  const flat = flatnessOf(frames.map(({ look }) => look))
  const openness = meshes.map(eyeOpening)
  const scores = {
    frames: frames.length,
    ...flat,
    blink: Math.min(...openness) / Math.max(...openness),
    movement: smallestMovement(meshes),
  }
  const attack = (reason: string) => ({ state: 'attack' as const, reason, scores })
  if (scores.movement < MIN_MOVEMENT) return attack('two pictures show the very same face, to a hair')
  if (flat.shapeChange >= MIN_SHAPE_CHANGE && flat.flatness > MIN_PLANE_FLATNESS)
    return attack('the face turned as something flat does')
  return { state: 'undecided', reason: 'nothing speaks of an attack, and nothing rules it out', scores }
}

/** The least mean distance of the landmarks between two pictures, in widths of the face. */
function smallestMovement(meshes: readonly Float32Array[]): number {
  const movements = meshes.flatMap((one, index) =>
    meshes.slice(index + 1).map((other) => movement(one, other)),
  )
  return Math.min(...movements)
}

function movement(one: Float32Array, other: Float32Array): number {
  const width = Math.hypot(one[454 * 3] - one[234 * 3], one[454 * 3 + 1] - one[234 * 3 + 1])
  let sum = 0
  for (let i = 0; i < one.length; i += 3) sum += Math.hypot(one[i] - other[i], one[i + 1] - other[i + 1])
  return sum / (one.length / 3) / width
}
