import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { recordPunch, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(() => running.clear())
afterAll(() => running.close())

const base = '/api/v1/devices'
const register = (body: object) =>
  running.app.inject({ method: 'POST', url: `${base}/register`, payload: body })
const heartbeat = (body: object) =>
  running.app.inject({ method: 'POST', url: `${base}/heartbeat`, payload: body })
const get = (path: string) => running.app.inject({ method: 'GET', url: `${base}${path}` })
const put = (id: string, body: object) =>
  running.app.inject({ method: 'PUT', url: `${base}/${id}`, payload: body })
const remove = (path: string) => running.app.inject({ method: 'DELETE', url: `${base}/${path}` })

async function punchAt(deviceId: string): Promise<void> {
  await running.app.inject({ method: 'POST', url: '/api/v1/employees', payload: { name: 'A' } })
  await recordPunch(running.db, 'EMP_001', deviceId)
}

describe('registering', () => {
  test('answers the whole device, named like its id where no name is given', async () => {
    const answer = await register({ device_id: 'KIOSK_001', location: 'Gate', ip_address: '192.168.1.100' })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({
      id: 1,
      device_id: 'KIOSK_001',
      name: 'KIOSK_001',
      location: 'Gate',
      ip_address: '192.168.1.100',
      is_active: true,
      created_at: '2025-03-03T01:00:00.000Z',
      last_heartbeat: null,
      config: null,
    })
  })

  test.each([
    { device_id: '123' },
    { device_id: 'register' },
    { device_id: 'Cleanup' },
    { device_id: '٣' },
    { device_id: '१२३' },
    { device_id: '.' },
    { device_id: '..' },
    { device_id: '...' },
    { device_id: 'a b' },
    { device_id: 'a\0' },
    { device_id: '' },
    { device_id: 'a'.repeat(65) },
    { device_id: 5 },
    { name: 'no id' },
    { device_id: 'K1', ip_address: 'not an address' },
    { device_id: 'K1', name: 'Gate [DELETED]' },
    { device_id: 'K1', location: 'a\ud800' },
  ])('refuses %j', async (body) => {
    const answer = await register(body)
    expect(answer.statusCode).toBe(422)
    expect(answer.json().code).toBe('invalid_request')
  })

  test('refuses an id in use', async () => {
    await register({ device_id: 'K1' })
    const answer = await register({ device_id: 'K1' })
    expect(answer.statusCode).toBe(409)
    expect(answer.json().code).toBe('device_id_taken')
  })

  test('of one id by ten at once succeeds once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => register({ device_id: 'K1' })))
    expect(answers.map((answer) => answer.statusCode).sort()).toEqual([201, ...Array(9).fill(409)])
  })

  test('brings a deleted device back', async () => {
    await register({ device_id: 'K1', name: 'Gate' })
    await punchAt('K1')
    await remove('K1')
    const answer = await register({ device_id: 'K1', name: 'Gate again' })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toMatchObject({ id: 1, name: 'Gate again', is_active: true })
  })

  test('does not take over a device that is only switched off', async () => {
    await register({ device_id: 'K1' })
    await put('K1', { is_active: false })
    expect((await register({ device_id: 'K1' })).statusCode).toBe(409)
  })
})

describe('reading and changing', () => {
  beforeEach(() => register({ device_id: 'K1', name: 'Gate', location: 'North' }))

  test('finds a device by its number and by its own id', async () => {
    expect((await get('/1')).json().device_id).toBe('K1')
    expect((await get('/K1/')).json().id).toBe(1)
  })

  test.each(['/2', '/K2', '/99999999999999999999', '/0', '/%00', '/%ff', '/..%2fx'])(
    'the path %s is refused, not a fault',
    async (path) => {
      for (const method of ['GET', 'PUT', 'DELETE'] as const) {
        const answer = await running.app.inject({ method, url: `${base}${path}`, payload: { name: 'B' } })
        expect([400, 404, 422]).toContain(answer.statusCode)
      }
    },
  )

  test('lists with the total', async () => {
    await register({ device_id: 'K2' })
    const answer = await get('/?limit=1')
    expect(answer.json().map((device: { device_id: string }) => device.device_id)).toEqual(['K1'])
    expect(answer.headers['x-total-count']).toBe('2')
  })

  test('changes what is sent and keeps the rest', async () => {
    const answer = await put('K1', { location: null, config: { volume: 3, language: 'vi', note: '' } })
    expect(answer.json()).toMatchObject({
      name: 'Gate',
      location: null,
      config: { volume: 3, language: 'vi', note: '' },
    })
    expect((await put('1', { config: null })).json().config).toBeNull()
  })

  test.each([
    {},
    { name: null },
    { name: '' },
    { is_active: 1 },
    { config: { a: '\0' } },
    { config: { a: '\ud800' } },
    { config: { a: [] } },
    { config: [] },
  ])('the change %j is refused', async (body) => {
    expect((await put('K1', body)).statusCode).toBe(422)
  })
})

describe('heartbeat', () => {
  test('takes the time of the server, not of the device', async () => {
    await register({ device_id: 'K1' })
    running.clock.advance(60_000)
    const answer = await heartbeat({ device_id: 'K1', timestamp: '1999-01-01T00:00:00', status: 'online' })
    expect(answer.json()).toEqual({ msg: 'Heartbeat updated' })
    expect((await get('/K1')).json().last_heartbeat).toBe(running.clock.now().toISOString())
  })

  test('of an unknown device is 401, of a deactivated one 403', async () => {
    const unknown = await heartbeat({ device_id: 'K9' })
    expect([unknown.statusCode, unknown.json().code]).toEqual([401, 'unknown_device'])
    await register({ device_id: 'K1' })
    await put('K1', { is_active: false })
    const inactive = await heartbeat({ device_id: 'K1' })
    expect([inactive.statusCode, inactive.json().code]).toEqual([403, 'device_inactive'])
  })
})

describe('deleting', () => {
  test('removes a device that nothing refers to', async () => {
    await register({ device_id: 'K1' })
    expect((await remove('K1')).json()).toEqual({
      success: true,
      message: expect.any(String),
      action: 'deleted',
    })
    expect((await get('/K1')).statusCode).toBe(404)
    expect((await remove('K1')).statusCode).toBe(404)
  })

  test('deactivates a device with punches, and marks its name once', async () => {
    await register({ device_id: 'K1', name: 'Gate' })
    await punchAt('K1')
    expect((await remove('1')).json().action).toBe('deactivated')
    expect((await remove('1')).json().action).toBe('deactivated')
    expect((await get('/K1')).json()).toMatchObject({ name: 'Gate [DELETED]', is_active: false })
    expect((await put('K1', { is_active: true })).statusCode).toBe(404)
  })

  test('cleanup removes only deleted devices that nothing refers to', async () => {
    for (const device_id of ['kept', 'punched', 'off', 'gone']) await register({ device_id })
    await punchAt('punched')
    await remove('punched')
    await put('off', { is_active: false })
    const gone = running.db.updateTable('devices').set({ name: 'gone [DELETED]', is_active: false })
    await gone.where('device_id', '=', 'gone').execute()

    expect((await remove('cleanup/deleted')).json()).toMatchObject({ success: true, deleted: 1 })
    const left = (await get('')).json().map((device: { device_id: string }) => device.device_id)
    expect(left).toEqual(['kept', 'punched', 'off'])
  })
})
