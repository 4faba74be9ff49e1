import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { portrait } from '../face/portraits.ts'
import { enrol, form, kioskHeaders, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
  await registerKiosk(running, 'GATE')
  await enrol(running, 'ANN', await portrait('blonde'))
  const headers = await kioskHeaders(running, 'GATE')
  const payload = form({ image: await portrait('blonde'), device_id: 'GATE' })
  await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload, headers })
})
afterAll(() => running.close())

const get = (path: string) => running.app.inject(`/api/v1/audit${path}`)

describe('the audit log', () => {
  test('answers the newest change first, with its link in the chain', async () => {
    const answer = await get('?limit=2')
    expect(answer.statusCode).toBe(200)
    const [first, second] = answer.json()
    expect(first.id).toBeGreaterThan(second.id)
    expect(first).toMatchObject({ seq: expect.any(Number), mac: expect.stringMatching(/^[0-9a-f]{64}$/) })
    expect(Number(answer.headers['x-total-count'])).toBeGreaterThan(2)
  })

  test('is narrowed by whom, what, which and when', async () => {
    const added = (await get('?subject_kind=employees&subject=ANN&action=insert')).json()
    expect(added).toMatchObject([
      {
        action: 'insert',
        subject: 'ANN',
        by: expect.stringMatching(/^user:\d+$/),
        details: { after: { name: 'ANN' } },
      },
    ])
    const { by, at } = added[0]
    expect((await get(`?by=${by}&limit=1`)).json()).toHaveLength(1)
    expect((await get('?by=user:999999')).json()).toEqual([])
    expect((await get(`?to=${encodeURIComponent(at)}`)).json()).toEqual([])
    expect((await get('?from=yesterday')).statusCode).toBe(422)
  })

  test('holds no secret of all that was made', async () => {
    const text = JSON.stringify((await get('?limit=1000')).json())
    const { rows } = await sql<{
      secret: string
    }>`SELECT key_hash AS secret FROM devices WHERE key_hash IS NOT NULL
      UNION SELECT encode(embedding_vector, 'hex') FROM face_templates`.execute(running.db)
    expect(rows.length).toBeGreaterThan(1)
    for (const { secret } of rows) expect(text).not.toContain(secret.slice(0, 40))
  })

  test('is for administrators', async () => {
    for (const [role, status] of [
      ['admin', 200],
      ['hr', 403],
      ['viewer', 403],
    ] as const) {
      const headers = await signIn(running.db, role)
      expect((await running.app.inject({ url: '/api/v1/audit', headers })).statusCode).toBe(status)
    }
  })
})

describe('the ledger', () => {
  test('vouches for all that was done through the API', async () => {
    const verified = (await get('/verify')).json()
    expect(verified).toMatchObject({ intact: true, faults: [] })
    expect(verified.entries).toBeGreaterThan(4)
  })

  test('names a punch that somebody changed past the server', async () => {
    await sql`ALTER TABLE attendance DISABLE TRIGGER USER`.execute(running.db)
    await sql`UPDATE attendance SET timestamp = timestamp - interval '1 hour'`.execute(running.db)
    await sql`ALTER TABLE attendance ENABLE TRIGGER USER`.execute(running.db)
    expect((await get('/verify')).json()).toMatchObject({
      intact: false,
      faults: [{ kind: 'punch', what: 'changed', message: expect.stringContaining('was changed') }],
    })
    await sql`ALTER TABLE attendance DISABLE TRIGGER USER`.execute(running.db)
    await sql`UPDATE attendance SET timestamp = timestamp + interval '1 hour'`.execute(running.db)
    await sql`ALTER TABLE attendance ENABLE TRIGGER USER`.execute(running.db)
    expect((await get('/verify')).json()).toMatchObject({ intact: true })
  })
})
