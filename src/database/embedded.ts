import { createHash } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import { createPgConfig } from '@electric-sql/pglite/node-postgres'
import pg from 'pg'
import type { Logger } from '../shared/log.ts'
import { durableFileSystem, syncFolder, syncTree } from './durable-files.ts'
import { lockFolder } from './folder-lock.ts'
import { runMaintenance } from './maintenance.ts'

/** The PostgreSQL inside PGlite; a data folder belongs to one major version. */
export const embeddedMajor = '18'

/** PGlite starts PostgreSQL with -F, which is "never sync". Its fdatasync is a stub; its fsync is ours. */
const startParams = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  '-c',
  'wal_sync_method=fsync',
]

/** How long a call waits for the only connection. */
const waitMs = 20_000
const restartIntervalMs = 5_000
const restartPatienceMs = 1_000

/** What Kysely needs of a pool. */
export interface EmbeddedPool {
  connect(): Promise<pg.PoolClient>
  /** Stops PostgreSQL and gives the folder back. */
  end(): Promise<void>
}

/** One run of PostgreSQL, from its start to its stop or its failure. */
interface Run {
  pglite: PGlite
  pool: pg.Pool
  /** PostgreSQL's last words; undefined while it lives. */
  failure(): string | undefined
}

/**
 * Opens the PostgreSQL that lives in `dataDir`/postgres, and makes it at the first start.
 * Throws an Error with a sentence for the operator when another process holds it, when its files are of
 * another PostgreSQL version or cannot be read, or when it does not start.
 */
export async function openEmbedded(options: { dataDir: string; log?: Logger }): Promise<EmbeddedPool> {
  const folder = resolve(options.dataDir, 'postgres')
  const unlock = await lockFolder(options.dataDir)
  try {
    if (!holdsDatabase(folder)) await create(folder)
    const pool = restartingPool(await start(folder, options.log), () => start(folder, options.log))
    const stopMaintenance = runMaintenance(pool, options.log)
    return {
      connect: pool.connect,
      end: async () => {
        stopMaintenance()
        await pool.end()
        unlock()
      },
    }
  } catch (error) {
    unlock()
    throw error
  }
}

/** The pool of a PGlite, which its owner closes after the pool. */
export function embeddedPool(pglite: PGlite): pg.Pool {
  return poolOn(createPgConfig(pglite))
}

/** More than there are statements of fixed text; lists of any length make others. */
const maxPrepared = 500

/** What begins and ends a transaction has nothing to plan, and a migration is never asked again. */
const preparable = (text: string, values: unknown[]) => values.length > 0 || /^\s*(SELECT|WITH)\s/i.test(text)

/** A client whose statements are parsed and planned once: of a short one that is most of the cost. */
class PreparingClient extends pg.Client {
  readonly #names = new Map<string, string>()

  // Kysely's way of asking is the only one that is prepared.
  override query(...words: unknown[]): never {
    const [text, values] = words
    if (typeof text !== 'string' || !Array.isArray(values) || words.length > 2)
      return super.query(...(words as [string])) as never
    if (preparable(text, values) && !this.#names.has(text) && this.#names.size < maxPrepared)
      this.#names.set(text, createHash('sha256').update(text).digest('hex').slice(0, 32))
    return super.query({ name: this.#names.get(text), text, values }) as never
  }
}

function poolOn(config: ReturnType<typeof createPgConfig>): pg.Pool {
  const pool = new pg.Pool({
    ...(config as object),
    Client: PreparingClient,
    // PGlite is one session: a second client would run inside the first one's transaction.
    max: 1,
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: waitMs,
  })
  // The caller whose query failed is told; without listeners the process would end as well.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** False when there is no database yet. Throws when there is something else. */
function holdsDatabase(folder: string): boolean {
  const version = readMajor(folder)
  if (version === embeddedMajor) return true
  if (version !== undefined) {
    throw new Error(
      `The database in ${folder} was made by PostgreSQL ${version}, and this program has PostgreSQL ` +
        `${embeddedMajor} inside. Run the version of the program that made it, or restore a backup into an ` +
        'empty DATA_DIR.',
    )
  }
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new Error(
      `The folder ${folder} holds files but no database (there is no PG_VERSION). Restore it from a backup, ` +
        'or move it away to start with an empty database.',
    )
  }
  return false
}

function readMajor(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, 'PG_VERSION'), 'utf8').trim()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') return undefined
    throw new Error(
      `The database in ${folder} cannot be read (${code}). Give the user that runs this program all rights ` +
        'on that folder and what is in it.',
      { cause: error },
    )
  }
}

/** Built beside its place and renamed when complete and on disk, so that a kill leaves all of it or nothing. */
async function create(folder: string): Promise<void> {
  const unfinished = `${folder}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { recursive: true, mode: 0o700 })
  const { pglite, pool } = await start(unfinished)
  await pool.end()
  await pglite.close()
  syncTree(unfinished)
  rmSync(folder, { recursive: true, force: true })
  renameSync(unfinished, folder)
  syncFolder(dirname(folder))
  syncFolder(dirname(dirname(folder)))
}

async function start(folder: string, log?: Logger): Promise<Run> {
  let failure: string | undefined
  let onFailure = () => {}
  const listen = (line: string): boolean => {
    const words = /(?:(?:FATAL|PANIC):\s*|^Aborted\()(.*)/.exec(line)
    if (words && failure === undefined) {
      failure = words[1]!
      log?.fatal({ line }, 'the embedded PostgreSQL failed')
      onFailure()
    }
    return false
  }
  let pglite: PGlite
  try {
    pglite = await PGlite.create({ fs: durableFileSystem(folder), startParams, onStderr: listen })
  } catch (error) {
    throw new Error(
      `The embedded PostgreSQL in ${folder} did not start: ${failure ?? (error as Error).message}. ` +
        'See to the disk and to the rights of that folder; if its files are damaged, restore a backup.',
      { cause: error },
    )
  }
  const config = createPgConfig(pglite)
  // A server that dies closes its connections, and so whoever waits for an answer learns of it.
  onFailure = () => setImmediate(() => breakConnection(config.connection, unavailable(failure!)))
  return { pglite, pool: poolOn(config), failure: () => failure }
}

function breakConnection(connection: EventEmitter, error: Error): void {
  if (connection.listenerCount('error') > 0) connection.emit('error', error)
}

/**
 * A pool that starts PostgreSQL anew after it failed: it stops when the disk is full or broken, as it must,
 * and its recovery brings back what was acknowledged. Until that succeeds `connect` is refused with 57P03.
 */
function restartingPool(first: Run, startAnew: () => Promise<Run>): EmbeddedPool {
  let run = first
  let restart: Promise<Run> | undefined
  let lastRestart = 0

  const living = async (): Promise<Run> => {
    const failure = run.failure()
    if (failure === undefined) return run
    if (restart === undefined) {
      if (Date.now() - lastRestart < restartIntervalMs) throw unavailable(failure)
      lastRestart = Date.now()
      abandon(run)
      restart = startAnew()
        .then((fresh) => {
          run = fresh
          return fresh
        })
        .finally(() => {
          restart = undefined
        })
    }
    // Nobody at a door waits for it for long.
    const late = sleep(restartPatienceMs, undefined, { ref: false }).then(() => {
      throw unavailable(failure)
    })
    try {
      return await Promise.race([restart, late])
    } catch (error) {
      throw unavailable(failure, error)
    }
  }

  return {
    connect: async () => {
      const client = await (await living()).pool.connect()
      // PostgreSQL runs on this thread. Whoever else waits for the thread comes in between two that ask it something.
      await turn()
      return client
    },
    end: async () => {
      await restart?.catch(() => {})
      if (run.failure() !== undefined) return abandon(run)
      await run.pool.end()
      await run.pglite.close()
    },
  }
}

function unavailable(failure: string, cause?: unknown): Error {
  return Object.assign(new Error(`the embedded database is down: ${failure}`, { cause }), { code: '57P03' })
}

/** Lets go of a PostgreSQL that failed: it cannot be closed, but its files can. */
function abandon(run: Run): void {
  run.pool.end().catch(() => {})
  try {
    run.pglite.Module.FS.quit()
  } catch {
    // What is open stays so until the process ends.
  }
}
