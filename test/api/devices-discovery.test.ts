import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Announcement, type Network, scan } from '../../src/devices/discovery.ts'
import { signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let announced: Announcement[] = []
/** What answers, as address:port, and what was asked. */
let answering = new Set<string>()
let tried: string[] = []
let atOnce = 0
let mostAtOnce = 0

const network: Network = {
  browse: async () => announced,
  answers: async (address, port) => {
    tried.push(`${address}:${port}`)
    mostAtOnce = Math.max(mostAtOnce, ++atOnce)
    await new Promise((resolve) => setImmediate(resolve))
    atOnce--
    return answering.has(`${address}:${port}`)
  },
}

beforeAll(async () => {
  running = await testApp(
    { network },
    { DISCOVERY: 'true', SCAN_NETWORKS: '10.1.2.0/29', SCAN_PORTS: '5000,80' },
  )
})
beforeEach(async () => {
  await running.clear()
  await running.db.deleteFrom('network_scans').execute()
  running.clock.set('2025-03-03T01:00:00Z')
  announced = []
  answering = new Set()
  tried = []
  mostAtOnce = 0
})
afterAll(() => running.close())

const send = (method: 'GET' | 'POST', path: string, headers: Record<string, string> = {}, on = running) =>
  on.app.inject({ method, url: `/api/v1/device-management/${path}`, headers })
const announce = (type: string, ip: string, more: Partial<Announcement> = {}) =>
  announced.push({ type, hostname: `${type}.local`, port: 80, addresses: [ip], txt: {}, ...more })

describe('a scan', () => {
  test('tries the hosts and ports of the settings and nothing else, and keeps what answers', async () => {
    answering = new Set(['10.1.2.2:5000', '10.1.2.6:80', '10.1.2.7:80', '10.1.3.1:80'])
    const answer = await send('POST', 'network/scan')
    const found = [
      ['10.1.2.2', 5000],
      ['10.1.2.6', 80],
    ].map(([ip, port]) => ({
      ip,
      port,
      hostname: 'Unknown',
      status: 'discovered',
      last_seen: '2025-03-03T01:00:00.000Z',
    }))
    expect([answer.statusCode, answer.json()]).toEqual([200, found])
    expect([...tried].sort()).toEqual(
      [1, 2, 3, 4, 5, 6].flatMap((host) => [`10.1.2.${host}:5000`, `10.1.2.${host}:80`]).sort(),
    )
    tried = []
    expect((await send('GET', 'network/scan')).json()).toEqual(found)
    expect(tried).toEqual([])
  })

  test('runs once a minute, whichever process is asked', async () => {
    await send('POST', 'network/scan')
    running.clock.advance(59_999)
    const refused = await send('POST', 'network/scan')
    expect([refused.statusCode, refused.json().code]).toEqual([429, 'too_many_requests'])
    expect(refused.headers['retry-after']).toBeDefined()
    running.clock.advance(1)
    const answers = await Promise.all(Array.from({ length: 5 }, () => send('POST', 'network/scan')))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 429, 429, 429, 429])
  })

  test('keeps few connections open at once', async () => {
    const { db, clock } = running
    await scan(db, network, ['10.9.0.0/22'], [5000], clock)
    expect(tried).toHaveLength(1022)
    expect(mostAtOnce).toBeLessThanOrEqual(128)
  })

  test.each(['127.0.0.0/30', '169.254.169.254/32', '8.8.8.8/32', '224.0.0.1/32', '0.0.0.0/30'])(
    'of %s tries nothing, even past the check of the settings',
    async (block) => {
      const { db, clock } = running
      await expect(scan(db, network, [block], [5000], clock)).rejects.toMatchObject({ code: 'discovery_off' })
      await scan(db, network, ['10.1.2.4/32', block], [5000], clock)
      expect(tried).toEqual(['10.1.2.4:5000'])
    },
  )

  test('without networks in the settings is off, and discovery without its own', async () => {
    const plain = await testApp({ db: running.db, gallery: running.gallery, network })
    for (const path of ['network/scan', 'discover']) {
      const answer = await plain.app.inject({ method: 'POST', url: `/api/v1/device-management/${path}` })
      expect([answer.statusCode, answer.json().code]).toEqual([409, 'discovery_off'])
    }
    expect(tried).toEqual([])
    await plain.app.close()
  })

  test('that was never made has found nothing', async () => {
    expect((await send('GET', 'network/scan')).json()).toEqual([])
  })

  test.each(['hr', 'manager', 'viewer'] as const)('is not for a role such as %s', async (role) => {
    const headers = await signIn(running.db, role)
    for (const [method, path] of [
      ['POST', 'network/scan'],
      ['GET', 'network/scan'],
      ['POST', 'discover'],
    ] as const)
      expect((await send(method, path, headers)).statusCode).toBe(403)
  })
})

describe('discovery', () => {
  test('lists what announces itself as a kiosk', async () => {
    announce('rollcall-kiosk', '10.1.2.3', { hostname: 'gate.local' })
    expect((await send('POST', 'discover')).json()).toEqual({
      discovered_devices: [
        {
          ip: '10.1.2.3',
          hostname: 'gate.local',
          status: 'discovered',
          last_seen: '2025-03-03T01:00:00.000Z',
        },
      ],
      total_found: 1,
    })
  })

  test('knows the kiosks of older systems: by type, by their word or by port 5000', async () => {
    announce('kiosk', '10.1.2.1')
    announce('http', '10.1.2.2', { port: 5000 })
    announce('http', '10.1.2.3', { txt: { type: 'kiosk' } })
    announce('http', '10.1.2.4')
    answering = new Set(['10.1.2.5:5000', '10.1.2.6:80', '10.1.2.1:5000'])
    await send('POST', 'network/scan')
    const answer = (await send('POST', 'discover')).json()
    expect(answer.discovered_devices.map(({ ip }: { ip: string }) => ip)).toEqual([
      '10.1.2.1',
      '10.1.2.2',
      '10.1.2.3',
      '10.1.2.5',
    ])
    expect(answer.total_found).toBe(4)
  })

  test('takes no nonsense from the network', async () => {
    announce('rollcall-kiosk', 'not an address')
    announce('rollcall-kiosk', '10.1.2.3', {
      hostname: `<script>\0\ud800${'a'.repeat(400)}`,
      addresses: ['x', 'fe80::1', '10.1.2.3'],
    })
    announce('rollcall-kiosk', '10.1.2.4', { hostname: '\n', addresses: [] })
    const answer = await send('POST', 'discover')
    expect(answer.statusCode).toBe(200)
    expect(answer.json().discovered_devices).toEqual([
      expect.objectContaining({ ip: '10.1.2.3', hostname: `script${'a'.repeat(247)}` }),
    ])
  })
})
