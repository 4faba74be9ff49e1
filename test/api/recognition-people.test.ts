import type { LightMyRequestResponse } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findKey } from '../../src/gallery/person-key.ts'
import { openTemplate } from '../../src/gallery/templates.ts'
import { blankPicture, changed } from '../attendance/company.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, rowCounts, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer
let bob: Buffer

beforeAll(async () => {
  running = await testApp()
  ;[ann, bob] = await Promise.all([changed('blonde'), changed('longHair')])
})
beforeEach(() => running.clear())
afterAll(() => running.close())

const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]

describe('verifying', () => {
  const verify = (parts: Record<string, string | Uint8Array>, headers = {}) =>
    running.app.inject({ method: 'POST', url: '/api/v1/recognition/verify', payload: form(parts), headers })

  test('says whether the face is that of the person, and stores nothing', async () => {
    await enrol(running, 'ANN', await portrait('blonde'))
    await enrol(running, 'BOB', await portrait('longHair'))
    const before = await rowCounts(running.db)
    const answer = await verify({ image: ann, employee_id: 'ANN' })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      success: true,
      verified: true,
      employee_id: 'ANN',
      confidence: expect.any(Number),
      threshold: 0.65,
      message: 'The face is that of the person',
      liveness: 'unavailable',
      processing_time: expect.any(Number),
    })
    expect(answer.json().confidence).toBeGreaterThan(0.65)
    const other = (await verify({ image: bob, employee_id: 'ANN' })).json()
    expect(other).toMatchObject({ verified: false, message: 'The face does not match the person' })
    expect(other.confidence).toBeLessThan(0.65)
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('verifies nobody without a template, and says what to do', async () => {
    await enrol(running, 'ANN')
    expect((await verify({ image: ann, employee_id: 'ANN' })).json()).toMatchObject({
      verified: false,
      confidence: 0,
      message: expect.stringContaining('enrol a photo'),
    })
  })

  test('refuses a face that is too poor to be compared', async () => {
    await enrol(running, 'ANN', await portrait('blonde'))
    const image = await sharp(await portrait('blonde'))
      .resize(80)
      .blur(4)
      .jpeg({ quality: 20 })
      .toBuffer()
    const answer = await verify({ image, employee_id: 'ANN' })
    expect(answer.statusCode).toBe(422)
    expect(['poor_quality', 'no_face']).toContain(answer.json().code)
  })

  test('needs a face and somebody who is known', async () => {
    await enrol(running, 'ANN')
    const blank = await blankPicture()
    expect(statusAndCode(await verify({ image: blank, employee_id: 'ANN' }))).toEqual([422, 'no_face'])
    expect(statusAndCode(await verify({ image: ann, employee_id: 'NOBODY' }))).toEqual([
      404,
      'employee_not_found',
    ])
    expect(statusAndCode(await verify({ image: ann }))).toEqual([422, 'invalid_request'])
  })

  test('is not for a viewer', async () => {
    const headers = await signIn(running.db, 'viewer')
    expect(statusAndCode(await verify({ image: ann, employee_id: 'ANN' }, headers))).toEqual([
      403,
      'forbidden',
    ])
  })
})

describe('training', () => {
  const train = (payload?: object, headers = {}) =>
    running.app.inject({ method: 'POST', url: '/api/v1/recognition/train', payload, headers })
  const templates = () => running.db.selectFrom('face_templates').selectAll().orderBy('employee_id').execute()

  test('makes the same templates again from the stored photos, where they were lost', async () => {
    await enrol(running, 'ANN', await portrait('blonde'))
    await enrol(running, 'BOB', await portrait('longHair'))
    await enrol(running, 'CAT')
    const before = await templates()
    await running.db.deleteFrom('face_templates').execute()
    await running.db.deleteFrom('sample_embeddings').execute()
    for (const id of ['ANN', 'BOB']) await running.gallery.refresh(id)
    expect(running.gallery.people).toBe(0)

    const answer = await train()
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      success: true,
      trained: 2,
      skipped: [],
      processing_time: expect.any(Number),
    })
    expect(running.gallery.people).toBe(2)
    const vectors = (rows: Awaited<ReturnType<typeof templates>>) =>
      Promise.all(
        rows.map(async ({ employee_id: employeeId, image_id: slot, pack, embedding_vector }) => {
          const key = (await findKey(running.vault, running.db, employeeId))!
          return [employeeId, openTemplate(key, embedding_vector, { employeeId, slot, pack })]
        }),
      )
    expect(await vectors(await templates())).toEqual(await vectors(before))
  })

  test('can be of some people, and tells whom it skipped and why', async () => {
    await enrol(running, 'ANN', await portrait('blonde'))
    await enrol(running, 'BOB', await portrait('longHair'))
    await enrol(running, 'CAT')
    const [{ file_path }] = await running.db
      .selectFrom('samples')
      .select('file_path')
      .where('employee_id', '=', 'BOB')
      .execute()
    await running.photos.remove([file_path])
    const before = await templates()
    const answer = await train({ employee_ids: ['ANN', 'ANN', 'BOB', 'CAT', 'NOBODY'] })
    expect(answer.json()).toMatchObject({
      trained: 1,
      skipped: [
        { employee_id: 'BOB', reason: 'photo_missing' },
        { employee_id: 'CAT', reason: 'no_photos' },
        { employee_id: 'NOBODY', reason: 'employee_not_found' },
      ],
    })
    // Who is skipped is recognised as before.
    expect((await templates()).map(({ id }) => id)).toEqual(before.map(({ id }) => id))
    expect(running.gallery.people).toBe(2)
  })

  test('changes no photo and makes no second template', async () => {
    await enrol(running, 'ANN', await portrait('blonde'))
    const before = await rowCounts(running.db)
    expect((await train({})).json().trained).toBe(1)
    // What is sealed anew is a change, and is written down.
    const ledger = { audit_log: expect.any(Number), ledger: expect.any(Number) }
    expect(await rowCounts(running.db)).toEqual({ ...before, ...ledger })
  })

  test.each([{ employee_ids: [] }, { employee_ids: 'ANN' }, { employee_ids: ['a/b'] }])(
    'refuses %o',
    async (payload) => {
      expect(statusAndCode(await train(payload))).toEqual([422, 'invalid_request'])
    },
  )

  test('is not for a viewer', async () => {
    expect(statusAndCode(await train({}, await signIn(running.db, 'viewer')))).toEqual([403, 'forbidden'])
  })
})
