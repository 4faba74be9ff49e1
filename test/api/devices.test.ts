import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { kioskHeaders, recordPunch, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(() => running.clear())
afterAll(() => running.close())

const base = '/api/v1/devices'
const register = (body: object) =>
  running.app.inject({ method: 'POST', url: `${base}/register`, payload: body })
const heartbeat = (payload: object, headers: Record<string, string>) =>
  running.app.inject({ method: 'POST', url: `${base}/heartbeat`, payload, headers })
const get = (path: string) => running.app.inject({ method: 'GET', url: `${base}${path}` })
const put = (id: string, body: object) =>
  running.app.inject({ method: 'PUT', url: `${base}/${id}`, payload: body })
const remove = (path: string) => running.app.inject({ method: 'DELETE', url: `${base}/${path}` })

async function addSite(name: string): Promise<number> {
  const site = await running.db.insertInto('sites').values({ name }).returning('id').executeTakeFirstOrThrow()
  return site.id
}

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
      config_version: 0,
      direction: 'AUTO',
      pad_policy: null,
      site_id: 1,
      state: 'offline',
      paired: false,
      clock_skew_ms: null,
      last_status: null,
      app_version: null,
      version: 1,
    })
  })

  test('takes a policy for presentation attacks, and gives it back to the server', async () => {
    const answer = await register({ device_id: 'K1', pad_policy: 'enforce' })
    expect(answer.json()).toMatchObject({ pad_policy: 'enforce' })
    expect((await put('K1', { pad_policy: 'flag' })).json()).toMatchObject({ pad_policy: 'flag' })
    expect((await put('K1', { pad_policy: null })).json()).toMatchObject({ pad_policy: null })
    expect((await put('K1', { pad_policy: 'strict' })).statusCode).toBe(422)
  })

  test('takes a direction and a site', async () => {
    const site = await addSite('Plant')
    const answer = await register({ device_id: 'K1', direction: 'OUT', site_id: site })
    expect(answer.json()).toMatchObject({ direction: 'OUT', site_id: site })
    const changed = await put('K1', { direction: 'IN', site_id: 1 })
    expect(changed.json()).toMatchObject({ direction: 'IN', site_id: 1 })
  })

  test('refuses a site that does not exist, and stores nothing', async () => {
    const answer = await register({ device_id: 'K1', site_id: 4711 })
    expect([answer.statusCode, answer.json().message]).toEqual([422, 'site_id: there is no such site.'])
    expect((await get('/K1')).statusCode).toBe(404)
    await register({ device_id: 'K1' })
    expect((await put('K1', { name: 'Gate', site_id: 4711 })).statusCode).toBe(422)
    expect((await get('/K1')).json()).toMatchObject({ name: 'K1', site_id: 1 })
  })

  test.each([
    { device_id: '123' },
    { device_id: 'register' },
    { device_id: 'commands' },
    { device_id: 'rotate-key' },
    { device_id: 'K1', direction: 'BANANA' },
    { device_id: 'K1', site_id: 0 },
    { device_id: 'K1', site_id: 2 ** 31 },
    { device_id: 'K1', site_id: '1' },
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
    expect(answer.json()).toMatchObject({ id: 1, name: 'Gate again', is_active: true, paired: false })
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

  test('of two people who edit the same version, the second is told', async () => {
    const { etag } = (await get('/K1')).headers
    const change = (name: string) =>
      running.app.inject({
        method: 'PUT',
        url: `${base}/K1`,
        payload: { name },
        headers: { 'if-match': String(etag) },
      })
    const first = await change('A')
    expect([first.statusCode, first.headers.etag, first.json().version]).toEqual([200, '"2"', 2])
    const second = await change('B')
    expect([second.statusCode, second.json().code]).toEqual([412, 'version_mismatch'])
    expect((await get('/K1')).json().name).toBe('A')
    expect((await put('K1', { name: 'C' })).statusCode).toBe(200)
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
  let key: { 'x-device-key': string }
  beforeEach(async () => {
    await register({ device_id: 'K1' })
    key = await kioskHeaders(running, 'K1')
  })

  test('takes the time of the server, not of the device, and tells the difference', async () => {
    running.clock.set('2025-03-03T01:01:00Z')
    const answer = await heartbeat(
      { device_id: 'K1', timestamp: '2025-03-03T08:00:30.500+07:00', status: 'online', app_version: '1.2' },
      key,
    )
    expect(answer.json()).toEqual({
      msg: 'Heartbeat updated',
      server_time: '2025-03-03T01:01:00.000Z',
      next_heartbeat_s: 30,
      pin_allowed: false,
      name: expect.any(String),
      site_name: 'Main site',
      time_zone: 'Asia/Ho_Chi_Minh',
      clock_skew_ms: 29_500,
      config: null,
      config_version: 0,
      direction: 'AUTO',
      commands: [],
    })
    expect((await get('/K1')).json()).toMatchObject({
      last_heartbeat: '2025-03-03T01:01:00.000Z',
      clock_skew_ms: 29_500,
      last_status: 'online',
      app_version: '1.2',
    })
  })

  test.each([
    ['2025-03-03T01:00:00', 0],
    ['2025-03-03T01:00:01.123456', -1123],
    ['2025-03-03 02:00:00+01:00', 0],
    ['1999-03-03T01:00:00Z', 820_540_800_000],
    ['soon', null],
    ['2025-13-45T01:00:00Z', null],
    [null, null],
    [undefined, null],
  ])('reads the time %s', async (timestamp, skew) => {
    running.clock.set('2025-03-03T01:00:00Z')
    const answer = await heartbeat({ device_id: 'K1', timestamp }, key)
    expect([answer.statusCode, answer.json().clock_skew_ms]).toEqual([200, skew])
  })

  test('makes a device online; silence makes it late, then offline', async () => {
    await heartbeat({ device_id: 'K1' }, key)
    const stateAfter = async (milliseconds: number) => {
      running.clock.advance(milliseconds)
      return (await get('/')).json()[0].state
    }
    expect(await stateAfter(90_000)).toBe('online')
    expect(await stateAfter(1)).toBe('late')
    expect(await stateAfter(209_999)).toBe('late')
    expect(await stateAfter(1)).toBe('offline')
  })

  test('hears of a new configuration, which counts its changes', async () => {
    const update = await running.app.inject({
      method: 'POST',
      url: '/api/v1/device-management/update/K1',
      payload: { volume: 3 },
    })
    expect(update.json()).toEqual({
      success: true,
      message: expect.any(String),
      config: { volume: 3 },
      version: 1,
    })
    await put('K1', { config: { volume: 4 }, direction: 'OUT' })
    await put('K1', { name: 'Gate' })
    expect((await heartbeat({ device_id: 'K1' }, key)).json()).toMatchObject({
      config: { volume: 4 },
      config_version: 2,
      direction: 'OUT',
    })
  })

  test('for another device is refused', async () => {
    await register({ device_id: 'K2' })
    const answer = await heartbeat({ device_id: 'K2' }, key)
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'wrong_device'])
    expect((await get('/K2')).json().last_heartbeat).toBeNull()
  })

  test('of a person or a program is refused', async () => {
    expect((await heartbeat({ device_id: 'K1' }, {})).statusCode).toBe(403)
  })

  test('without a key of its own, on a closed network, is taken at its word', async () => {
    const open = await testApp({ db: running.db, gallery: running.gallery }, { DEVICE_AUTH: 'open' })
    const beat = (device_id: string) =>
      open.app.inject({
        method: 'POST',
        url: `${base}/heartbeat`,
        payload: { device_id },
        headers: { 'x-device-key': '' },
      })
    expect((await beat('K1')).json().msg).toBe('Heartbeat updated')
    const before = await running.db.selectFrom('devices').selectAll().execute()
    const unknown = await beat('K9')
    expect([unknown.statusCode, unknown.json().code]).toEqual([401, 'unknown_device'])
    expect(await running.db.selectFrom('devices').selectAll().execute()).toEqual(before)
    await put('K1', { is_active: false })
    const inactive = await beat('K1')
    expect([inactive.statusCode, inactive.json().code]).toEqual([403, 'device_inactive'])
    await open.app.close()
  })
})

describe('the list', () => {
  const ids = async (query: string) =>
    (await get(`?${query}`)).json().map(({ device_id }: { device_id: string }) => device_id)

  test('is filtered, searched without accents and sorted', async () => {
    const plant = await addSite(`Plant ${Math.random()}`)
    await register({ device_id: 'B1', name: 'Cổng chính', location: 'Đà Nẵng' })
    await register({ device_id: 'A1', name: 'kho', direction: 'OUT', site_id: plant })
    await register({ device_id: 'C1', name: 'Ăn trưa' })
    await put('C1', { is_active: false })
    const key = await kioskHeaders(running, 'A1')
    await heartbeat({ device_id: 'A1' }, key)
    expect(await ids('search=cong')).toEqual(['B1'])
    expect(await ids('search=da+NANG')).toEqual(['B1'])
    expect(await ids('search=a1')).toEqual(['A1'])
    expect(await ids('search=no+such')).toEqual([])
    expect(await ids('is_active=false')).toEqual(['C1'])
    expect(await ids('paired=true')).toEqual(['A1'])
    expect(await ids(`site_id=${plant}`)).toEqual(['A1'])
    expect(await ids('direction=AUTO&is_active=true')).toEqual(['B1'])
    expect(await ids('sort=name')).toEqual(['C1', 'B1', 'A1'])
    expect(await ids('sort=-device_id')).toEqual(['C1', 'B1', 'A1'])
    expect(await ids('sort=-last_heartbeat&limit=1')).toEqual(['A1'])
    expect(await ids('')).toEqual(['B1', 'A1', 'C1'])
    for (const [ms, state] of [
      [90_000, 'online'],
      [1, 'late'],
      [209_999, 'late'],
      [1, 'offline'],
    ] as const) {
      running.clock.advance(ms)
      const [a1] = (await get('?search=a1')).json()
      expect(a1.state).toBe(state)
      for (const each of ['online', 'late', 'offline'])
        expect([each, (await ids(`state=${each}`)).includes('A1')]).toEqual([each, each === state])
    }
    for (const wrong of ['state=asleep', 'site_id=0x1', 'sort=key_hash', 'paired=1'])
      expect((await get(`?${wrong}`)).statusCode).toBe(422)
  })
})

test('a deactivated device is offline, however lately it was heard', async () => {
  await register({ device_id: 'K1' })
  await heartbeat({ device_id: 'K1' }, await kioskHeaders(running, 'K1'))
  expect((await get('/K1')).json().state).toBe('online')
  await put('K1', { is_active: false })
  expect((await get('/K1')).json().state).toBe('offline')
  expect((await get('?state=online')).json()).toEqual([])
  expect((await get('?state=offline')).json()).toHaveLength(1)
})

test('a heartbeat whose timestamp is no time is taken, and the kiosk is told', async () => {
  await register({ device_id: 'K1' })
  const headers = await kioskHeaders(running, 'K1')
  const odd = await heartbeat({ device_id: 'K1', timestamp: 'rubbish' }, headers)
  expect(odd.statusCode).toBe(200)
  expect(odd.json()).toMatchObject({ clock_skew_ms: null, warning: expect.stringContaining('ISO 8601') })
  for (const timestamp of [undefined, '2025-03-03T01:00:00Z'])
    expect((await heartbeat({ device_id: 'K1', timestamp }, headers)).json().warning).toBeUndefined()
})

describe('deleting', () => {
  test('is done only to the device that was read', async () => {
    await register({ device_id: 'K1' })
    const removeAsRead = (version: string) =>
      running.app.inject({ method: 'DELETE', url: `${base}/K1`, headers: { 'if-match': version } })
    const late = await removeAsRead('"9"')
    expect([late.statusCode, late.json().code]).toEqual([412, 'version_mismatch'])
    expect((await removeAsRead('"1"')).statusCode).toBe(200)
  })

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
