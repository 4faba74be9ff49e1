import type { LightMyRequestResponse } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { applyRetention } from '../../src/attendance/retention.ts'
import { digestOf } from '../../src/face/packs/digest.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { assign, blankPicture, changed, openCompany } from '../attendance/company.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, recordPunch, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer
let stranger: Buffer

beforeAll(async () => {
  running = await testApp()
  ;[ann, stranger] = await Promise.all([changed('blonde'), changed('sunlit')])
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
  await openCompany(running)
  await keepPictures(false)
})
afterAll(() => running.close())

const send = (method: 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object) =>
  running.app.inject({ method, url: `/api/v1${url}`, payload })
const keepPictures = (keep_pictures: boolean) =>
  send('PATCH', '/sites/1', { keep_pictures, picture_days: 30 })
const get = (url: string, headers = {}) => running.app.inject({ url: `/api/v1/attendance${url}`, headers })
const check = (...images: Uint8Array[]) => checkAs(undefined, ...images)
/** With the employee code that a person gives. */
const checkAs = (employeeCode: string | undefined, ...images: Uint8Array[]) => {
  const payload = new FormData()
  for (const image of images) payload.append('image', new Blob([new Uint8Array(image)]), 'picture.jpg')
  payload.append('device_id', 'GATE')
  if (employeeCode !== undefined) payload.append('employee_code', employeeCode)
  return running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload })
}
const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const explained = async (url: string, headers = {}) => {
  const answer = await get(`${url}/explain`, headers)
  expect(answer.statusCode).toBe(200)
  return answer.json()
}
/** The record of the newest decision, as it is stored. */
const newest = async () =>
  (await running.db.selectFrom('decisions').selectAll().orderBy('id', 'desc').executeTakeFirstOrThrow())
    .record
const keyWith = async (...scopes: string[]) => ({
  'x-api-key': (await send('POST', '/auth/api-keys', { name: scopes.join(), scopes })).json().key,
})
const forget = (decisionDays: number) =>
  applyRetention(
    running.db,
    running.ledger.by(serverAuthor),
    { decisionDays, leaverDays: 3650 },
    running.clock.now(),
  )

describe('a punch that a face led to', () => {
  test('is explained by what was seen, whom it was compared with, and what decided', async () => {
    const { attendance_id, decision_id, confidence } = (await check(ann)).json()
    const answer = await explained(`/${attendance_id}`)
    const record = await newest()
    const { pack } = running.engine
    expect(answer).toMatchObject({
      decision_id,
      attendance_id,
      kind: 'face',
      outcome: 'identified',
      rule: 'above the threshold',
      made_at: '2025-03-03T01:00:00.000Z',
      device_id: 'GATE',
      employee_id: 'ANN',
      employee_name: 'ANN',
      confidence,
      forgotten: false,
      requested: 'IN',
      duplicate_of: null,
      refused: null,
      vouched: null,
      pack: { name: pack.name, digest: digestOf(pack.files) },
      picture: { width_px: 300, height_px: 300 },
      picture_kept: false,
      picture_url: null,
      frames: [],
      claimed: null,
      liveness: { policy: 'flag', steps: null },
      people: 2,
      scale: 'raw',
    })
    expect(answer.pack.files).toContainEqual({ name: 'faceres', sha256: pack.files.faceres.sha256 })
    expect(answer.face_box).toEqual((record.face as { box: object }).box)
    expect(answer.pose).toEqual({
      yaw: expect.any(Number),
      pitch: expect.any(Number),
      roll: expect.any(Number),
    })
    const { parts, reasons, advice, score } = answer.quality
    expect(reasons).toEqual(
      Object.keys(parts)
        .filter((part) => parts[part] < 0.8)
        .sort((one, other) => parts[one] - parts[other]),
    )
    expect(advice).toHaveLength(reasons.length)
    expect(score).toBe(Math.min(...(Object.values(parts) as number[])))
    const { thresholds } = record as { thresholds: Record<string, unknown> }
    expect(answer.thresholds).toEqual({ ...thresholds, calibration_id: null })
    expect(answer.thresholds.confidence).toBe(0.65)
    const [first, second] = answer.candidates
    expect(first).toMatchObject({
      rank: 1,
      employee_id: 'ANN',
      name: 'ANN',
      pseudonym: 'person 1',
      above_threshold: true,
      margin: null,
    })
    expect(second).toMatchObject({
      rank: 2,
      employee_id: 'BOB',
      pseudonym: 'person 2',
      above_threshold: false,
    })
    const [one, other] = record.candidates as { minus_log10_fmr: number }[]
    expect(answer.margin).toBeCloseTo((one!.minus_log10_fmr - other!.minus_log10_fmr) / 10, 9)
    expect(Object.keys(answer.timings_ms)).toEqual(expect.arrayContaining(['decode', 'detect', 'embed']))
    expect(await explained(`/decisions/${decision_id}`)).toEqual(answer)
  })

  test('is explained with each of several pictures and whom it voted for', async () => {
    const brighter = await sharp(ann).modulate({ brightness: 1.1 }).jpeg().toBuffer()
    const { attendance_id } = (await check(ann, await blankPicture(), brighter)).json()
    const { frames } = await explained(`/${attendance_id}`)
    expect(frames).toMatchObject([
      { kind: 'face', embedded: true, votes: { employee_id: 'ANN', pseudonym: 'person 1' }, at_ms: 0 },
      { kind: 'no_face', embedded: false, quality: null, votes: null },
      { kind: 'face', embedded: true, votes: { employee_id: 'ANN', confidence: expect.any(Number) } },
    ])
  })

  test('names files of a pack only where it is the one that looked', async () => {
    const { attendance_id } = (await check(ann)).json()
    expect((await explained(`/${attendance_id}`)).pack.files).not.toBe(null)
    const decision = await running.db
      .insertInto('decisions')
      .values({
        kind: 'face',
        outcome: 'not_identified',
        pack: 'human-v1',
        record: JSON.stringify({ pack: { name: 'human-v1', digest: 'of other files' } }),
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    const { pack } = await explained(`/decisions/${decision.id}`)
    expect(pack).toEqual({ name: 'human-v1', digest: 'of other files', files: null })
  })

  test('of an older version is explained with what its record has', async () => {
    const id = await recordPunch(running.db, 'ANN', 'GATE')
    expect(await explained(`/${id}`)).toMatchObject({
      attendance_id: id,
      outcome: 'identified',
      rule: null,
      pack: { name: 'test', digest: null, files: null },
      candidates: [],
      quality: null,
      thresholds: null,
      margin: null,
      forgotten: true,
    })
    const record = {
      rule: 'above the threshold',
      candidates: [
        { employee_id: 'ANN', confidence: 0.9 },
        { employee_id: 'BOB', confidence: 0.5 },
      ],
      thresholds: { confidence: 0.65, margin: 0.05, quality: 0.2 },
      liveness: { state: 'unavailable', policy: 'flag' },
    }
    const older = {
      kind: 'face' as const,
      outcome: 'not_identified',
      pack: 'p',
      record: JSON.stringify(record),
    }
    const { id: decision } = await running.db
      .insertInto('decisions')
      .values(older)
      .returning('id')
      .executeTakeFirstOrThrow()
    const answer = await explained(`/decisions/${decision}`)
    expect(answer).toMatchObject({ forgotten: false, liveness: { state: 'unavailable', signals: [] } })
    expect(answer.margin).toBeCloseTo(0.4, 9)
    expect(answer.thresholds).toMatchObject({ confidence: 0.65, configured: null, high: null })
  })
})

describe('who reads it', () => {
  test('sees other people by name only where they may see them, and raw scores only as an administrator', async () => {
    await assign(running.db, { ANN: 'Store', BOB: 'Office' })
    const { attendance_id } = (await check(ann)).json()
    const seenBy = async (headers: object) =>
      (await explained(`/${attendance_id}`, headers)).candidates as Record<string, unknown>[]
    const ofAll = [
      { employee_id: 'ANN', name: 'ANN', pseudonym: 'person 1' },
      { employee_id: 'BOB', name: 'BOB', pseudonym: 'person 2' },
    ]
    const nameless = { employee_id: null, name: null }
    const hr = await seenBy(await signIn(running.db, 'hr'))
    expect(hr).toMatchObject(ofAll)
    for (const key of ['raw_score', 'score', 'template_id']) expect(hr[0]).not.toHaveProperty(key)
    const admin = await seenBy(await signIn(running.db, 'admin'))
    expect(admin).toMatchObject([
      { ...ofAll[0], raw_score: expect.any(Number), score: expect.any(Number), template_id: 1 },
      { ...ofAll[1], raw_score: expect.any(Number) },
    ])
    const manager = await signIn(running.db, 'manager', ['Store'])
    expect(await seenBy(manager)).toMatchObject([ofAll[0], { ...nameless, pseudonym: 'person 2' }])
    const key = await keyWith('attendance:read')
    expect(await seenBy(key)).toMatchObject([nameless, nameless])
  })

  test('finds as a manager what is about their people, and nothing else', async () => {
    await assign(running.db, { ANN: 'Store', BOB: 'Office' })
    await check(ann)
    await check(stranger)
    const office = await signIn(running.db, 'manager', ['Office'])
    const store = await signIn(running.db, 'manager', ['Store'])
    expect(statusAndCode(await get('/1/explain', office))).toEqual([404, 'punch_not_found'])
    expect(statusAndCode(await get('/decisions/1/explain', office))).toEqual([404, 'decision_not_found'])
    expect((await get('/decisions', office)).json()).toEqual([])
    expect((await get('/decisions/1/explain', store)).statusCode).toBe(200)
    expect(statusAndCode(await get('/decisions/2/explain', store))).toEqual([404, 'decision_not_found'])
    expect((await get('/decisions', store)).json()).toMatchObject([{ decision_id: 1 }])
    expect((await get('/decisions')).json()).toMatchObject([{ decision_id: 2 }, { decision_id: 1 }])
  })

  test('never finds the name of somebody who was erased since, or purged', async () => {
    const { attendance_id } = (await check(ann)).json()
    running.clock.advance(1000)
    expect((await send('POST', '/employees/BOB/erase')).statusCode).toBe(200)
    const after = (await get(`/${attendance_id}/explain`)).body
    expect(after).not.toContain('BOB')
    expect(JSON.parse(after).candidates[1]).toMatchObject({ employee_id: null, pseudonym: 'person 2' })
    await send('DELETE', '/employees/BOB?purge=true&confirm=BOB')
    expect((await get(`/${attendance_id}/explain`)).body).toBe(after)
  })

  test('learns what is not there', async () => {
    expect(statusAndCode(await get('/999/explain'))).toEqual([404, 'punch_not_found'])
    expect(statusAndCode(await get('/decisions/999/explain'))).toEqual([404, 'decision_not_found'])
    expect(statusAndCode(await get('/decisions/999/image'))).toEqual([404, 'decision_not_found'])
    expect(statusAndCode(await get('/decisions/none/explain'))).toEqual([422, 'invalid_request'])
  })
})

describe('an employee code that came with the pictures', () => {
  /** Whose face nobody has enrolled: no candidate. */
  const employCyd = () => send('POST', '/employees', { employee_id: 'CYD', name: 'CYD' })

  test('that told look-alikes apart is shown as that of a candidate', async () => {
    await enrol(running, 'TWIN', await portrait('blonde'))
    await running.db
      .insertInto('look_alikes')
      .values({
        employee_a: 'ANN',
        employee_b: 'TWIN',
        origin: 'dispute',
        margin: 0.5,
        created_at: running.clock.now(),
      })
      .execute()
    await running.gallery.reload()
    await running.gallery.settled()
    const unsaid = (await check(ann)).json()
    expect(unsaid).toMatchObject({ code: 'ambiguous', next_step: 'employee_code' })
    expect((await explained(`/decisions/${unsaid.decision_id}`)).claimed).toBe(null)
    const { attendance_id } = (await checkAs('TWIN', ann)).json()
    const { employee_id, rule, claimed, candidates } = await explained(`/${attendance_id}`)
    expect({ employee_id, rule }).toEqual({
      employee_id: 'TWIN',
      rule: 'above the threshold, and told from a look-alike by the employee code',
    })
    const [{ pseudonym }] = candidates.filter((one: typeof claimed) => one.employee_id === 'TWIN')
    expect(claimed).toEqual({ employee_id: 'TWIN', name: 'TWIN', pseudonym })
    expect((await newest()).claimed).toBe('TWIN')
  })

  test('is named to those who may see its person, whether or not the face resembled them', async () => {
    await employCyd()
    await assign(running.db, { ANN: 'Store', BOB: 'Office', CYD: 'Office' })
    const { attendance_id } = (await checkAs('CYD', ann)).json()
    const claimedBy = async (headers: object) => (await explained(`/${attendance_id}`, headers)).claimed
    const pseudonym = 'person 3'
    expect(await claimedBy({})).toEqual({ employee_id: 'CYD', name: 'CYD', pseudonym })
    const store = await signIn(running.db, 'manager', ['Store'])
    const nameless = { employee_id: null, name: null, pseudonym }
    expect(await claimedBy(store)).toEqual(nameless)
    expect(await claimedBy(await keyWith('attendance:read'))).toEqual(nameless)
    expect(await claimedBy(await keyWith('attendance:read', 'employees:read'))).toMatchObject({ name: 'CYD' })
    for (const headers of [store, await keyWith('attendance:read')])
      expect((await get(`/${attendance_id}/explain`, headers)).body).not.toContain('CYD')
  })

  test('is of no person who was erased since, or purged', async () => {
    await enrol(running, 'CYD', await portrait('bun'))
    const { attendance_id } = (await checkAs('CYD', ann)).json()
    running.clock.advance(1000)
    expect((await send('POST', '/employees/CYD/erase')).statusCode).toBe(200)
    const after = (await get(`/${attendance_id}/explain`)).body
    expect(after).not.toContain('CYD')
    expect(JSON.parse(after).claimed).toMatchObject({ employee_id: null, name: null })
    await send('DELETE', '/employees/CYD?purge=true&confirm=CYD')
    expect((await get(`/${attendance_id}/explain`)).body).toBe(after)
  })

  test('that was of nobody stays so, whoever has it later', async () => {
    const { attendance_id } = (await checkAs('CYD', ann)).json()
    expect((await newest()).claimed).toBe('CYD')
    const nobody = { employee_id: null, name: null, pseudonym: 'person 3' }
    expect((await explained(`/${attendance_id}`)).claimed).toEqual(nobody)
    running.clock.advance(1000)
    await employCyd()
    expect((await explained(`/${attendance_id}`)).claimed).toEqual(nobody)
  })

  test('is kept where there was no face, too', async () => {
    const { decision_id } = (await checkAs('BOB', await blankPicture())).json()
    expect((await explained(`/decisions/${decision_id}`)).claimed).toEqual({
      employee_id: 'BOB',
      name: 'BOB',
      pseudonym: 'person 1',
    })
  })

  test("of somebody else is left out of the person's own data", async () => {
    await checkAs('BOB', ann)
    running.clock.advance(120_000)
    await checkAs('ANN', ann)
    const { body } = await running.app.inject('/api/v1/employees/ANN/data-export')
    expect(body).not.toContain('BOB')
    const { decisions } = JSON.parse(body)
    expect(decisions.map(({ record }: { record: object }) => record)).toMatchObject([
      { rule: 'above the threshold' },
      { rule: 'above the threshold', claimed: 'ANN' },
    ])
    expect(decisions[0].record).not.toHaveProperty('claimed')
  })

  test('is forgotten with the candidates', async () => {
    const { attendance_id } = (await checkAs('BOB', ann)).json()
    running.clock.advance(2 * 24 * 3_600_000)
    expect(await forget(1)).toEqual({ decisions: 1, leavers: 0 })
    expect(JSON.stringify(await newest())).not.toContain('BOB')
    expect(await explained(`/${attendance_id}`)).toMatchObject({ forgotten: true, claimed: null })
    expect((await running.ledger.verify()).faults).toEqual([])
  })
})

describe('what made no punch', () => {
  test('is listed with the rest, newest first, in pages and by what it was', async () => {
    const first = (await check(ann)).json()
    running.clock.advance(10_000)
    await check(ann)
    running.clock.advance(60_000)
    await check(stranger)
    expect((await check(await blankPicture())).statusCode).toBe(422)
    const list = async (query = '') => (await get(`/decisions${query}`)).json() as Record<string, unknown>[]
    const all = await list()
    expect(all.map(({ outcome }) => outcome)).toEqual([
      'no_face',
      'not_identified',
      'duplicate',
      'identified',
    ])
    expect(all[0]).toMatchObject({
      attendance_id: null,
      kind: 'face',
      rule: 'exactly one large face is needed',
      employee_id: null,
      confidence: null,
    })
    expect(all[3]).toMatchObject({
      decision_id: first.decision_id,
      attendance_id: first.attendance_id,
      employee_id: 'ANN',
      pack: running.engine.pack.name,
      liveness: first.liveness,
      made_at: '2025-03-03T01:00:00.000Z',
    })
    const page = await get('/decisions?limit=1&skip=1')
    expect(page.headers['x-total-count']).toBe('4')
    expect(page.json()).toMatchObject([{ outcome: 'not_identified' }])
    const outcomes = async (query: string) => (await list(query)).map(({ outcome }) => outcome)
    expect(await outcomes('?employee_id=ANN')).toEqual(['duplicate', 'identified'])
    expect(await outcomes('?outcome=no_face')).toEqual(['no_face'])
    expect(await outcomes('?device_id=OTHER')).toEqual([])
    expect(await outcomes('?device_id=GATE&to=2025-03-03T01:00:10Z')).toEqual(['identified'])
    expect(await outcomes('?from=2025-03-03T01:00:10Z&to=2025-03-03T01:00:11Z')).toEqual(['duplicate'])
    expect(statusAndCode(await get('/decisions?outcome=perhaps'))).toEqual([422, 'invalid_request'])
  })

  test('is explained: a repetition, a stranger, and a picture that could not be compared', async () => {
    const { attendance_id } = (await check(ann)).json()
    const repeated = (await check(ann)).json()
    expect(await explained(`/decisions/${repeated.decision_id}`)).toMatchObject({
      attendance_id: null,
      outcome: 'duplicate',
      duplicate_of: attendance_id,
      employee_id: 'ANN',
    })
    const unknown = (await check(stranger)).json()
    const strange = await explained(`/decisions/${unknown.decision_id}`)
    expect(strange).toMatchObject({ outcome: 'not_identified', employee_id: null, forgotten: false })
    expect(strange.rule).toMatch(/^best confidence .* is below the threshold 0\.650$/)
    expect(strange.candidates[0].above_threshold).toBe(false)
    const refused = (await check(await blankPicture())).json()
    const nothing = await explained(`/decisions/${refused.decision_id}`)
    expect(nothing).toMatchObject({
      outcome: 'no_face',
      forgotten: false,
      refused: { code: 'no_face', details: { face_detected: false } },
      quality: null,
      face_box: null,
      candidates: [],
      margin: null,
      people: null,
    })
    expect(nothing.timings_ms.detect).toBeGreaterThan(0)
  })

  test('has its picture where the site keeps them, for those who may see faces', async () => {
    const { decision_id: before } = (await check(stranger)).json()
    expect(statusAndCode(await get(`/decisions/${before}/image`))).toEqual([404, 'picture_not_kept'])
    await keepPictures(true)
    const blank = (await check(await blankPicture())).json()
    const punched = (await check(ann)).json()
    const repeated = (await check(ann)).json()
    for (const { decision_id } of [blank, punched, repeated]) {
      const { picture_kept, picture_url } = await explained(`/decisions/${decision_id}`)
      expect(picture_kept).toBe(true)
      for (const url of [picture_url, `/api/v1/attendance/decisions/${decision_id}/image`]) {
        const answer = await running.app.inject(url)
        expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'image/jpeg'])
        expect((await sharp(answer.rawPayload).metadata()).width).toBe(300)
      }
    }
    expect((await explained(`/${punched.attendance_id}`)).picture_url).toBe(
      `/api/v1/attendance/${punched.attendance_id}/image`,
    )
    const viewer = await signIn(running.db, 'viewer')
    expect(statusAndCode(await get(`/decisions/${blank.decision_id}/image`, viewer))).toEqual([
      403,
      'forbidden',
    ])
    running.clock.advance(31 * 24 * 3_600_000)
    expect(statusAndCode(await get(`/decisions/${blank.decision_id}/image`))).toEqual([
      404,
      'picture_not_kept',
    ])
    const late = await explained(`/decisions/${blank.decision_id}`)
    expect(late).toMatchObject({ picture_kept: false, picture_url: null })
  })
})

describe('past its days', () => {
  test('a decision still says what was decided, by which rule and thresholds, and that the rest is forgotten', async () => {
    const { attendance_id } = (await check(ann, ann)).json()
    const refused = (await check(await blankPicture())).json()
    const before = await explained(`/${attendance_id}`)
    running.clock.advance(2 * 24 * 3_600_000)
    expect(await forget(1)).toEqual({ decisions: 2, leavers: 0 })
    const after = await explained(`/${attendance_id}`)
    expect(after).toEqual({
      ...before,
      forgotten: true,
      candidates: [],
      frames: [],
      margin: null,
      face_box: null,
      pose: null,
      quality: null,
      liveness: { ...before.liveness, signals: [] },
    })
    expect(await explained(`/decisions/${refused.decision_id}`)).toMatchObject({
      forgotten: true,
      outcome: 'no_face',
      rule: 'exactly one large face is needed',
    })
    // What the ledger holds of a decision is what stays of it.
    expect((await running.ledger.verify()).faults).toEqual([])
  })
})

describe('a punch that no face led to', () => {
  test('is explained by who entered it and why, and a correction by what it took the place of', async () => {
    const entered = (
      await send('POST', '/attendance/manual', {
        employee_id: 'ANN',
        attendance_type: 'IN',
        timestamp: '2025-03-03T00:00:00Z',
        notes: 'The kiosk was off',
      })
    ).json()
    const manual = await explained(`/${entered.id}`)
    expect(manual).toMatchObject({
      kind: 'manual',
      outcome: 'entered',
      employee_id: 'ANN',
      forgotten: false,
      pack: null,
      liveness: null,
      candidates: [],
      vouched: {
        by: expect.stringMatching(/^user:\d+$/),
        by_name: expect.stringMatching(/./),
        notes: 'The kiosk was off',
        corrects: null,
      },
    })
    const corrected = (
      await send('POST', `/attendance/${entered.id}/correct`, {
        timestamp: '2025-03-03T00:30:00Z',
        notes: 'As the guard saw',
      })
    ).json()
    expect(await explained(`/${corrected.id}`)).toMatchObject({
      kind: 'correction',
      outcome: 'corrected',
      vouched: {
        corrects: entered.id,
        before: { timestamp: '2025-03-03T00:00:00.000Z', attendance_type: 'IN', is_void: false },
        after: { timestamp: '2025-03-03T00:30:00.000Z' },
      },
    })
    expect(await explained(`/${entered.id}`)).toEqual({ ...manual, superseded_by: corrected.id })
  })

  test('is explained, where it was imported, by who did it and what it was there', async () => {
    const record = {
      imported_by: 'cli',
      source: 'legacy',
      legacy_id: 7,
      legacy_device_id: 'OLD',
      legacy_confidence_score: '0.93',
      legacy_image_path: null,
    }
    const { id } = await running.db
      .insertInto('decisions')
      .values({ kind: 'import', outcome: 'imported', employee_id: 'ANN', record: JSON.stringify(record) })
      .returning('id')
      .executeTakeFirstOrThrow()
    expect((await explained(`/decisions/${id}`)).vouched).toEqual({
      by: 'cli',
      by_name: null,
      notes: null,
      corrects: null,
      before: null,
      after: null,
      imported_from: 'legacy',
      original: { id: 7, device_id: 'OLD', confidence_score: '0.93', image_path: null },
    })
  })
})

test('a form that is no check leaves no decision', async () => {
  const payload = form({ image: Buffer.from('no picture'), device_id: 'GATE' })
  expect(
    (await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload })).statusCode,
  ).toBe(415)
  expect((await get('/decisions')).json()).toEqual([])
})
