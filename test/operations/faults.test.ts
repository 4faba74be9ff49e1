import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { call } from '../../src/onboarding.ts'
import { type Cluster, startCluster } from '../support/postgres-cluster.ts'
import {
  addPerson,
  addPhoto,
  ask,
  type CheckAnswer,
  type Company,
  check,
  endServers,
  foundCompany,
  type ServerProcess,
  startServer,
} from '../support/server-process.ts'
import { canMount, type SmallDisk, smallDisk } from '../support/small-disk.ts'

/** Nobody at a door waits for longer, whatever is broken. */
const BOUND_MS = 2_000
const disk = test.skipIf(!canMount && process.env.CI !== 'true')

let server: ServerProcess
let company: Company
/** The numbers of the punches that were acknowledged. */
let acknowledged: number[]

/** A check as a kiosk sends it, with a key of its own. */
async function punch(key: string = randomUUID()): Promise<CheckAnswer> {
  const answer = await check(server.base, company.kiosks[0], 'blonde', { key })
  if (answer.status === 200) acknowledged.push(answer.body.attendance_id!)
  return answer
}

const healthy = () => ask(`${server.base}/health`)

/** The server answers that it cannot do its work, soon, and says why. */
function expectRefused(answer: CheckAnswer): void {
  expect(answer).toMatchObject({ status: 503, body: { code: 'database_unavailable' } })
  expect(answer.ms).toBeLessThan(BOUND_MS)
}

/** While something is broken every kind of request is refused in time, and /health answers. */
async function expectOutage(): Promise<void> {
  const [first, second, list, health, live] = await Promise.all([
    punch(),
    punch(),
    ask(`${server.base}/api/v1/employees`, company.program),
    healthy(),
    ask(`${server.base}/health/live`),
  ])
  expectRefused(first)
  expectRefused(second)
  expect(list.status).toBe(503)
  expect(list.ms).toBeLessThan(BOUND_MS)
  expect([200, 503]).toContain(health.status)
  expect(health.ms).toBeLessThan(BOUND_MS)
  expect(live.status).toBe(200)
}

/** Sends the same event until it is taken, as a kiosk does. */
async function punchUntilTaken(key: string): Promise<CheckAnswer> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const answer = await punch(key)
    if (answer.status === 200 || Date.now() > deadline) return answer
    await sleep(300)
  }
}

/** Every punch that was acknowledged is there, and no other one but those that a retry finds. */
async function expectNothingLost(): Promise<void> {
  const url = `${server.base}/api/v1/attendance?limit=1000`
  const kept = await call<{ id: number }[]>('GET', url, { headers: company.program })
  expect(kept.map(({ id }) => id).sort()).toEqual([...new Set(acknowledged)].sort())
}

afterEach(() => endServers())

describe('a PostgreSQL server', () => {
  let cluster: Cluster
  let folder: string
  let databaseUrl: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-faults-'))
    cluster = await startCluster()
  })
  afterAll(async () => {
    cluster.thaw()
    await cluster.stop()
    await rm(folder, { recursive: true, force: true })
  })

  /** A server on a database of its own. */
  async function start(on: Cluster): Promise<void> {
    const name = `faults_${randomUUID().replaceAll('-', '')}`
    databaseUrl = await on.makeDatabase(name)
    server = await startServer({ DB_URL: databaseUrl, DATA_DIR: join(folder, name) })
    company = await foundCompany(server, { people: ['blonde', 'bun'], kiosks: 2 })
    acknowledged = []
  }

  test('that is stopped is missed at once, and found again by itself', async () => {
    await start(cluster)
    const [before, during] = [randomUUID(), randomUUID()]
    const first = await punch(before)
    await cluster.halt()
    await expectOutage()
    expectRefused(await punch(during))
    await cluster.start()
    expect((await punchUntilTaken(during)).body).toMatchObject({ recognized: true, duplicate: false })
    expect((await punch(before)).body.attendance_id).toBe(first.body.attendance_id)
    // It looks once a second.
    await expect.poll(async () => (await healthy()).status, { timeout: 5_000 }).toBe(200)
    await expectNothingLost()
  })

  test('that stands still is noticed, however many wait for it, and the same events are taken afterwards', async () => {
    await start(cluster)
    await punch()
    const keys = Array.from({ length: 6 }, () => randomUUID())
    cluster.freeze()
    // Far more than there are connections.
    const lists = await Promise.all(
      Array.from({ length: 60 }, () => ask(`${server.base}/api/v1/employees`, company.program)),
    )
    expect(new Set(lists.map(({ status }) => status))).toEqual(new Set([503]))
    expect(Math.max(...lists.map(({ ms }) => ms))).toBeLessThan(BOUND_MS)
    for (const answer of await Promise.all(keys.map(punch))) expectRefused(answer)
    await expectOutage()
    cluster.thaw()
    for (const key of keys) expect((await punchUntilTaken(key)).body.recognized).toBe(true)
    await expectNothingLost()
  })

  test('that stands still amid punches loses none and doubles none', async () => {
    await start(cluster)
    const keys = Array.from({ length: 8 }, () => randomUUID())
    for (let round = 0; round < 3; round++) {
      const sent = keys.map((key) => punch(`${key}-${round}`))
      await sleep(60 + round * 60)
      cluster.freeze()
      const answers = await Promise.all(sent)
      for (const { status, ms } of answers) {
        expect([200, 503]).toContain(status)
        // The last of the queue may have waited for the networks before it came to the database.
        expect(ms).toBeLessThan(BOUND_MS + 3_000)
      }
      cluster.thaw()
      for (const key of keys) expect((await punchUntilTaken(`${key}-${round}`)).status).toBe(200)
    }
    expect(new Set(acknowledged).size).toBe(24)
    await expectNothingLost()
  }, 600_000)

  test.each([
    ['of the person', "SELECT 1 FROM employees WHERE employee_id = 'blonde' FOR UPDATE"],
    ['of the kiosk', "SELECT 1 FROM devices WHERE device_id = 'GATE1' FOR UPDATE"],
    ['on the punches', 'LOCK TABLE attendance IN ACCESS EXCLUSIVE MODE'],
  ])('in which somebody holds a lock %s refuses in time, and takes the same event later', async (_, lock) => {
    await start(cluster)
    await punch()
    const key = randomUUID()
    const other = new pg.Client({ connectionString: databaseUrl })
    await other.connect()
    await other.query('BEGIN')
    await other.query(lock)
    for (let round = 0; round < 3; round++) expectRefused(await punch(key))
    const health = await healthy()
    expect(health.status).toBe(200)
    expect(health.ms).toBeLessThan(BOUND_MS)
    await other.query('ROLLBACK')
    await other.end()
    expect((await punch(key)).body).toMatchObject({ recognized: true, duplicate: false })
    await expectNothingLost()
  })

  disk(
    'whose disk is full refuses in time, and takes the same events when there is space',
    async () => {
      const small = smallDisk(160)
      const full = await startCluster(small.folder)
      try {
        await start(full)
        await punch()
        small.fill()
        const refused = await refusedEvents()
        const health = await healthy()
        expect(health.ms).toBeLessThan(BOUND_MS)
        small.free()
        // A PostgreSQL server whose log of changes found no room ends, and its service manager starts it again.
        if (!full.runs()) await full.start()
        for (const key of refused) expect((await punchUntilTaken(key)).body.recognized).toBe(true)
        await expectNothingLost()
      } finally {
        await endServers()
        await full.stop()
        small.remove()
      }
    },
    120_000,
  )
})

/** Punches until three in a row are refused, each in time. Returns the refused events. */
async function refusedEvents(): Promise<string[]> {
  const refused: string[] = []
  for (let sent = 0; refused.length < 3; sent++) {
    const key = randomUUID()
    const answer = await punch(key)
    if (answer.status === 200) expect(sent).toBeLessThan(300)
    else {
      expect(answer.status).toBe(503)
      expect(answer.ms).toBeLessThan(BOUND_MS)
      refused.push(key)
    }
  }
  return refused
}

describe('the embedded database', () => {
  let disks: SmallDisk[]

  afterEach(() => {
    for (const small of disks) small.remove()
  })

  disk(
    'on a full disk refuses in time, and takes the same events when there is space',
    async () => {
      const [data, uploads] = [smallDisk(120), smallDisk(4)]
      disks = [data, uploads]
      server = await startServer({ DATA_DIR: data.folder, UPLOAD_DIR: uploads.folder })
      company = await foundCompany(server, { people: ['blonde', 'bun'], kiosks: 1 })
      acknowledged = []
      await punch()
      data.fill()
      const refused = await refusedEvents()
      const health = await ask(`${server.base}/health/live`)
      expect(health.status).toBe(200)
      data.free()
      for (const key of refused) expect((await punchUntilTaken(key)).body.recognized).toBe(true)
      await expectNothingLost()
      await expectUploadsRefused(uploads)
    },
    120_000,
  )

  /** Without room for photos the rest goes on. */
  async function expectUploadsRefused(uploads: SmallDisk): Promise<void> {
    await addPerson(server.base, company, 'LATE')
    uploads.fill()
    const started = performance.now()
    await expect(addPhoto(server.base, company, 'LATE', 'sunlit')).rejects.toThrow(/: 507 .*full/)
    expect(performance.now() - started).toBeLessThan(BOUND_MS)
    expect((await healthy()).status).toBe(200)
    expect((await punch()).body.recognized).toBe(true)
    uploads.free()
    await addPhoto(server.base, company, 'LATE', 'sunlit')
    expect((await check(server.base, company.kiosks[0], 'sunlit')).body.employee_id).toBe('LATE')
  }
})
