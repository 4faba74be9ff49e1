import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { cleanUpDevices } from '../../src/devices/clean-up.ts'
import { kioskHeaders, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let key: { 'x-device-key': string }

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  await running.clear()
  running.clock.set('2025-03-03T01:00:00Z')
  await registerKiosk(running, 'K1')
  key = await kioskHeaders(running, 'K1')
})
afterAll(() => running.close())

const send = (
  method: 'GET' | 'POST',
  path: string,
  payload: object | undefined = undefined,
  headers: Record<string, string> = {},
) => running.app.inject({ method, url: `/api/v1${path}`, headers, ...(payload && { payload }) })

const queue = async (command: string, device = 'K1'): Promise<number> =>
  (await send('POST', `/devices/${device}/commands`, { command })).json().id
const heartbeat = async (device_id = 'K1', headers: Record<string, string> = key) =>
  (await send('POST', '/devices/heartbeat', { device_id }, headers)).json()
const acknowledge = (id: number | string, body: object, headers: Record<string, string> = key) =>
  send('POST', `/devices/commands/${id}`, body, headers)

test('commands go out once, in the order given, with the next heartbeat', async () => {
  const reload = await queue('reload')
  const picture = await queue('test_picture')
  expect((await heartbeat()).commands).toEqual([
    { id: reload, command: 'reload' },
    { id: picture, command: 'test_picture' },
  ])
  expect((await heartbeat()).commands).toEqual([])
})

test('two heartbeats at once do not both get a command', async () => {
  const id = await queue('reload')
  const answers = await Promise.all([heartbeat(), heartbeat(), heartbeat()])
  expect(answers.flatMap(({ commands }) => commands)).toEqual([{ id, command: 'reload' }])
})

test('a command shows what became of it', async () => {
  const id = await queue('reset')
  running.clock.advance(1000)
  await heartbeat()
  running.clock.advance(1000)
  expect((await acknowledge(id, { state: 'failed', result: 'no camera' })).statusCode).toBe(200)
  const list = await send('GET', '/devices/1/commands')
  expect(list.json()).toEqual([
    {
      id,
      device_id: 'K1',
      command: 'reset',
      state: 'failed',
      created_at: '2025-03-03T01:00:00.000Z',
      sent_at: '2025-03-03T01:00:01.000Z',
      finished_at: '2025-03-03T01:00:02.000Z',
      result: 'no camera',
    },
  ])
  expect(list.headers['x-total-count']).toBe('1')
})

test('the first acknowledgement counts, and may be sent again', async () => {
  const id = await queue('reload')
  await heartbeat()
  await acknowledge(id, { state: 'done' })
  running.clock.advance(1000)
  const again = await acknowledge(id, { state: 'failed' })
  expect([again.statusCode, again.json().state, again.json().finished_at]).toEqual([
    200,
    'done',
    '2025-03-03T01:00:00.000Z',
  ])
})

test('a command of another kiosk, one that was not sent and one that is not there are 404', async () => {
  await registerKiosk(running, 'K2')
  const other = await queue('reload', 'K2')
  await heartbeat('K2', await kioskHeaders(running, 'K2'))
  const waiting = await queue('reload')
  for (const id of [other, waiting, 4711]) {
    const answer = await acknowledge(id, { state: 'done' })
    expect([answer.statusCode, answer.json().code]).toEqual([404, 'command_not_found'])
  }
  expect((await send('GET', '/devices/K2/commands')).json()[0].state).toBe('sent')
})

test.each([
  ['/devices/K1/commands', { command: 'format' }, 422],
  ['/devices/K1/commands', {}, 422],
  ['/devices/K9/commands', { command: 'reload' }, 404],
  ['/device-management/reset/K9', undefined, 404],
  ['/device-management/update/K9', { a: 1 }, 404],
  ['/device-management/update/K1', { a: { b: 1 } }, 422],
  ['/device-management/update/K1', [], 422],
] as const)('%s with %j is refused', async (path, body, status) => {
  expect((await send('POST', path, body)).statusCode).toBe(status)
  expect((await send('GET', '/devices/K1/commands')).json()).toEqual([])
  expect((await send('GET', '/devices/K1')).json().config_version).toBe(0)
})

test.each([['abc'], ['0'], ['2147483648']])('the acknowledgement of %s is refused', async (id) => {
  expect((await acknowledge(id, { state: 'done' })).statusCode).toBe(422)
})

test('a reset is queued by its own route', async () => {
  const answer = await send('POST', '/device-management/reset/K1')
  expect(answer.json()).toEqual({ message: expect.any(String), command_id: expect.any(Number) })
  expect((await heartbeat()).commands).toEqual([{ id: answer.json().command_id, command: 'reset' }])
})

test('a deactivated device is sent nothing', async () => {
  await running.db.updateTable('devices').set({ is_active: false }).execute()
  for (const path of ['/devices/K1/commands', '/device-management/reset/K1']) {
    const answer = await send('POST', path, { command: 'reset' })
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'device_inactive'])
  }
})

test('only whoever may change devices gives commands', async () => {
  const viewer = await signIn(running.db, 'viewer')
  expect((await send('POST', '/devices/K1/commands', { command: 'reset' }, viewer)).statusCode).toBe(403)
  expect((await send('GET', '/devices/K1/commands', undefined, viewer)).statusCode).toBe(200)
  expect((await send('POST', '/devices/K1/commands', { command: 'reset' }, key)).statusCode).toBe(403)
})

test('the clean-up forgets what is past its time, and keeps the rest', async () => {
  const { db, clock } = running
  await db.deleteFrom('network_logs').execute()
  const logAt = (created_at: string) =>
    db
      .insertInto('network_logs')
      .values({ created_at: new Date(created_at), action: 'GET /', result: '200' })
      .execute()
  await logAt('2025-02-01T00:59:59Z')
  await logAt('2025-02-01T01:00:00Z')
  const old = await queue('reload')
  await send('POST', '/devices/K1/pair')
  clock.advance(1)
  const young = await queue('reload')
  expect(await cleanUpDevices({ ...running, logDays: 30 }, new Date('2025-03-03T01:00:00Z'))).toEqual({
    logs: 1,
    commands: 0,
    codes: 0,
  })
  expect(await cleanUpDevices({ ...running, logDays: 30 }, new Date('2025-03-10T01:00:00.001Z'))).toEqual({
    logs: 1,
    commands: 1,
    codes: 1,
  })
  const left = await send('GET', '/devices/K1/commands')
  expect(left.json().map(({ id }: { id: number }) => id)).toEqual([young])
  expect(old).toBeLessThan(young)
})

test('of two administrators who configure a kiosk the second has to read again', async () => {
  const read = await send('GET', '/devices/K1')
  const update = (config: object, version: string) =>
    send('POST', '/device-management/update/K1', config, { 'if-match': version })
  const first = await update({ volume: 3 }, String(read.headers.etag))
  expect([first.statusCode, first.json().config]).toEqual([200, { volume: 3 }])
  expect(first.headers.etag).toBe((await send('GET', '/devices/K1')).headers.etag)
  const second = await update({ volume: 9 }, String(read.headers.etag))
  expect([second.statusCode, second.json().code]).toEqual([412, 'version_mismatch'])
  expect((await send('GET', '/devices/K1')).json().config).toEqual({ volume: 3 })
  expect((await update({ volume: 5 }, String(first.headers.etag))).statusCode).toBe(200)
})
