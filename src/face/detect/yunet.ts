import type { Normalization, Point } from '../align.ts'
import type { Picture } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import { type Detection, suppressOverlaps } from './detection.ts'
import { letterbox } from './letterbox.ts'

const normalization: Normalization = { order: 'BGR', mean: [0, 0, 0], deviation: 1 }
const MIN_SCORE = 0.6
const MAX_OVERLAP = 0.3
const STRIDES_PX = [8, 16, 32]
const KEY_POINTS = 5

/** YuNet (Wu et al. 2023): it takes the picture in the top left corner of its input. */
export async function detectWithYunet(
  network: Network,
  sidePx: number,
  picture: Picture,
  shrink: number,
): Promise<Detection[]> {
  const { input, toPicture } = letterbox(picture, sidePx, normalization, 'corner', shrink)
  const outputs = await network.run(input, [1, 3, sidePx, sidePx])
  const inOrder = network.outputs.map((name) => outputs[name])
  return suppressOverlaps(decodeYunet(inOrder, sidePx), MAX_OVERLAP).map(toPicture)
}

/**
 * The faces above the score limit, in input pixels. `outputs`: class, objectness, box and key points, each for the three
 * strides. A box is the offset of its centre from the cell and the logarithm of its size, key points are offsets from the
 * cell, all in strides.
 */
export function decodeYunet(outputs: readonly Float32Array[], sidePx: number): Detection[] {
  const faces: Detection[] = []
  const clamp = (value: number) => Math.min(1, Math.max(0, value))
  for (const [level, stridePx] of STRIDES_PX.entries()) {
    const [classes, objects, boxes, keyPoints] = [0, 3, 6, 9].map((kind) => outputs[kind + level])
    const cells = sidePx / stridePx
    for (let cell = 0; cell < classes.length; cell++) {
      const score = Math.sqrt(clamp(classes[cell]) * clamp(objects[cell]))
      if (score < MIN_SCORE) continue
      const [column, row] = [cell % cells, Math.floor(cell / cells)]
      const box = boxes.subarray(4 * cell)
      const [width, height] = [Math.exp(box[2]) * stridePx, Math.exp(box[3]) * stridePx]
      const offset = keyPoints.subarray(2 * KEY_POINTS * cell)
      faces.push({
        score,
        box: {
          x: (column + box[0]) * stridePx - width / 2,
          y: (row + box[1]) * stridePx - height / 2,
          width,
          height,
        },
        points: Array.from(
          { length: KEY_POINTS },
          (_, k): Point => [(column + offset[2 * k]) * stridePx, (row + offset[2 * k + 1]) * stridePx],
        ),
      })
    }
  }
  return faces
}
