import type { LightMyRequestResponse } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { changed, openCompany, openSite, pair } from '../attendance/company.ts'
import { form, registerKiosk, rowCounts, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer
let looks = 0

beforeAll(async () => {
  running = await testApp({}, {}, (engine) => ({
    ...engine,
    analyse: (...picture) => {
      looks++
      return engine.analyse(...picture)
    },
  }))
  ann = await changed('blonde')
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
  await openCompany(running)
})
afterAll(() => running.close())

interface Check {
  route?: string
  headers?: Record<string, string>
  remoteAddress?: string
  parts?: Record<string, string>
}
function check({ route = 'check', headers = {}, remoteAddress = '127.0.0.1', parts = {} }: Check) {
  const captured_at = running.clock.now().toISOString()
  const payload = form({
    device_id: 'GATE',
    [route === 'batch' ? 'images' : 'image']: ann,
    ...(route === 'check' ? {} : { captured_at }),
    ...parts,
  })
  return running.app.inject({
    method: 'POST',
    url: `/api/v1/attendance/${route}`,
    payload,
    headers,
    remoteAddress,
  })
}
const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const routes = ['check', 'upload', 'batch']

describe("a kiosk's key", () => {
  test.each(routes)('is good for its own device at %s', async (route) => {
    const answer = await check({ route, headers: await pair(running.db, 'GATE') })
    expect([answer.json()].flat()[0]).toMatchObject({ recognized: true, employee_id: 'ANN' })
  })

  test.each(routes)(
    'is refused for another device at %s, before anybody looks at the picture',
    async (route) => {
      await registerKiosk(running, 'BACK')
      const headers = await pair(running.db, 'BACK')
      const [before, looked] = [await rowCounts(running.db), looks]
      expect(statusAndCode(await check({ route, headers }))).toEqual([403, 'wrong_device'])
      const { network_logs: _, ...after } = await rowCounts(running.db)
      expect(before).toMatchObject(after)
      expect(looks).toBe(looked)
    },
  )

  test.each(routes)('is needed at %s', async (route) => {
    const answer = await check({ route, headers: { 'x-device-key': 'made-up' } })
    expect(answer.statusCode).toBe(401)
  })

  test.each(routes)('of nobody registered leaves no row at %s', async (route) => {
    const before = await rowCounts(running.db)
    const answer = await check({ route, parts: { device_id: 'NOWHERE' } })
    expect(statusAndCode(answer)).toEqual([401, 'unknown_device'])
    const { network_logs: _, ...after } = await rowCounts(running.db)
    expect(before).toMatchObject(after)
  })
})

describe('the direction of a kiosk', () => {
  const direct = (direction: 'IN' | 'OUT' | 'AUTO') =>
    running.db.updateTable('devices').set({ direction }).where('device_id', '=', 'GATE').execute()
  const typeOf = async (parts: Record<string, string> = {}) => (await check({ parts })).json().attendance_type

  test('is what a check means that does not say', async () => {
    await direct('OUT')
    expect(await typeOf()).toBe('OUT')
  })

  test('does not stand against what the check says', async () => {
    await direct('OUT')
    expect(await typeOf({ attendance_type: 'IN' })).toBe('IN')
  })

  test('AUTO leaves IN, as ever', async () => {
    expect(await typeOf()).toBe('IN')
    running.clock.advance(3_600_000)
    expect(await typeOf()).toBe('IN')
    running.clock.advance(3_600_000)
    expect(await typeOf({ attendance_type: 'AUTO' })).toBe('OUT')
  })
})

describe('the site of a kiosk', () => {
  test('says which day it is: the last IN of yesterday is not of today', async () => {
    const auto = async (time: string) => {
      running.clock.set(time)
      return (await check({ parts: { attendance_type: 'AUTO' } })).json().attendance_type
    }
    // 23:00 and 01:00 in Lisbon, but one day in Asia/Ho_Chi_Minh, which the server has.
    await openSite(running.db, { time_zone: 'Europe/Lisbon' }, 'GATE')
    expect([await auto('2025-03-03T23:00:00Z'), await auto('2025-03-04T01:00:00Z')]).toEqual(['IN', 'IN'])
    await running.db.updateTable('devices').set({ site_id: 1 }).execute()
    expect([await auto('2025-03-05T23:00:00Z'), await auto('2025-03-06T01:00:00Z')]).toEqual(['IN', 'OUT'])
  })

  test('says what time it is', async () => {
    await openSite(running.db, { time_zone: 'America/New_York' }, 'GATE')
    await check({})
    expect((await check({})).json().message).toBe('Already checked in at 20:00')
  })

  test.each([
    ['10.20.3.4', ['10.20.0.0/16'], 200],
    ['10.21.3.4', ['10.20.0.0/16'], 403],
    ['10.21.3.4', ['10.20.0.0/16', '10.21.3.4/32'], 200],
    ['::ffff:10.20.3.4', ['10.20.0.0/16'], 200],
    ['fd00::7', ['10.20.0.0/16'], 403],
    ['fd00::7', ['fd00::/64'], 200],
    ['10.21.3.4', [], 200],
  ])('lets a kiosk call from %s where %s is allowed: %s', async (remoteAddress, allowed_networks, status) => {
    await openSite(running.db, { allowed_networks }, 'GATE')
    const headers = await pair(running.db, 'GATE')
    for (const route of routes) {
      const answer = await check({ route, headers, remoteAddress })
      expect(answer.statusCode).toBe(status)
      if (status === 403) expect(answer.json().code).toBe('network_not_allowed')
    }
  })

  test('does not say from where people may call', async () => {
    await openSite(running.db, { allowed_networks: ['10.20.0.0/16'] }, 'GATE')
    expect((await check({ remoteAddress: '192.0.2.1' })).json().recognized).toBe(true)
  })
})
