import type { LightMyRequestResponse } from 'fastify'
import { sql } from 'kysely'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { forgetKeys } from '../../src/attendance/records.ts'
import type { FaceEngine } from '../../src/face/engine.ts'
import { AppError } from '../../src/shared/errors.ts'
import { createWorkQueue } from '../../src/shared/work-queue.ts'
import { type PortraitName, portrait } from '../face/portraits.ts'
import {
  enrol,
  form,
  moreServers,
  recordPunch,
  registerKiosk,
  rowCounts,
  type TestApp,
  testApp,
} from '../support/app.ts'

let running: TestApp
let ann: Buffer
let bob: Buffer
let stranger: Buffer
let blank: Buffer

beforeAll(async () => {
  running = await testApp()
  ;[ann, bob, stranger] = await Promise.all([changed('blonde'), changed('longHair'), changed('sunlit')])
  blank = await sharp({ create: { width: 300, height: 300, channels: 3, background: '#777' } })
    .jpeg()
    .toBuffer()
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

/** The same face as a kiosk would see it another day: turned, darker, smaller, badly compressed. */
async function changed(name: PortraitName): Promise<Buffer> {
  const turned = await sharp(await portrait(name))
    .rotate(8, { background: '#888' })
    .modulate({ brightness: 0.8 })
    .toBuffer()
  return sharp(turned).resize(300).jpeg({ quality: 60 }).toBuffer()
}

/** Ann and Bob are enrolled, and there is a kiosk. */
async function openCompany(company: TestApp = running): Promise<void> {
  await registerKiosk(company, 'GATE')
  await enrol(company, 'ANN', await portrait('blonde'))
  await enrol(company, 'BOB', await portrait('longHair'))
}

interface Check {
  image?: Uint8Array
  device_id?: string
  attendance_type?: string
  key?: string
  company?: TestApp
}
const check = ({ image = ann, device_id = 'GATE', attendance_type, key, company = running }: Check = {}) =>
  company.app.inject({
    method: 'POST',
    url: '/api/v1/attendance/check',
    payload: form({ image, device_id, ...(attendance_type ? { attendance_type } : {}) }),
    headers: key === undefined ? {} : { 'idempotency-key': key },
  })
const get = (path: string) => running.app.inject(`/api/v1/attendance${path}`)
const punches = (company = running) => company.db.selectFrom('attendance').selectAll().orderBy('id').execute()
const decisions = (company = running) =>
  company.db.selectFrom('decisions').selectAll().orderBy('id').execute()
const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
/** The body without what differs between any two answers. */
const lasting = (answer: LightMyRequestResponse) => {
  const { processing_time, request_id, ...rest } = answer.json()
  return rest
}

/** An engine that waits until the gate opens. */
function gated() {
  let open = () => {}
  let entered = 0
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const wrap = (engine: FaceEngine): FaceEngine => ({
    ...engine,
    analyse: async (...picture) => {
      entered++
      await gate
      return engine.analyse(...picture)
    },
  })
  return { wrap, open, entered: () => entered }
}

describe('a check of somebody enrolled', () => {
  beforeEach(() => openCompany())

  test('answers the keys that clients read and those that explain them', async () => {
    const answer = await check()
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      success: true,
      recognized: true,
      code: 'identified',
      message: 'Checked in',
      employee_id: 'ANN',
      employee_name: 'ANN',
      confidence: expect.closeTo(0.95, 0.2),
      attendance_type: 'IN',
      attendance_id: 1,
      timestamp: '2025-03-03T01:00:00.000Z',
      duplicate: false,
      liveness: 'unavailable',
      decision_id: 1,
      processing_time: expect.any(Number),
    })
    expect(answer.json().processing_time).toBeGreaterThan(0)
  })

  test('leaves one punch, which says that no liveness was checked', async () => {
    const body = (await check()).json()
    expect(await punches()).toEqual([
      {
        id: body.attendance_id,
        employee_id: 'ANN',
        device_id: 'GATE',
        timestamp: running.clock.now(),
        attendance_type: 'IN',
        confidence_score: body.confidence,
        liveness: 'unavailable',
        decision_id: body.decision_id,
        image_path: null,
        notes: null,
        corrects: null,
        is_void: false,
        salt: expect.any(String),
      },
    ])
  })

  test('leaves a record of everything that led to the decision', async () => {
    const body = (await check({ attendance_type: 'AUTO' })).json()
    const [decision] = await decisions()
    expect(decision).toMatchObject({
      created_at: running.clock.now(),
      device_id: 'GATE',
      kind: 'face',
      outcome: 'identified',
      employee_id: 'ANN',
      confidence: body.confidence,
      pack: running.engine.pack.name,
      calibration_id: null,
      duplicate_of: null,
    })
    expect(decision.record).toMatchObject({
      rule: 'above the threshold; AUTO: no open IN on this day',
      requested: 'AUTO',
      scale: 'raw',
      people: 2,
      thresholds: { confidence: 0.65, margin: 0.05, quality: 0.2 },
      liveness: { state: 'unavailable', policy: 'flag' },
      quality: { score: expect.any(Number), parts: expect.any(Object), measures: expect.any(Object) },
      face: { box: expect.any(Object), score: expect.any(Number), pose: expect.any(Object) },
      picture: { widthPx: 300, heightPx: 300 },
    })
    const { candidates } = decision.record as { candidates: { employee_id: string; confidence: number }[] }
    expect(candidates.map(({ employee_id }) => employee_id)).toEqual(['ANN', 'BOB'])
    expect(candidates[0]).toEqual({
      employee_id: 'ANN',
      template_id: 1,
      extrapolated: true,
      raw_score: expect.closeTo(0.98, 0.1),
      score: expect.closeTo(0.98, 0.1),
      minus_log10_fmr: expect.closeTo(8.5, 0),
      confidence: body.confidence,
      margin: null,
      look_alike: false,
    })
    expect(candidates[1]).toMatchObject({ margin: 0.05, look_alike: false })
    expect(candidates[1].confidence).toBeLessThan(0.65)
    expect(JSON.stringify(decision.record)).not.toMatch(/embedding|vector/)
  })

  test('is counted on the template that matched', async () => {
    const confidences = [(await check()).json().confidence]
    confidences.push((await check({ attendance_type: 'OUT' })).json().confidence)
    const template = () =>
      running.db
        .selectFrom('face_templates')
        .selectAll()
        .where('employee_id', '=', 'ANN')
        .executeTakeFirstOrThrow()
    await expect.poll(async () => (await template()).match_count).toBe(2)
    const { avg_match_confidence, last_matched } = await template()
    expect(avg_match_confidence).toBeCloseTo((confidences[0] + confidences[1]) / 2, 10)
    expect(last_matched).toEqual(running.clock.now())
  })

  test('knows either person from the other', async () => {
    expect((await check({ image: bob })).json()).toMatchObject({ employee_id: 'BOB', recognized: true })
    expect((await check({ image: ann })).json()).toMatchObject({ employee_id: 'ANN', recognized: true })
  })

  test('carries the name as it was last changed', async () => {
    await running.app.inject({ method: 'PUT', url: '/api/v1/employees/ANN', payload: { name: 'Ánh Nguyễn' } })
    expect((await check()).json().employee_name).toBe('Ánh Nguyễn')
  })

  test('answers with and without a trailing slash', async () => {
    const payload = form({ image: ann, device_id: 'GATE' })
    const answer = await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check/', payload })
    expect(answer.json().recognized).toBe(true)
  })
})

describe('a check of nobody', () => {
  test('a stranger is not recognised: a decision stays, and no punch', async () => {
    await openCompany()
    const answer = await check({ image: stranger })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      success: true,
      recognized: false,
      code: 'not_identified',
      message: 'Face not recognized',
      duplicate: false,
      liveness: 'unavailable',
      decision_id: 1,
      processing_time: expect.any(Number),
    })
    expect(await punches()).toEqual([])
    const [decision] = await decisions()
    expect(decision).toMatchObject({ outcome: 'not_identified', employee_id: null })
    expect(decision.confidence).toBeLessThan(0.65)
    expect(decision.record).toMatchObject({ rule: expect.stringContaining('below the threshold 0.650') })
  })

  test('nobody is recognised where nobody is enrolled', async () => {
    await registerKiosk(running, 'GATE')
    expect((await check()).json()).toMatchObject({ success: true, recognized: false })
    expect((await decisions())[0]).toMatchObject({ outcome: 'not_identified', confidence: null })
  })

  test('one face under two names is ambiguous, and neither of them punches', async () => {
    await openCompany()
    await enrol(running, 'TWIN', await portrait('blonde'))
    const answer = await check()
    expect(answer.json()).toMatchObject({ recognized: false, code: 'ambiguous', message: expect.any(String) })
    expect(answer.json()).not.toHaveProperty('employee_id')
    expect(await punches()).toEqual([])
  })

  test.each([
    ['deactivated', { is_active: false }],
    ['deleted', undefined],
  ])('a person who was %s is not recognised from then on', async (_how, payload) => {
    await openCompany()
    await check()
    running.clock.advance(3_600_000)
    await running.app.inject({ method: payload ? 'PUT' : 'DELETE', url: '/api/v1/employees/ANN', payload })
    expect((await check()).json()).toMatchObject({ recognized: false, code: 'not_identified' })
    expect((await get('/employee/ANN')).json()).toMatchObject([{ employee_id: 'ANN', attendance_type: 'IN' }])
    expect(running.gallery.people).toBe(1)
  })

  test('a person who was activated again is recognised again', async () => {
    await openCompany()
    for (const is_active of [false, true])
      await running.app.inject({ method: 'PUT', url: '/api/v1/employees/ANN', payload: { is_active } })
    expect((await check()).json().employee_id).toBe('ANN')
  })

  test('a person who is deactivated while the networks run does not punch', async () => {
    const gate = gated()
    const slow = await testApp({}, {}, gate.wrap)
    gate.open()
    await openCompany(slow)
    await slow.db.updateTable('employees').set({ is_active: false }).execute()
    // The gallery in memory has not heard of it yet.
    expect(slow.gallery.people).toBe(2)
    expect((await check({ company: slow })).json()).toMatchObject({
      recognized: false,
      code: 'not_identified',
    })
    expect((await decisions(slow))[0].record).toMatchObject({ rule: 'the person is no longer active' })
    await slow.close()
  })
})

describe('the kiosk', () => {
  beforeEach(() => openCompany())

  test('must be registered, else no row of any kind is made', async () => {
    const before = await rowCounts(running.db)
    expect(statusAndCode(await check({ device_id: 'ELSEWHERE', key: 'k' }))).toEqual([401, 'unknown_device'])
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('must be active', async () => {
    await running.app.inject({ method: 'PUT', url: '/api/v1/devices/GATE', payload: { is_active: false } })
    const before = await rowCounts(running.db)
    expect(statusAndCode(await check({ key: 'k' }))).toEqual([403, 'device_inactive'])
    expect(await rowCounts(running.db)).toEqual(before)
    await running.app.inject({ method: 'PUT', url: '/api/v1/devices/GATE', payload: { is_active: true } })
    expect((await check({ key: 'k' })).json().recognized).toBe(true)
  })

  test.each([
    ['deleted', 'DELETE', undefined, [401, 'unknown_device']],
    ['deactivated', 'PUT', { is_active: false }, [403, 'device_inactive']],
  ] as const)(
    'that is %s while the networks run leaves no punch',
    async (_how, method, payload, expected) => {
      const gate = gated()
      const slow = await testApp({ gallery: running.gallery }, {}, gate.wrap)
      await registerKiosk(slow, 'GATE')
      const waiting = check({ company: slow, key: 'k' })
      await expect.poll(gate.entered).toBe(1)
      await slow.app.inject({ method, url: '/api/v1/devices/GATE', payload })
      gate.open()
      expect(statusAndCode(await waiting)).toEqual(expected)
      expect([await punches(slow), await decisions(slow)]).toEqual([[], []])
      expect((await rowCounts(slow.db)).idempotency_keys).toBe(0)
      await slow.close()
    },
  )
})

describe('a second check', () => {
  beforeEach(() => openCompany())

  test('counts per type: an IN soon after an OUT is still the first IN', async () => {
    const first = (await check({ attendance_type: 'IN' })).json()
    running.clock.advance(10_000)
    expect((await check({ attendance_type: 'OUT' })).json()).toMatchObject({ duplicate: false })
    running.clock.advance(10_000)
    const again = (await check({ attendance_type: 'IN' })).json()
    expect(again).toMatchObject({ duplicate: true, attendance_id: first.attendance_id })
    expect(await punches()).toHaveLength(2)
  })

  test('within the window answers the first punch', async () => {
    const first = (await check()).json()
    running.clock.advance(60_000)
    const second = (await check({ attendance_type: 'IN' })).json()
    expect(second).toMatchObject({
      recognized: true,
      duplicate: true,
      code: 'duplicate',
      message: 'Already checked in at 08:00',
      employee_id: 'ANN',
      attendance_id: first.attendance_id,
      attendance_type: 'IN',
      timestamp: first.timestamp,
      decision_id: 2,
    })
    expect(await punches()).toHaveLength(1)
    expect((await decisions())[1]).toMatchObject({
      outcome: 'duplicate',
      duplicate_of: 1,
      employee_id: 'ANN',
    })
  })

  test('after the window is a punch of its own', async () => {
    await check()
    running.clock.advance(60_001)
    expect((await check()).json()).toMatchObject({ duplicate: false, attendance_id: 2 })
  })

  test('of the other type is a punch at once', async () => {
    await check()
    expect((await check({ attendance_type: 'OUT' })).json()).toMatchObject({
      duplicate: false,
      attendance_type: 'OUT',
      message: 'Checked out',
    })
    expect((await punches()).map((punch) => punch.attendance_type)).toEqual(['IN', 'OUT'])
  })

  test('of another person is no duplicate', async () => {
    await check()
    expect((await check({ image: bob })).json()).toMatchObject({ duplicate: false, employee_id: 'BOB' })
  })

  test('twenty at once at five kiosks make exactly one punch', async () => {
    const kiosks = ['K1', 'K2', 'K3', 'K4', 'K5']
    for (const kiosk of kiosks) await registerKiosk(running, kiosk)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => check({ device_id: kiosks[i % 5] })),
    )
    const [punch, ...more] = await punches()
    expect(more).toEqual([])
    const bodies = answers.map((answer) => answer.json())
    expect(bodies.map(({ attendance_id }) => attendance_id)).toEqual(Array(20).fill(punch.id))
    expect(bodies.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
    expect((await decisions()).map(({ outcome }) => outcome).sort()).toEqual([
      ...Array(19).fill('duplicate'),
      'identified',
    ])
  })
})

describe('AUTO', () => {
  beforeEach(() => openCompany())
  const checkAt = async (time: string) => {
    running.clock.set(time)
    return (await check({ attendance_type: 'AUTO' })).json().attendance_type
  }

  test('goes by the day of the place: 06:00 and 18:00 there lie on two days of UTC', async () => {
    expect(await checkAt('2025-03-02T23:00:00Z')).toBe('IN')
    expect(await checkAt('2025-03-03T11:00:00Z')).toBe('OUT')
    expect(await checkAt('2025-03-03T12:00:00Z')).toBe('IN')
  })

  test('starts a new day of the place with IN, although UTC has the same day', async () => {
    expect(await checkAt('2025-03-03T15:00:00Z')).toBe('IN')
    expect(await checkAt('2025-03-03T23:00:00Z')).toBe('IN')
  })
})

describe('an Idempotency-Key', () => {
  beforeEach(() => openCompany())

  test('makes the same request again answer the first result, long after the window', async () => {
    const first = await check({ key: 'event-1' })
    running.clock.advance(3_600_000)
    const again = await check({ key: 'event-1' })
    expect(lasting(again)).toEqual(lasting(first))
    expect([first, again].map(({ headers }) => headers['idempotent-replayed'])).toEqual([undefined, 'true'])
    expect([await punches(), await decisions()].map((rows) => rows.length)).toEqual([1, 1])
  })

  test('is forgotten once it is old, and no younger one with it', async () => {
    const start = running.clock.now()
    for (const key of ['old', 'on the day', 'young']) {
      await check({ key: key.replaceAll(' ', '-') })
      running.clock.advance(3_600_000)
    }
    expect(await forgetKeys(running.db, new Date(start.getTime() + 3_600_000))).toBe(1)
    expect(await forgetKeys(running.db, new Date(start.getTime() + 3_600_000))).toBe(0)
    const left = await running.db.selectFrom('idempotency_keys').select('key').orderBy('created_at').execute()
    expect(left.map(({ key }) => key)).toEqual(['on-the-day', 'young'])
    expect((await check({ key: 'old' })).headers).not.toHaveProperty('idempotent-replayed')
    expect((await check({ key: 'young' })).headers['idempotent-replayed']).toBe('true')
  })

  test('may not be used for another request', async () => {
    await check({ key: 'k' })
    expect(statusAndCode(await check({ key: 'k', image: bob }))).toEqual([409, 'idempotency_key_reused'])
    expect(statusAndCode(await check({ key: 'k', attendance_type: 'OUT' }))).toEqual([
      409,
      'idempotency_key_reused',
    ])
    expect(await punches()).toHaveLength(1)
  })

  test("belongs to one kiosk: another one's is its own", async () => {
    await registerKiosk(running, 'BACK')
    await check({ key: 'k' })
    expect((await check({ key: 'k', image: bob, device_id: 'BACK' })).json().employee_id).toBe('BOB')
  })

  test.each(['', 'with space', 'a'.repeat(256), 'tab\there', 'é'])(
    'of the form "%s" is refused',
    async (key) => {
      const answer = await check({ key })
      expect(statusAndCode(answer)).toEqual([422, 'invalid_request'])
      expect(answer.json().fields[0].path).toBe('idempotency-key')
      expect(await punches()).toEqual([])
    },
  )

  test('of ten requests at once makes one punch and one answer', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => check({ key: 'k' })))
    expect(
      new Set(answers.map((answer) => JSON.stringify(lasting(answer), Object.keys(lasting(answer)).sort())))
        .size,
    ).toBe(1)
    expect(answers[0].json()).toMatchObject({ duplicate: false, attendance_id: 1 })
    expect([await punches(), await decisions()].map((rows) => rows.length)).toEqual([1, 1])
  })

  test('sent to several servers at the same moment makes one punch and one answer', async () => {
    const servers = await moreServers(running, 4)
    const answers = await Promise.all(servers.map((company) => check({ key: 'k', company })))
    expect(answers.map((answer) => answer.statusCode)).toEqual([200, 200, 200, 200])
    for (const answer of answers) expect(lasting(answer)).toEqual(lasting(answers[0]))
    expect([await punches(), await decisions()].map((rows) => rows.length)).toEqual([1, 1])
    for (const server of servers) await server.close()
  })

  test('remembers a stranger too', async () => {
    const first = await check({ key: 'k', image: stranger })
    await enrol(running, 'CAT', await portrait('sunlit'))
    expect(lasting(await check({ key: 'k', image: stranger }))).toEqual(lasting(first))
    expect((await check({ key: 'k2', image: stranger })).json().employee_id).toBe('CAT')
  })

  test('remembers a refusal', async () => {
    const first = await check({ key: 'k', image: blank })
    const again = await check({ key: 'k', image: blank })
    expect(statusAndCode(first)).toEqual([422, 'no_face'])
    expect([again.statusCode, lasting(again)]).toEqual([422, lasting(first)])
    expect(statusAndCode(await check({ key: 'k' }))).toEqual([409, 'idempotency_key_reused'])
    expect((await decisions()).map(({ outcome }) => outcome)).toEqual(['no_face'])
  })

  test('does not remember a failure of ours', async () => {
    let failing = true
    const broken = await testApp({ gallery: running.gallery, db: running.db }, {}, (engine) => ({
      ...engine,
      analyse: async (...picture) => {
        if (failing) throw new AppError('model_failure', 'A network failed. Try again.')
        return engine.analyse(...picture)
      },
    }))
    const before = await rowCounts(running.db)
    expect(statusAndCode(await check({ key: 'k', company: broken }))).toEqual([503, 'model_failure'])
    expect(await rowCounts(running.db)).toEqual(before)
    failing = false
    expect((await check({ key: 'k', company: broken })).json().employee_id).toBe('ANN')
    await broken.close()
  })
})

describe('presentation attacks', () => {
  test('that nobody wants looked for are neither seen nor ruled out', async () => {
    const off = await testApp({}, { ANTI_SPOOFING_ENABLED: 'false' })
    await openCompany(off)
    const answer = (await check({ company: off })).json()
    expect(answer).toMatchObject({ recognized: true, liveness: 'unavailable' })
    expect((await punches(off))[0].liveness).toBe('unavailable')
    expect((await decisions(off))[0].record).toMatchObject({
      liveness: { state: 'unavailable', policy: 'off' },
    })
    const url = '/api/v1/recognition/process'
    const processed = await off.app.inject({ method: 'POST', url, payload: form({ image: ann }) })
    expect(processed.json()).toMatchObject({ is_real: null, liveness: 'unavailable' })
    await off.close()
  })
})

describe('too many checks at once', () => {
  test('are told to come back, over HTTP, and those that were taken are answered', async () => {
    const gate = gated()
    const queue = createWorkQueue({ atOnce: 1, maxWaiting: 1, maxWaitingPerKey: 1, maxWaitMs: 30_000 })
    const busy = await testApp({ queue }, { DEVICE_AUTH: 'open' }, gate.wrap)
    await registerKiosk(busy, 'GATE')
    const origin = await busy.app.listen({ host: '127.0.0.1', port: 0 })
    const send = () =>
      fetch(`${origin}/api/v1/attendance/check`, {
        method: 'POST',
        body: form({ image: ann, device_id: 'GATE' }),
      })
    const taken = [send()]
    await expect.poll(gate.entered).toBe(1)
    taken.push(send())
    await expect.poll(() => queue.waiting).toBe(1)

    const refused = await send()
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await refused.json()).toMatchObject({ success: false, code: 'overloaded' })
    expect((await fetch(`${origin}/health/live`)).status).toBe(200)
    gate.open()
    expect((await Promise.all(taken)).map(({ status }) => status)).toEqual([200, 200])
    expect((await send()).status).toBe(200)
    await busy.close()
  })
})

describe('the database', () => {
  test('is not held while the networks run', async () => {
    const gate = gated()
    const slow = await testApp({}, {}, gate.wrap)
    await registerKiosk(slow, 'GATE')
    const waiting = check({ company: slow, key: 'k' })
    await expect.poll(gate.entered).toBe(1)
    // The embedded database has a single connection; on a server nobody may sit in a transaction.
    expect((await slow.app.inject('/api/v1/employees')).statusCode).toBe(200)
    const { rows } = await sql`SELECT pid FROM pg_stat_activity
      WHERE datname = current_database() AND state LIKE 'idle in transaction%'`.execute(slow.db)
    expect(rows).toEqual([])
    gate.open()
    expect((await waiting).json()).toMatchObject({ success: true, recognized: false })
    await slow.close()
  })

  test('that is away makes every route say so, and nothing pretends', async () => {
    const dying = await testApp()
    await openCompany(dying)
    await dying.db.destroy()
    const url = '/api/v1/attendance'
    const answers = [
      await check({ company: dying }),
      await check({ company: dying, key: 'k' }),
      await dying.app.inject(url),
      await dying.app.inject(`${url}/history/GATE`),
      await dying.app.inject(`${url}/employee/ANN`),
    ]
    for (const answer of answers) {
      expect(statusAndCode(answer)).toEqual([503, 'database_unavailable'])
      expect(answer.json()).toMatchObject({ success: false })
      expect(answer.json()).not.toHaveProperty('recognized')
      expect(answer.headers['retry-after']).toBe('5')
    }
    await dying.close()
  })

  test('that goes away while the networks run refuses the punch', async () => {
    const gate = gated()
    const dying = await testApp({}, {}, gate.wrap)
    await registerKiosk(dying, 'GATE')
    const waiting = check({ company: dying, key: 'k' })
    await expect.poll(gate.entered).toBe(1)
    await dying.db.destroy()
    gate.open()
    expect(statusAndCode(await waiting)).toEqual([503, 'database_unavailable'])
    await dying.close()
  })

  test('that refuses the punch keeps neither decision nor key', async () => {
    const full = await testApp()
    await openCompany(full)
    await sql`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'could not extend file /secret' USING ERRCODE = '53100'; END $$`.execute(full.db)
    await sql`CREATE TRIGGER fail BEFORE INSERT ON attendance FOR EACH ROW EXECUTE FUNCTION fail()`.execute(
      full.db,
    )
    const before = await rowCounts(full.db)
    const answer = await check({ company: full, key: 'k' })
    expect(statusAndCode(answer)).toEqual([503, 'database_unavailable'])
    expect(answer.body).not.toContain('secret')
    expect(await rowCounts(full.db)).toEqual(before)
    await full.close()
  })
})

describe('lists of punches', () => {
  const enter = (...punch: [person: string, kiosk: string, time: string, type: 'IN' | 'OUT']) =>
    running.ledger.punches((trx) => recordPunch(trx, ...punch))
  const idsOf = (answer: LightMyRequestResponse) => answer.json().map((punch: { id: number }) => punch.id)

  beforeEach(async () => {
    await registerKiosk(running, 'GATE')
    await registerKiosk(running, 'BACK')
    await enrol(running, 'ANN')
    await enrol(running, 'BOB')
    await enter('ANN', 'GATE', '2025-03-03T01:00:00Z', 'IN')
    await enter('BOB', 'BACK', '2025-03-03T02:00:00Z', 'IN')
    await enter('ANN', 'BACK', '2025-03-03T10:00:00Z', 'OUT')
    // Written late, for an earlier time.
    await enter('BOB', 'GATE', '2025-03-02T10:00:00Z', 'OUT')
    await enter('ANN', 'GATE', '2025-03-03T10:00:00Z', 'IN')
  })

  test('give the newest first, each with the name of its person', async () => {
    const answer = await get('')
    expect(idsOf(answer)).toEqual([5, 3, 2, 1, 4])
    expect(answer.json()[4]).toEqual({
      id: 4,
      employee_id: 'BOB',
      employee_name: 'BOB',
      device_id: 'GATE',
      timestamp: '2025-03-02T10:00:00.000Z',
      attendance_type: 'OUT',
      confidence_score: 0.9,
      liveness: 'unavailable',
      decision_id: 4,
      image_path: null,
      notes: null,
      kind: 'face',
      corrects: null,
      is_void: false,
      superseded_by: null,
      disputed: null,
    })
  })

  test.each([
    ['?limit=2', [5, 3], '5'],
    ['?limit=2&skip=4', [4], '5'],
    ['?skip=9', [], '5'],
    ['?employee_id=ANN', [5, 3, 1], '3'],
    ['?device_id=BACK', [3, 2], '2'],
    ['?attendance_type=OUT', [3, 4], '2'],
    ['?attendance_type=OUT&employee_id=BOB', [4], '1'],
    ['?from=2025-03-03T02:00:00Z', [5, 3, 2], '3'],
    ['?to=2025-03-03T02:00:00Z', [1, 4], '2'],
    ['?from=2025-03-03T00:00:00%2B07:00&to=2025-03-03T10:00:00Z', [2, 1], '2'],
    ['?employee_id=nobody', [], '0'],
    ['/employee/BOB', [2, 4], '2'],
    ['/employee/BOB?from=2025-03-03T00:00:00Z', [2], '1'],
    ['/history/GATE', [5, 1, 4], '3'],
    ['/history/1', [5, 1, 4], '3'],
    ['/history/2?attendance_type=IN', [2], '1'],
  ])('%s holds exactly the right ones', async (path, ids, total) => {
    const answer = await get(path)
    expect(idsOf(answer)).toEqual(ids)
    expect(answer.headers['x-total-count']).toBe(total)
    expect(answer.headers.link).toContain('rel="first"')
  })

  test.each(['', '/employee/ANN', '/history/GATE'])(
    '%s answers with and without a trailing slash',
    async (path) => {
      expect((await get(`${path}/`)).json()).toEqual((await get(path)).json())
    },
  )

  test('following next visits every punch once', async () => {
    const seen: number[] = []
    let url: string | undefined = '/api/v1/attendance?limit=2'
    while (url !== undefined) {
      const answer: LightMyRequestResponse = await running.app.inject(url)
      seen.push(...idsOf(answer))
      url = /<([^>]+)>; rel="next"/.exec(String(answer.headers.link))?.[1]
    }
    expect(seen).toEqual([5, 3, 2, 1, 4])
  })

  test.each([
    'limit=0',
    'limit=-1',
    'limit=1001',
    'skip=-1',
    'from=yesterday',
    'to=2025-03-03',
    'attendance_type=BANANA',
    'employee_id=a%2Fb',
    'device_id=%00',
  ])('refuse %s', async (query) => {
    expect(statusAndCode(await get(`?${query}`))).toEqual([422, 'invalid_request'])
  })

  test.each([
    ['/history/NOWHERE', 'device_not_found'],
    ['/history/99', 'device_not_found'],
    ['/history/99999999999999999999', 'device_not_found'],
    ['/employee/NOBODY', 'employee_not_found'],
  ])('%s is 404', async (path, code) => {
    expect(statusAndCode(await get(path))).toEqual([404, code])
  })

  test('of a deleted kiosk stay', async () => {
    await running.app.inject({ method: 'DELETE', url: '/api/v1/devices/GATE' })
    expect(idsOf(await get('/history/GATE'))).toEqual([5, 1, 4])
  })
})
