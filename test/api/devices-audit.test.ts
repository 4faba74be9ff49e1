import { afterAll, beforeAll, expect, test } from 'vitest'
import { cleanUpDevices } from '../../src/devices/clean-up.ts'
import { signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let admin: { authorization: string }
let by: string
beforeAll(async () => {
  running = await testApp()
  admin = await signIn(running.db, 'admin')
  by = `user:${(await send('GET', '/auth/me')).json().id}`
})
afterAll(() => running.close())

const send = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  payload: object | undefined = undefined,
  headers: Record<string, string> = admin,
) => running.app.inject({ method, url: `/api/v1${path}`, headers, ...(payload && { payload }) })

/** What the log holds of a device or its codes, the oldest first. */
const audit = async (subject: string, kind = 'devices') => {
  const query = `subject_kind=${kind}&subject=${subject}&sort=id`
  return (await running.app.inject({ url: `/api/v1/audit?${query}` })).json()
}
/** It is in the chain, too. */
const seq = expect.any(Number)

test('of a kiosk is written down who registered, changed, commanded and removed it', async () => {
  await send('POST', '/devices/register', { device_id: 'K1', name: 'Gate' })
  await send('PUT', '/devices/K1', { name: 'Main gate', direction: 'IN' })
  await send('POST', '/device-management/update/K1', { volume: 3 })
  await send('POST', '/device-management/reset/K1')
  await send('POST', '/devices/K1/commands', { command: 'reload' })
  await send('DELETE', '/devices/K1')
  expect(await audit('K1')).toMatchObject([
    {
      by,
      seq,
      action: 'insert',
      details: {
        after: { device_id: 'K1', name: 'Gate', key_hash: null },
        from: '127.0.0.1',
        route: 'POST /api/v1/devices/register',
        request_id: expect.any(String),
      },
    },
    {
      by,
      seq,
      details: { before: { name: 'Gate', direction: 'AUTO' }, after: { name: 'Main gate', direction: 'IN' } },
    },
    { by, seq, details: { before: { config: null }, after: { config: { volume: 3 } } } },
    { by, seq, action: 'command', details: { command: 'reset' } },
    { by, seq, action: 'command', details: { command: 'reload' } },
    { by, seq, action: 'delete', details: { before: { name: 'Main gate' } } },
  ])
})

test('of a pairing is written down who made the code, from where it was used, and each change of the key', async () => {
  await send('POST', '/devices/register', { device_id: 'K2' })
  const { code } = (await send('POST', '/devices/K2/pair')).json()
  const nobody = { 'x-device-key': '' }
  const paired = await running.app.inject({
    method: 'POST',
    url: '/api/v1/devices/pair',
    headers: nobody,
    payload: { code },
    remoteAddress: '10.1.2.3',
  })
  const { device_key } = paired.json()
  const asKiosk = { 'x-device-key': device_key }
  const next = (await send('POST', '/devices/rotate-key', undefined, asKiosk)).json().device_key
  const used = await send('POST', '/devices/heartbeat', { device_id: 'K2' }, { 'x-device-key': next })
  expect(used.statusCode).toBe(200)
  await send('POST', '/devices/K2/rotate-key')
  await send('DELETE', '/devices/K2/key')

  const kiosk = 'kiosk:K2'
  const hidden = '(hidden)'
  expect((await audit('K2')).slice(1)).toMatchObject([
    {
      by: 'nobody',
      seq,
      details: { after: { key_hash: hidden }, from: '10.1.2.3', route: 'POST /api/v1/devices/pair' },
    },
    { by: kiosk, seq, details: { after: { next_key_hash: hidden } } },
    { by: kiosk, seq, details: { before: { next_key_hash: hidden }, after: { next_key_hash: null } } },
    { by, seq, details: { after: { key_hash: hidden } } },
    { by, seq, details: { before: { key_hash: hidden }, after: { key_hash: null } } },
  ])
  expect(await audit('K2', 'pairing_codes')).toMatchObject([
    { by, seq, action: 'insert', details: { after: { code_hash: hidden } } },
    { by: 'nobody', seq, action: 'delete', details: { before: { created_by: Number(by.slice(5)) } } },
  ])
  const log = JSON.stringify(await running.db.selectFrom('audit_log').selectAll().execute())
  for (const secret of [code, code.replace('-', ''), device_key, next]) expect(log).not.toContain(secret)
  expect(log).not.toMatch(/[0-9a-f]{64}/)
})

test('heartbeats, refused changes and a clean-up without anything to do leave nothing', async () => {
  await send('POST', '/devices/register', { device_id: 'K3' })
  const key = (await send('POST', '/devices/K3/rotate-key')).json().device_key
  const { n } = await count()
  for (let i = 0; i < 3; i++)
    await send('POST', '/devices/heartbeat', { device_id: 'K3', status: `s${i}` }, { 'x-device-key': key })
  await send('PUT', '/devices/K3', { name: 'x' }, { ...admin, 'if-match': '"77"' })
  await send('PUT', '/devices/K3', { site_id: 999 })
  await send('DELETE', '/devices/cleanup/deleted')
  await cleanUpDevices({ ...running, logDays: 30 }, running.clock.now())
  expect(await count()).toEqual({ n })
})

test('what the clean-up removes was the server', async () => {
  await send('POST', '/devices/register', { device_id: 'K4' })
  await send('POST', '/devices/K4/pair')
  await cleanUpDevices({ ...running, logDays: 30 }, new Date(running.clock.now().getTime() + 16 * 60_000))
  const [, removed] = await audit('K4', 'pairing_codes')
  expect(removed).toMatchObject({ by: 'server', action: 'delete', seq })
})

const count = () =>
  running.db
    .selectFrom('audit_log')
    .select(({ fn }) => fn.countAll<string>().as('n'))
    .executeTakeFirstOrThrow()
