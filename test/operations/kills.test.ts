import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Campaign, killServer, type Outcome, runCampaign } from '../../bench/torture/campaign.ts'
import { openDatabase } from '../../src/database/connect.ts'
import { migrateDown, migrateToLatest, migrationStatus } from '../../src/database/migrate.ts'
import type { Database } from '../../src/database/tables.ts'
import { type Cluster, startCluster } from '../support/postgres-cluster.ts'
import { databaseProcess } from '../support/processes.ts'
import { endServers } from '../support/server-process.ts'

/** `npm run torture` kills 50 times and more; here it is as often as fits. */
const CAMPAIGN_MS = 20_000
const AT_LEAST = 3

let folder: string
let cluster: Cluster

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-kills-'))
  cluster = await startCluster()
})
afterEach(() => endServers())
afterAll(async () => {
  await cluster.stop()
  await rm(folder, { recursive: true, force: true })
})

async function forAWhile(campaign: Campaign): Promise<Outcome> {
  const began = performance.now()
  return runCampaign(campaign, (strikes) => strikes >= AT_LEAST && performance.now() - began > CAMPAIGN_MS)
}

function expectWhole({ strikes, sent, acknowledged, kept, lost, doubled, faults }: Outcome): void {
  expect(faults).toEqual([])
  expect({ lost, doubled }).toEqual({ lost: 0, doubled: 0 })
  expect([acknowledged, kept]).toEqual([sent, sent])
  expect(strikes).toBeGreaterThanOrEqual(AT_LEAST)
  expect(sent).toBeGreaterThan(2 * strikes)
}

describe('kill -9 amid punches and enrolments loses none of them, doubles none and leaves nothing half:', () => {
  test('of the server with the embedded database', async () => {
    const settings = { DATA_DIR: join(folder, 'embedded') }
    expectWhole(await forAWhile({ name: 'embedded', settings, strike: killServer(settings) }))
  }, 600_000)

  test('of the server on PostgreSQL', async () => {
    const settings = { DATA_DIR: join(folder, 'server'), DB_URL: await cluster.makeDatabase('server') }
    expectWhole(await forAWhile({ name: 'server', settings, strike: killServer(settings) }))
  }, 600_000)

  test('of PostgreSQL with all its sessions', async () => {
    const settings = {
      DATA_DIR: join(folder, 'postgres'),
      DB_URL: await cluster.makeDatabase('postgres_killed'),
    }
    const strike: Campaign['strike'] = async (server) => {
      await cluster.kill()
      await cluster.start()
      return server
    }
    expectWhole(await forAWhile({ name: 'postgres', settings, strike }))
  }, 600_000)
})

/** All columns, triggers, functions and constraints, as one text. */
async function schemaOf(db: Database): Promise<string> {
  const { rows } = await sql<{ line: string }>`
    SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS line
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT concat_ws(' ', tgrelid::regclass, tgname, pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND prolang <> 13
    UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
    ORDER BY 1`.execute(db)
  return rows.map(({ line }) => line).join('\n')
}

const appliedOf = async (db: Database) =>
  (await migrationStatus(db)).filter(({ appliedAt }) => appliedAt !== null).length

/** Tries each migration as the first that is missing, and kills the process that applies it. */
async function killWithinEachMigration(
  placeOf: (number: number) => Promise<string>,
  slow: boolean,
): Promise<void> {
  const options = (place: string) =>
    place.startsWith('postgresql:') ? { url: place, dataDir: '' } : { dataDir: place }
  const kinds = new Set<string>()
  const { length: all } = await migrationsOf(options(await placeOf(0)))
  for (let before = 0; before < all; before++) {
    const place = await placeOf(before + 1)
    const open = await openDatabase(options(place))
    await migrateToLatest(open.db)
    const latest = await schemaOf(open.db)
    for (let down = all; down > before; down--) await migrateDown(open.db)
    const earlier = await schemaOf(open.db)
    if (slow) await slowDown(open.db)
    await open.close()

    const migrator = databaseProcess('migrate', place)
    await migrator.line()
    migrator.go()
    await sleep(Math.random() * (slow ? 1_000 : 300))
    await migrator.kill('SIGKILL')

    const after = await openDatabase(options(place))
    const [applied, schema] = [await appliedOf(after.db), await schemaOf(after.db)]
    // All of it, or nothing.
    expect([before, all]).toContain(applied)
    expect(schema).toBe(applied === all ? latest : earlier)
    kinds.add(applied === all ? 'after' : 'within')
    if (slow) await sql`DROP EVENT TRIGGER slowly`.execute(after.db)
    await migrateToLatest(after.db)
    expect(await schemaOf(after.db)).toBe(latest)
    await after.close()
  }
  // At least one was killed before its end, or this has shown nothing.
  expect(kinds).toContain('within')
}

/** Each statement of a migration takes a moment, so that the kill comes within. */
async function slowDown(db: Database): Promise<void> {
  await sql`CREATE SCHEMA slow`.execute(db)
  await sql`CREATE FUNCTION slow.slowly() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(0.02); END $$`.execute(db)
  await sql`CREATE EVENT TRIGGER slowly ON ddl_command_end EXECUTE FUNCTION slow.slowly()`.execute(db)
}

async function migrationsOf(where: Parameters<typeof openDatabase>[0]) {
  const { db, close } = await openDatabase(where)
  return migrationStatus(db).finally(close)
}

describe('kill -9 within each migration leaves the schema before it or the latest, and the next start goes on:', () => {
  test('on PostgreSQL', async () => {
    await killWithinEachMigration((number) => cluster.makeDatabase(`migrated_${number}`), true)
  }, 600_000)

  test('in the embedded database', async () => {
    await killWithinEachMigration(async (number) => join(folder, `migrated_${number}`), false)
  }, 600_000)
})
