import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { portrait } from '../face/portraits.ts'
import { enrol, form, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let picture: Buffer

beforeAll(async () => {
  running = await testApp({}, {}, undefined, undefined, 10)
  picture = await portrait('blonde')
})
beforeEach(() => running.clear())
afterAll(() => running.close())

const processPicture = () =>
  running.app.inject({
    method: 'POST',
    url: '/api/v1/recognition/process',
    payload: form({ image: picture }),
  })

async function figures() {
  const { performance, cache_size } = (await running.app.inject('/api/v1/recognition/models/status')).json()
  return { ...performance, cache_size }
}

test('a picture that is sent again counts as a recognition, and not into the average time', async () => {
  await processPicture()
  const before = await figures()
  expect((await processPicture()).json()).toMatchObject({ success: true, face_detected: true })
  expect(await figures()).toEqual({
    ...before,
    total_recognitions: before.total_recognitions + 1,
    cache_hits: before.cache_hits + 1,
  })
  const overview = (await running.app.inject('/api/v1/device-management/status')).json()
  expect({ ...overview.performance, cache_size: overview.cache_size }).toEqual(await figures())
})

test('the metrics tell the same, and no stage of an analysis that was not run', async () => {
  await processPicture()
  const scrape = async () => {
    const { body } = await running.app.inject('/metrics')
    const value = (name: string) => Number(new RegExp(`^rollcall_${name} (\\S+)$`, 'm').exec(body)?.[1])
    return {
      hits: value('engine_cache_hits_total'),
      size: value('engine_cache_size'),
      analyses: value('engine_analyses_total'),
      decoded: value('stage_duration_seconds_count{stage="decode"}'),
    }
  }
  const before = await scrape()
  expect([before.hits, before.size]).toEqual([(await figures()).cache_hits, (await figures()).cache_size])
  await processPicture()
  expect(await scrape()).toEqual({ ...before, hits: before.hits + 1 })
})

describe('what is kept of pictures is forgotten', () => {
  test.each([
    ['when a person is erased', 'POST', '/erase'],
    ['when a consent is withdrawn', 'DELETE', '/consent'],
    ['when an employment ends', 'DELETE', ''],
    ['when a person is purged', 'DELETE', '?purge=true&confirm=ANN'],
  ] as const)('%s', async (_, method, path) => {
    await enrol(running, 'ANN')
    const photo = { photo: picture, consent: 'on paper' }
    const url = '/api/v1/employees/ANN/upload-photo'
    await running.app.inject({ method: 'POST', url, payload: form(photo) })
    await processPicture()
    expect((await figures()).cache_size).toBeGreaterThan(0)
    const answer = await running.app.inject({ method, url: `/api/v1/employees/ANN${path}` })
    expect(answer.statusCode, answer.body).toBe(200)
    expect((await figures()).cache_size).toBe(0)
  })
})
