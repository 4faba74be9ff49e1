import { chmod, copyFile, open, rename, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { basename, dirname, join, resolve } from 'node:path'
import { sql } from 'kysely'
import { openDatabase } from '../database/connect.ts'
import { migrationNames, migrationStatus } from '../database/migrate.ts'
import type { Database } from '../database/tables.ts'
import { openKeys } from '../keys.ts'
import { type Author, cliAuthor, note, serverAuthor } from '../ledger/ledger.ts'
import type { Beside, Operations } from '../main.ts'
import type { Clock } from '../shared/clock.ts'
import { backupFolder, type Config } from '../shared/config.ts'
import { makeWithParents, namesIn, syncFolder } from '../shared/files.ts'
import { createLogger, type Logger } from '../shared/log.ts'
import type { Vault } from '../vault/vault.ts'
import { linesOf } from './archive.ts'
import {
  backUp,
  backupName,
  dropErasedKeys,
  explain,
  keysFileOf,
  type Manifest,
  refuseExisting,
} from './backup.ts'
import { holdsRows, openInstallation } from './installation.ts'
import { scratchOf } from './restore.ts'

type Say = (line: string) => void

/** Where backups go that are given no name. */
const folderOf = (config: Config) => resolve(backupFolder(config))

/**
 * Makes a backup as `rollcall backup` does and resolves to its file. With the embedded database, which serves one
 * process only, a running server is asked to make it.
 */
export async function makeBackup(
  config: Config,
  version: string,
  file: string | undefined,
  clock: Clock,
  say: Say,
): Promise<string> {
  if (config.DB_URL === undefined) {
    const made = await askServer(config.DATA_DIR, file && resolve(file), clock, say)
    if (made !== undefined) return made
  }
  const path = resolve(file ?? join(folderOf(config), backupName('rollcall', clock.now())))
  const { db, close } = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR })
  try {
    await refuseEmpty(db)
    await backUpAndNote({ config, db, version, clock }, cliAuthor, path, say)
    return path
  } finally {
    await close()
  }
}

/** Everything leaves the database here: the ledger says so. */
async function backUpAndNote(
  { config, db, version, clock }: Omit<KeepingDeps, 'log'>,
  author: Author,
  file: string,
  say: Say,
): Promise<Manifest> {
  const manifest = await backUp(await openInstallation(config, db, version, clock), file, clock.now(), say)
  // Of a version before the ledger.
  if (!('ledger' in manifest.tables)) return manifest
  const { ledger } = await openKeys(config, db, clock, createLogger({ level: 'silent' }))
  try {
    const details = { file: basename(file), photos: Object.keys(manifest.photos).length }
    await ledger.by(author)((trx) => note(trx, { action: 'export', subject_kind: 'backup', details }))
  } finally {
    await ledger.close()
  }
  return manifest
}

async function refuseEmpty(db: Database): Promise<void> {
  if (!(await hasInstance(db)))
    throw new Error('There is nothing to back up: no server has been started on this database yet.')
}

async function hasInstance(db: Database): Promise<boolean> {
  const { rows } = await sql<{
    present: boolean
  }>`SELECT to_regclass('instance') IS NOT NULL AS present`.execute(db)
  return rows[0]!.present
}

/**
 * What a server does about backups: one before each update, one each night, and those that it is asked for. Of several
 * processes only the first does what is done once for all of them.
 */
export function backupsOf(config: Config, version: string, first: boolean): Operations {
  return {
    beforeMigration: async (db, clock, say) => {
      if (!first) return
      // No restore runs now: what is there was left by one that was killed, and holds keys.
      await rm(scratchOf(config.DATA_DIR), { recursive: true, force: true })
      await backUpBeforeMigration(config, db, version, clock, say)
    },
    beside: (deps) => keepBackups({ config, version, ...deps }, first),
  }
}

// ---------------------------------------------------------------- before an update

/**
 * Backs up a database that is about to be migrated, if anything is in it. Throws an Error for the operator, and then
 * the database must not be migrated.
 */
export async function backUpBeforeMigration(
  config: Config,
  db: Database,
  version: string,
  clock: Clock,
  say: Say,
): Promise<void> {
  const states = await migrationStatus(db)
  const pending = states.some(({ appliedAt }) => appliedAt === null)
  // Of a newer version: the migration itself refuses that.
  const newer = states.some(({ name }) => !migrationNames.includes(name))
  if (!pending || newer || !(await hasInstance(db)) || !(await holdsRows(db))) return
  const file = join(folderOf(config), backupName(`before-${version}`, clock.now()))
  say(`the database needs an update: backing it up into ${file} first`)
  try {
    await backUp(await openInstallation(config, db, version, clock), file, clock.now(), say)
  } catch (cause) {
    throw new Error(
      `The database was not updated, because the backup before it failed. ${(cause as Error).message}`,
      { cause },
    )
  }
}

// ---------------------------------------------------------------- by the server itself

export interface KeepingDeps {
  config: Config
  db: Database
  version: string
  clock: Clock
  log: Logger
}

const CHECK_MS = 10 * 60_000

/**
 * Makes a backup each night and keeps the newest of them; makes one for `rollcall backup` where nobody else may open
 * the database; makes those that the office asks for. A process that is not the first does the last alone.
 */
async function keepBackups(deps: KeepingDeps & { vault: Vault }, first: boolean): Promise<Beside> {
  let last: Promise<unknown> = Promise.resolve()
  // One at a time: each of them holds the embedded database's only connection for a while.
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }
  const make = (name: string, author: Author, say: Say) =>
    inTurn(async () => {
      const file = join(folderOf(deps.config), name)
      await backUpAndNote(deps, author, file, say)
      return file
    })
  const backUp = (author: Author) =>
    // Two that are made in the same second have two names.
    make(backupName(`office-${process.pid}`, deps.clock.now()), author, () => {})
  if (!first) return { backUp, close: async () => void (await last) }
  const timer = setInterval(() => {
    inTurn(() => nightlyBackup(deps)).catch((error: unknown) =>
      deps.log.error({ err: error }, 'the nightly backup failed'),
    )
  }, CHECK_MS)
  timer.unref()
  const dropKeys = () => {
    inTurn(() => dropErasedKeys(folderOf(deps.config), deps.vault, deps.clock.now())).catch(
      (error: unknown) => deps.log.error({ err: error }, 'backups still hold keys of who was erased'),
    )
  }
  dropKeys()
  deps.vault.onDestroyed(dropKeys)
  const hourly = setInterval(dropKeys, HOUR_MS)
  hourly.unref()
  const deaf =
    deps.config.DB_URL === undefined
      ? await listenForBackups(deps, (name, say) => make(name, cliAuthor, say))
      : undefined
  return {
    backUp,
    close: async () => {
      clearInterval(timer)
      clearInterval(hourly)
      deaf?.()
      await last
    },
  }
}

const HOUR_MS = 60 * 60_000
const nightly = /^nightly-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.zip$/

/** One look at the clock: makes a backup if one is due, then removes the oldest. Returns whether it made one. */
export async function nightlyBackup({ config, db, version, clock, log }: KeepingDeps): Promise<boolean> {
  if (config.BACKUP_KEEP === 0) return false
  const folder = folderOf(config)
  const now = clock.now()
  if (!isDue(await nightlies(folder), now, config) || !(await holdsRows(db))) return false
  const file = join(folder, backupName('nightly', now))
  const { tables, photos } = await backUpAndNote({ config, db, version, clock }, serverAuthor, file, () => {})
  for (const old of (await nightlies(folder)).slice(0, -config.BACKUP_KEEP))
    for (const path of [old, keysFileOf(old)]) await rm(join(folder, path), { force: true })
  const rows = Object.values(tables).reduce((sum, table) => sum + table.rows, 0)
  log.info({ file, rows, photos: Object.keys(photos).length }, 'nightly backup')
  return true
}

/** Names of the nightly backups, the oldest first. */
async function nightlies(folder: string): Promise<string[]> {
  return (await namesIn(folder)).filter((name) => nightly.test(name)).sort()
}

/** At BACKUP_HOUR; a machine that is off at that hour makes up for it. */
function isDue(names: string[], now: Date, { TIME_ZONE, BACKUP_HOUR }: Config): boolean {
  const [, ...parts] = nightly.exec(names.at(-1) ?? '') ?? []
  if (parts.length === 0) return true
  const [year, month, day, hour, minute, second] = parts.map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const age = now.getTime() - Date.UTC(year, month - 1, day, hour, minute, second)
  const localHour = Number(
    new Intl.DateTimeFormat('en-GB', { timeZone: TIME_ZONE, hour: '2-digit', hourCycle: 'h23' }).format(now),
  )
  return age > 36 * HOUR_MS || (age > 12 * HOUR_MS && localHour === BACKUP_HOUR)
}

// ---------------------------------------------------------------- asking a running server

/** Where a server on the embedded database listens for `rollcall backup`; only its own user may open it. */
const socketOf = (dataDir: string) => join(resolve(dataDir), 'rollcall.sock')

/** What the server answers; `done` is the file. */
type Word = { say: string } | { done: string } | { failed: string }

async function listenForBackups(
  { config, log }: KeepingDeps,
  make: (name: string, say: Say) => Promise<string>,
): Promise<() => void> {
  const path = socketOf(config.DATA_DIR)
  const answer = async (socket: Socket) => {
    const tell = (word: Word) => socket.writable && socket.write(`${JSON.stringify(word)}\n`)
    try {
      // No "for await": what leaves that destroys the socket, and whoever asked would not be told.
      const { value: line, done } = await linesOf(socket).next()
      if (done) return
      const { name } = JSON.parse(line) as { name: string }
      const file = await make(basename(name), (say) => tell({ say }))
      tell({ done: file })
      log.info({ file }, 'backup')
    } catch (error) {
      log.error({ err: error }, 'a backup failed')
      tell({ failed: (error as Error).message })
    } finally {
      socket.end()
    }
  }
  const server = createServer((socket) => {
    // Whoever asked may go away; the backup is made all the same.
    socket.on('error', () => {})
    void answer(socket)
  })
  try {
    // Left by a server that was killed: the folder is ours alone.
    await rm(path, { force: true })
    await new Promise<void>((listening, failed) => {
      server.once('error', failed)
      server.listen(path, listening)
    })
    await chmod(path, 0o600)
  } catch (error) {
    log.warn({ err: error }, '"rollcall backup" needs the server stopped: nothing can listen in DATA_DIR')
  }
  return () => server.close()
}

/**
 * Lets the server that has this folder make the backup, in its own folder of backups: what else it may write is its
 * service manager's business, and its /tmp need not be ours. From there it is moved to `path`. Resolves to the file;
 * undefined when there is no server.
 */
async function askServer(
  dataDir: string,
  path: string | undefined,
  clock: Clock,
  say: Say,
): Promise<string | undefined> {
  const socket = connect(socketOf(dataDir))
  try {
    await new Promise<void>((connected, failed) => {
      socket.once('connect', connected)
      socket.once('error', failed)
    })
  } catch {
    return undefined
  }
  try {
    if (path !== undefined) await requireRoom(path)
    // Two that are made in the same second have two names.
    const name = backupName(path === undefined ? 'rollcall' : `rollcall-${process.pid}`, clock.now())
    socket.write(`${JSON.stringify({ name })}\n`)
    for await (const line of linesOf(socket)) {
      const word = JSON.parse(line) as Word
      if ('say' in word) say(word.say)
      if ('failed' in word) throw new Error(word.failed)
      if ('done' in word) return path === undefined ? word.done : await moveBackup(word.done, path)
    }
  } finally {
    socket.destroy()
  }
  throw new Error('The server stopped before the backup was made. Run this again.')
}

/** Before the server has any work with it. */
async function requireRoom(path: string): Promise<void> {
  refuseExisting(path)
  try {
    await makeWithParents(dirname(path))
    await (await open(`${path}.part`, 'w', 0o600)).close()
    await rm(`${path}.part`)
  } catch (cause) {
    throw new Error(explain(path, cause as NodeJS.ErrnoException), { cause })
  }
}

/** Moves a backup and its keys, to another disk too. Each file appears when it is whole. */
async function moveBackup(from: string, to: string): Promise<string> {
  try {
    // The large one first: where it does not fit, both are left.
    await moveFile(from, to)
    await moveFile(keysFileOf(from), keysFileOf(to))
    await syncFolder(dirname(to))
    return to
  } catch (cause) {
    throw new Error(`The backup was made, but ${to} could not be written: it is left as ${from}.`, { cause })
  }
}

async function moveFile(from: string, to: string): Promise<void> {
  try {
    return await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
  }
  const half = `${to}.part`
  try {
    await copyFile(from, half)
    const copy = await open(half, 'r+')
    try {
      await copy.chmod(0o600)
      await copy.sync()
    } finally {
      await copy.close()
    }
    await rename(half, to)
  } catch (error) {
    await rm(half, { force: true })
    throw error
  }
  await rm(from)
}
