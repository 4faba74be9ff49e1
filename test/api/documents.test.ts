import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { answerExamples, examples } from '../../src/openapi-examples.ts'
import { portrait } from '../face/portraits.ts'
import { apiPage, calls } from '../support/api-page.ts'
import { type TestApp, testApp } from '../support/app.ts'
import { addressOf, readDocument } from '../support/operations.ts'

let running: TestApp
let document: Record<string, unknown>
beforeAll(async () => {
  running = await testApp({ version: JSON.parse(readFileSync('package.json', 'utf8')).version })
  document = (await running.app.inject('/openapi.json')).json()
})
afterAll(() => running.close())

/** With UPDATE_DOCS=1 the file is written anew instead. */
function expectFile(path: string, content: string): void {
  if (process.env.UPDATE_DOCS === '1') writeFileSync(path, content)
  const same = readFileSync(path, 'utf8') === content
  expect(same, `${path} is out of date. Write it anew: UPDATE_DOCS=1 npm test -- test/api/documents`).toBe(
    true,
  )
}

test('docs/openapi.json is what the server says of itself', () => {
  expectFile('docs/openapi.json', `${JSON.stringify(document, null, 2)}\n`)
})

test('docs/API.md is made from it', () => {
  expectFile('docs/API.md', apiPage(document))
})

test('every operation has a tag, a summary, who may call it, and the statuses it may end with', async () => {
  const lacking: string[] = []
  const { paths } = document as { paths: Record<string, Record<string, Record<string, unknown>>> }
  for (const [path, item] of Object.entries(paths))
    for (const [method, { tags, summary, description, responses }] of Object.entries(item)) {
      const statuses = Object.keys(responses as object)
      const complete =
        (tags as string[] | undefined)?.length === 1 &&
        summary &&
        description &&
        statuses.some((status) => status.startsWith('2')) &&
        statuses.every((status) => /^[1-5][0-9][0-9]$/.test(status))
      if (!complete) lacking.push(`${method} ${path}`)
    }
  expect(lacking).toEqual([])
})

test('every body shows one that is taken, and there is no example of anything else', async () => {
  const { operations } = await readDocument(running.app)
  const withBody = operations.filter(({ body }) => body)
  expect(Object.keys(examples).sort()).toEqual(withBody.map(({ name }) => name).sort())
  const refused: string[] = []
  // After the times in them.
  running.clock.set('2025-03-04T01:00:00Z')
  for (const { name, method, path, body } of withBody.filter(
    ({ body }) => body?.type === 'application/json',
  )) {
    const url = addressOf(path, () => '1')
    const answer = await running.app.inject({ method, url, payload: examples[name]! })
    const code = answer.statusCode === 422 ? answer.json().fields : answer.statusCode
    if ([400, 415].includes(answer.statusCode) || Array.isArray(code))
      refused.push(`${name} ${JSON.stringify(body)}: ${answer.body}`)
  }
  expect(refused).toEqual([])
})

type Described = {
  operationId: string
  tags: string[]
  parameters?: { name: string; description?: string }[]
  responses: Record<
    string,
    { headers?: object; content?: Record<string, { schema: object; example?: unknown }> }
  >
}

/** Every operation as it is written, by its name. */
function described(): [string, Described][] {
  const { paths } = document as { paths: Record<string, Record<string, Described>> }
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]): [string, Described] => [
      `${method.toUpperCase()} ${path.replace(/(.)\/$/, '$1')}`,
      operation,
    ]),
  )
}

test('every operation has a name of its own, and every parameter says what it is', () => {
  const ids = described().map(([, { operationId }]) => operationId)
  expect(ids.filter((id) => !/^(get|post|put|patch|delete)([A-Z][A-Za-z]*)+$/.test(id))).toEqual([])
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids).toContain('getEmployeesEmployeeIdPhotosPhotoId')
  const silent = described().flatMap(([name, { parameters = [] }]) =>
    parameters.filter(({ description }) => !description).map((parameter) => `${name} ${parameter.name}`),
  )
  expect(silent).toEqual([])
})

test('every answer that is shown is one that its schema describes, and so is the refusal', () => {
  const { components } = document as { components: { schemas: object } }
  const shown = described().flatMap(([name, { responses }]) =>
    Object.entries(responses).flatMap(([status, { content = {} }]) =>
      Object.values(content)
        .filter(({ example }) => example !== undefined)
        .map(({ schema, example }) => ({ name, status, schema, example })),
    ),
  )
  expect(shown.filter(({ status }) => status === '422').length).toBeGreaterThan(80)
  const successes = shown.filter(({ status }) => status.startsWith('2'))
  expect(successes.map(({ name }) => name).sort()).toEqual(Object.keys(answerExamples).sort())
  expect(successes.length).toBeGreaterThanOrEqual(10)
  const faultsOf = (schema: object, example: unknown) => {
    const whole = JSON.stringify({ ...schema, $defs: components.schemas })
    const parsed = z
      .fromJSONSchema(JSON.parse(whole.replaceAll('#/components/schemas/', '#/$defs/')))
      .safeParse(example)
    return parsed.error?.message
  }
  for (const { name, status, schema, example } of shown)
    expect({ name, status, faults: faultsOf(schema, example) }).toEqual({ name, status, faults: undefined })
  for (const { name, schema, example } of successes) {
    const [first] = Object.keys([example].flat()[0] as object)
    const broken = JSON.parse(JSON.stringify(example).replace(`"${first}":`, '"other":'))
    expect({ name, faults: faultsOf(schema, broken) }).toEqual({ name, faults: expect.any(String) })
  }
})

test('the statuses and headers are those of the operation', () => {
  const operations = Object.fromEntries(described())
  const statusesOf = (name: string) => Object.keys(operations[name]!.responses).map(Number)
  expect(statusesOf('POST /api/v1/auth/login')).toEqual([200, 400, 401, 403, 413, 415, 422, 429, 500, 503])
  for (const [name, { parameters = [], tags, responses }] of described()) {
    const isList = parameters.some((parameter) => parameter.name === 'skip')
    const statuses = Object.keys(responses)
    if (isList && !name.includes('{') && !name.endsWith('/today')) expect(statuses).not.toContain('404')
    expect({ name, limited: statuses.includes('429') }).toEqual({
      name,
      limited: tags[0] !== 'Health' || name === 'GET /metrics',
    })
    const headers = Object.keys(responses['200']?.headers ?? {})
    if (isList) expect({ name, headers }).toEqual({ name, headers: ['X-Total-Count', 'Link'] })
    for (const status of ['429', '503'])
      if (tags[0] !== 'Health' && responses[status])
        expect(Object.keys(responses[status].headers ?? {})).toEqual(['Retry-After'])
  }
  for (const route of ['employees/{employee_id}/upload-photo', 'attendance/check'])
    expect(statusesOf(`POST /api/v1/${route}`)).toContain(507)
  expect((document.info as { description: string }).description).toMatch(/408.*431/s)
})

test('every parameter in a path is described as required, and every body has its schema', async () => {
  const { operations } = await readDocument(running.app)
  expect(operations.length).toBeGreaterThan(80)
  const lacking = operations.filter(({ pathNames, parameters, body }) => {
    const described = parameters.filter((parameter) => parameter.in === 'path' && parameter.required)
    return pathNames.length !== described.length || (body && Object.keys(body.schema).length === 0)
  })
  expect(lacking.map(({ name }) => name)).toEqual([])
})

describe('the calls that are shown work as they are written', () => {
  const credentials = { username: 'ann@example.com', password: 'correct horse battery' }
  let folder: string
  let company: TestApp
  let origin: string
  beforeAll(async () => {
    company = await testApp()
    // As they are in a new company.
    await company.db.updateTable('sites').set({ require_consent: true }).execute()
    const { username } = credentials
    const post = (path: string, payload: object) =>
      company.app.inject({ method: 'POST', url: `/api/v1/auth${path}`, payload })
    const invited = await post('/users', { username, name: 'Ann', role: 'owner' })
    const { token } = invited.json().link
    expect((await post('/reset', { token, password: credentials.password })).statusCode).toBe(200)
    origin = await company.app.listen({ host: '127.0.0.1', port: 0 })
  })
  beforeEach(async () => {
    await company.clear()
    folder = mkdtempSync(join(tmpdir(), 'rollcall-calls-'))
    for (const name of ['portrait.jpg', 'camera.jpg', 'a.jpg', 'face.jpg'])
      writeFileSync(join(folder, name), await portrait('blonde'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))
  afterAll(() => company.close())

  /** Runs a shell script, each curl of which fails where the answer is a refusal; resolves to what it printed. */
  async function run(script: string): Promise<string> {
    const strict =
      'set -e -o pipefail\ncurl() { command curl --silent --show-error --fail-with-body "$@"; echo; }\n'
    const asked = script.replaceAll('http://127.0.0.1:8000', origin)
    const shell = promisify(execFile)('bash', ['-c', strict + asked], { cwd: folder })
    return (await shell.catch(({ stdout, stderr }) => expect.fail(`${stdout}\n${stderr}`))).stdout
  }

  test('in README.md', async () => {
    const readme = readFileSync('README.md', 'utf8')
    const [, block = ''] = /```sh\n(api=[\s\S]*?)```/.exec(readme) ?? []
    const steps = block.replace('NAME', credentials.username).replace('PASSWORD', credentials.password)
    // What people copy out of one answer into the next call.
    const code = `CODE=$(sed -n 's/.*"code":"\\([^"]*\\)".*/\\1/p' answer)`
    const key = `KEY=$(sed -n 's/.*"device_key":"\\([^"]*\\)".*/\\1/p' answer)`
    const script = steps
      .replace(/^(curl.*KIOSK_001\/pair).*$/m, `$1 > answer\n${code.replaceAll('$', '$$$$')}`)
      .replace(/^(curl.*)"CODE"\}'.*$/m, `$1"'$CODE'"}' > answer\n${key.replaceAll('$', '$$$$')}`)
      .replace("'X-Device-Key: KEY'", '"X-Device-Key: $KEY"')
    const told = (await run(script)).trim().split('\n')
    expect(JSON.parse(told.at(-1)!)).toMatchObject([{ employee_id: 'EMP_001', device_id: 'KIOSK_001' }])
  }, 180_000)

  test('in docs/API.md', async () => {
    expect(calls).toHaveLength(10)
    company.clock.set('2025-03-04T01:00:00Z')
    const told = await run(calls.map(([, command]) => command).join('\n'))
    expect(told).toContain('idempotent-replayed: true')
    expect(told).toMatch(/x-total-count: 1/i)
    expect(existsSync(join(folder, 'staff.xlsx'))).toBe(true)
    expect(told).toContain('"status":"healthy"')
  }, 180_000)
})
