import { createHash } from 'node:crypto'
import { type TOTP, URI } from 'otpauth'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashPassword } from '../../src/access/passwords.ts'
import { recoverOwner, setupToken } from '../../src/access/users.ts'
import { cliAuthor } from '../../src/ledger/ledger.ts'
import { signIn, type TestApp, testApp } from '../support/app.ts'

const api = '/api/v1/auth'
const password = 'correct horse battery'
const nobody = { authorization: '' }

let running: TestApp
beforeAll(async () => {
  running = await testApp()
})
afterAll(() => running.close())

type Headers = Record<string, string>

const send = (
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  payload?: object,
  headers?: Headers,
) => running.app.inject({ method, url: `${api}${path}`, payload, headers })
const login = (username: string, more: object = {}, headers: Headers = {}) =>
  send('POST', '/login', { username, password, ...more }, { ...nobody, ...headers })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

let count = 0
/** A user with a password; the name is new each time. */
async function makeUser(role = 'hr', more: object = {}): Promise<{ id: number; username: string }> {
  const username = `user${++count}@example.com`
  const { user, link } = (await send('POST', '/users', { username, role, ...more })).json()
  await send('POST', '/reset', { token: link.token, password }, nobody)
  return { id: user.id, username }
}

/** The cookie that an answer sets, as a browser sends it back. */
function cookieOf(answer: { headers: Record<string, unknown> }): Headers {
  const [set] = [answer.headers['set-cookie']].flat()
  return { cookie: String(set).split(';')[0] }
}

const refresh = (cookie: Headers) => send('POST', '/refresh', undefined, { ...nobody, ...cookie })

describe('signing in', () => {
  test('answers a token that opens the API, and a cookie that scripts cannot read', async () => {
    const { username } = await makeUser()
    const answer = await login(username)
    expect(answer.json()).toMatchObject({
      token_type: 'bearer',
      expires_in: 1800,
      user: { username, role: 'hr' },
    })
    expect(String(answer.headers['set-cookie'])).toMatch(/HttpOnly; SameSite=Strict/)
    expect(String(answer.headers['set-cookie'])).toContain('Path=/api/v1/auth')
    const me = await send('GET', '/me', undefined, bearer(answer.json().access_token))
    expect(me.json()).toMatchObject({ username, role: 'hr' })
    expect(me.json().permissions).toContain('employees:write')
    expect(me.json().permissions).not.toContain('users:manage')
  })

  test('takes the name in any case', async () => {
    const { username } = await makeUser()
    expect((await login(username.toUpperCase())).statusCode).toBe(200)
  })

  test('with a wrong password, an unknown name and a deactivated user says the same', async () => {
    const { username } = await makeUser()
    const gone = await makeUser()
    await send('PATCH', `/users/${gone.id}`, { is_active: false })
    const wrong = [
      await login(username, { password: 'wrong password' }),
      await login('nobody@example.com'),
      await login(gone.username),
    ].map((answer) => [answer.statusCode, answer.json().code, answer.json().message])
    expect(wrong[0].slice(0, 2)).toEqual([401, 'invalid_credentials'])
    expect(wrong[1]).toEqual(wrong[0])
    expect(wrong[2]).toEqual(wrong[0])
  })

  test('is not a matter of passwords alone before the first one is chosen', async () => {
    const { user } = (await send('POST', '/users', { username: 'new@example.com', role: 'viewer' })).json()
    expect((await login('new@example.com', { password: 'null' })).statusCode).toBe(401)
    expect(user.role).toBe('viewer')
  })

  test('slows down after five failures, for this name from this address, and says for how long', async () => {
    const { username } = await makeUser()
    for (let i = 0; i < 5; i++) await login(username, { password: 'wrong password' })
    const blocked = await login(username)
    expect([blocked.statusCode, blocked.json().code]).toEqual([429, 'too_many_requests'])
    expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(0)
    running.clock.advance(60_000)
    expect((await login(username)).statusCode).toBe(200)
    expect((await login(username)).statusCode).toBe(200)
  })

  test('many at once do not get more tries than one after the other', async () => {
    const { username } = await makeUser()
    const tries = Array.from({ length: 25 }, () => login(username, { password: 'wrong password' }))
    const codes = (await Promise.all(tries)).map(({ statusCode }) => statusCode)
    expect(codes.filter((code) => code === 401)).toHaveLength(5)
    expect((await login(username)).statusCode).toBe(429)
    running.clock.advance(60 * 60_000)
  })

  test('costs an unknown name as much time as a known one', async () => {
    const { username } = await makeUser()
    const cpu = async (name: string) => {
      const before = process.cpuUsage()
      for (let i = 0; i < 4; i++) await login(name, { password: 'wrong password' })
      const { user, system } = process.cpuUsage(before)
      return user + system
    }
    await cpu('warm-up@example.com')
    const [known, unknown] = [await cpu(username), await cpu('unknown@example.com')]
    // Argon2 takes most of it: without its decoy the unknown name would take a tenth.
    expect(unknown / known).toBeGreaterThan(0.5)
    expect(unknown / known).toBeLessThan(2)
    running.clock.advance(60 * 60_000)
  })
})

describe('a session', () => {
  test('is renewed by its cookie, once for each', async () => {
    const { username } = await makeUser()
    const first = cookieOf(await login(username))
    const renewed = await refresh(first)
    expect(renewed.statusCode).toBe(200)
    const second = cookieOf(renewed)
    expect(second).not.toEqual(first)
    expect((await refresh(second)).statusCode).toBe(200)
  })

  test('ends for everybody when an old token comes back', async () => {
    const { username } = await makeUser()
    const stolen = cookieOf(await login(username))
    const renewed = await refresh(stolen)
    expect(renewed.statusCode).toBe(200)
    running.clock.advance(60_000)
    expect((await refresh(stolen)).statusCode).toBe(401)
    expect((await refresh(cookieOf(renewed))).statusCode).toBe(401)
    const token = renewed.json().access_token
    expect((await send('GET', '/me', undefined, bearer(token))).statusCode).toBe(401)
  })

  test('ends when a token comes back that was exchanged twice since', async () => {
    const { username } = await makeUser()
    const victims = cookieOf(await login(username))
    const thiefs = cookieOf(await refresh(cookieOf(await refresh(victims))))
    running.clock.advance(11_000)
    expect((await refresh(victims)).statusCode).toBe(401)
    expect((await refresh(thiefs)).statusCode).toBe(401)
  })

  test('is ended by signing out with its access token alone, and with the cookie before the last', async () => {
    const { username } = await makeUser()
    const byToken = (await login(username)).json().access_token
    await send('POST', '/logout', undefined, bearer(byToken))
    const second = await login(username)
    const before = cookieOf(second)
    await refresh(before)
    await send('POST', '/logout', undefined, { ...nobody, ...before })
    for (const token of [byToken, second.json().access_token])
      expect((await send('GET', '/me', undefined, bearer(token))).statusCode).toBe(401)
  })

  test('outlives two tabs that renew at once', async () => {
    const { username } = await makeUser()
    const cookie = cookieOf(await login(username))
    const answers = await Promise.all([refresh(cookie), refresh(cookie)])
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 401])
    const winner = answers.find(({ statusCode }) => statusCode === 200)!
    expect((await refresh(cookieOf(winner))).statusCode).toBe(200)
  })

  test('expires after thirty days, its access token after thirty minutes', async () => {
    const { username } = await makeUser()
    const answer = await login(username)
    const { access_token } = answer.json()
    running.clock.advance(31 * 60_000)
    expect((await send('GET', '/me', undefined, bearer(access_token))).statusCode).toBe(401)
    running.clock.advance(30 * 24 * 60 * 60_000)
    expect((await refresh(cookieOf(answer))).statusCode).toBe(401)
  })

  test('is over at once where it is signed out, ended, or its user changes', async () => {
    const { id, username } = await makeUser()
    const endings: (() => Promise<unknown>)[] = []
    const me = (token: string) => send('GET', '/me', undefined, bearer(token))
    const begin = async () => {
      const answer = await login(username)
      return { cookie: cookieOf(answer), token: answer.json().access_token as string }
    }
    const out = await begin()
    endings.push(() => send('POST', '/logout', undefined, { ...nobody, ...out.cookie }))
    const other = await begin()
    const { session_id } = (await me(other.token)).json()
    endings.push(() => send('DELETE', `/sessions/${session_id}`, undefined, bearer(other.token)))
    for (const [index, { token }] of [out, other].entries()) {
      expect((await me(token)).statusCode).toBe(200)
      await endings[index]()
      expect((await me(token)).statusCode).toBe(401)
    }
    for (const change of [
      () => send('PATCH', `/users/${id}`, { role: 'viewer' }),
      () => send('DELETE', `/users/${id}/sessions`),
      () => send('PATCH', `/users/${id}`, { is_active: false }),
    ]) {
      const { token } = await begin()
      await change()
      expect((await me(token)).statusCode).toBe(401)
    }
  })

  test('is listed with its place, and only its own person may end it', async () => {
    const [one, other] = [await makeUser(), await makeUser()]
    const token = (await login(one.username, {}, { 'user-agent': 'Door tablet' })).json().access_token
    const [session] = (await send('GET', '/sessions', undefined, bearer(token))).json()
    expect(session).toMatchObject({ user_agent: 'Door tablet', current: true, ip_address: '127.0.0.1' })
    const others = bearer((await login(other.username)).json().access_token)
    expect((await send('DELETE', `/sessions/${session.id}`, undefined, others)).statusCode).toBe(404)
  })
})

describe('a password', () => {
  test('is changed with the old one, which ends the other sessions', async () => {
    const { username } = await makeUser()
    const [here, there] = [await login(username), await login(username)].map((a) => a.json().access_token)
    const change = { current_password: password, new_password: 'another long one' }
    const wrong = await send('POST', '/password', { ...change, current_password: 'not it' }, bearer(here))
    expect([wrong.statusCode, wrong.json().code]).toEqual([401, 'invalid_credentials'])
    expect((await send('POST', '/password', change, bearer(here))).statusCode).toBe(200)
    expect((await send('GET', '/me', undefined, bearer(here))).statusCode).toBe(200)
    expect((await send('GET', '/me', undefined, bearer(there))).statusCode).toBe(401)
    expect((await login(username, { password: 'another long one' })).statusCode).toBe(200)
  })

  test('is chosen by a link that works once and for a day', async () => {
    const { id, username } = await makeUser()
    const link = async () => (await send('POST', `/users/${id}/reset-link`)).json().token
    const [first, second] = [await link(), await link()]
    const reset = (token: string) => send('POST', '/reset', { token, password: 'chosen by the link' }, nobody)
    expect((await reset(first)).json().code).toBe('link_not_valid')
    expect((await reset(second)).statusCode).toBe(200)
    expect((await reset(second)).statusCode).toBe(403)
    expect((await login(username, { password: 'chosen by the link' })).statusCode).toBe(200)
    const late = await link()
    running.clock.advance(25 * 60 * 60_000)
    expect((await reset(late)).statusCode).toBe(403)
  })

  test('cannot be chosen by a link from before a promotion or another password', async () => {
    const { id, username } = await makeUser()
    const admin = await signIn(running.db, 'admin')
    const link = async () => (await send('POST', `/users/${id}/reset-link`, undefined, admin)).json().token
    const reset = (token: string) => send('POST', '/reset', { token, password: 'chosen by another' }, nobody)
    const beforeChange = await link()
    const token = (await login(username)).json().access_token
    const change = { current_password: password, new_password: 'another long one' }
    await send('POST', '/password', change, bearer(token))
    expect((await reset(beforeChange)).statusCode).toBe(403)
    const beforePromotion = await link()
    await send('PATCH', `/users/${id}`, { role: 'owner' })
    expect((await reset(beforePromotion)).statusCode).toBe(403)
  })

  test('is never stored, and neither is a token', async () => {
    const { username } = await makeUser()
    const answer = await login(username)
    const { rows } = await running.db
      .selectFrom('users')
      .selectAll()
      .execute()
      .then((rows) => ({ rows }))
    const stored = JSON.stringify([rows, await running.db.selectFrom('sessions').selectAll().execute()])
    expect(stored).not.toContain(password)
    expect(stored).not.toContain(cookieOf(answer).cookie.split('=')[1])
  })
})

describe('a second factor', () => {
  /** Sets one up and answers what makes its codes. */
  async function setUp(username: string) {
    const token = (await login(username)).json().access_token
    const { uri, qr_svg } = (await send('POST', '/totp', { password }, bearer(token))).json()
    expect(qr_svg).toMatch(/^<svg/)
    const totp = URI.parse(uri) as TOTP
    const code = () => totp.generate({ timestamp: running.clock.now().getTime() })
    const confirmed = await send('POST', '/totp/confirm', { code: code() }, bearer(token))
    expect(confirmed.statusCode).toBe(200)
    return { code, token }
  }

  test('is asked for after the password, and each code works once', async () => {
    const { username } = await makeUser()
    const { code } = await setUp(username)
    running.clock.advance(60_000)
    expect((await login(username)).json().code).toBe('code_required')
    expect((await login(username, { code: '000000' })).json().code).toBe('invalid_credentials')
    const now = code()
    expect((await login(username, { code: now })).statusCode).toBe(200)
    expect((await login(username, { code: now })).statusCode).toBe(401)
  })

  test('of which one code is sent twice at once lets one in', async () => {
    const { username } = await makeUser()
    const { code } = await setUp(username)
    running.clock.advance(60_000)
    const now = code()
    const answers = await Promise.all([1, 2, 3].map(() => login(username, { code: now })))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 401, 401])
  })

  test('cannot be guessed by beginning anew after every few codes', async () => {
    const { username } = await makeUser()
    await setUp(username)
    running.clock.advance(60_000)
    const codes: number[] = []
    for (let i = 0; i < 12; i++)
      codes.push((await login(username, i % 3 === 2 ? {} : { code: '000000' })).statusCode)
    expect(codes.slice(5)).toEqual(codes.slice(5).map(() => 429))
    running.clock.advance(60 * 60_000)
  })

  test('that another secret sealed says what to do', async () => {
    const { id, username } = await makeUser()
    const { code } = await setUp(username)
    running.clock.advance(60_000)
    await running.db
      .updateTable('users')
      .set({ totp_secret: Buffer.alloc(48) })
      .where('id', '=', id)
      .execute()
    const answer = await login(username, { code: code() })
    expect([answer.statusCode, answer.json().message]).toEqual([403, expect.stringContaining('reset link')])
  })

  test('does not count before it is confirmed, and is sealed in the database', async () => {
    const { id, username } = await makeUser()
    const token = (await login(username)).json().access_token
    const { secret } = (await send('POST', '/totp', { password }, bearer(token))).json()
    expect((await login(username)).statusCode).toBe(200)
    const row = await running.db
      .selectFrom('users')
      .select('totp_secret')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    const raw = Buffer.from(URI.parse(`otpauth://totp/x?secret=${secret}`).secret.bytes)
    expect(Buffer.from(row.totp_secret!).includes(raw)).toBe(false)
  })

  test('goes with the password, or with a reset by an administrator', async () => {
    const { username } = await makeUser()
    const { token } = await setUp(username)
    expect((await send('DELETE', '/totp', { password: 'wrong one' }, bearer(token))).statusCode).toBe(401)
    expect((await send('DELETE', '/totp', { password }, bearer(token))).statusCode).toBe(200)
    expect((await login(username)).statusCode).toBe(200)
  })
})

describe('users', () => {
  test('have names that differ by more than case', async () => {
    const { username } = await makeUser()
    const again = await send('POST', '/users', { username: username.toUpperCase(), role: 'hr' })
    expect([again.statusCode, again.json().code]).toEqual([409, 'username_taken'])
  })

  test('who manage departments have some, and nobody else has', async () => {
    const bad = [
      { role: 'manager' },
      { role: 'hr', departments: ['IT'] },
      { role: 'manager', departments: [] },
    ]
    for (const one of bad)
      expect((await send('POST', '/users', { username: 'x@example.com', ...one })).statusCode).toBe(422)
    const { id } = await makeUser('manager', { departments: ['IT'] })
    expect((await send('PATCH', `/users/${id}`, { role: 'viewer' })).json().departments).toBeNull()
    expect((await send('PATCH', `/users/${id}`, { role: 'manager' })).statusCode).toBe(422)
  })

  test('below an owner cannot make, change, reset or remove one', async () => {
    const admin = await signIn(running.db, 'admin')
    const { id } = await makeUser('owner')
    const refused = [
      await send('POST', '/users', { username: 'o@example.com', role: 'owner' }, admin),
      await send('PATCH', `/users/${id}`, { role: 'viewer' }, admin),
      await send('POST', `/users/${id}/reset-link`, undefined, admin),
      await send('DELETE', `/users/${id}/sessions`, undefined, admin),
      await send('DELETE', `/users/${id}`, undefined, admin),
    ]
    expect(refused.map(({ statusCode }) => statusCode)).toEqual([403, 403, 403, 403, 403])
    const own = await makeUser('viewer')
    expect((await send('PATCH', `/users/${own.id}`, { role: 'owner' }, admin)).statusCode).toBe(403)
    expect((await send('PATCH', `/users/${own.id}`, { role: 'admin' }, admin)).statusCode).toBe(200)
  })

  test('are not changed by a request that changes nothing, and it says so', async () => {
    const { id } = await makeUser()
    for (const nothing of [{}, { foo: 1 }]) {
      const answer = await send('PATCH', `/users/${id}`, nothing)
      expect([answer.statusCode, answer.json().code]).toEqual([422, 'invalid_request'])
      expect(answer.json().message).toContain('changes nothing')
    }
    expect((await send('GET', `/users/${id}`)).json().version).toBe(1)
  })

  test('who were promoted while an administrator below an owner was at work stay what they are', async () => {
    const admin = await signIn(running.db, 'admin')
    const acts = [
      (id: number) => send('PATCH', `/users/${id}`, { departments: ['IT'] }, admin),
      (id: number) => send('DELETE', `/users/${id}`, undefined, admin),
      (id: number) => send('POST', `/users/${id}/reset-link`, undefined, admin),
      (id: number) => send('DELETE', `/users/${id}/sessions`, undefined, admin),
    ]
    for (const act of acts) {
      const { id } = await makeUser('manager', { departments: ['HR'] })
      const answer = await running.ledger.by(cliAuthor)(async (trx) => {
        await trx
          .updateTable('users')
          .set({ role: 'owner', departments: null })
          .where('id', '=', id)
          .execute()
        // Begun before the promotion is there for others to see; answered after it.
        const begun = act(id).then((answered) => answered)
        await new Promise((resolve) => setTimeout(resolve, 300))
        return { begun }
      })
      expect((await answer.begun).statusCode).toBe(403)
      expect((await send('GET', `/users/${id}`)).json()).toMatchObject({ role: 'owner', departments: null })
    }
  })

  test('are removed only as they were read', async () => {
    const { id } = await makeUser()
    const late = await send('DELETE', `/users/${id}`, undefined, { 'if-match': '"9"' })
    expect([late.statusCode, late.json().code]).toEqual([412, 'version_mismatch'])
    expect((await send('DELETE', `/users/${id}`, undefined, { 'if-match': '"1"' })).statusCode).toBe(200)
  })

  test('that are unknown are 404', async () => {
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/reset-link'],
      ['DELETE', '/sessions'],
    ] as const)
      expect(
        (await send(method, `/users/999999${path}`, method === 'PATCH' ? { name: 'X' } : undefined)).json()
          .code,
      ).toBe('user_not_found')
  })
})

test('no answer that may hold a token, a key or a link is kept on its way', async () => {
  const { id, username } = await makeUser()
  const signedIn = await login(username)
  const answers = [
    signedIn,
    await refresh(cookieOf(signedIn)),
    await send('POST', '/users', { username: 'invited@example.com', role: 'hr' }),
    await send('POST', `/users/${id}/reset-link`),
    await send('POST', '/api-keys', { name: 'Payroll', scopes: ['employees:read'] }),
    await send('POST', '/totp', { password }, bearer((await login(username)).json().access_token)),
  ]
  for (const { statusCode, headers } of answers)
    expect([Math.floor(statusCode / 100), headers['cache-control']]).toEqual([2, 'no-store'])
})

describe('a key for a program', () => {
  test.each([
    [
      'expires before it is made',
      { expires_at: '2025-03-03T01:00:00Z' },
      'expires_at: must lie in the future',
    ],
    ['may do nothing', { scopes: [] }, 'scopes: must have at least one entry.'],
  ])('is not made when it %s', async (_what, wrong, sentence) => {
    running.clock.set('2025-03-03T01:00:00Z')
    const key = { name: 'Payroll', scopes: ['employees:read'], ...wrong }
    const answer = await send('POST', '/api-keys', key)
    expect(answer.statusCode).toBe(422)
    expect(answer.json().message).toContain(sentence)
  })

  const make = async (scopes: string[], more: object = {}) =>
    (await send('POST', '/api-keys', { name: 'Payroll', scopes, ...more })).json()
  const people = (key: string) =>
    running.app.inject({ url: '/api/v1/employees', headers: { 'x-api-key': key } })

  test('opens what its scopes name and nothing else; it is shown once', async () => {
    const made = await make(['employees:read', 'employees:read'])
    expect(made.scopes).toEqual(['employees:read'])
    expect((await people(made.key)).statusCode).toBe(200)
    const headers = { 'x-api-key': made.key }
    expect((await running.app.inject({ url: '/api/v1/attendance', headers })).statusCode).toBe(403)
    const listed = (await send('GET', '/api-keys')).body
    expect(listed).not.toContain(made.key)
    expect(listed).toContain(made.hint)
    const stored = JSON.stringify(await running.db.selectFrom('api_keys').selectAll().execute())
    expect(stored).not.toContain(made.key)
    expect(stored).toContain(createHash('sha256').update(made.key).digest('hex'))
  })

  test('shows when it was last used', async () => {
    const { id, key } = await make(['employees:read'])
    await people(key)
    const listed = (await send('GET', '/api-keys')).json().find((one: { id: number }) => one.id === id)
    expect(listed.last_used_at).toBe(running.clock.now().toISOString())
  })

  test('is refused at once when it is revoked, and after its time', async () => {
    const expires_at = new Date(running.clock.now().getTime() + 60_000).toISOString()
    const [revoked, short] = [await make(['employees:read']), await make(['employees:read'], { expires_at })]
    expect((await send('DELETE', `/api-keys/${revoked.id}`)).statusCode).toBe(200)
    expect((await people(revoked.key)).statusCode).toBe(401)
    expect((await people(short.key)).statusCode).toBe(200)
    running.clock.advance(61_000)
    expect((await people(short.key)).statusCode).toBe(401)
    expect((await send('DELETE', `/api-keys/${revoked.id}`)).json().code).toBe('key_not_found')
  })

  test('may do what its maker may do now, and nothing when they are gone', async () => {
    const { id, username } = await makeUser('owner')
    const maker = bearer((await login(username)).json().access_token)
    const body = { name: 'x', scopes: ['employees:read', 'devices:write'] }
    const { key } = (await send('POST', '/api-keys', body, maker)).json()
    const devices = (method: 'GET' | 'POST') =>
      running.app.inject({
        method,
        url: `/api/v1/devices${method === 'POST' ? '/register' : ''}`,
        headers: { 'x-api-key': key },
        payload: method === 'POST' ? { device_id: `K${id}` } : undefined,
      })
    expect((await devices('POST')).statusCode).toBe(201)
    await send('PATCH', `/users/${id}`, { role: 'hr' })
    expect((await devices('POST')).statusCode).toBe(403)
    expect((await people(key)).statusCode).toBe(200)
    await send('DELETE', `/users/${id}`)
    expect((await people(key)).statusCode).toBe(401)
  })

  test('gives no more than its maker has, and never users or a kiosk’s voice', async () => {
    const admin = await signIn(running.db, 'admin')
    const body = (scope: string) => ({ name: 'x', scopes: [scope] })
    expect((await send('POST', '/api-keys', body('employees:purge'), admin)).statusCode).toBe(403)
    expect((await send('POST', '/api-keys', body('users:manage'))).statusCode).toBe(422)
    expect((await send('POST', '/api-keys', body('devices:report'))).statusCode).toBe(422)
  })
})

describe('the lists', () => {
  interface Listed {
    id: number
    name: string
    username: string
  }
  const names = async (query: string) =>
    (await send('GET', `/users?search=lists.example&${query}`)).json().map((user: Listed) => user.name)
  beforeAll(async () => {
    const people = [
      ['Trần Thị Ánh', 'viewer'],
      ['Lê Văn Đức', 'hr'],
      ['Nguyễn Thị An', 'hr'],
      ['Bùi Dũng', 'viewer'],
    ]
    for (const [index, [name, role]] of people.entries())
      await send('POST', '/users', { username: `u${3 - index}@lists.example`, name, role })
  })

  test('of users are sorted by given name as in Vietnam, and by what else is asked for', async () => {
    const byName = ['Nguyễn Thị An', 'Trần Thị Ánh', 'Bùi Dũng', 'Lê Văn Đức']
    expect(await names('sort=name')).toEqual(byName)
    expect(await names('sort=-name')).toEqual(byName.toReversed())
    expect(await names('sort=username')).toEqual(['Bùi Dũng', 'Nguyễn Thị An', 'Lê Văn Đức', 'Trần Thị Ánh'])
    expect(await names('')).toEqual(['Trần Thị Ánh', 'Lê Văn Đức', 'Nguyễn Thị An', 'Bùi Dũng'])
    expect((await send('GET', '/users?sort=password_hash')).statusCode).toBe(422)
  })

  test('of users find without accents, by role, and the deactivated', async () => {
    expect(await names('role=hr')).toEqual(['Lê Văn Đức', 'Nguyễn Thị An'])
    const found = (await send('GET', '/users?search=duc')).json()
    expect(found.map(({ name }: Listed) => name)).toEqual(['Lê Văn Đức'])
    await send('PATCH', `/users/${found[0].id}`, { is_active: false })
    expect(await names('is_active=false')).toEqual(['Lê Văn Đức'])
    expect(await names('is_active=true&role=hr')).toEqual(['Nguyễn Thị An'])
  })

  test('of users, keys and sessions come in pages, and say how many there are', async () => {
    const { username } = await makeUser('admin')
    const token = (await login(username)).json().access_token
    for (let i = 0; i < 2; i++) await login(username)
    for (const name of ['one', 'two', 'three'])
      await send('POST', '/api-keys', { name, scopes: ['employees:read'] })
    for (const path of ['/users', '/api-keys', '/sessions']) {
      const get = (query: string) => send('GET', `${path}?${query}`, undefined, bearer(token))
      const everything = await get('')
      const all = everything.json().map(({ id }: { id: unknown }) => id)
      expect(everything.headers['x-total-count']).toBe(String(all.length))
      const page = await get('limit=2&skip=1')
      expect(page.json().map(({ id }: { id: unknown }) => id)).toEqual(all.slice(1, 3))
      expect(page.headers['x-total-count']).toBe(String(all.length))
      expect(page.headers.link).toContain(`<${api}${path}?limit=2&skip=0>; rel="prev"`)
      for (const wrong of ['limit=0', 'limit=0x10', 'limit=1e1', 'skip=-1', 'skip=%201', 'limit=2&limit=3'])
        expect((await get(wrong)).statusCode).toBe(422)
    }
  })
})

describe('two administrators who edit a user', () => {
  test('learn of each other: the second has to read again', async () => {
    const { id } = await makeUser()
    const { etag } = (await send('GET', `/users/${id}`)).headers
    expect(etag).toBe('"1"')
    const edit = (name: string, version = '') =>
      send('PATCH', `/users/${id}`, { name }, version === '' ? undefined : { 'if-match': version })
    const first = await edit('First', etag as string)
    expect([first.statusCode, first.headers.etag, first.json().version]).toEqual([200, '"2"', 2])
    const second = await edit('Second', etag as string)
    expect([second.statusCode, second.json().code]).toEqual([412, 'version_mismatch'])
    expect((await send('GET', `/users/${id}`)).json().name).toBe('First')
    expect((await edit('Third', '"2"')).statusCode).toBe(200)
    expect((await edit('Whatever was there', '*')).statusCode).toBe(200)
    expect((await edit('Without asking')).json().version).toBe(5)
  })

  test('at the same moment: one of them wins', async () => {
    const { id } = await makeUser()
    const headers = { 'if-match': '"1"' }
    const edits = Array.from({ length: 5 }, (_, i) =>
      send('PATCH', `/users/${id}`, { name: `n${i}` }, headers),
    )
    const statuses = (await Promise.all(edits)).map(({ statusCode }) => statusCode)
    expect(statuses.sort()).toEqual([200, 412, 412, 412, 412])
  })

  test('name them by plain digits', async () => {
    const [{ id }] = (await send('GET', '/users?limit=1')).json()
    expect((await send('GET', `/users/${id}`)).statusCode).toBe(200)
    for (const number of [`0x${id.toString(16)}`, `0${id}`, `${id}.0`, `${id}e0`, `%20${id}`, `%2B${id}`])
      expect((await send('GET', `/users/${number}`)).statusCode).toBe(422)
  })
})

describe('what is written down', () => {
  /** What the log holds of one user or key, the oldest first. */
  const audit = async (subject_kind: string, subject: number) => {
    const query = `subject_kind=${subject_kind}&subject=${subject}&sort=id`
    const answer = await running.app.inject({ url: `/api/v1/audit?${query}` })
    expect(answer.statusCode).toBe(200)
    return answer.json()
  }
  const from = { from: '127.0.0.1', request_id: expect.any(String) }
  const entered = { seq: expect.any(Number), mac: expect.stringMatching(/^[0-9a-f]{64}$/) }

  test('of a user: who invited, changed and removed them, with before and after, and from where', async () => {
    const admin = await signIn(running.db, 'admin')
    const me = (await send('GET', '/me', undefined, admin)).json()
    const by = `user:${me.id}`
    const invited = { username: 'audited@example.com', name: 'Before', role: 'viewer' }
    const { user } = (await send('POST', '/users', invited, admin)).json()
    await send('PATCH', `/users/${user.id}`, { name: 'After', role: 'hr' }, admin)
    await send('POST', `/users/${user.id}/reset-link`, undefined, admin)
    await send('DELETE', `/users/${user.id}/sessions`, undefined, admin)
    await send('DELETE', `/users/${user.id}`, undefined, admin)
    const rows = await audit('users', user.id)
    expect(rows).toMatchObject([
      { by, action: 'insert', details: { after: invited, route: `POST ${api}/users`, ...from }, ...entered },
      {
        by,
        action: 'update',
        details: {
          before: { name: 'Before', role: 'viewer' },
          after: { name: 'After', role: 'hr' },
          route: `PATCH ${api}/users/:id`,
          ...from,
        },
        ...entered,
      },
      {
        by,
        action: 'reset_link',
        details: { route: `POST ${api}/users/:id/reset-link`, ...from },
        ...entered,
      },
      { by, action: 'end_sessions', ...entered },
      { by, action: 'delete', details: { before: { username: invited.username, role: 'hr' } }, ...entered },
    ])
    expect(rows[1].details.before).toEqual({ name: 'Before', role: 'viewer' })
  })

  test('of a key: who made and revoked it, and never the key', async () => {
    const made = (await send('POST', '/api-keys', { name: 'Payroll', scopes: ['employees:read'] })).json()
    await running.app.inject({ url: '/api/v1/employees', headers: { 'x-api-key': made.key } })
    await send('DELETE', `/api-keys/${made.id}`)
    const rows = await audit('api_keys', made.id)
    expect(rows).toMatchObject([
      {
        action: 'insert',
        details: { after: { name: 'Payroll', scopes: ['employees:read'], key_hash: '(hidden)' } },
        ...entered,
      },
      { action: 'delete', details: { before: { name: 'Payroll', key_hash: '(hidden)' } }, ...entered },
    ])
    for (const row of rows) expect(row.by).toBe(`user:${made.created_by}`)
  })

  test('of signing in: each success, from where, and no failure', async () => {
    const { id, username } = await makeUser()
    const before = (await audit('users', id)).length
    for (let i = 0; i < 3; i++) await login(username, { password: 'wrong password' })
    expect(await audit('users', id)).toHaveLength(before)
    await login(username)
    expect((await audit('users', id)).slice(before)).toMatchObject([
      { by: `user:${id}`, action: 'sign_in', details: { route: `POST ${api}/login`, ...from }, ...entered },
    ])
  })

  test('of passwords and second factors: that they changed, never what they are', async () => {
    const { id, username } = await makeUser()
    const token = (await login(username)).json().access_token
    const body = { current_password: password, new_password: 'another long one' }
    await send('POST', '/password', body, bearer(token))
    const proof = { password: 'another long one' }
    const { uri, secret } = (await send('POST', '/totp', proof, bearer(token))).json()
    const code = (URI.parse(uri) as TOTP).generate({ timestamp: running.clock.now().getTime() })
    expect((await send('POST', '/totp/confirm', { code }, bearer(token))).statusCode).toBe(200)
    await send('DELETE', '/totp', proof, bearer(token))
    const rows = await audit('users', id)
    const changes = rows
      .slice(-4)
      .map(({ by, details }: { by: string; details: object }) => ({ by, details }))
    const by = `user:${id}`
    expect(changes).toMatchObject([
      { by, details: { after: { password_hash: '(hidden)' }, route: `POST ${api}/password` } },
      { by, details: { before: { totp_secret: null }, after: { totp_secret: '(hidden)' } } },
      { by, details: { before: { totp_confirmed: false }, after: { totp_confirmed: true } } },
      { by, details: { before: { totp_secret: '(hidden)' }, after: { totp_secret: null } } },
    ])
    const { password_hash } = await running.db
      .selectFrom('users')
      .select('password_hash')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    const log = JSON.stringify(await running.db.selectFrom('audit_log').selectAll().execute())
    for (const hidden of [password_hash!, password, 'another long one', secret])
      expect(log.includes(hidden)).toBe(false)
    // Of keys the beginning is told, which shows which one it is.
    expect(log.match(/argon2|rollcall_[a-z]+_[\w-]{10,}|[0-9a-f]{64}/g)).toBe(null)
  })

  test('of a refused change: nothing', async () => {
    const { id } = await makeUser()
    const before = (await audit('users', id)).length
    await send('PATCH', `/users/${id}`, { name: 'Late' }, { 'if-match': '"9"' })
    await send('PATCH', `/users/${id}`, { role: 'manager' })
    expect(await audit('users', id)).toHaveLength(before)
  })
})

describe('the first owner', () => {
  let empty: TestApp
  beforeEach(async () => {
    empty = await testApp()
    await empty.db.deleteFrom('users').execute()
    return () => empty.close()
  })
  const setUp = (token: string, username = 'owner') =>
    empty.app.inject({
      method: 'POST',
      url: `${api}/setup`,
      payload: { token, username, password },
      headers: nobody,
    })
  const needed = async () => (await empty.app.inject({ url: `${api}/setup`, headers: nobody })).json().needed

  test('is made by the link that the server printed, once', async () => {
    const token = await setupToken(empty.db, empty.clock.now())
    expect(await needed()).toBe(true)
    expect((await setUp('rollcall_link_guessed')).json().code).toBe('link_not_valid')
    const made = await setUp(token)
    expect([made.statusCode, made.json().user.role]).toEqual([201, 'owner'])
    expect(await needed()).toBe(false)
    expect((await setUp(token, 'second')).statusCode).toBe(403)
  })

  test('is one, however many open the link at once', async () => {
    const token = await setupToken(empty.db, empty.clock.now())
    const answers = await Promise.all(Array.from({ length: 5 }, (_, i) => setUp(token, `owner${i}`)))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, 403, 403, 403, 403])
    expect(await empty.db.selectFrom('users').select('id').execute()).toHaveLength(1)
  })

  test('is not made by an older link', async () => {
    const older = await setupToken(empty.db, empty.clock.now())
    await setupToken(empty.db, empty.clock.now())
    expect((await setUp(older)).statusCode).toBe(403)
  })

  test('cannot be removed, demoted or deactivated while there is no other', async () => {
    await setUp(await setupToken(empty.db, empty.clock.now()))
    const { access_token, user } = (
      await empty.app.inject({
        method: 'POST',
        url: `${api}/login`,
        payload: { username: 'owner', password },
        headers: nobody,
      })
    ).json()
    const as = { headers: bearer(access_token), url: `${api}/users/${user.id}` }
    for (const payload of [{ role: 'viewer' }, { is_active: false }])
      expect((await empty.app.inject({ method: 'PATCH', payload, ...as })).json().code).toBe('last_owner')
    expect((await empty.app.inject({ method: 'DELETE', ...as })).json().code).toBe('last_owner')
    expect((await empty.app.inject({ ...as })).json()).toMatchObject({ role: 'owner', is_active: true })
  })

  test('who is lost comes back by the command line', async () => {
    await expect(recoverOwner(empty.ledger.by(cliAuthor), 'owner', empty.clock.now())).rejects.toThrow(
      'There are no users yet',
    )
    await setUp(await setupToken(empty.db, empty.clock.now()))
    await expect(recoverOwner(empty.ledger.by(cliAuthor), 'other', empty.clock.now())).rejects.toThrow(
      'There are: owner.',
    )
    const passwordHash = await hashPassword('forgotten, whatever it was')
    await empty.db.updateTable('users').set({ password_hash: passwordHash, role: 'viewer' }).execute()
    const token = await recoverOwner(empty.ledger.by(cliAuthor), 'owner', empty.clock.now())
    const reset = { token, password: 'a new one at last' }
    await empty.app.inject({ method: 'POST', url: `${api}/reset`, payload: reset, headers: nobody })
    const payload = { username: 'owner', password: reset.password }
    const back = await empty.app.inject({ method: 'POST', url: `${api}/login`, payload, headers: nobody })
    expect(back.json().user.role).toBe('owner')
    const changes = empty.db.selectFrom('audit_log').select(['action', 'by', 'details'])
    expect(await changes.where('by', '=', 'cli').orderBy('id').execute()).toMatchObject([
      { action: 'update', details: { before: { role: 'viewer' }, after: { role: 'owner' } } },
      { action: 'reset_link' },
    ])
  })
})

describe('who sends no credentials, or several', () => {
  test('is asked to sign in', async () => {
    const answer = await running.app.inject({ url: '/api/v1/employees', headers: nobody })
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'not_signed_in'])
    expect(answer.headers['www-authenticate']).toBe('Bearer')
  })

  test('is told to send one', async () => {
    const owner = await signIn(running.db, 'owner')
    const headers = { ...owner, 'x-api-key': 'rollcall_api_x' }
    const answer = await running.app.inject({ url: '/api/v1/employees', headers })
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'not_signed_in'])
  })

  test('and comes from another site is refused before anything else', async () => {
    const { username } = await makeUser()
    const foreign = await login(username, {}, { origin: 'https://evil.example' })
    expect([foreign.statusCode, foreign.json().code]).toEqual([403, 'forbidden'])
    expect(
      (await login(username, {}, { origin: 'http://localhost:80', host: 'localhost:80' })).statusCode,
    ).toBe(200)
  })
})
