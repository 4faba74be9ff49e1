import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { type AppDeps, buildApp } from '../../src/app.ts'
import type { Database } from '../../src/database/tables.ts'
import { type FaceEngine, startEngine } from '../../src/face/engine.ts'
import { type Gallery, openGallery } from '../../src/gallery/gallery.ts'
import { openPhotoStore } from '../../src/gallery/photo-store.ts'
import type { Clock } from '../../src/shared/clock.ts'
import { loadConfig } from '../../src/shared/config.ts'
import type { App } from '../../src/shared/http.ts'
import { createLogger } from '../../src/shared/log.ts'
import { createWorkQueue } from '../../src/shared/work-queue.ts'
import { testDatabase } from './database.ts'

/** A clock that stands still until it is moved. */
export interface TestClock extends Clock {
  set(time: string): void
  advance(milliseconds: number): void
}

export interface TestApp {
  app: App
  db: Database
  gallery: Gallery
  clock: TestClock
  /** The employees that were announced as changed, in order. */
  changed: string[]
  /** Empties the tables, so that a test finds a company without people or devices. */
  clear(): Promise<void>
  close(): Promise<void>
}

/** Loaded once for all applications of a test file. */
let engine: FaceEngine | undefined

/** The whole application on a database of its own. `overrides` replaces what it stands on, `env` its settings. */
export async function testApp(
  overrides: Partial<AppDeps> = {},
  env: Record<string, string> = {},
  wrapEngine: (engine: FaceEngine) => FaceEngine = (same) => same,
): Promise<TestApp> {
  const database = await testDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-app-'))
  const clock = testClock('2025-03-03T01:00:00Z')
  const changed: string[] = []
  const config = loadConfig({ DATA_DIR: folder, ...env }, folder)
  const log = createLogger({ level: 'silent' })
  engine ??= await startEngine()
  const { db } = database
  const gallery = await openGallery({
    db,
    pack: engine.pack,
    clock,
    log,
    threshold: config.FACE_RECOGNITION_THRESHOLD,
  })
  const app = await buildApp({
    config,
    db,
    log,
    clock,
    version: '0.0.0-test',
    engine: wrapEngine(engine),
    gallery: Object.create(gallery, {
      refresh: {
        value: (employeeId: string) => {
          changed.push(employeeId)
          return gallery.refresh(employeeId)
        },
      },
    }),
    photos: await openPhotoStore(join(folder, 'uploads')),
    queue: createWorkQueue({ atOnce: 2, maxWaiting: 64, maxWaitingPerKey: 64, maxWaitMs: 30_000 }),
    ...overrides,
  })
  return {
    app,
    db,
    gallery,
    clock,
    changed,
    clear: async () => {
      changed.length = 0
      await sql`TRUNCATE employees, devices, calibrations RESTART IDENTITY CASCADE`.execute(database.db)
    },
    close: async () => {
      await app.close()
      await gallery.close()
      await database.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
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
export async function recordPunch(db: Database, employeeId: string, deviceId: string): Promise<number> {
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
      timestamp: new Date('2025-03-03T01:00:00Z'),
      attendance_type: 'IN',
      confidence_score: 0.9,
      liveness: 'unavailable',
      decision_id: decision.id,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return punch.id
}
