import { createHash, timingSafeEqual } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { sql } from 'kysely'
import { openDatabase } from '../database/connect.ts'
import { migrateWithin, migrationNames } from '../database/migrate.ts'
import { claimDatabase } from '../database/serving.ts'
import type { Database } from '../database/tables.ts'
import { type EraseBiometrics, endEmployment, purgeEmployee } from '../employees/records.ts'
import {
  applyTombstones,
  type EraseDeps,
  earlierErasure,
  eraseBiometrics,
  readTombstones,
} from '../gallery/erase.ts'
import { openPhotoStore } from '../gallery/photo-store.ts'
import { openKeys } from '../keys.ts'
import { headFile } from '../ledger/heads.ts'
import { type Change, cliAuthor } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config.ts'
import { isMissing, makeWithParents, readIfThere, syncFolder, writeFirst } from '../shared/files.ts'
import { createLogger } from '../shared/log.ts'
import { loadMasterKey } from '../vault/master-key.ts'
import {
  isKeyId,
  isRotating,
  isVaultFile,
  openVault,
  readTombstone,
  type Tombstone,
  type Vault,
} from '../vault/vault.ts'
import { type ArchiveReader, linesOf, openArchive } from './archive.ts'
import {
  keysFileOf,
  type Manifest,
  manifestSchema,
  photoEntry,
  readColumns,
  setForCopying,
  signManifest,
  tableEntry,
  timeStamp,
} from './backup.ts'
import { holdsRows, ledgerFiles } from './installation.ts'

export interface RestoreOptions {
  /** The file of the keys, where it is not beside the backup. */
  keys?: string | undefined
  /** Whether what the database holds may be replaced. */
  replace?: boolean | undefined
  /** What was dropped after the backup was made: a folder of tombstones, or a list of keys (their ids, a line each). */
  tombstones?: string | undefined
}

interface Backup {
  manifest: Manifest
  archive: ArchiveReader
  /** The backup's vault, unpacked into a folder of its own. */
  vault: Vault
  vaultFolder: string
  ledgerKey: Buffer
  /** What was dropped after the backup was made, as far as the operator says. */
  tombstones: Map<string, Tombstone>
}

/** Where a restore unpacks keys, in DATA_DIR: what a killed one left goes with the next one or the server's start. */
export const scratchOf = (dataDir: string) => join(dataDir, 'restoring')

/**
 * Restores a backup into the database, the photos' folder and the keys' folder that `config` names. Everything is
 * looked through before anything is touched; the database then changes in one transaction, so that a kill leaves the
 * old state or the new one, and the same command can be run again.
 * Rejects with an Error for the operator.
 */
export async function restore(
  config: Config,
  file: string,
  options: RestoreOptions,
  clock: Clock,
  progress: (line: string) => void,
): Promise<void> {
  const scratch = scratchOf(config.DATA_DIR)
  await rm(scratch, { recursive: true, force: true })
  await makeWithParents(resolve(scratch))
  try {
    progress(`looking through ${file}`)
    const backup = await openBackup(config, file, options, scratch)
    try {
      await check(backup, file, progress)
      await intoPlace(config, backup, options, clock, progress)
    } finally {
      backup.archive.close()
    }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

// ---------------------------------------------------------------- looking through

async function openBackup(
  config: Config,
  file: string,
  options: RestoreOptions,
  scratch: string,
): Promise<Backup> {
  const tombstones = options.tombstones === undefined ? new Map() : await toldTombstones(options.tombstones)
  const archive = await openWhole(file)
  try {
    const read = (name: string) =>
      readAll(archive, name).catch((cause) => {
        throw broken(file, cause)
      })
    const bytes = await read('manifest.json')
    const manifest = readManifest(bytes, file)
    const keysFile = options.keys ?? keysFileOf(file)
    const vaultFolder = join(scratch, 'keys')
    await unpackKeys(keysFile, vaultFolder)
    const vault = await openBackupKeys(config, vaultFolder, keysFile, manifest.instance)
    const ledgerKey = await vault.named('ledger')
    const signature = Buffer.from((await read('manifest.hmac')).toString('latin1'), 'hex')
    const expected = signManifest(ledgerKey, bytes)
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected))
      throw new Error(
        `${file} was altered, or ${keysFile} belongs to another installation. Nothing was changed. ` +
          'Take another copy of both.',
      )
    return { manifest, archive, vault, vaultFolder, ledgerKey, tombstones }
  } catch (error) {
    archive.close()
    throw error
  }
}

async function openWhole(path: string): Promise<ArchiveReader> {
  try {
    return await openArchive(path)
  } catch (cause) {
    if (isMissing(cause)) throw new Error(`There is no file ${path}.`)
    throw broken(path, cause)
  }
}

function broken(path: string, cause?: unknown): Error {
  return new Error(
    `${path} is damaged: it was cut or altered, or is no backup. Nothing was changed. Take another copy of it, or ` +
      'an older backup.',
    { cause },
  )
}

/** The manifest of a million photos is 100 MB long. */
const MAX_BYTES = 512 * 1024 * 1024

async function readAll(archive: ArchiveReader, name: string): Promise<Buffer> {
  const stream = await archive.read(name)
  if (!stream) throw new Error(`it holds no ${name}`)
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new Error(`its ${name} is too large`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function readManifest(bytes: Buffer, file: string): Manifest {
  const parsed = parseJson(bytes) as { format?: unknown; version?: unknown; migrations?: unknown } | undefined
  const { format, migrations, version } = parsed ?? {}
  const unknown = Array.isArray(migrations)
    ? migrations.filter((name) => !migrationNames.includes(String(name)))
    : []
  if ((typeof format === 'number' && format > 1) || unknown.length > 0)
    throw new Error(
      `${file} was made by a newer version of this program (${version})` +
        (unknown.length > 0 ? `: it holds the migration ${unknown.join(', ')}` : '') +
        '. Nothing was changed. Install that version, then restore.',
    )
  const manifest = manifestSchema.safeParse(parsed)
  if (!manifest.success || manifest.data.migrations.some((name, index) => name !== migrationNames[index]))
    throw broken(file, manifest.error)
  return manifest.data
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

async function unpackKeys(file: string, folder: string): Promise<void> {
  let archive: ArchiveReader
  try {
    archive = await openArchive(file)
  } catch (cause) {
    if (isMissing(cause))
      throw new Error(
        `The keys of this backup are missing: there is no file ${file}. Nothing was changed. It was written beside ` +
          'the backup; put it back there, or name it with --keys.',
      )
    throw broken(file, cause)
  }
  try {
    await makeWithParents(resolve(folder, 'erased'))
    for (const name of archive.names) {
      if (!isVaultFile(name)) throw new Error(`it holds ${name}`)
      await writeFile(join(folder, name), await readAll(archive, name), { mode: 0o600 })
    }
  } catch (cause) {
    throw broken(file, cause)
  } finally {
    archive.close()
  }
}

/** Opens the backup's keys, each of them, under the present master key. */
async function openBackupKeys(
  config: Config,
  folder: string,
  file: string,
  instance: string,
): Promise<Vault> {
  const masterKey = await loadMasterKey(config, false)
  let vault: Vault
  try {
    vault = await openVault({ dir: folder, masterKey })
  } catch (cause) {
    throw new Error(
      `The keys in ${file} are sealed under another master key than the present one. Nothing was changed. If the ` +
        'master key was changed since, name the keys of a backup that was made after that, with --keys. Otherwise set ' +
        'MASTER_KEY to the master key of the server that made this backup, as it was then; if there are keys in ' +
        `KEY_DIR already, ${withEmptyKeyDir(config, instance)}.`,
      { cause },
    )
  }
  const ids = await vault.keys()
  if (!ids.includes('ledger')) throw broken(file)
  try {
    for (const id of ids) await (isKeyId(id) ? vault.key(id) : vault.named(id))
  } catch (cause) {
    throw broken(file, cause)
  }
  return vault
}

/** Without the tombstones of the folder that is moved away, a restore would bring back who was erased. */
const withEmptyKeyDir = ({ KEY_DIR }: Config, instance: string) =>
  `set KEY_DIR to an empty folder and say --tombstones ${join(KEY_DIR, instance, 'erased')}`

async function toldTombstones(path: string): Promise<Map<string, Tombstone>> {
  const isFolder = (await found(path)).isDirectory()
  const ids = isFolder ? await readdir(path) : (await readFile(path, 'utf8')).split(/\s+/).filter(Boolean)
  const wrong = ids.find((id) => !isKeyId(id))
  if (wrong !== undefined)
    throw new Error(
      isFolder
        ? `${path} is no folder of tombstones: "${wrong}" is none. Nothing was changed. Name the folder "erased" in the folder of the keys.`
        : `${path} is no list of dropped keys: "${wrong}" is not the id of one. Nothing was changed.`,
    )
  const tombstones = new Map<string, Tombstone>()
  for (const id of ids) tombstones.set(id, (isFolder && (await readTombstone(path, id))) || {})
  return tombstones
}

async function found(path: string) {
  try {
    return await stat(path)
  } catch (cause) {
    throw new Error(`${path} cannot be read. Nothing was changed. Name what is there with --tombstones.`, {
      cause,
    })
  }
}

/** Compares everything that the manifest names with what is there. */
async function check({ manifest, archive }: Backup, file: string, progress: (line: string) => void) {
  const expected = new Map([
    ...Object.entries(manifest.tables).map(([name, { sha256 }]) => [tableEntry(name), sha256] as const),
    ...Object.entries(manifest.photos).map(([name, sha256]) => [photoEntry(name), sha256] as const),
  ])
  const own = ['manifest.json', 'manifest.hmac']
  const surplus = archive.names.find((name) => !expected.has(name) && !own.includes(name))
  if (surplus !== undefined)
    throw broken(file, new Error(`it holds ${surplus}, which its list does not name`))
  try {
    for (const [name, sha256] of expected) for await (const _ of checked(archive, name, sha256));
  } catch (cause) {
    throw broken(file, cause)
  }
  const rows = Object.values(manifest.tables).reduce((sum, table) => sum + table.rows, 0)
  progress(
    `whole and unaltered: made at ${manifest.made_at} by version ${manifest.version}, ${rows} rows, ` +
      `${Object.keys(manifest.photos).length} photos`,
  )
}

/** An entry's content. Rejects at its end when it is not what the manifest says. */
async function* checked(archive: ArchiveReader, name: string, sha256: string): AsyncGenerator<Buffer> {
  const stream = await archive.read(name)
  if (!stream) throw new Error(`it lacks ${name}`)
  const hash = createHash('sha256')
  for await (const chunk of stream) {
    hash.update(chunk)
    yield chunk
  }
  if (hash.digest('hex') !== sha256) throw new Error(`${name} was altered`)
}

// ---------------------------------------------------------------- into place

async function intoPlace(
  config: Config,
  backup: Backup,
  { replace }: RestoreOptions,
  clock: Clock,
  progress: (line: string) => void,
): Promise<void> {
  const { manifest } = backup
  const database = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR })
  try {
    const { db } = database
    const keys = join(config.KEY_DIR, manifest.instance)
    const finishPhotos = await inTransaction(db, async (trx) => {
      await setForCopying(trx)
      await claimDatabase(trx)
      await requireRoom(trx, replace ?? false)
      // First what is taken back when anything of it fails.
      await load(trx, backup, progress)
      const vault = await mergeKeys(config, backup, keys)
      const finishPhotos = await writePhotos(backup, join(config.UPLOAD_DIR, manifest.instance), progress)
      await requireKeys(trx, vault)
      return finishPhotos
    })
    await finishPhotos()
    await settle(config, db, manifest, clock, progress)
  } finally {
    await database.close()
  }
}

/** Not Kysely's own, in which no migrations can run. */
function inTransaction<T>(db: Database, work: (trx: Database) => Promise<T>): Promise<T> {
  return db.connection().execute(async (connection) => {
    await sql`BEGIN`.execute(connection)
    try {
      const result = await work(connection)
      await sql`COMMIT`.execute(connection)
      return result
    } catch (error) {
      // Where the connection is lost, the server does it itself.
      await sql`ROLLBACK`.execute(connection).catch(() => {})
      throw error
    }
  })
}

/** A database of something else is never touched, one that holds people only with --replace. */
async function requireRoom(trx: Database, replace: boolean): Promise<void> {
  const tables = await readColumns(trx)
  if (tables.size > 0 && !tables.has('employees'))
    throw new Error(
      'The database holds tables of another program. Nothing was changed. Set DB_URL to a database of its own.',
    )
  if (!replace && (await holdsRows(trx)))
    throw new Error(
      'The database is not empty, and restoring replaces everything in it. Nothing was changed. Choose an empty ' +
        'database or DATA_DIR, or say --replace.',
    )
}

/** Adds the backup's keys and tombstones to those that are here; what is here stays. */
async function mergeKeys(config: Config, backup: Backup, folder: string): Promise<Vault> {
  const vault = await openPresentKeys(config, backup, folder)
  const tombstones = new Map(backup.tombstones)
  for (const id of await backup.vault.erased()) tombstones.set(id, (await backup.vault.tombstone(id)) ?? {})
  const gone = new Set([...(await vault.erased()), ...tombstones.keys()])
  for (const id of await backup.vault.keys())
    if (!gone.has(id))
      await writeFirst(join(folder, `${id}.key`), await readFile(join(backup.vaultFolder, `${id}.key`)))
  for (const [id, tombstone] of tombstones) await vault.destroy(id, tombstone)
  return vault
}

/** Those that are here must be of the backup's installation, and open under the same master key. */
async function openPresentKeys(config: Config, { manifest, ledgerKey }: Backup, folder: string) {
  try {
    const vault = await openVault({ dir: folder, masterKey: await loadMasterKey(config, false) })
    const present = await vault.keys()
    if (!present.includes('ledger') || (await vault.named('ledger')).equals(ledgerKey)) return vault
  } catch (cause) {
    if (await isRotating(folder)) throw cause
    throw new Error(
      `The keys in ${folder} do not open under this master key. Nothing was changed. Restore with the present master ` +
        'key, and with --keys the keys of a backup that was made since it was changed; or, with this one, ' +
        `${withEmptyKeyDir(config, manifest.instance)}.`,
      { cause },
    )
  }
  throw new Error(
    `The folder ${folder} holds other keys than the backup. Nothing was changed. To restore without them, ` +
      `${withEmptyKeyDir(config, manifest.instance)}.`,
  )
}

/**
 * Writes the photos that are not there yet, which is of no account to the old state. Those that are there and differ
 * wait beside their place until the function that this resolves to is called.
 */
async function writePhotos(
  { manifest, archive }: Backup,
  folder: string,
  progress: (line: string) => void,
): Promise<() => Promise<void>> {
  await makeWithParents(resolve(folder))
  const waiting: string[] = []
  for (const [name, sha256] of Object.entries(manifest.photos)) {
    const path = join(folder, name)
    const present = await digestOf(path)
    if (present === sha256) continue
    const file = await open(`${path}.part`, 'w', 0o600)
    try {
      for await (const chunk of checked(archive, photoEntry(name), sha256)) await file.write(chunk)
      await file.datasync()
    } finally {
      await file.close()
    }
    if (present === undefined) await rename(`${path}.part`, path)
    else waiting.push(path)
  }
  await syncFolder(folder)
  await syncFolder(dirname(folder))
  progress(`photos: ${Object.keys(manifest.photos).length}`)
  return async () => {
    for (const path of waiting) await rename(`${path}.part`, path)
    await syncFolder(folder)
  }
}

async function digestOf(path: string): Promise<string | undefined> {
  const bytes = await readIfThere(path)
  return bytes && createHash('sha256').update(bytes).digest('hex')
}

/** Takes away what is there, makes the schema of the backup's time, fills it, and brings it up to this program. */
async function load(
  trx: Database,
  { manifest, archive }: Backup,
  progress: (line: string) => void,
): Promise<void> {
  // The triggers that write the audit log look at it.
  await sql`SET LOCAL rollcall.restoring = 'on'`.execute(trx)
  await dropEverything(trx)
  await migrateWithin(trx, manifest.migrations.at(-1))
  const columns = await readColumns(trx)
  requireSameSchema(manifest, columns)
  const foreignKeys = await dropForeignKeys(trx)
  const tables = [...columns.keys()]
  await sql`TRUNCATE ${sql.join(tables.map((table) => sql.table(table)))}`.execute(trx)
  for (const table of tables) {
    const { rows, sha256 } = manifest.tables[table]!
    await insertRows(trx, table, columns.get(table)!, checked(archive, tableEntry(table), sha256))
    progress(`${table}: ${rows} rows`)
  }
  for (const statement of foreignKeys) await sql.raw(statement).execute(trx)
  for (const [name, last] of Object.entries(manifest.sequences))
    await sql`SELECT setval(quote_ident(${name}::text)::regclass, ${last}::bigint)`.execute(trx)
  await migrateWithin(trx)
}

async function dropEverything(trx: Database): Promise<void> {
  await sql`DO $$
    DECLARE found record;
    BEGIN
      FOR found IN SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
      LOOP EXECUTE format('DROP TABLE %s CASCADE', found.name); END LOOP;
      FOR found IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
      LOOP EXECUTE format('DROP ROUTINE %s CASCADE', found.name); END LOOP;
    END $$`.execute(trx)
}

/** Of a database that somebody changed by hand, values would be lost without a word. */
function requireSameSchema({ tables }: Manifest, columns: Map<string, string[]>): void {
  const theirs = Object.entries(tables).flatMap(([name, table]) =>
    table.columns.map((column) => `${name}.${column}`),
  )
  const ours = [...columns].flatMap(([name, names]) => names.map((column) => `${name}.${column}`))
  const differing = [
    ...theirs.filter((name) => !ours.includes(name)),
    ...ours.filter((name) => !theirs.includes(name)),
  ]
  if (differing.length > 0)
    throw new Error(
      `The schema of the backup is not the one that its migrations make: ${differing.join(', ')}. Nothing was ` +
        'changed. Undo by hand in the original database what was changed there by hand, and make the backup again.',
    )
}

/** Punches and decisions name each other: no order of the tables would do. Returns the statements that bring them back. */
async function dropForeignKeys(trx: Database): Promise<string[]> {
  const { rows } = await sql<{ table: string; name: string; definition: string }>`
    SELECT conrelid::regclass::text AS table, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace`.execute(trx)
  for (const { table, name } of rows)
    await sql.raw(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`).execute(trx)
  return rows.map(
    ({ table, name, definition }) => `ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}`,
  )
}

const ROWS_AT_ONCE = 500

async function insertRows(
  trx: Database,
  table: string,
  columns: string[],
  content: AsyncGenerator<Buffer>,
): Promise<void> {
  const names = sql.join(columns.map((column) => sql.ref(column)))
  const insert = (lines: string[]) =>
    sql`INSERT INTO ${sql.table(table)} (${names}) OVERRIDING SYSTEM VALUE
      SELECT ${names} FROM jsonb_populate_recordset(NULL::${sql.table(table)}, ${`[${lines.join(',')}]`}::jsonb)`.execute(
      trx,
    )
  let lines: string[] = []
  for await (const line of linesOf(content)) {
    lines.push(line)
    if (lines.length < ROWS_AT_ONCE) continue
    await insert(lines)
    lines = []
  }
  if (lines.length > 0) await insert(lines)
}

/** Whose key is neither here nor dropped could never be recognised again. */
async function requireKeys(trx: Database, vault: Vault): Promise<void> {
  const known = new Set([...(await vault.keys()), ...(await vault.erased())])
  const { rows } = await sql<{ key_id: string }>`
    SELECT key_id FROM employees WHERE key_id IS NOT NULL`.execute(trx)
  const lost = rows.filter(({ key_id }) => !known.has(key_id)).length
  if (lost > 0)
    throw new Error(
      `The keys of ${lost} people are missing: the file of the keys is older than the backup. The database was not ` +
        'changed. Name the file that was made with this backup, or a later one, with --keys.',
    )
}

/**
 * What a restored database needs before it serves: those whose keys were dropped since are erased again, and the ledger
 * goes on from where the backup ends; without that it would report what came after as cut off.
 */
async function settle(
  config: Config,
  db: Database,
  manifest: Manifest,
  clock: Clock,
  progress: (line: string) => void,
): Promise<void> {
  const log = createLogger({ level: 'silent' })
  const { keyFolder, headsFile } = ledgerFiles(config, manifest.instance)
  await rm(headFile(keyFolder), { force: true })
  // The heads of the days since then are of entries that are gone. They stay, for whoever wants to know.
  if (existsSync(headsFile)) await rename(headsFile, `${headsFile}.until-${timeStamp(clock.now())}`)
  const { vault, ledger } = await openKeys(config, db, clock, log)
  try {
    await ledger.accept(cliAuthor, `restored from the backup of ${manifest.made_at}`)
    const photos = await openPhotoStore(join(config.UPLOAD_DIR, manifest.instance))
    const deps = { db, vault, photos, clock, log, change: ledger.by(cliAuthor) }
    await departAgain(deps, progress)
    for (const { employeeId, reason } of await applyTombstones(deps))
      progress(`erased again, because they were erased after the backup: ${employeeId} (${reason})`)
    const { entries, faults } = await ledger.verify()
    progress(
      `ledger: ${entries} entries, ${faults.length === 0 ? 'all as they were entered' : 'with faults:'}`,
    )
    for (const { message } of faults) progress(`  ${message}`)
  } finally {
    await ledger.close()
  }
}

/** Purges again who was purged after the backup was made, and ends again what employment was ended since. */
async function departAgain(
  deps: EraseDeps & { db: Database; change: Change },
  progress: (line: string) => void,
): Promise<void> {
  const { db, vault, change } = deps
  const tombstones = await readTombstones(vault)
  if (!tombstones) return
  const people = await db
    .selectFrom('employees')
    .select(['employee_id', 'created_at', 'ended_at'])
    .orderBy('id')
    .execute()
  for (const { employee_id: employeeId, created_at, ended_at } of people) {
    // Of earlier ones, another person had this employee_id.
    const theirs = await tombstones.ofPerson(employeeId, created_at)
    const purge = theirs.find(({ reason }) => reason === 'purge')
    const end = theirs.find(({ reason }) => reason === 'employment_ended')
    const departure = purge ?? (ended_at === null ? end : undefined)
    if (!departure) continue
    const earlier = earlierErasure(departure)
    const erase: EraseBiometrics = (trx, id, reason) => eraseBiometrics(deps, trx, id, reason, earlier)
    const result = purge
      ? await purgeEmployee(change, employeeId, undefined, erase)
      : await endEmployment(change, employeeId, undefined, earlier.at ?? deps.clock.now(), erase)
    if ('afterCommit' in result) await result.afterCommit()
    progress(
      purge
        ? `purged again, because they were purged after the backup: ${employeeId} (purge)`
        : `ended again, because their employment ended after the backup: ${employeeId} (employment_ended)`,
    )
  }
}
