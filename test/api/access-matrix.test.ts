import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto'
import { type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deriveKey } from '../../src/access/secret.ts'
import { hashToken } from '../../src/access/tokens.ts'
import {
  form,
  kioskHeaders,
  registerKiosk,
  rowCounts,
  secret,
  signIn,
  type TestApp,
  testApp,
} from '../support/app.ts'
import { addressOf, type Operation, readDocument } from '../support/operations.ts'

type Headers = Record<string, string>

// Both tables are written by hand on purpose: what the server says of itself is what is in question.

const everybody = ['viewer', 'manager', 'hr', 'admin', 'owner', 'key', 'kiosk', 'nobody']

/** Who gets past the guard. `key` is a program's key with just the scope that is needed. */
const mayPass: Record<string, string[]> = {
  public: everybody,
  'signed-in': ['viewer', 'manager', 'hr', 'admin', 'owner'],
  'employees:read': ['viewer', 'manager', 'hr', 'admin', 'owner', 'key'],
  'employees:write': ['hr', 'admin', 'owner', 'key'],
  'biometrics:read': ['hr', 'admin', 'owner', 'key'],
  'biometrics:write': ['hr', 'admin', 'owner', 'key'],
  'recognition:run': ['hr', 'admin', 'owner', 'key'],
  'attendance:read': ['viewer', 'manager', 'hr', 'admin', 'owner', 'key'],
  'attendance:write': ['hr', 'admin', 'owner', 'key'],
  'attendance:check': ['admin', 'owner', 'key', 'kiosk'],
  'devices:read': ['viewer', 'hr', 'admin', 'owner', 'key'],
  'devices:write': ['admin', 'owner', 'key'],
  'devices:report': ['kiosk'],
  'network:scan': ['admin', 'owner', 'key'],
  'sites:read': ['viewer', 'manager', 'hr', 'admin', 'owner', 'key'],
  'sites:write': ['admin', 'owner', 'key'],
  'system:read': ['admin', 'owner', 'key'],
  'audit:read': ['admin', 'owner', 'key'],
  'users:manage': ['admin', 'owner'],
}

/** What no program's key can be given. */
const neverForKeys = ['public', 'signed-in', 'devices:report', 'users:manage']

/** What each operation asks for. */
const asksFor: Record<string, string[]> = {
  public: [
    'GET /health',
    'GET /health/live',
    'GET /health/ready',
    'GET /live',
    'GET /ready',
    'GET /api/v1/auth/setup',
    'POST /api/v1/auth/setup',
    'POST /api/v1/auth/login',
    'POST /api/v1/auth/refresh',
    'POST /api/v1/auth/logout',
    'POST /api/v1/auth/reset',
    'POST /api/v1/devices/pair',
  ],
  'signed-in': [
    'GET /api/v1/auth/me',
    'POST /api/v1/auth/password',
    'POST /api/v1/auth/totp',
    'DELETE /api/v1/auth/totp',
    'POST /api/v1/auth/totp/confirm',
    'GET /api/v1/auth/sessions',
    'DELETE /api/v1/auth/sessions/{session_id}',
  ],
  'users:manage': [
    'GET /api/v1/auth/users',
    'POST /api/v1/auth/users',
    'GET /api/v1/auth/users/{id}',
    'PATCH /api/v1/auth/users/{id}',
    'DELETE /api/v1/auth/users/{id}',
    'POST /api/v1/auth/users/{id}/reset-link',
    'DELETE /api/v1/auth/users/{id}/sessions',
    'GET /api/v1/auth/api-keys',
    'POST /api/v1/auth/api-keys',
    'DELETE /api/v1/auth/api-keys/{id}',
  ],
  'sites:read': ['GET /api/v1/sites', 'GET /api/v1/sites/{site_id}'],
  'sites:write': [
    'POST /api/v1/sites',
    'PUT /api/v1/sites/{site_id}',
    'PATCH /api/v1/sites/{site_id}',
    'DELETE /api/v1/sites/{site_id}',
  ],
  'audit:read': ['GET /api/v1/audit', 'GET /api/v1/audit/verify'],
  'system:read': [
    'GET /metrics',
    'GET /api/v1/device-management/status',
    'GET /api/v1/recognition/models/status',
  ],
  'employees:read': [
    'GET /api/v1/employees',
    'GET /api/v1/employees/departments',
    'GET /api/v1/employees/stats',
    'GET /api/v1/employees/export',
    'GET /api/v1/employees/{employee_id}',
  ],
  'employees:write': [
    'POST /api/v1/employees',
    'POST /api/v1/employees/import',
    'PUT /api/v1/employees/{employee_id}',
    'PATCH /api/v1/employees/{employee_id}',
    'DELETE /api/v1/employees/{employee_id}',
    'POST /api/v1/employees/{employee_id}/deactivate',
    'POST /api/v1/employees/{employee_id}/reactivate',
  ],
  'biometrics:read': [
    'GET /api/v1/employees/{employee_id}/photo',
    'GET /api/v1/employees/{employee_id}/photos',
    'GET /api/v1/employees/{employee_id}/photos/{photo_id}',
    'GET /api/v1/employees/{employee_id}/templates',
    'GET /api/v1/employees/{employee_id}/consent',
    'GET /api/v1/employees/{employee_id}/erasures',
    'GET /api/v1/employees/{employee_id}/data-export',
    'GET /api/v1/attendance/{id}/image',
  ],
  'biometrics:write': [
    'POST /api/v1/employees/photos/import',
    'POST /api/v1/employees/{employee_id}/upload-photo',
    'POST /api/v1/employees/{employee_id}/upload-face',
    'DELETE /api/v1/employees/{employee_id}/photos/{photo_id}',
    'PUT /api/v1/employees/{employee_id}/photo',
    'DELETE /api/v1/employees/{employee_id}/templates/{template_id}',
    'POST /api/v1/employees/{employee_id}/templates/rebuild',
    'POST /api/v1/employees/{employee_id}/consent',
    'DELETE /api/v1/employees/{employee_id}/consent',
    'POST /api/v1/employees/{employee_id}/erase',
    'POST /api/v1/recognition/train',
  ],
  'recognition:run': ['POST /api/v1/recognition/process', 'POST /api/v1/recognition/verify'],
  'attendance:read': [
    'GET /api/v1/attendance',
    'GET /api/v1/attendance/today',
    'GET /api/v1/attendance/stream',
    'GET /api/v1/attendance/{id}',
    'GET /api/v1/attendance/export',
    'GET /api/v1/attendance/history/{device_id}',
    'GET /api/v1/attendance/employee/{employee_id}',
  ],
  'attendance:write': ['POST /api/v1/attendance/manual', 'POST /api/v1/attendance/{id}/correct'],
  'attendance:check': [
    'POST /api/v1/attendance/check',
    'POST /api/v1/attendance/upload',
    'POST /api/v1/attendance/batch',
  ],
  'devices:read': [
    'GET /api/v1/devices',
    'GET /api/v1/devices/{device_id}',
    'GET /api/v1/devices/{device_id}/commands',
    'GET /api/v1/device-management/logs',
    'GET /api/v1/device-management/logs/{device_id}',
  ],
  'devices:write': [
    'POST /api/v1/devices/register',
    'PUT /api/v1/devices/{device_id}',
    'DELETE /api/v1/devices/{device_id}',
    'DELETE /api/v1/devices/cleanup/deleted',
    'POST /api/v1/devices/{device_id}/pair',
    'POST /api/v1/devices/{device_id}/rotate-key',
    'DELETE /api/v1/devices/{device_id}/key',
    'POST /api/v1/devices/{device_id}/commands',
    'POST /api/v1/device-management/reset/{device_id}',
    'POST /api/v1/device-management/update/{device_id}',
  ],
  'devices:report': [
    'POST /api/v1/devices/heartbeat',
    'POST /api/v1/devices/rotate-key',
    'POST /api/v1/devices/commands/{command_id}',
  ],
  'network:scan': [
    'POST /api/v1/device-management/discover',
    'GET /api/v1/device-management/network/scan',
    'POST /api/v1/device-management/network/scan',
  ],
}

/** What an operation asks for besides. */
const alsoAsksFor: Record<string, string[]> = {
  'GET /api/v1/employees/{employee_id}/data-export': ['employees:read', 'attendance:read'],
}

let running: TestApp
let operations: Operation[]
beforeAll(async () => {
  running = await testApp()
  operations = (await readDocument(running.app)).operations
  for (const id of ['MINE', 'OTHER']) await registerKiosk(running, id)
})
afterAll(() => running.close())

const permissionOf = (operation: Operation) =>
  Object.keys(asksFor).find((permission) => asksFor[permission]!.includes(operation.name))

/** Something that is well-formed and does not exist: who is let in finds nothing and changes nothing. */
const nobodyThere = (name: string) => (name === 'session_id' ? randomUUID() : '999999999')

/** Calls an operation without a body. */
async function call(
  { method, path }: Operation,
  headers: Headers,
  value: (name: string) => string = nobodyThere,
): Promise<{ status: number; code?: string }> {
  const request = { method, url: addressOf(path, value), headers }
  if (path.endsWith('/stream')) {
    // It has no end where it is allowed.
    const answer = await running.app.inject({ ...request, payloadAsStream: true })
    answer.stream().destroy()
    return { status: answer.statusCode, code: guardCodes[answer.statusCode] }
  }
  const answer = await running.app.inject(request)
  const json = String(answer.headers['content-type']).includes('json') ? answer.json() : {}
  return { status: answer.statusCode, code: json.code }
}

const guardCodes: Record<number, string> = { 401: 'not_signed_in', 403: 'forbidden' }

let keys = 0
async function keyWith(...scopes: string[]): Promise<Headers> {
  const key = `rollcall_api_${++keys}`
  const owners = running.db.selectFrom('users').select('id').where('role', '=', 'owner')
  const maker = await owners.executeTakeFirstOrThrow()
  await running.db
    .insertInto('api_keys')
    .values({
      name: key,
      key_hash: hashToken(key),
      hint: key,
      scopes,
      created_at: new Date(),
      expires_at: null,
      last_used_at: null,
      created_by: maker.id,
    })
    .execute()
  return { 'x-api-key': key }
}

/** What the guard itself says; a refusal that comes later has another code. */
function verdictOf({ status, code }: { status: number; code?: string }): string {
  if (status === 401 && code === 'not_signed_in') return '401'
  if (status === 403 && code === 'forbidden') return '403'
  return 'passes'
}

describe('who may call what', () => {
  test('the tables name every operation, and none that is not there', () => {
    const named = Object.values(asksFor).flat().sort()
    expect(operations.map(({ name }) => name).sort()).toEqual(named)
    expect(Object.keys(mayPass).sort()).toEqual(Object.keys(asksFor).sort())
  })

  test('every operation lets in whom the tables say, and refuses everybody else', async () => {
    const callersNow = async (): Promise<Record<string, Headers>> => ({
      nobody: { authorization: '' },
      viewer: await signIn(running.db, 'viewer'),
      manager: await signIn(running.db, 'manager'),
      hr: await signIn(running.db, 'hr'),
      admin: await signIn(running.db, 'admin'),
      owner: await signIn(running.db, 'owner'),
      kiosk: await kioskHeaders(running, 'MINE'),
    })
    let callers = await callersNow()
    const scopes = Object.keys(mayPass).filter((permission) => !neverForKeys.includes(permission))
    const wrong: string[] = []
    for (const operation of operations) {
      const permission = permissionOf(operation) ?? 'unknown'
      const needed = [permission, ...(alsoAsksFor[operation.name] ?? [])]
      const fitting = scopes.includes(permission) ? await keyWith(...needed) : undefined
      const others = await keyWith(...scopes.filter((scope) => scope !== permission))
      const may = mayPass[permission] ?? []
      const all: [string, Headers, string][] = Object.entries(callers).map(([who, headers]) => [
        who,
        headers,
        may.includes(who) ? 'passes' : who === 'nobody' ? '401' : '403',
      ])
      if (fitting) all.push(['key', fitting, 'passes'])
      all.push(['a key with all other scopes', others, permission === 'public' ? 'passes' : '403'])
      for (const [who, headers, expected] of all) {
        const answer = await call(operation, headers)
        const verdict = operation.name === 'POST /api/v1/auth/refresh' ? 'passes' : verdictOf(answer)
        if (verdict !== expected || answer.status >= 500)
          wrong.push(`${operation.name} as ${who}: ${answer.status} ${answer.code}, should be ${expected}`)
      }
      // Whoever signed out is out.
      if (operation.name === 'POST /api/v1/auth/logout') callers = await callersNow()
    }
    expect(wrong).toEqual([])
  }, 180_000)

  test('no key, and no wrong key of any kind, opens anything that is not public', async () => {
    const wrong: string[] = []
    for (const operation of operations.filter((each) => permissionOf(each) !== 'public')) {
      for (const headers of [
        { authorization: 'Bearer x.y.z' },
        { authorization: 'Basic YWRtaW46YWRtaW4=' },
        { 'x-api-key': 'rollcall_api_guess' },
        { 'x-device-key': 'rollcall_device_guess' },
        { ...(await kioskHeaders(running, 'MINE')), 'x-api-key': 'both' },
      ] as Headers[]) {
        const { status } = await call(operation, headers)
        if (status !== 401) wrong.push(`${operation.name} with ${Object.keys(headers)}: ${status}`)
      }
    }
    expect(wrong).toEqual([])
  }, 180_000)

  test('a manager of another department is told that there is no such person, wherever a person is named', async () => {
    const person = { employee_id: 'SOMEBODY', name: 'Somebody', department: 'Sales' }
    await running.app.inject({ method: 'POST', url: '/api/v1/employees', payload: person })
    const [theirs, others] = [
      await signIn(running.db, 'manager', ['Sales']),
      await signIn(running.db, 'manager', ['IT']),
    ]
    const named = operations.filter(
      (operation) =>
        operation.pathNames.includes('employee_id') && mayPass[permissionOf(operation)!]!.includes('manager'),
    )
    expect(named.length).toBeGreaterThan(1)
    for (const operation of named) {
      expect((await call(operation, theirs, () => 'SOMEBODY')).status).toBe(200)
      expect(await call(operation, others, () => 'SOMEBODY')).toEqual({
        status: 404,
        code: 'employee_not_found',
      })
    }
  })

  test('to remove a person with all their punches is for the owner alone, and for a key with both scopes', async () => {
    const url = '/api/v1/employees/NOBODY?purge=true&confirm=NOBODY'
    const statusOf = async (headers: Headers) =>
      (await running.app.inject({ method: 'DELETE', url, headers })).statusCode
    for (const role of ['viewer', 'manager', 'hr', 'admin'] as const)
      expect(await statusOf(await signIn(running.db, role))).toBe(403)
    expect(await statusOf(await keyWith('employees:write'))).toBe(403)
    expect(await statusOf(await keyWith('employees:write', 'employees:purge'))).toBe(404)
    expect(await statusOf(await signIn(running.db, 'owner'))).toBe(404)
  })

  test('HEAD asks for what GET asks for', async () => {
    const open: string[] = []
    for (const operation of operations.filter(({ method }) => method === 'GET')) {
      const { statusCode } = await running.app.inject({
        method: 'HEAD',
        url: addressOf(operation.path, nobodyThere),
        headers: { authorization: '' },
      })
      if (statusCode !== 401 && permissionOf(operation) !== 'public') open.push(operation.name)
    }
    expect(open).toEqual([])
  })

  test('the document says of each operation what the tables say', async () => {
    const { paths } = (await running.app.inject('/openapi.json')).json()
    for (const operation of operations) {
      const item = paths[operation.path] ?? paths[`${operation.path}/`]
      const described = item[operation.method.toLowerCase()]
      const may = mayPass[permissionOf(operation)!]!
      const schemes = described.security.flatMap(Object.keys)
      expect({ name: operation.name, permission: described['x-permission'], schemes }).toEqual({
        name: operation.name,
        permission: permissionOf(operation),
        schemes: may.includes('nobody')
          ? []
          : [
              ...(may.includes('owner') ? ['bearer'] : []),
              ...(may.includes('key') ? ['apiKey'] : []),
              ...(may.includes('kiosk') ? ['deviceKey'] : []),
            ],
      })
    }
  })
})

describe('a kiosk', () => {
  const post = async (url: string, payload: object, headers: Headers) =>
    (await running.app.inject({ method: 'POST', url: `/api/v1${url}`, payload, headers })).json().code

  test('speaks for no other one', async () => {
    const mine = await kioskHeaders(running, 'MINE')
    const image = Buffer.from('any')
    expect(await post('/devices/heartbeat', { device_id: 'OTHER' }, mine)).toBe('wrong_device')
    expect(await post('/attendance/check', form({ image, device_id: 'OTHER' }), mine)).toBe('wrong_device')
    const later = form({ image, device_id: 'OTHER', captured_at: '2025-03-03T00:30:00Z' })
    expect(await post('/attendance/upload', later, mine)).toBe('wrong_device')
    const batch = form({ images: image, device_id: 'OTHER', captured_at: '2025-03-03T00:30:00Z' })
    expect(await post('/attendance/batch', batch, mine)).toBe('wrong_device')
  })

  test('is out at once when it is deactivated', async () => {
    await registerKiosk(running, 'THIRD')
    const third = await kioskHeaders(running, 'THIRD')
    const beat = () => post('/devices/heartbeat', { device_id: 'THIRD' }, third)
    expect(await beat()).toBeUndefined()
    await running.db
      .updateTable('devices')
      .set({ is_active: false })
      .where('device_id', '=', 'THIRD')
      .execute()
    expect(await beat()).toBe('unknown_device')
  })
})

describe('a token', () => {
  const key = deriveKey(secret, 'access tokens')
  const base64 = (value: object | string) =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

  /** Claims of a session that is good, and what a good token makes of them. */
  async function goodToken() {
    const { authorization } = await signIn(running.db, 'owner')
    const token = authorization.slice('Bearer '.length)
    const [, payload = ''] = token.split('.')
    return { token, claims: JSON.parse(Buffer.from(payload, 'base64url').toString()) as JWTPayload }
  }
  const sign = (claims: JWTPayload, signingKey: Uint8Array = key, alg = 'HS256') =>
    new SignJWT(claims).setProtectedHeader({ alg, typ: 'JWT' }).sign(signingKey)
  const hmac = (head: object, claims: JWTPayload, signingKey: string | Uint8Array) => {
    const signed = `${base64(head)}.${base64(claims)}`
    return `${signed}.${createHmac('sha256', signingKey).update(signed).digest('base64url')}`
  }
  const statusWith = async (token: string) =>
    (await running.app.inject({ url: '/api/v1/auth/me', headers: { authorization: `Bearer ${token}` } }))
      .statusCode

  test('that this server signed is taken', async () => {
    const { token, claims } = await goodToken()
    expect(await statusWith(token)).toBe(200)
    expect(await statusWith(await sign(claims))).toBe(200)
  })

  test('that is forged, altered or of another place is refused', async () => {
    const { token, claims } = await goodToken()
    const other = await goodToken()
    const [head, payload, signature] = token.split('.')
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const publicPem = rsa.publicKey.export({ type: 'spki', format: 'pem' })
    const rsaToken = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256' }).sign(rsa.privateKey)
    const forged: Record<string, string> = {
      'alg none': `${base64({ alg: 'none' })}.${payload}.`,
      'alg None': `${base64({ alg: 'None', typ: 'JWT' })}.${payload}.`,
      'alg none with a signature': `${base64({ alg: 'none' })}.${payload}.${signature}`,
      'no signature': `${head}.${payload}.`,
      'no alg': hmac({ typ: 'JWT' }, claims, key),
      'another key': await sign(claims, deriveKey(Buffer.from('another secret'), 'access tokens')),
      'the key of another purpose': await sign(claims, deriveKey(secret, 'second factors')),
      'the secret itself': await sign(claims, secret),
      'an empty key': hmac({ alg: 'HS256' }, claims, ''),
      HS512: await sign(claims, key, 'HS512'),
      'RS256 with a key of their own': rsaToken,
      'a public key as the secret': hmac({ alg: 'HS256' }, claims, String(publicPem)),
      'RS256 in the head of an HMAC': hmac({ alg: 'RS256' }, claims, key),
      'their own key in the head': hmac(
        { alg: 'HS256', jwk: { kty: 'oct', k: base64('theirs') } },
        claims,
        'theirs',
      ),
      'a key file in the head': hmac({ alg: 'HS256', kid: '../../../../dev/null' }, claims, ''),
      'another person': `${head}.${base64({ ...claims, sub: '1' })}.${signature}`,
      "another person's session": await sign({ ...claims, sub: other.claims.sub! }),
      'no person': await sign({ ...claims, sub: 'owner' }),
      'no session': await sign({ ...claims, sid: undefined }),
      'a session that is not there': await sign({ ...claims, sid: randomUUID() }),
      'no end': await sign({ ...claims, exp: undefined } as JWTPayload),
      expired: await sign({ ...claims, exp: running.clock.now().getTime() / 1000 - 1 }),
      'not yet good': await sign({ ...claims, nbf: running.clock.now().getTime() / 1000 + 3600 }),
      'another issuer': await sign({ ...claims, iss: 'elsewhere' }),
      'another audience': await sign({ ...claims, aud: 'elsewhere' }),
    }
    const statuses: Record<string, number> = {}
    for (const [what, each] of Object.entries(forged)) statuses[what] = await statusWith(each)
    expect(statuses).toEqual(Object.fromEntries(Object.keys(forged).map((what) => [what, 401])))
  })

  test('of a session that was ended, or of a user who was deactivated, is refused at once', async () => {
    const ended = await goodToken()
    await running.db.deleteFrom('sessions').where('id', '=', String(ended.claims.sid)).execute()
    expect(await statusWith(ended.token)).toBe(401)

    const left = await goodToken()
    await running.db
      .updateTable('users')
      .set({ is_active: false })
      .where('id', '=', Number(left.claims.sub))
      .execute()
    expect(await statusWith(left.token)).toBe(401)
  })
})

describe('what comes from elsewhere', () => {
  test('a page of another site can change nothing, whoever is signed in', async () => {
    const wrong: string[] = []
    for (const operation of operations.filter(({ method }) => method !== 'GET')) {
      for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example']) {
        const answer = await running.app.inject({
          method: operation.method,
          url: addressOf(operation.path, nobodyThere),
          headers: { origin, host: 'localhost' },
        })
        if (answer.statusCode !== 403) wrong.push(`${operation.name} from ${origin}: ${answer.statusCode}`)
      }
    }
    expect(wrong).toEqual([])
  }, 120_000)

  test('the own pages can', async () => {
    const answer = await running.app.inject({
      method: 'POST',
      url: '/api/v1/sites',
      headers: { origin: 'http://rollcall.lan', host: 'rollcall.lan' },
      payload: { name: 'From our own page' },
    })
    expect(answer.statusCode).toBe(201)
  })

  const corpus = [
    '..%2f',
    '..%2f..%2f..%2fetc%2fpasswd',
    '%2fetc%2fpasswd',
    '..%5c..%5cwindows%5cwin.ini',
    'C:%5Cboot.ini',
    '%252e%252e%252fsecret-key',
    '....%2f%2f',
    '%00',
    'MINE%00.jpg',
    '%ff%fe',
    '%ED%A0%80',
    '%E2%80%AE',
    '%0d%0aSet-Cookie:x=1',
    '%',
    '%zz',
    "1'%20OR%20'1'='1",
    '1;DROP%20TABLE%20employees',
    '-1',
    '1e9',
    '0x1',
    '1e0',
    '1.0',
    '%2B1',
    '%201',
    '01',
    '99999999999999999999',
    'NaN',
    '__proto__',
    '%20',
    'a'.repeat(900),
    'a'.repeat(5000),
    '%F0%9F%92%A9'.repeat(80),
  ]

  test('nothing in a path leads out of it, or to a fault, or changes anything', async () => {
    const before = await rowCounts(running.db)
    const wrong: string[] = []
    for (const operation of operations) {
      for (const name of operation.pathNames) {
        for (const hostile of corpus) {
          const owner = await ownerHeaders
          const answer = await call(operation, owner, (each) => (each === name ? hostile : nobodyThere(each)))
          if (answer.status < 400 || answer.status >= 500)
            wrong.push(`${operation.name} with ${hostile.slice(0, 40)} as ${name}: ${answer.status}`)
        }
      }
    }
    expect(wrong).toEqual([])
    expect(await rowCounts(running.db)).toEqual(before)
  }, 180_000)

  let ownerHeaders: Promise<Headers>
  beforeAll(() => {
    ownerHeaders = signIn(running.db, 'owner')
  })
})
