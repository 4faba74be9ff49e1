import { applyTo, fitSimilarity, invert, type Point, type Similarity } from '../align.ts'
import type { Look } from '../pipeline.ts'

/**
 * Points of the face mesh that sit on bone or cartilage, in the middle of the face: the eyes' corners, the nose from its
 * bridge to its tip, its wings and base, the philtrum and the mouth's corners. Lids, lips, brows and cheeks move by
 * themselves; the face's outline is guessed by the network where the head hides it, and bends where a print bends.
 */
const rigidPoints = [33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 129, 358, 164, 61, 291]

/** How far landmarks lie from where a map of the plane takes them, root mean square, in distances between the eyes. */
export interface Motion {
  /** Left over by the best similarity: how much the picture of the face changed its shape. */
  similarity: number
  /** Left over by the best homography as well: what no flat thing does, at whatever angle it is held. */
  homography: number
}

/** What several pictures of one face say of whether it is flat. */
export interface Flatness {
  /** How much the picture of the face changed its shape, as in `Motion`: the mesh's noise alone makes some .01 of it. */
  shapeChange: number
  /** The share of this change that no homography explains: depth. */
  depthShare: number
  /** How much the mesh's proportions changed, for as far as it says that the head turned; natural logarithm a degree. */
  stretch: number
  /** Both together: below 0 for most heads, above 1 for most planes. Means something only after a change of shape. */
  flatness: number
}

/** Below this nothing turned far enough to tell a plane from a head. */
export const MIN_SHAPE_CHANGE = 0.025
/**
 * Of the rendered heads that thresholds were chosen on, one burst in 60 had a flatness above 1, of 1.17, and no challenge above
 * .7; of prints and screens that were tilted as a challenge asks, none had less than 2.2 (docs/ACCURACY.md).
 */
export const MIN_PLANE_FLATNESS = 1.25
export const MAX_HEAD_FLATNESS = 1

/** A head leaves most of its change of shape to its depth, whichever way it turns; this much is usual. */
const DEPTH_SHARE_OF_HEADS = 0.8
/** So much less of it, or so much more stretch, makes one of flatness. */
const DEPTH_SHARE_SCALE = 0.3
const STRETCH_SCALE = 0.004
/** The mesh's proportions are never quite steady; for so many degrees it is given to a head that turns by none. */
const UNTURNED_DEG = 20

/**
 * Weighs two traces of a plane against each other. A homography explains how its landmarks move. And the mesh network,
 * which knows heads alone, lays one on a tilted print that hardly turns but gets narrower or shorter, as no head does.
 */
export function flatnessOf(looks: readonly Look[]): Flatness {
  const { similarity, homography } = largestMotion(looks.map(({ mesh }) => mesh.points))
  const shapes = looks.map(({ mesh }) => Math.log(proportions(mesh.points)))
  const turns = looks.flatMap(({ pose: one }) =>
    looks.map(({ pose: other }) => Math.hypot(one.yaw - other.yaw, one.pitch - other.pitch)),
  )
  const depthShare = homography / Math.max(similarity, Number.EPSILON)
  const stretch = (Math.max(...shapes) - Math.min(...shapes)) / (Math.max(...turns) + UNTURNED_DEG)
  const flatness = stretch / STRETCH_SCALE + (DEPTH_SHARE_OF_HEADS - depthShare) / DEPTH_SHARE_SCALE
  return { shapeChange: similarity, depthShare, stretch, flatness }
}

/** The mesh's width at the ears over its height from forehead to chin, without what an open mouth adds to that. */
function proportions(points: Float32Array): number {
  const distance = (one: number, other: number) =>
    Math.hypot(...[0, 1, 2].map((axis) => points[one * 3 + axis] - points[other * 3 + axis]))
  return distance(234, 454) / (distance(10, 152) - distance(13, 14))
}

/** The motion of a burst, from the quarter of its pairs of frames with the largest change of shape. */
function largestMotion(frames: readonly Float32Array[]): Motion {
  const pairs = frames.flatMap((one, index) =>
    frames.slice(index + 1).map((other) => motionBetween(one, other)),
  )
  const largest = pairs
    .sort((one, other) => other.similarity - one.similarity)
    .slice(0, Math.ceil(pairs.length / 4))
  const mean = (part: keyof Motion) =>
    Math.sqrt(largest.reduce((sum, motion) => sum + motion[part] ** 2, 0) / largest.length)
  return { similarity: mean('similarity'), homography: mean('homography') }
}

/** How the rigid points moved between two frames of one face; mesh points in picture pixels, three numbers a point. */
export function motionBetween(one: Float32Array, other: Float32Array): Motion {
  const [from, to] = [rigidOf(one), rigidOf(other)]
  const eyes = (eyeDistance(one) + eyeDistance(other)) / 2
  return {
    similarity: residual(similarityBetween(from, to), from, to) / eyes,
    homography: residual(homographyBetween(from, to), from, to) / eyes,
  }
}

/** Pixels between the middles of the eyes' corners. */
function eyeDistance(points: Float32Array): number {
  const at = (index: number, axis: number) => points[index * 3 + axis]
  const across = (axis: number) => (at(362, axis) + at(263, axis) - at(33, axis) - at(133, axis)) / 2
  return Math.hypot(across(0), across(1))
}

const rigidOf = (points: Float32Array) => rigidPoints.map((index) => pointOf(points, index))

export const pointOf = (points: Float32Array, index: number): Point => [
  points[index * 3],
  points[index * 3 + 1],
]

type PlaneMap = (point: Point) => Point

function similarityBetween(from: Point[], to: Point[]): PlaneMap {
  const similarity = fitSimilarity(from, to)
  return (point) => applyTo(similarity, point)
}

/**
 * The homography that brings `from` to `to`, by the normalised direct linear transformation (Hartley & Zisserman 2003,
 * algorithm 4.2) with the last element set to 1: after normalisation the points' middle is at the origin, and no view of
 * a face sends that to infinity (4.1.2).
 */
export function homographyBetween(from: readonly Point[], to: readonly Point[]): PlaneMap {
  const [before, after] = [normalisation(from), normalisation(to)]
  // Normal equations of the eight unknowns, with the right side as the ninth column.
  const rows = Array.from({ length: 8 }, () => new Float64Array(9))
  for (const [index, point] of from.entries()) {
    const [x, y] = applyTo(before, point)
    const [u, v] = applyTo(after, to[index])
    for (const equation of [
      [x, y, 1, 0, 0, 0, -u * x, -u * y, u],
      [0, 0, 0, x, y, 1, -v * x, -v * y, v],
    ])
      for (let i = 0; i < 8; i++) for (let j = 0; j < 9; j++) rows[i][j] += equation[i] * equation[j]
  }
  const h = solve(rows)
  const back = invert(after)
  return (point) => {
    const [x, y] = applyTo(before, point)
    const w = h[6] * x + h[7] * y + 1
    return applyTo(back, [(h[0] * x + h[1] * y + h[2]) / w, (h[3] * x + h[4] * y + h[5]) / w])
  }
}

/** Moves the points' middle to the origin and their mean distance from it to the root of 2. */
function normalisation(points: readonly Point[]): Similarity {
  const mean = (axis: 0 | 1) => points.reduce((sum, point) => sum + point[axis], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const distance = points.reduce((sum, point) => sum + Math.hypot(point[0] - x, point[1] - y), 0)
  const a = (Math.SQRT2 * points.length) / distance
  return { a, b: 0, tx: -a * x, ty: -a * y }
}

/** Gaussian elimination with row pivoting; the last column is the right side. */
function solve(rows: Float64Array[]): Float64Array {
  const n = rows.length
  for (let column = 0; column < n; column++) {
    let pivot = column
    for (let row = column + 1; row < n; row++)
      if (Math.abs(rows[row][column]) > Math.abs(rows[pivot][column])) pivot = row
    ;[rows[column], rows[pivot]] = [rows[pivot], rows[column]]
    for (let row = column + 1; row < n; row++) {
      const factor = rows[row][column] / rows[column][column]
      for (let k = column; k <= n; k++) rows[row][k] -= factor * rows[column][k]
    }
  }
  const solution = new Float64Array(n)
  for (let row = n - 1; row >= 0; row--) {
    let sum = rows[row][n]
    for (let k = row + 1; k < n; k++) sum -= rows[row][k] * solution[k]
    solution[row] = sum / rows[row][row]
  }
  return solution
}

function residual(map: PlaneMap, from: Point[], to: Point[]): number {
  const squares = from.reduce((sum, point, index) => {
    const [x, y] = map(point)
    return sum + (x - to[index][0]) ** 2 + (y - to[index][1]) ** 2
  }, 0)
  return Math.sqrt(squares / from.length)
}
