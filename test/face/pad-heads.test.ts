import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { photograph } from '../../bench/heads/camera.ts'
import { filmHead } from '../../bench/heads/film.ts'
import { makePerson, type Person } from '../../bench/heads/person.ts'
import { bursts, challenges, type Kind } from '../../bench/heads/sequences.ts'
import { decode } from '../../src/face/decode.ts'
import { type FaceEngine, startEngine } from '../../src/face/engine.ts'
import { passivePad, type TimedLook } from '../../src/face/pad/burst.ts'
import { type Action, judgeChallenge } from '../../src/face/pad/challenge.ts'
import { eyeOpening } from '../../src/face/pad/eyes.ts'
import type { Look } from '../../src/face/pipeline.ts'
import { seededRandom } from '../../src/shared/seeded-random.ts'
import { portrait } from './portraits.ts'

let engine: FaceEngine
let person: Person
beforeAll(async () => {
  engine = await startEngine()
  const bytes = await portrait('frontal')
  const seen = await engine.analyse(bytes)
  if (seen.kind !== 'face') throw new Error(seen.kind)
  person = makePerson('frontal', await decode(bytes), seen.face)
})
afterAll(() => engine.close())

async function looksOf(pictures: Buffer[]): Promise<Look[]> {
  const { frames } = await engine.analyseFrames(pictures)
  return frames.map((frame) => {
    if (frame.kind !== 'face') throw new Error(frame.kind)
    return frame.face
  })
}

async function present(kinds: Kind[], name: string, steps: Action[] = []): Promise<TimedLook[]> {
  const random = seededRandom(5)
  const shots = await kinds.find((kind) => kind.name === name)!.shots(person, random, steps)
  const pictures: Buffer[] = []
  for (const { picture } of shots) pictures.push(await photograph(picture, random))
  const looks = await looksOf(pictures)
  return looks.map((look, index) => ({ look, atMs: shots[index].atMs, sha256: `${index}` }))
}

describe('a head that is rendered from a portrait', () => {
  test('is seen to turn and to nod as far as it does', async () => {
    const angles = [-25, -12, 0, 12, 25]
    const turned = await looksOf(
      await filmHead(
        person.head,
        angles.map((yaw) => ({ yaw })),
        1,
      ),
    )
    const nodded = await looksOf(
      await filmHead(
        person.head,
        angles.map((yaw) => ({ pitch: 0.7 * yaw })),
        2,
      ),
    )
    for (const [index, angle] of angles.entries()) {
      const { yaw } = turned[index].pose
      expect(Math.abs(yaw - turned[2].pose.yaw - angle), `yaw ${angle}`).toBeLessThan(9)
      const { pitch } = nodded[index].pose
      expect(Math.abs(pitch - nodded[2].pose.pitch - 0.7 * angle), `pitch ${0.7 * angle}`).toBeLessThan(8)
    }
  })

  test('is seen to close its eyes', async () => {
    const [open, closed] = await looksOf(await filmHead(person.head, [{}, { closed: 1 }], 3))
    expect(eyeOpening(closed.mesh.points)).toBeLessThan(0.77 * eyeOpening(open.mesh.points))
  })

  test('passes a challenge, and no other', async () => {
    const steps: Action[] = ['look_up', 'turn_left', 'blink']
    const frames = await present(challenges, 'head that does what it is asked', steps)
    expect(judgeChallenge(steps, frames)).toMatchObject({ state: 'bona_fide' })
    expect(judgeChallenge(['look_up', 'turn_right', 'blink'], frames).state).toBe('undecided')
    expect(judgeChallenge(['turn_left', 'look_up', 'blink'], frames).state).toBe('undecided')
  })

  test('is no attack in a burst', async () => {
    expect(passivePad(await present(bursts, 'head, turns')).state).toBe('undecided')
  })
})

describe('a print of the same portrait', () => {
  test('that is tilted as the challenge asks is an attack', async () => {
    const steps: Action[] = ['look_up', 'turn_left', 'turn_right']
    const frames = await present(challenges, 'print, tilted as asked', steps)
    expect(judgeChallenge(steps, frames)).toMatchObject({
      state: 'attack',
      reason: 'the face turned as something flat does',
    })
  })

  test('that is held still passes nothing', async () => {
    const steps: Action[] = ['look_up', 'turn_left', 'blink']
    const frames = await present(challenges, 'print, held still', steps)
    expect(judgeChallenge(steps, frames).state).toBe('undecided')
  })
})
