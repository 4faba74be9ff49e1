import { type Kysely, sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrateDown, migrateToLatest, migrationStatus } from '../../src/database/migrate.ts'
import type { Database } from '../../src/database/tables.ts'
import { type TestDatabase, testDatabase } from '../support/database.ts'

let database: TestDatabase
let db: Database

beforeEach(async () => {
  database = await testDatabase({ empty: true })
  db = database.db
})
afterEach(() => database.close())

/** Every table, column, constraint, index, trigger and function of ours, as PostgreSQL describes it. */
async function schema(): Promise<string[]> {
  const found = await sql<{ line: string }>`
    SELECT format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
      a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) AS line
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'S')
    UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ORDER BY line`.execute(db)
  return found.rows.map((row) => row.line)
}

const ours = (lines: string[]) => lines.filter((line) => !line.includes('kysely_migration'))

async function pretendNewer(): Promise<void> {
  await (db as unknown as Kysely<{ kysely_migration: { name: string; timestamp: string } }>)
    .insertInto('kysely_migration')
    .values({ name: '9999-from-the-future', timestamp: '2030-01-01T00:00:00.000Z' })
    .execute()
}

test('up, down and up again leave the same schema, and down leaves nothing', async () => {
  await migrateToLatest(db)
  const first = await schema()
  expect(first.filter((line) => line.startsWith('column employees.'))).toHaveLength(14)
  for (const _ of names) await migrateDown(db)
  expect(ours(await schema())).toEqual([])
  await migrateToLatest(db)
  expect(await schema()).toEqual(first)
})

/** All migrations there are. */
const names = [
  '0001-initial',
  '0002-access',
  '0003-devices',
  '0004-employees',
  '0005-attendance',
  '0006-users-version',
  '0007-ledger',
  '0008-sealed-biometrics',
  '0009-recognition',
  '0010-kiosk-queue',
  '0011-pins',
  '0012-claimed',
]

test('an employee code is forgotten on the way down: what came before it takes it for part of a record for good', async () => {
  await migrateToLatest(db)
  const record = { rule: 'r', claimed: 'ANN', candidates: [], liveness: { state: 'undecided', signals: [] } }
  await db
    .insertInto('decisions')
    .values({ kind: 'face', outcome: 'attack', pack: 'p', record: JSON.stringify(record) })
    .execute()
  const isApplied = async () =>
    (await migrationStatus(db)).some(({ name, appliedAt }) => name === '0012-claimed' && appliedAt)
  while (await isApplied()) await migrateDown(db)
  const left = await db.selectFrom('decisions').select('record').execute()
  expect(left).toEqual([{ record: { rule: 'r', liveness: { state: 'undecided' } } }])
})

test('the status tells what is applied and when', async () => {
  expect(await migrationStatus(db)).toEqual(names.map((name) => ({ name, appliedAt: null })))
  expect(await schema()).toEqual([])
  await migrateToLatest(db)
  const [state] = await migrationStatus(db)
  expect(Date.now() - state!.appliedAt!.getTime()).toBeLessThan(60_000)
})

test('eight migrations at once in one process apply each migration once', async () => {
  await Promise.all(Array.from({ length: 8 }, () => migrateToLatest(db)))
  expect((await migrationStatus(db)).map((state) => state.appliedAt === null)).toEqual(names.map(() => false))
})

test('a database of a newer version is refused, and nothing is touched', async () => {
  await migrateToLatest(db)
  await pretendNewer()
  const before = await schema()
  const sentence = /made by a newer version of this program: it holds the migration 9999-from-the-future/
  await expect(migrateToLatest(db)).rejects.toThrow(sentence)
  await expect(migrateDown(db)).rejects.toThrow(sentence)
  expect(await schema()).toEqual(before)
  expect((await migrationStatus(db)).map((state) => state.name)).toEqual([...names, '9999-from-the-future'])
})

test('a migration that fails leaves the database as it was, and the next try is not blocked', async () => {
  await sql`CREATE TABLE calibrations (id integer)`.execute(db)
  await expect(migrateToLatest(db)).rejects.toThrow('"calibrations" already exists')
  expect(ours(await schema())).toEqual(['column calibrations.id integer f '])
  await sql`DROP TABLE calibrations`.execute(db)
  await migrateToLatest(db)
  expect((await migrationStatus(db))[0]?.appliedAt).toBeInstanceOf(Date)
})

test('the limit on how long a statement may take is back after a migration', async () => {
  const limit = () => sql<{ statement_timeout: string }>`SHOW statement_timeout`.execute(db)
  const before = await limit()
  await migrateToLatest(db)
  expect((await limit()).rows).toEqual(before.rows)
})
