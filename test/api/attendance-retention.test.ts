import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { applyRetention } from '../../src/attendance/retention.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { changed, openCompany } from '../attendance/company.ts'
import { enrol, form, recordPunch, registerKiosk, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

const send = (method: 'POST' | 'DELETE', url: string, payload?: object) =>
  running.app.inject({ method, url: `/api/v1${url}`, payload })
/** As the server does each hour. */
const tidyUp = (days: { decisionDays?: number; leaverDays?: number } = {}) =>
  applyRetention(
    running.db,
    running.ledger.by(serverAuthor),
    { decisionDays: 365, leaverDays: 365, ...days },
    running.clock.now(),
  )
const nothing = { decisions: 0, leavers: 0 }

describe('a decision past its days', () => {
  const decision = () => running.db.selectFrom('decisions').selectAll().executeTakeFirstOrThrow()

  test('forgets whom else the face resembled and what was measured; what was decided, and why, stays', async () => {
    await openCompany(running)
    const image = await changed('blonde')
    const check = form({ image, device_id: 'GATE', employee_code: 'BOB' })
    expect((await send('POST', '/attendance/check', check)).json().attendance_id).toBe(1)
    const before = await decision()
    expect(before.record).toMatchObject({
      candidates: expect.anything(),
      face: expect.anything(),
      claimed: 'BOB',
    })

    running.clock.set('2026-03-03T01:00:00Z')
    expect(await tidyUp()).toEqual(nothing)
    expect(await decision()).toEqual(before)
    running.clock.advance(1)
    expect(await tidyUp()).toEqual({ decisions: 1, leavers: 0 })
    const { candidates, face, quality, claimed, liveness, ...rest } = before.record
    const { signals, ...kept } = liveness as Record<string, unknown>
    expect(await decision()).toEqual({ ...before, record: { ...rest, liveness: kept } })
    expect(Object.keys(rest)).toEqual(expect.arrayContaining(['rule', 'thresholds', 'requested', 'pack']))
    expect(await tidyUp()).toEqual(nothing)
  })

  test('forgets what each picture showed and how live it looked by numbers; the state of liveness, and what was asked for, stay', async () => {
    const rule = 'above the threshold'
    const liveness = { state: 'undecided', policy: 'flag', steps: ['blink', 'look_up'] }
    const frames = [{ kind: 'face', quality: 0.9, votes: { employee_id: 'ANN', confidence: 0.8 } }]
    const signals = [{ signal: 'passive', state: 'undecided', scores: { plane: 0.4 }, reason: null }]
    for (const record of [
      { rule, frames, liveness: { ...liveness, signals } },
      { rule, liveness: { ...liveness, signals } },
      { rule, frames, liveness },
      { rule, claimed: 'ANN', liveness },
      { rule, liveness },
    ])
      await sql`INSERT INTO decisions (created_at, kind, outcome, pack, record)
        VALUES (${running.clock.now()}::timestamptz, 'face', 'not_identified', 'test', ${JSON.stringify(record)}::jsonb)`.execute(
        running.db,
      )
    running.clock.advance(2 * 24 * 3_600_000)
    expect(await tidyUp({ decisionDays: 1 })).toEqual({ decisions: 4, leavers: 0 })
    const records = await running.db.selectFrom('decisions').select('record').execute()
    expect(records).toEqual(Array(5).fill({ record: { rule, liveness } }))
  })

  test('is one of many, and all are found', async () => {
    await sql`INSERT INTO decisions (created_at, kind, outcome, pack, record)
      SELECT ${running.clock.now()}::timestamptz + i * interval '1 minute', 'face', 'not_identified', 'test',
        '{"rule": "r", "candidates": [], "quality": {}}'
      FROM generate_series(1, 2500) AS i`.execute(running.db)
    running.clock.set('2026-03-03T01:00:00Z')
    running.clock.advance(2400 * 60_000 + 1)
    expect(await tidyUp()).toEqual({ decisions: 2400, leavers: 0 })
    expect(await tidyUp({ decisionDays: 1 })).toEqual({ decisions: 100, leavers: 0 })
  })

  test('can forget nothing else', async () => {
    await registerKiosk(running, 'GATE')
    await enrol(running, 'ANN')
    await recordPunchEntered()
    const change = (set: object) => running.db.updateTable('decisions').set(set).execute()
    for (const set of [
      { record: JSON.stringify({ rule: 'another' }) },
      { outcome: 'not_identified' },
      { employee_id: null },
      { image_path: 'another' },
    ])
      await expect(change(set)).rejects.toThrow('rows of decisions are never changed')
  })
})

/** A punch that the ledger knows. */
const recordPunchEntered = (time?: string) =>
  running.ledger.punches((trx) => recordPunch(trx, 'ANN', 'GATE', time))

describe('who left longer ago than the days', () => {
  const ann = {
    employee_id: 'ANN',
    name: 'Nguyễn Thị Ánh',
    department: 'Kế toán',
    email: 'anh@example.com',
    phone: '0912345678',
    position: 'Accountant',
  }
  const person = (id: string) =>
    running.db.selectFrom('employees').selectAll().where('employee_id', '=', id).executeTakeFirstOrThrow()

  beforeEach(async () => {
    await registerKiosk(running, 'GATE')
    await send('POST', '/employees', ann)
    await send('POST', '/employees', { ...ann, employee_id: 'STAYS', email: 'stays@example.com' })
    await send('POST', '/employees/ANN/consent', { text_version: '1' })
    await recordPunchEntered()
    await send('DELETE', '/employees/ANN')
  })

  test('is nobody any more, but for the id and the punches under it', async () => {
    const stays = await person('STAYS')
    running.clock.set('2026-03-03T01:00:00Z')
    expect(await tidyUp()).toEqual(nothing)
    expect((await person('ANN')).name).toBe(ann.name)
    running.clock.advance(1)
    expect(await tidyUp()).toEqual({ decisions: 0, leavers: 1 })
    expect(await person('ANN')).toMatchObject({
      name: 'Former employee',
      email: null,
      phone: null,
      position: null,
      department: 'Kế toán',
      ended_at: new Date('2025-03-03T01:00:00Z'),
    })
    expect(await running.db.selectFrom('consents').selectAll().execute()).toEqual([])
    const punches = await running.app.inject('/api/v1/attendance/employee/ANN')
    expect(punches.json()).toMatchObject([{ id: 1, employee_id: 'ANN', employee_name: 'Former employee' }])
    expect(await person('STAYS')).toEqual(stays)
    expect(await tidyUp()).toEqual(nothing)
  })

  test('stands by name in no row of the audit log, which says that it was done, and by whom', async () => {
    running.clock.set('2026-03-03T01:00:01Z')
    await tidyUp()
    const log = await running.db.selectFrom('audit_log').selectAll().orderBy('id').execute()
    const texts = JSON.stringify(log.filter(({ subject }) => subject !== 'STAYS'))
    for (const secret of [ann.name, ann.email, ann.phone, ann.position]) expect(texts).not.toContain(secret)
    const [act] = log.filter(({ action }) => action === 'retention')
    expect(act).toMatchObject({ by: 'server', subject_kind: 'employees', subject: null })
    expect(act!.released!.audits.length).toBeGreaterThan(2)
    expect(log.filter(({ id }) => act!.released!.audits.includes(Number(id)))).toSatisfy((rows: typeof log) =>
      rows.every(({ subject, details, salt }) => !subject && !details && !salt),
    )
  })
})
