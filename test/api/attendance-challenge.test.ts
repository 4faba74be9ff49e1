import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { photograph } from '../../bench/heads/camera.ts'
import { makePerson, type Person } from '../../bench/heads/person.ts'
import { challenges } from '../../bench/heads/sequences.ts'
import { decode } from '../../src/face/decode.ts'
import type { Action } from '../../src/face/pad/challenge.ts'
import { seededRandom } from '../../src/shared/seeded-random.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, registerKiosk, type TestApp, testApp } from '../support/app.ts'

// A kiosk that enforces, before heads that are rendered from a portrait: they do what is asked, or something else.

const steps: Action[] = ['look_up', 'turn_left', 'blink']

interface Film {
  pictures: Buffer[]
  atMs: number[]
}

let running: TestApp
let ann: Film
let another: Film

beforeAll(async () => {
  running = await testApp()
  ann = await film(await personOf('frontal'), 'head that does what it is asked')
  another = await film(await personOf('blonde'), 'head that does what it is asked')
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
  await registerKiosk(running, 'GATE')
  await running.app.inject({
    method: 'PUT',
    url: '/api/v1/devices/GATE',
    payload: { pad_policy: 'enforce' },
  })
  await enrol(running, 'ANN', await portrait('frontal'))
})
afterAll(() => running.close())

async function personOf(name: 'frontal' | 'blonde'): Promise<Person> {
  const bytes = await portrait(name)
  const seen = await running.engine.analyse(bytes)
  if (seen.kind !== 'face') throw new Error(seen.kind)
  return makePerson(name, await decode(bytes), seen.face)
}

async function film(person: Person, kind: string): Promise<Film> {
  const random = seededRandom(5)
  const shots = await challenges.find(({ name }) => name === kind)!.shots(person, random, steps)
  const pictures: Buffer[] = []
  for (const { picture } of shots) pictures.push(await photograph(picture, random))
  return { pictures, atMs: shots.map(({ atMs }) => Math.round(atMs)) }
}

/** Has the kiosk asked for these steps: what is drawn at random would not be what was filmed. */
async function ask(asked: readonly Action[]): Promise<string> {
  const url = '/api/v1/recognition/liveness/challenge'
  const answer = await running.app.inject({ method: 'POST', url, payload: { device_id: 'GATE' } })
  await running.db
    .updateTable('liveness_challenges')
    .set({ steps: JSON.stringify(asked) })
    .where('used_at', 'is', null)
    .execute()
  return answer.json().challenge
}

async function answer(challenge: string, { pictures, atMs }: Film) {
  const payload = new FormData()
  payload.append('device_id', 'GATE')
  payload.append('challenge', challenge)
  for (const picture of pictures) payload.append('image', new Blob([new Uint8Array(picture)]), 'p.jpg')
  for (const ms of atMs) payload.append('frame_ms', String(ms))
  const sent = await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload })
  return sent.json()
}
/** The only decision. */
const explained = async () => (await running.app.inject('/api/v1/attendance/decisions/1/explain')).json()
const punches = () => running.db.selectFrom('attendance').selectAll().execute()

describe('a kiosk that enforces liveness', () => {
  test('takes the punch of a head that does what it is asked, and says why', async () => {
    expect(await answer(await ask(steps), ann)).toMatchObject({
      code: 'identified',
      employee_id: 'ANN',
      liveness: 'bona_fide',
    })
    expect(await punches()).toMatchObject([{ employee_id: 'ANN', liveness: 'bona_fide' }])
    const [{ record }] = await running.db.selectFrom('decisions').select('record').execute()
    expect(record).toMatchObject({
      liveness: { policy: 'enforce', steps, signals: [{}, {}, { signal: 'challenge', state: 'bona_fide' }] },
    })
    expect((await explained()).liveness.steps).toEqual(steps)
  })

  test.each<[string, Action[]]>([
    ['reordered', ['turn_left', 'look_up', 'blink']],
    ['another one', ['look_up', 'turn_right', 'blink']],
  ])('takes none where the sequence that was asked for is %s', async (_what, asked) => {
    expect(await answer(await ask(asked), ann)).toMatchObject({ recognized: false, code: 'undecided' })
    expect(await punches()).toEqual([])
    // What was asked for, and not what was done.
    expect((await explained()).liveness.steps).toEqual(asked)
  })

  test('takes none of a recording that is shown to the next challenge', async () => {
    await answer(await ask(steps), ann)
    running.clock.advance(120_000)
    expect(await answer(await ask(['blink', 'turn_right', 'look_down']), ann)).toMatchObject({
      recognized: false,
    })
    expect(await punches()).toHaveLength(1)
  })

  test('takes none of a print that is tilted as asked', async () => {
    const print = await film(await personOf('frontal'), 'print, tilted as asked')
    const told = await answer(await ask(steps), print)
    expect(told.recognized).toBe(false)
    expect(['attack', 'undecided', 'no_face']).toContain(told.code)
    expect(await punches()).toEqual([])
  })

  test('takes none where somebody else moves and the face changes at the end', async () => {
    const last = Math.floor((2 * ann.pictures.length) / 3)
    const mixed = {
      pictures: [...another.pictures.slice(0, last), ...ann.pictures.slice(last)],
      atMs: ann.atMs,
    }
    const told = await answer(await ask(steps), mixed)
    expect(told).toMatchObject({ recognized: false, liveness: 'attack' })
    expect(await punches()).toEqual([])
  })

  test('takes none where somebody else moves and the face of another is held up for one picture of each step', async () => {
    const third = ann.pictures.length / 3
    const mixed = {
      pictures: another.pictures.map((picture, index) =>
        index % third === 0 ? ann.pictures[index] : picture,
      ),
      atMs: ann.atMs,
    }
    const told = await answer(await ask(steps), mixed)
    expect(told.recognized).toBe(false)
    expect(told.liveness).not.toBe('bona_fide')
    expect(await punches()).toEqual([])
  })
})
