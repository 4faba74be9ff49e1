import { createHmac, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sql } from 'kysely'
import { z } from 'zod'
import { deriveKey } from '../access/secret.ts'
import { migrationStatus } from '../database/migrate.ts'
import type { Database } from '../database/tables.ts'
import { namesIn, readIfThere, syncFolder } from '../shared/files.ts'
import { isVaultFile, type Vault } from '../vault/vault.ts'
import { type ArchiveReader, type ArchiveWriter, createArchive, openArchive } from './archive.ts'

/** What is backed up, and where the parts of it are. */
export interface Installation {
  db: Database
  /** Of this program. */
  version: string
  /** The id in the table `instance`. */
  instance: string
  /** Folder of the photos. */
  photos: string
  /** Folder of the vault. */
  keys: string
  /** The vault's key named `ledger`. */
  ledgerKey: Buffer
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

/** What a backup says of itself. */
export const manifestSchema = z.object({
  format: z.literal(1),
  version: z.string(),
  instance: z.uuid(),
  made_at: z.iso.datetime(),
  migrations: z.array(z.string()),
  /** Last numbers that were given out; as texts, because they may be larger than JavaScript counts. */
  sequences: z.record(z.string(), z.string().regex(/^[0-9]+$/)),
  tables: z.record(
    z.string(),
    z.object({ columns: z.array(z.string()), rows: z.number().int().min(0), sha256 }),
  ),
  photos: z.record(z.string().regex(/^[\w-]+\.[a-z]+$/), sha256),
  /** Enrolment photos of the snapshot that were removed before their turn came. */
  missing_photos: z.array(z.string()),
})

export type Manifest = z.infer<typeof manifestSchema>

/** What says that the manifest, and with it everything that it names, is as this installation wrote it. */
export function signManifest(ledgerKey: Buffer, manifest: Uint8Array): Buffer {
  return createHmac('sha256', deriveKey(ledgerKey, 'backups')).update(manifest).digest()
}

export const keysFileOf = (file: string) => `${file}.keys`

/** The name of a backup of this moment. */
export const backupName = (prefix: string, now: Date) => `${prefix}-${timeStamp(now)}.zip`

/** A moment as part of a file's name, in UTC. */
export const timeStamp = (now: Date) => now.toISOString().replace(/[-:]|\.\d+/g, '')

/**
 * Writes database and photos into `file` and the keys, wrapped as they are, into `file`.keys. Both appear when both are
 * whole and on disk. The database is read in one snapshot, a piece at a time; a server may run meanwhile.
 * Rejects with an Error for the operator, and leaves no half file.
 */
export async function backUp(
  from: Installation,
  file: string,
  now: Date,
  progress: (line: string) => void,
): Promise<Manifest> {
  refuseExisting(file)
  const archives: ArchiveWriter[] = []
  try {
    for (const path of [keysFileOf(file), file]) archives.push(await createArchive(path))
    const [keys, main] = archives as [ArchiveWriter, ArchiveWriter]
    const snapshot = await writeTables(from.db, main, progress)
    const photos = await writePhotos(from.photos, snapshot, main, progress)
    // Last, so that the key of a person who was erased meanwhile is not among them.
    progress(`keys: ${await writeKeys(from.keys, keys)}`)
    const { version, instance } = from
    const manifest: Manifest = {
      format: 1,
      version,
      instance,
      made_at: now.toISOString(),
      migrations: snapshot.migrations,
      sequences: snapshot.sequences,
      tables: snapshot.tables,
      ...photos,
    }
    const bytes = Buffer.from(JSON.stringify(manifest, null, 1))
    await main.add('manifest.json', only(bytes))
    await main.add('manifest.hmac', only(Buffer.from(signManifest(from.ledgerKey, bytes).toString('hex'))))
    for (const archive of archives) await archive.end()
    for (const archive of archives) await archive.publish()
    return manifest
  } catch (cause) {
    for (const archive of archives) await archive.discard()
    throw new Error(explain(file, cause as NodeJS.ErrnoException), { cause })
  }
}

export function refuseExisting(file: string): void {
  if (existsSync(file) || existsSync(keysFileOf(file)))
    throw new Error(`${file} is there already, and a backup is never overwritten. Choose another name.`)
}

const unwritable = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'])

/** Why nothing was written to `file`, for the operator. */
export function explain(file: string, { code, syscall, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return `The disk of ${file} is full, and no backup was made. Make room, or choose a file on another disk.`
  // A photo that is not found is another matter than a folder that cannot be made.
  if (unwritable.has(code ?? '') || (code === 'ENOENT' && syscall === 'mkdir'))
    return `${file} cannot be written, and no backup was made. Choose a folder that this user may write to.`
  return `No backup was made: ${message}`
}

interface Snapshot {
  migrations: string[]
  tables: Manifest['tables']
  sequences: Manifest['sequences']
  /** Names of the enrolment photos. */
  photos: string[]
  /** Names of the pictures of checks, of which most are not kept any more. */
  pictures: string[]
}

/** Writes each table as a line of JSON a row, all as they were at one moment. */
function writeTables(
  db: Database,
  archive: ArchiveWriter,
  progress: (line: string) => void,
): Promise<Snapshot> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (trx) => {
      await setForCopying(trx)
      const migrations = (await migrationStatus(trx)).flatMap(({ name, appliedAt }) =>
        appliedAt ? [name] : [],
      )
      const tables: Manifest['tables'] = {}
      const columnsOf = await readColumns(trx)
      for (const [name, columns] of columnsOf) {
        const counted = { rows: 0 }
        const digest = await archive.add(tableEntry(name), rowsOf(trx, name, counted))
        tables[name] = { columns, rows: counted.rows, sha256: digest }
        progress(`${name}: ${counted.rows} rows`)
      }
      const sequences = await sql<{ name: string; last: string }>`
        SELECT sequencename AS name, last_value::text AS last FROM pg_sequences
        WHERE schemaname = current_schema() AND last_value IS NOT NULL`.execute(trx)
      const photos = await trx.selectFrom('samples').select('file_path').orderBy('id').execute()
      return {
        migrations,
        tables,
        sequences: Object.fromEntries(sequences.rows.map(({ name, last }) => [name, last])),
        photos: photos.map((row) => row.file_path),
        pictures: await pictureNames(trx, columnsOf),
      }
    })
}

async function pictureNames(trx: Database, columns: Map<string, string[]>): Promise<string[]> {
  const names = new Set<string>()
  for (const table of ['attendance', 'decisions', 'kiosk_events']) {
    // Decisions have it only since a later migration.
    if (!columns.get(table)?.includes('image_path')) continue
    const { rows } = await sql<{ name: string }>`
      SELECT DISTINCT image_path AS name FROM ${sql.table(table)} WHERE image_path IS NOT NULL`.execute(trx)
    for (const { name } of rows) names.add(name)
  }
  return [...names]
}

export const tableEntry = (table: string) => `tables/${table}.jsonl`
export const photoEntry = (name: string) => `photos/${name}`

/** Takes away the limits that are meant for requests, and lets every value be written to its last digit. */
export async function setForCopying(trx: Database): Promise<void> {
  await sql`SET LOCAL statement_timeout = 0`.execute(trx)
  await sql`SET LOCAL lock_timeout = 0`.execute(trx)
  await sql`SET LOCAL idle_in_transaction_session_timeout = 0`.execute(trx)
  await sql`SET LOCAL extra_float_digits = 1`.execute(trx)
  await sql`SET LOCAL bytea_output = 'hex'`.execute(trx)
  await sql`SET LOCAL timezone = 'UTC'`.execute(trx)
}

/** Every table of ours with the columns that hold values of their own. */
export async function readColumns(db: Database): Promise<Map<string, string[]>> {
  const { rows } = await sql<{ name: string; columns: string[] }>`
    SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
      AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
      AND c.relname NOT LIKE 'kysely\\_%'
    GROUP BY c.relname ORDER BY c.relname`.execute(db)
  return new Map(rows.map(({ name, columns }) => [name, columns]))
}

/** A few hundred: a row may hold an embedding, and then it is 10 kB long. */
const ROWS_AT_ONCE = 500

async function* rowsOf(trx: Database, table: string, counted: { rows: number }) {
  await sql`DECLARE copied NO SCROLL CURSOR FOR
    SELECT to_jsonb(this_row)::text AS line FROM ${sql.table(table)} AS this_row`.execute(trx)
  for (;;) {
    const { rows } = await sql<{ line: string }>`FETCH ${sql.lit(ROWS_AT_ONCE)} FROM copied`.execute(trx)
    if (rows.length === 0) break
    counted.rows += rows.length
    yield Buffer.from(rows.map(({ line }) => `${line}\n`).join(''))
  }
  await sql`CLOSE copied`.execute(trx)
}

/** Photos are written once and never changed, so that they may be read after the snapshot, unless they are gone. */
async function writePhotos(
  folder: string,
  { photos: names, pictures }: Pick<Snapshot, 'photos' | 'pictures'>,
  archive: ArchiveWriter,
  progress: (line: string) => void,
): Promise<Pick<Manifest, 'photos' | 'missing_photos'>> {
  const photos: Manifest['photos'] = {}
  const missing: string[] = []
  const add = async (name: string) => {
    const bytes = await readIfThere(join(folder, name))
    if (bytes) photos[name] = await archive.add(photoEntry(name), only(bytes), { compress: false })
    return bytes !== undefined
  }
  for (const name of names) if (!(await add(name))) missing.push(name)
  for (const name of pictures) await add(name)
  progress(`photos: ${Object.keys(photos).length}`)
  if (missing.length > 0) progress(`photos that are not there any more: ${missing.length}`)
  return { photos, missing_photos: missing }
}

async function writeKeys(folder: string, archive: ArchiveWriter): Promise<number> {
  let keys = 0
  // The tombstones after the keys: whoever is erased meanwhile has one, and it counts more than the key.
  const erased = async () => (await readdir(join(folder, 'erased'))).map((name) => `erased/${name}`)
  for (const list of [() => readdir(folder), erased])
    for (const name of await list()) {
      const bytes = isVaultFile(name) && (await readIfThere(join(folder, name)))
      if (!bytes) continue
      await archive.add(name, only(bytes))
      if (name.endsWith('.key')) keys++
    }
  return keys
}

const keysOfBackup = /\.keys$/
/** What of it is being written anew, or was when the server was killed. */
const keysInWriting = /\.keys(\.[0-9a-f-]{36})?\.part$|\.keys\.[0-9a-f-]{36}$/
const ABANDONED_MS = 24 * 60 * 60_000

/**
 * Takes the keys that were dropped out of every backup in `folder`, and puts their tombstones in: a backup opens nobody
 * who was erased since. Each file is the old one or the new one, whatever happens. Returns how many were written anew.
 */
export async function dropErasedKeys(folder: string, vault: Vault, now: Date): Promise<number> {
  const erased = new Set(await vault.erased())
  let rewritten = 0
  let failure: unknown
  for (const name of await namesIn(folder)) {
    const path = join(folder, name)
    if (keysInWriting.test(name)) {
      const age = now.getTime() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? now.getTime())
      if (age > ABANDONED_MS) await rm(path, { force: true })
    } else if (keysOfBackup.test(name)) {
      // One that is damaged does not keep the others as they are.
      const isDone = await dropFrom(path, vault, erased).catch((cause: Error) => {
        failure = new Error(`${path} cannot be written anew: ${cause.message}`, { cause })
      })
      if (isDone) rewritten++
    }
  }
  if (failure) throw failure
  return rewritten
}

async function dropFrom(path: string, vault: Vault, erased: ReadonlySet<string>): Promise<boolean> {
  const archive = await openArchive(path)
  try {
    const idOf = (name: string) => (name.endsWith('.key') ? name.slice(0, -'.key'.length) : '')
    const dropped = archive.names.map(idOf).filter((id) => erased.has(id))
    if (dropped.length === 0) return false
    // Another process may do the same.
    const fresh = `${path}.${randomUUID()}`
    await copyWithout(archive, dropped, fresh, vault)
    await rename(fresh, path)
    await syncFolder(dirname(path))
    return true
  } finally {
    archive.close()
  }
}

async function copyWithout(
  from: ArchiveReader,
  dropped: string[],
  path: string,
  vault: Vault,
): Promise<void> {
  const to = await createArchive(path)
  try {
    const surplus = new Set(dropped.flatMap((id) => [`${id}.key`, `erased/${id}`]))
    for (const name of from.names) {
      const content = surplus.has(name) ? undefined : await from.read(name)
      if (content) await to.add(name, content)
    }
    for (const id of dropped)
      await to.add(`erased/${id}`, only(Buffer.from(`${JSON.stringify(await vault.tombstone(id))}\n`)))
    await to.end()
    await to.publish()
  } catch (error) {
    await to.discard()
    throw error
  }
}

async function* only(bytes: Uint8Array) {
  yield bytes
}
