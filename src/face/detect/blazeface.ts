import type { Point } from '../align.ts'
import { type Picture, resize } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import { type Detection, suppressOverlaps } from './detection.ts'

const INPUT_SIDE_PX = 256
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

/**
 * Finds faces with BlazeFace (Bazarevsky et al. 2019), best score first, in picture pixels.
 * `shrink` below 1 leaves a margin around the picture: a face that fills the whole frame is found only with one.
 */
export async function detectFaces(network: Network, picture: Picture, shrink = 1): Promise<Detection[]> {
  const scale = (INPUT_SIDE_PX * shrink) / Math.max(picture.width, picture.height)
  const width = Math.max(1, Math.round(picture.width * scale))
  const height = Math.max(1, Math.round(picture.height * scale))
  const left = Math.floor((INPUT_SIDE_PX - width) / 2)
  const top = Math.floor((INPUT_SIDE_PX - height) / 2)
  const input = letterbox(await resize(picture, width, height), left, top)
  const outputs = await network.run(input, [1, 3, INPUT_SIDE_PX, INPUT_SIDE_PX])

  const toPicture = ([x, y]: Point): Point => [
    ((x - left) * picture.width) / width,
    ((y - top) * picture.height) / height,
  ]
  return suppressOverlaps(decodeBoxes(outputs), MAX_OVERLAP).map(({ box, points, score }) => {
    const [x1, y1] = toPicture([box.x, box.y])
    const [x2, y2] = toPicture([box.x + box.width, box.y + box.height])
    return { score, box: { x: x1, y: y1, width: x2 - x1, height: y2 - y1 }, points: points.map(toPicture) }
  })
}

/** What the network takes for each brightness. */
const inputLevels = Float32Array.from({ length: 256 }, (_, level) => level / 127.5 - 1)

/** Three planes of 256 x 256, x / 127.5 - 1, black around the picture. */
function letterbox({ data, width, height }: Picture, left: number, top: number): Float32Array {
  const area = INPUT_SIDE_PX * INPUT_SIDE_PX
  const input = new Float32Array(3 * area).fill(-1)
  for (let y = 0, from = 0; y < height; y++) {
    let to = (y + top) * INPUT_SIDE_PX + left
    for (let x = 0; x < width; x++, from += 3, to++) {
      input[to] = inputLevels[data[from]]
      input[to + area] = inputLevels[data[from + 1]]
      input[to + 2 * area] = inputLevels[data[from + 2]]
    }
  }
  return input
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
