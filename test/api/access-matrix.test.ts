import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ZipFile } from 'yazl'
import type { Role } from '../../src/access/permissions.ts'
import { deriveKey } from '../../src/access/secret.ts'
import { hashToken } from '../../src/access/tokens.ts'
import type { Database } from '../../src/database/tables.ts'
import { examples } from '../../src/openapi-examples.ts'
import { portrait } from '../face/portraits.ts'
import {
  form,
  kioskHeaders,
  recordPunch,
  registerKiosk,
  rowCounts,
  secret,
  signIn,
  type TestApp,
  testApp,
} from '../support/app.ts'
import { secondPack } from '../support/models.ts'
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
  'recognition:calibrate': ['admin', 'owner', 'key'],
  'attendance:read': ['viewer', 'manager', 'hr', 'admin', 'owner', 'key'],
  'attendance:write': ['hr', 'admin', 'owner', 'key'],
  'attendance:check': ['admin', 'owner', 'key', 'kiosk'],
  'devices:read': ['viewer', 'hr', 'admin', 'owner', 'key'],
  'devices:write': ['admin', 'owner', 'key'],
  'devices:report': ['kiosk'],
  'network:scan': ['admin', 'owner', 'key'],
  'sites:read': ['viewer', 'manager', 'hr', 'admin', 'owner', 'key'],
  'sites:write': ['admin', 'owner', 'key'],
  'models:write': ['admin', 'owner', 'key'],
  'system:read': ['admin', 'owner', 'key'],
  'audit:read': ['admin', 'owner', 'key'],
  'backups:make': ['owner'],
  'users:manage': ['admin', 'owner'],
}

/** What no program's key can be given. */
const neverForKeys = ['public', 'signed-in', 'devices:report', 'users:manage', 'backups:make']

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
  'backups:make': ['POST /api/v1/system/backups', 'GET /api/v1/system/backups/{name}'],
  'system:read': [
    'GET /metrics',
    'GET /api/v1/system/backups',
    'GET /api/v1/device-management/status',
    'GET /api/v1/recognition/models',
    'GET /api/v1/recognition/models/status',
    'GET /api/v1/recognition/models/switch',
    'GET /api/v1/recognition/models/switches',
    'GET /api/v1/recognition/calibration',
    'GET /api/v1/recognition/calibration/history',
  ],
  'models:write': [
    'POST /api/v1/recognition/models/switch',
    'POST /api/v1/recognition/models/switch/cancel',
    'POST /api/v1/recognition/models/switch/confirm',
  ],
  'recognition:calibrate': [
    'POST /api/v1/recognition/calibration',
    'POST /api/v1/recognition/calibration/{id}/accept',
    'DELETE /api/v1/recognition/calibration/{id}/accept',
  ],
  'employees:read': [
    'GET /api/v1/employees',
    'GET /api/v1/employees/departments',
    'GET /api/v1/employees/stats',
    'GET /api/v1/employees/export',
    'GET /api/v1/employees/{employee_id}',
    'GET /api/v1/employees/{employee_id}/pin',
  ],
  'employees:write': [
    'POST /api/v1/employees',
    'POST /api/v1/employees/import',
    'PUT /api/v1/employees/{employee_id}',
    'PUT /api/v1/employees/{employee_id}/pin',
    'DELETE /api/v1/employees/{employee_id}/pin',
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
    'GET /api/v1/attendance/pending/{id}/image',
    'GET /api/v1/attendance/decisions/{decision_id}/image',
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
  'recognition:run': [
    'POST /api/v1/recognition/process',
    'POST /api/v1/recognition/verify',
    'POST /api/v1/recognition/identify',
  ],
  'attendance:read': [
    'GET /api/v1/attendance',
    'GET /api/v1/attendance/today',
    'GET /api/v1/attendance/disputes',
    'GET /api/v1/attendance/stream',
    'GET /api/v1/attendance/{id}',
    'GET /api/v1/attendance/{id}/explain',
    'GET /api/v1/attendance/decisions',
    'GET /api/v1/attendance/decisions/{decision_id}/explain',
    'GET /api/v1/attendance/export',
    'GET /api/v1/attendance/history/{device_id}',
    'GET /api/v1/attendance/employee/{employee_id}',
  ],
  'attendance:write': [
    'POST /api/v1/attendance/manual',
    'POST /api/v1/attendance/{id}/correct',
    'GET /api/v1/attendance/pending',
    'POST /api/v1/attendance/pending/{id}/resolve',
    'POST /api/v1/attendance/{id}/not-me/resolve',
  ],
  'attendance:check': [
    'POST /api/v1/attendance/check',
    'POST /api/v1/attendance/pin',
    'POST /api/v1/attendance/sync',
    'POST /api/v1/attendance/upload',
    'POST /api/v1/attendance/batch',
    'POST /api/v1/recognition/liveness/challenge',
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
    'POST /api/v1/attendance/{id}/not-me',
    'GET /api/v1/attendance/decisions/{decision_id}/avatar',
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
async function keyWith(db: Database, ...scopes: string[]): Promise<Headers> {
  const key = `rollcall_api_${++keys}`
  const owners = db.selectFrom('users').select('id').where('role', '=', 'owner')
  const maker = await owners.executeTakeFirstOrThrow()
  await db
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
      const fitting = scopes.includes(permission) ? await keyWith(running.db, ...needed) : undefined
      const others = await keyWith(running.db, ...scopes.filter((scope) => scope !== permission))
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
    expect(await statusOf(await keyWith(running.db, 'employees:write'))).toBe(403)
    expect(await statusOf(await keyWith(running.db, 'employees:write', 'employees:purge'))).toBe(404)
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

/** How an operation ends for everybody who may call it, with a body that is taken and of things that are there. */
const endsWith: Record<string, number> = {
  'POST /api/v1/system/backups': 201,
  'POST /api/v1/sites': 201,
  'POST /api/v1/employees': 201,
  'POST /api/v1/employees/{employee_id}/consent': 201,
  'POST /api/v1/auth/users': 201,
  'POST /api/v1/auth/users/{id}/reset-link': 201,
  'POST /api/v1/auth/api-keys': 201,
  'POST /api/v1/devices/register': 201,
  'POST /api/v1/devices/{device_id}/pair': 201,
  'POST /api/v1/devices/{device_id}/commands': 201,
  'POST /api/v1/attendance/manual': 201,
  'POST /api/v1/attendance/{id}/correct': 201,
  // One person is too few to calibrate, and their calibration lowers nothing.
  'POST /api/v1/recognition/calibration': 409,
  'POST /api/v1/recognition/calibration/{id}/accept': 409,
  'POST /api/v1/recognition/models/switch': 202,
  // Nobody is embedded yet.
  'POST /api/v1/recognition/models/switch/confirm': 409,
  // Nobody is let in by a password, a link or a code that is made up.
  'POST /api/v1/auth/login': 401,
  'POST /api/v1/auth/password': 401,
  'POST /api/v1/auth/totp': 401,
  'DELETE /api/v1/auth/totp': 401,
  'POST /api/v1/auth/refresh': 401,
  'POST /api/v1/auth/setup': 403,
  'POST /api/v1/auth/reset': 403,
  'POST /api/v1/devices/pair': 403,
  // It could not be read, and so has no picture.
  'GET /api/v1/attendance/pending/{id}/image': 404,
  // Nothing was begun that could be confirmed.
  'POST /api/v1/auth/totp/confirm': 422,
}

describe('what those are answered who may call', () => {
  const department = 'Any'
  let company: TestApp
  let face: Buffer
  let punch: number
  beforeAll(async () => {
    const network = { browse: async () => [], answers: async () => false }
    company = await testApp({ network, backUp }, { DISCOVERY: 'true', SCAN_NETWORKS: '192.168.1.0/30' })
    face = await portrait('blonde')
    await company.db.updateTable('sites').set({ keep_pictures: true }).execute()
    await person('ANN', face)
    await registerKiosk(company, 'GATE')
    punch = (await asOwner('POST', '/attendance/check', form({ image: face, device_id: 'GATE' })))
      .attendance_id
  })
  afterAll(() => company.close())

  async function backUp() {
    const folder = join(dirname(company.uploads), 'backups')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'office.zip'), 'PK')
    return join(folder, 'office.zip')
  }

  let made = 0
  const fresh = (what: string) => `${what}_${++made}`

  async function asOwner(method: Operation['method'], path: string, payload?: object) {
    const answer = await company.app.inject({ method, url: `/api/v1${path}`, ...(payload && { payload }) })
    if (answer.statusCode >= 300) throw new Error(`the test's own preparation failed: ${answer.body}`)
    return answer.json()
  }
  async function person(id = fresh('P'), photo?: Buffer) {
    await asOwner('POST', '/employees', { name: id, employee_id: id, department })
    await asOwner('POST', `/employees/${id}/consent`, { text_version: '1' })
    return {
      employee_id: id,
      enrolled: photo && (await asOwner('POST', `/employees/${id}/upload-photo`, form({ photo }))),
    }
  }
  async function kiosk() {
    const device_id = fresh('K')
    await registerKiosk(company, device_id)
    return { device_id }
  }
  const user = async () => {
    const { user } = await asOwner('POST', '/auth/users', { username: fresh('user'), role: 'viewer' })
    return { id: user.id }
  }
  const calibration = () =>
    company.db
      .insertInto('calibrations')
      .values({ pack: company.engine.pack.name, people: 10, mean: Buffer.alloc(4), is_sealed: true })
      .returning('id')
      .executeTakeFirstOrThrow()
  /** A change of the models that has just begun. */
  const modelSwitch = async () => {
    await endSwitch()
    await asOwner('POST', '/recognition/models/switch', { pack: secondPack.name })
    return {}
  }
  const endSwitch = () =>
    company.db
      .updateTable('model_switches')
      .set({ state: 'cancelled', finished_at: company.clock.now() })
      .where('finished_at', 'is', null)
      .execute()
  const site = async () => ({ site_id: (await asOwner('POST', '/sites', { name: fresh('Site') })).id })
  const punchOf = async () => ({ id: await recordPunch(company.db, 'ANN', 'GATE') })
  const sessionOf = ({ authorization = '' }: Headers) =>
    JSON.parse(Buffer.from(authorization.split('.')[1] ?? '', 'base64url').toString()).sid

  type Made = Record<string, unknown>
  /** What stands in the path and the body where the same cannot be done twice, or needs something that is there. */
  const given: Record<string, (headers: Headers) => Promise<{ path?: Made; body?: Made; query?: string }>> = {
    'DELETE /api/v1/auth/sessions/{session_id}': async (headers) => ({
      path: { session_id: sessionOf(headers) },
    }),
    'GET /api/v1/auth/users/{id}': async () => ({ path: await user() }),
    'POST /api/v1/auth/users': async () => ({ body: { username: fresh('user') } }),
    'PATCH /api/v1/auth/users/{id}': async () => ({ path: await user() }),
    'DELETE /api/v1/auth/users/{id}': async () => ({ path: await user() }),
    'POST /api/v1/auth/users/{id}/reset-link': async () => ({ path: await user() }),
    'DELETE /api/v1/auth/users/{id}/sessions': async () => ({ path: await user() }),
    'DELETE /api/v1/auth/api-keys/{id}': async () => ({
      path: { id: (await asOwner('POST', '/auth/api-keys', { name: 'K', scopes: ['sites:read'] })).id },
    }),
    'GET /api/v1/system/backups/{name}': async () => ({
      path: { name: (await asOwner('POST', '/system/backups')).name },
    }),
    'POST /api/v1/sites': async () => ({ body: { name: fresh('Site') } }),
    'POST /api/v1/recognition/models/switch': async () => {
      await endSwitch()
      return { body: { pack: secondPack.name } }
    },
    'GET /api/v1/recognition/models/switch': modelSwitch,
    'POST /api/v1/recognition/models/switch/confirm': modelSwitch,
    'POST /api/v1/recognition/models/switch/cancel': modelSwitch,
    'GET /api/v1/recognition/calibration': async () => ({ path: await calibration() }),
    'POST /api/v1/recognition/calibration/{id}/accept': async () => ({ path: await calibration() }),
    'DELETE /api/v1/recognition/calibration/{id}/accept': async () => ({ path: await calibration() }),
    'PUT /api/v1/sites/{site_id}': async () => ({ path: await site(), body: { name: fresh('Site') } }),
    'PATCH /api/v1/sites/{site_id}': async () => ({ path: await site() }),
    'DELETE /api/v1/sites/{site_id}': async () => ({ path: await site() }),
    'POST /api/v1/employees': async () => ({ body: { employee_id: fresh('P') } }),
    'PUT /api/v1/employees/{employee_id}': async () => ({ path: await person() }),
    'PATCH /api/v1/employees/{employee_id}': async () => ({ path: await person() }),
    'DELETE /api/v1/employees/{employee_id}': async () => ({ path: await person() }),
    'POST /api/v1/employees/{employee_id}/deactivate': async () => ({ path: await person() }),
    'POST /api/v1/employees/{employee_id}/erase': async () => ({ path: await person() }),
    'DELETE /api/v1/employees/{employee_id}/consent': async () => ({ path: await person() }),
    'DELETE /api/v1/employees/{employee_id}/photos/{photo_id}': async () => {
      const { employee_id, enrolled } = await person(undefined, face)
      return { path: { employee_id, photo_id: enrolled.photo_id } }
    },
    'DELETE /api/v1/employees/{employee_id}/templates/{template_id}': async () => {
      const { employee_id, enrolled } = await person(undefined, face)
      return { path: { employee_id, template_id: enrolled.template_id } }
    },
    'POST /api/v1/devices/register': async () => ({ body: { device_id: fresh('K') } }),
    'PUT /api/v1/devices/{device_id}': async () => ({ path: await kiosk() }),
    'DELETE /api/v1/devices/{device_id}': async () => ({ path: await kiosk() }),
    'POST /api/v1/devices/{device_id}/pair': async () => ({ path: await kiosk() }),
    'POST /api/v1/devices/{device_id}/rotate-key': async () => ({ path: await kiosk() }),
    'DELETE /api/v1/devices/{device_id}/key': async () => ({ path: await kiosk() }),
    'POST /api/v1/devices/commands/{command_id}': async (headers) => {
      const { id } = await asOwner('POST', '/devices/GATE/commands', { command: 'reload' })
      const payload = { device_id: 'GATE' }
      await company.app.inject({ method: 'POST', url: '/api/v1/devices/heartbeat', payload, headers })
      return { path: { command_id: id } }
    },
    'GET /api/v1/device-management/network/scan': async () => minutesLater(),
    'POST /api/v1/device-management/network/scan': async () => minutesLater(),
    'GET /api/v1/attendance/export': async () => ({ query: '?from=2025-03-01T00:00:00Z' }),
    'POST /api/v1/attendance/sync': async () => ({ body: { event: JSON.stringify(kioskEvent()) } }),
    'GET /api/v1/attendance/pending/{id}/image': async () => ({ path: await waiting() }),
    'POST /api/v1/attendance/pending/{id}/resolve': async () => ({ path: await waiting() }),
    'POST /api/v1/attendance/pin': async () => {
      await asOwner('PATCH', '/sites/1', { pin_allowed: true })
      // Nobody's: wrong PINs of one person would make everybody wait.
      return { body: { employee_id: `NOBODY${++made}` } }
    },
    'POST /api/v1/attendance/manual': async () => ({
      body: { timestamp: new Date(Date.UTC(2025, 1, 1) + 3_600_000 * ++made).toISOString() },
    }),
    'POST /api/v1/attendance/{id}/correct': async () => ({
      path: await punchOf(),
      body: { timestamp: new Date(Date.UTC(2025, 1, 15) + 3_600_000 * ++made).toISOString() },
    }),
    'POST /api/v1/attendance/{id}/not-me': async () => ({ path: await punchOf() }),
    'GET /api/v1/attendance/decisions/{decision_id}/avatar': async () => {
      const { id } = await punchOf()
      const punches = company.db.selectFrom('attendance').where('id', '=', id)
      return { path: await punches.select('decision_id').executeTakeFirstOrThrow() }
    },
    'POST /api/v1/attendance/{id}/not-me/resolve': async () => {
      const path = await punchOf()
      const dispute = { punch_id: path.id, device_id: 'GATE', created_at: company.clock.now() }
      await company.db.insertInto('disputes').values(dispute).execute()
      return { path }
    },
  }
  function kioskEvent(): Made {
    return {
      device_id: 'GATE',
      event_id: randomUUID(),
      seq: 1,
      previous_hash: '0'.repeat(64),
      captured_at: '2025-03-03T00:00:00.000Z',
      monotonic_ms: 1000,
      boot_id: randomUUID(),
      attendance_type: 'IN',
      frame_ms: [0],
      payload_sha256: '0'.repeat(64),
    }
  }
  /** Something that a kiosk kept off line and that nobody has decided on. */
  async function waiting() {
    const row = await company.db
      .insertInto('kiosk_events')
      .values({
        device_id: 'GATE',
        event_id: randomUUID(),
        signing_key: null,
        seq: 1,
        hash: '0'.repeat(64),
        captured_at: new Date(Date.UTC(2025, 0, 15) + 3_600_000 * ++made),
        received_at: new Date('2025-03-03T00:00:00Z'),
        boot_id: randomUUID(),
        monotonic_ms: 1000,
        attendance_type: 'IN',
        outcome: 'pending',
        reason: null,
        decision_id: null,
        punch_id: null,
        image_path: null,
        state: 'open',
        resolved_at: null,
        resolved_by: null,
        notes: null,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    return { id: row.id }
  }
  async function minutesLater() {
    company.clock.advance(120_000)
    return {}
  }

  /** The operation's own example, about who and what is there. */
  async function bodyOf({ name, body }: Operation, changes: Made = {}) {
    const example = JSON.parse(
      JSON.stringify(examples[name]).replaceAll('EMP_001', 'ANN').replaceAll('KIOSK_001', 'GATE'),
    )
    const fields: Made = { ...example, ...changes }
    if (body?.type !== 'multipart/form-data') return fields
    const data = new FormData()
    for (const [field, value] of Object.entries(fields))
      for (const one of [value].flat())
        if (String(one).startsWith('('))
          data.append(field, new Blob([new Uint8Array(await fileOf(String(one)))]), `${field}.jpg`)
        else data.append(field, String(one))
    return data
  }
  async function fileOf(what: string): Promise<Buffer> {
    if (what === '(CSV or XLSX)') return Buffer.from('name;employee_id\nAnn;ANN\n')
    if (what !== '(ZIP)') return face
    const zip = new ZipFile()
    zip.addBuffer(face, 'ANN.jpg')
    zip.end()
    return buffer(zip.outputStream as Readable)
  }

  async function headersOf(who: string, operation: Operation): Promise<Headers> {
    if (who === 'nobody') return { authorization: '' }
    if (who === 'kiosk') return kioskHeaders(company, 'GATE')
    if (who !== 'key') return signIn(company.db, who as Role)
    const permission = permissionOf(operation)!
    const scopes = neverForKeys.includes(permission) ? ['sites:read'] : [permission]
    return keyWith(company.db, ...scopes, ...(alsoAsksFor[operation.name] ?? []))
  }

  async function answered(operation: Operation, who: string) {
    // Those before this one, who were refused, are not its business.
    await company.db.deleteFrom('login_failures').execute()
    const headers = await headersOf(who, operation)
    const { path = {}, body, query = '' } = (await given[operation.name]?.(headers)) ?? {}
    const there: Made = {
      ...{ employee_id: 'ANN', device_id: 'GATE', site_id: 1, id: punch, photo_id: 1, decision_id: 1 },
      ...path,
    }
    const request = {
      method: operation.method,
      url: addressOf(operation.path, (name) => encodeURIComponent(String(there[name]))) + query,
      headers,
      ...(operation.body && { payload: await bodyOf(operation, body) }),
    }
    if (!operation.path.endsWith('/stream')) return company.app.inject(request)
    const answer = await company.app.inject({ ...request, payloadAsStream: true })
    answer.stream().destroy()
    return answer
  }

  test('is what they asked for, with the type and the headers that the document names', async () => {
    const { paths } = (await company.app.inject('/openapi.json')).json()
    const wrong: string[] = []
    for (const operation of operations) {
      const { name, path, method } = operation
      const { responses } = (paths[path] ?? paths[`${path}/`])[method.toLowerCase()]
      for (const who of mayPass[permissionOf(operation)!]!) {
        const answer = await answered(operation, who)
        const { statusCode, headers } = answer
        const told = `${name} as ${who}: ${statusCode}`
        const should = endsWith[name] ?? 200
        if (statusCode !== should) wrong.push(`${told}, should be ${should}: ${answer.body?.slice(0, 300)}`)
        const named = responses[statusCode]
        const type = String(headers['content-type']).split(';')[0]!
        if (!named) wrong.push(`${told} is not in the document`)
        else if (!named.content?.[type]) wrong.push(`${told} is ${type}, not of the document`)
        else if (statusCode < 300)
          for (const header of ['ETag', 'X-Total-Count', 'Link'])
            if (header in (named.headers ?? {}) !== header.toLowerCase() in headers)
              wrong.push(
                `${told}: ${header} ${named.headers?.[header] ? 'is missing' : 'is not in the document'}`,
              )
      }
    }
    expect(wrong).toEqual([])
  }, 180_000)

  test.each([
    ['GET /api/v1/employees/export', '?format=xlsx', '*/*', 'spreadsheetml.sheet'],
    ['GET /api/v1/attendance/export', '?format=xlsx&from=2025-03-01T00:00:00Z', '*/*', 'spreadsheetml.sheet'],
    ['GET /api/v1/employees/{employee_id}/data-export', '?format=zip', '*/*', 'application/zip'],
    ['POST /api/v1/employees/photos/import', '', 'application/x-ndjson', 'application/x-ndjson'],
  ])('%s%s has the other type of the document where that is asked for', async (name, query, accept, type) => {
    const operation = operations.find((each) => each.name === name)!
    const { method, path } = operation
    const answer = await company.app.inject({
      method,
      url: addressOf(path, () => 'ANN') + query,
      headers: { accept },
      ...(operation.body && { payload: await bodyOf(operation) }),
    })
    const { paths } = (await company.app.inject('/openapi.json')).json()
    const { content } = paths[path][method.toLowerCase()].responses[answer.statusCode]
    expect(answer.headers['content-type']).toContain(type)
    expect(Object.keys(content)).toContain(String(answer.headers['content-type']).split(';')[0])
  })

  test('is 404 for each of them where the path names what is not there', async () => {
    const wrong: string[] = []
    const named = operations.filter(({ pathNames }) => pathNames.length > 0)
    expect(named.length).toBeGreaterThan(40)
    for (const operation of named) {
      const past = operation.name.endsWith('/correct') ? { timestamp: '2025-03-01T01:00:00Z' } : {}
      for (const who of mayPass[permissionOf(operation)!]!) {
        const { statusCode } = await company.app.inject({
          method: operation.method,
          url: addressOf(operation.path, nobodyThere),
          headers: await headersOf(who, operation),
          ...(operation.body && { payload: await bodyOf(operation, past) }),
        })
        if (statusCode !== 404) wrong.push(`${operation.name} as ${who}: ${statusCode}`)
      }
    }
    expect(wrong).toEqual([])
  }, 180_000)
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
    expect(await post('/attendance/1/not-me', { device_id: 'OTHER' }, mine)).toBe('wrong_device')
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
