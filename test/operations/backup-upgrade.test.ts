import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  migrateToLatest,
  migrateWithin,
  migrationNames,
  migrationStatus,
} from '../../src/database/migrate.ts'
import type { Database } from '../../src/database/tables.ts'
import { backUp } from '../../src/operations/backup.ts'
import { openInstallation } from '../../src/operations/installation.ts'
import { backUpBeforeMigration, nightlyBackup } from '../../src/operations/keeping.ts'
import { restore } from '../../src/operations/restore.ts'
import { systemClock } from '../../src/shared/clock.ts'
import type { Config } from '../../src/shared/config.ts'
import { createLogger } from '../../src/shared/log.ts'
import { databaseUrl } from '../support/database.ts'
import { type Cluster, startCluster } from '../support/postgres-cluster.ts'
import { canMount, smallDisk } from '../support/small-disk.ts'
import {
  everything,
  foundCompany,
  keysOf,
  masterKey,
  onDatabase,
  settings,
  withoutLedger,
} from './backup-company.ts'

let cluster: Cluster
let folder: string
let databases = 0

beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-upgrade-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A server of its own on an empty PostgreSQL database. */
async function server(env: Record<string, string> = {}): Promise<Config> {
  const name = `upgrade_${++databases}`
  const client = new pg.Client({ connectionString: cluster.url })
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
  return settings(join(folder, name), { DB_URL: databaseUrl(cluster.url, name), ...env })
}

/** A company as the version with this migration left it. */
function foundOldCompany(db: Database, last: string): Promise<void> {
  return db.connection().execute(async (connection) => {
    const run = (statement: string) => sql.raw(statement).execute(connection)
    await run('BEGIN')
    await migrateWithin(connection, last)
    // Rows as they come to be in passing, without the ledger that would be there since some version.
    await run(`SET LOCAL rollcall.restoring = 'on'`)
    await run(`INSERT INTO employees (employee_id, name) VALUES ('EMP_001', 'Đỗ Thị Mỹ Duyên')`)
    await run(`INSERT INTO devices (device_id, name) VALUES ('kiosk-1', 'Cổng')`)
    await run(`INSERT INTO decisions (device_id, kind, outcome, employee_id, pack, record)
      VALUES ('kiosk-1', 'face', 'identified', 'EMP_001', 'p', '{}')`)
    await run(`INSERT INTO attendance (employee_id, device_id, timestamp, attendance_type, liveness, decision_id)
      VALUES ('EMP_001', 'kiosk-1', '2025-03-03T01:02:03.123456Z', 'IN', 'unavailable', 1)`)
    await run('COMMIT')
  })
}

const applied = async (db: Database) =>
  (await migrationStatus(db)).filter(({ appliedAt }) => appliedAt !== null).map(({ name }) => name)

for (const last of [migrationNames[1]!, migrationNames[4]!, migrationNames.at(-2)!])
  test(`a backup of the version with ${last} is restored by this one`, async () => {
    const [old, fresh] = [await server(), await server()]
    const file = join(folder, 'old.zip')
    await onDatabase(old, async (db) => {
      await foundOldCompany(db, last)
      await backUp(await openInstallation(old, db, '0.1.0', systemClock), file, new Date(), () => {})
    })
    await restore(fresh, file, {}, systemClock, () => {})
    await onDatabase(fresh, async (db) => {
      expect(await applied(db)).toEqual(migrationNames)
      const punch = await db
        .selectFrom('attendance')
        .select(['employee_id', sql`timestamp::text`.as('at')])
        .execute()
      expect(punch).toEqual([{ employee_id: 'EMP_001', at: '2025-03-03 01:02:03.123456+00' }])
      // Punches that are older than the ledger were entered into it.
      const { ledger } = await keysOf(fresh, db)
      const { entries, faults } = await ledger.verify()
      await ledger.close()
      expect([entries > 0, faults]).toEqual([true, []])
    })
  })

describe('before an update', () => {
  const now = { now: () => new Date('2026-01-02T03:04:05.678Z') }
  const name = 'before-1.2.3-20260102T030405Z.zip'

  test('the database is backed up, and the backup brings it back', async () => {
    const config = await server()
    const said: string[] = []
    await onDatabase(config, async (db) => {
      await foundOldCompany(db, '0005-attendance')
      await backUpBeforeMigration(config, db, '1.2.3', now, (line) => said.push(line))
      await migrateToLatest(db)
      await db.deleteFrom('attendance').execute()
    })
    expect(said[0]).toMatch(
      /the database needs an update: backing it up into .*before-1\.2\.3-20260102T030405Z\.zip first/,
    )
    const backups = join(config.DATA_DIR, 'backups')
    expect(await readdir(backups)).toEqual([name, `${name}.keys`])
    await restore(config, join(backups, name), { replace: true }, systemClock, () => {})
    const punches = await onDatabase(config, (db) => db.selectFrom('attendance').select('id').execute())
    expect(punches).toHaveLength(1)
  })

  test('nothing is backed up where nothing changes, or nothing would be missed', async () => {
    const config = await server()
    await onDatabase(config, async (db) => {
      await backUpBeforeMigration(config, db, '1.2.3', now, () => {})
      await migrateToLatest(db)
      await db.insertInto('employees').values({ employee_id: 'E', name: 'E' }).execute()
      await backUpBeforeMigration(config, db, '1.2.3', now, () => {})
    })
    expect(await readdir(config.DATA_DIR).catch(() => [])).toEqual([])
  })

  test('a backup that fails keeps the database as it is', async () => {
    const config = await server({ BACKUP_DIR: join(folder, 'a-file') })
    await writeFile(join(folder, 'a-file'), '')
    await onDatabase(config, async (db) => {
      await foundOldCompany(db, '0005-attendance')
      await expect(backUpBeforeMigration(config, db, '1.2.3', now, () => {})).rejects.toThrow(
        /The database was not updated, because the backup before it failed\. .* cannot be written, and no backup was made\. /,
      )
    })
    const { code, said } = await program(config, ['migrate', 'up'])
    expect([code, said]).toEqual([1, expect.stringContaining('The database was not updated')])
    expect(await onDatabase(config, applied)).toEqual(migrationNames.slice(0, 5))
  })
})

test('the server makes a backup each night and keeps the newest', async () => {
  const config = await server({ BACKUP_KEEP: '2', BACKUP_HOUR: '3', TIME_ZONE: 'Asia/Ho_Chi_Minh' })
  const made: string[] = []
  await onDatabase(config, async (db) => {
    let now = ''
    const clock = { now: () => new Date(now) }
    const deps = { config, db, version: '1.2.3', clock, log: createLogger({ level: 'silent' }) }
    const look = async (time: string) => {
      now = time
      if (await nightlyBackup(deps)) made.push(time)
    }
    await migrateToLatest(db)
    // Of an empty database there is nothing to keep.
    await look('2026-01-01T19:30:00Z')
    await db.insertInto('employees').values({ employee_id: 'E', name: 'E' }).execute()
    for (const time of [
      // The first one at once, then each at 3 o'clock in Vietnam, however often it looks.
      '2026-01-01T20:00:00Z',
      '2026-01-01T20:10:00Z',
      '2026-01-02T12:00:00Z',
      '2026-01-02T20:01:00Z',
      '2026-01-02T20:11:00Z',
      // The machine was off at night.
      '2026-01-04T09:00:00Z',
    ])
      await look(time)
    const notes = db.selectFrom('audit_log').select(['by', 'action', 'subject_kind'])
    const exports = await notes.where('action', '=', 'export').execute()
    expect(exports).toEqual(made.map(() => ({ by: 'server', action: 'export', subject_kind: 'backup' })))
  })
  expect(made).toEqual(['2026-01-01T20:00:00Z', '2026-01-02T20:01:00Z', '2026-01-04T09:00:00Z'])
  const kept = (await readdir(join(config.DATA_DIR, 'backups'))).filter((name) => name.endsWith('.zip'))
  expect(kept).toEqual(['nightly-20260102T200100Z.zip', 'nightly-20260104T090000Z.zip'])
})

test.runIf(canMount)('a full disk leaves no half backup', async () => {
  const config = await server()
  const disk = smallDisk(1)
  try {
    await onDatabase(config, async (db) => {
      await foundCompany(config, db)
      disk.fill()
      const installation = await openInstallation(config, db, '1', systemClock)
      const attempt = backUp(installation, join(disk.folder, 'backup.zip'), new Date(), () => {})
      await expect(attempt).rejects.toThrow(
        /The disk of .*backup\.zip is full, and no backup was made\. Make room/,
      )
      expect(await readdir(disk.folder)).toEqual(['ballast'])
    })
  } finally {
    disk.remove()
  }
})

test('a restore that is killed leaves the old state or the new one, and can be run again', async () => {
  const [old, config] = [await server(), await server()]
  const file = join(folder, 'backup.zip')
  const restored = await onDatabase(old, async (db) => {
    await foundCompany(old, db)
    await backUp(await openInstallation(old, db, '1', systemClock), file, new Date(), () => {})
    return withoutLedger(await everything(db))
  })
  const before = await onDatabase(config, async (db) => {
    await foundCompany(config, db)
    return withoutLedger(await everything(db))
  })
  const ends: string[] = []
  // It says a line when it has looked through the backup, then one for each table, and one when all is done.
  for (const line of [1, 3, 9, 18, 27, 99]) {
    await killedAfter(line)
    const now = withoutLedger(await onDatabase(config, everything))
    const isOld = JSON.stringify(now) === JSON.stringify(before)
    if (!isOld) expect(now).toEqual(restored)
    ends.push(isOld ? 'old' : 'new')
  }
  expect([ends[0], ends.at(-1)]).toEqual(['old', 'new'])

  async function killedAfter(lines: number): Promise<void> {
    const child = start(config, ['restore', file, '--replace'])
    let said = 0
    createInterface({ input: child.stderr }).on('line', () => {
      if (++said === lines) child.kill('SIGKILL')
    })
    const [code, signal] = await once(child, 'close')
    expect([code, signal]).toEqual(lines === 99 ? [0, null] : [null, 'SIGKILL'])
  }
}, 240_000)

function start(config: Config, words: string[]) {
  const env = {
    ...process.env,
    DATA_DIR: config.DATA_DIR,
    DB_URL: config.DB_URL ?? '',
    BACKUP_DIR: config.BACKUP_DIR ?? '',
    MASTER_KEY: masterKey,
  }
  return spawn(process.execPath, [resolve('dist/cli.js'), ...words], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function program(config: Config, words: string[]): Promise<{ code: number; said: string }> {
  const child = start(config, words)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  const [code] = await once(child, 'close')
  return { code, said }
}
