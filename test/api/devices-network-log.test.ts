import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { kioskHeaders, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  await running.clear()
  running.clock.set('2025-03-03T01:00:00Z')
  await registerKiosk(running, 'K1')
})
afterAll(() => running.close())

const send = (
  method: 'GET' | 'POST',
  path: string,
  payload: object | undefined = undefined,
  headers: Record<string, string> = {},
) => running.app.inject({ method, url: `/api/v1${path}`, headers, ...(payload && { payload }) })
const heartbeat = (device_id: string, headers: Record<string, string>) =>
  send('POST', '/devices/heartbeat', { device_id }, headers)

interface Entry {
  device_id: string | null
  action: string
  result: string
}
/** Waits until the log was written and holds so many entries. */
async function entries(count: number, path = '/device-management/logs'): Promise<Entry[]> {
  const read = async () => (await send('GET', path)).json() as Entry[]
  await expect.poll(async () => (await read()).length, { timeout: 30_000 }).toBe(count)
  return read()
}

test('a kiosk leaves its requests in its log, the newest first', async () => {
  await running.db.deleteFrom('network_logs').execute()
  await registerKiosk(running, 'K2')
  const key = await kioskHeaders(running, 'K1')
  await heartbeat('K1', key)
  await heartbeat('K2', key)
  const log = await entries(2, '/device-management/logs/K1')
  expect(log[1]).toEqual({
    id: expect.any(Number),
    created_at: '2025-03-03T01:00:00.000Z',
    device_id: 'K1',
    ip_address: '127.0.0.1',
    action: 'POST /api/v1/devices/heartbeat',
    result: '200',
    latency_ms: expect.any(Number),
  })
  // The caller's own id, whatever it said.
  expect(log[0]).toMatchObject({ device_id: 'K1', result: '403' })
  const page = await send('GET', '/device-management/logs/1?limit=1')
  expect([page.json().length, page.headers['x-total-count']]).toEqual([1, '2'])
  expect((await send('GET', '/device-management/logs/K2')).json()).toEqual([])
})

test('pairing is logged, and attempts with a wrong code or key under no device', async () => {
  await running.db.deleteFrom('network_logs').execute()
  await running.db.deleteFrom('login_failures').execute()
  const { code } = (await send('POST', '/devices/K1/pair')).json()
  await send('POST', '/devices/pair', { code: 'AAAA-AAAA' })
  await send('POST', '/devices/pair', { code })
  await heartbeat('K1', { 'x-device-key': 'rollcall_device_made-up' })
  const log = await entries(3)
  expect(log.map(({ device_id, action, result }) => [device_id, action, result]).reverse()).toEqual([
    [null, 'POST /api/v1/devices/pair', '403'],
    ['K1', 'POST /api/v1/devices/pair', '200'],
    [null, 'POST /api/v1/devices/heartbeat', '401'],
  ])
  const everything = JSON.stringify(await running.db.selectFrom('network_logs').selectAll().execute())
  expect(everything).not.toMatch(/made-up|AAAA/)
})

test('refused callers cannot fill the log', async () => {
  await running.db.deleteFrom('network_logs').execute()
  running.clock.set('2025-03-03T02:00:00Z')
  const wrong = () => heartbeat('K1', { 'x-device-key': 'rollcall_device_made-up' })
  for (let i = 0; i < 70; i++) await wrong()
  const key = await kioskHeaders(running, 'K1')
  await heartbeat('K1', key)
  const log = await entries(61)
  expect(log.filter(({ device_id }) => device_id === 'K1')).toHaveLength(1)
})

test('people and programs are not in it', async () => {
  await running.db.deleteFrom('network_logs').execute()
  const key = await kioskHeaders(running, 'K1')
  await send('GET', '/devices')
  await send('GET', '/employees', undefined, { authorization: 'Bearer wrong' })
  await heartbeat('K1', key)
  expect((await entries(1))[0]?.device_id).toBe('K1')
})

test('a log that cannot be written costs no request', async () => {
  const key = await kioskHeaders(running, 'K1')
  await sql`ALTER TABLE network_logs RENAME TO network_logs_away`.execute(running.db)
  try {
    const other = await testApp({ db: running.db, gallery: running.gallery })
    const answer = await other.app.inject({
      method: 'POST',
      url: '/api/v1/devices/heartbeat',
      payload: { device_id: 'K1' },
      headers: key,
    })
    expect(answer.statusCode).toBe(200)
    await other.app.close()
  } finally {
    await sql`ALTER TABLE network_logs_away RENAME TO network_logs`.execute(running.db)
  }
})

test('the last entries are written when the server stops', async () => {
  await running.db.deleteFrom('network_logs').execute()
  const key = await kioskHeaders(running, 'K1')
  const other = await testApp({ db: running.db, gallery: running.gallery })
  await other.app.inject({
    method: 'POST',
    url: '/api/v1/devices/heartbeat',
    payload: { device_id: 'K1' },
    headers: key,
  })
  await other.app.close()
  expect((await send('GET', '/device-management/logs/K1')).json()).toHaveLength(1)
})

test('it is read by whoever may read devices, for a device that exists', async () => {
  const manager = await signIn(running.db, 'manager')
  for (const path of ['/device-management/logs', '/device-management/logs/K1'])
    expect((await send('GET', path, undefined, manager)).statusCode).toBe(403)
  expect((await send('GET', '/device-management/logs/K9')).statusCode).toBe(404)
  expect((await send('GET', '/device-management/logs/K1?limit=0')).statusCode).toBe(422)
})

test('the log is filtered by time, route, result and address, and sorted', async () => {
  await running.db.deleteFrom('network_logs').execute()
  const at = (time: string) => new Date(`2025-03-03T${time}Z`)
  const row = { device_id: 'K1', ip_address: '10.0.0.1', latency_ms: 5 }
  await running.db
    .insertInto('network_logs')
    .values([
      { ...row, created_at: at('08:00:00'), action: 'POST /api/v1/devices/heartbeat', result: '200' },
      {
        ...row,
        created_at: at('09:00:00'),
        action: 'POST /api/v1/attendance/check',
        result: '503',
        latency_ms: 900,
      },
      {
        ...row,
        created_at: at('10:00:00'),
        action: 'POST /api/v1/devices/heartbeat',
        result: '401',
        device_id: null,
        ip_address: '10.0.0.2',
      },
    ])
    .execute()
  const results = async (query: string) =>
    (await send('GET', `/device-management/logs?${query}`)).json().map(({ result }: Entry) => result)
  expect(await results('')).toEqual(['401', '503', '200'])
  expect(await results('sort=created_at')).toEqual(['200', '503', '401'])
  expect(await results('sort=-latency_ms&limit=1')).toEqual(['503'])
  expect(await results('from=2025-03-03T09:00:00Z')).toEqual(['401', '503'])
  expect(await results('to=2025-03-03T16:00:00%2B07:00')).toEqual(['200'])
  expect(await results('action=Heartbeat')).toEqual(['401', '200'])
  expect(await results('result=503')).toEqual(['503'])
  expect(await results('ip_address=10.0.0.2')).toEqual(['401'])
  const ofDevice = await send('GET', '/device-management/logs/K1?action=heartbeat')
  expect([ofDevice.json().length, ofDevice.headers['x-total-count']]).toEqual([1, '1'])
  for (const wrong of ['result=0x1', 'from=yesterday', 'sort=id'])
    expect((await send('GET', `/device-management/logs?${wrong}`)).statusCode).toBe(422)
})
