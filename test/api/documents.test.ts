import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { examples } from '../../src/openapi-examples.ts'
import { apiPage } from '../support/api-page.ts'
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

test('every parameter in a path is described as required, and every body has its schema', async () => {
  const { operations } = await readDocument(running.app)
  expect(operations.length).toBeGreaterThan(80)
  const lacking = operations.filter(({ pathNames, parameters, body }) => {
    const described = parameters.filter((parameter) => parameter.in === 'path' && parameter.required)
    return pathNames.length !== described.length || (body && Object.keys(body.schema).length === 0)
  })
  expect(lacking.map(({ name }) => name)).toEqual([])
})
