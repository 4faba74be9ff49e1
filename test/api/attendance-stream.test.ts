import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { punchReader } from '../../src/attendance/stream.ts'
import type { Database } from '../../src/database/tables.ts'
import { assign } from '../attendance/company.ts'
import { enrol, recordPunch, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let origin: string
let owner: { authorization: string }
const listeners: AbortController[] = []

beforeAll(async () => {
  running = await testApp()
  origin = await running.app.listen({ host: '127.0.0.1', port: 0 })
  owner = await signIn(running.db, 'owner')
})
beforeEach(async () => {
  await running.clear()
  await registerKiosk(running, 'GATE')
  for (const id of ['ANN', 'BOB']) await enrol(running, id)
  await assign(running.db, { ANN: 'Sales', BOB: 'Stock' })
})
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.abort()
})
afterAll(() => running.close())

/** Opens a stream and keeps what comes. */
async function listen(headers: Record<string, string>, server = origin) {
  const stop = new AbortController()
  listeners.push(stop)
  const response = await fetch(`${server}/api/v1/attendance/stream`, { headers, signal: stop.signal })
  const heard = { response, text: '', ended: false }
  const read = async () => {
    const decoder = new TextDecoder()
    for await (const chunk of response.body!) heard.text += decoder.decode(chunk, { stream: true })
    heard.ended = true
  }
  read().catch(() => {})
  return {
    ...heard,
    heard,
    stop: () => stop.abort(),
    /** The ids of the punches. */
    ids: () => [...heard.text.matchAll(/^id: (\d+)\nevent: punch$/gm)].map(([, id]) => Number(id)),
    /** What a browser would come back with. */
    lastId: () => [...heard.text.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1],
    punches: () => [...heard.text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data)),
  }
}

const patience = { timeout: 15_000 }
const punch = (employeeId: string) => recordPunch(running.db, employeeId, 'GATE')

describe('the stream of punches', () => {
  test('sends what is new, as it stands in the lists, and nothing that was there before', async () => {
    await punch('ANN')
    const stream = await listen(owner)
    expect(stream.response.status).toBe(200)
    expect(stream.response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(stream.response.headers.get('x-request-id')).toMatch(/-/)
    await expect.poll(() => stream.heard.text).toContain('retry: ')
    const id = await punch('BOB')
    await expect.poll(stream.ids, patience).toEqual([id])
    expect(stream.heard.text).toContain(`id: ${id}\nevent: punch\ndata: {`)
    const listed = await running.app.inject('/api/v1/attendance?limit=1')
    expect(stream.punches()).toEqual(listed.json())
  })

  test('goes on where it was left', async () => {
    const stream = await listen({ ...owner, 'last-event-id': '0' })
    const first = await punch('ANN')
    await expect.poll(stream.ids, patience).toEqual([first])
    stream.stop()
    const missed = [await punch('BOB'), await punch('ANN')]
    const again = await listen({ ...owner, 'last-event-id': String(first) })
    await expect.poll(again.ids, patience).toEqual(missed)
  })

  test('misses nothing of which it was cut off before it heard of any', async () => {
    await punch('ANN')
    const silent = await listen(owner)
    await expect.poll(silent.lastId).toBeDefined()
    const lastId = silent.lastId()!
    silent.stop()
    const between = await punch('BOB')
    const again = await listen({ ...owner, 'last-event-id': lastId })
    await expect.poll(again.ids, patience).toEqual([between])
  })

  test('begins now for a client that has seen numbers that are not there yet, of before a restore', async () => {
    await punch('ANN')
    const stream = await listen({ ...owner, 'last-event-id': '2000000000' })
    await expect.poll(() => stream.heard.text).toContain('retry: ')
    const id = await punch('BOB')
    await expect.poll(stream.ids, patience).toEqual([id])
  })

  test('ends as soon as its session does, its key is revoked, or its reader may see other people', async () => {
    const ended = async (leave: (userId: number) => Promise<unknown>, headers: Record<string, string>) => {
      const stream = await listen(headers)
      expect(stream.response.status).toBe(200)
      const { id } = await running.db
        .selectFrom('users')
        .select('id')
        .orderBy('id', 'desc')
        .executeTakeFirstOrThrow()
      await leave(id)
      const after = await punch('ANN')
      await expect.poll(() => stream.heard.ended, patience).toBe(true)
      expect(stream.ids()).not.toContain(after)
    }
    const { db, app } = running
    const asOwner = (method: 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object) =>
      app.inject({ method, url: `/api/v1/auth${url}`, ...(payload && { payload }) })
    const viewer = await signIn(db, 'viewer')
    await ended(() => app.inject({ method: 'POST', url: '/api/v1/auth/logout', headers: viewer }), viewer)
    await ended((id) => asOwner('DELETE', `/users/${id}`), await signIn(db, 'viewer'))
    const departments = { departments: ['Stock'] }
    await ended((id) => asOwner('PATCH', `/users/${id}`, departments), await signIn(db, 'manager', ['Sales']))
    const made = await asOwner('POST', '/api-keys', { name: 'Wall', scopes: ['attendance:read'] })
    const { id, key } = made.json()
    await ended(() => asOwner('DELETE', `/api-keys/${id}`), { 'x-api-key': key })
  }, 180_000)

  test('tells of corrections', async () => {
    const id = await punch('ANN')
    const stream = await listen({ ...owner, 'last-event-id': String(id) })
    await running.app.inject({
      method: 'POST',
      url: `/api/v1/attendance/${id}/correct`,
      payload: { void: true, notes: 'A mistake' },
    })
    await expect.poll(stream.punches, patience).toMatchObject([{ corrects: id, is_void: true }])
  })

  test('holds only what a manager may see', async () => {
    const stream = await listen({
      ...(await signIn(running.db, 'manager', ['Sales'])),
      'last-event-id': '0',
    })
    await punch('BOB')
    const seen = await punch('ANN')
    await punch('BOB')
    const last = await punch('ANN')
    await expect.poll(stream.ids, patience).toEqual([seen, last])
  })

  test.each([
    [{}, 401],
    [{ 'last-event-id': 'x' }, 422],
    [{ 'last-event-id': '9999999999' }, 422],
  ])('with %o is %s', async (headers, status) => {
    const asked = status === 401 ? headers : { ...owner, ...headers }
    const stream = await listen(asked as Record<string, string>)
    expect(stream.response.status).toBe(status)
  })

  test('is not for programs that may not read punches', async () => {
    const answer = await fetch(`${origin}/api/v1/attendance/stream`, { headers: { 'x-api-key': 'made-up' } })
    expect(answer.status).toBe(401)
  })

  test('is refused to the hundred-and-first', async () => {
    const busy = await testApp({ db: running.db, gallery: running.gallery })
    const server = await busy.app.listen({ host: '127.0.0.1', port: 0 })
    const twenty = await Promise.all(Array.from({ length: 20 }, () => signIn(running.db, 'viewer')))
    const hundred = await Promise.all(
      twenty.flatMap((viewer) => Array(5).fill(viewer)).map((viewer) => listen(viewer, server)),
    )
    expect(new Set(hundred.map(({ response }) => response.status))).toEqual(new Set([200]))
    const refused = await fetch(`${server}/api/v1/attendance/stream`, { headers: owner })
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ success: false, code: 'overloaded' })
    hundred[0].stop()
    await expect
      .poll(async () => (await listen(owner, server)).response.status, { timeout: 15_000, interval: 500 })
      .toBe(200)
    await busy.close()
  })

  test('is open to one caller five times, and to everybody else all the same', async () => {
    const greedy = await signIn(running.db, 'viewer')
    const five = await Promise.all(Array.from({ length: 5 }, () => listen(greedy)))
    expect(five.map(({ response }) => response.status)).toEqual(Array(5).fill(200))
    const sixth = await fetch(`${origin}/api/v1/attendance/stream`, { headers: greedy })
    expect(sixth.status).toBe(429)
    expect(await sixth.json()).toMatchObject({
      code: 'too_many_requests',
      message: 'You have 5 streams already. Close one of them first.',
    })
    expect((await listen(await signIn(running.db, 'viewer'))).response.status).toBe(200)
    five[0].stop()
    await expect
      .poll(async () => (await listen(greedy)).response.status, { timeout: 15_000, interval: 500 })
      .toBe(200)
  })

  test('is told of by HEAD, and not opened', async () => {
    for (let time = 1; time <= 8; time++) {
      const answer = await fetch(`${origin}/api/v1/attendance/stream`, { method: 'HEAD', headers: owner })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    }
    expect((await fetch(`${origin}/api/v1/attendance/stream`, { method: 'HEAD' })).status).toBe(401)
    const stream = await listen(owner)
    expect(stream.response.status).toBe(200)
  })

  test('ends when the server stops', async () => {
    const stopping = await testApp({ db: running.db, gallery: running.gallery })
    const server = await stopping.app.listen({ host: '127.0.0.1', port: 0 })
    const stream = await listen(owner, server)
    await stopping.close()
    await expect.poll(() => stream.heard.ended, patience).toBe(true)
  })
})

describe('what comes after a number that is missing', () => {
  const view = { departments: undefined, timeZone: 'UTC' }

  /**
   * Reads until so many punches came. Other tests' databases on the same server have transactions too, which make the
   * reader more careful for a while than these alone would.
   */
  async function idsOf(read: ReturnType<typeof punchReader>, count: number): Promise<number[]> {
    const ids: number[] = []
    const more = async () => {
      ids.push(...(await read()).punches.map((punch) => punch.id))
      return ids.length
    }
    await expect.poll(more, { timeout: 40_000, interval: 50 }).toBe(count)
    return ids
  }

  const underWay: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of underWay.splice(0)) await end()
  })

  /** Writes a punch in a transaction that goes on until it is told to end. */
  async function slowPunch(db: Database) {
    let finish: (how: 'commit' | 'rollback') => void = () => {}
    const told = new Promise<'commit' | 'rollback'>((resolve) => {
      finish = resolve
    })
    let id = 0
    let written = () => {}
    const isWritten = new Promise<void>((resolve) => {
      written = resolve
    })
    const ended = db
      .transaction()
      .execute(async (trx) => {
        id = await recordPunch(trx, 'ANN', 'GATE')
        written()
        if ((await told) === 'rollback') throw new Error('rolled back')
      })
      .catch(() => {})
    await isWritten
    const end = async (how: 'commit' | 'rollback') => {
      finish(how)
      await ended
    }
    underWay.push(() => end('rollback'))
    return { id, end }
  }

  // The embedded database has one connection: no other transaction can be under way there.
  describe.runIf(inject('databaseUrl'))('on a server', () => {
    test.each(['commit', 'rollback'] as const)('waits until its transaction ends with a %s', async (how) => {
      const read = punchReader(running.db, view, await punch('ANN'))
      const slow = await slowPunch(running.db)
      const id = await punch('BOB')
      for (let poll = 1; poll <= 3; poll++) expect((await read()).punches).toEqual([])
      await slow.end(how)
      const expected = how === 'commit' ? [slow.id, id] : [id]
      expect(await idsOf(read, expected.length)).toEqual(expected)
    })

    test('waits for no transaction that began later', async () => {
      const read = punchReader(running.db, view, await punch('ANN'))
      const lost = await slowPunch(running.db)
      const id = await punch('BOB')
      expect((await read()).punches).toEqual([])
      const later = await slowPunch(running.db)
      await lost.end('rollback')
      expect(await idsOf(read, 1)).toEqual([id])
      await later.end('commit')
      expect(await idsOf(read, 1)).toEqual([later.id])
    })
  })

  test('is read where nothing is under way', async () => {
    const slow = await slowPunch(running.db)
    await slow.end('rollback')
    const read = punchReader(running.db, view, 0)
    const id = await punch('BOB')
    expect(await idsOf(read, 1)).toEqual([id])
    expect((await read()).punches).toEqual([])
  })
})
