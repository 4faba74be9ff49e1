import type { Picture } from './decode.ts'

export type Point = readonly [x: number, y: number]

/** The map z -> scale * z + shift of the plane, each of them a complex number: rotation, scale and shift, no shear. */
export interface Similarity {
  /** scale * cos(angle), scale * sin(angle) */
  a: number
  b: number
  tx: number
  ty: number
}

/** Where the eyes, the nose tip and the mouth corners lie in ArcFace's 112 x 112 crop (insightface, face_align.py). */
export const arcFaceTemplate: readonly Point[] = [
  [38.2946, 51.6963],
  [73.5318, 51.5014],
  [56.0252, 71.7366],
  [41.5493, 92.3655],
  [70.7299, 92.2041],
]

/** The similarity that brings `from` closest to `to` in the least-squares sense (Umeyama 1991, in two dimensions). */
export function fitSimilarity(from: readonly Point[], to: readonly Point[]): Similarity {
  const n = from.length
  const mean = (points: readonly Point[], axis: 0 | 1) =>
    points.reduce((sum, point) => sum + point[axis], 0) / n
  const [fx, fy, gx, gy] = [mean(from, 0), mean(from, 1), mean(to, 0), mean(to, 1)]
  let real = 0
  let imaginary = 0
  let spread = 0
  for (let i = 0; i < n; i++) {
    const [x, y] = [from[i][0] - fx, from[i][1] - fy]
    const [u, v] = [to[i][0] - gx, to[i][1] - gy]
    real += x * u + y * v
    imaginary += x * v - y * u
    spread += x * x + y * y
  }
  const a = real / spread
  const b = imaginary / spread
  return { a, b, tx: gx - a * fx + b * fy, ty: gy - b * fx - a * fy }
}

/** The map that undoes `map`. */
export function invert({ a, b, tx, ty }: Similarity): Similarity {
  const square = a * a + b * b
  const [ia, ib] = [a / square, -b / square]
  return { a: ia, b: ib, tx: -ia * tx + ib * ty, ty: -ib * tx - ia * ty }
}

export function applyTo({ a, b, tx, ty }: Similarity, [x, y]: Point): Point {
  return [a * x - b * y + tx, b * x + a * y + ty]
}

/** What a network wants its pixels to be: (value - mean) / deviation for each of the channels, in its own order. */
export interface Normalization {
  order: 'RGB' | 'BGR'
  /** For red, green, blue, on a scale of 0 to 255. */
  mean: readonly [number, number, number]
  deviation: number
}

/**
 * Cuts a size x size crop out of the picture: 3 planes of `size * size` floats, written to `out` at `offset`.
 * `toPicture` maps crop pixels to picture pixels; what lies outside the picture is black.
 * Bilinear; where the crop is coarser than the picture, the mean of several samples, so that nothing aliases.
 */
export function warp(
  picture: Picture,
  toPicture: Similarity,
  size: number,
  { order, mean, deviation }: Normalization,
  out: Float32Array,
  offset = 0,
): void {
  const { data, width, height } = picture
  const { a, b, tx, ty } = toPicture
  const area = size * size
  const planes = order === 'RGB' ? [0, 1, 2] : [2, 1, 0]
  const [red, green, blue] = planes.map((plane) => offset + plane * area)
  const perSide = Math.max(1, Math.round(Math.hypot(a, b)))
  const weight = 1 / (perSide * perSide * deviation)
  const [meanR, meanG, meanB] = mean.map((value) => value / deviation)
  const maxX = width - 1
  /** Where the samples lie within a crop pixel, in each direction. */
  const offsets = Float64Array.from({ length: perSide }, (_, k) => (k + 0.5) / perSide)
  const maxY = height - 1

  for (let row = 0, at = 0; row < size; row++) {
    for (let column = 0; column < size; column++, at++) {
      let r = 0
      let g = 0
      let bl = 0
      for (let down = 0; down < perSide; down++) {
        const v = row + offsets[down] - 0.5
        for (let across = 0; across < perSide; across++) {
          const u = column + offsets[across] - 0.5
          const x = a * u - b * v + tx
          const y = b * u + a * v + ty
          if (x >= 0 && y >= 0 && x < maxX && y < maxY) {
            // Nearly every sample: no edge is near. `| 0` makes whole numbers, which are the faster indices.
            const x0 = x | 0
            const y0 = y | 0
            const fx = x - x0
            const fy = y - y0
            const w00 = (1 - fx) * (1 - fy)
            const w01 = fx * (1 - fy)
            const w10 = (1 - fx) * fy
            const w11 = fx * fy
            const i = (y0 * width + x0) * 3
            const j = i + width * 3
            r += data[i] * w00 + data[i + 3] * w01 + data[j] * w10 + data[j + 3] * w11
            g += data[i + 1] * w00 + data[i + 4] * w01 + data[j + 1] * w10 + data[j + 4] * w11
            bl += data[i + 2] * w00 + data[i + 5] * w01 + data[j + 2] * w10 + data[j + 5] * w11
          } else if (x > -1 && y > -1 && x < width && y < height) {
            const x0 = Math.floor(x)
            const y0 = Math.floor(y)
            const fx = x - x0
            const fy = y - y0
            // Outside the picture is black: a neighbour beyond the edge weighs nothing.
            const left = x0 >= 0 ? 1 - fx : 0
            const right = x0 < maxX ? fx : 0
            const top = y0 >= 0 ? 1 - fy : 0
            const bottom = y0 < maxY ? fy : 0
            const upper = Math.max(y0, 0) * width
            const lower = (y0 < maxY ? y0 + 1 : maxY) * width
            const before = Math.max(x0, 0)
            const after = x0 < maxX ? x0 + 1 : maxX
            const w00 = left * top
            const w01 = right * top
            const w10 = left * bottom
            const w11 = right * bottom
            const i00 = (upper + before) * 3
            const i01 = (upper + after) * 3
            const i10 = (lower + before) * 3
            const i11 = (lower + after) * 3
            r += data[i00] * w00 + data[i01] * w01 + data[i10] * w10 + data[i11] * w11
            g += data[i00 + 1] * w00 + data[i01 + 1] * w01 + data[i10 + 1] * w10 + data[i11 + 1] * w11
            bl += data[i00 + 2] * w00 + data[i01 + 2] * w01 + data[i10 + 2] * w10 + data[i11 + 2] * w11
          }
        }
      }
      out[red + at] = r * weight - meanR
      out[green + at] = g * weight - meanG
      out[blue + at] = bl * weight - meanB
    }
  }
}

/** Writes the left-right mirror image of a crop of three planes. */
export function mirror(crop: Float32Array, size: number, from: number, to: number): void {
  const rows = size * 3
  for (let row = 0; row < rows; row++) {
    const source = from + row * size
    const target = to + row * size + size - 1
    for (let column = 0; column < size; column++) crop[target - column] = crop[source + column]
  }
}
