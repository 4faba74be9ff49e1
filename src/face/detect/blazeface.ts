import type { Normalization } from '../align.ts'
import type { Picture } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import { type Detection, suppressOverlaps } from './detection.ts'
import { letterbox } from './letterbox.ts'

const INPUT_SIDE_PX = 256
const normalization: Normalization = { order: 'RGB', mean: [127.5, 127.5, 127.5], deviation: 127.5 }
const MIN_SCORE = 0.3
const MAX_OVERLAP = 0.3
const KEY_POINTS = 6

/** The network's outputs: scores and boxes of the fine grid (stride 16) and of the coarse one (stride 32). */
export const blazefaceOutputs = {
  scores16: 'Identity',
  scores32: 'Identity_1',
  boxes16: 'Identity_2',
  boxes32: 'Identity_3',
}

/** The cells' centres in input pixels: two anchors a cell at stride 16, then six at stride 32. */
const grids = [
  { scores: 'scores16', boxes: 'boxes16', stridePx: 16, anchorsPerCell: 2 },
  { scores: 'scores32', boxes: 'boxes32', stridePx: 32, anchorsPerCell: 6 },
] as const

/** BlazeFace (Bazarevsky et al. 2019): it takes the picture in the middle of its input. */
export async function detectWithBlazeface(
  network: Network,
  picture: Picture,
  shrink: number,
): Promise<Detection[]> {
  const { input, toPicture } = letterbox(picture, INPUT_SIDE_PX, normalization, 'centre', shrink)
  const outputs = await network.run(input, [1, 3, INPUT_SIDE_PX, INPUT_SIDE_PX])
  return suppressOverlaps(decodeBoxes(outputs), MAX_OVERLAP).map(toPicture)
}

/** The faces above the score limit, in input pixels: a box is offset and size from its cell's centre. */
export function decodeBoxes(outputs: Record<string, Float32Array>): Detection[] {
  const faces: Detection[] = []
  for (const { scores, boxes, stridePx, anchorsPerCell } of grids) {
    const cells = INPUT_SIDE_PX / stridePx
    for (let anchor = 0; anchor < outputs[scores].length; anchor++) {
      const score = 1 / (1 + Math.exp(-outputs[scores][anchor]))
      if (score < MIN_SCORE) continue
      const cell = Math.floor(anchor / anchorsPerCell)
      const centreX = ((cell % cells) + 0.5) * stridePx
      const centreY = (Math.floor(cell / cells) + 0.5) * stridePx
      const values = outputs[boxes].subarray(anchor * 16, anchor * 16 + 16)
      const [width, height] = [values[2], values[3]]
      faces.push({
        score,
        box: { x: centreX + values[0] - width / 2, y: centreY + values[1] - height / 2, width, height },
        points: Array.from({ length: KEY_POINTS }, (_, k) => [
          centreX + values[4 + 2 * k],
          centreY + values[5 + 2 * k],
        ]),
      })
    }
  }
  return faces
}
