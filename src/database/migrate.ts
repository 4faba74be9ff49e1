import { type Kysely, type Migration, type MigrationResultSet, Migrator, sql } from 'kysely'
import * as initial from './migrations/0001-initial.ts'
import * as access from './migrations/0002-access.ts'
import * as devices from './migrations/0003-devices.ts'
import * as employees from './migrations/0004-employees.ts'
import * as attendance from './migrations/0005-attendance.ts'
import * as usersVersion from './migrations/0006-users-version.ts'
import * as ledger from './migrations/0007-ledger.ts'
import * as sealedBiometrics from './migrations/0008-sealed-biometrics.ts'
import * as recognition from './migrations/0009-recognition.ts'
import * as kioskQueue from './migrations/0010-kiosk-queue.ts'
import * as pins from './migrations/0011-pins.ts'
import * as claimed from './migrations/0012-claimed.ts'
import type { Database } from './tables.ts'

/** All of them, in order. A list and not a folder, so that it is the same from src/ and from dist/. */
const migrations: Record<string, Migration> = {
  '0001-initial': initial,
  '0002-access': access,
  '0003-devices': devices,
  '0004-employees': employees,
  '0005-attendance': attendance,
  '0006-users-version': usersVersion,
  '0007-ledger': ledger,
  '0008-sealed-biometrics': sealedBiometrics,
  '0009-recognition': recognition,
  '0010-kiosk-queue': kioskQueue,
  '0011-pins': pins,
  '0012-claimed': claimed,
}

/** Names of all migrations of this program, in order. */
export const migrationNames: readonly string[] = Object.keys(migrations)

/** The key of the advisory lock that lets one process migrate at a time; any fixed number would do. */
const migrationLock = 7_265_551

export interface MigrationState {
  name: string
  /** null while it is not applied. */
  appliedAt: Date | null
}

/**
 * Brings the schema up to this program, each process in its turn.
 * Throws, and changes nothing, when the database was migrated by a newer program or a migration fails.
 */
export async function migrateToLatest(db: Database): Promise<void> {
  await inTurn(db, (migrator) => migrator.migrateToLatest())
}

/** Takes the last applied migration back, with everything that its tables hold. Throws like migrateToLatest. */
export async function migrateDown(db: Database): Promise<void> {
  await inTurn(db, (migrator) => migrator.migrateDown())
}

/**
 * Brings the schema up to the migration `last`, or to this program's latest, inside the transaction that is open on
 * this connection: with it all of that is undone. Throws when a migration fails.
 */
export async function migrateWithin(connection: Database, last?: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${migrationLock})`.execute(connection)
  const provider = { getMigrations: async () => migrations }
  const migrator = new Migrator({ db: connection, provider, disableTransactions: true })
  const { error } = await (last === undefined ? migrator.migrateToLatest() : migrator.migrateTo(last))
  if (error !== undefined) throw error
}

/** Every migration of this program, and those of a newer one that the database holds, in order. Changes nothing. */
export async function migrationStatus(db: Database): Promise<MigrationState[]> {
  const applied = await readApplied(db)
  const names = new Set([...Object.keys(migrations), ...applied.keys()])
  return [...names].sort().map((name) => ({ name, appliedAt: applied.get(name) ?? null }))
}

async function inTurn(db: Database, run: (migrator: Migrator) => Promise<MigrationResultSet>): Promise<void> {
  await db.connection().execute(async (connection) => {
    // A big table takes longer than a request may, and so may the wait for another process that migrates.
    await sql`SET statement_timeout = 0`.execute(connection)
    await sql`SET lock_timeout = 0`.execute(connection)
    // Kysely's own lock comes after it made its tables. Ours also covers that, and the look for a newer version.
    await sql`SELECT pg_advisory_lock(${migrationLock})`.execute(connection)
    try {
      await refuseNewerDatabase(connection)
      const { error } = await run(
        new Migrator({ db: connection, provider: { getMigrations: async () => migrations } }),
      )
      if (error !== undefined) throw error
    } finally {
      await sql`SELECT pg_advisory_unlock(${migrationLock})`.execute(connection)
      await sql`RESET statement_timeout`.execute(connection)
      await sql`RESET lock_timeout`.execute(connection)
    }
  })
}

async function refuseNewerDatabase(db: Database): Promise<void> {
  const unknown = [...(await readApplied(db)).keys()].filter((name) => !(name in migrations))
  if (unknown.length === 0) return
  throw new Error(
    `The database was made by a newer version of this program: it holds the migration ${unknown.join(', ')}, ` +
      'which this version does not know. Nothing was changed. Install the newer version again, or restore a ' +
      'backup that was made before the update.',
  )
}

async function readApplied(db: Database): Promise<Map<string, Date>> {
  const table = await sql<{ present: boolean }>`
    SELECT to_regclass('kysely_migration') IS NOT NULL AS present`.execute(db)
  if (!table.rows[0]!.present) return new Map()
  const rows = await (db as unknown as Kysely<{ kysely_migration: { name: string; timestamp: string } }>)
    .selectFrom('kysely_migration')
    .select(['name', 'timestamp'])
    .orderBy('name')
    .execute()
  return new Map(rows.map((row) => [row.name, new Date(row.timestamp)]))
}
