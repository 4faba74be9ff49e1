import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedPool, openEmbedded } from '../../src/database/embedded.ts'
import { maintain } from '../../src/database/maintenance.ts'

let dataDir: string
let pool: EmbeddedPool

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'rollcall-maintenance-'))
  pool = await openEmbedded({ dataDir })
  await query('CREATE TABLE notes (id integer PRIMARY KEY, text text)')
})
afterAll(async () => {
  await pool.end()
  rmSync(dataDir, { recursive: true, force: true })
})

async function query(text: string): Promise<Record<string, unknown>[]> {
  const client = await pool.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    client.release()
  }
}

test('the log of changes stays bounded however much is written', async () => {
  const segments = () => readdirSync(join(dataDir, 'postgres', 'pg_wal')).length
  const sizes: number[] = []
  for (let round = 0; round < 6; round++) {
    await query('DELETE FROM notes')
    await query(`INSERT INTO notes SELECT n, repeat('x', 1000) FROM generate_series(1, 40000) AS n`)
    await maintain(pool)
    sizes.push(segments())
  }
  expect(Math.max(...sizes.slice(3))).toBeLessThanOrEqual(sizes[2]! + 2)
})

test('deleted rows are cleared away and the planner learns the size of a table', async () => {
  await query('DELETE FROM notes WHERE id > 10')
  // PostgreSQL counts changes with up to a second's delay.
  await query('SELECT pg_stat_force_next_flush()')
  await maintain(pool)
  const [stats] = await query(`SELECT n_dead_tup::int AS dead,
    (SELECT reltuples::int FROM pg_class WHERE relname = 'notes') AS rows
    FROM pg_stat_user_tables WHERE relname = 'notes'`)
  expect(stats).toEqual({ dead: 0, rows: 10 })
})
