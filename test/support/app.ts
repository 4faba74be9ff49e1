import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InjectOptions } from 'fastify'
import { sql } from 'kysely'
import type { Role } from '../../src/access/permissions.ts'
import { deriveKey } from '../../src/access/secret.ts'
import { signAccessToken } from '../../src/access/tokens.ts'
import { type AppDeps, buildApp } from '../../src/app.ts'
import type { Database } from '../../src/database/tables.ts'
import { cached } from '../../src/face/cache.ts'
import { type FaceEngine, startEngine } from '../../src/face/engine.ts'
import { type Gallery, openGallery } from '../../src/gallery/gallery.ts'
import { createLearner } from '../../src/gallery/learn.ts'
import type { ModelSwitch } from '../../src/gallery/model-switch.ts'
import { useModels } from '../../src/gallery/models.ts'
import { openPhotoStore, type PhotoStore } from '../../src/gallery/photo-store.ts'
import { type Change, type Ledger, openLedger, serverAuthor } from '../../src/ledger/ledger.ts'
import type { Clock } from '../../src/shared/clock.ts'
import { loadConfig } from '../../src/shared/config.ts'
import type { App } from '../../src/shared/http.ts'
import { createLogger } from '../../src/shared/log.ts'
import { createWorkQueue } from '../../src/shared/work-queue.ts'
import { openVault, type Vault } from '../../src/vault/vault.ts'
import { testDatabase } from './database.ts'
import { testSwitch } from './models.ts'

/** A clock that stands still until it is moved. */
export interface TestClock extends Clock {
  set(time: string): void
  advance(milliseconds: number): void
}

export interface TestApp {
  /** Its `inject` sends the owner's token, unless the request has `authorization`, `x-api-key` or `x-device-key`. */
  app: App
  db: Database
  gallery: Gallery
  /** The real engine, whatever the application was given. */
  engine: FaceEngine
  photos: PhotoStore
  modelSwitch: ModelSwitch
  vault: Vault
  ledger: Ledger
  /** Folder of the enrolment photos. */
  uploads: string
  clock: TestClock
  /** The employees that were announced as changed, in order. */
  changed: string[]
  /** Empties the tables, so that a test finds a company without people or devices. */
  clear(): Promise<void>
  close(): Promise<void>
}

/** What the applications of the tests sign with. */
export const secret = Buffer.from('the secret of the tests, which is long enough')
/** What their ledgers are chained with. */
export const ledgerKey = Buffer.from('0123456789abcdef0123456789abcdef')
const FAR = new Date('2100-01-01T00:00:00Z')

/** Headers of a signed-in user of this role, whom this makes. */
export async function signIn(
  db: Database,
  role: Role,
  departments: string[] | null = role === 'manager' ? ['Any'] : null,
): Promise<{ authorization: string }> {
  const user = await db.transaction().execute(async (trx) => {
    // Past the program, and so past its audit log as well: the ledger of a test holds what the test did.
    await sql`SELECT set_config('rollcall.restoring', 'on', true)`.execute(trx)
    return trx
      .insertInto('users')
      .values({ username: `${role}-${randomUUID()}`, name: role, role, departments })
      .returning('id')
      .executeTakeFirstOrThrow()
  })
  const sessionId = randomUUID()
  const [began, times] = [new Date('2020-01-01T00:00:00Z'), { expires_at: FAR }]
  await db
    .insertInto('sessions')
    .values({
      ...times,
      id: sessionId,
      user_id: user.id,
      refresh_hash: sessionId,
      rotated_at: began,
      created_at: began,
    })
    .execute()
  const key = deriveKey(secret, 'access tokens')
  const token = await signAccessToken(key, { userId: user.id, sessionId }, began, FAR)
  return { authorization: `Bearer ${token}` }
}

/** Lets every request that says nothing of who sends it be the owner's. */
function asOwner(app: App, owner: { authorization: string }): App {
  const inject = app.inject.bind(app)
  const credentials = ['authorization', 'x-api-key', 'x-device-key']
  app.inject = ((request: InjectOptions | string) => {
    const options = typeof request === 'string' ? { url: request } : request
    const given = Object.keys(options.headers ?? {}).map((name) => name.toLowerCase())
    return given.some((name) => credentials.includes(name))
      ? inject(options)
      : inject({ ...options, headers: { ...owner, ...options.headers } })
  }) as App['inject']
  return app
}

/** Most tests are about something else. As a restore does it: without a row in the audit log. */
async function enrolWithoutConsent(db: Database): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await sql`SELECT set_config('rollcall.restoring', 'on', true)`.execute(trx)
    await trx.updateTable('sites').set({ require_consent: false }).execute()
  })
}

/** Loaded once for all applications of a test file. */
let engine: FaceEngine | undefined

/** The whole application on a database of its own. `overrides` replaces what it stands on, `env` its settings. */
export async function testApp(
  overrides: Partial<AppDeps> = {},
  env: Record<string, string> = {},
  wrapEngine: (engine: FaceEngine) => FaceEngine = (same) => same,
  /** Whose token requests carry; that of an owner made for it by default. */
  owner?: { authorization: string },
  /** How many analyses its engine keeps: none, because most tests want each picture looked at. */
  cachedPictures = 0,
): Promise<TestApp> {
  const database = await testDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-app-'))
  const clock = testClock('2025-03-03T01:00:00Z')
  const changed: string[] = []
  const config = loadConfig({ DATA_DIR: folder, RATE_LIMIT: '10000000', ...env }, folder)
  const log = createLogger({ level: 'silent' })
  engine ??= await startEngine()
  const { db } = database
  const { pack } = engine
  await enrolWithoutConsent(db)
  const vault = overrides.vault ?? (await openVault({ dir: join(folder, 'keys'), masterKey: ledgerKey }))
  const openItsLedger = () =>
    openLedger({
      db: overrides.db ?? db,
      clock,
      log,
      key: ledgerKey,
      keyFolder: folder,
      headsFile: join(folder, 'ledger-heads.jsonl'),
    })
  let openedLedger = overrides.ledger ?? (await openItsLedger())
  const ledger = new Proxy({} as Ledger, { get: (_, key) => Reflect.get(openedLedger, key) })
  const open = () =>
    openGallery({
      db,
      vault,
      change: ledger.by(serverAuthor),
      pack,
      clock,
      log,
      threshold: config.FACE_RECOGNITION_THRESHOLD,
    })
  let opened = await open()
  const refresh = (employeeId: string) => {
    changed.push(employeeId)
    return opened.refresh(employeeId)
  }
  // `clear` opens another one: what is in memory must not outlive the tables.
  const gallery = new Proxy({} as Gallery, {
    get: (_, key) => (key === 'refresh' ? refresh : Reflect.get(opened, key)),
  })
  const uploads = join(folder, 'uploads')
  const photos = await openPhotoStore(uploads)
  const queue = createWorkQueue({ atOnce: 2, maxWaiting: 64, maxWaitingPerKey: 64, maxWaitMs: 30_000 })
  const first = { engine: { ...wrapEngine(engine), close: async () => {} }, gallery }
  const models = useModels(first, log)
  const modelSwitch = testSwitch({ db, vault, photos, ledger, clock, log, queue, models })
  const usedEngine = cached(models.engine, cachedPictures)
  // `clear` opens another ledger.
  const change: Change = (work) => ledger.by(serverAuthor)(work)
  const used = { gallery: models.gallery, engine: usedEngine, ...overrides }
  const learnerDeps = { db, vault, photos, clock, log, ...used, change }
  const learner = createLearner(learnerDeps)
  const app = await buildApp({
    config,
    db,
    log,
    clock,
    version: '0.0.0-test',
    engine: usedEngine,
    gallery: models.gallery,
    learner,
    photos,
    modelSwitch,
    vault,
    ledger,
    secret,
    queue,
    ...overrides,
  })
  asOwner(app, owner ?? (await signIn(overrides.db ?? db, 'owner')))
  return {
    app,
    db,
    gallery,
    engine,
    photos,
    modelSwitch,
    vault,
    ledger,
    uploads,
    clock,
    changed,
    clear: async () => {
      changed.length = 0
      await learner.settled()
      await opened.close()
      for (const name of await readdir(uploads)) await rm(join(uploads, name), { force: true })
      await sql`TRUNCATE employees, devices, calibrations, erasures RESTART IDENTITY CASCADE`.execute(
        database.db,
      )
      await openedLedger.close()
      await sql`TRUNCATE ledger, audit_log RESTART IDENTITY`.execute(database.db)
      await sql`UPDATE ledger_head SET seq = 0, mac = ''`.execute(database.db)
      for (const name of ['ledger-head.json', 'ledger-heads.jsonl'])
        await rm(join(folder, name), { force: true })
      openedLedger = await openItsLedger()
      opened = await open()
    },
    close: async () => {
      await app.close()
      await learner.close()
      await models.close()
      await openedLedger.close()
      await database.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A form as a browser sends it: bytes become a file. */
export function form(parts: Record<string, string | Uint8Array>): FormData {
  const data = new FormData()
  for (const [name, value] of Object.entries(parts)) {
    if (typeof value === 'string') data.append(name, value)
    else data.append(name, new Blob([new Uint8Array(value)]), 'picture.jpg')
  }
  return data
}

/** Makes an employee with this id, who is called like it, and enrols the pictures. */
export async function enrol({ app }: TestApp, employeeId: string, ...pictures: Uint8Array[]): Promise<void> {
  const payload = { employee_id: employeeId, name: employeeId }
  await succeed(app.inject({ method: 'POST', url: '/api/v1/employees', payload }))
  for (const photo of pictures) {
    const url = `/api/v1/employees/${employeeId}/upload-photo`
    await succeed(app.inject({ method: 'POST', url, payload: form({ photo }) }))
  }
}

export async function registerKiosk({ app }: TestApp, device_id: string): Promise<void> {
  await succeed(app.inject({ method: 'POST', url: '/api/v1/devices/register', payload: { device_id } }))
}

/** Headers with a new key of this kiosk, which is registered. */
export async function kioskHeaders({ app }: TestApp, deviceId: string): Promise<{ 'x-device-key': string }> {
  const answer = await app.inject({ method: 'POST', url: `/api/v1/devices/${deviceId}/rotate-key` })
  await succeed(Promise.resolve(answer))
  return { 'x-device-key': answer.json().device_key }
}

async function succeed(answered: PromiseLike<{ statusCode: number; body: string }>): Promise<void> {
  const { statusCode, body } = await answered
  if (statusCode >= 300) throw new Error(`the test's own preparation failed: ${body}`)
}

/**
 * Further servers of the same company, on its database: each has a queue of its own, and none decides on a picture
 * before every one of them has looked at one.
 */
export async function moreServers(
  { db, gallery, photos, vault, ledger, clock }: TestApp,
  count: number,
): Promise<TestApp[]> {
  let open = () => {}
  let arrived = 0
  const all = new Promise<void>((resolve) => {
    open = resolve
  })
  const wrap = (engine: FaceEngine): FaceEngine => ({
    ...engine,
    analyse: async (...picture) => {
      const analysis = await engine.analyse(...picture)
      if (++arrived === count) open()
      await all
      return analysis
    },
  })
  return Promise.all(
    Array.from({ length: count }, () => testApp({ db, gallery, photos, vault, ledger, clock }, {}, wrap)),
  )
}

/** How many rows each table has, but for the log of kiosks' requests, which is written a little later. */
export async function rowCounts(db: Database): Promise<Record<string, number>> {
  const { rows } = await sql<{ name: string }>`SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_name <> 'network_logs' ORDER BY 1`.execute(db)
  const counts: Record<string, number> = {}
  for (const { name } of rows) {
    const counted = await sql<{ n: number }>`SELECT count(*)::int AS n FROM ${sql.table(name)}`.execute(db)
    counts[name] = counted.rows[0].n
  }
  return counts
}

function testClock(start: string): TestClock {
  let now = new Date(start)
  return {
    now: () => new Date(now),
    set: (time) => {
      now = new Date(time)
    },
    advance: (milliseconds) => {
      now = new Date(now.getTime() + milliseconds)
    },
  }
}

/** Writes a punch with the decision that led to it; returns the punch's number. */
export async function recordPunch(
  db: Database,
  employeeId: string,
  deviceId: string,
  time = '2025-03-03T01:00:00Z',
  type: 'IN' | 'OUT' = 'IN',
): Promise<number> {
  const decision = await db
    .insertInto('decisions')
    .values({
      device_id: deviceId,
      kind: 'face',
      outcome: 'identified',
      employee_id: employeeId,
      pack: 'test',
      record: JSON.stringify({}),
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const punch = await db
    .insertInto('attendance')
    .values({
      employee_id: employeeId,
      device_id: deviceId,
      timestamp: new Date(time),
      attendance_type: type,
      confidence_score: 0.9,
      liveness: 'unavailable',
      decision_id: decision.id,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return punch.id
}
