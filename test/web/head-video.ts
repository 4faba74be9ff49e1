import { writeFile } from 'node:fs/promises'
import { filmHead } from '../../bench/heads/film.ts'
import { makePerson } from '../../bench/heads/person.ts'
import { decode } from '../../src/face/decode.ts'
import { startEngine } from '../../src/face/engine.ts'
import { type PortraitName, portrait } from '../face/portraits.ts'

const FRAMES_PER_S = 30
const SECONDS = 4
/** Straight ahead, then a little to each side, as an enrolment asks for it. */
const YAWS = [0, 12, -16]

/** Writes a video for the fake camera of Chromium: a head made of a portrait that turns to both sides, again and again. */
export async function writeHeadVideo(file: string, who: PortraitName): Promise<void> {
  const engine = await startEngine()
  const bytes = await portrait(who)
  const seen = await engine.analyse(bytes)
  if (seen.kind !== 'face') throw new Error(seen.kind)
  const { head } = makePerson(who, await decode(bytes), seen.face)
  await engine.close()
  // The noise of a camera, in a few pictures that take turns.
  const poses = YAWS.flatMap((yaw) => Array.from({ length: 3 }, () => ({ yaw, y: 40, distance: 480 })))
  const pictures = await filmHead(head, poses, 1)
  const frames = YAWS.flatMap((_, turn) =>
    Array.from({ length: SECONDS * FRAMES_PER_S }, (_, index) => pictures[3 * turn + (index % 3)]),
  )
  await writeFile(file, Buffer.concat(frames))
}
