import type { Quality, QualityPart } from '../face/quality.ts'
import { AppError } from '../shared/errors.ts'

// What can be wrong with a picture of a face, said to the person who can change it.

export function noFace(): AppError {
  return new AppError(
    'no_face',
    'There is no face in the picture. Look straight into the camera, in good light.',
    {
      face_detected: false,
    },
  )
}

export function severalFaces(count: number): AppError {
  return new AppError(
    'several_faces',
    `There are ${count} faces in the picture. One person at a time, please.`,
    {
      face_detected: true,
      faces: count,
    },
  )
}

/** What a face was compared with that it does not look like. */
const otherThan = {
  stored:
    "This face does not look like the one in the person's other photos. Choose another photo, or delete the wrong ones first.",
  most: 'This face does not look like the one in most of the photos that came with it. Choose another photo.',
  none: 'The photos show different people, and no earlier photo tells whose face it is. Send photos of one person.',
}

export function differentFace(from: keyof typeof otherThan): AppError {
  return new AppError('face_mismatch', otherThan[from])
}

const advice: Record<QualityPart, string> = {
  size: 'come closer to the camera',
  sharpness: 'hold still, and wipe or focus the camera',
  exposure: 'take the light from behind you, or put some light on the face',
  pose: 'look straight into the camera',
  occlusion: 'show the whole face, without mask, hand or sunglasses',
}

/** What to do about parts of a quality that fall short. */
export function adviceOn(parts: readonly QualityPart[]): string[] {
  return parts.map((part) => advice[part])
}

/** Below it a face is too poor to be compared: what it resembles is other poor pictures. */
export const MIN_COMPARED_QUALITY = 0.2

/** Names what falls short of `minimum`, worst first, and what to do about it. */
export function poorQuality(quality: Quality, minimum: number): AppError {
  const reasons = quality.reasons.filter((part) => quality.parts[part] < minimum)
  const sentence = adviceOn(reasons).join('; ')
  return new AppError('poor_quality', `The picture of the face is not good enough: ${sentence}.`, {
    face_detected: true,
    quality_score: quality.score,
    min_quality_score: minimum,
    reasons,
  })
}
