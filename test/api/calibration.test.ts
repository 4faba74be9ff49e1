import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createKey } from '../../src/access/api-keys.ts'
import type { Permission } from '../../src/access/permissions.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { type Person, storePeople, stranger } from '../gallery/synthetic.ts'
import { signIn, type TestApp, testApp } from '../support/app.ts'

const url = '/api/v1/recognition/calibration'
let running: TestApp

beforeAll(async () => {
  running = await testApp({}, { FACE_RECOGNITION_THRESHOLD: '0.3' })
})
beforeEach(() => running.clear())
afterAll(() => running.close())

/** People whom the embedded pack finds a little alike, as random as they are. */
const people = (count: number): Person[] =>
  Array.from({ length: count }, (_, i) => ({
    employeeId: `P${String(i + 1).padStart(2, '0')}`,
    photos: [Float32Array.from([...stranger(i, 3, 1024), ...stranger(1000 + i, 3, 128)])],
  }))

async function withPeople(count: number): Promise<void> {
  await storePeople({ ...running, pack: running.engine.pack }, people(count))
  await running.gallery.reload()
  await running.gallery.settled()
}

const send = (method: 'GET' | 'POST' | 'DELETE', path = '', headers: Record<string, string> = {}) =>
  running.app.inject({ method, url: url + path, headers })

async function keyWith(...scopes: Permission[]): Promise<Record<string, string>> {
  const { id } = await running.db.selectFrom('users').select('id').limit(1).executeTakeFirstOrThrow()
  const made = await createKey(
    running.ledger.by(serverAuthor),
    { name: 'k', scopes: scopes as never },
    id,
    running.clock.now(),
  )
  return { 'x-api-key': made.key }
}

test('without people there is none, and a sentence says when there will be', async () => {
  const none = await send('GET')
  expect([none.statusCode, none.json().code]).toEqual([404, 'calibration_not_found'])
  expect(none.json().message).toContain('10 active people')
  expect((await send('GET', '/history')).json()).toEqual([])
  await withPeople(9)
  const few = await send('POST')
  expect([few.statusCode, few.json().code]).toEqual([409, 'too_few_people'])
})

describe('a calibration', () => {
  beforeEach(() => withPeople(25))

  test('is made on demand, shown, and listed with those before it', async () => {
    const made = await send('POST')
    expect(made.statusCode).toBe(200)
    const { id, tail, curves, thresholds, fpir } = made.json()
    expect(made.json()).toMatchObject({
      pack: running.engine.pack.name,
      scale: 'raw',
      people: 25,
      compared: 25,
      comparisons: 25 * 24,
      cohort_size: 0,
      made_at: '2025-03-03T01:00:00.000Z',
    })
    expect(tail).not.toHaveProperty('replicates')
    expect(curves.score.impostor.reduce((sum: number, bar: number) => sum + bar)).toBe(25 * 24)
    const { limits } = running.gallery
    expect(thresholds).toMatchObject({ ...limits.thresholds, in_force: limits.threshold })
    expect(fpir.interval[0]).toBeLessThanOrEqual(fpir.predicted)
    expect(fpir.interval[1]).toBeGreaterThanOrEqual(fpir.predicted)
    expect((await send('GET')).json()).toEqual(made.json())

    const page = await send('GET', '/history?limit=1')
    expect(page.headers['x-total-count']).toBe('2')
    expect(page.json()).toMatchObject([{ id, people: 25, threshold: expect.closeTo(thresholds.site, 6) }])
    const status = await running.app.inject({ url: '/api/v1/recognition/models/status' })
    expect(status.json()).toMatchObject({ threshold: limits.threshold, calibration_id: id })
  })

  test('lowers the threshold once an administrator has accepted it, which the audit shows', async () => {
    const admin = await signIn(running.db, 'admin')
    const before = (await send('GET')).json()
    expect(before.lowering).toEqual({ possible: true, accepted_by: null, accepted_at: null })
    const accepted = await send('POST', `/${before.id}/accept`, admin)
    expect(accepted.json()).toMatchObject({
      thresholds: { in_force: before.thresholds.site, lowered: true },
      lowering: { accepted_by: expect.stringMatching(/^user:/), accepted_at: '2025-03-03T01:00:00.000Z' },
    })
    expect(running.gallery.limits.threshold).toBe(before.thresholds.site)
    const [noted] = (
      await running.app.inject({ url: '/api/v1/audit?subject_kind=calibrations&action=lower_threshold' })
    ).json()
    expect(noted).toMatchObject({ subject: String(before.id), by: accepted.json().lowering.accepted_by })
    expect(noted.details).toMatchObject({ before: before.thresholds.in_force, after: before.thresholds.site })

    const back = await send('DELETE', `/${before.id}/accept`, admin)
    expect(back.json()).toEqual(before)
    expect(running.gallery.limits.threshold).toBe(before.thresholds.in_force)
    expect((await send('POST', '/99999/accept')).statusCode).toBe(404)
  })

  test('may be changed by administrators and owners alone', async () => {
    for (const role of ['viewer', 'manager', 'hr'] as const) {
      const headers = await signIn(running.db, role)
      const answers = [await send('GET', '', headers), await send('POST', '', headers)]
      expect(answers.map(({ statusCode }) => statusCode)).toEqual([403, 403])
    }
    const reader = await keyWith('system:read')
    expect((await send('GET', '', reader)).statusCode).toBe(200)
    expect((await send('POST', '', reader)).statusCode).toBe(403)
  })

  test('names look-alikes to those alone who may see people', async () => {
    const pair = { employee_a: 'P01', employee_b: 'P02', origin: 'dispute' as const, margin: 0.2 }
    await running.db
      .insertInto('look_alikes')
      .values({ ...pair, created_at: running.clock.now() })
      .execute()
    const shownTo = async (headers?: Record<string, string>) =>
      (await send('GET', '', headers)).json().look_alikes[0].people
    expect(await shownTo()).toMatchObject([
      { employee_id: 'P01', name: 'Name of P01' },
      { employee_id: 'P02' },
    ])
    const unnamed = [1, 2].map((n) => ({ label: `Person ${n}`, employee_id: null, name: null }))
    expect(await shownTo(await keyWith('system:read'))).toEqual(unnamed)
    expect(await shownTo(await keyWith('system:read', 'employees:read'))).toMatchObject([
      { employee_id: 'P01' },
      { employee_id: 'P02' },
    ])
  })

  test('forgets who is erased', async () => {
    const pair = { employee_a: 'P01', employee_b: 'P02', origin: 'dispute' as const, margin: 0.2 }
    await running.db
      .insertInto('look_alikes')
      .values({ ...pair, created_at: running.clock.now() })
      .execute()
    const gone = await running.app.inject({ method: 'DELETE', url: '/api/v1/employees/P02' })
    expect(gone.statusCode).toBe(200)
    expect(await running.db.selectFrom('look_alikes').selectAll().execute()).toEqual([])
    expect(
      (await send('GET')).json().look_alikes.map(({ origin }: { origin: string }) => origin),
    ).not.toContain('dispute')
  })
})
