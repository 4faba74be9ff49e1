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
import type { Database } from '../../src/database/tables.ts'
import { endEmployment, purgeEmployee } from '../../src/employees/records.ts'
import { eraseBiometrics } from '../../src/gallery/erase.ts'
import { openPhotoStore } from '../../src/gallery/photo-store.ts'
import { cliAuthor } from '../../src/ledger/ledger.ts'
import { openArchive } from '../../src/operations/archive.ts'
import { backUp, dropErasedKeys } from '../../src/operations/backup.ts'
import { openInstallation } from '../../src/operations/installation.ts'
import { type RestoreOptions, restore } from '../../src/operations/restore.ts'
import { systemClock } from '../../src/shared/clock.ts'
import type { Config } from '../../src/shared/config.ts'
import { createLogger } from '../../src/shared/log.ts'
import { rotateKeys } from '../../src/vault/rotate.ts'
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

  test('a backup in which one byte of the content is another, wherever it is', async () => {
    const bytes = await readFile(file)
    for (const name of ['tables/attendance.jsonl', 'tables/samples.jsonl', 'photos/', 'manifest.json']) {
      const altered = Buffer.from(bytes)
      // The content of an entry is behind its name.
      altered[bytes.indexOf(name) + name.length + 60]! ^= 1
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
      /sealed under another master key than the present one\. Nothing was changed\. If the master key was changed.*Otherwise set MASTER_KEY/,
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

/** What a server does when somebody is purged, ends, or has their face erased. */
async function depart(
  config: Config,
  employeeId: string,
  reason: 'purge' | 'employment_ended' | 'erase',
): Promise<void> {
  await onDatabase(config, async (db) => {
    const { photos: path } = await openInstallation(config, db, '0', systemClock)
    const { vault, ledger } = await keysOf(config, db)
    const log = createLogger({ level: 'silent' })
    const deps = { photos: await openPhotoStore(path), vault, clock: systemClock, log }
    const change = ledger.by({ by: 'user:7' })
    const result = await (reason === 'purge'
      ? purgeEmployee(change, employeeId, undefined, (...rest) => eraseBiometrics(deps, ...rest))
      : reason === 'employment_ended'
        ? endEmployment(change, employeeId, undefined, new Date(), (...rest) =>
            eraseBiometrics(deps, ...rest),
          )
        : change((trx) => eraseBiometrics(deps, trx, employeeId, reason)))
    if (!('afterCommit' in result)) throw new Error(result.outcome)
    await result.afterCommit()
    await ledger.close()
  })
}

describe('who left after the backup was made', () => {
  test('is purged again, or ended again, and nobody else', async () => {
    const config = await server('postgresql')
    await onDatabase(config, async (db) => {
      await foundCompany(config, db)
      const { ledger } = await keysOf(config, db)
      await ledger.by(cliAuthor)((trx) =>
        sql`INSERT INTO employees (employee_id, name) VALUES ('EMP_007', 'No Photo'), ('EMP_008', 'Stays'),
          ('EMP_009', 'Purged, and then another person')`.execute(trx),
      )
      await ledger.close()
    })
    const early = await makeBackup(config)
    for (const id of ['NV_Đỗ', 'EMP_007', 'EMP_009']) await depart(config, id, 'purge')
    await depart(config, 'EMP_002', 'employment_ended')
    const certificates = (db: Database) =>
      db
        .selectFrom('erasures')
        .select(['employee_id', 'key_id', 'at', 'by', 'reason'])
        .where('by', '=', 'user:7')
        .orderBy('employee_id')
        .execute()
    const before = await onDatabase(config, certificates)
    const ended = await onDatabase(config, async (db) => {
      await sql`INSERT INTO employees (employee_id, name) VALUES ('EMP_009', 'Another Person')`.execute(db)
      return db.selectFrom('employees').select('employee_id').where('ended_at', 'is not', null).execute()
    })
    expect(ended).toEqual([{ employee_id: 'EMP_002' }])
    const late = await makeBackup(config, join(folder, 'late.zip'))

    const said: string[] = []
    await restoreInto(config, early, { replace: true }, (line) => said.push(line))
    for (const id of ['NV_Đỗ', 'EMP_007', 'EMP_009'])
      expect(said).toContain(`purged again, because they were purged after the backup: ${id} (purge)`)
    expect(said.join()).toContain('ended again, because their employment ended after the backup: EMP_002 (')
    await onDatabase(config, async (db) => {
      const people = await db.selectFrom('employees').select(['employee_id', 'ended_at']).execute()
      expect(people.map(({ employee_id }) => employee_id).sort()).toEqual(['EMP_002', 'EMP_008'])
      expect(people.filter(({ ended_at }) => ended_at !== null)).toHaveLength(1)
      for (const table of ['attendance', 'samples', 'face_templates'] as const)
        expect(await db.selectFrom(table).select('id').execute()).toEqual([])
      expect(await certificates(db)).toEqual(before)
      const { ledger } = await keysOf(config, db)
      expect((await ledger.verify()).faults).toEqual([])
      await ledger.close()
    })

    await restoreInto(config, late, { replace: true })
    const names = await onDatabase(config, (db) => db.selectFrom('employees').select('name').execute())
    expect(names).toContainEqual({ name: 'Another Person' })
  }, 120_000)

  test('opens no more with the backups that the server keeps', async () => {
    const config = await server('postgresql')
    await onDatabase(config, (db) => foundCompany(config, db))
    const file = await makeBackup(config)
    await writeFile(join(folder, 'another.zip.keys'), 'damaged')
    const keys = () => zipNames(`${file}.keys`)
    const before = await keys()
    await depart(config, 'NV_Đỗ', 'erase')
    await onDatabase(config, async (db) => {
      const { vault, ledger } = await keysOf(config, db)
      const [gone] = await vault.erased()
      expect(before).toContain(`${gone}.key`)
      // A damaged one is told, and the others are done all the same.
      await expect(dropErasedKeys(folder, vault, new Date())).rejects.toThrow('another.zip.keys')
      const expected = before.map((name) => (name === `${gone}.key` ? `erased/${gone}` : name))
      expect((await keys()).sort()).toEqual(expected.sort())
      await rm(join(folder, 'another.zip.keys'))
      expect(await dropErasedKeys(folder, vault, new Date())).toBe(0)
      await ledger.close()
    })
    expect((await stat(`${file}.keys`)).mode & 0o777).toBe(0o600)
    expect((await readdir(folder)).filter((name) => name.includes('.keys'))).toEqual(['backup.zip.keys'])
    const fresh = await server('postgresql')
    const said: string[] = []
    await restoreInto(fresh, file, {}, (line) => said.push(line))
    expect(said).toContain('erased again, because they were erased after the backup: NV_Đỗ (erase)')
  }, 180_000)

  test('stays away when the master key was changed since, both ways that the message names', async () => {
    const config = await server('postgresql')
    await onDatabase(config, (db) => foundCompany(config, db))
    const file = await makeBackup(config)
    await depart(config, 'NV_Đỗ', 'purge')
    await depart(config, 'EMP_002', 'erase')
    const next = { ...config, MASTER_KEY: '9d'.repeat(32) }
    const newKey = join(folder, 'new-key')
    await writeFile(newKey, next.MASTER_KEY)
    await rotateKeys(config, newKey)
    const keysAfter = `${await makeBackup(next, join(folder, 'after.zip'))}.keys`
    const instance = await onDatabase(next, (db) =>
      db.selectFrom('instance').select('id').executeTakeFirstOrThrow(),
    )
    const erased = join(config.KEY_DIR, instance.id, 'erased')

    const again = (where: Config, options: RestoreOptions) =>
      restoreInto(where, file, { replace: true, ...options })
    await expect(again(next, {})).rejects.toThrow(
      `name the keys of a backup that was made after that, with --keys. Otherwise set MASTER_KEY to the master key of the server that made this backup, as it was then; if there are keys in KEY_DIR already, set KEY_DIR to an empty folder and say --tombstones ${erased}.`,
    )
    await expect(again(config, {})).rejects.toThrow(
      `set KEY_DIR to an empty folder and say --tombstones ${erased}`,
    )
    for (const [where, options] of [
      [next, { keys: keysAfter }],
      [{ ...config, KEY_DIR: join(folder, 'empty') }, { tombstones: erased }],
    ] as const) {
      await again(where, options)
      await onDatabase(where, async (db) => {
        const people = await db.selectFrom('employees').select(['employee_id', 'key_id']).execute()
        expect(people).toEqual([{ employee_id: 'EMP_002', key_id: null }])
        expect(await db.selectFrom('samples').select('id').execute()).toEqual([])
        const { ledger } = await keysOf(where, db)
        expect((await ledger.verify()).faults).toEqual([])
        await ledger.close()
      })
    }
    const wrong = again(next, { keys: keysAfter, tombstones: join(folder, 'nowhere') })
    await expect(wrong).rejects.toThrow(/nowhere cannot be read\. Nothing was changed/)
  }, 120_000)
})

test('a backup of a schema that was changed by hand is refused before keys and photos are written', async () => {
  const [old, fresh] = [await server('postgresql'), await server('postgresql')]
  await onDatabase(old, async (db) => {
    await foundCompany(old, db)
    await sql`ALTER TABLE sites ADD COLUMN colour text`.execute(db)
  })
  const attempt = restoreInto(fresh, await makeBackup(old))
  await expect(attempt).rejects.toThrow(/sites\.colour\. Nothing was changed/)
  expect(await readdir(fresh.DATA_DIR)).toEqual([])
})

async function zipNames(path: string): Promise<string[]> {
  const archive = await openArchive(path)
  archive.close()
  return archive.names
}

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
