import fc, { type Arbitrary } from 'fast-check'
import type { InjectOptions } from 'fastify'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { scopes } from '../../src/access/permissions.ts'
import { enrol, form, kioskHeaders, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'
import { addressOf, type Document, type Json, type Operation, readDocument } from '../support/operations.ts'

/**
 * Cases over all operations, and what they are made from: others in each run, the same again with FUZZ_SEED. Where a
 * change is judged by the tests they are always the same: what fails there must be of the change.
 */
const runs = Number(process.env.FUZZ_RUNS ?? 10_000)
const seed = Number(process.env.FUZZ_SEED ?? (process.env.CI ? 1 : Math.floor(Math.random() * 2 ** 30)))

let running: TestApp
let document: Document
beforeAll(async () => {
  running = await testApp()
  document = await readDocument(running.app)
  for (const id of ['ANN', 'EMP_001']) await enrol(running, id)
  await registerKiosk(running, 'GATE')
  await watchWrites()
})
afterAll(() => running.close())

// ---------------------------------------------------------------- what is stored

/** What may well grow with refused calls: the throttle, the log of kiosks' requests, the answers to repeat to a kiosk. */
const counters = ['login_failures', 'network_logs', 'idempotency_keys']

/** Has the database itself note each row that is inserted, changed or deleted, unless it is rolled back. */
async function watchWrites(): Promise<void> {
  const { db } = running
  const tables = await sql<{ name: string }>`SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`.execute(db)
  await sql`CREATE TABLE writes (id integer GENERATED ALWAYS AS IDENTITY, what text)`.execute(db)
  await sql`CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO writes (what) VALUES (TG_OP || ' ' || TG_TABLE_NAME); RETURN NULL; END $$`.execute(db)
  for (const { name } of tables.rows)
    if (!counters.includes(name))
      await sql`CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON ${sql.table(name)}
        FOR EACH ROW EXECUTE FUNCTION note_write()`.execute(db)
}

async function takeWrites(): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`DELETE FROM writes RETURNING what`.execute(running.db)
  return rows.map(({ what }) => what)
}

// ---------------------------------------------------------------- values

const wildTexts = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  '\u202etxt',
  'ﷺ'.repeat(50),
  '👩‍👩‍👧‍👦',
  'Nguyễn Văn A',
  'Nguyễn'.normalize('NFD'),
  '../../etc/passwd',
  '%00',
  "'; DROP TABLE employees; --",
  '=HYPERLINK("http://x")',
  '__proto__',
  'constructor',
  'null',
  '-1',
  '1e309',
  '99999999999999999999',
  '0x10',
  'a'.repeat(5000),
  '2025-02-30T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '+275760-09-13T00:00:00Z',
  '0000-01-01T00:00:00+14:00',
  '2025-03-03T08:00:00+07:00',
]
/** What is there, or looks as if it were. */
const likelyTexts = [
  'ANN',
  'EMP_001',
  'GATE',
  'FUZZ',
  'IN',
  'OUT',
  'AUTO',
  'IT',
  'reload',
  'true',
  '1',
  '2',
  'owner',
]

const wildText = fc.oneof(
  fc.constantFrom(...wildTexts),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(...likelyTexts),
)
const wildNumber = fc.constantFrom(0, -1, 1, 1.5, 2 ** 31 - 1, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308)
const wild: Arbitrary<unknown> = fc.oneof(
  wildText,
  wildNumber,
  fc.constantFrom(null, true, false, [], {}, [null], [[]], { a: { b: {} } }),
  fc.jsonValue({ maxDepth: 3 }),
)

/** Values that a schema describes, more or less: each part is a wild one now and then. */
function likely(schema: Json, depth = 0): Arbitrary<unknown> {
  const fitting = fittingValue(resolve(schema), depth)
  return fc.oneof({ weight: 12, arbitrary: fitting }, { weight: 1, arbitrary: wild })
}

function resolve(schema: Json): Json {
  const name = /^#\/components\/schemas\/(.+)$/.exec(String(schema.$ref))?.[1]
  return name ? resolve(document.schemas[name]!) : schema
}

function fittingValue(schema: Json, depth: number): Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum)
  const choices = (schema.anyOf ?? schema.oneOf ?? schema.allOf) as Json[] | undefined
  if (choices) return fc.oneof(...choices.map((choice) => likely(choice, depth + 1)))
  if (depth > 5) return wild
  switch (schema.type) {
    case 'string':
      return textOf(schema)
    case 'integer':
    case 'number':
      return fc.oneof(
        fc.integer({
          min: Math.max(Number(schema.minimum ?? 0), -1e6),
          max: Math.min(Number(schema.maximum ?? 1000), 1e6),
        }),
        fc.constantFrom(schema.minimum ?? 0, schema.maximum ?? 1),
      )
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'array':
      return fc.array(likely((schema.items ?? {}) as Json, depth + 1), { maxLength: 4 })
    case 'object':
      return objectOf(schema, depth)
    default:
      return wild
  }
}

function textOf(schema: Json): Arbitrary<string> {
  if (schema.format === 'date-time')
    return fc
      .date({ min: new Date('2024-01-01'), max: new Date('2026-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString())
  if (schema.format === 'uuid') return fc.uuid()
  const max = Math.min(Number(schema.maxLength ?? 20), 60)
  return fc.oneof(fc.constantFrom(...likelyTexts), fc.string({ unit: 'grapheme', maxLength: max }), wildText)
}

function objectOf(schema: Json, depth: number): Arbitrary<unknown> {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, Json>)
  const fields = Object.fromEntries(properties.map(([name, each]) => [name, likely(each, depth + 1)]))
  const required = ((schema.required ?? []) as string[]).filter((name) => name in fields)
  const known = fc.record(fields, { requiredKeys: required })
  if (properties.length === 0)
    return fc.dictionary(fc.oneof(fc.string({ maxLength: 10 }), wildText), wild, { maxKeys: 4 })
  return fc.oneof(
    { weight: 6, arbitrary: known },
    { weight: 1, arbitrary: fc.record(fields, { requiredKeys: [] }) },
    { weight: 1, arbitrary: known.map((value) => ({ ...value, unknown: 'field', __proto__: null })) },
  )
}

// ---------------------------------------------------------------- requests

/** The owner must stay who they are, or everything after is refused for that alone. */
const likelyIds: Record<string, string[]> = {
  id: ['2', '3', '999'],
  employee_id: ['ANN', 'EMP_001', 'NOBODY'],
  device_id: ['GATE', '1', 'NOWHERE'],
  site_id: ['1', '2', '99'],
}

function requestOf(operation: Operation): Arbitrary<InjectOptions> {
  const inPath = operation.pathNames.map((name) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...(likelyIds[name] ?? ['1', '2', 'x'])) },
      { weight: 1, arbitrary: wildText.filter((text) => !['', '1', '.', '..'].includes(text.trim())) },
    ),
  )
  const inQuery = operation.parameters.filter((parameter) => parameter.in === 'query')
  const inHeaders = operation.parameters.filter((parameter) => parameter.in === 'header')
  const fields = (parameters: Operation['parameters'], value: (schema: Json) => Arbitrary<unknown>) =>
    fc.record(Object.fromEntries(parameters.map(({ name, schema }) => [name, value(schema)])), {
      requiredKeys: [],
    })
  return fc
    .record({
      path: fc.tuple(...inPath),
      query: fields(inQuery, likely),
      headers: fields(inHeaders, () => fc.stringMatching(/^[\x20-\x7e]{0,30}$/)),
      body: operation.body ? bodyOf(operation.body) : fc.constant(undefined),
    })
    .map(({ path, query, headers, body }) => {
      const values = Object.fromEntries(operation.pathNames.map((name, index) => [name, path[index]]))
      const url = addressOf(operation.path, (name) => encoded(String(values[name])))
      return {
        method: operation.method,
        url: `${url}?${new URLSearchParams(asTexts(query as Json))}`,
        headers: headers as Record<string, string>,
        ...(body === undefined ? {} : (body as object)),
      }
    })
}

/** As a client's own encoding makes it: what is no valid text becomes a replacement character. */
const wellFormed = (text: string) => Buffer.from(text).toString()
const asText = (value: unknown) => wellFormed(typeof value === 'string' ? value : JSON.stringify(value))
const asTexts = (values: Json) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, asText(value)]))
const encoded = (text: string) => encodeURIComponent(wellFormed(text))

function bodyOf({ type, schema }: { type: string; schema: Json }): Arbitrary<Partial<InjectOptions>> {
  if (type !== 'multipart/form-data') {
    const json = fc.oneof(
      { weight: 10, arbitrary: likely(schema).map((value) => JSON.stringify(value)) },
      { weight: 1, arbitrary: fc.constantFrom('', '{', '[]', 'null', '"', '{"a":1,"a":2}', '\0', '1e999') },
    )
    return json.map((payload) => ({ payload, headers: { 'content-type': 'application/json' } }))
  }
  const properties = Object.entries((resolve(schema).properties ?? {}) as Record<string, Json>)
  const parts = Object.fromEntries(properties.map(([name, each]) => [name, partOf(resolve(each))]))
  return fc.record(parts, { requiredKeys: [] }).map((given) => ({
    payload: form(given as Record<string, string | Uint8Array>),
  }))
}

/** Few real pictures: what the networks make of them is tested elsewhere, and they take their time. */
const files = [
  Buffer.from('no picture at all'),
  Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 74, 70, 73, 70, 0]),
  Buffer.from('89504e470d0a1a0a0000000d49484452ffffffffffffffff0806000000', 'hex'),
  Buffer.from('RIFF\0\0\0\0WEBPVP8 '),
  Buffer.from('PK\x03\x04 no real spreadsheet'),
  Buffer.from('employee_id,name\nFZ_1,=1+1\nFZ_2,\0\n"'),
  Buffer.from('name\nFuzz\n'),
  Buffer.alloc(0),
]

function partOf(schema: Json): Arbitrary<unknown> {
  const file = fc.oneof(
    fc.constantFrom(...files),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  )
  const isFile = JSON.stringify(schema).includes('"binary"') || schema.type === 'array'
  const fitting: Arbitrary<unknown> = isFile ? file : likely(schema).map(asText)
  const other: Arbitrary<unknown> = isFile ? wildText : file
  return fc.oneof({ weight: 9, arbitrary: fitting }, { weight: 1, arbitrary: other })
}

// ---------------------------------------------------------------- the run

test('whatever is sent, nothing breaks, and what is refused leaves nothing behind', async () => {
  // A stream of events has no end, and so no answer to look at.
  const operations = document.operations.filter(({ name }) => !name.endsWith('/stream'))
  const each = Math.max(1, Math.ceil(runs / operations.length))
  const wrong = new Map<string, string>()
  const note = (what: string, request: InjectOptions) =>
    wrong.set(what, wrong.get(what) ?? JSON.stringify(request).slice(0, 500))
  const seen = new Map<number, number>()
  console.log(`${runs} made-up requests of FUZZ_SEED=${seed}`)
  let cases = 0
  for (const [index, operation] of operations.entries()) {
    let callers = await callersOf(operation)
    await takeWrites()
    for (const request of fc.sample(requestOf(operation), { numRuns: each, seed: seed + index })) {
      const caller = callers[cases++ % callers.length]!
      const answer = await running.app.inject({ ...request, headers: { ...request.headers, ...caller } })
      const { statusCode } = answer
      // Whom the guard keeps out has no more to try here; the others do.
      if (callers.length > 1 && answer.body.includes('This needs the permission'))
        callers = callers.filter((other) => other !== caller)
      seen.set(Math.floor(statusCode / 100), (seen.get(Math.floor(statusCode / 100)) ?? 0) + 1)
      const told = `${operation.name}: ${statusCode}`
      // A server that is not ready says so with 503; here it is.
      if (statusCode >= 500) note(told, request)
      if (!operation.statuses.includes(statusCode) && !isOtherRoute(operation, answer.body))
        note(`${told} is not in the document`, request)
      if (statusCode < 400) {
        await takeWrites()
        continue
      }
      const problem = answer.json()
      if (problem.success !== false || !problem.code || problem.error !== problem.message)
        note(`${told} is no Problem`, request)
      const writes = await takeWrites()
      if (writes.length > 0) note(`${told} ${problem.code} wrote ${[...new Set(writes)]}`, request)
    }
  }
  expect(Object.fromEntries(wrong), `with FUZZ_SEED=${seed}`).toEqual({})
  expect(cases).toBeGreaterThanOrEqual(runs)
  // It is worth nothing if everything is refused at the door.
  expect(seen.get(2)).toBeGreaterThan(operations.length)
  expect(seen.get(4)).toBeGreaterThan(operations.length)
}, 600_000)

/**
 * Who calls, in turns: the owner, and an hr, a manager and a program who are new each time, because the requests may
 * remove users and keys. Where only a kiosk may call it is FUZZ, who may have been deleted meanwhile.
 */
async function callersOf({ name, schemes }: Operation): Promise<Record<string, string>[]> {
  // Somebody who is not needed afterwards.
  if (name.endsWith('/logout')) return [await signIn(running.db, 'viewer')]
  if (schemes.length === 0) return [{}]
  if (schemes.includes('bearer')) {
    const people = [await signIn(running.db, 'hr'), await signIn(running.db, 'manager', ['IT'])]
    return [{}, ...people, ...(schemes.includes('apiKey') ? [await newKey()] : [])]
  }
  await running.app.inject({
    method: 'POST',
    url: '/api/v1/devices/register',
    payload: { device_id: 'FUZZ' },
  })
  return [await kioskHeaders(running, 'FUZZ')]
}

async function newKey(): Promise<Record<string, string>> {
  const payload = { name: 'Fuzz', scopes }
  const made = await running.app.inject({ method: 'POST', url: '/api/v1/auth/api-keys', payload })
  const headers = { 'x-api-key': made.json().key }
  // That it was used is noted once, and is nothing that a refused request left.
  const used = await running.app.inject({ url: '/api/v1/sites', headers })
  expect(used.statusCode).toBe(200)
  return headers
}

/** A wild id may make the address that of another route or of none: an empty one, say. */
function isOtherRoute(operation: Operation, body: string): boolean {
  return operation.pathNames.length > 0 && body.includes('"code":"not_found"')
}
