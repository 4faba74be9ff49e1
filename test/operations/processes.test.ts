import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Campaign, runCampaign } from '../../bench/torture/campaign.ts'
import { openDatabase } from '../../src/database/connect.ts'
import type { Database } from '../../src/database/tables.ts'
import { call, makeApiKey, signIn } from '../../src/onboarding.ts'
import { type PortraitName, portrait } from '../face/portraits.ts'
import { type Cluster, freePort, startCluster } from '../support/postgres-cluster.ts'
import type { Finish, Race } from '../support/racer.ts'
import {
  addPerson,
  addPhoto,
  ask,
  type Company,
  check,
  endServers,
  foundCompany,
  runProgram,
  type ServerProcess,
  startServer,
} from '../support/server-process.ts'

/** What one process did another one knows by then. */
const SOON_MS = 1_000

let cluster: Cluster
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-processes-'))
  cluster = await startCluster()
})
afterAll(async () => {
  await endServers()
  await cluster.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Checks again and again until the answer is as wanted; what is asked later than `SOON_MS` is too late. */
async function soon(
  { base }: ServerProcess,
  company: Company,
  name: PortraitName,
  wanted: (answer: { recognized?: boolean; employee_id?: string }) => boolean,
): Promise<void> {
  const began = performance.now()
  for (;;) {
    const asked = performance.now() - began
    const { status, body } = await check(base, company.kiosks[0], name)
    expect(status).toBe(200)
    if (wanted(body)) return
    expect(asked, 'the other process still does not know').toBeLessThan(SOON_MS)
    await sleep(50)
  }
}

describe('two servers on one PostgreSQL', () => {
  let one: ServerProcess
  let other: ServerProcess
  let company: Company
  let settings: Record<string, string>
  let db: Database
  let closeDatabase: () => Promise<void>

  beforeAll(async () => {
    settings = { DATA_DIR: join(folder, 'two'), DB_URL: await cluster.makeDatabase('two') }
    one = await startServer(settings)
    // The link for the first owner is good until the next start.
    company = await foundCompany(one, { people: [], kiosks: 2 })
    other = await startServer(settings)
    const open = await openDatabase({ url: settings.DB_URL, dataDir: '' })
    db = open.db
    closeDatabase = open.close
  })
  afterAll(async () => {
    await closeDatabase()
    expect([await one.end(), await other.end()]).toEqual([0, 0])
    expect((await runProgram(['verify'], settings)).code).toBe(0)
  })

  const api = (server: ServerProcess, path: string) => `${server.base}/api/v1${path}`

  test('whom one enrols the other recognises within a second, and again after an erasure it does not', async () => {
    await addPerson(one.base, company, 'blonde')
    await addPhoto(one.base, company, 'blonde', 'blonde')
    await soon(other, company, 'blonde', ({ employee_id }) => employee_id === 'blonde')
    await call('POST', api(one, '/employees/blonde/erase'), { headers: company.program })
    await soon(other, company, 'blonde', ({ recognized }) => recognized === false)
  })

  test('whose employment one ends, or who is purged, the other does not recognise any more', async () => {
    for (const name of ['bun', 'sunlit'] as const) {
      await addPerson(other.base, company, name)
      await addPhoto(other.base, company, name, name)
      await soon(one, company, name, ({ employee_id }) => employee_id === name)
    }
    await call('DELETE', api(other, '/employees/bun'), { headers: company.program })
    await soon(one, company, 'bun', ({ recognized }) => recognized === false)
    await call('DELETE', api(other, '/employees/sunlit?purge=true&confirm=sunlit'), {
      headers: company.owner,
    })
    await soon(one, company, 'sunlit', ({ recognized }) => recognized === false)
  })

  test('a key of a kiosk or a program and a session that one revokes are refused by the other at once', async () => {
    const [, kiosk] = company.kiosks
    const session = await signIn(one.base, { username: 'owner', password: 'correct horse battery' })
    const headers = { authorization: `Bearer ${session}` }
    const key = await makeApiKey(one.base, session, 'Short-lived', ['employees:read'])
    const people = api(other, '/employees')
    expect((await ask(people, { 'x-api-key': key })).status).toBe(200)
    expect((await ask(people, headers)).status).toBe(200)
    const answer = await check(other.base, kiosk, 'frontal')
    expect(answer.status).toBe(200)

    const keys = await call<{ id: number; name: string }[]>('GET', api(one, '/auth/api-keys'), { headers })
    const { id } = keys.find(({ name }) => name === 'Short-lived')!
    await call('DELETE', api(one, `/auth/api-keys/${id}`), { headers })
    expect((await ask(people, { 'x-api-key': key })).status).toBe(401)
    await call('DELETE', api(one, `/devices/${kiosk.deviceId}/key`), { headers: company.program })
    expect((await check(other.base, kiosk, 'frontal')).status).toBe(401)
    await call('POST', api(one, '/auth/logout'), { headers })
    expect((await ask(people, headers)).status).toBe(401)
  })

  const twins: PortraitName[] = ['bun', 'blonde', 'sunlit']

  test('of a gallery that outgrew its calibration at both of them there is one new one, and both use it', async () => {
    const before = (await db.selectFrom('calibrations').select('id').execute()).length
    // Ten people, some of whom are as alike as twins.
    const names: PortraitName[] = ['redLips', 'frontal', 'longHair', 'blueLight', ...twins, ...twins]
    const ids = names.map((name, index) => ({ name, id: `CAL_${index}`, at: index % 2 === 0 ? one : other }))
    for (const { id, at } of ids) await addPerson(at.base, company, id)
    await Promise.all(ids.map(({ id, name, at }) => addPhoto(at.base, company, id, name)))
    await expect
      .poll(async () => (await db.selectFrom('calibrations').select('id').execute()).length, {
        timeout: 5_000,
      })
      .toBe(before + 1)
    await sleep(SOON_MS)
    for (const server of [one, other]) {
      const { status } = await check(server.base, company.kiosks[0], 'frontal')
      expect(status).toBe(200)
    }
    const decisions = await db
      .selectFrom('decisions')
      .select('calibration_id')
      .orderBy('id', 'desc')
      .limit(2)
      .execute()
    const [newest] = await db.selectFrom('calibrations').select('id').orderBy('id', 'desc').limit(1).execute()
    expect(decisions.map(({ calibration_id }) => calibration_id)).toEqual([newest!.id, newest!.id])
    expect(await db.selectFrom('calibrations').select('id').execute()).toHaveLength(before + 1)
  }, 600_000)

  test('one that was cut off from the database knows afterwards what it missed', async () => {
    const wire = await openWire(settings.DB_URL)
    const third = await startServer({ ...settings, DB_URL: wire.url })
    try {
      wire.cut()
      await expect.poll(async () => (await ask(`${third.base}/health`)).status, { timeout: 10_000 }).toBe(503)
      await addPerson(one.base, company, 'LATE')
      await addPhoto(one.base, company, 'LATE', 'tilted')
      await call('DELETE', api(one, '/employees/CAL_0'), { headers: company.program })
      wire.mend()
      await expect.poll(async () => (await ask(`${third.base}/health`)).status, { timeout: 20_000 }).toBe(200)
      await sleep(2 * SOON_MS)
      expect((await check(third.base, company.kiosks[0], 'redLips')).body.recognized).toBe(false)
      expect((await check(third.base, company.kiosks[0], 'tilted')).body.employee_id).toBe('LATE')
    } finally {
      await third.end()
      wire.close()
    }
  }, 600_000)

  test('of 1,000 races of two processes for one punch each makes one', async () => {
    const kiosks = await Promise.all(
      [1, 2, 3, 4].map(async (number) => {
        const device_id = `RACE${number}`
        await call('POST', api(one, '/devices/register'), { body: { device_id }, headers: company.program })
        const { device_key } = await call<{ device_key: string }>(
          'POST',
          api(one, `/devices/${device_id}/rotate-key`),
          { headers: company.program },
        )
        return { device_id, device_key }
      }),
    )
    const image = (await portrait('frontal')).toString('base64')
    const racers = [startRacer(settings), startRacer(settings)]
    await Promise.all(racers.map(({ ready }) => ready))
    const before = await db.selectFrom('attendance').select('id').where('employee_id', '=', 'CAL_1').execute()
    for (let round = 0; round < 1_000; round++) {
      // Each race lies outside the duplicate window of the one before it.
      const time = new Date(Date.UTC(2030, 0, 1) + round * 120_000).toISOString()
      const answers = await Promise.all(
        racers.map((racer, number) => {
          const own = kiosks.slice(2 * number, 2 * number + 2)
          const deviceKeys = own.map(({ device_key }) => device_key)
          return racer.race({ image, deviceKeys, deviceIds: own.map(({ device_id }) => device_id), time })
        }),
      )
      const all = answers.flat()
      expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200])
      expect(all.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
      expect(new Set(all.map(({ attendance_id }) => attendance_id)).size).toBe(1)
    }
    await Promise.all(racers.map((racer) => racer.stop()))
    const after = await db.selectFrom('attendance').select('id').where('employee_id', '=', 'CAL_1').execute()
    expect(after.length - before.length).toBe(1_000)
  }, 600_000)
})

function startRacer({ DB_URL, DATA_DIR }: Record<string, string>) {
  const program = fileURLToPath(new URL('../support/racer.ts', import.meta.url))
  const child: ChildProcess = fork(program, [DB_URL, DATA_DIR], { execArgv: ['--import', 'tsx'] })
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`the racer ended with ${code}`)
  })
  // Looked at only while an answer is awaited.
  died.catch(() => {})
  const said = async <Message>() => (await Promise.race([once(child, 'message'), died]))[0] as Message
  return {
    ready: said<'ready'>(),
    race: (race: Race): Promise<Finish> => {
      const finish = said<Finish>()
      child.send(race)
      return finish
    },
    stop: async () => {
      const ended = once(child, 'exit')
      child.send('stop')
      await ended
    },
  }
}

/** A way to the database that can be cut: what is sent then is neither delivered nor refused. */
async function openWire(url: string) {
  const target = new URL(url)
  const pairs = new Set<[Socket, Socket]>()
  let isCut = false
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname)
    const pair: [Socket, Socket] = [near, far]
    pairs.add(pair)
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('data', (bytes) => to.write(bytes))
      from.on('error', () => {})
      from.on('close', () => {
        to.destroy()
        pairs.delete(pair)
      })
    }
    if (isCut) for (const socket of pair) socket.pause()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    url: Object.assign(new URL(url), { port: String(port) }).href,
    cut: () => {
      isCut = true
      for (const socket of [...pairs].flat()) socket.pause()
    },
    mend: () => {
      isCut = false
      for (const socket of [...pairs].flat()) socket.resume()
    },
    close: () => {
      server.close()
      for (const socket of [...pairs].flat()) socket.destroy()
    },
  }
}

describe('WORKERS', () => {
  afterEach(() => endServers())

  const workersOf = ({ child }: ServerProcess) =>
    readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number)

  test('are refused with the embedded database, in a sentence', async () => {
    const { code, said } = await runProgram(['start'], { DATA_DIR: join(folder, 'none'), WORKERS: '2' })
    expect([code, said.trim()]).toEqual([
      1,
      'WORKERS needs a PostgreSQL server: the embedded database serves one process only. Set DB_URL, or WORKERS=1.',
    ])
  })

  test('tell why none of them starts', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const { code, said } = await runProgram(['start'], {
      DATA_DIR: join(folder, 'taken'),
      DB_URL: await cluster.makeDatabase('taken'),
      PORT: String(port),
      WORKERS: '2',
    })
    taken.close()
    expect(code).toBe(1)
    expect(said.match(new RegExp(`Port ${port} is in use`, 'g'))).toHaveLength(1)
  })

  test('share a port, know of each other, are started again when they die, and stop together', async () => {
    const settings = {
      DATA_DIR: join(folder, 'pair'),
      DB_URL: await cluster.makeDatabase('pair'),
      WORKERS: '2',
      // Always the same one: no worker is left to hold it when both are killed.
      PORT: String(await freePort()),
    }
    const server = await startServer(settings)
    expect(server.said().match(/works once/g)).toHaveLength(1)
    await expect.poll(() => workersOf(server).length).toBe(2)
    const company = await foundCompany(server, { people: ['blonde'], kiosks: 1 })
    // Whichever of them is asked.
    await soon(server, company, 'blonde', ({ recognized }) => recognized === true)
    const [first, second] = workersOf(server)
    process.kill(first!, 'SIGKILL')
    await expect
      .poll(() => workersOf(server).filter((pid) => pid !== first), { timeout: 20_000 })
      .toHaveLength(2)
    expect(workersOf(server)).toContain(second)
    await expect
      .poll(
        () =>
          ask(`${server.base}/health`).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 20_000 },
      )
      .toBe(200)
    expect(await server.end()).toBe(0)
    expect(() => process.kill(second!, 0)).toThrow('ESRCH')
  }, 600_000)

  test('lose nothing that was acknowledged when one of them is killed, at whatever moment', async () => {
    const settings = {
      DATA_DIR: join(folder, 'killed'),
      DB_URL: await cluster.makeDatabase('killed'),
      WORKERS: '2',
      // Always the same one: no worker is left to hold it when both are killed.
      PORT: String(await freePort()),
    }
    const strike: Campaign['strike'] = async (server) => {
      const pids = workersOf(server)
      process.kill(pids[Math.floor(Math.random() * pids.length)]!, 'SIGKILL')
      return server
    }
    const began = performance.now()
    const enough = (strikes: number) => strikes >= 3 && performance.now() - began > 20_000
    const outcome = await runCampaign({ name: 'workers', settings, strike }, enough)
    expect(outcome.faults).toEqual([])
    const { sent, kept, lost, doubled } = outcome
    expect({ kept, lost, doubled }).toEqual({ kept: sent, lost: 0, doubled: 0 })
  }, 600_000)
})
