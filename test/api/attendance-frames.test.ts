import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { forgetChallenges } from '../../src/gallery/liveness-challenge.ts'
import { blankPicture, openCompany } from '../attendance/company.ts'
import { type PortraitName, portrait } from '../face/portraits.ts'
import { kioskHeaders, registerKiosk, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
/** What the networks against presentation attacks say, where one is installed. */
let padScore: number | null = null

beforeAll(async () => {
  // The real engine, with the word of a network that the embedded pack does not have.
  running = await testApp({}, {}, (engine) => ({
    ...engine,
    analyse: async (...picture) => {
      const seen = await engine.analyse(...picture)
      return seen.kind === 'face' ? { ...seen, face: { ...seen.face, padScore } } : seen
    },
  }))
})
beforeEach(async () => {
  padScore = null
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
  await openCompany(running)
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

/** The same face in so many pictures, each a little brighter than the one before. */
async function burst(name: PortraitName, count: number): Promise<Buffer[]> {
  const original = await portrait(name)
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      sharp(original)
        .resize(300)
        .modulate({ brightness: 0.8 + 0.04 * index })
        .jpeg({ quality: 80 })
        .toBuffer(),
    ),
  )
}

type Fields = Record<string, string | number | readonly (string | number | Uint8Array)[]>

function check(fields: Fields, headers: Record<string, string> = {}) {
  const payload = new FormData()
  for (const [name, value] of Object.entries({ device_id: 'GATE', ...fields }))
    for (const one of Array.isArray(value) ? value : [value])
      if (one instanceof Uint8Array) payload.append(name, new Blob([new Uint8Array(one)]), 'picture.jpg')
      else payload.append(name, String(one))
  return running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload, headers })
}
const decisions = () => running.db.selectFrom('decisions').selectAll().orderBy('id').execute()
const punches = () => running.db.selectFrom('attendance').selectAll().orderBy('id').execute()
const setKiosk = (payload: object) =>
  running.app.inject({ method: 'PUT', url: '/api/v1/devices/GATE', payload })
const setSite = (payload: object) => running.app.inject({ method: 'PATCH', url: '/api/v1/sites/1', payload })
const challengeFor = (device_id: string, headers: Record<string, string> = {}) =>
  running.app.inject({
    method: 'POST',
    url: '/api/v1/recognition/liveness/challenge',
    payload: { device_id },
    headers,
  })
const issue = async (device_id = 'GATE') => (await challengeFor(device_id)).json().challenge as string

describe('several pictures of one check', () => {
  test('make one punch, by the votes of the three best', async () => {
    const answer = await check({ image: await burst('blonde', 5), frame_ms: [0, 250, 500, 750, 1000] })
    expect(answer.json()).toMatchObject({ recognized: true, employee_id: 'ANN', code: 'identified' })
    expect(await punches()).toHaveLength(1)
    const record = (await decisions())[0].record as { frames: Record<string, unknown>[] }
    expect(record.frames.map(({ at_ms }) => at_ms)).toEqual([0, 250, 500, 750, 1000])
    const voted = record.frames.filter(({ embedded }) => embedded)
    expect(voted).toHaveLength(3)
    for (const { votes } of voted) expect(votes).toMatchObject({ employee_id: 'ANN' })
    const qualities = record.frames.map(({ quality }) => quality as number)
    const worstVoted = Math.min(...voted.map(({ quality }) => quality as number))
    const passedOver = record.frames.filter(({ embedded }) => !embedded)
    for (const { quality } of passedOver) expect(quality as number).toBeLessThanOrEqual(worstVoted)
    expect(qualities).toHaveLength(5)
  })

  test('of two people name nobody', async () => {
    const [ann] = await burst('blonde', 1)
    const [bob] = await burst('longHair', 1)
    const answer = await check({ image: [ann, bob] })
    expect(answer.json()).toMatchObject({ recognized: false, code: 'ambiguous' })
    expect(await punches()).toEqual([])
    expect((await decisions())[0].record).toMatchObject({ rule: 'the pictures show different people' })
  })

  test('need one with a face', async () => {
    const [ann] = await burst('blonde', 1)
    const blank = await blankPicture()
    expect((await check({ image: [blank, ann, blank] })).json()).toMatchObject({ employee_id: 'ANN' })
    expect((await check({ image: [blank, blank] })).json()).toMatchObject({ code: 'no_face' })
  })

  test('are one event under an Idempotency-Key', async () => {
    const image = await burst('blonde', 2)
    const headers = { 'idempotency-key': 'event-1' }
    const first = await check({ image }, headers)
    const again = await check({ image }, headers)
    expect(again.headers['idempotent-replayed']).toBe('true')
    expect(again.json().attendance_id).toBe(first.json().attendance_id)
    expect((await check({ image: [...image].reverse() }, headers)).json().code).toBe('idempotency_key_reused')
  })

  test.each<[string, Fields]>([
    ['fewer times than pictures', { image: [Buffer.from('x'), Buffer.from('y')], frame_ms: [0] }],
    ['times that fall', { image: [Buffer.from('x'), Buffer.from('y')], frame_ms: [10, 9] }],
    ['times that are none', { image: [Buffer.from('x')], frame_ms: ['soon'] }],
    ['a challenge without times', { image: [Buffer.from('x')], challenge: 'abc' }],
    ['a challenge that is none', { image: [Buffer.from('x')], frame_ms: [0], challenge: 'a b' }],
  ])('are refused: %s', async (_what, fields) => {
    const answer = await check(fields)
    expect([answer.statusCode, answer.json().code]).toEqual([422, 'invalid_request'])
    expect(await decisions()).toEqual([])
  })
})

test('more than 12 pictures are refused as too large an upload', async () => {
  const answer = await check({ image: Array.from({ length: 13 }, () => Buffer.from('x')) })
  expect([answer.statusCode, answer.json().code]).toEqual([413, 'upload_too_large'])
})

describe('what was refused', () => {
  test('is kept as a decision, with the answer and without a picture', async () => {
    const image = await blankPicture()
    const headers = { 'idempotency-key': 'event-2' }
    const answer = await check({ image: [image] }, headers)
    expect([answer.statusCode, answer.json().code]).toEqual([422, 'no_face'])
    const kept = await decisions()
    expect(kept).toMatchObject([
      {
        id: answer.json().decision_id,
        device_id: 'GATE',
        outcome: 'no_face',
        employee_id: null,
        confidence: null,
        pack: 'human-v1',
        image_path: null,
        record: { rule: 'exactly one large face is needed', refused: { code: 'no_face' } },
      },
    ])
    expect((await check({ image: [image] }, headers)).json().decision_id).toBe(kept[0].id)
    expect(await decisions()).toHaveLength(1)
  })

  test('keeps its picture where the site keeps pictures', async () => {
    await setSite({ keep_pictures: true })
    await check({ image: [await blankPicture()] })
    const [{ image_path }] = await decisions()
    expect(await running.photos.read(image_path!, await running.vault.named('probes'))).toBeDefined()
    await setSite({ keep_pictures: false })
  })
})

describe('presentation attack detection', () => {
  const enforce = () => setKiosk({ pad_policy: 'enforce' })

  test('is flagged by default: the state is on the punch and in the answer', async () => {
    padScore = 0.01
    const image = await burst('blonde', 1)
    expect((await check({ image })).json()).toMatchObject({ code: 'identified', liveness: 'attack' })
    expect(await punches()).toMatchObject([{ liveness: 'attack' }])
    expect((await decisions())[0].record).toMatchObject({
      liveness: { state: 'attack', policy: 'flag', signals: [{ signal: 'model', state: 'attack' }, {}, {}] },
    })
  })

  test('says unavailable where nothing could look', async () => {
    expect((await check({ image: await burst('blonde', 1) })).json().liveness).toBe('unavailable')
  })

  test('switched off, looks at nothing', async () => {
    padScore = 0.01
    await setKiosk({ pad_policy: 'off' })
    expect((await check({ image: await burst('blonde', 1) })).json().liveness).toBe('unavailable')
  })

  test('enforced, passes nobody whom nothing looked at, and asks for a challenge', async () => {
    await enforce()
    const answer = await check({ image: await burst('blonde', 5) })
    expect(answer.json()).toMatchObject({ recognized: false, code: 'undecided', next_step: 'challenge' })
    expect(await punches()).toEqual([])
  })

  test.each([
    [0.99, false, 'undecided'],
    [0.99, true, 'identified'],
    [0.5, true, 'undecided'],
    [0.01, true, 'attack'],
    [null, true, 'undecided'],
  ] as const)(
    'enforced, with a network that says %s and is enough for the site: %s, ends as %s',
    async (score, enough, code) => {
      padScore = score
      await enforce()
      await setSite({ pad_model_enough: enough })
      expect((await check({ image: await burst('blonde', 1) })).json().code).toBe(code)
      await setSite({ pad_model_enough: false })
    },
  )

  test('calls the same picture sent again and again an attack', async () => {
    const [picture] = await burst('blonde', 1)
    const answer = await check({ image: Array.from({ length: 5 }, () => picture) })
    expect(answer.json().liveness).toBe('attack')
  })
})

describe('a challenge', () => {
  const still = async () => ({ image: await burst('blonde', 3), frame_ms: [0, 1000, 2000] })
  const invalid = [409, 'challenge_invalid']
  const statusAndCode = async (fields: Fields) => {
    const answer = await check(fields)
    return [answer.statusCode, answer.json().code]
  }

  test('asks for three different movements within ten seconds', async () => {
    const answer = await challengeFor('GATE')
    const { steps, expires_at, expires_in_ms } = answer.json()
    expect(new Set(steps).size).toBe(3)
    expect(expires_at).toBe('2025-03-03T01:00:10.000Z')
    expect(expires_in_ms).toBe(10_000)
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  test('is not passed by a face that stands still', async () => {
    await setKiosk({ pad_policy: 'enforce' })
    const answer = await check({ ...(await still()), challenge: await issue() })
    expect(answer.json()).toMatchObject({ recognized: false, code: 'undecided' })
    expect(answer.json().next_step).toBeUndefined()
    expect(await punches()).toEqual([])
  })

  test('is good once', async () => {
    const challenge = await issue()
    expect((await statusAndCode({ ...(await still()), challenge }))[0]).toBe(200)
    expect(await statusAndCode({ ...(await still()), challenge })).toEqual(invalid)
  })

  test('is good once, however many send it at the same moment', async () => {
    const fields = { ...(await still()), challenge: await issue() }
    const answers = await Promise.all(Array.from({ length: 5 }, () => check(fields)))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 409, 409, 409, 409])
  })

  test('is over after ten seconds', async () => {
    const challenge = await issue()
    running.clock.advance(9_999)
    const just = await issue()
    running.clock.advance(1)
    expect(await statusAndCode({ ...(await still()), challenge })).toEqual(invalid)
    expect((await statusAndCode({ ...(await still()), challenge: just }))[0]).toBe(200)
  })

  test('is good at its own kiosk only, and made up for nobody', async () => {
    await registerKiosk(running, 'BACK')
    expect(await statusAndCode({ ...(await still()), challenge: await issue('BACK') })).toEqual(invalid)
    expect(await statusAndCode({ ...(await still()), challenge: 'made-up' })).toEqual(invalid)
  })

  test('is spent by a check that fails, and sent again with its event it answers as before', async () => {
    const challenge = await issue()
    const blank = await blankPicture()
    const fields = { image: [blank, blank, blank], frame_ms: [0, 1, 2], challenge }
    const first = await check(fields, { 'idempotency-key': 'event-3' })
    expect(first.json().code).toBe('no_face')
    expect(await statusAndCode({ ...(await still()), challenge })).toEqual(invalid)
    const again = await check(fields, { 'idempotency-key': 'event-3' })
    expect(again.json().decision_id).toBe(first.json().decision_id)
  })

  test('is given to a kiosk for itself, and to none that is unknown or deactivated', async () => {
    await registerKiosk(running, 'BACK')
    const gate = await kioskHeaders(running, 'GATE')
    expect((await challengeFor('GATE', gate)).statusCode).toBe(200)
    expect((await challengeFor('BACK', gate)).json().code).toBe('wrong_device')
    expect((await challengeFor('NOBODY')).json().code).toBe('unknown_device')
    await setKiosk({ is_active: false })
    expect((await challengeFor('GATE')).json().code).toBe('unknown_device')
  })

  test('that is over for a minute is forgotten', async () => {
    await issue()
    running.clock.advance(70_001)
    const fresh = await issue()
    expect(await forgetChallenges(running.db, running.clock.now())).toBe(1)
    expect((await statusAndCode({ ...(await still()), challenge: fresh }))[0]).toBe(200)
  })
})
