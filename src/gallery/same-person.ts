import { averageVectors } from '../face/embed.ts'
import type { Pack } from '../face/packs/pack.ts'
import type { Gallery } from './gallery.ts'

/** A photo less like the others than this is of somebody else: one stranger in thirty is as alike. */
const MIN_LIKENESS = 0.4

/** How alike a face is to others together, as a template is made of them; on the scale of `confidence`. */
export type Likeness = (others: readonly Float32Array[], one: Float32Array) => number

export function likenessOf(gallery: Gallery, pack: Pack): Likeness {
  return (others, one) => gallery.likeness(pack.name, averageVectors(pack.embedders, [...others]), one)
}

/**
 * Which of several faces are the person's: those that are like what is stored of them. Where nothing is stored, those
 * that are like each other, if they are more than half; of a face that comes alone nothing speaks against it.
 */
export function ownFaces(
  likeness: Likeness,
  stored: readonly Float32Array[],
  faces: readonly Float32Array[],
): Set<Float32Array> {
  if (stored.length > 0) return new Set(faces.filter((one) => likeness(stored, one) >= MIN_LIKENESS))
  if (faces.length === 1) return new Set(faces)
  const alikeTo = (one: Float32Array) =>
    faces.filter((other) => other === one || likeness([other], one) >= MIN_LIKENESS)
  const [group] = faces.map(alikeTo).sort((one, other) => other.length - one.length)
  const own = group.length > 1 ? faces.filter((one) => likeness(group, one) >= MIN_LIKENESS) : []
  return new Set(own.length > faces.length / 2 ? own : [])
}
