import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import yazl from 'yazl'
import { announceServer } from '../../src/database/serving.ts'
import { cliAuthor } from '../../src/ledger/ledger.ts'
import { openArchive } from '../../src/operations/archive.ts'
import { backUp } from '../../src/operations/backup.ts'
import { openInstallation } from '../../src/operations/installation.ts'
import { type RestoreOptions, restore } from '../../src/operations/restore.ts'
import { systemClock } from '../../src/shared/clock.ts'
import type { Config } from '../../src/shared/config.ts'
import { createLogger } from '../../src/shared/log.ts'
import { databaseUrl } from '../support/database.ts'
import { type Cluster, startCluster } from '../support/postgres-cluster.ts'
import { everything, foundCompany, keysOf, onDatabase, settings, withoutLedger } from './backup-company.ts'

let cluster: Cluster
let folder: string
let databases = 0

beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-backup-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A server of its own: the embedded database, or an empty one on the PostgreSQL server. */
async function server(kind: 'embedded' | 'postgresql'): Promise<Config> {
  const name = `company_${++databases}`
  if (kind === 'embedded') return settings(join(folder, name))
  const client = new pg.Client({ connectionString: cluster.url })
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
  return settings(join(folder, name), { DB_URL: databaseUrl(cluster.url, name) })
}

const quiet = (_line: string) => {}

async function makeBackup(config: Config, file = join(folder, 'backup.zip')): Promise<string> {
  await onDatabase(config, async (db) =>
    backUp(await openInstallation(config, db, '1.2.3', systemClock), file, new Date(), quiet),
  )
  return file
}

const restoreInto = (config: Config, file: string, options: RestoreOptions = {}, say = quiet) =>
  restore(config, file, options, systemClock, say)

describe('a backup is restored', () => {
  for (const [from, to] of [
    ['embedded', 'postgresql'],
    ['postgresql', 'embedded'],
    ['embedded', 'embedded'],
  ] as const)
    test(`from ${from} into ${to}, row by row`, async () => {
      const [old, fresh] = [await server(from), await server(to)]
      await onDatabase(old, (db) => foundCompany(old, db))
      const file = await makeBackup(old)
      const said: string[] = []
      await restoreInto(fresh, file, {}, (line) => said.push(line))
      const before = await onDatabase(old, everything)
      await onDatabase(fresh, async (db) => {
        const after = await everything(db)
        expect(Object.entries(before).filter(([, rows]) => rows.length === 0)).toEqual([])
        expect(withoutLedger(after)).toEqual(withoutLedger(before))
        expect(after.audit_log).toEqual(expect.arrayContaining(before.audit_log!))
        expect(after.ledger).toEqual(expect.arrayContaining(before.ledger!))
        const { ledger } = await keysOf(fresh, db)
        expect((await ledger.verify()).faults).toEqual([])
        await ledger.close()
      })
      expect(said.join('\n')).toMatch(/ledger: [0-9]+ entries, all as they were entered/)
    }, 180_000)
})

test('what is restored goes on: numbers are not given out twice, and punches can be made', async () => {
  const [old, fresh] = [await server('embedded'), await server('postgresql')]
  await onDatabase(old, (db) => foundCompany(old, db))
  await restoreInto(fresh, await makeBackup(old))
  await onDatabase(fresh, async (db) => {
    const { ledger } = await keysOf(fresh, db)
    const made = await ledger.punches(async (trx) => {
      const decision = await trx
        .insertInto('decisions')
        .values({ device_id: 'kiosk-1', kind: 'manual', outcome: 'entered', record: '{}' })
        .returning('id')
        .executeTakeFirstOrThrow()
      return trx
        .insertInto('attendance')
        .values({
          employee_id: 'EMP_002',
          timestamp: new Date(),
          attendance_type: 'IN',
          confidence_score: 0,
          liveness: 'unavailable',
          decision_id: decision.id,
        })
        .returning(['id', 'decision_id'])
        .executeTakeFirstOrThrow()
    })
    expect(made).toEqual({ id: 3, decision_id: 4 })
    const line = await db
      .insertInto('network_logs')
      .values({ action: 'a', result: 'r' })
      .returning('id')
      .executeTakeFirstOrThrow()
    expect(line.id).toBe(42)
    // The constraints are back: nobody punches at a kiosk that is not there.
    const wrong = db.updateTable('pairing_codes').set({ device_id: 'kiosk-9' }).execute()
    await expect(wrong).rejects.toThrow('foreign key')
    expect((await ledger.verify()).faults).toEqual([])
    await ledger.close()
  })
})

describe('refused, with nothing touched:', () => {
  let old: Config
  let present: Config
  let file: string
  let before: unknown

  beforeEach(async () => {
    ;[old, present] = [await server('postgresql'), await server('postgresql')]
    for (const config of [old, present]) await onDatabase(config, (db) => foundCompany(config, db))
    file = await makeBackup(old)
    before = await state()
  })

  /** All that the present server keeps. */
  async function state() {
    const files = (await readdir(present.DATA_DIR, { recursive: true })).sort()
    return { files, tables: await onDatabase(present, everything) }
  }

  async function refused(sentence: RegExp, options: RestoreOptions = {}, config = present) {
    await expect(restoreInto(config, file, { replace: true, ...options })).rejects.toThrow(sentence)
    expect(await state()).toEqual(before)
  }

  test('a backup that was cut in half', async () => {
    await truncate(file, Math.floor((await stat(file)).size / 2))
    await refused(
      /is damaged: it was cut or altered, or is no backup\. Nothing was changed\. Take another copy/,
    )
  })

  test('keys that were cut in half', async () => {
    await truncate(`${file}.keys`, Math.floor((await stat(`${file}.keys`)).size / 2))
    await refused(/backup\.zip\.keys is damaged/)
  })

  test('a backup in which one byte is another, wherever it is', async () => {
    const bytes = await readFile(file)
    for (const share of [0.1, 0.5, 0.9]) {
      const altered = Buffer.from(bytes)
      altered[Math.floor(bytes.length * share)]! ^= 1
      await writeFile(file, altered)
      await refused(/is damaged/)
    }
  })

  test('a backup that was altered and packed again', async () => {
    await repack((manifest, entries) => {
      const lines = entries.get('tables/employees.jsonl')!.toString().replace('EMP_002', 'EMP_003')
      entries.set('tables/employees.jsonl', Buffer.from(lines))
      manifest.made_at = '2025-01-01T00:00:00.000Z'
    })
    await refused(/backup\.zip was altered, or .*keys belongs to another installation\. Nothing was changed/)
  })

  test('a backup with the keys of another installation', async () => {
    const other = await server('postgresql')
    await onDatabase(other, (db) => foundCompany(other, db))
    const theirs = await makeBackup(other, join(folder, 'theirs.zip'))
    await refused(/was altered, or .*theirs\.zip\.keys belongs to another/, { keys: `${theirs}.keys` })
  })

  test('a backup without its keys', async () => {
    await rm(`${file}.keys`)
    await refused(
      /The keys of this backup are missing: there is no file .*put it back there, or name it with --keys/,
    )
  })

  test('under another master key', async () => {
    const wrong = { ...present, MASTER_KEY: 'ab'.repeat(32) }
    await refused(
      /sealed under another master key than the present one\. Nothing was changed\. Set MASTER_KEY/,
      {},
      wrong,
    )
  })

  test('a backup of a newer version', async () => {
    await repack((manifest) => {
      manifest.version = '9.0.0'
      ;(manifest.migrations as string[]).push('9999-from-the-future')
    })
    await refused(
      /made by a newer version of this program \(9\.0\.0\): it holds the migration 9999-from-the-future/,
    )
    await repack((manifest) => {
      manifest.format = 2
    })
    await refused(/made by a newer version of this program/)
  })

  test('a database that is not empty, unless --replace is said', async () => {
    await refused(/not empty, and restoring replaces everything in it.*say --replace/, { replace: false })
  })

  test('a database of another program', async () => {
    const foreign = await server('postgresql')
    await onDatabase(foreign, (db) => sql`CREATE TABLE invoices (id integer)`.execute(db))
    await refused(/holds tables of another program.*Set DB_URL to a database of its own/, {}, foreign)
    await onDatabase(foreign, (db) => sql`SELECT FROM invoices`.execute(db))
  })

  test('a database that a server uses', async () => {
    const leave = await announceServer(present.DB_URL, createLogger({ level: 'silent' }))
    await refused(/A server uses this database\. Stop every server on it first/)
    await leave()
    await restoreInto(present, file, { replace: true })
  })

  test('keys that are older than the backup', async () => {
    const keys = await readFile(`${file}.keys`)
    await onDatabase(old, async (db) => {
      const key = await (await keysOf(old, db)).vault.newKey()
      await db.updateTable('employees').set({ key_id: key }).where('employee_id', '=', 'EMP_002').execute()
    })
    file = await makeBackup(old, join(folder, 'later.zip'))
    await writeFile(`${file}.keys`, keys)
    const tables = await onDatabase(present, everything)
    const attempt = restoreInto(present, file, { replace: true })
    await expect(attempt).rejects.toThrow(/keys of 1 people are missing: the file of the keys is older/)
    expect(await onDatabase(present, everything)).toEqual(tables)
  })

  test('a list of tombstones that is none', async () => {
    const list = join(folder, 'tombstones')
    await writeFile(list, 'Ann\n')
    await refused(/tombstones is no list of dropped keys: "Ann"/, { tombstones: list })
  })

  /** Packs the backup anew, as somebody could who has no keys. */
  async function repack(
    change: (manifest: Record<string, unknown>, entries: Map<string, Buffer>) => void,
  ): Promise<void> {
    const archive = await openArchive(file)
    const entries = new Map<string, Buffer>()
    for (const name of archive.names)
      entries.set(name, Buffer.concat(await (await archive.read(name))!.toArray()))
    archive.close()
    const manifest = JSON.parse(entries.get('manifest.json')!.toString())
    change(manifest, entries)
    entries.set('manifest.json', Buffer.from(JSON.stringify(manifest)))
    const zip = new yazl.ZipFile()
    for (const [name, bytes] of entries) zip.addBuffer(bytes, name)
    zip.end()
    await pipeline(zip.outputStream, createWriteStream(file))
  }
})

test('--replace puts the backup in the place of what is there, also a second time', async () => {
  const config = await server('postgresql')
  await onDatabase(config, (db) => foundCompany(config, db))
  const file = await makeBackup(config)
  const before = await onDatabase(config, everything)
  await onDatabase(config, async (db) => {
    const { ledger } = await keysOf(config, db)
    await ledger.by(cliAuthor)((trx) => trx.deleteFrom('api_keys').execute())
    // What was kept outside the database speaks of entries that the backup does not have.
    await ledger.exportHead()
    await ledger.close()
    await db.deleteFrom('employees').where('employee_id', '=', 'EMP_002').execute()
    // A newer version has changed it.
    await sql`CREATE TABLE leftover (id integer)`.execute(db)
    await sql`INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-newer', '2030')`.execute(db)
  })
  for (const _ of [1, 2]) {
    await restoreInto(config, file, { replace: true })
    expect(withoutLedger(await onDatabase(config, everything))).toEqual(withoutLedger(before))
  }
  await onDatabase(config, async (db) => {
    const { ledger } = await keysOf(config, db)
    expect((await ledger.verify()).faults).toEqual([])
    await ledger.close()
  })
})

describe('a backup', () => {
  test('names the photos that are gone, and lacks nothing else', async () => {
    const config = await server('postgresql')
    await onDatabase(config, (db) => foundCompany(config, db))
    const { photos } = await onDatabase(config, (db) => openInstallation(config, db, '0', systemClock))
    const [gone, kept] = (await readdir(photos)).sort()
    await rm(join(photos, gone!))
    const archive = await openArchive(await makeBackup(config))
    const manifest = JSON.parse((await (await archive.read('manifest.json'))!.toArray()).join(''))
    archive.close()
    expect(manifest.missing_photos).toEqual([gone])
    expect(Object.keys(manifest.photos)).toEqual([kept])
  })

  test('is readable by its owner alone, and overwrites nothing', async () => {
    const config = await server('postgresql')
    await onDatabase(config, (db) => foundCompany(config, db))
    const file = await makeBackup(config)
    for (const path of [file, `${file}.keys`]) expect((await stat(path)).mode & 0o777).toBe(0o600)
    await expect(makeBackup(config)).rejects.toThrow(/is there already, and a backup is never overwritten/)
    expect((await readdir(folder)).filter((name) => name.includes('.part'))).toEqual([])
  })

  test('never holds the master key or an unwrapped one', async () => {
    const config = await server('postgresql')
    await onDatabase(config, (db) => foundCompany(config, db))
    const { ledgerKey } = await onDatabase(config, (db) => openInstallation(config, db, '0', systemClock))
    const file = await makeBackup(config)
    for (const path of [file, `${file}.keys`]) {
      const archive = await openArchive(path)
      for (const name of archive.names) {
        const bytes = Buffer.concat(await (await archive.read(name))!.toArray())
        for (const key of [ledgerKey, Buffer.from(config.MASTER_KEY!, 'hex')]) {
          expect(bytes.includes(key)).toBe(false)
          expect(bytes.includes(key.toString('hex'))).toBe(false)
        }
      }
      archive.close()
    }
  })

  test('shows one moment, though rows are written while it is made', async () => {
    const config = await server('postgresql')
    await onDatabase(config, (db) => foundCompany(config, db))
    await onDatabase(config, async (db) => {
      const installation = await openInstallation(config, db, '0', systemClock)
      const write = () =>
        db.transaction().execute(async (trx) => {
          // Of a backup that sees half of it, the one table would name what the other lacks.
          const [site] = await trx
            .insertInto('sites')
            .values({ name: randomUUID() })
            .returning('id')
            .execute()
          const row = { name: 'New', site_id: site!.id, employee_id: randomUUID() }
          await trx.insertInto('employees').values(row).execute()
        })
      let writing = true
      const writer = (async () => {
        while (writing) await write()
      })()
      for (const number of [1, 2, 3]) {
        await backUp(installation, join(folder, `${number}.zip`), new Date(), quiet)
      }
      writing = false
      await writer
    })
    for (const number of [1, 2, 3]) {
      const fresh = await server('postgresql')
      await restoreInto(fresh, join(folder, `${number}.zip`))
    }
  })
})
