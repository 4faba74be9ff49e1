import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { portrait } from '../face/portraits.ts'
import { enrol, form, recordPunch, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let headers: { authorization: string }
let by: string

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  await running.clear()
  headers = await signIn(running.db, 'owner')
  by = `user:${(await running.app.inject({ url: '/api/v1/auth/me', headers })).json().id}`
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

const send = (method: 'POST' | 'PUT' | 'DELETE' | 'GET', url: string, payload?: object) =>
  running.app.inject({ method, url: `/api/v1/employees${url}`, payload, headers })
const log = () => running.db.selectFrom('audit_log').selectAll().orderBy('id').execute()
/** What the last call left. */
async function last() {
  const row = (await log()).at(-1)!
  expect(row.at).toEqual(running.clock.now())
  return row
}
const ann = { employee_id: 'ANN', name: 'Ánh', department: 'IT', phone: '1' }

test('who is created and changed stands in it, as they were and are, by whom and from where', async () => {
  await send('POST', '', ann)
  expect(await last()).toMatchObject({
    by,
    action: 'insert',
    subject_kind: 'employees',
    subject: 'ANN',
    details: {
      after: ann,
      from: '127.0.0.1',
      route: 'POST /api/v1/employees',
      request_id: expect.any(String),
    },
  })
  await send('PUT', '/ANN', { name: 'Anh', phone: null })
  expect(await last()).toMatchObject({
    by,
    action: 'update',
    subject: 'ANN',
    details: {
      before: { name: 'Ánh', phone: '1' },
      after: { name: 'Anh', phone: null },
      from: '127.0.0.1',
      route: 'PUT /api/v1/employees/:employee_id',
    },
  })
  await send('POST', '/ANN/deactivate')
  expect((await last()).details).toMatchObject({ before: { is_active: true }, after: { is_active: false } })
})

test('what changes nothing and what is refused leaves no row', async () => {
  await send('POST', '', ann)
  const before = await log()
  await send('POST', '', ann)
  await send('POST', '', { name: 'No such site', site_id: 99 })
  await send('PUT', '/NOBODY', { name: 'x' })
  await send('POST', '/ANN/reactivate')
  expect(await log()).toEqual(before)
})

test('an import stands in it person by person', async () => {
  await send('POST', '', ann)
  const file = new TextEncoder().encode('employee_id,name\nANN,Anna\nBOB,Bob\n')
  expect((await send('POST', '/import', form({ file }))).statusCode).toBe(200)
  const [created, updated] = (await log()).slice(-2)
  expect([created, updated]).toMatchObject([
    { by, action: 'insert', subject: 'BOB', details: { after: { name: 'Bob' } } },
    {
      by,
      action: 'update',
      subject: 'ANN',
      details: { before: { name: 'Ánh' }, after: { name: 'Anna' }, route: 'POST /api/v1/employees/import' },
    },
  ])
})

test('an export stands in it, without what was searched for', async () => {
  await send('POST', '', ann)
  await send('GET', '/export?search=%C3%81nh&department=IT&format=xlsx')
  const row = await last()
  expect(row).toMatchObject({
    by,
    action: 'export',
    subject_kind: 'employees',
    details: { format: 'xlsx', filters: { department: 'IT', search: true }, people: 1, from: '127.0.0.1' },
  })
  expect(JSON.stringify(row)).not.toContain('Ánh')
})

test('the end of employment stands in it, with the erasure', async () => {
  await enrol(running, 'ANN', await portrait('blonde'))
  const before = (await log()).length
  await send('DELETE', '/ANN')
  const rows = (await log()).slice(before)
  expect(rows.every((row) => row.by === by)).toBe(true)
  expect(rows[0]).toMatchObject({
    action: 'update',
    subject: 'ANN',
    details: {
      before: { is_active: true, ended_at: null },
      after: { is_active: false, ended_at: expect.stringMatching(/^2025-03-03/) },
      route: 'DELETE /api/v1/employees/:employee_id',
    },
  })
  const kinds = rows.map(({ action, subject_kind }) => `${action} ${subject_kind}`)
  expect(kinds).toEqual(
    expect.arrayContaining(['delete samples', 'delete face_templates', 'insert erasures']),
  )
})

test('a purge forgets what it said of the person, and says who did it', async () => {
  await registerKiosk(running, 'GATE')
  await enrol(running, 'ÁNH-1', await portrait('blonde'))
  await enrol(running, 'BOB')
  for (const id of ['ÁNH-1', 'BOB']) await running.ledger.punches((trx) => recordPunch(trx, id, 'GATE'))
  const file = await send('GET', '/export')
  expect(file.body).toContain('ÁNH-1')
  const answer = await send(
    'DELETE',
    `/${encodeURIComponent('ÁNH-1')}?purge=true&confirm=${encodeURIComponent('ÁNH-1')}`,
  )
  expect(answer.statusCode).toBe(200)
  const rows = await log()
  const act = rows.find(({ action }) => action === 'purge')!
  expect(act).toMatchObject({
    by,
    subject_kind: 'employees',
    subject: null,
    released: { punches: [1] },
    details: { from: '127.0.0.1', route: 'DELETE /api/v1/employees/:employee_id' },
  })
  // Its certificate of erasure keeps the id, so that the purge can be proved.
  const others = rows.filter(({ subject_kind }) => subject_kind !== 'erasures')
  expect(JSON.stringify(others)).not.toContain('ÁNH-1')
  expect(JSON.stringify(others)).toContain('BOB')
})
