import type { Normalization } from '../align.ts'
import type { Picture } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import { decodeBoxes, INPUT_SIDE_PX, MAX_OVERLAP } from './blazeface-boxes.ts'
import { type Detection, suppressOverlaps } from './detection.ts'
import { letterbox } from './letterbox.ts'

const normalization: Normalization = { order: 'RGB', mean: [127.5, 127.5, 127.5], deviation: 127.5 }

/** The network's outputs: scores and boxes of the fine grid (stride 16) and of the coarse one (stride 32). */
export const blazefaceOutputs = {
  scores16: 'Identity',
  scores32: 'Identity_1',
  boxes16: 'Identity_2',
  boxes32: 'Identity_3',
}

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
