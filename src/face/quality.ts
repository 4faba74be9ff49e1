import { arcFaceTemplate, fitSimilarity, invert, type Point, warp } from './align.ts'
import type { Picture } from './decode.ts'
import type { Detection } from './detect/detection.ts'
import { fivePoints, type Mesh, type Pose } from './mesh.ts'

/** What a face's picture is measured by. */
export interface QualityMeasures {
  /** Pixels between the eyes' centres. */
  eyeDistancePx: number
  /** Deviation of the Laplacian over the deviation of the brightness, on the aligned face: blur takes it down. */
  sharpness: number
  /** Mean brightness of the face, 0..255. */
  brightness: number
  /** Deviation of the brightness of the face, 0..127. */
  contrast: number
  /** Share of the face's pixels that are all black or all white, 0..1. */
  clipped: number
  yaw: number
  pitch: number
  roll: number
  /** The mesh network's certainty that there is a whole face, 0..1. */
  presence: number
  /** The detector's score, 0..1, on BlazeFace's scale: something before the face takes it down. */
  detection: number
  /** The smallest deviation of brightness around an eye, the nose or the mouth, over that of the face: a cover is flat. */
  flattest: number
  /** Share of the mesh that lies inside the picture, 0..1. */
  inside: number
}

export type QualityPart = 'size' | 'sharpness' | 'exposure' | 'pose' | 'occlusion'

/** How good a picture of a face is, 0..1: the worst of its parts, and which parts fall short, worst first. */
export interface Quality {
  score: number
  parts: Record<QualityPart, number>
  reasons: QualityPart[]
  measures: QualityMeasures
}

/** A part below this is given as a reason. */
export const MIN_QUALITY_SCORE = 0.8

/** What BlazeFace gives a clear face at the least. */
const CLEAR_SCORE = 0.78

const SIDE_PX = 112
/** The aligned crop's margin that is left out: background, hair and collar. */
const MARGIN_PX = 20

/** Around the eyes, the nose and the mouth, in pixels of the aligned crop: centre and half the extent. */
const features = [
  { x: 38, y: 52, halfWidth: 9, halfHeight: 7 },
  { x: 74, y: 52, halfWidth: 9, halfHeight: 7 },
  { x: 56, y: 72, halfWidth: 9, halfHeight: 7 },
  { x: 56, y: 86, halfWidth: 14, halfHeight: 5 },
]

/** @param clearScore what the detector gives a clear face, see `DetectorSpec` */
export function assessQuality(
  picture: Picture,
  detection: Detection,
  mesh: Mesh,
  pose: Pose,
  clearScore = CLEAR_SCORE,
): Quality {
  return judgeQuality(measureQuality(picture, detection, mesh, pose, clearScore))
}

function measureQuality(
  picture: Picture,
  detection: Detection,
  mesh: Mesh,
  pose: Pose,
  clearScore: number,
): QualityMeasures {
  const points = fivePoints(mesh)
  const eyeDistancePx = Math.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1])
  const gray = alignedGray(picture, points)
  const { mean, deviation } = spread(gray)
  return {
    eyeDistancePx,
    sharpness: spread(laplacian(gray)).deviation / Math.max(deviation, 1),
    brightness: mean,
    contrast: deviation,
    clipped: gray.reduce((count, value) => count + (value < 4 || value > 251 ? 1 : 0), 0) / gray.length,
    ...pose,
    presence: mesh.presence,
    detection: Math.min(1, (detection.score * CLEAR_SCORE) / clearScore),
    flattest: Math.min(...features.map((feature) => deviationAround(gray, feature))) / Math.max(deviation, 1),
    inside: shareInside(mesh, picture),
  }
}

/** The middle of the aligned face as brightness (ITU-R BT.601), without the background beside it. */
function alignedGray(picture: Picture, points: ReturnType<typeof fivePoints>): Float32Array {
  const side = SIDE_PX - 2 * MARGIN_PX
  const area = side * side
  const middle = new Float32Array(3 * area)
  const template = arcFaceTemplate.map(([x, y]): Point => [x - MARGIN_PX, y - MARGIN_PX])
  const toPicture = invert(fitSimilarity(points, template))
  warp(picture, toPicture, side, { order: 'RGB', mean: [0, 0, 0], deviation: 1 }, middle)
  const gray = new Float32Array(area)
  for (let i = 0; i < area; i++)
    gray[i] = 0.299 * middle[i] + 0.587 * middle[i + area] + 0.114 * middle[i + 2 * area]
  return gray
}

function deviationAround(gray: Float32Array, feature: (typeof features)[number]): number {
  const side = Math.sqrt(gray.length)
  const patch: number[] = []
  for (let y = feature.y - feature.halfHeight; y <= feature.y + feature.halfHeight; y++)
    for (let x = feature.x - feature.halfWidth; x <= feature.x + feature.halfWidth; x++)
      patch.push(gray[(y - MARGIN_PX) * side + x - MARGIN_PX])
  return spread(Float32Array.from(patch)).deviation
}

function laplacian(gray: Float32Array): Float32Array {
  const side = Math.sqrt(gray.length)
  const inner = side - 2
  const out = new Float32Array(inner * inner)
  for (let row = 0; row < inner; row++)
    for (let column = 0; column < inner; column++) {
      const at = (row + 1) * side + column + 1
      out[row * inner + column] =
        4 * gray[at] - gray[at - 1] - gray[at + 1] - gray[at - side] - gray[at + side]
    }
  return out
}

function spread(values: Float32Array): { mean: number; deviation: number } {
  let sum = 0
  let squares = 0
  for (const value of values) {
    sum += value
    squares += value * value
  }
  const mean = sum / values.length
  return { mean, deviation: Math.sqrt(Math.max(0, squares / values.length - mean * mean)) }
}

function shareInside({ points }: Mesh, { width, height }: Picture): number {
  let inside = 0
  for (let i = 0; i < points.length; i += 3)
    if (points[i] >= 0 && points[i + 1] >= 0 && points[i] < width && points[i + 1] < height) inside++
  return inside / (points.length / 3)
}

/**
 * Scores the measures. Each limit was set on published portraits, so that the 10th percentile of single, frontal ones
 * is MIN_QUALITY_SCORE (`npm run evaluate` prints where it lies now); between a part's limits the score is linear.
 */
export function judgeQuality(measures: QualityMeasures): Quality {
  const m = measures
  const parts: Record<QualityPart, number> = {
    size: ramp(m.eyeDistancePx, 8, 32),
    sharpness: ramp(m.sharpness, 0.05, 0.265),
    exposure: Math.min(
      ramp(m.brightness, 15, 70),
      ramp(m.brightness, 250, 215),
      ramp(m.contrast, 4, 18),
      ramp(m.clipped, 0.5, 0.1),
    ),
    // The mesh sees a level head as pitched by about 5 degrees.
    pose: Math.min(
      ramp(Math.abs(m.yaw), 50, 15),
      ramp(Math.abs(m.pitch - 5), 55, 20),
      ramp(Math.abs(m.roll), 60, 20),
    ),
    occlusion: Math.min(
      ramp(m.presence, 0.5, 0.99),
      ramp(m.inside, 0.6, 0.98),
      ramp(m.detection, 0.45, CLEAR_SCORE),
      ramp(m.flattest, 0.1, 0.3),
    ),
  }
  const worstFirst = (Object.keys(parts) as QualityPart[]).sort((one, other) => parts[one] - parts[other])
  return {
    score: parts[worstFirst[0]],
    parts,
    reasons: worstFirst.filter((part) => parts[part] < MIN_QUALITY_SCORE),
    measures,
  }
}

/** 0 at `bad` and beyond, 1 at `good` and beyond, linear between them. */
function ramp(value: number, bad: number, good: number): number {
  return Math.min(1, Math.max(0, (value - bad) / (good - bad)))
}
