import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decode, type Picture } from '../../src/face/decode.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { analyseFrames, type Frame, type Look, type Networks } from '../../src/face/pipeline.ts'
import { cuts, type PortraitName, portrait } from '../../test/face/portraits.ts'
import { type Head, makeHead } from './head.ts'

/** Somebody with a head that can be turned and the photo that it was made of, which can be printed. */
export interface Person {
  name: string
  head: Head
  portrait: Picture
  /** How wide the portrait would be were the face as large as in life, in millimetres. */
  portraitWidthMm: number
}

/** Degrees: a photo of a turned head shows too little of its other side. */
const MAX_YAW = 12
const MAX_PITCH = 14
const EYE_DISTANCE_MM = 63
const MIN_EYE_DISTANCE_PX = 35

/** What the embedded pack sees in pictures, measured but not embedded. */
export async function framesOf(networks: Networks, pictures: readonly Uint8Array[]): Promise<Frame[]> {
  const { frames } = await analyseFrames(
    { ...humanV1, embedders: [], dimension: 0 },
    { ...networks, embedders: [] },
    pictures,
    false,
  )
  return frames
}

/** People from a folder of photos laid out as identity/*.jpg, or those of the portraits that every install has. */
export async function readPeople(
  networks: Networks,
  folder: string | undefined,
  count: number,
): Promise<Person[]> {
  const people: Person[] = []
  for (const { name, read } of folder ? photosIn(folder) : portraits()) {
    if (people.length >= count) break
    const bytes = await read()
    const [frame] = await framesOf(networks, [bytes])
    if (frame.kind !== 'face' || !isFrontal(frame.face)) continue
    people.push(makePerson(name, await decode(bytes), frame.face))
  }
  return people
}

export function makePerson(name: string, picture: Picture, look: Look): Person {
  return {
    name,
    head: makeHead(picture, look.mesh.points),
    portrait: picture,
    portraitWidthMm: (picture.width * EYE_DISTANCE_MM) / look.quality.measures.eyeDistancePx,
  }
}

function isFrontal({ pose, quality }: Look): boolean {
  return (
    Math.abs(pose.yaw) <= MAX_YAW &&
    Math.abs(pose.pitch - 5) <= MAX_PITCH &&
    quality.measures.eyeDistancePx >= MIN_EYE_DISTANCE_PX
  )
}

function photosIn(folder: string) {
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return names
    .map(({ name }) => name)
    .sort()
    .flatMap((name) => {
      const [first] = readdirSync(join(folder, name)).sort()
      return first ? [{ name, read: async () => readFileSync(join(folder, name, first)) }] : []
    })
}

function portraits() {
  return (Object.keys(cuts) as PortraitName[]).map((name) => ({ name, read: () => portrait(name) }))
}
