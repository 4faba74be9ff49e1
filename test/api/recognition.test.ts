import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { portrait } from '../face/portraits.ts'
import { enrol, form, rowCounts, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer
let bob: Buffer

beforeAll(async () => {
  running = await testApp()
  ann = await sharp(await portrait('blonde'))
    .modulate({ brightness: 0.8 })
    .jpeg({ quality: 70 })
    .toBuffer()
  bob = await portrait('longHair')
})
beforeEach(() => running.clear())
afterAll(() => running.close())

const processPicture = (parts: Record<string, string | Uint8Array>) =>
  running.app.inject({ method: 'POST', url: '/api/v1/recognition/process', payload: form(parts) })

/** Every list of numbers in a value, however deep. */
function numberLists(value: unknown): unknown[][] {
  if (Array.isArray(value) && value.length > 8 && value.every((item) => typeof item === 'number'))
    return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numberLists) : []
}

describe('processing a picture', () => {
  test('tells what is in it, claims nothing of liveness, and gives no embedding out', async () => {
    const answer = await processPicture({ image: ann })
    expect(answer.statusCode).toBe(200)
    const number = expect.any(Number)
    expect(answer.json()).toEqual({
      success: true,
      face_detected: true,
      is_real: null,
      liveness: 'unavailable',
      embedding_extracted: true,
      message: expect.any(String),
      quality: {
        score: number,
        parts: { size: number, sharpness: number, exposure: number, pose: number, occlusion: number },
        reasons: [],
      },
      pose: { yaw: number, pitch: number, roll: number },
      face_box: { x: number, y: number, width: number, height: number },
      picture: { width_px: 450, height_px: 450 },
      processing_time: number,
    })
    expect(numberLists(answer.json())).toEqual([])
    expect(answer.body.length).toBeLessThan(2000)
  })

  test('finds the box of the face in the middle of a portrait', async () => {
    const { face_box } = (await processPicture({ image: ann })).json()
    expect(face_box.x + face_box.width / 2).toBeCloseTo(225, -2)
    expect(face_box.y + face_box.height / 2).toBeCloseTo(225, -2)
  })

  test('stores nothing', async () => {
    await enrol(running, 'ANN', await portrait('blonde'))
    const before = await rowCounts(running.db)
    await processPicture({ image: ann, employee_id: 'ANN' })
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('compares the face with the person who is named', async () => {
    await enrol(running, 'ANN', await portrait('blonde'))
    const matched = (await processPicture({ image: ann, employee_id: 'ANN' })).json().match_result
    expect(matched).toEqual({
      employee_id: 'ANN',
      matched: true,
      confidence: expect.any(Number),
      threshold: 0.65,
      message: 'The face is that of the person',
    })
    expect(matched.confidence).toBeGreaterThan(0.65)
    const other = (await processPicture({ image: bob, employee_id: 'ANN' })).json().match_result
    expect(other).toMatchObject({ matched: false, message: 'The face does not match the person' })
    expect(other.confidence).toBeLessThan(0.65)
  })

  test.each([
    ['was never enrolled', () => enrol(running, 'ANN')],
    [
      'is deactivated',
      async () => {
        await enrol(running, 'ANN', await portrait('blonde'))
        const payload = { is_active: false }
        await running.app.inject({ method: 'PUT', url: '/api/v1/employees/ANN', payload })
      },
    ],
  ])('matches nobody who %s, and says what to do', async (_how, prepare) => {
    await prepare()
    expect((await processPicture({ image: ann, employee_id: 'ANN' })).json().match_result).toMatchObject({
      matched: false,
      confidence: 0,
      message: expect.stringContaining('enrol a photo'),
    })
  })

  test('of somebody unknown or gone is 404', async () => {
    await enrol(running, 'ANN')
    await running.app.inject({ method: 'DELETE', url: '/api/v1/employees/ANN' })
    for (const employee_id of ['ANN', 'NOBODY']) {
      const answer = await processPicture({ image: ann, employee_id })
      expect([answer.statusCode, answer.json().code]).toEqual([404, 'employee_not_found'])
    }
  })

  test('without a face says so in the keys that clients read', async () => {
    const image = await sharp({ create: { width: 99, height: 99, channels: 3, background: '#777' } })
      .png()
      .toBuffer()
    expect((await processPicture({ image })).json()).toMatchObject({
      success: false,
      face_detected: false,
      code: 'no_face',
    })
  })
})

describe('identifying a face', () => {
  const identify = (image: Uint8Array, top = '5', headers = {}) =>
    running.app.inject({
      method: 'POST',
      url: '/api/v1/recognition/identify',
      payload: form({ image, top }),
      headers,
    })

  test('names the people who resemble it most, best first, and stores nothing', async () => {
    await enrol(running, 'ANN', await portrait('blonde'))
    await enrol(running, 'BOB', await portrait('longHair'))
    const before = await rowCounts(running.db)
    const answer = (await identify(ann)).json()
    expect(answer).toMatchObject({
      success: true,
      people: 2,
      threshold: 0.65,
      liveness: 'unavailable',
      candidates: [
        { employee_id: 'ANN', name: 'ANN', above_threshold: true },
        { employee_id: 'BOB', name: 'BOB', above_threshold: false },
      ],
    })
    expect(numberLists(answer)).toEqual([])
    expect((await identify(ann, '1')).json().candidates).toHaveLength(1)
    expect((await identify(ann, '21')).statusCode).toBe(422)
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('names nobody in an empty gallery, nor to whoever may not see them', async () => {
    expect((await identify(ann)).json()).toMatchObject({ candidates: [], people: 0 })
    await enrol(running, 'ANN', await portrait('blonde'))
    const made = await running.app.inject({
      method: 'POST',
      url: '/api/v1/auth/api-keys',
      payload: { name: 'door', scopes: ['recognition:run'] },
    })
    const [seen] = (await identify(ann, '5', { 'x-api-key': made.json().key })).json().candidates
    expect(seen).toMatchObject({ employee_id: null, name: null, above_threshold: true })
  })
})

test("the models' status counts what they did", async () => {
  const status = async () => (await running.app.inject('/api/v1/recognition/models/status')).json()
  const before = await status()
  await enrol(running, 'ANN', await portrait('blonde'))
  await processPicture({ image: ann })
  expect(await status()).toEqual({
    models_loaded: { face_detector: true, anti_spoof: false, face_recognizer: true },
    performance: {
      total_recognitions: before.performance.total_recognitions + 2,
      avg_processing_time: expect.any(Number),
      cache_hits: 0,
      last_reset: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    },
    cache_size: 0,
    pack: 'human-v1',
    embedding_dimension: 1152,
    people: 1,
    threshold: 0.65,
    score_scale: 'raw',
    calibration_id: null,
    liveness: 'unavailable',
  })
})
