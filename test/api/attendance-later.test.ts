import type { LightMyRequestResponse } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { blankPicture, changed, openCompany } from '../attendance/company.ts'
import { form, rowCounts, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer
let bob: Buffer
let stranger: Buffer
let blank: Buffer

beforeAll(async () => {
  running = await testApp()
  ;[ann, bob, stranger] = await Promise.all([changed('blonde'), changed('longHair'), changed('sunlit')])
  blank = await blankPicture()
})
beforeEach(async () => {
  running.clock.set('2025-03-03T05:00:00Z')
  await running.clear()
  await openCompany(running)
})
afterAll(() => running.close())

const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const punches = () => running.db.selectFrom('attendance').selectAll().orderBy('id').execute()

describe('a picture taken earlier', () => {
  const upload = (parts: Record<string, string | Uint8Array> = {}, headers = {}) =>
    running.app.inject({
      method: 'POST',
      url: '/api/v1/attendance/upload',
      payload: form({ image: ann, device_id: 'GATE', captured_at: '2025-03-03T01:00:00Z', ...parts }),
      headers,
    })

  test('counts when it was taken, and its record says whose clock that was', async () => {
    const answer = await upload({ captured_at: '2025-03-03T08:00:00+07:00' })
    expect(answer.json()).toMatchObject({
      recognized: true,
      employee_id: 'ANN',
      timestamp: '2025-03-03T01:00:00.000Z',
      duplicate: false,
    })
    expect(await punches()).toMatchObject([{ timestamp: new Date('2025-03-03T01:00:00Z') }])
    const decision = await running.db.selectFrom('decisions').selectAll().executeTakeFirstOrThrow()
    expect(decision.created_at).toEqual(running.clock.now())
    expect(decision.record).toMatchObject({
      time_of: 'client',
      captured_at: '2025-03-03T01:00:00.000Z',
      received_at: '2025-03-03T05:00:00.000Z',
    })
  })

  test.each([
    ['2025-03-03T05:05:00Z', 200],
    ['2025-03-03T05:05:00.001Z', 422],
    ['2025-02-24T05:00:00Z', 200],
    ['2025-02-24T04:59:59.999Z', 422],
    ['2025-03-03', 422],
    ['2025-03-03T01:00:00', 422],
    ['yesterday', 422],
  ])('of %s is answered with %s', async (captured_at, status) => {
    const answer = await upload({ captured_at })
    expect(answer.statusCode).toBe(status)
    if (status === 422) expect(answer.json().fields[0].path).toBe('captured_at')
    expect(await punches()).toHaveLength(status === 200 ? 1 : 0)
  })

  test('must say when that was', async () => {
    const payload = form({ image: ann, device_id: 'GATE' })
    const answer = await running.app.inject({ method: 'POST', url: '/api/v1/attendance/upload', payload })
    expect(statusAndCode(answer)).toEqual([422, 'invalid_request'])
  })

  test('is a duplicate of what lies around that time, before or after, and of nothing else', async () => {
    const first = (await upload({ captured_at: '2025-03-03T01:00:00Z' })).json()
    for (const captured_at of ['2025-03-03T00:59:00Z', '2025-03-03T01:01:00Z'])
      expect((await upload({ captured_at })).json()).toMatchObject({
        duplicate: true,
        attendance_id: first.attendance_id,
      })
    // The kiosk itself was used since: that is no reason to take the earlier one for a duplicate of it.
    await running.app.inject({
      method: 'POST',
      url: '/api/v1/attendance/check',
      payload: form({ image: ann, device_id: 'GATE' }),
    })
    for (const captured_at of ['2025-03-03T00:58:59Z', '2025-03-03T01:01:01Z'])
      expect((await upload({ captured_at })).json()).toMatchObject({ duplicate: false })
    expect(await punches()).toHaveLength(4)
  })

  test('AUTO goes by what came before that time', async () => {
    await upload({ captured_at: '2025-03-03T01:00:00Z' })
    await upload({ captured_at: '2025-03-03T04:00:00Z', attendance_type: 'OUT' })
    const between = await upload({ captured_at: '2025-03-03T03:00:00Z', attendance_type: 'AUTO' })
    expect(between.json().attendance_type).toBe('OUT')
    const before = await upload({ captured_at: '2025-03-03T00:00:00Z', attendance_type: 'AUTO' })
    expect(before.json().attendance_type).toBe('IN')
  })

  test('takes an Idempotency-Key, to which the time belongs', async () => {
    const headers = { 'idempotency-key': 'k' }
    const first = await upload({}, headers)
    const again = await upload({}, headers)
    expect(again.json().attendance_id).toBe(first.json().attendance_id)
    expect(again.headers['idempotent-replayed']).toBe('true')
    const other = await upload({ captured_at: '2025-03-03T02:00:00Z' }, headers)
    expect(statusAndCode(other)).toEqual([409, 'idempotency_key_reused'])
  })
})

describe('a batch', () => {
  interface Sent {
    images: [string, Uint8Array][]
    captured?: string[]
    fields?: Record<string, string>
    headers?: Record<string, string>
  }
  function batch({ images, captured = [], fields = {}, headers = {} }: Sent) {
    const payload = form({ device_id: 'GATE', ...fields })
    for (const [name, bytes] of images) payload.append('images', new Blob([new Uint8Array(bytes)]), name)
    for (const time of captured) payload.append('captured_at', time)
    return running.app.inject({ method: 'POST', url: '/api/v1/attendance/batch', payload, headers })
  }

  test('answers for each picture in the order sent, and one that is broken does not stop the others', async () => {
    const answer = await batch({
      images: [
        ['ann.jpg', ann],
        ['broken.jpg', Buffer.from('this is no picture')],
        ['blank.jpg', blank],
        ['stranger.jpg', stranger],
        ['bob.jpg', bob],
      ],
      captured: [1, 2, 3, 4, 5].map((minute) => `2025-03-03T01:0${minute}:00Z`),
    })
    expect(answer.statusCode).toBe(200)
    const [first, broken, faceless, unknown, last] = answer.json()
    expect(first).toMatchObject({
      filename: 'ann.jpg',
      success: true,
      recognized: true,
      employee_id: 'ANN',
      timestamp: '2025-03-03T01:01:00.000Z',
      processing_time: expect.any(Number),
    })
    expect(broken).toEqual({
      filename: 'broken.jpg',
      success: false,
      code: 'unsupported_media_type',
      message: expect.any(String),
      error: expect.any(String),
      detail: expect.any(String),
      request_id: expect.any(String),
      processing_time: expect.any(Number),
    })
    expect(faceless).toMatchObject({ filename: 'blank.jpg', success: false, code: 'no_face' })
    expect(unknown).toMatchObject({ filename: 'stranger.jpg', success: true, recognized: false })
    expect(last).toMatchObject({ employee_id: 'BOB', timestamp: '2025-03-03T01:05:00.000Z' })
    expect((await punches()).map(({ employee_id }) => employee_id)).toEqual(['ANN', 'BOB'])
  })

  test('of one picture without a time counts now', async () => {
    const [entry, ...more] = (await batch({ images: [['ann.jpg', ann]] })).json()
    expect(more).toEqual([])
    expect(entry).toMatchObject({ employee_id: 'ANN', timestamp: '2025-03-03T05:00:00.000Z' })
  })

  test('refuses a picture that is too old by itself', async () => {
    const answer = await batch({
      images: [
        ['old.jpg', ann],
        ['new.jpg', ann],
      ],
      captured: ['2025-02-01T00:00:00Z', '2025-03-03T01:00:00Z'],
    })
    expect(answer.json()).toMatchObject([
      { success: false, code: 'invalid_request' },
      { success: true, recognized: true },
    ])
    // Like every other refusal.
    const [{ message, error, detail, request_id, filename, processing_time }] = answer.json()
    expect([error, detail, request_id, filename]).toEqual([
      message,
      message,
      answer.headers['x-request-id'],
      'old.jpg',
    ])
    expect(processing_time).toBeGreaterThan(0)
  })

  test('sent again under its key answers the same and writes nothing', async () => {
    const sent = {
      images: [
        ['ann.jpg', ann],
        ['bob.jpg', bob],
      ] as [string, Uint8Array][],
      headers: { 'idempotency-key': 'k' },
    }
    const first = (await batch(sent)).json()
    running.clock.advance(3_600_000)
    const before = await rowCounts(running.db)
    const again = (await batch(sent)).json()
    const lasting = (entries: object[]) => entries.map((entry) => ({ ...entry, processing_time: 0 }))
    expect(lasting(again)).toEqual(lasting(first))
    const { network_logs: _, ...after } = await rowCounts(running.db)
    expect(before).toMatchObject(after)
  })

  test.each([
    ['no picture', { images: [] }],
    ['fewer times than pictures', { images: 2, captured: ['2025-03-03T01:00:00Z'] }],
    ['a time that is none', { images: 1, captured: ['noon'] }],
    ['eleven pictures', { images: 11 }],
    ['no device', { images: 1, fields: { device_id: '' } }],
    ['an unknown type', { images: 1, fields: { attendance_type: 'BANANA' } }],
  ])('with %s is refused as a whole', async (_what, { images, ...rest }) => {
    const pictures = Array.from({ length: Number(images) }, (_, i): [string, Uint8Array] => [`${i}.jpg`, ann])
    expect(statusAndCode(await batch({ images: pictures, ...rest }))).toEqual([422, 'invalid_request'])
    expect(await punches()).toEqual([])
  })

  test('with pictures that are no files is refused', async () => {
    const answer = await running.app.inject({
      method: 'POST',
      url: '/api/v1/attendance/batch',
      payload: form({ device_id: 'GATE', images: 'a text' }),
    })
    expect(statusAndCode(answer)).toEqual([422, 'invalid_request'])
  })
})
