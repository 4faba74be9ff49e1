import type { Picture } from './decode.ts'
import { growTo, instantiateKernel, type KernelMemory } from './kernel.ts'

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
 * Bilinear, from the picture or from its half, quarter ... whichever is nearest to the crop's resolution, so that
 * nothing aliases (Williams 1983, "Pyramidal parametrics"). The picture's pixels must not change between two crops.
 */
export function warp(
  picture: Picture,
  toPicture: Similarity,
  size: number,
  { order, mean, deviation }: Normalization,
  out: Float32Array,
  offset = 0,
): void {
  if (size > MAX_SIZE_PX) throw new RangeError(`a crop of ${size} pixels is larger than ${MAX_SIZE_PX}`)
  cutter ??= instantiateKernel<CropKernel>('crop-kernel')
  const kernel = cutter
  if (held !== picture) hold(kernel, picture)
  const { a, b, tx, ty } = toPicture
  const index = Math.min(Math.max(0, Math.round(Math.log2(Math.hypot(a, b)))), MAX_HALVINGS)
  const level = levelOf(kernel, index)
  const shrink = 2 ** index
  // A pixel's centre is half a pixel from its corner at every level.
  const [x, y] = [(tx + 0.5) / shrink - 0.5, (ty + 0.5) / shrink - 0.5]
  const plane = 4 * size * size
  kernel.warp(
    ...[level.at, level.width, level.height, a / shrink, b / shrink, x, y, size, 1 / deviation],
    ...mean.map((value) => value / deviation),
    ...(order === 'RGB' ? [0, plane, 2 * plane] : [2 * plane, plane, 0]),
  )
  out.set(new Float32Array(kernel.memory.buffer, 0, 3 * size * size), offset)
}

interface CropKernel {
  halve(from: number, width: number, height: number, to: number): void
  warp(...numbers: number[]): void
}

/** A picture in the kernel's memory. */
interface Level {
  at: number
  width: number
  height: number
}

let cutter: ReturnType<typeof instantiateKernel<CropKernel>> | undefined
/** The picture that lies in the kernel's memory behind the crop, with its halves as far as they were needed. */
let held: Picture | undefined
let levels: Level[] = []

/** More than any face network takes. */
const MAX_SIZE_PX = 640
/** A picture of the working size is one of 12 pixels then. */
const MAX_HALVINGS = 7

function hold(kernel: { memory: KernelMemory }, picture: Picture): void {
  const { data, width, height } = picture
  const at = 3 * 4 * MAX_SIZE_PX * MAX_SIZE_PX
  // The halves take a third of the picture and their borders.
  growTo(kernel.memory, at + 2 * bytesOf(picture) + 65_536)
  const memory = new Uint8Array(kernel.memory.buffer, at)
  memory.fill(0, 0, bytesOf(picture))
  for (let row = 0; row < height; row++)
    memory.set(data.subarray(row * width * 3, (row + 1) * width * 3), ((row + 1) * (width + 2) + 1) * 3)
  held = picture
  levels = [{ at, width, height }]
}

function levelOf(kernel: CropKernel & { memory: KernelMemory }, index: number): Level {
  while (levels.length <= index) {
    const last = levels[levels.length - 1]
    const { at, width, height } = last
    const half = { at: at + bytesOf(last), width: width >> 1, height: height >> 1 }
    new Uint8Array(kernel.memory.buffer, half.at, bytesOf(half)).fill(0)
    kernel.halve(at, width, height, half.at)
    levels.push(half)
  }
  return levels[index]
}

/** With the border of one pixel. */
function bytesOf({ width, height }: { width: number; height: number }): number {
  return (width + 2) * (height + 2) * 3
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
