import { readdir } from 'node:fs/promises'
import type { LightMyRequestResponse } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { averageVectors } from '../../src/face/embed.ts'
import { findKey } from '../../src/gallery/person-key.ts'
import { openTemplate, sampleVectors } from '../../src/gallery/templates.ts'
import { AppError } from '../../src/shared/errors.ts'
import { assign, blankPicture } from '../attendance/company.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, rowCounts, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
/** Three pictures of one face, two of another, and what is none. */
let ann: Buffer
let annDark: Buffer
let annSmall: Buffer
let bob: Buffer
let bobDark: Buffer
let profile: Buffer
let blank: Buffer

beforeAll(async () => {
  running = await testApp()
  ann = await portrait('blonde')
  bob = await portrait('longHair')
  ;[annDark, bobDark] = await Promise.all(
    [ann, bob].map((face) => sharp(face).modulate({ brightness: 0.8 }).jpeg({ quality: 70 }).toBuffer()),
  )
  annSmall = await sharp(ann).resize(360).jpeg().toBuffer()
  profile = await portrait('profile')
  blank = await blankPicture()
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
  await enrol(running, 'ANN')
})
afterAll(() => running.close())

/** Sends the photos under their names. */
function upload(
  photos: Record<string, Uint8Array>,
  fields: Record<string, string> = {},
  headers = {},
  company = running,
) {
  const payload = new FormData()
  for (const [name, bytes] of Object.entries(photos))
    payload.append('photo', new Blob([new Uint8Array(bytes)]), name)
  for (const [name, value] of Object.entries(fields)) payload.append(name, value)
  return company.app.inject({
    method: 'POST',
    url: '/api/v1/employees/ANN/upload-photo',
    payload,
    headers: { ...headers },
  })
}
const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const samples = () => running.db.selectFrom('samples').selectAll().orderBy('id').execute()
const templates = () => running.db.selectFrom('face_templates').selectAll().execute()
const files = async () => (await readdir(running.uploads)).sort()
const avatar = async () => (await samples()).find(({ is_avatar }) => is_avatar)?.filename
/** The code of each photo's refusal, or null where it was accepted. */
const codes = (answer: LightMyRequestResponse) =>
  answer.json().results.map(({ code }: { code: string | null }) => code)
/** What may not change when all photos are refused. */
const everythingStored = async () => ({ rows: await rowCounts(running.db), files: await files() })

describe('several photos at once', () => {
  test('are all kept, and make one template, which is their mean', async () => {
    const answer = await upload({ 'a.png': ann, 'b.jpg': annDark, 'c.jpg': annSmall })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({
      success: true,
      message: '3 of 3 photos are enrolled',
      photo_id: 1,
      template_id: 1,
      photos: 3,
      is_avatar: true,
      results: [
        { filename: 'a.png', photo_id: 1, is_avatar: true },
        { filename: 'b.jpg', photo_id: 2, is_avatar: false },
        { filename: 'c.jpg', photo_id: 3, is_avatar: false },
      ],
    })
    for (const result of answer.json().results) {
      expect(result).toMatchObject({
        accepted: true,
        code: null,
        reasons: [],
        advice: [],
        also_enrolled_as: [],
      })
      expect(result.quality.score).toBe(Math.min(...(Object.values(result.quality.parts) as number[])))
      expect(result.same_person.same).toBe(true)
      expect(result.same_person.likeness).toBeGreaterThan(0.65)
    }
    expect(await files()).toEqual((await samples()).map(({ file_path }) => file_path).sort())
    const [template, ...others] = await templates()
    expect(others).toEqual([])
    const key = (await findKey(running.vault, running.db, 'ANN'))!
    const { pack } = running.engine
    const vectors = await sampleVectors(running.db, key, 'ANN', pack.name)
    const where = { employeeId: 'ANN', slot: 1, pack: pack.name }
    expect(openTemplate(key, template.embedding_vector, where)).toEqual(
      averageVectors(
        pack.embedders,
        vectors.map(({ vector }) => vector),
      ),
    )
    expect((await running.ledger.verify()).faults).toEqual([])
  })

  test('are judged each by itself: what cannot be used is refused with why and what to do, the rest is kept', async () => {
    const cut = ann.subarray(0, ann.length / 2)
    const answer = await upload({ 'side.png': profile, 'a.png': ann, 'wall.jpg': blank, 'cut.png': cut })
    expect(answer.statusCode).toBe(200)
    expect(codes(answer)).toEqual(['poor_quality', null, 'no_face', 'invalid_image'])
    const [side, good, wall] = answer.json().results
    expect(side).toMatchObject({
      filename: 'side.png',
      accepted: false,
      photo_id: null,
      reasons: ['pose', 'occlusion', 'exposure'],
      same_person: null,
    })
    expect(side.advice[0]).toBe('look straight into the camera')
    expect(side.message).toContain('look straight into the camera')
    expect(side.quality.parts.pose).toBe(side.quality.score)
    expect(good).toMatchObject({ accepted: true, photo_id: 1, is_avatar: true, same_person: null })
    expect(wall).toMatchObject({ quality: null, reasons: [], advice: [] })
    expect(answer.json()).toMatchObject({ message: '1 of 4 photos are enrolled', photo_id: 1, photos: 1 })
    expect(await samples()).toHaveLength(1)
    expect(await files()).toHaveLength(1)
  })

  test('of which none can be used leave nothing, and the refusal says what is wrong with each', async () => {
    const before = await everythingStored()
    const answer = await upload({ 'side.png': profile, 'wall.jpg': blank }, { consent: '2025-03' })
    expect(answer.statusCode).toBe(422)
    expect(codes(answer)).toEqual(['poor_quality', 'no_face'])
    expect(answer.json()).toMatchObject({ success: false, code: 'poor_quality' })
    expect(answer.json().message).toMatch(
      /^None of the photos can be used\. side\.png: .*camera.* wall\.jpg: There is no face/,
    )
    expect(await everythingStored()).toEqual(before)
  })

  test('of which one is there already, or comes twice, store it once', async () => {
    await upload({ 'a.png': ann })
    const answer = await upload({ 'again.png': ann, 'b.jpg': annDark, 'b2.jpg': annDark })
    expect(answer.json()).toMatchObject({
      photos: 2,
      results: [
        { photo_id: 1, already_stored: true, same_person: { same: true } },
        { photo_id: 2, already_stored: false },
        { photo_id: 2, already_stored: true },
      ],
    })
    expect(await samples()).toHaveLength(2)
  })

  test('beyond ten in all are refused; more than ten at once are no request', async () => {
    const many = await Promise.all(
      Array.from({ length: 11 }, async (_, i) => [
        `${i}.jpg`,
        await sharp(ann)
          .jpeg({ quality: 60 + i })
          .toBuffer(),
      ]),
    )
    const answer = await upload(Object.fromEntries(many))
    expect(statusAndCode(answer)).toEqual([422, 'invalid_request'])
    expect(answer.json().fields).toEqual([{ path: 'photo', message: 'must be sent at most 10 times' }])
    expect(await samples()).toEqual([])
    expect((await upload(Object.fromEntries(many.slice(0, 8)))).json().photos).toBe(8)
    const more = await upload({ 'a.png': ann, 'b.jpg': annDark, 'c.jpg': annSmall })
    expect(codes(more)).toEqual([null, null, 'too_many_photos'])
    expect(statusAndCode(await upload({ 'c.jpg': annSmall, 'd.jpg': bob }))).toEqual([409, 'too_many_photos'])
    expect(await samples()).toHaveLength(10)
  })

  test('of which one is no picture, or is none at all, are no request', async () => {
    const before = await everythingStored()
    const text = Buffer.from('I am a text')
    expect(statusAndCode(await upload({ 'a.png': ann, 'b.txt': text }))).toEqual([
      415,
      'unsupported_media_type',
    ])
    const empty = await upload({ 'a.png': ann, 'b.jpg': Buffer.alloc(0) })
    expect(statusAndCode(empty)).toEqual([422, 'invalid_request'])
    expect(statusAndCode(await upload({}, { photo: 'text' }))).toEqual([422, 'invalid_request'])
    expect(await everythingStored()).toEqual(before)
  })

  test('may together be as large as one upload', async () => {
    const padded = Buffer.concat([ann, Buffer.alloc(6 * 1024 * 1024)])
    expect(statusAndCode(await upload({ 'a.png': padded, 'b.png': padded }))).toEqual([
      413,
      'upload_too_large',
    ])
    expect(await samples()).toEqual([])
  })

  test('are looked at one after the other, each in a turn of its own', async () => {
    let atOnce = 0
    const most: number[] = []
    const company = await testApp(
      { db: running.db, vault: running.vault, ledger: running.ledger },
      {},
      (engine) => ({
        ...engine,
        analyse: async (...picture) => {
          most.push(++atOnce)
          const analysis = await engine.analyse(...picture)
          atOnce--
          return analysis
        },
      }),
    )
    await upload({ 'a.png': ann, 'b.jpg': annDark, 'c.jpg': annSmall }, {}, {}, company)
    await company.close()
    expect(most).toEqual([1, 1, 1])
  })

  test('of which the last cannot be written are not stored at all', async () => {
    let written = 0
    const failing = new Proxy(running.photos, {
      get: (photos, key) =>
        key === 'save'
          ? async (...photo: Parameters<typeof photos.save>) => {
              if (++written === 3) throw new AppError('storage_full', 'The disk is full.')
              return photos.save(...photo)
            }
          : Reflect.get(photos, key),
    })
    const { db, vault, ledger, gallery } = running
    const company = await testApp({ db, vault, ledger, gallery, photos: failing })
    const before = await everythingStored()
    const answer = await upload({ 'a.png': ann, 'b.jpg': annDark, 'c.jpg': annSmall }, {}, {}, company)
    await company.close()
    expect(statusAndCode(answer)).toEqual([507, 'storage_full'])
    expect(written).toBe(3)
    expect(await everythingStored()).toEqual(before)
  })

  test('record the consent that comes with them', async () => {
    await running.db.updateTable('sites').set({ require_consent: true }).execute()
    try {
      expect(statusAndCode(await upload({ 'a.png': ann, 'b.jpg': annDark }))).toEqual([
        409,
        'consent_missing',
      ])
      expect((await upload({ 'a.png': ann, 'b.jpg': annDark }, { consent: '2025-03' })).statusCode).toBe(200)
      expect(await running.db.selectFrom('consents').select('text_version').execute()).toEqual([
        { text_version: '2025-03' },
      ])
    } finally {
      await running.db.updateTable('sites').set({ require_consent: false }).execute()
    }
  })
})

describe('a face that is not the person', () => {
  test('is found among three by the other two, and refused', async () => {
    const answer = await upload({ 'bob.png': bob, 'a.png': ann, 'b.jpg': annDark })
    expect(codes(answer)).toEqual(['face_mismatch', null, null])
    const [odd, ...own] = answer.json().results
    expect(odd.same_person).toEqual({ same: false, likeness: expect.any(Number) })
    expect(odd.same_person.likeness).toBeLessThan(0.4)
    expect(odd.message).toContain('most of the photos that came with it')
    for (const { same_person } of own) expect(same_person).toMatchObject({ same: true })
    expect((await samples()).map(({ filename }) => filename)).toEqual(['a.png', 'b.jpg'])
  })

  test('cannot be told where two photos differ and none is stored: both are refused', async () => {
    const before = await everythingStored()
    const answer = await upload({ 'a.png': ann, 'bob.png': bob })
    expect(statusAndCode(answer)).toEqual([422, 'face_mismatch'])
    expect(codes(answer)).toEqual(['face_mismatch', 'face_mismatch'])
    expect(answer.json().message).toContain('The photos show different people')
    expect(answer.json().results[0].same_person.same).toBe(false)
    expect(await everythingStored()).toEqual(before)
  })

  test('does not become the person by being sent more often, nor by being as many as they are', async () => {
    expect(codes(await upload({ '1.png': bob, '2.png': bob, 'a.png': ann }))).toEqual(
      Array(3).fill('face_mismatch'),
    )
    const even = await upload({ '1.png': bob, '2.jpg': bobDark, 'a.png': ann, 'b.jpg': annDark })
    expect(codes(even)).toEqual(Array(4).fill('face_mismatch'))
    expect(await samples()).toEqual([])
  })

  test('is told by the stored photos, however many come with it', async () => {
    await upload({ 'a.png': ann })
    const answer = await upload({ '1.png': bob, '2.jpg': bobDark, 'b.jpg': annDark })
    expect(codes(answer)).toEqual(['face_mismatch', 'face_mismatch', null])
    expect(answer.json().results[0].message).toContain("the one in the person's other photos")
    expect(await samples()).toHaveLength(2)
  })

  test('says whose it is, by name to those only who may see them', async () => {
    await enrol(running, 'BOB', bob)
    await assign(running.db, { BOB: 'Store' })
    const named = (await upload({ 'bob.png': bobDark, 'a.png': ann, 'b.jpg': annDark })).json()
    expect(named.results.map((one: { also_enrolled_as: object[] }) => one.also_enrolled_as)).toEqual([
      [{ employee_id: 'BOB', name: 'BOB', confidence: expect.any(Number) }],
      [],
      [],
    ])
    expect(named.also_enrolled_as).toEqual([])
    const key = await running.app.inject({
      method: 'POST',
      url: '/api/v1/auth/api-keys',
      payload: { name: 'camera', scopes: ['biometrics:write'] },
    })
    const nameless = await upload({ 'bob.png': bob }, {}, { 'x-api-key': key.json().key })
    expect(statusAndCode(nameless)).toEqual([422, 'face_mismatch'])
    expect(nameless.json().results[0].also_enrolled_as).toMatchObject([{ employee_id: null, name: null }])
  })

  test('is enrolled under a second id with a warning, which the audit log has once', async () => {
    await enrol(running, 'TWIN', ann)
    const answer = (await upload({ 'b.jpg': annDark, 'c.jpg': annSmall })).json()
    expect(answer.also_enrolled_as).toMatchObject([{ employee_id: 'TWIN', name: 'TWIN' }])
    expect(answer.warning).toContain('under another id')
    const noted = await running.db
      .selectFrom('audit_log')
      .select('subject')
      .where('action', '=', 'same_face')
      .execute()
    expect(noted).toEqual([{ subject: 'ANN' }])
  })
})

describe('the avatar', () => {
  test('is the chosen photo of those that came', async () => {
    await upload({ 'a.png': ann, 'b.jpg': annDark }, { selected_avatar_index: '1' })
    expect(await avatar()).toBe('b.jpg')
    const answer = await upload({ 'c.jpg': annSmall }, { selected_avatar_index: '0' })
    expect(answer.json()).toMatchObject({ is_avatar: true, avatar_refused: false })
    expect(await avatar()).toBe('c.jpg')
  })

  test('stays where none is chosen, and may be one that was there already', async () => {
    await upload({ 'a.png': ann })
    await upload({ 'b.jpg': annDark, 'c.jpg': annSmall })
    expect(await avatar()).toBe('a.png')
    const answer = await upload({ 'b.jpg': annDark }, { selected_avatar_index: '0' })
    expect(answer.json()).toMatchObject({ already_stored: true, is_avatar: true })
    expect(await avatar()).toBe('b.jpg')
  })

  test('is not a photo that was refused, which the answer says', async () => {
    await upload({ 'a.png': ann })
    const answer = await upload({ 'side.png': profile, 'b.jpg': annDark }, { selected_avatar_index: '0' })
    expect(answer.json()).toMatchObject({
      avatar_refused: true,
      message: '1 of 2 photos are enrolled; the one that was to be the avatar was refused',
    })
    expect(await avatar()).toBe('a.png')
  })

  test.each(['2', '-1', 'first'])('cannot be the photo number %s of two', async (selected_avatar_index) => {
    const before = await everythingStored()
    const answer = await upload({ 'a.png': ann, 'b.jpg': annDark }, { selected_avatar_index })
    expect(statusAndCode(answer)).toEqual([422, 'invalid_request'])
    expect(answer.json().fields[0].path).toBe('selected_avatar_index')
    expect(await everythingStored()).toEqual(before)
  })
})

test('a learned photo is no photo of the administrator: it takes no place and vouches for nobody', async () => {
  await upload({ 'a.png': ann })
  const [own] = await samples()
  const { id: _, ...row } = own
  await running.db
    .insertInto('samples')
    .values(
      Array.from({ length: 9 }, (_, i) => ({
        ...row,
        file_path: `learned-${i}.jpg`,
        sha256: `learned ${i}`,
        created_from: 'ATTENDANCE' as const,
        is_avatar: false,
      })),
    )
    .execute()
  const answer = await upload({ 'b.jpg': annDark })
  expect(answer.json()).toMatchObject({ photos: 2, already_stored: false })
})

test('whoever may not enrol cannot by sending more of it', async () => {
  const viewer = await signIn(running.db, 'viewer')
  expect(statusAndCode(await upload({ 'a.png': ann, 'b.jpg': annDark }, {}, viewer))).toEqual([
    403,
    'forbidden',
  ])
})
