import type { LightMyRequestResponse } from 'fastify'
import { readXlsx } from 'hucre/xlsx'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { assign, openSite } from '../attendance/company.ts'
import { enrol, recordPunch, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  running.clock.set('2025-03-10T12:00:00Z')
  await running.clear()
  await registerKiosk(running, 'GATE')
  await registerKiosk(running, 'TOKYO')
  await openSite(running.db, { time_zone: 'Asia/Tokyo' }, 'TOKYO')
  for (const id of ['ANN', 'BOB']) await enrol(running, id)
  await assign(running.db, { ANN: 'Kế toán', BOB: '=cmd|calc' })
})
afterAll(() => running.close())

const march = 'from=2025-03-01T00:00:00Z'
const url = '/api/v1/attendance'
const get = (query: string, headers = {}) => running.app.inject({ url: `${url}/export?${query}`, headers })
const punch = (person: string, time: string, type: 'IN' | 'OUT' = 'IN', kiosk = 'GATE') =>
  recordPunch(running.db, person, kiosk, time, type)
const correct = (id: number, change: object) =>
  running.app.inject({ method: 'POST', url: `${url}/${id}/correct`, payload: { notes: 'So', ...change } })
const rowsOf = (answer: LightMyRequestResponse) => answer.body.split('\r\n').filter(Boolean).slice(1)
const idsOf = (answer: LightMyRequestResponse) => rowsOf(answer).map((row) => Number(row.split(';')[0]))
const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]

test('as CSV opens right in Excel: byte order mark, semicolons, the time on the wall of each site', async () => {
  await punch('ANN', '2025-03-03T01:00:00Z')
  await punch('ANN', '2025-03-03T01:00:00Z', 'OUT', 'TOKYO')
  const answer = await get(march)
  expect(answer.headers).toMatchObject({
    'content-type': 'text/csv; charset=utf-8',
    'content-disposition': 'attachment; filename="attendance.csv"',
    'cache-control': 'private, no-store',
  })
  const tokyo = (await running.db
    .selectFrom('sites')
    .select('name')
    .orderBy('id', 'desc')
    .executeTakeFirst())!
  expect(answer.body.split('\r\n').filter(Boolean)).toEqual([
    '\ufeffid;time;time_zone;employee_id;name;department;attendance_type;site;device_id;kind;notes;corrects;is_void;superseded_by',
    '1;2025-03-03 08:00:00;Asia/Ho_Chi_Minh;ANN;ANN;Kế toán;IN;Main site;GATE;face;;;false;',
    `2;2025-03-03 10:00:00;Asia/Tokyo;ANN;ANN;Kế toán;OUT;${tokyo.name};TOKYO;face;;;false;`,
  ])
  expect(rowsOf(await get(`${march}&separator=,`))[0]).toMatch(/^1,2025-03-03 08:00:00,/)
})

test('as XLSX has times to reckon with, and neither formulas nor numbers', async () => {
  await punch('BOB', '2025-03-03T01:00:00Z')
  const sheet = (await readXlsx((await get(`${march}&format=xlsx`)).rawPayload)).sheets[0]!
  expect(sheet.name).toBe('attendance')
  expect(sheet.rows[1]!.slice(0, 7)).toEqual([
    '1',
    new Date('2025-03-03T08:00:00Z'),
    'Asia/Ho_Chi_Minh',
    'BOB',
    'BOB',
    "'=cmd|calc",
    'IN',
  ])
})

test('makes formulas harmless', async () => {
  const id = await punch('BOB', '2025-03-03T01:00:00Z')
  await correct(id, { attendance_type: 'OUT', notes: '+1; "x"' })
  expect(rowsOf(await get(march))).toEqual([
    '2;2025-03-03 08:00:00;Asia/Ho_Chi_Minh;BOB;BOB;\'=cmd|calc;OUT;Main site;GATE;correction;"\'+1; ""x""";1;false;',
  ])
})

test('holds what the list holds, page by page, in one order, without repeating or leaving out any', async () => {
  const punches = Array.from({ length: 1100 }, (_, i) => new Date(Date.UTC(2025, 2, 3) + (i >> 2) * 60_000))
  for (const time of punches) await punch('ANN', time.toISOString())
  const ids = idsOf(await get(march))
  expect(ids).toEqual(Array.from({ length: 1100 }, (_, i) => i + 1))
})

test('filters as the list does', async () => {
  await punch('ANN', '2025-03-03T01:00:00Z')
  const wrong = await punch('BOB', '2025-03-04T01:00:00Z', 'OUT')
  await punch('BOB', '2025-03-04T16:30:00Z', 'IN', 'TOKYO')
  await correct(wrong, { void: true })
  for (const [query, ids] of [
    [march, [1, 3]],
    [`${march}&include=all`, [1, 2, 4, 3]],
    [`${march}&employee_id=BOB`, [3]],
    [`${march}&device_id=GATE`, [1]],
    [`${march}&attendance_type=OUT`, []],
    [`${march}&department=K%E1%BA%BF%20to%C3%A1n`, [1]],
    [`${march}&to=2025-03-04T00:00:00Z`, [1]],
    ['date=2025-03-05', [3]],
    ['date=2025-03-04', []],
  ] as const)
    expect([query, idsOf(await get(query))]).toEqual([query, ids])
})

test('holds what a manager may see', async () => {
  await punch('ANN', '2025-03-03T01:00:00Z')
  await punch('BOB', '2025-03-03T01:00:00Z')
  expect(idsOf(await get(march, await signIn(running.db, 'manager', ['Kế toán'])))).toEqual([1])
})

test.each([
  ['', /begins/],
  ['from=2024-01-01T00:00:00Z&to=2025-03-01T00:00:00Z', /more than a year after from/],
  ['from=2024-01-01T00:00:00Z', /more than a year ago/],
  ['from=2025-03-02T00:00:00Z&to=2025-03-01T00:00:00Z', /later than from/],
  ['from=2025-03-01', /from/],
  [`${march}&format=pdf`, /format/],
  [`${march}&separator=%7C`, /separator/],
])('of %j is refused with a sentence', async (query, message) => {
  const answer = await get(query)
  expect(statusAndCode(answer)).toEqual([422, 'invalid_request'])
  expect(answer.json().message).toMatch(message)
})

test('stands in the audit log: who, from where, and of what', async () => {
  await punch('ANN', '2025-03-03T01:00:00Z')
  const viewer = await signIn(running.db, 'viewer')
  await get(`${march}&employee_id=ANN&format=xlsx`, viewer)
  const { user_id } = await running.db
    .selectFrom('sessions')
    .select('user_id')
    .orderBy('user_id', 'desc')
    .executeTakeFirstOrThrow()
  const row = await running.db
    .selectFrom('audit_log')
    .selectAll()
    .where('action', '=', 'export')
    .executeTakeFirstOrThrow()
  expect(row).toMatchObject({
    by: `user:${user_id}`,
    subject_kind: 'attendance',
    subject: 'ANN',
    details: {
      format: 'xlsx',
      filters: { from: '2025-03-01T00:00:00Z', employee_id: 'ANN', include: 'effective' },
      punches: 1,
      from: '127.0.0.1',
      route: 'GET /api/v1/attendance/export',
    },
  })
})

test('who asks with HEAD learns the type, and the ledger tells of no export', async () => {
  await punch('ANN', '2025-03-03T01:00:00Z')
  const exports = async () =>
    (await running.db.selectFrom('audit_log').select('id').where('action', '=', 'export').execute()).length
  for (const path of [`/attendance/export?${march}`, '/employees/export']) {
    const answer = await running.app.inject({ method: 'HEAD', url: `/api/v1${path}` })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toBe('text/csv; charset=utf-8')
    expect(answer.body).toBe('')
  }
  expect(await exports()).toBe(0)
  await get(march)
  expect(await exports()).toBe(1)
})
