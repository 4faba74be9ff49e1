import type { LightMyRequestResponse } from 'fastify'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { changed, openCompany } from '../attendance/company.ts'
import {
  enrol,
  form,
  recordPunch,
  registerKiosk,
  rowCounts,
  signIn,
  type TestApp,
  testApp,
} from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  running.clock.set('2025-03-03T12:00:00Z')
  await running.clear()
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

const enterFace = (...punch: [person: string, kiosk: string, time: string, type: 'IN' | 'OUT']) =>
  running.ledger.punches((trx) => recordPunch(trx, ...punch))
const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const url = '/api/v1/attendance'
const get = (path: string) => running.app.inject(`${url}${path}`)
const post = (path: string, payload: object, headers = {}) =>
  running.app.inject({ method: 'POST', url: `${url}${path}`, payload, headers })
const rows = () => running.db.selectFrom('attendance').selectAll().orderBy('id').execute()
const decision = (id: number) =>
  running.db.selectFrom('decisions').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
const idsOf = (answer: LightMyRequestResponse) => answer.json().map(({ id }: { id: number }) => id)

describe('a punch entered by hand', () => {
  const forgotten = {
    employee_id: 'ANN',
    attendance_type: 'OUT',
    timestamp: '2025-03-03T17:30:00+07:00',
    notes: 'Forgot to check out, was seen leaving',
  }
  const enter = (changes: object = {}, headers = {}) => post('/manual', { ...forgotten, ...changes }, headers)

  beforeEach(async () => {
    await registerKiosk(running, 'GATE')
    await enrol(running, 'ANN')
  })

  test('stands in the lists as what it is', async () => {
    const answer = await enter()
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({
      id: 1,
      employee_id: 'ANN',
      employee_name: 'ANN',
      device_id: null,
      timestamp: '2025-03-03T10:30:00.000Z',
      attendance_type: 'OUT',
      confidence_score: 0,
      liveness: 'unavailable',
      decision_id: 1,
      image_path: null,
      notes: forgotten.notes,
      kind: 'manual',
      corrects: null,
      is_void: false,
      superseded_by: null,
      disputed: null,
    })
    expect((await get('')).json()).toEqual([answer.json()])
    expect((await get('/1')).json()).toEqual(answer.json())
  })

  test('has a record of who vouches for it, and why', async () => {
    const headers = await signIn(running.db, 'hr')
    const { decision_id } = (await enter({ device_id: 'GATE' }, headers)).json()
    expect(await decision(decision_id)).toMatchObject({
      kind: 'manual',
      outcome: 'entered',
      device_id: 'GATE',
      employee_id: 'ANN',
      pack: null,
      confidence: null,
      created_at: running.clock.now(),
      record: { entered_by: expect.stringMatching(/^user:\d+$/), notes: forgotten.notes },
    })
  })

  test('is possible for a person who left', async () => {
    await running.app.inject({ method: 'DELETE', url: '/api/v1/employees/ANN' })
    expect((await enter()).statusCode).toBe(201)
  })

  test('twice is refused, and names the one that is there', async () => {
    await enter()
    const again = await enter({ timestamp: '2025-03-03T10:30:30Z' })
    expect(statusAndCode(again)).toEqual([409, 'duplicate_punch'])
    expect(again.json().attendance_id).toBe(1)
    expect((await enter({ attendance_type: 'IN' })).statusCode).toBe(201)
    expect((await enter({ timestamp: '2025-03-03T10:32:00Z' })).statusCode).toBe(201)
  })

  test('sent ten times at once is one', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => enter()))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, ...Array(9).fill(409)])
    expect(await rows()).toHaveLength(1)
  })

  test.each([
    ['no reason', { notes: undefined }, 422, 'invalid_request'],
    ['an empty reason', { notes: ' ' }, 422, 'invalid_request'],
    ['AUTO', { attendance_type: 'AUTO' }, 422, 'invalid_request'],
    ['a time without a zone', { timestamp: '2025-03-03T10:30:00' }, 422, 'invalid_request'],
    ['a time to come', { timestamp: '2025-03-03T12:05:01Z' }, 422, 'invalid_request'],
    ['a mistyped year', { timestamp: '0205-03-03T10:30:00Z' }, 422, 'invalid_request'],
    ['somebody unknown', { employee_id: 'NOBODY' }, 404, 'employee_not_found'],
    ['an unknown kiosk', { device_id: 'NOWHERE' }, 404, 'device_not_found'],
  ])('with %s is refused and leaves nothing', async (_what, changes, status, code) => {
    const before = await rowCounts(running.db)
    expect(statusAndCode(await enter(changes))).toEqual([status, code])
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test.each(['manager', 'viewer'] as const)('is not for a %s', async (role) => {
    const headers = await signIn(running.db, role)
    expect(statusAndCode(await enter({}, headers))).toEqual([403, 'forbidden'])
  })
})

describe('a correction', () => {
  const notes = 'The clock at the gate was wrong'
  const correct = (id: number, changes: object, headers = {}) =>
    post(`/${id}/correct`, { notes, ...changes }, headers)

  beforeEach(async () => {
    await registerKiosk(running, 'GATE')
    await enrol(running, 'ANN')
    await enterFace('ANN', 'GATE', '2025-03-03T01:00:00Z', 'IN')
  })

  test('is a new row in the place of the old one, which stays as it was', async () => {
    const [old] = await rows()
    const answer = await correct(1, { timestamp: '2025-03-03T00:45:00Z' })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toMatchObject({
      id: 2,
      corrects: 1,
      kind: 'correction',
      employee_id: 'ANN',
      device_id: 'GATE',
      timestamp: '2025-03-03T00:45:00.000Z',
      attendance_type: 'IN',
      confidence_score: 0.9,
      is_void: false,
      superseded_by: null,
      notes,
    })
    expect((await rows())[0]).toEqual(old)
    expect((await get('')).json()).toEqual([answer.json()])
  })

  test('has a record of who made it, what was and what is', async () => {
    const headers = await signIn(running.db, 'hr')
    const { decision_id } = (await correct(1, { attendance_type: 'OUT' }, headers)).json()
    expect(await decision(decision_id)).toMatchObject({
      kind: 'correction',
      outcome: 'corrected',
      employee_id: 'ANN',
      record: {
        entered_by: expect.stringMatching(/^user:\d+$/),
        notes,
        corrects: 1,
        before: { timestamp: '2025-03-03T01:00:00.000Z', attendance_type: 'IN', is_void: false },
        after: { timestamp: '2025-03-03T01:00:00.000Z', attendance_type: 'OUT', is_void: false },
      },
    })
  })

  test('hides the old row, unless all are asked for', async () => {
    await correct(1, { attendance_type: 'OUT' })
    expect(idsOf(await get(''))).toEqual([2])
    const all = await get('?include=all')
    expect(idsOf(all)).toEqual([2, 1])
    expect(all.headers['x-total-count']).toBe('2')
    expect(all.json().map((punch: { superseded_by: number }) => punch.superseded_by)).toEqual([null, 2])
    expect((await get('/1')).json()).toMatchObject({ superseded_by: 2 })
  })

  test('can take a punch away, and give it back', async () => {
    expect((await correct(1, { void: true })).json()).toMatchObject({ id: 2, is_void: true, corrects: 1 })
    expect(idsOf(await get(''))).toEqual([])
    expect(idsOf(await get('?include=all'))).toEqual([2, 1])
    expect(statusAndCode(await correct(2, { void: true }))).toEqual([422, 'invalid_request'])
    expect((await correct(2, { attendance_type: 'IN' })).json()).toMatchObject({ id: 3, is_void: false })
    expect(idsOf(await get(''))).toEqual([3])
  })

  test('can be corrected itself, and only the last one', async () => {
    await correct(1, { attendance_type: 'OUT' })
    const again = await correct(1, { timestamp: '2025-03-03T02:00:00Z' })
    expect(statusAndCode(again)).toEqual([409, 'already_corrected'])
    expect(again.json().superseded_by).toBe(2)
    expect((await correct(2, { timestamp: '2025-03-03T02:00:00Z' })).json()).toMatchObject({
      id: 3,
      corrects: 2,
      attendance_type: 'OUT',
    })
    expect(idsOf(await get(''))).toEqual([3])
  })

  test('of ten at once one wins', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => correct(1, { timestamp: `2025-03-03T02:0${i}:00Z` })),
    )
    const won = answers.filter(({ statusCode }) => statusCode === 201)
    expect(won).toHaveLength(1)
    for (const answer of answers)
      if (answer !== won[0]) expect(statusAndCode(answer)).toEqual([409, 'already_corrected'])
    expect(await rows()).toHaveLength(2)
    expect((await get('')).json()).toEqual([won[0].json()])
  })

  test('to where the person has such a punch already is refused, and names that one', async () => {
    const other = await enterFace('ANN', 'GATE', '2025-03-03T05:00:00Z', 'IN')
    await enterFace('ANN', 'GATE', '2025-03-03T05:00:00Z', 'OUT')
    const before = await rowCounts(running.db)
    for (const timestamp of ['2025-03-03T05:00:00Z', '2025-03-03T05:01:00Z', '2025-03-03T04:59:00Z']) {
      const answer = await correct(1, { timestamp })
      expect(statusAndCode(answer)).toEqual([409, 'duplicate_punch'])
      expect(answer.json().attendance_id).toBe(other)
    }
    const retyped = await correct(3, { attendance_type: 'IN' })
    expect(statusAndCode(retyped)).toEqual([409, 'duplicate_punch'])
    expect(await rowCounts(running.db)).toEqual(before)
    expect((await correct(1, { timestamp: '2025-03-03T05:01:01Z' })).statusCode).toBe(201)
  })

  test('by a few seconds is no duplicate of the punch that it corrects', async () => {
    expect((await correct(1, { timestamp: '2025-03-03T01:00:20Z' })).statusCode).toBe(201)
    expect((await correct(2, { timestamp: '2025-03-03T01:00:00Z' })).statusCode).toBe(201)
    expect(idsOf(await get(''))).toEqual([3])
  })

  test('does not give back a punch that was entered anew meanwhile', async () => {
    await correct(1, { void: true })
    const again = { employee_id: 'ANN', attendance_type: 'IN', timestamp: '2025-03-03T01:00:00Z', notes }
    expect((await post('/manual', again)).statusCode).toBe(201)
    expect(statusAndCode(await correct(2, { attendance_type: 'IN' }))).toEqual([409, 'duplicate_punch'])
    expect(idsOf(await get(''))).toEqual([3])
  })

  test.each([
    [1, { notes: undefined, void: true }, 422, 'invalid_request'],
    [1, {}, 422, 'invalid_request'],
    [1, { void: false }, 422, 'invalid_request'],
    [1, { void: true, attendance_type: 'OUT' }, 422, 'invalid_request'],
    [1, { attendance_type: 'IN' }, 422, 'invalid_request'],
    [1, { timestamp: '2025-03-03T12:05:01Z' }, 422, 'invalid_request'],
    [99, { void: true }, 404, 'punch_not_found'],
    [2 ** 31, { void: true }, 422, 'invalid_request'],
  ])('of %s with %o is refused and leaves nothing', async (id, changes, status, code) => {
    const before = await rowCounts(running.db)
    expect(statusAndCode(await correct(id, changes))).toEqual([status, code])
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('decides what the next check finds: neither a voided nor a corrected punch is a duplicate of it', async () => {
    await running.clear()
    await openCompany(running)
    const image = await changed('blonde')
    const check = () => post('/check', form({ image, device_id: 'GATE' }))
    const first = (await check()).json()
    await correct(first.attendance_id, { void: true })
    const second = (await check()).json()
    expect(second).toMatchObject({ duplicate: false })
    await correct(second.attendance_id, { timestamp: '2025-03-03T08:00:00Z' })
    const third = (await check()).json()
    expect(third).toMatchObject({ duplicate: false })
    expect((await check()).json()).toMatchObject({ duplicate: true, attendance_id: third.attendance_id })
  })
})
