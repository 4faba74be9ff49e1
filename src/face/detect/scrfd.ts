import type { Normalization, Point } from '../align.ts'
import type { Picture } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import { type Detection, suppressOverlaps } from './detection.ts'
import { letterbox } from './letterbox.ts'

const normalization: Normalization = { order: 'RGB', mean: [127.5, 127.5, 127.5], deviation: 128 }
const MIN_SCORE = 0.5
const MAX_OVERLAP = 0.4
const STRIDES_PX = [8, 16, 32]
const ANCHORS_PER_CELL = 2
const KEY_POINTS = 5

/** SCRFD (Guo et al. 2021): it takes the picture in the top left corner of its input. */
export async function detectWithScrfd(
  network: Network,
  sidePx: number,
  picture: Picture,
  shrink: number,
): Promise<Detection[]> {
  const { input, toPicture } = letterbox(picture, sidePx, normalization, 'corner', shrink)
  const outputs = await network.run(input, [1, 3, sidePx, sidePx])
  const inOrder = network.outputs.map((name) => outputs[name])
  return suppressOverlaps(decodeScrfd(inOrder, sidePx), MAX_OVERLAP).map(toPicture)
}

/**
 * The faces above the score limit, in input pixels. `outputs`: scores, boxes and key points, each for the three strides.
 * Whether an export has a batch dimension or none, the values are the same. Boxes are the distances of their sides from
 * the cell's corner, key points offsets from it, both in strides; each cell has two anchors.
 */
export function decodeScrfd(outputs: readonly Float32Array[], sidePx: number): Detection[] {
  const faces: Detection[] = []
  for (const [level, stridePx] of STRIDES_PX.entries()) {
    const [scores, boxes, keyPoints] = [outputs[level], outputs[3 + level], outputs[6 + level]]
    const cells = sidePx / stridePx
    for (let anchor = 0; anchor < scores.length; anchor++) {
      if (scores[anchor] < MIN_SCORE) continue
      const cell = Math.floor(anchor / ANCHORS_PER_CELL)
      const [centreX, centreY] = [(cell % cells) * stridePx, Math.floor(cell / cells) * stridePx]
      const [left, top, right, bottom] = boxes.subarray(4 * anchor, 4 * anchor + 4).map((d) => d * stridePx)
      const offset = keyPoints.subarray(2 * KEY_POINTS * anchor)
      faces.push({
        score: scores[anchor],
        box: { x: centreX - left, y: centreY - top, width: left + right, height: top + bottom },
        points: Array.from(
          { length: KEY_POINTS },
          (_, k): Point => [centreX + offset[2 * k] * stridePx, centreY + offset[2 * k + 1] * stridePx],
        ),
      })
    }
  }
  return faces
}
