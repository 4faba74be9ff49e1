import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type OpenDatabase, openDatabase } from '../../src/database/connect.ts'

let folder: string
let database: OpenDatabase

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-embedded-'))
  database = await openDatabase({ dataDir: folder })
})
afterAll(async () => {
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

test('a row of questions keeps nobody else from the thread', async () => {
  const questions = 50
  let turns = 0
  const count = () => {
    turns++
    counting = setImmediate(count)
  }
  let counting = setImmediate(count)
  await Promise.all(Array.from({ length: questions }, () => sql`SELECT ${1}::int`.execute(database.db)))
  clearImmediate(counting)
  expect(turns).toBeGreaterThanOrEqual(questions)
})

test('a question is planned once, also where it takes no value', async () => {
  const { db } = database
  for (let times = 0; times < 2; times++) await sql`SELECT count(*) FROM pg_class`.execute(db)
  const { rows } = await sql<{ asked: number }>`
    SELECT (generic_plans + custom_plans)::int AS asked FROM pg_prepared_statements
    WHERE statement = ${'SELECT count(*) FROM pg_class'}`.execute(db)
  expect(rows).toEqual([{ asked: 2 }])
})
