import { writeFile } from 'node:fs/promises'
import sharp from 'sharp'
import { type PortraitName, portrait } from '../face/portraits.ts'

const [WIDTH, HEIGHT] = [640, 480]
const FRAMES_PER_S = 30
const SIDE_PX = 300

/** One part of what a fake camera sees: a portrait that is held before it, or an empty room. */
export interface Scene {
  who: PortraitName | undefined
  seconds: number
}

/** Writes a video for the fake camera of Chromium: the scenes one after the other, and then from the beginning. */
export async function writeVideo(file: string, scenes: Scene[]): Promise<void> {
  const frames: Buffer[] = []
  for (const { who, seconds } of scenes) {
    const face =
      who &&
      (await sharp(await portrait(who))
        .resize(SIDE_PX, SIDE_PX)
        .toBuffer())
    for (let index = 0; index < seconds * FRAMES_PER_S; index++) frames.push(await frame(face, index))
  }
  await writeFile(file, Buffer.concat(frames))
}

/** Nobody holds still to a pixel: the face sways a little, and no two pictures are the same. */
function frame(face: Buffer | undefined, index: number): Promise<Buffer> {
  const sway = (period: number) => Math.round(3 * Math.sin((2 * Math.PI * index) / period))
  const [left, top] = [(WIDTH - SIDE_PX) / 2 + sway(40), (HEIGHT - SIDE_PX) / 2 + sway(57)]
  return sharp({ create: { width: WIDTH, height: HEIGHT, channels: 3, background: '#8d949c' } })
    .composite(face ? [{ input: face, left, top }] : [])
    .jpeg({ quality: 90 })
    .toBuffer()
}
