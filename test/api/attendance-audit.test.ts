import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { changed, openCompany } from '../attendance/company.ts'
import { form, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let headers: { authorization: string }
let by: string

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  running.clock.set('2025-03-03T12:00:00Z')
  await running.clear()
  await openCompany(running)
  headers = await signIn(running.db, 'hr')
  by = `user:${(await running.app.inject({ url: '/api/v1/auth/me', headers })).json().id}`
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

const post = (path: string, payload: object) =>
  running.app.inject({ method: 'POST', url: `/api/v1/attendance${path}`, payload, headers })
const last = async () =>
  (await running.db.selectFrom('audit_log').selectAll().orderBy('id', 'desc').limit(1).execute())[0]!
const entered = async () =>
  (
    await running.db
      .selectFrom('ledger')
      .select('row_id')
      .where('kind', '=', 'punch')
      .orderBy('seq')
      .execute()
  ).map(({ row_id }) => Number(row_id))
const check = async () => {
  const image = await changed('blonde')
  const payload = form({ image, device_id: 'GATE' })
  return (await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload })).json()
}

test("a check-in's punch is in the ledger, and in the audit log nothing that it says itself", async () => {
  const before = await last()
  const { attendance_id } = await check()
  expect(await entered()).toEqual([attendance_id])
  expect(await last()).toEqual(before)
  expect((await check()).duplicate).toBe(true)
  expect(await entered()).toEqual([attendance_id])
})

test('ten check-ins at once are in the ledger once each', async () => {
  const image = await changed('blonde')
  const answers = await Promise.all(
    ['IN', 'OUT', 'IN', 'OUT', 'IN', 'OUT', 'IN', 'OUT', 'IN', 'OUT'].map((attendance_type) =>
      running.app.inject({
        method: 'POST',
        url: '/api/v1/attendance/check',
        payload: form({ image, device_id: 'GATE', attendance_type }),
      }),
    ),
  )
  expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(10).fill(200))
  expect((await entered()).sort()).toEqual([1, 2])
})

test('a punch entered by hand is in both: what, by whom, from where, and why', async () => {
  const punch = { employee_id: 'ANN', attendance_type: 'OUT', timestamp: '2025-03-03T10:00:00Z' }
  const answer = await post('/manual', { ...punch, notes: 'Forgot' })
  expect(answer.statusCode).toBe(201)
  expect(await entered()).toEqual([answer.json().id])
  expect(await last()).toMatchObject({
    by,
    at: running.clock.now(),
    action: 'entered',
    subject_kind: 'attendance',
    subject: 'ANN',
    details: {
      punch: 1,
      after: { timestamp: '2025-03-03T10:00:00.000Z', attendance_type: 'OUT', is_void: false },
      notes: 'Forgot',
      from: '127.0.0.1',
      route: 'POST /api/v1/attendance/manual',
    },
  })
})

test('a correction is in both, with what was before; what is refused is in neither', async () => {
  const { attendance_id } = await check()
  await post(`/${attendance_id}/correct`, { timestamp: '2025-03-03T09:00:00Z', notes: 'Clock' })
  expect(await last()).toMatchObject({
    by,
    action: 'corrected',
    subject: 'ANN',
    details: {
      punch: 2,
      corrects: 1,
      before: { timestamp: '2025-03-03T12:00:00.000Z', attendance_type: 'IN', is_void: false },
      after: { timestamp: '2025-03-03T09:00:00.000Z', attendance_type: 'IN', is_void: false },
      notes: 'Clock',
    },
  })
  await post('/2/correct', { void: true, notes: 'Not at all' })
  expect(await last()).toMatchObject({ action: 'voided', details: { punch: 3, after: { is_void: true } } })
  expect(await entered()).toEqual([1, 2, 3])
  const before = await last()
  expect((await post('/1/correct', { void: true, notes: 'Again' })).statusCode).toBe(409)
  expect(await last()).toEqual(before)
  expect(await entered()).toEqual([1, 2, 3])
})
