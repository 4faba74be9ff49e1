import { createHash } from 'node:crypto'
import { type TOTP, URI } from 'otpauth'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashPassword } from '../../src/access/passwords.ts'
import { recoverOwner, setupToken } from '../../src/access/users.ts'
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

  test('that are unknown are 404', async () => {
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/reset-link'],
      ['DELETE', '/sessions'],
    ] as const)
      expect(
        (await send(method, `/users/999999${path}`, method === 'PATCH' ? {} : undefined)).json().code,
      ).toBe('user_not_found')
  })
})

describe('a key for a program', () => {
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
    await expect(recoverOwner(empty.db, 'owner', empty.clock.now())).rejects.toThrow('There are no users yet')
    await setUp(await setupToken(empty.db, empty.clock.now()))
    await expect(recoverOwner(empty.db, 'other', empty.clock.now())).rejects.toThrow('There are: owner.')
    const passwordHash = await hashPassword('forgotten, whatever it was')
    await empty.db.updateTable('users').set({ password_hash: passwordHash, role: 'viewer' }).execute()
    const token = await recoverOwner(empty.db, 'owner', empty.clock.now())
    const reset = { token, password: 'a new one at last' }
    await empty.app.inject({ method: 'POST', url: `${api}/reset`, payload: reset, headers: nobody })
    const payload = { username: 'owner', password: reset.password }
    const back = await empty.app.inject({ method: 'POST', url: `${api}/login`, payload, headers: nobody })
    expect(back.json().user.role).toBe('owner')
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
