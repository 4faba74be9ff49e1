import type pg from 'pg'
import type { Logger } from '../shared/log.ts'

const intervalMs = 5 * 60_000

/** Tables of which a fifth has changed since somebody looked, as PostgreSQL's autovacuum judges. */
const tablesToTend = `
  SELECT relid::regclass::text AS name FROM pg_stat_user_tables
  WHERE n_dead_tup > 1000 + 0.2 * n_live_tup OR n_mod_since_analyze > 1000 + 0.2 * n_live_tup`

interface Pool {
  connect(): Promise<pg.PoolClient>
}

/**
 * Does every 5 minutes what a PostgreSQL server's background processes do, and the embedded one has none:
 * checkpoints, without which its log of changes grows for ever, and vacuum. Returns the function that stops it.
 */
export function runMaintenance(pool: Pool, log?: Logger): () => void {
  const timer = setInterval(() => {
    maintain(pool).catch((error) => log?.error({ err: error }, 'the maintenance of the database failed'))
  }, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** One round: vacuum and statistics for the tables that changed much, then a checkpoint. */
export async function maintain(pool: Pool): Promise<void> {
  const tables = await query<{ name: string }>(pool, tablesToTend)
  // One at a time through the pool, so that requests get their turn in between.
  for (const { name } of tables) await query(pool, `VACUUM (ANALYZE) ${name}`)
  await query(pool, 'CHECKPOINT')
}

async function query<Row extends pg.QueryResultRow>(pool: Pool, text: string): Promise<Row[]> {
  const client = await pool.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    client.release()
  }
}
