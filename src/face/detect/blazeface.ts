import { type Normalization, type Point, warp } from '../align.ts'
import type { Picture } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import { decodeBoxes, INPUT_SIDE_PX, MAX_OVERLAP } from './blazeface-boxes.ts'
import { type Detection, suppressOverlaps } from './detection.ts'

const normalization: Normalization = { order: 'RGB', mean: [127.5, 127.5, 127.5], deviation: 127.5 }

/** The network's outputs: scores and boxes of the fine grid (stride 16) and of the coarse one (stride 32). */
export const blazefaceOutputs = {
  scores16: 'Identity',
  scores32: 'Identity_1',
  boxes16: 'Identity_2',
  boxes32: 'Identity_3',
}

/**
 * Finds faces with BlazeFace (Bazarevsky et al. 2019), best score first, in picture pixels.
 * `shrink` below 1 leaves a margin around the picture: a face that fills the whole frame is found only with one.
 */
export async function detectFaces(network: Network, picture: Picture, shrink = 1): Promise<Detection[]> {
  // The whole picture in the middle of the input, black around it.
  const scale = Math.max(picture.width, picture.height) / (INPUT_SIDE_PX * shrink)
  const left = (INPUT_SIDE_PX - picture.width / scale) / 2
  const top = (INPUT_SIDE_PX - picture.height / scale) / 2
  const toPicture = ([x, y]: Point): Point => [(x - left) * scale, (y - top) * scale]
  const [tx, ty] = toPicture([0.5, 0.5]).map((place) => place - 0.5)
  const input = new Float32Array(3 * INPUT_SIDE_PX * INPUT_SIDE_PX)
  warp(picture, { a: scale, b: 0, tx, ty }, INPUT_SIDE_PX, normalization, input)
  const outputs = await network.run(input, [1, 3, INPUT_SIDE_PX, INPUT_SIDE_PX])

  return suppressOverlaps(decodeBoxes(outputs), MAX_OVERLAP).map(({ box, points, score }) => {
    const [x1, y1] = toPicture([box.x, box.y])
    const [x2, y2] = toPicture([box.x + box.width, box.y + box.height])
    return { score, box: { x: x1, y: y1, width: x2 - x1, height: y2 - y1 }, points: points.map(toPicture) }
  })
}
