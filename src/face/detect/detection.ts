import type { Point } from '../align.ts'

/** An upright box in pixels; x and y are its top left corner. */
export interface Box {
  x: number
  y: number
  width: number
  height: number
}

/** A face found: where, how sure the detector is (0..1), and its key points, the subject's right eye first. */
export interface Detection {
  box: Box
  score: number
  points: Point[]
}

/** Greedy non-maximum suppression: of boxes that overlap by more than `maxOverlap` (intersection over union) the best stays. */
export function suppressOverlaps(detections: Detection[], maxOverlap: number): Detection[] {
  const kept: Detection[] = []
  for (const candidate of [...detections].sort((one, other) => other.score - one.score))
    if (kept.every((better) => intersectionOverUnion(better.box, candidate.box) <= maxOverlap))
      kept.push(candidate)
  return kept
}

export function intersectionOverUnion(one: Box, other: Box): number {
  const width = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x)
  const height = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y)
  if (width <= 0 || height <= 0) return 0
  const intersection = width * height
  return intersection / (one.width * one.height + other.width * other.height - intersection)
}
