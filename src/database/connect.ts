import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, PostgresDialect, type PostgresPool, sql } from 'kysely'
import pg from 'pg'
import type { Logger } from '../shared/log.ts'
import { openEmbedded } from './embedded.ts'
import { codeOf, isConnectionError } from './errors.ts'
import { withoutSilence } from './silence.ts'
import type { Database, Tables } from './tables.ts'

const startPatienceMs = 15_000
const retryIntervalMs = 500
// Whoever stands at a door waits for no more than 2 s, even where the database cannot serve them.
const connectTimeoutMs = 1_200
const lockTimeoutMs = 1_200
const statementTimeoutMs = 10_000
const idleInTransactionTimeoutMs = 30_000

export interface OpenDatabase {
  db: Database
  kind: 'postgresql' | 'embedded'
  /** The PostgreSQL version, such as 15.14. */
  version: string
  /** Waits for what is running, then closes the connections and gives the embedded folder back. */
  close(): Promise<void>
}

/**
 * Opens the PostgreSQL at `url`, or without one the embedded PostgreSQL in `dataDir`/postgres.
 * A server that is still starting is waited for, up to 15 s; a host name that is not known is not. Throws an Error
 * with a sentence for the operator, which never holds the password.
 */
export async function openDatabase(options: {
  url?: string
  dataDir: string
  log?: Logger
}): Promise<OpenDatabase> {
  return options.url === undefined ? openEmbeddedDatabase(options) : openServer(options.url, options.log)
}

async function openServer(url: string, log?: Logger): Promise<OpenDatabase> {
  const settings = {
    connectionString: url,
    application_name: 'rollcall',
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    // The embedded database runs in UTC as well.
    options: '-c timezone=UTC',
  }
  const pool = new pg.Pool({ ...settings, max: 10, maxLifetimeSeconds: 300, idleTimeoutMillis: 30_000 })
  // Without listeners, the loss of a connection would end the process. The pool replaces it, and a caller
  // who waits for an answer gets the error.
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    client.on('error', (error) => log?.warn({ err: error }, 'a database connection was lost'))
  })
  const dialect = new PostgresDialect({ pool: withoutSilence(pool, settings, log) })
  const db = new Kysely<Tables>({ dialect })
  try {
    const version = await waitForServer(db, url, log)
    return { db, kind: 'postgresql', version, close: () => db.destroy() }
  } catch (error) {
    await db.destroy()
    throw error
  }
}

async function waitForServer(db: Database, url: string, log?: Logger): Promise<string> {
  const deadline = Date.now() + startPatienceMs
  for (let attempt = 1; ; attempt++) {
    try {
      return await readVersion(db)
    } catch (error) {
      if (!isConnectionError(error) || isUnknownHost(error))
        throw new Error(explain(error, url), { cause: error })
      if (Date.now() > deadline) {
        throw new Error(
          `The PostgreSQL server ${describe(url)} did not answer within ${startPatienceMs / 1000} s ` +
            `(${codeOf(error) ?? (error as Error).message}). Start it, or correct DB_URL.`,
          { cause: error },
        )
      }
      if (attempt === 1) log?.info({ server: describe(url) }, 'waiting for the PostgreSQL server')
      await sleep(retryIntervalMs)
    }
  }
}

/** A name that nobody knows does not become known by waiting: it is mistyped, or the name service is not set up. */
function isUnknownHost(error: unknown): boolean {
  return ['ENOTFOUND', 'EAI_AGAIN'].includes(codeOf(error) ?? '')
}

function explain(error: unknown, url: string): string {
  const code = codeOf(error)
  if (isUnknownHost(error)) {
    return (
      `The host name of the PostgreSQL server ${describe(url)} is not known to this machine (${code}). ` +
      'Correct DB_URL, or let the name service know it.'
    )
  }
  if (code === '28P01' || code === '28000') {
    return `The PostgreSQL server ${describe(url)} refused the user or the password of DB_URL.`
  }
  if (code === '3D000') {
    return `The PostgreSQL server ${describe(url)} has no such database. Create it, or correct DB_URL.`
  }
  return `The PostgreSQL server ${describe(url)} cannot be used: ${(error as Error).message}.`
}

/** Where the URL leads, without the password. */
function describe(url: string): string {
  try {
    const { hostname, port, pathname, username } = new URL(url)
    return `${hostname || 'localhost'}:${port || 5432} (database ${pathname.slice(1) || username}, user ${username})`
  } catch {
    return 'of DB_URL'
  }
}

async function openEmbeddedDatabase(options: { dataDir: string; log?: Logger }): Promise<OpenDatabase> {
  const pool = await openEmbedded(options)
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: pool as PostgresPool }) })
  try {
    return { db, kind: 'embedded', version: await readVersion(db), close: () => db.destroy() }
  } catch (error) {
    await db.destroy()
    throw error
  }
}

async function readVersion(db: Database): Promise<string> {
  const answer = await sql<{ server_version: string }>`SHOW server_version`.execute(db)
  return answer.rows[0]!.server_version.split(' ')[0]!
}
