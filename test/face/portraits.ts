import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import sharp, { type Sharp } from 'sharp'

const folder = join(dirname(createRequire(import.meta.url).resolve('@vladmandic/face-api')), '../demo')

/** One of the six group photos that every install has. */
export const groupPhoto = (number: number) => readFileSync(join(folder, `sample${number}.jpg`))

interface Cut {
  photo: number
  /** The square in the photo's own pixels: a face in the middle, with a margin of 0.6 of its box on each side. */
  left: number
  top: number
  side: number
}

/** Single faces in the group photos, by what the eye tells them apart by. */
export const cuts = {
  laughing: { photo: 1, left: 1405, top: 178, side: 325 },
  painted: { photo: 1, left: 304, top: 294, side: 418 },
  blonde: { photo: 3, left: 487, top: 260, side: 450 },
  /** The same woman as `laughing`, in another light and with her hair bound up. */
  blueLight: { photo: 3, left: 919, top: 112, side: 540 },
  redLips: { photo: 3, left: 1348, top: 233, side: 449 },
  /** A face in profile that looks to the picture's left. */
  profile: { photo: 2, left: 220, top: 60, side: 462 },
  bun: { photo: 5, left: 680, top: 64, side: 359 },
  sunlit: { photo: 5, left: 1007, top: 157, side: 387 },
  frontal: { photo: 6, left: 91, top: 395, side: 509 },
  longHair: { photo: 6, left: 509, top: 228, side: 534 },
  pouting: { photo: 6, left: 1016, top: 216, side: 502 },
  tilted: { photo: 6, left: 1313, top: 163, side: 549 },
} satisfies Record<string, Cut>

export type PortraitName = keyof typeof cuts

/** A portrait with one face, as a lossless picture. */
export const portrait = (name: PortraitName): Promise<Buffer> => cutOut(cuts[name]).png().toBuffer()

/** The part of a portrait that is its face's box and `margin` times the box on each side. */
export function closeUp(name: PortraitName, margin: number): Promise<Buffer> {
  const { photo, left, top, side } = cuts[name]
  const box = side / 2.2
  const away = (0.6 - margin) * box
  const whole = Math.round(box * (1 + 2 * margin))
  return cutOut({ photo, left: Math.round(left + away), top: Math.round(top + away), side: whole })
    .png()
    .toBuffer()
}

function cutOut({ photo, left, top, side }: Cut): Sharp {
  return sharp(groupPhoto(photo)).extract({ left, top, width: side, height: side })
}
