import { hostname } from 'node:os'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { kioskHeaders, recordPunch, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  await running.clear()
  await running.db.deleteFrom('login_failures').execute()
  await registerKiosk(running, 'K1')
})
afterAll(() => running.close())

const base = '/api/v1/devices'
const send = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  payload: object | undefined = undefined,
  headers: Record<string, string> = {},
) => running.app.inject({ method, url: `${base}${path}`, headers, ...(payload && { payload }) })

const newCode = async (device = 'K1'): Promise<string> => (await send('POST', `/${device}/pair`)).json().code
const exchange = (code: string) => send('POST', '/pair', { code }, { 'x-device-key': '' })
const beat = (key: string, device_id = 'K1') =>
  send('POST', '/heartbeat', { device_id }, { 'x-device-key': key })
const statusOf = async (key: string, device_id = 'K1') => (await beat(key, device_id)).statusCode
const failureOf = (answer: { statusCode: number; json(): { code: string } }) => [
  answer.statusCode,
  answer.json().code,
]

/** All that an administrator may want of a device. */
async function wishesFor(device: string) {
  const manage = (path: string, payload?: object) =>
    running.app.inject({
      method: 'POST',
      url: `/api/v1/device-management/${path}/${device}`,
      ...(payload && { payload }),
    })
  return [
    await send('POST', `/${device}/pair`),
    await send('POST', `/${device}/commands`, { command: 'reset' }),
    await send('POST', `/${device}/rotate-key`),
    await manage('reset'),
    await manage('update', { volume: 3 }),
  ]
}

describe('a pairing code', () => {
  test('gives a kiosk its key and all that it needs to know', async () => {
    await send('PUT', '/K1', { name: 'Gate', direction: 'IN', config: { volume: 3 } })
    const made = await send('POST', '/1/pair')
    expect(made.statusCode).toBe(201)
    expect(made.json()).toEqual({
      device_id: 'K1',
      code: expect.stringMatching(/^[A-HJKMNP-Z2-9]{4}-[A-HJKMNP-Z2-9]{4}$/),
      path: `/kiosk#${made.json().code}`,
      qr_svg: expect.stringMatching(/^<svg /),
      expires_at: '2025-03-03T01:15:00.000Z',
      expires_in: 900,
    })
    const paired = await exchange(made.json().code)
    expect(paired.json()).toEqual({
      device_id: 'K1',
      device_key: expect.stringMatching(/^rollcall_device_/),
      name: 'Gate',
      config: { volume: 3 },
      config_version: 1,
      direction: 'IN',
      site: { id: 1, name: 'Main site', time_zone: 'Asia/Ho_Chi_Minh' },
      sealing_key: expect.stringMatching(/^B[\w-]{86}$/),
    })
    expect([made, paired].map(({ headers }) => headers['cache-control'])).toEqual(['no-store', 'no-store'])
    expect(await statusOf(paired.json().device_key)).toBe(200)
    expect((await send('GET', '/K1')).json().paired).toBe(true)
  })

  test('is stored as a hash, and so is the key', async () => {
    const code = await newCode()
    const stored = async () =>
      JSON.stringify([
        await running.db.selectFrom('pairing_codes').selectAll().execute(),
        await running.db.selectFrom('devices').selectAll().execute(),
      ])
    expect(await stored()).not.toContain(code.replace('-', ''))
    const { device_key } = (await exchange(code)).json()
    expect(await stored()).not.toContain(device_key)
    expect((await send('GET', '/K1')).body).not.toMatch(/hash/)
  })

  test('may be typed in small letters, with spaces or without a dash', async () => {
    const code = (await newCode()).toLowerCase().replace('-', ' ')
    expect((await exchange(` ${code} `)).statusCode).toBe(200)
  })

  test('is good once', async () => {
    const code = await newCode()
    const { device_key } = (await exchange(code)).json()
    expect(failureOf(await exchange(code))).toEqual([403, 'link_not_valid'])
    expect(await statusOf(device_key)).toBe(200)
  })

  test('of several exchanges at once gives one key', async () => {
    const code = await newCode()
    // Fewer than the throttle lets through.
    const answers = await Promise.all(Array.from({ length: 4 }, () => exchange(code)))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 403, 403, 403])
  })

  test('gives no key that outlives a revocation or a deletion at the same moment', async () => {
    for (const path of ['/K1/key', '/K1/key', '/K1/key', '/K1']) {
      await running.db.deleteFrom('login_failures').execute()
      const code = await newCode()
      const [exchanged, ended] = await Promise.all([exchange(code), send('DELETE', path)])
      expect(ended.statusCode).toBe(200)
      expect([200, 403]).toContain(exchanged.statusCode)
      if (exchanged.statusCode === 200) expect(await statusOf(exchanged.json().device_key)).toBe(401)
    }
    expect((await send('GET', '/K1')).statusCode).toBe(404)
  })

  test('is good for a quarter of an hour', async () => {
    const code = await newCode()
    running.clock.advance(15 * 60_000)
    expect(failureOf(await exchange(code))).toEqual([403, 'link_not_valid'])
  })

  test('is void when another one is made', async () => {
    const first = await newCode()
    const second = await newCode()
    expect((await exchange(first)).statusCode).toBe(403)
    expect((await exchange(second)).statusCode).toBe(200)
  })

  test('ends the key that the device had', async () => {
    const { 'x-device-key': old } = await kioskHeaders(running, 'K1')
    const code = await newCode()
    expect(await statusOf(old)).toBe(200)
    await exchange(code)
    expect(await statusOf(old)).toBe(401)
  })

  test('of a deactivated, deleted or revoked device is worthless', async () => {
    const deactivated = await newCode()
    await send('PUT', '/K1', { is_active: false })
    expect((await exchange(deactivated)).statusCode).toBe(403)
    expect(failureOf(await send('POST', '/K1/pair'))).toEqual([403, 'device_inactive'])
    await send('PUT', '/K1', { is_active: true })
    const revoked = await newCode()
    await send('DELETE', '/K1/key')
    expect((await exchange(revoked)).statusCode).toBe(403)
    const deleted = await newCode()
    await send('DELETE', '/K1')
    expect((await exchange(deleted)).statusCode).toBe(403)
  })

  test.each(['AAAA-AAAA', '-', '        x', 'Å'.repeat(32), "'; DROP TABLE devices; --"])(
    'that nobody made is refused: %s',
    async (code) => {
      expect(failureOf(await exchange(code))).toEqual([403, 'link_not_valid'])
    },
  )

  test('cannot be guessed at will', async () => {
    const code = await newCode()
    for (let i = 0; i < 30; i++) await exchange('AAAA-AAAA')
    const refused = await exchange(code)
    expect(failureOf(refused)).toEqual([429, 'too_many_requests'])
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    running.clock.advance(60_000)
    expect((await exchange(code)).statusCode).toBe(200)
  })

  test('is made by whoever may change devices, for a device that exists', async () => {
    const hr = await signIn(running.db, 'hr')
    expect((await send('POST', '/K1/pair', undefined, hr)).statusCode).toBe(403)
    expect(failureOf(await send('POST', '/K9/pair'))).toEqual([404, 'device_not_found'])
  })
})

describe("a kiosk's key", () => {
  test('is good for its own device alone', async () => {
    await registerKiosk(running, 'K2')
    const { 'x-device-key': key } = await kioskHeaders(running, 'K1')
    expect(failureOf(await beat(key, 'K2'))).toEqual([403, 'wrong_device'])
    expect(failureOf(await beat(key, 'K9'))).toEqual([403, 'wrong_device'])
  })

  test('gives no access to people, devices or the server', async () => {
    const headers = await kioskHeaders(running, 'K1')
    for (const url of ['/api/v1/employees', '/api/v1/devices', '/api/v1/device-management/logs'])
      expect(failureOf(await running.app.inject({ url, headers }))).toEqual([403, 'forbidden'])
    expect((await send('POST', '/K1/rotate-key', undefined, headers)).statusCode).toBe(403)
  })

  test('that nobody gave out is 401, and leaves no device', async () => {
    expect(failureOf(await beat('rollcall_device_made-up', 'K9'))).toEqual([401, 'unknown_device'])
    expect((await send('GET', '/K9')).statusCode).toBe(404)
  })

  test('is dead as soon as it is revoked', async () => {
    const { 'x-device-key': key } = await kioskHeaders(running, 'K1')
    expect(await statusOf(key)).toBe(200)
    expect((await send('DELETE', '/K1/key')).statusCode).toBe(200)
    expect(failureOf(await beat(key))).toEqual([401, 'unknown_device'])
    expect((await send('GET', '/K1')).json().paired).toBe(false)
    expect((await send('DELETE', '/K9/key')).statusCode).toBe(404)
  })

  test('rests while its device is deactivated', async () => {
    const { 'x-device-key': key } = await kioskHeaders(running, 'K1')
    await send('PUT', '/K1', { is_active: false })
    expect(failureOf(await beat(key))).toEqual([401, 'unknown_device'])
    await send('PUT', '/K1', { is_active: true })
    expect(await statusOf(key)).toBe(200)
  })

  test('ends with its device, also when that is registered again', async () => {
    const { 'x-device-key': key } = await kioskHeaders(running, 'K1')
    await running.app.inject({ method: 'POST', url: '/api/v1/employees', payload: { name: 'A' } })
    await recordPunch(running.db, 'EMP_001', 'K1')
    expect((await send('DELETE', '/K1')).json().action).toBe('deactivated')
    expect(await statusOf(key)).toBe(401)
    expect((await send('POST', '/K1/rotate-key')).statusCode).toBe(404)
    await registerKiosk(running, 'K1')
    expect(await statusOf(key)).toBe(401)
  })

  test('of a deactivated device is not replaced, nor is it given anything else before it is activated', async () => {
    await send('PUT', '/K1', { is_active: false })
    for (const answer of await wishesFor('K1')) expect(failureOf(answer)).toEqual([403, 'device_inactive'])
    await send('PUT', '/K1', { is_active: true })
    expect((await wishesFor('K1')).map(({ statusCode }) => statusCode)).toEqual([201, 201, 200, 200, 200])
  })

  test('of a deleted device is as little there as the device, and the answer says how to have it back', async () => {
    await running.app.inject({ method: 'POST', url: '/api/v1/employees', payload: { name: 'A' } })
    await recordPunch(running.db, 'EMP_001', 'K1')
    await send('DELETE', '/K1')
    for (const answer of await wishesFor('K1')) {
      expect(failureOf(answer)).toEqual([404, 'device_not_found'])
      expect(answer.json().message).toContain('Register it again')
    }
    expect(failureOf(await send('DELETE', '/K1/key'))).toEqual([404, 'device_not_found'])
  })

  test('is replaced by an administrator at once', async () => {
    const { 'x-device-key': old } = await kioskHeaders(running, 'K1')
    const answer = await send('POST', '/K1/rotate-key')
    expect(answer.json()).toEqual({ device_id: 'K1', device_key: expect.stringMatching(/^rollcall_device_/) })
    expect(await statusOf(old)).toBe(401)
    expect(await statusOf(answer.json().device_key)).toBe(200)
  })
})

describe('a kiosk that asks for a new key', () => {
  let old: string
  beforeEach(async () => {
    old = (await kioskHeaders(running, 'K1'))['x-device-key']
  })
  const rotate = async (key: string): Promise<string> => {
    const answer = await send('POST', '/rotate-key', undefined, { 'x-device-key': key })
    expect(answer.json()).toEqual({ device_id: 'K1', device_key: expect.any(String) })
    return answer.json().device_key
  }

  test('may use the old one until it used the new one', async () => {
    const next = await rotate(old)
    expect(await statusOf(old)).toBe(200)
    expect(await statusOf(next)).toBe(200)
    expect(await statusOf(old)).toBe(401)
    expect(await statusOf(next)).toBe(200)
  })

  test('and loses the answer asks again', async () => {
    const lost = await rotate(old)
    const next = await rotate(old)
    expect(await statusOf(lost)).toBe(401)
    expect(await statusOf(next)).toBe(200)
    expect(await statusOf(old)).toBe(401)
  })

  test('uses the new one in twenty requests at once', async () => {
    const next = await rotate(old)
    const answers = await Promise.all(Array.from({ length: 20 }, () => statusOf(next)))
    expect(new Set(answers)).toEqual(new Set([200]))
  })

  test('has none when both are revoked', async () => {
    const next = await rotate(old)
    await send('DELETE', '/K1/key')
    expect([await statusOf(old), await statusOf(next)]).toEqual([401, 401])
  })

  test('must be one: a person or an unpaired kiosk has no key to renew', async () => {
    expect(failureOf(await send('POST', '/rotate-key'))).toEqual([403, 'forbidden'])
    const open = await testApp({ db: running.db, gallery: running.gallery }, { DEVICE_AUTH: 'open' })
    const answer = await open.app.inject({
      method: 'POST',
      url: `${base}/rotate-key`,
      headers: { 'x-device-key': '' },
    })
    expect(failureOf(answer)).toEqual([401, 'unknown_device'])
    await open.app.close()
  })
})

describe('a server that asks kiosks for no key', () => {
  let open: TestApp
  beforeAll(async () => {
    const settings = { DEVICE_AUTH: 'open', CORS_ORIGINS: 'http://rollcall.lan' }
    open = await testApp({ db: running.db, gallery: running.gallery }, settings)
  })
  afterAll(() => open.close())

  const beat = (host: string, more: Record<string, string> = {}) =>
    open.app.inject({
      method: 'POST',
      url: `${base}/heartbeat`,
      payload: { device_id: 'K1' },
      headers: { 'x-device-key': '', host, ...more },
    })

  test('hears those that call it by its address, its own name or one that it was told', async () => {
    const names = ['127.0.0.1', '192.168.1.9:8000', '[fd00::1]:8000', 'localhost:8000', hostname()]
    for (const host of [...names, `${hostname()}.local:8000`, 'rollcall.lan:8000', 'ROLLCALL.lan'])
      expect([host, (await beat(host)).statusCode]).toEqual([host, 200])
  })

  test('refuses a page whose name was made to lead here, and any page of another site', async () => {
    for (const host of [
      'evil.example',
      'evil.example:8000',
      '127.0.0.1.evil.example',
      'localhost.evil.example',
    ])
      for (const origin of [undefined, `http://${host}`])
        expect(failureOf(await beat(host, origin === undefined ? {} : { origin }))).toEqual([
          403,
          'forbidden',
        ])
    expect(failureOf(await beat('127.0.0.1', { 'sec-fetch-site': 'cross-site' }))).toEqual([403, 'forbidden'])
    const known = { 'sec-fetch-site': 'cross-site', origin: 'http://rollcall.lan' }
    expect((await beat('127.0.0.1', known)).statusCode).toBe(200)
  })

  test('asks nothing of the kind of whoever shows a key', async () => {
    expect((await open.app.inject({ url: base, headers: { host: 'evil.example' } })).statusCode).toBe(200)
  })
})
