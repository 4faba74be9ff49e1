import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { codeOf, isConnectionError } from '../../src/database/errors.ts'
import { type TestDatabase, testDatabase } from '../support/database.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await testDatabase()
})
afterAll(() => database.close())

const withCode = (code: string) => Object.assign(new Error('x'), { code })

test.each([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  '08006',
  '53100',
  '53300',
  '57P01',
  '57P03',
  '57014',
  '58030',
])('%s means that the database cannot serve now', (code) => {
  expect(isConnectionError(withCode(code))).toBe(true)
})

test.each(['23505', '23503', '42601', '22P02', 'P0001', 'ENOENT'])(
  '%s is a mistake and no outage',
  (code) => {
    expect(isConnectionError(withCode(code))).toBe(false)
  },
)

test.each([
  'timeout exceeded when trying to connect',
  'Connection terminated unexpectedly',
  'Connection terminated due to connection timeout',
  'Client has encountered a connection error and is not queryable',
  'driver has already been destroyed',
])('"%s" means that the database cannot serve now', (message) => {
  expect(isConnectionError(new Error(message))).toBe(true)
})

test('an outage is recognised inside the error that wraps it', () => {
  expect(isConnectionError(new Error('while checking in', { cause: withCode('57P01') }))).toBe(true)
})

test('what is no error is no outage', () => {
  expect([undefined, null, 'ECONNREFUSED', { code: 'ECONNREFUSED' }].map(isConnectionError)).toEqual(
    Array(4).fill(false),
  )
})

test('neither a taken key nor wrong SQL is an outage', async () => {
  const add = () => database.db.insertInto('devices').values({ device_id: 'gate', name: 'Gate' }).execute()
  await add()
  const refusals = [add(), sql`SELEC 1`.execute(database.db)].map((work) => work.catch((error) => error))
  const [taken, wrong] = await Promise.all(refusals)
  expect([codeOf(taken), codeOf(wrong)]).toEqual(['23505', '42601'])
  expect([taken, wrong].map(isConnectionError)).toEqual([false, false])
})

test('the session runs in UTC', async () => {
  const answer = await sql<{ TimeZone: string }>`SHOW timezone`.execute(database.db)
  expect(answer.rows[0]?.TimeZone).toBe('UTC')
})
