import sharp from 'sharp'
import { type PortraitName, portrait } from '../test/face/portraits.ts'

/** Different people, each with a portrait good enough to be enrolled. */
export const people: PortraitName[] = [
  'blonde',
  'blueLight',
  'redLips',
  'bun',
  'sunlit',
  'frontal',
  'longHair',
  'tilted',
]

const FRAME = { width: 640, height: 480 }

/**
 * What a kiosk's camera would send of a person: a 640 x 480 JPEG with the face at an arm's length, a little elsewhere in
 * each take. Behind it the same portrait out of focus, so that the picture compresses like a photo.
 */
export async function kioskPicture(name: PortraitName, take = 0): Promise<Buffer> {
  const cut = await portrait(name)
  const side = 380 + 10 * (take % 4)
  const front = await sharp(cut).resize(side, side).png().toBuffer()
  const left = Math.round((FRAME.width - side) / 2) + 15 * ((take % 3) - 1)
  const top = Math.round((FRAME.height - side) / 2)
  return sharp(cut)
    .resize({ ...FRAME, fit: 'cover' })
    .blur(20)
    .composite([{ input: front, left, top }])
    .jpeg({ quality: 90 })
    .toBuffer()
}
