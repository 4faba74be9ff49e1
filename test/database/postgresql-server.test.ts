import { execFile } from 'node:child_process'
import dns from 'node:dns'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openDatabase } from '../../src/database/connect.ts'
import { isConnectionError } from '../../src/database/errors.ts'
import { migrationStatus } from '../../src/database/migrate.ts'
import { databaseUrl, type TestDatabase, testDatabase } from '../support/database.ts'
import { findPrograms, startCluster } from '../support/postgres-cluster.ts'
import { databaseProcess } from '../support/processes.ts'

let database: TestDatabase
let url: string

beforeEach(async () => {
  database = await testDatabase()
  url = database.url!
})
afterEach(() => database.close())

async function refusal(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => new Error('it was not refused'),
    (error: Error) => error,
  )
}

test('twenty processes that migrate an empty database at once all succeed', async () => {
  const empty = await testDatabase({ empty: true })
  const processes = Array.from({ length: 20 }, () => databaseProcess('migrate', empty.url!))
  await Promise.all(processes.map((process) => process.line()))
  for (const process of processes) process.go()
  const codes = await Promise.all(processes.map((process) => process.ended))
  expect(processes.map((process) => process.lines)).toEqual(Array(20).fill(['ready', 'migrated']))
  expect(codes).toEqual(Array(20).fill(0))
  expect((await migrationStatus(empty.db)).every((state) => state.appliedAt)).toBe(true)
  await empty.close()
}, 180_000)

test('the schema is the one in docs/schema.sql (UPDATE_SCHEMA=1 writes it anew)', async () => {
  const { stdout } = await promisify(execFile)(join(findPrograms(), 'pg_dump'), [
    '--schema-only',
    '--no-owner',
    '--no-privileges',
    url,
  ])
  // Without what differs between versions of pg_dump.
  const dump = stdout
    .split('\n')
    .filter((line) => !/^(--|SET |\\(un)?restrict|SELECT pg_catalog\.set_config)/.test(line))
    .join('\n')
    .replace(/\n{2,}/g, '\n\n')
    .trim()
  const file = fileURLToPath(new URL('../../docs/schema.sql', import.meta.url))
  if (process.env.UPDATE_SCHEMA === '1') writeFileSync(file, `${dump}\n`)
  expect(`${dump}\n`).toBe(readFileSync(file, 'utf8'))
})

test('a wrong password is refused at once, in a sentence without it', async () => {
  const wrong = Object.assign(new URL(url), { password: 'opensesame' }).href
  const started = Date.now()
  const error = await refusal(openDatabase({ url: wrong, dataDir: '' }))
  expect(error.message).toMatch(/refused the user or the password of DB_URL/)
  expect(JSON.stringify([error.message, error.stack])).not.toContain('opensesame')
  expect(Date.now() - started).toBeLessThan(5_000)
})

test('a database that does not exist is refused at once', async () => {
  const error = await refusal(openDatabase({ url: databaseUrl(url, 'nowhere'), dataDir: '' }))
  expect(error.message).toMatch(/\(database nowhere, user \w+\) has no such database/)
})

test.each(['ENOTFOUND', 'EAI_AGAIN'])(
  'a host name that is not known (%s) is refused at once',
  async (code) => {
    // Nobody is asked: what a name service says of a name depends on the network.
    const asked: string[] = []
    const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((host: string, ...rest: unknown[]) => {
      asked.push(host)
      const answer = rest.at(-1) as (error: Error) => void
      process.nextTick(answer, Object.assign(new Error(`getaddrinfo ${code} ${host}`), { code }))
    }) as typeof dns.lookup)
    const started = Date.now()
    const error = await refusal(
      openDatabase({ url: 'postgresql://me:opensesame@no-such-host.invalid/x', dataDir: '' }),
    )
    lookup.mockRestore()
    expect(error.message).toMatch(/no-such-host\.invalid.* is not known to this machine .*Correct DB_URL/)
    expect(error.message).not.toMatch(/opensesame|Start it/)
    expect(Date.now() - started).toBeLessThan(2_000)
    expect(asked).toEqual(['no-such-host.invalid'])
  },
)

test('a server that never comes is given up after a while, in a sentence', async () => {
  const error = await refusal(openDatabase({ url: 'postgresql://me:opensesame@127.0.0.1:1/x', dataDir: '' }))
  expect(error.message).toMatch(/127\.0\.0\.1:1 .* did not answer within 15 s \(ECONNREFUSED\)/)
  expect(error.message).not.toContain('opensesame')
})

test('a server that accepts and says nothing is given up as well', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const error = await refusal(openDatabase({ url: `postgresql://me@127.0.0.1:${port}/x`, dataDir: '' }))
  expect(error.message).toMatch(/did not answer within 15 s/)
  silent.close()
})

test('a session that the administrator ends costs one refused transaction, not the process', async () => {
  const open = await openDatabase({ url, dataDir: '' })
  const error = await refusal(
    open.db.transaction().execute(async (trx) => {
      const { rows } = await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`.execute(trx)
      await sql`SELECT pg_terminate_backend(${rows[0]!.pid})`.execute(database.db)
      // Long enough for the loss to arrive while no query runs.
      await new Promise((resolve) => setTimeout(resolve, 200))
      await sql`SELECT 1`.execute(trx)
    }),
  )
  expect(isConnectionError(error)).toBe(true)
  expect((await sql`SELECT 1 AS one`.execute(open.db)).rows).toEqual([{ one: 1 }])
  await open.close()
})

test('a statement that takes too long is ended and is no mistake of the caller', async () => {
  const open = await openDatabase({ url, dataDir: '' })
  const started = Date.now()
  const error = await refusal(sql`SELECT pg_sleep(30)`.execute(open.db))
  expect(isConnectionError(error)).toBe(true)
  expect(Date.now() - started).toBeLessThan(15_000)
  await open.close()
})

test('while the server is stopped calls are refused, and afterwards they work again', async () => {
  const cluster = await startCluster()
  const open = await openDatabase({ url: cluster.url, dataDir: '' })
  await cluster.halt()
  const error = await refusal(sql`SELECT 1`.execute(open.db))
  expect(isConnectionError(error)).toBe(true)
  await cluster.start()
  expect((await sql`SELECT 1 AS one`.execute(open.db)).rows).toEqual([{ one: 1 }])
  await open.close()
  await cluster.stop()
})
