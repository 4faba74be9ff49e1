import { spawnSync } from 'node:child_process'
import fs, { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { type OpenDatabase, openDatabase } from '../../src/database/connect.ts'
import { embeddedMajor } from '../../src/database/embedded.ts'
import { isConnectionError } from '../../src/database/errors.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import type { Database } from '../../src/database/tables.ts'
import { databaseProcess } from '../support/processes.ts'

let prepared: string
let dataDir: string
let open: OpenDatabase | undefined

beforeAll(async () => {
  prepared = mkdtempSync(join(tmpdir(), 'rollcall-prepared-'))
  const database = await openDatabase({ dataDir: prepared })
  await migrateToLatest(database.db)
  await database.close()
})
afterAll(() => rmSync(prepared, { recursive: true, force: true }))

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'rollcall-durability-'))
})
afterEach(async () => {
  vi.restoreAllMocks()
  await open?.close()
  open = undefined
  rmSync(dataDir, { recursive: true, force: true })
})

/** Opens the database in `dataDir`, which is a copy of the prepared one unless it is there already. */
async function openMigrated(): Promise<Database> {
  if (!existsSync(join(dataDir, 'postgres'))) cpSync(prepared, dataDir, { recursive: true })
  open = await openDatabase({ dataDir })
  return open.db
}

const add = (db: Database, employee_id: string) =>
  db.insertInto('employees').values({ employee_id, name: 'Ann' }).execute()

async function names(db: Database): Promise<string[]> {
  const rows = await db.selectFrom('employees').select('employee_id').orderBy('id').execute()
  return rows.map((row) => row.employee_id)
}

test('a kill in mid-write loses no row that was acknowledged', async () => {
  const acknowledged: string[] = []
  for (let round = 0; round < 4; round++) {
    const writer = databaseProcess('write', dataDir)
    const rows = 40 + round * 25
    await writer.line(() => writer.lines.length > rows)
    await writer.kill('SIGKILL')
    acknowledged.push(...writer.lines.filter((line) => line.startsWith('P')))
  }
  const stored = new Set(await names(await openMigrated()))
  expect(acknowledged.length).toBeGreaterThan(200)
  expect(acknowledged.filter((row) => !stored.has(row))).toEqual([])
}, 120_000)

test('a kill while the database is being made leaves none, and the next start makes it', async () => {
  const first = databaseProcess('hold', dataDir)
  await vi.waitUntil(() => existsSync(join(dataDir, 'postgres.unfinished', 'PG_VERSION')), {
    timeout: 30_000,
    interval: 5,
  })
  await first.kill('SIGKILL')
  expect(existsSync(join(dataDir, 'postgres'))).toBe(false)
  open = await openDatabase({ dataDir })
  await migrateToLatest(open.db)
  expect(await names(open.db)).toEqual([])
})

const strace = spawnSync('strace', ['-V']).status === 0
test.skipIf(!strace && process.env.CI !== 'true')(
  'every acknowledged row has reached the disk (skipped without strace: apt-get install strace)',
  async () => {
    expect(strace, 'strace is needed here: apt-get install strace').toBe(true)
    const trace = join(dataDir, 'trace')
    const options = [
      '-f',
      '-y',
      '-e',
      'trace=fdatasync,fsync,write',
      '-e',
      'signal=none',
      '-s',
      '64',
      '-o',
      trace,
    ]
    const writer = databaseProcess('write-100', join(dataDir, 'data'), ['strace', ...options])
    expect(await writer.ended).toBe(0)
    // Between one row's answer and the next there must be a sync of the log of changes.
    const lines = readFileSync(trace, 'utf8').split('\n')
    let synced = 0
    const unsynced: string[] = []
    // A call during which another thread calls too is written in two lines: its start, and its end.
    const syncing = new Set<string>()
    for (const line of lines) {
      const thread = line.split(' ', 1)[0]!
      if (/fdatasync\(.*pg_wal/.test(line)) syncing.add(thread)
      if (/fdatasync.*= 0/.test(line) && syncing.delete(thread)) synced++
      const row = /write\(1<.*"(P\d+-\d+)\\n"/.exec(line)
      if (!row) continue
      if (synced === 0) unsynced.push(row[1]!)
      synced = 0
    }
    expect(writer.lines.filter((line) => line.startsWith('P'))).toHaveLength(100)
    expect(lines.filter((line) => /write\(1<.*"P\d+-\d+\\n"/.test(line))).toHaveLength(100)
    expect(unsynced).toEqual([])
  },
)

test('a disk that fails to sync refuses the row, and what was acknowledged is there afterwards', async () => {
  const db = await openMigrated()
  await add(db, 'before')
  const broken = vi.spyOn(fs, 'fdatasyncSync').mockImplementation(() => {
    throw Object.assign(new Error('input/output error'), { code: 'EIO' })
  })
  const refusal = await add(db, 'during').catch((error: unknown) => error)
  expect(isConnectionError(refusal)).toBe(true)
  broken.mockRestore()
  await add(db, 'after')
  expect((await names(db)).filter((name) => name !== 'during')).toEqual(['before', 'after'])
})

test('a full disk refuses rows, and the database works again when there is space', async () => {
  const db = await openMigrated()
  await add(db, 'before')
  const full = () => {
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  }
  const write = vi.spyOn(fs, 'writeSync').mockImplementation(full)
  const first = await add(db, 'during').catch((error: unknown) => error)
  const second = await names(db).catch((error: unknown) => error)
  expect([first, second].map(isConnectionError)).toEqual([true, true])
  write.mockRestore()
  await vi.waitUntil(() => names(db).catch(() => undefined), { timeout: 20_000, interval: 200 })
  await add(db, 'after')
  expect((await names(db)).filter((name) => name !== 'during')).toEqual(['before', 'after'])
})

test('a transaction that the failing disk interrupted is undone as a whole', async () => {
  const db = await openMigrated()
  await add(db, 'before')
  const attempt = db.transaction().execute(async (trx) => {
    await add(trx, 'one')
    vi.spyOn(fs, 'fdatasyncSync').mockImplementation(() => {
      throw Object.assign(new Error('input/output error'), { code: 'EIO' })
    })
    await sql`CHECKPOINT`.execute(trx)
    await add(trx, 'two')
  })
  await expect(attempt).rejects.toThrow()
  vi.restoreAllMocks()
  expect(await names(db)).toEqual(['before'])
})

test('the folder of another PostgreSQL version is refused with a sentence and stays as it is', async () => {
  mkdirSync(join(dataDir, 'postgres'))
  writeFileSync(join(dataDir, 'postgres', 'PG_VERSION'), '19\n')
  await expect(openDatabase({ dataDir })).rejects.toThrow(
    /was made by PostgreSQL 19, and this program has PostgreSQL 18 inside\. Run the version/,
  )
  expect(fs.readdirSync(join(dataDir, 'postgres'))).toEqual(['PG_VERSION'])
})

test('a folder with other files is not taken for an empty one', async () => {
  mkdirSync(join(dataDir, 'postgres'))
  writeFileSync(join(dataDir, 'postgres', 'notes.txt'), 'mine')
  await expect(openDatabase({ dataDir })).rejects.toThrow('holds files but no database')
  expect(fs.readdirSync(join(dataDir, 'postgres'))).toEqual(['notes.txt'])
})

test('damaged files are refused with a sentence, and the folder is free for the repair', async () => {
  await openMigrated()
  await open?.close()
  open = undefined
  cpSync(join(dataDir, 'postgres'), join(dataDir, 'copy'), { recursive: true })
  writeFileSync(join(dataDir, 'postgres', 'global', 'pg_control'), Buffer.alloc(8192))
  await expect(openDatabase({ dataDir })).rejects.toThrow(/did not start: .*restore a backup/)
  rmSync(join(dataDir, 'postgres'), { recursive: true })
  cpSync(join(dataDir, 'copy'), join(dataDir, 'postgres'), { recursive: true })
  expect(await names(await openMigrated())).toEqual([])
})

test('the version that the program expects is the one inside PGlite', async () => {
  await openMigrated()
  expect(open?.version.split('.')[0]).toBe(embeddedMajor)
})
