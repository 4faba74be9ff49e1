import type { Normalization, Point } from '../align.ts'
import type { Picture } from '../decode.ts'
import type { Network } from '../onnx/session.ts'
import { type Detection, suppressOverlaps } from './detection.ts'
import { letterbox } from './letterbox.ts'

const normalization: Normalization = { order: 'RGB', mean: [0, 0, 0], deviation: 255 }
const MIN_SCORE = 0.45
const MAX_OVERLAP = 0.5
const KEY_POINTS = 5
/** Centre, size and score, then x, y and visibility of each key point. */
const VALUES = 5 + 3 * KEY_POINTS

/** YOLOv8-face (Ultralytics' YOLOv8 with key points): it takes the picture in the middle of its input. */
export async function detectWithYolov8Face(
  network: Network,
  sidePx: number,
  picture: Picture,
  shrink: number,
): Promise<Detection[]> {
  const { input, toPicture } = letterbox(picture, sidePx, normalization, 'centre', shrink)
  const outputs = await network.run(input, [1, 3, sidePx, sidePx])
  return suppressOverlaps(decodeYolov8Face(outputs[network.outputs[0]]), MAX_OVERLAP).map(toPicture)
}

/** The faces above the score limit, in input pixels. `output`: one row for each value, with all candidates in it. */
export function decodeYolov8Face(output: Float32Array): Detection[] {
  const faces: Detection[] = []
  const count = output.length / VALUES
  for (let candidate = 0; candidate < count; candidate++) {
    const value = (row: number) => output[row * count + candidate]
    const score = value(4)
    if (score < MIN_SCORE) continue
    const [width, height] = [value(2), value(3)]
    faces.push({
      score,
      box: { x: value(0) - width / 2, y: value(1) - height / 2, width, height },
      points: Array.from({ length: KEY_POINTS }, (_, k): Point => [value(5 + 3 * k), value(6 + 3 * k)]),
    })
  }
  return faces
}
