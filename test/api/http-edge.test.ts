import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { InjectOptions } from 'fastify'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Tables } from '../../src/database/tables.ts'
import { AppError } from '../../src/shared/errors.ts'
import { multipart, problems, text, uploadedFile } from '../../src/shared/http.ts'
import { kioskHeaders, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

const maxFileBytes = 200_000
const logged: Record<string, unknown>[] = []
const unhandled: unknown[] = []
const noteUnhandled = (reason: unknown) => void unhandled.push(reason)
let running: TestApp
let origin: string
let owner: { authorization: string }

beforeAll(async () => {
  process.on('unhandledRejection', noteUnhandled)
  const log = pino({ level: 'info' }, { write: (line) => void logged.push(JSON.parse(line)) })
  running = await testApp({ log }, { MAX_UPLOAD_SIZE: String(maxFileBytes) })
  addTestRoutes(running)
  owner = await signIn(running.db, 'owner')
  await running.app.listen({ host: '127.0.0.1', port: 0 })
  origin = `http://127.0.0.1:${port()}`
})
afterEach(() => expect(unhandled).toEqual([]))
afterAll(async () => {
  await running.close()
  process.off('unhandledRejection', noteUnhandled)
})

const port = () => (running.app.server.address() as AddressInfo).port

function addTestRoutes({ app }: TestApp): void {
  const open = { access: 'public' } as const
  const picture = z.object({ image: uploadedFile, device_id: text(64) })
  app.post(
    '/picture/:name',
    {
      config: open,
      schema: {
        consumes: multipart,
        params: z.object({ name: text(64) }),
        body: picture,
        response: { 200: z.looseObject({}), ...problems },
      },
    },
    async ({ body: { image, device_id } }) => ({
      bytes: image.buffer.length,
      filename: image.filename,
      device_id,
    }),
  )
  app.get('/fault', { config: open }, async () => {
    throw Object.assign(new Error('SELECT secret FROM /etc/passwd'), { detail: 'Key (email)=(a@b) exists' })
  })
  app.get(
    '/wrong-answer',
    { config: open, schema: { response: { 200: z.object({ n: z.number() }) } } },
    async () => {
      return { n: 'secret' } as unknown as { n: number }
    },
  )
  app.get('/busy', { config: open }, async () => {
    throw new AppError('overloaded', 'Too many at once.', { retry_after_seconds: 2 })
  })
}

function form(...parts: [name: string, value: string | Blob, filename?: string][]): FormData {
  const data = new FormData()
  for (const [name, value, filename] of parts) {
    if (typeof value === 'string') data.append(name, value)
    else data.append(name, value, filename)
  }
  return data
}

const file = (bytes: number, type = 'image/jpeg') => new Blob([Buffer.alloc(bytes, 1)], { type })
const send = (body: FormData | string | Buffer, headers: Record<string, string> = {}, path = '/picture/x') =>
  fetch(origin + path, { method: 'POST', body, headers: { ...owner, ...headers } })

/** A multipart body written by hand, for what no honest client sends. */
function rawForm(...lines: string[]): [Buffer, Record<string, string>] {
  return [Buffer.from(lines.join('\r\n'), 'latin1'), { 'content-type': 'multipart/form-data; boundary=edge' }]
}

async function expectProblem(answer: Response, status: number, code: string): Promise<string> {
  const body = (await answer.json()) as Record<string, string>
  expect({ status: answer.status, code: body.code }).toEqual({ status, code })
  expect(body).toMatchObject({ success: false, error: body.message, detail: body.message })
  expect(body.request_id).toBe(answer.headers.get('x-request-id'))
  return body.message!
}

describe('uploads', () => {
  test('arrive as a file with its fields', async () => {
    const answer = await send(form(['image', file(1000), 'a b.jpg'], ['device_id', ' K1 ']))
    expect(await answer.json()).toEqual({
      bytes: 1000,
      filename: 'a b.jpg',
      device_id: 'K1',
    })
  })

  test('a file of exactly the limit passes, one byte more is 413', async () => {
    const withBytes = (bytes: number) => send(form(['image', file(bytes), 'x'], ['device_id', 'K1']))
    expect((await withBytes(maxFileBytes)).status).toBe(200)
    await expectProblem(await withBytes(maxFileBytes + 1), 413, 'upload_too_large')
  })

  test.each<[string, FormData, number, string]>([
    ['a file as a plain field', form(['image', 'hello'], ['device_id', 'K']), 422, 'image: must be a file'],
    ['no file', form(['device_id', 'K']), 422, 'image: must be a file'],
    ['an empty file', form(['image', file(0), 'x'], ['device_id', 'K']), 422, 'image: is an empty file'],
    ['no field', form(['image', file(5), 'x']), 422, 'device_id: is required'],
    ['a field as a file', form(['image', file(5), 'x'], ['device_id', file(5), 'x']), 422, 'device_id:'],
    [
      'a repeated field',
      form(['image', file(5), 'x'], ['device_id', 'a'], ['device_id', 'b']),
      422,
      'device_id:',
    ],
    [
      'a repeated file',
      form(['image', file(5), 'x'], ['image', file(5), 'y'], ['device_id', 'a']),
      422,
      'image: must be sent once: exactly one file is taken.',
    ],
    [
      'a long field',
      form(['image', file(5), 'x'], ['device_id', 'a'.repeat(20_000)]),
      422,
      'device_id: is too long',
    ],
    [
      'thirteen files',
      form(...Array.from({ length: 13 }, () => ['image', file(5), 'x'] as [string, Blob, string])),
      413,
      'too many',
    ],
    [
      'many fields',
      form(...Array.from({ length: 25 }, (_, i) => [`f${i}`, 'x'] as [string, string])),
      413,
      'too many',
    ],
    [
      'a field named __proto__',
      form(['__proto__', 'x'], ['image', file(5), 'x'], ['device_id', 'K']),
      422,
      'not allowed',
    ],
    [
      'a file named __proto__',
      form(['__proto__', file(100_000), 'x'], ['image', file(5), 'x']),
      422,
      'not allowed',
    ],
    ['a field named constructor', form(['constructor', 'x'], ['image', file(5), 'x']), 422, 'not allowed'],
  ])('%s is refused', async (_what, body, status, sentence) => {
    const code = status === 413 ? 'upload_too_large' : 'invalid_request'
    expect(await expectProblem(await send(body), status, code)).toContain(sentence)
  })

  test.each<[string, [string | Buffer, Record<string, string>], number]>([
    ['without a boundary', ['x', { 'content-type': 'multipart/form-data' }], 400],
    ['that is no form', ['x', { 'content-type': 'multipart/form-data; boundary=edge' }], 400],
    ['that is empty', ['', { 'content-type': 'multipart/form-data; boundary=edge' }], 422],
    [
      'with a nameless field',
      rawForm('--edge', 'Content-Disposition: form-data', '', 'x', '--edge--', ''),
      422,
    ],
    [
      'with a nameless file',
      rawForm('--edge', 'Content-Disposition: form-data; filename="x"', '', 'x', '--edge--', ''),
      422,
    ],
    ['without any part header', rawForm('--edge', '', 'x', '--edge--', ''), 422],
    [
      'cut off in a file',
      rawForm('--edge', 'Content-Disposition: form-data; name="image"; filename="x"', '', 'xxx'),
      400,
    ],
    [
      'cut off in a field',
      rawForm('--edge', 'Content-Disposition: form-data; name="device_id"', '', 'xxx'),
      400,
    ],
    [
      'with broken JSON in a field',
      rawForm(
        '--edge',
        'Content-Disposition: form-data; name="device_id"',
        'Content-Type: application/json',
        '',
        '{',
        '--edge--',
        '',
      ),
      400,
    ],
    [
      'with JSON that plays a file',
      rawForm(
        '--edge',
        'Content-Disposition: form-data; name="image"',
        'Content-Type: application/json',
        '',
        '{"buffer":{"type":"Buffer","data":[1]}}',
        '--edge--',
        '',
      ),
      422,
    ],
  ])('a form %s is refused', async (_what, [body, headers], status) => {
    const code = status === 400 ? 'malformed_request' : 'invalid_request'
    await expectProblem(await send(body, headers), status, code)
  })

  test('a part without a type, and with control characters in its file name, is cleaned', async () => {
    const answer = await send(
      ...rawForm(
        '--edge',
        'Content-Disposition: form-data; name="image"; filename="../../a\u0000\u0007b.jpg"',
        '',
        'xx',
        '--edge',
        'Content-Disposition: form-data; name="device_id"',
        '',
        'K1',
        '--edge--',
        '',
      ),
    )
    expect(await answer.json()).toEqual({
      bytes: 2,
      filename: 'ab.jpg',
      device_id: 'K1',
    })
  })

  test('files and JSON are not mistaken for each other', async () => {
    const json = { 'content-type': 'application/json' }
    await expectProblem(await send('{}', json), 415, 'unsupported_media_type')
    await expectProblem(
      await send(form(['name', 'A']), {}, '/api/v1/employees'),
      415,
      'unsupported_media_type',
    )
    await expectProblem(await send('x', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type')
  })
})

describe('uploads over a bare socket', () => {
  const head = (more: string) =>
    `POST /picture/x HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=edge\r\n${more}\r\n\r\n`
  const fileStart = '--edge\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'

  test('a body announced as too large is refused before it is sent', async () => {
    const socket = connect(port(), '127.0.0.1')
    socket.write(head('Content-Length: 30000000'))
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /)
    socket.destroy()
  })

  test('a body without an announced length is refused while it arrives, and the connection stays usable', async () => {
    const socket = connect(port(), '127.0.0.1')
    const received = collect(socket)
    const piece = Buffer.alloc(65_536, 97)
    const chunk = (data: Buffer | string) =>
      socket.write(
        Buffer.concat([
          Buffer.from(`${Buffer.byteLength(data).toString(16)}\r\n`),
          Buffer.from(data),
          Buffer.from('\r\n'),
        ]),
      )
    socket.write(head('Transfer-Encoding: chunked'))
    chunk(fileStart)
    for (let i = 0; i < 10; i++) chunk(piece)
    await received.until('upload_too_large')
    for (let i = 0; i < 300; i++) if (!chunk(piece)) await once(socket, 'drain')
    socket.write('0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n')
    await received.until('alive')
    socket.destroy()
  })

  test('a client that vanishes in the middle leaves nothing behind', async () => {
    const before = logged.length
    const socket = connect(port(), '127.0.0.1')
    socket.write(`${head('Content-Length: 5000')}${fileStart}aaaa`)
    await new Promise((resolve) => setTimeout(resolve, 100))
    socket.destroy()
    await expect.poll(() => logged.length).toBeGreaterThan(before)
    const lines = logged.slice(before)
    expect(lines.filter(({ level }) => Number(level) >= 50)).toEqual([])
    expect((await fetch(`${origin}/health/live`)).status).toBe(200)
  })

  test('a slow sender is not waited for without end', () => {
    expect(running.app.server.requestTimeout).toBeGreaterThan(0)
    expect(running.app.server.requestTimeout).toBeLessThanOrEqual(120_000)
    expect(running.app.server.headersTimeout).toBeGreaterThan(0)
  })

  test.each([
    ['no HTTP at all', 'HELLO\r\n\r\n', '400', 'malformed_request'],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
      '431',
      'headers_too_large',
    ],
  ])('%s is answered as a problem', async (_what, bytes, status, code) => {
    const socket = connect(port(), '127.0.0.1')
    const received = collect(socket)
    socket.write(bytes)
    expect(await received.until(code)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })
})

/** What a socket received so far; `until` waits for a text in it. */
function collect(socket: Socket): { until(wanted: string): Promise<string> } {
  let received = ''
  socket.on('data', (data) => {
    received += String(data)
  })
  return {
    until: async (wanted) => {
      await expect.poll(() => received, { timeout: 10_000 }).toContain(wanted)
      return received
    },
  }
}

describe('errors', () => {
  const post = (
    body: string | undefined,
    headers: Record<string, string> = { 'content-type': 'application/json' },
  ) =>
    fetch(`${origin}/api/v1/employees`, {
      method: 'POST',
      headers: { ...owner, ...headers },
      ...(body === undefined ? {} : { body }),
    })

  test.each<[string, string | undefined, number, string]>([
    ['broken JSON', '{bad', 400, 'malformed_request'],
    ['JSON that poisons a prototype', '{"name":"x","__proto__":{"a":1}}', 400, 'malformed_request'],
    ['an empty body', '', 422, 'invalid_request'],
    ['null', 'null', 422, 'invalid_request'],
    ['a number', '5', 422, 'invalid_request'],
    ['a body of a megabyte', JSON.stringify({ name: 'a'.repeat(1_000_000) }), 413, 'upload_too_large'],
    ['nesting without end', '['.repeat(50_000), 400, 'malformed_request'],
  ])('%s is refused', async (_what, body, status, code) => {
    await expectProblem(await post(body), status, code)
  })

  test('a DELETE that calls its missing body JSON is no less a DELETE', async () => {
    const headers = { ...owner, 'content-type': 'application/json' }
    const answer = await fetch(`${origin}/api/v1/employees/NOBODY`, { method: 'DELETE', headers })
    await expectProblem(answer, 404, 'employee_not_found')
  })

  test('a missing body is refused', async () => {
    await expectProblem(await post(undefined, {}), 422, 'invalid_request')
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'json',
    '',
  ])(
    'a body of the type "%s" where JSON is wanted is refused, in a sentence that names JSON',
    async (type) => {
      // From bytes fetch guesses no type of its own.
      const body = new TextEncoder().encode('{"name":"A"}')
      const headers: Record<string, string> = type === '' ? owner : { ...owner, 'content-type': type }
      const answer = await fetch(`${origin}/api/v1/employees`, { method: 'POST', headers, body })
      expect(await expectProblem(answer, 415, 'unsupported_media_type')).toContain('application/json')
    },
  )

  test('an unknown route is 404, whatever is sent to it', async () => {
    await expectProblem(await fetch(`${origin}/nowhere`), 404, 'not_found')
    await expectProblem(
      await send('{bad', { 'content-type': 'application/json' }, '/nowhere'),
      404,
      'not_found',
    )
    await expectProblem(await send(form(['image', file(5), 'x']), {}, '/nowhere'), 404, 'not_found')
    await expectProblem(await fetch(`${origin}/api/v1/employees`, { method: 'DELETE' }), 404, 'not_found')
  })

  test('a path that cannot be decoded is answered and logged like any other', async () => {
    const before = logged.length
    await expectProblem(await fetch(`${origin}/api/v1/employees/%ff`), 400, 'malformed_request')
    expect(logged.slice(before)).toEqual([expect.objectContaining({ route: 'unknown', status: 400 })])
  })

  test.each(['/fault', '/wrong-answer'])(
    '%s is a plain 500 whose reason stands only in the log',
    async (path) => {
      const before = logged.length
      const answer = await fetch(origin + path)
      const body = await answer.clone().text()
      await expectProblem(answer, 500, 'internal')
      expect(body).not.toMatch(/secret|SELECT|passwd|zod|schema|\.ts/i)
      const fault = logged.slice(before).find(({ level }) => level === 50)
      expect(fault).toMatchObject({ code: 'internal', request_id: answer.headers.get('x-request-id') })
      expect((fault!.error as { stack: string }).stack).toContain('at ')
      expect(JSON.stringify(fault)).not.toContain('a@b')
    },
  )

  test('overload tells when to come back', async () => {
    const answer = await fetch(`${origin}/busy`)
    await expectProblem(answer, 503, 'overloaded')
    expect(answer.headers.get('retry-after')).toBe('2')
  })

  test('a request is logged once, with the pattern of its route and nothing of its address', async () => {
    const before = logged.length
    await running.app.inject('/api/v1/employees/somebody?search=secret')
    const lines = logged.slice(before)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      method: 'GET',
      route: '/api/v1/employees/:employee_id',
      status: 404,
      ms: expect.any(Number),
      request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    expect(JSON.stringify(lines)).not.toMatch(/somebody|secret/)
  })
})

describe('how often one may ask', () => {
  let limited: TestApp
  beforeAll(async () => {
    limited = await testApp({}, { RATE_LIMIT: '20', TRUST_PROXY: '127.0.0.1' })
    await registerKiosk(limited, 'GATE')
  })
  afterAll(() => limited.close())

  /** The statuses of so many requests, from an address of its own. */
  async function statusesOf(count: number, request: Omit<InjectOptions, 'remoteAddress'>, from: string) {
    const statuses: number[] = []
    for (let i = 0; i < count; i++) {
      const answer = await limited.app.inject({ ...request, remoteAddress: from })
      statuses.push(answer.statusCode)
    }
    return statuses
  }
  const nobody = { authorization: '' }
  let addresses = 0

  test.each<[string, Omit<InjectOptions, 'remoteAddress'>, number]>([
    ['without signing in', { url: '/api/v1/employees', headers: nobody }, 401],
    ['with wrong tokens', { url: '/api/v1/employees', headers: { authorization: 'Bearer a.b.c' } }, 401],
    ['with wrong keys', { url: '/api/v1/employees', headers: { 'x-api-key': 'guess' } }, 401],
    ['of routes that are not there', { url: '/wp-login.php', headers: nobody }, 404],
    [
      'of routes that are not there, with a key',
      { url: '/wp-admin', headers: { 'x-api-key': 'guess' } },
      404,
    ],
    ['of a public route', { url: '/api/v1/auth/setup', headers: nobody }, 200],
    [
      'of a public route, with a key that nobody looks at',
      { url: '/api/v1/auth/setup', headers: { 'x-api-key': 'guess' } },
      200,
    ],
    ['to renew no session', { method: 'POST', url: '/api/v1/auth/refresh', headers: nobody }, 401],
    ['of the documentation', { url: '/openapi.json', headers: nobody }, 200],
  ])('an address is stopped that sends too many requests %s', async (_what, request, status) => {
    const from = `10.0.0.${++addresses}`
    const statuses = await statusesOf(22, request, from)
    expect(statuses.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => status))
    expect(statuses.slice(20)).toEqual([429, 429])
    const refused = await limited.app.inject({ url: '/openapi.json', headers: nobody, remoteAddress: from })
    expect(refused.json()).toMatchObject({ success: false, code: 'too_many_requests' })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    // Others do not suffer for it.
    expect(await statusesOf(1, request, `10.9.0.${addresses}`)).toEqual([status])
  })

  test('who has no key uses up nothing of what those with one may ask from the same address', async () => {
    const from = '10.3.0.1'
    await statusesOf(30, { url: '/api/v1/nothing', headers: nobody }, from)
    const headers = await signIn(limited.db, 'viewer')
    expect(await statusesOf(1, { url: '/api/v1/employees', headers }, from)).toEqual([200])
  })

  test('wrong keys of an address keep nobody out whose key, token or session is good', async () => {
    const from = '10.7.0.1'
    await registerKiosk(limited, 'BEHIND_NAT')
    const kiosk = await kioskHeaders(limited, 'BEHIND_NAT')
    const viewer = await signIn(limited.db, 'viewer')
    const program = await limited.app.inject({
      method: 'POST',
      url: '/api/v1/auth/api-keys',
      payload: { name: 'Payroll', scopes: ['employees:read'] },
    })
    for (const header of ['x-api-key', 'x-device-key', 'authorization']) {
      const headers = { [header]: header === 'authorization' ? 'Bearer a.b.c' : 'rollcall_wrong' }
      expect((await statusesOf(30, { url: '/api/v1/employees', headers }, from)).at(-1)).toBe(429)
    }
    await statusesOf(30, { url: '/wp-login.php', headers: nobody }, from)

    const beat = { method: 'POST', url: '/api/v1/devices/heartbeat', headers: kiosk } as const
    expect(await statusesOf(3, { ...beat, payload: { device_id: 'BEHIND_NAT' } }, from)).toEqual([
      200, 200, 200,
    ])
    for (const headers of [viewer, { 'x-api-key': program.json().key }])
      expect(await statusesOf(3, { url: '/api/v1/employees', headers }, from)).toEqual([200, 200, 200])
    // Wrong ones are still refused: what passed has given nobody else more guesses.
    const guess = { url: '/api/v1/employees', headers: { 'x-api-key': 'rollcall_wrong' } }
    expect(await statusesOf(1, guess, from)).toEqual([429])
  })

  test('who has to renew a token is told so, and can, whatever others of the address send', async () => {
    const from = '10.7.0.2'
    const { user, link } = await limited.app
      .inject({ method: 'POST', url: '/api/v1/auth/users', payload: { username: 'ann', role: 'viewer' } })
      .then((answer) => answer.json())
    const password = 'a long and quiet river'
    const post = (url: string, payload?: object, headers: Record<string, string> = {}) =>
      limited.app.inject({
        method: 'POST',
        url: `/api/v1/auth/${url}`,
        headers: { ...nobody, ...headers },
        remoteAddress: from,
        ...(payload && { payload }),
      })
    await post('reset', { token: link.token, password })
    const signedIn = await post('login', { username: user.username, password })
    const cookie = String(signedIn.headers['set-cookie']).split(';')[0]!
    limited.clock.advance(60 * 60 * 1000)
    const guess = { url: '/api/v1/employees', headers: { 'x-api-key': 'guess' } }
    expect((await statusesOf(30, guess, from)).at(-1)).toBe(429)

    const headers = { authorization: `Bearer ${signedIn.json().access_token}` }
    expect(await statusesOf(3, { url: '/api/v1/employees', headers }, from)).toEqual([401, 401, 401])
    expect((await post('refresh', undefined, { cookie: 'rollcall_refresh=guess' })).statusCode).toBe(429)
    expect((await post('refresh', undefined, { cookie })).statusCode).toBe(200)
  })

  test('whoever has signed in is counted as themselves, whatever their address', async () => {
    const [ann, binh] = [await signIn(limited.db, 'viewer'), await signIn(limited.db, 'viewer')]
    const ask = (headers: Record<string, string>, from: string) =>
      limited.app.inject({ url: '/api/v1/employees', headers, remoteAddress: from })
    for (let i = 0; i < 20; i++) expect((await ask(ann, `10.1.0.${i}`)).statusCode).toBe(200)
    expect((await ask(ann, '10.1.0.99')).statusCode).toBe(429)
    expect((await ask(binh, '10.1.0.99')).statusCode).toBe(200)
  })

  test('a kiosk may ask a fifth as often', async () => {
    const headers = await kioskHeaders(limited, 'GATE')
    const request = { method: 'POST', url: '/api/v1/devices/heartbeat', headers } as const
    const statuses = await statusesOf(5, { ...request, payload: { device_id: 'GATE' } }, '10.2.0.1')
    expect(statuses).toEqual([200, 200, 200, 200, 429])
  })

  test.each(['/health/live', '/live', '/health', '/health/ready', '/ready'])(
    'a load balancer may ask as often as it likes for %s, also from an address that is refused otherwise',
    async (url) => {
      const from = '10.3.0.2'
      await statusesOf(30, { url: '/wp-login.php', headers: nobody }, from)
      const statuses = await statusesOf(30, { url, headers: nobody }, from)
      expect(new Set(statuses)).toEqual(new Set([200]))
    },
  )

  test('behind a proxy that is trusted each client has an address of their own, and nobody else invents one', async () => {
    const via = (proxy: string, client: string) =>
      limited.app.inject({
        url: '/wp-login.php',
        headers: { ...nobody, 'x-forwarded-for': client },
        remoteAddress: proxy,
      })
    for (let i = 0; i < 21; i++) await via('127.0.0.1', '10.4.0.1')
    expect((await via('127.0.0.1', '10.4.0.1')).statusCode).toBe(429)
    expect((await via('127.0.0.1', '10.4.0.2')).statusCode).toBe(404)
    for (let i = 0; i < 21; i++) await via('10.5.0.1', `10.6.0.${i}`)
    expect((await via('10.5.0.1', '10.6.0.99')).statusCode).toBe(429)
  })

  test('connections, headers and the time for both are bounded', async () => {
    const { server } = running.app
    expect(server.maxConnections).toBe(1000)
    expect(server.headersTimeout).toBe(20_000)
    expect(server.keepAliveTimeout).toBeLessThanOrEqual(60_000)
    expect(server.maxRequestsPerSocket).toBeGreaterThan(0)
  })
})

describe('what browsers are told', () => {
  const page = 'https://hr.example.com'
  let open: TestApp
  beforeAll(async () => {
    open = await testApp({}, { CORS_ORIGINS: `${page}, https://kiosk.example.com` })
  })
  afterAll(() => open.close())

  const preflight = (app: TestApp, from: string) =>
    app.app.inject({
      method: 'OPTIONS',
      url: '/api/v1/employees',
      headers: { origin: from, 'access-control-request-method': 'POST', authorization: '' },
    })

  test('the pages that are named may call the API with credentials, and read its headers', async () => {
    const allowed = await preflight(open, page)
    expect(allowed.statusCode).toBe(204)
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': page,
      'access-control-allow-credentials': 'true',
    })
    for (const name of ['x-api-key', 'if-match', 'last-event-id'])
      expect(allowed.headers['access-control-allow-headers']).toContain(name)
    const posted = await open.app.inject({
      method: 'POST',
      url: '/api/v1/sites',
      headers: { origin: page },
      payload: { name: 'From another origin' },
    })
    expect(posted.statusCode).toBe(201)
    expect(posted.headers['access-control-allow-origin']).toBe(page)
    for (const name of ['x-total-count', 'idempotent-replayed'])
      expect(posted.headers['access-control-expose-headers']).toContain(name)
    expect(posted.headers.vary).toMatch(/origin/i)
  })

  test.each([
    'https://evil.example',
    'http://hr.example.com',
    'https://hr.example.com.evil.example',
    'https://hr.example.com:444',
    'null',
    '*',
  ])('a page of %s may not', async (foreign) => {
    for (const answer of [
      await preflight(open, foreign),
      await preflight(running, foreign),
      await open.app.inject({ url: '/api/v1/employees', headers: { origin: foreign } }),
    ])
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })

  test.each(['/docs/', '/setup', '/health', '/api/v1/employees', '/nowhere'])(
    '%s comes with a policy that lets a page load its own things alone, and be framed by nobody',
    async (url) => {
      const { headers } = await running.app.inject(url)
      const policy = String(headers['content-security-policy'])
      expect(policy).toContain("default-src 'self'")
      expect(policy).toContain("frame-ancestors 'none'")
      // The detector of faces, which the page itself brings, is WebAssembly.
      expect(policy.replace("'wasm-unsafe-eval'", '')).not.toMatch(/unsafe|\*/)
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      })
      expect(headers['x-powered-by']).toBeUndefined()
    },
  )

  test('the pages keep to that policy: no script and no style stands inside them', async () => {
    for (const url of ['/docs/', '/setup', '/reset']) {
      const { body } = await running.app.inject(url)
      expect(body).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|https?:\/\//i)
    }
  })
})

describe('the OpenAPI document', () => {
  test('shows uploads as forms, errors as problems, and no schema that nobody uses', async () => {
    const document = (await running.app.inject('/openapi.json')).json()
    const { requestBody, responses } = document.paths['/picture/{name}'].post
    expect(requestBody.content['multipart/form-data'].schema.properties.image).toEqual({
      type: 'string',
      format: 'binary',
    })
    expect(responses['422'].content['application/json'].schema).toEqual({
      $ref: '#/components/schemas/Problem',
    })
    const everything = JSON.stringify(document)
    const names = Object.keys(document.components.schemas)
    expect(names).toEqual(expect.arrayContaining(['Device', 'Employee', 'Health', 'Problem']))
    const unused = names.filter((name) => !everything.includes(`"#/components/schemas/${name}"`))
    expect(unused).toEqual([])
    expect(document.components.schemas.Employee.properties.created_at).toEqual({
      type: 'string',
      format: 'date-time',
    })
  })

  test('has a page to read it', async () => {
    const answer = await running.app.inject('/docs/')
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toContain('text/html')
  })

  test.each(['%00', '%2e%2e%2fpackage.json', 'nothing.js'])(
    'its page has no file %s, and says so as a refusal',
    async (name) => {
      const answer = await running.app.inject(`/docs/static/${name}`)
      expect(answer.statusCode).toBeGreaterThanOrEqual(400)
      expect(answer.statusCode).toBeLessThan(500)
      expect(answer.json()).toMatchObject({ success: false, request_id: expect.any(String) })
    },
  )
})

describe('health', () => {
  test('has the keys of both older shapes', async () => {
    await running.clear()
    await running.app.inject({
      method: 'POST',
      url: '/api/v1/devices/register',
      payload: { device_id: 'K1' },
    })
    await expect.poll(async () => (await health(running)).json().active_devices, { timeout: 5000 }).toBe(1)
    const answer = await health(running)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      status: 'healthy',
      database: 'connected',
      service: 'rollcall',
      active_devices: 1,
      version: '0.0.0-test',
      timestamp: '2025-03-03T01:00:00.000Z',
      liveness: 'available',
      device_auth: 'paired',
      components: { database: 'healthy', ai_models: 'healthy', active_devices: 1 },
      system_load: {
        cpu_percent: expect.any(Number),
        memory_percent: expect.any(Number),
        disk_percent: expect.any(Number),
      },
    })
  })

  test('is 503 without models', async () => {
    const degraded = await testApp({}, {}, (engine) => ({ ...engine, ready: () => false }))
    const answer = await health(degraded)
    expect(answer.statusCode).toBe(503)
    expect(answer.json()).toMatchObject({ status: 'degraded', components: { ai_models: 'degraded' } })
    expect((await degraded.app.inject('/health/ready')).json()).toEqual({
      status: 'not_ready',
      database: 'connected',
      ai_models: 'not_ready',
    })
    expect((await degraded.app.inject('/health/live')).statusCode).toBe(200)
    await degraded.close()
  })

  test('answers at once and truly while the database is away, and requests are told to come back', async () => {
    const db = databaseAt(1)
    const away = await testApp({ db, ledger: running.ledger }, {}, undefined, owner)
    const answer = await health(away)
    expect(answer.statusCode).toBe(503)
    expect(answer.json()).toMatchObject({ status: 'degraded', database: 'disconnected' })

    const refused = await away.app.inject('/api/v1/employees')
    expect(refused.statusCode).toBe(503)
    expect(refused.json().code).toBe('database_unavailable')
    expect(refused.headers['retry-after']).toBe('5')
    expect(refused.body).not.toMatch(/ECONNREFUSED|127\.0\.0\.1/)
    await away.close()
    await db.destroy()
  })

  test('answers within 100 ms while the database hangs', async () => {
    const silent = await silentServer()
    const db = databaseAt((silent.address() as AddressInfo).port)
    const hanging = await testApp({ db, ledger: running.ledger }, {}, undefined, owner)
    await hanging.app.ready()
    const start = performance.now()
    const answer = await health(hanging)
    expect(performance.now() - start).toBeLessThan(100)
    expect(answer.json().database).toBe('disconnected')
    await hanging.close()
    silent.close()
  })
})

const health = ({ app }: TestApp) => app.inject('/health')

function databaseAt(serverPort: number): Kysely<Tables> {
  const pool = new pg.Pool({ host: '127.0.0.1', port: serverPort, user: 'nobody', database: 'none' })
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
}

/** Takes connections and never says a word. */
async function silentServer(): Promise<Server> {
  const server = createServer((socket) => void socket.on('error', () => {}).unref()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.unref()
}
