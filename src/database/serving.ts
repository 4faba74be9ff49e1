import { sql } from 'kysely'
import pg from 'pg'
import type { Logger } from '../shared/log.ts'
import type { Database } from './tables.ts'

/** The key of the advisory lock that servers share and a restore wants alone; any fixed number would do. */
const servingLock = 7_265_555
const RETRY_MS = 5_000

/**
 * Tells whoever wants a PostgreSQL database for itself that a server uses it, until the returned function is called.
 * Throws an Error for the operator while a restore has it. The embedded database's folder is locked anyway.
 */
export async function announceServer(url: string | undefined, log: Logger): Promise<() => Promise<void>> {
  if (url === undefined) return async () => {}
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  let ended = false

  async function hold(): Promise<void> {
    const next = new pg.Client({
      connectionString: url,
      application_name: 'rollcall serving',
      keepAlive: true,
    })
    let lost = false
    const lose = () => {
      if (lost || ended || client !== next) return
      lost = true
      retry()
    }
    next.on('error', lose)
    next.on('end', lose)
    await next.connect()
    const { rows } = await next.query('SELECT pg_try_advisory_lock_shared($1) AS held', [servingLock])
    client = next
    if (rows[0].held) return
    await next.end()
    client = undefined
    throw new Error('A backup is being restored into this database. Start the server when that is done.')
  }

  /** The lock ends with its connection. */
  function retry(): void {
    timer = setTimeout(() => {
      hold().catch((error: unknown) => {
        log.warn({ err: error }, 'the lock that keeps restores away is lost; trying again')
        retry()
      })
    }, RETRY_MS)
    timer.unref()
  }

  await hold()
  return async () => {
    ended = true
    clearTimeout(timer)
    await client?.end().catch(() => {})
  }
}

/** Whether a server uses this PostgreSQL database. */
export async function isServed(db: Database): Promise<boolean> {
  const { rows } = await sql`SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 0 AND objid = ${servingLock} AND objsubid = 1 AND mode = 'ShareLock'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`.execute(db)
  return rows.length > 0
}

/** Takes the database for the transaction that is open on this connection alone. Throws an Error for the operator where a server uses it. */
export async function claimDatabase(trx: Database): Promise<void> {
  const { rows } = await sql<{ held: boolean }>`
    SELECT pg_try_advisory_xact_lock(${servingLock}) AS held`.execute(trx)
  if (!rows[0]!.held)
    throw new Error('A server uses this database. Stop every server on it first; nothing was changed.')
  // What is done meanwhile may take longer than a request may.
  await sql`SET LOCAL idle_in_transaction_session_timeout = 0`.execute(trx)
}
