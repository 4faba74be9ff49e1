import sharp from 'sharp'
import type { Picture } from '../../src/face/decode.ts'
import { seededRandom } from '../../src/shared/seeded-random.ts'
import { camera } from './render.ts'

/** Deviation of the noise that a small sensor adds in a room's light, of 255. */
const NOISE = 3
const JPEG_QUALITY = 85

/** Drawing three million numbers for each picture takes longer than everything else. */
const noise = normalNoise(1 << 17)

/** What a camera sends of what it sees: a JPEG with noise; `random` draws from 0 to 1. */
export async function photograph({ data, width, height }: Picture, random: () => number): Promise<Buffer> {
  const noisy = new Uint8ClampedArray(data.length)
  let at = 0
  for (let i = 0; i < noisy.length; i++) {
    if (i % 4096 === 0) at = Math.floor(random() * (noise.length - 4096))
    noisy[i] = data[i] + noise[at++]
  }
  return sharp(noisy, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer()
}

/** The sum of three is near enough to a normal distribution. */
function normalNoise(count: number): Float32Array {
  const random = seededRandom(1)
  return Float32Array.from({ length: count }, () => (random() + random() + random() - 1.5) * 2 * NOISE)
}

/** A room, out of focus: rectangles in the colours of walls, doors and furniture. */
export async function room(random: () => number): Promise<Picture> {
  const { widthPx: width, heightPx: height } = camera
  const data = new Uint8Array(3 * width * height)
  for (let shape = 0; shape < 15; shape++) {
    const light = 50 + 150 * random()
    const [red, green, blue] = [0, 0, 0].map(() => light + 50 * (random() - 0.5))
    const first = shape === 0
    const [left, top] = first ? [0, 0] : [width * (random() - 0.2), height * (random() - 0.2)]
    const [right, bottom] = first ? [width, height] : [left + 40 + 250 * random(), top + 40 + 350 * random()]
    for (let y = Math.max(0, Math.round(top)); y < Math.min(height, bottom); y++)
      for (let x = Math.max(0, Math.round(left)); x < Math.min(width, right); x++) {
        const at = 3 * (y * width + x)
        data[at] = red
        data[at + 1] = green
        data[at + 2] = blue
      }
  }
  const raw = { width, height, channels: 3 as const }
  return { data: await sharp(data, { raw }).blur(8).raw().toBuffer(), width, height }
}
