import { AppError } from '../shared/errors.ts'
import type { Picture } from './decode.ts'
import type { Box } from './detect/detection.ts'
import type { Network } from './onnx/session.ts'

const SIDE_PX = 80
/** Attack on paper, bona fide, attack on a screen. */
const CLASSES = 3
const BONA_FIDE = 1

/** A network against presentation attacks, with how much wider than the face's box its crop is. */
export interface PadNetwork {
  network: Network
  scale: number
}

/**
 * The probability that the face is bona fide, 0..1: the mean over the networks (MiniFASNet, Minivision 2020).
 * Rejects with `model_failure`.
 */
export async function scoreBonaFide(
  networks: readonly PadNetwork[],
  picture: Picture,
  face: Box,
): Promise<number> {
  let sum = 0
  for (const { network, scale } of networks) {
    const input = cropAround(picture, placeAround(face, scale, picture))
    const outputs = await network.run(input, [1, 3, SIDE_PX, SIDE_PX])
    sum += softmax(outputs[network.outputs[0]])[BONA_FIDE]
  }
  return sum / networks.length
}

function softmax(logits: Float32Array): number[] {
  if (logits.length !== CLASSES)
    throw new AppError(
      'model_failure',
      'A network against presentation attacks answered nonsense; try again.',
    )
  const highest = Math.max(...logits)
  const powers = Array.from(logits, (logit) => Math.exp(logit - highest))
  const total = powers.reduce((sum, power) => sum + power, 0)
  return powers.map((power) => power / total)
}

/** First and last column and row of a crop, both inside. */
interface Place {
  left: number
  top: number
  right: number
  bottom: number
}

/**
 * The box, `scale` times as wide and high about its centre, or as much as the picture allows; moved inside the picture.
 * Whole pixels, rounded down, as the networks were trained.
 */
export function placeAround(box: Box, scale: number, { width, height }: Picture): Place {
  const factor = Math.min((height - 1) / box.height, (width - 1) / box.width, scale)
  const across = inside(box.x + box.width / 2, box.width * factor, width - 1)
  const down = inside(box.y + box.height / 2, box.height * factor, height - 1)
  return { left: across[0], top: down[0], right: across[1], bottom: down[1] }
}

function inside(centre: number, length: number, last: number): [from: number, to: number] {
  const from = Math.min(Math.max(centre - length / 2, 0), last - length)
  // Rounding errors must not lead out of the picture.
  return [Math.max(0, Math.trunc(from)), Math.min(last, Math.trunc(from + length))]
}

/** The crop as three planes, BGR, 0..255, stretched to the networks' input as OpenCV does it (bilinear, no smoothing). */
export function cropAround({ data, width }: Picture, { left, top, right, bottom }: Place): Float32Array {
  const area = SIDE_PX * SIDE_PX
  const out = new Float32Array(3 * area)
  const rows = samples(top, bottom)
  const columns = samples(left, right)
  for (let i = 0; i < area; i++) {
    const y = rows[Math.floor(i / SIDE_PX)]
    const x = columns[i % SIDE_PX]
    const upper = y.from * width
    const lower = y.to * width
    for (let colour = 0; colour < 3; colour++) {
      const [from, to] = [x.from * 3 + colour, x.to * 3 + colour]
      const above = data[upper * 3 + from] * (1 - x.share) + data[upper * 3 + to] * x.share
      const below = data[lower * 3 + from] * (1 - x.share) + data[lower * 3 + to] * x.share
      out[(2 - colour) * area + i] = above * (1 - y.share) + below * y.share
    }
  }
  return out
}

/** For each of the input's pixels along an axis the two that it lies between, and its share of the second. */
function samples(first: number, last: number): { from: number; to: number; share: number }[] {
  const step = (last - first + 1) / SIDE_PX
  return Array.from({ length: SIDE_PX }, (_, i) => {
    const place = Math.min(Math.max(first + (i + 0.5) * step - 0.5, first), last)
    const from = Math.floor(place)
    return { from, to: Math.min(from + 1, last), share: place - from }
  })
}
