import { type Normalization, type Point, warp } from '../align.ts'
import type { Picture } from '../decode.ts'
import type { Detection } from './detection.ts'

/** The whole picture on a detector's square input, never stretched, and black beside it. */
export interface Letterbox {
  /** Three planes of `sidePx` x `sidePx`. */
  input: Float32Array
  /** A detection in input pixels as one in picture pixels. */
  toPicture: (detection: Detection) => Detection
}

/**
 * @param place where the picture lies on the input
 * @param shrink below 1 leaves a margin around the picture, of half of what it shrinks by on each side
 */
export function letterbox(
  picture: Picture,
  sidePx: number,
  normalization: Normalization,
  place: 'centre' | 'corner',
  shrink: number,
): Letterbox {
  const { width, height } = picture
  const scale = Math.max(width, height) / (sidePx * shrink)
  const margin = (sidePx * (1 - shrink)) / 2
  const left = place === 'centre' ? (sidePx - width / scale) / 2 : margin
  const top = place === 'centre' ? (sidePx - height / scale) / 2 : margin
  const pointToPicture = ([x, y]: Point): Point => [(x - left) * scale, (y - top) * scale]
  const [tx, ty] = pointToPicture([0.5, 0.5]).map((coordinate) => coordinate - 0.5)
  const input = new Float32Array(3 * sidePx * sidePx)
  warp(picture, { a: scale, b: 0, tx, ty }, sidePx, normalization, input)
  return {
    input,
    toPicture: ({ box, points, score }) => {
      const [x, y] = pointToPicture([box.x, box.y])
      return {
        score,
        box: { x, y, width: box.width * scale, height: box.height * scale },
        points: points.map(pointToPicture),
      }
    },
  }
}
