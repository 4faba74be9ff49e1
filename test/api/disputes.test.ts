import { readdir } from 'node:fs/promises'
import type { LightMyRequestResponse } from 'fastify'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { kioskPicture } from '../../bench/people.ts'
import { releaseQuarantine } from '../../src/gallery/learn.ts'
import { assign } from '../attendance/company.ts'
import { portrait } from '../face/portraits.ts'
import { bonaFidePunch, goodCheck, learnFrom, learningDeps } from '../gallery/learned.ts'
import {
  enrol,
  form,
  kioskHeaders,
  registerKiosk,
  rowCounts,
  signIn,
  type TestApp,
  testApp,
} from '../support/app.ts'

const DAY_MS = 24 * 3_600_000
const start = new Date('2025-03-03T01:00:00Z')
let running: TestApp
let [ann, bob, take]: Buffer[] = []
let gate: { 'x-device-key': string }

beforeAll(async () => {
  running = await testApp()
  ;[ann, bob] = await Promise.all([portrait('blonde'), portrait('longHair')])
  take = await kioskPicture('blonde', 1)
})
beforeEach(async () => {
  running.clock.set(start.toISOString())
  await running.clear()
  for (const id of ['GATE', 'BACK']) await registerKiosk(running, id)
  gate = await kioskHeaders(running, 'GATE')
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

const post = (path: string, payload: object, headers = {}) =>
  running.app.inject({ method: 'POST', url: `/api/v1/attendance${path}`, payload, headers })
const get = (path: string, headers = {}) => running.app.inject({ url: `/api/v1/attendance${path}`, headers })
const notMe = (id: number, headers: object = gate, device_id = 'GATE') =>
  post(`/${id}/not-me`, { device_id }, headers)
const resolve = (id: number, resolution: object, headers = {}) =>
  post(`/${id}/not-me/resolve`, resolution, headers)
const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const idsOf = (answer: LightMyRequestResponse) => answer.json().map(({ id }: { id: number }) => id)
const disputes = () => running.db.selectFrom('disputes').selectAll().orderBy('punch_id').execute()
const learned = () =>
  running.db.selectFrom('face_templates').selectAll().where('created_from', '=', 'ATTENDANCE').execute()
const lookAlikes = () => running.db.selectFrom('look_alikes').selectAll().execute()
/** A check that was said to be Ann's, with these candidates. */
const annsPunch = (...candidates: string[]) => bonaFidePunch(running, 'ANN', { candidates })

describe('saying at the kiosk that it was somebody else', () => {
  beforeEach(() => enrol(running, 'ANN'))

  test('marks the punch at once, in every list', async () => {
    const id = await annsPunch()
    expect((await get(`/${id}`)).json()).toMatchObject({ disputed: null })
    const answer = await notMe(id)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      success: true,
      message: expect.any(String),
      attendance_id: id,
      disputed: 'open',
    })
    for (const path of ['', '?disputed=open', '/today?limit=5', '/history/GATE', '/employee/ANN']) {
      const list = (await get(path)).json()
      expect((list.punches ?? list)[0]).toMatchObject({ id, disputed: 'open' })
    }
    expect((await get('/disputes')).json()).toMatchObject([
      {
        attendance_id: id,
        state: 'open',
        employee_id: 'ANN',
        device_id: 'GATE',
        disputed_at: start.toISOString(),
      },
    ])
  })

  test('is possible for ten seconds, of which the way of the answer takes up to five more', async () => {
    const id = await annsPunch()
    running.clock.advance(15_001)
    const before = await rowCounts(running.db)
    expect(outcome(await notMe(id))).toEqual([409, 'not_me_too_late'])
    expect(await rowCounts(running.db)).toEqual(before)
    running.clock.advance(-1)
    expect((await notMe(id)).statusCode).toBe(200)
  })

  test('counts from the check, not from the time that the kiosk gave for it', async () => {
    await enrol(running, 'BOB', bob!)
    const earlier = new Date(start.getTime() - 3_600_000).toISOString()
    const upload = form({ image: bob!, device_id: 'GATE', captured_at: earlier })
    const { attendance_id } = (await post('/upload', upload, gate)).json()
    running.clock.advance(9000)
    expect((await notMe(attendance_id)).statusCode).toBe(200)
  })

  test('sent again says the same and changes nothing, also when the answer was long on its way', async () => {
    const id = await annsPunch()
    const first = await notMe(id)
    const before = await rowCounts(running.db)
    for (const wait of [0, 5000, 60_000]) {
      running.clock.advance(wait)
      expect((await notMe(id)).json()).toEqual(first.json())
    }
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('sent five times at once is one dispute', async () => {
    const id = await annsPunch()
    const answers = await Promise.all(Array.from({ length: 5 }, () => notMe(id)))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(5).fill(200))
    expect(await disputes()).toHaveLength(1)
  })

  test('is for the kiosk of the check alone', async () => {
    const id = await annsPunch()
    const back = await kioskHeaders(running, 'BACK')
    expect(outcome(await notMe(id, back))).toEqual([403, 'wrong_device'])
    expect(outcome(await notMe(id, back, 'BACK'))).toEqual([403, 'wrong_device'])
    expect(await disputes()).toEqual([])
  })

  test('is for no person and no program', async () => {
    const id = await annsPunch()
    for (const role of ['owner', 'admin', 'hr', 'viewer'] as const)
      expect(outcome(await notMe(id, await signIn(running.db, role)))).toEqual([403, 'forbidden'])
    expect(outcome(await notMe(id, { authorization: '' }))).toEqual([401, 'not_signed_in'])
  })

  test('is about a check: neither about what was entered by hand, nor about nothing', async () => {
    const entry = {
      employee_id: 'ANN',
      attendance_type: 'IN',
      timestamp: start,
      notes: 'Seen',
      device_id: 'GATE',
    }
    const { id } = (await post('/manual', entry)).json()
    expect(outcome(await notMe(id))).toEqual([403, 'wrong_device'])
    expect(outcome(await notMe(999))).toEqual([404, 'punch_not_found'])
  })

  test('of a kiosk without a key is taken where kiosks need none', async () => {
    const open = await testApp({}, { DEVICE_AUTH: 'open' })
    try {
      await registerKiosk(open, 'GATE')
      await registerKiosk(open, 'BACK')
      await enrol(open, 'ANN')
      const id = await bonaFidePunch(open, 'ANN')
      const say = (device_id: string) =>
        open.app.inject({
          method: 'POST',
          url: `/api/v1/attendance/${id}/not-me`,
          payload: { device_id },
          headers: { authorization: '', host: 'localhost' },
        })
      expect((await say('BACK')).statusCode).toBe(403)
      expect((await say('GATE')).statusCode).toBe(200)
    } finally {
      await open.close()
    }
  })
})

describe('what was learned from a disputed punch', () => {
  let id: number
  beforeEach(async () => {
    await enrol(running, 'ANN', ann!)
    const check = await goodCheck(running, 'ANN', take!)
    id = check.punchId
    await learnFrom(running, check)
    // A quarantine that is over, as if ten seconds were longer than a day.
    running.clock.advance(DAY_MS)
    await releaseQuarantine(learningDeps(running), start)
    expect(running.gallery.templates).toBe(2)
    running.clock.set(start.toISOString())
    await notMe(id)
    running.clock.advance(DAY_MS)
  })

  test('is searched no longer, from that moment on', async () => {
    expect(running.gallery.templates).toBe(1)
    await running.gallery.reload()
    expect(running.gallery.templates).toBe(1)
    expect(await learned()).toMatchObject([{ is_suspended: true }])
  })

  test('is told to other servers', async () => {
    const acts = await running.db
      .selectFrom('audit_log')
      .select(['action', 'subject'])
      .where('subject_kind', '=', 'face_templates')
      .orderBy('id', 'desc')
      .execute()
    expect(acts[0]).toEqual({ action: 'suspend', subject: 'ANN' })
  })

  test('comes back where it was the person all the same', async () => {
    expect((await resolve(id, { confirmed: false, notes: 'It was Ann' })).statusCode).toBe(200)
    expect(running.gallery.templates).toBe(2)
    expect(await learned()).toMatchObject([{ is_suspended: false }])
  })

  test('is deleted with its photo where it was somebody else', async () => {
    expect((await resolve(id, { confirmed: true })).json()).toMatchObject({ deleted_face_templates: 1 })
    expect(await learned()).toEqual([])
    expect(running.gallery.templates).toBe(1)
    expect(await readdir(running.uploads)).toHaveLength(1)
    expect((await running.app.inject('/api/v1/employees/ANN/photos')).json()).toHaveLength(1)
  })

  test('is not what other punches taught', async () => {
    await resolve(id, { confirmed: false })
    running.clock.advance(10 * DAY_MS)
    await learnFrom(running, await goodCheck(running, 'ANN', await kioskPicture('blonde', 2)))
    const other = await annsPunch()
    await notMe(other)
    expect((await resolve(other, { confirmed: true })).json()).toMatchObject({ deleted_face_templates: 0 })
    expect(await learned()).toHaveLength(2)
  })

  test('stays the only thing that is learned as long as nobody has looked into it', async () => {
    running.clock.advance(10 * DAY_MS)
    const check = await goodCheck(running, 'ANN', await kioskPicture('blonde', 2))
    await learnFrom(running, check)
    expect(await learned()).toHaveLength(1)
    await resolve(id, { confirmed: false })
    await learnFrom(running, check)
    expect(await learned()).toHaveLength(2)
  })
})

describe('a dispute that is confirmed', () => {
  let id: number
  beforeEach(async () => {
    for (const person of ['ANN', 'BOB', 'CYD']) await enrol(running, person)
    id = await annsPunch('ANN', 'CYD')
    await notMe(id)
  })

  test('takes the punch away by a correction, and gives it to whoever it was', async () => {
    const hr = await signIn(running.db, 'hr')
    const answer = await resolve(id, { confirmed: true, employee_id: 'BOB', notes: 'On the camera' }, hr)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      success: true,
      message: expect.any(String),
      attendance_id: id,
      state: 'confirmed',
      correction_id: id + 1,
      entered_id: id + 2,
      deleted_face_templates: 0,
      look_alike: 'BOB',
    })
    expect((await get('')).json()).toMatchObject([
      {
        id: id + 2,
        employee_id: 'BOB',
        kind: 'manual',
        timestamp: start.toISOString(),
        notes: 'On the camera',
      },
    ])
    expect((await get(`/${id}`)).json()).toMatchObject({ superseded_by: id + 1, disputed: 'confirmed' })
    expect((await get(`/${id + 1}`)).json()).toMatchObject({ corrects: id, is_void: true })
    expect((await get('/disputes')).json()).toMatchObject([
      {
        state: 'confirmed',
        resolved_at: start.toISOString(),
        resolved_by: expect.stringMatching(/^user:\d+$/),
        actual_employee_id: 'BOB',
        correction_id: id + 1,
        notes: 'On the camera',
      },
    ])
  })

  test('widens the margin between the two, whichever pack runs', async () => {
    await resolve(id, { confirmed: true, employee_id: 'BOB' })
    expect(await lookAlikes()).toMatchObject([
      { employee_a: 'ANN', employee_b: 'BOB', origin: 'dispute', pack: null, margin: 0.15, confidence: null },
    ])
  })

  test('widens it to whom the face resembled next, where nobody knows who it was', async () => {
    expect((await resolve(id, { confirmed: true })).json()).toMatchObject({
      look_alike: 'CYD',
      entered_id: null,
    })
    expect(await lookAlikes()).toMatchObject([{ employee_a: 'ANN', employee_b: 'CYD' }])
    expect(await disputes()).toMatchObject([{ actual_employee_id: null }])
  })

  test('widens none where the face resembled nobody else', async () => {
    const alone = await annsPunch('ANN')
    await notMe(alone)
    expect((await resolve(alone, { confirmed: true })).json()).toMatchObject({ look_alike: null })
    expect(await lookAlikes()).toEqual([])
  })

  test('of the same two people once more leaves the one margin', async () => {
    await resolve(id, { confirmed: true, employee_id: 'BOB' })
    running.clock.advance(3_600_000)
    const again = await annsPunch('ANN', 'BOB')
    await notMe(again)
    expect((await resolve(again, { confirmed: true })).statusCode).toBe(200)
    expect(await lookAlikes()).toHaveLength(1)
  })

  test('does not punch twice for whoever checked in once more and was recognised', async () => {
    running.clock.advance(5000)
    await bonaFidePunch(running, 'BOB')
    const answer = await resolve(id, { confirmed: true, employee_id: 'BOB' })
    expect(answer.json()).toMatchObject({ state: 'confirmed', entered_id: null })
    expect((await get('')).json()).toMatchObject([{ employee_id: 'BOB', kind: 'face' }])
  })

  test('takes away what stands in the place of the punch by now', async () => {
    await post(`/${id}/correct`, { attendance_type: 'OUT', notes: 'It was the evening' })
    expect((await resolve(id, { confirmed: true })).json()).toMatchObject({ correction_id: id + 2 })
    expect((await get(`/${id + 1}`)).json()).toMatchObject({ superseded_by: id + 2 })
    expect(idsOf(await get(''))).toEqual([])
  })

  test('is content with a punch that was taken away already', async () => {
    await post(`/${id}/correct`, { void: true, notes: 'Obviously not Ann' })
    expect((await resolve(id, { confirmed: true })).json()).toMatchObject({ correction_id: id + 1 })
    expect(idsOf(await get('?include=all'))).toEqual([id + 1, id])
  })

  test('twice, or by two at once, counts once', async () => {
    const answers = await Promise.all([true, true, false].map((confirmed) => resolve(id, { confirmed })))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 409, 409])
    expect(outcome(await resolve(id, { confirmed: true }))).toEqual([409, 'dispute_settled'])
    expect((await notMe(id)).json().disputed).toBe((await disputes())[0]!.state)
  })

  test.each<[string, object, number, string]>([
    ['the person themself', { confirmed: true, employee_id: 'ANN' }, 422, 'invalid_request'],
    ['somebody unknown', { confirmed: true, employee_id: 'NOBODY' }, 404, 'employee_not_found'],
    ['whom it was, and rejected', { confirmed: false, employee_id: 'BOB' }, 422, 'invalid_request'],
    ['no word', {}, 422, 'invalid_request'],
  ])('with %s is refused and leaves everything', async (_what, resolution, status, code) => {
    const before = await rowCounts(running.db)
    expect(outcome(await resolve(id, resolution))).toEqual([status, code])
    expect(await rowCounts(running.db)).toEqual(before)
    expect(await disputes()).toMatchObject([{ state: 'open' }])
  })

  test('about a punch that nobody disputes is not found, unless whoever decides says that it is of somebody else', async () => {
    const other = await annsPunch()
    for (const [punch, confirmed] of [
      [other, false],
      [999, false],
      [999, true],
    ] as const)
      expect(outcome(await resolve(punch, { confirmed }))).toEqual([404, 'dispute_not_found'])
    // Hours later.
    running.clock.advance(5 * 3_600_000)
    const resolved = await resolve(other, { confirmed: true, notes: 'The camera shows Bob' })
    expect(resolved.json()).toMatchObject({ state: 'confirmed', attendance_id: other })
    expect((await get(`/${other}`)).json()).toMatchObject({ disputed: 'confirmed' })
  })

  test('leaves an audit row of its own that says who', async () => {
    const hr = await signIn(running.db, 'hr')
    await resolve(id, { confirmed: true }, hr)
    const rows = await running.db
      .selectFrom('audit_log')
      .select(['by', 'action', 'subject_kind'])
      .where('by', 'like', 'user:%')
      .orderBy('id', 'desc')
      .limit(4)
      .execute()
    const acts = rows.map(({ action, subject_kind }) => `${action} ${subject_kind}`)
    expect(acts.sort()).toEqual([
      'look_alike employees',
      'look_alike employees',
      'update disputes',
      'voided attendance',
    ])
  })

  test.each(['manager', 'viewer'] as const)('is not for a %s', async (role) => {
    const headers = await signIn(running.db, role)
    expect(outcome(await resolve(id, { confirmed: true }, headers))).toEqual([403, 'forbidden'])
  })

  test('goes when the person is purged, and forgets whoever is purged as the one it was', async () => {
    await resolve(id, { confirmed: true, employee_id: 'BOB' })
    const purge = (person: string) =>
      running.app.inject({
        method: 'DELETE',
        url: `/api/v1/employees/${person}?purge=true&confirm=${person}`,
      })
    expect((await purge('BOB')).statusCode).toBe(200)
    expect(await disputes()).toMatchObject([{ actual_employee_id: null }])
    expect((await purge('ANN')).statusCode).toBe(200)
    expect([await disputes(), await lookAlikes()]).toEqual([[], []])
  })
})

describe('the list of disputes', () => {
  beforeEach(async () => {
    for (const person of ['ANN', 'BOB']) await enrol(running, person)
    await running.ledger.by({ by: 'test' })((trx) => assign(trx, { ANN: 'Sales', BOB: 'IT' }))
    for (const person of ['ANN', 'BOB', 'ANN']) {
      running.clock.advance(120_000)
      await notMe(await bonaFidePunch(running, person))
    }
    await resolve(1, { confirmed: true, employee_id: 'BOB' })
  })
  const punchesOf = (answer: LightMyRequestResponse) =>
    answer.json().map(({ attendance_id }: { attendance_id: number }) => attendance_id)

  test('is newest first, by state, in pages', async () => {
    expect(punchesOf(await get('/disputes'))).toEqual([3, 2, 1])
    expect(punchesOf(await get('/disputes?state=open'))).toEqual([3, 2])
    expect(punchesOf(await get('/disputes?state=confirmed'))).toEqual([1])
    const page = await get('/disputes?limit=1&skip=1')
    expect(punchesOf(page)).toEqual([2])
    expect(page.headers['x-total-count']).toBe('3')
    expect((await get('/disputes?state=closed')).statusCode).toBe(422)
  })

  test('shows managers those of their departments, and nobody whom they may not see', async () => {
    const sales = await get('/disputes', await signIn(running.db, 'manager', ['Sales']))
    expect(punchesOf(sales)).toEqual([3, 1])
    expect(sales.json()[1]).toMatchObject({ state: 'confirmed', actual_employee_id: null })
    const both = await get('/disputes', await signIn(running.db, 'manager', ['Sales', 'IT']))
    expect(both.json()[2]).toMatchObject({ actual_employee_id: 'BOB' })
    expect(punchesOf(await get('/disputes', await signIn(running.db, 'manager', ['HR'])))).toEqual([])
  })
})
