import { readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { averageVectors } from '../../src/face/embed.ts'
import { openGallery, voteOf } from '../../src/gallery/gallery.ts'
import { findKey } from '../../src/gallery/person-key.ts'
import { knownFiles, openTemplate, sampleVectors } from '../../src/gallery/templates.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { createLogger } from '../../src/shared/log.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, moreServers, registerKiosk, rowCounts, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer
/** The same face in another light and size. */
let annAgain: Buffer
let bob: Buffer

beforeAll(async () => {
  running = await testApp()
  ann = await portrait('blonde')
  annAgain = await sharp(ann).modulate({ brightness: 0.8 }).resize(360).jpeg({ quality: 70 }).toBuffer()
  bob = await portrait('longHair')
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
})
afterAll(() => running.close())

const base = '/api/v1/employees'
const upload = (photo: Uint8Array, id = 'ANN', company = running) =>
  company.app.inject({ method: 'POST', url: `${base}/${id}/upload-photo`, payload: form({ photo }) })
const get = (path: string) => running.app.inject(`${base}${path}`)
const removePhoto = (id: number, of = 'ANN') =>
  running.app.inject({ method: 'DELETE', url: `${base}/${of}/photos/${id}` })
const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const files = () => readdir(running.uploads)
const templates = () => running.db.selectFrom('face_templates').selectAll().orderBy('id').execute()
const samples = () => running.db.selectFrom('samples').selectAll().orderBy('id').execute()

const someKey = Buffer.alloc(32, 7)
const keyOfAnn = async () => (await findKey(running.vault, running.db, 'ANN'))!
const opened = async ({ image_id, pack, embedding_vector }: Awaited<ReturnType<typeof templates>>[0]) =>
  openTemplate(await keyOfAnn(), embedding_vector, { employeeId: 'ANN', slot: image_id, pack })

/** What may not change when an upload is refused. */
const everythingStored = async () => ({
  rows: await rowCounts(running.db),
  files: (await files()).sort(),
  templates: await templates(),
})

async function whoIs(picture: Uint8Array): Promise<string | undefined> {
  const analysis = await running.engine.analyse(picture)
  if (analysis.kind !== 'face') throw new Error('a picture with one face was expected')
  const { candidates, threshold } = running.gallery.identify([voteOf(analysis.face)], 1)
  return candidates[0]?.confidence >= threshold ? candidates[0].employeeId : undefined
}

test('lists tell who has photos, and who has none yet', async () => {
  for (const id of ['ANN', 'BOB']) await enrol(running, id)
  const counts = async (query = '') =>
    (await get(query)).json().map(({ employee_id, photos }: never) => `${employee_id} ${photos}`)
  expect(await counts()).toEqual(['ANN 0', 'BOB 0'])
  await upload(ann)
  await upload(annAgain)
  expect(await counts()).toEqual(['ANN 2', 'BOB 0'])
  expect(await counts('?has_photos=true')).toEqual(['ANN 2'])
  const without = await get('?has_photos=false&limit=1')
  expect(without.json()).toMatchObject([{ employee_id: 'BOB', photos: 0 }])
  expect(without.headers['x-total-count']).toBe('1')
  expect((await get('/ANN')).json()).toMatchObject({ photos: 2 })
  expect((await get('?has_photos=BANANA')).statusCode).toBe(422)
})

describe('a first photo', () => {
  beforeEach(() => enrol(running, 'ANN'))

  test.each([
    ['upload-photo', 'photo'],
    ['upload-face', 'file'],
  ])('by %s makes a template and the avatar', async (route, field) => {
    const answer = await running.app.inject({
      method: 'POST',
      url: `${base}/ANN/${route}`,
      payload: form({ [field]: ann }),
    })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      success: true,
      message: 'Face enrolled',
      employee_id: 'ANN',
      photo_id: 1,
      template_id: 1,
      slot: 1,
      photos: 1,
      is_avatar: true,
      already_stored: false,
      also_enrolled_as: [],
      warning: null,
      quality_score: expect.closeTo(1, 0),
      reasons: [],
      liveness: 'unavailable',
      results: [expect.objectContaining({ accepted: true, photo_id: 1 })],
      avatar_refused: false,
      processing_time: expect.any(Number),
    })
    expect(running.changed).toContain('ANN')
    expect(await whoIs(annAgain)).toBe('ANN')
  })

  test('is stored with what was measured, and its template is its own vector bit for bit', async () => {
    await upload(ann)
    const [sample] = await samples()
    expect(await files()).toEqual([sample.file_path])
    const stored = (await running.photos.read(sample.file_path, await keyOfAnn()))!
    expect(sample).toMatchObject({
      filename: 'picture.jpg',
      content_type: 'image/jpeg',
      size_bytes: stored.length,
      width_px: 450,
      height_px: 450,
      created_from: 'ADMIN_UPLOAD',
      is_avatar: true,
      created_at: running.clock.now(),
    })
    const analysis = await running.engine.analyse(stored)
    if (analysis.kind !== 'face') throw new Error('the stored photo has no face')
    const [template] = await templates()
    expect(await opened(template)).toEqual(analysis.face.vector)
    expect(template).toMatchObject({
      employee_id: 'ANN',
      image_id: 1,
      pack: running.engine.pack.name,
      is_primary: true,
      created_from: 'ADMIN_UPLOAD',
      quality_score: analysis.face.quality.score,
      match_count: 0,
    })
  })

  test.each([
    ['a turned head', 'laughing', ['pose']],
    ['a profile', 'profile', ['pose', 'occlusion', 'exposure']],
  ] as const)(
    'that shows %s is refused with its reasons, and nothing is stored',
    async (_what, name, reasons) => {
      const before = await everythingStored()
      const answer = await upload(await portrait(name))
      expect(statusAndCode(answer)).toEqual([422, 'poor_quality'])
      const body = answer.json()
      expect(body).toMatchObject({ success: false, face_detected: true, min_quality_score: 0.8, reasons })
      expect(body.quality_score).toBeLessThan(0.8)
      expect(body.message).toContain('look straight into the camera')
      expect(await everythingStored()).toEqual(before)
    },
  )

  test('at several servers at the same moment is one first photo, and no second person', async () => {
    const servers = await moreServers(running, 3)
    const pictures = [ann, annAgain, bob]
    const answers = await Promise.all(servers.map((server, i) => upload(pictures[i], 'ANN', server)))
    const codes = answers.map((answer) => answer.json().code ?? 'stored')
    expect([
      ['stored', 'stored', 'face_mismatch'],
      ['face_mismatch', 'face_mismatch', 'stored'],
    ]).toContainEqual(codes)
    const stored = await samples()
    expect(stored).toHaveLength(codes.filter((code) => code === 'stored').length)
    expect(stored.filter(({ is_avatar }) => is_avatar)).toHaveLength(1)
    expect((await files()).sort()).toEqual(stored.map(({ file_path }) => file_path).sort())
    for (const server of servers) await server.close()
  })

  test('of somebody unknown or gone is 404, and nothing is stored', async () => {
    await running.app.inject({ method: 'DELETE', url: `${base}/ANN` })
    const before = await everythingStored()
    for (const id of ['ANN', 'NOBODY'])
      expect(statusAndCode(await upload(ann, id))).toEqual([404, 'employee_not_found'])
    expect(await everythingStored()).toEqual(before)
  })

  test('of a deactivated person is stored, and not recognised before they are active again', async () => {
    const setActive = (is_active: boolean) =>
      running.app.inject({ method: 'PUT', url: `${base}/ANN`, payload: { is_active } })
    await setActive(false)
    expect((await upload(ann)).statusCode).toBe(200)
    expect(await whoIs(annAgain)).toBeUndefined()
    await setActive(true)
    expect(await whoIs(annAgain)).toBe('ANN')
  })
})

describe('a further photo', () => {
  beforeEach(() => enrol(running, 'ANN', ann))

  test('makes the same template anew from both', async () => {
    const [before] = await templates()
    running.clock.advance(5000)
    const answer = await upload(annAgain)
    expect(answer.json()).toMatchObject({ photo_id: 2, template_id: before.id, photos: 2, is_avatar: false })
    const [after, ...more] = await templates()
    expect(more).toEqual([])
    expect([after.created_at, after.updated_at]).toEqual([before.created_at, running.clock.now()])
    const vectors = await sampleVectors(running.db, await keyOfAnn(), 'ANN', running.engine.pack.name)
    expect(vectors).toHaveLength(2)
    const average = averageVectors(
      running.engine.pack.embedders,
      vectors.map(({ vector }) => vector),
    )
    expect(await opened(after)).toEqual(average)
    expect(after.embedding_vector).not.toEqual(before.embedding_vector)
  })

  test('of somebody else is refused, and nothing is stored', async () => {
    const before = await everythingStored()
    expect(statusAndCode(await upload(bob))).toEqual([422, 'face_mismatch'])
    expect(await everythingStored()).toEqual(before)
  })

  test('that is stored already changes nothing', async () => {
    const before = await everythingStored()
    running.clock.advance(5000)
    const answer = await upload(ann)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({
      already_stored: true,
      photo_id: 1,
      template_id: 1,
      photos: 1,
      is_avatar: true,
    })
    expect(await everythingStored()).toEqual(before)
  })

  test('sent five times at once is stored once', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => upload(annAgain)))
    expect(answers.map((answer) => answer.json().photo_id)).toEqual(Array(5).fill(answers[0].json().photo_id))
    expect(answers.filter((answer) => !answer.json().already_stored)).toHaveLength(1)
    expect(await samples()).toHaveLength(2)
    expect(await files()).toHaveLength(2)
  })

  test('is refused after the tenth, unless it is one of the ten', async () => {
    for (let quality = 81; quality <= 89; quality++)
      expect((await upload(await sharp(ann).jpeg({ quality }).toBuffer())).statusCode).toBe(200)
    const before = await everythingStored()
    expect(before.rows.samples).toBe(10)
    expect(statusAndCode(await upload(annAgain))).toEqual([409, 'too_many_photos'])
    expect((await upload(ann)).json().already_stored).toBe(true)
    expect(await everythingStored()).toEqual(before)
  })

  test('that meets a failing database leaves no row, and no file once the sweep has been', async () => {
    const failing = await testApp()
    await enrol(failing, 'ANN')
    await failing.db.schema.dropTable('sample_embeddings').execute()
    const answer = await upload(ann, 'ANN', failing)
    expect(statusAndCode(answer)).toEqual([500, 'internal'])
    expect(answer.body).not.toMatch(/sample_embeddings|relation/)
    expect(await knownFiles(failing.db)).toEqual(new Set())
    for (const name of await readdir(failing.uploads)) await age(join(failing.uploads, name))
    await failing.photos.sweep(await knownFiles(failing.db))
    expect(await readdir(failing.uploads)).toEqual([])
    await failing.close()
  })
})

describe('deleting photos', () => {
  beforeEach(() => enrol(running, 'ANN', ann, annAgain))

  test('makes the template anew from those left, and removes the file', async () => {
    const [first, second] = await samples()
    running.clock.advance(5000)
    expect((await removePhoto(1)).json()).toEqual({
      success: true,
      message: 'Photo deleted',
      remaining_photos: 1,
    })
    const [template, ...more] = await templates()
    expect(more).toEqual([])
    const key = await keyOfAnn()
    const [{ vector }] = await sampleVectors(running.db, key, 'ANN', running.engine.pack.name)
    expect(await opened(template)).toEqual(vector)
    expect(template).toMatchObject({ file_path: second.file_path, updated_at: running.clock.now() })
    expect(await files()).toEqual([second.file_path])
    expect(await running.photos.read(first.file_path, key)).toBeUndefined()
    expect(await whoIs(ann)).toBe('ANN')
  })

  test('leaves the avatar to whoever has read the person as they are', async () => {
    const choose = (version: string) =>
      running.app.inject({
        method: 'PUT',
        url: `${base}/ANN/photo`,
        payload: { photo_id: 2 },
        headers: { 'if-match': version },
      })
    const late = await choose('"99"')
    expect(statusAndCode(late)).toEqual([412, 'version_mismatch'])
    const { etag } = (await get('/ANN')).headers
    expect((await choose(String(etag))).statusCode).toBe(200)
  })

  test('moves the avatar to the oldest left', async () => {
    const avatars = async () => (await samples()).filter(({ is_avatar }) => is_avatar).map(({ id }) => id)
    expect(await avatars()).toEqual([1])
    await removePhoto(1)
    expect(await avatars()).toEqual([2])
    const { rawPayload } = await get('/ANN/photo')
    expect(rawPayload).toEqual((await get('/ANN/photos/2')).rawPayload)
  })

  test('down to none takes along what other packs had made of them', async () => {
    const [mine] = await templates()
    const { id: _, ...copy } = mine!
    await running.db
      .insertInto('face_templates')
      .values({ ...copy, pack: 'of-before' })
      .execute()
    await removePhoto(1)
    expect((await templates()).map(({ pack }) => pack).sort()).toEqual(['human-v1', 'of-before'])
    await removePhoto(2)
    expect(await templates()).toEqual([])
  })

  test('down to none ends recognition', async () => {
    await removePhoto(1)
    expect((await removePhoto(2)).json()).toMatchObject({
      remaining_photos: 0,
      message: expect.stringContaining('no longer'),
    })
    expect([await templates(), await files(), running.gallery.people]).toEqual([[], [], 0])
    expect(await whoIs(ann)).toBeUndefined()
    expect((await get('/ANN/photo')).statusCode).toBe(404)
    expect((await upload(bob)).statusCode).toBe(200)
    expect(await whoIs(bob)).toBe('ANN')
  })

  test.each(['/ANN/photos/99', '/NOBODY/photos/1', '/BOB/photos/1'])('%s is 404', async (path) => {
    await enrol(running, 'BOB')
    for (const method of ['GET', 'DELETE'] as const)
      expect((await running.app.inject({ method, url: `${base}${path}` })).statusCode).toBe(404)
    expect(await samples()).toHaveLength(2)
  })

  test.each(['0', '-1', 'x', '1.5', '99999999999', '%00', '..%2f1'])(
    'the photo id %s is refused',
    async (id) => {
      for (const method of ['GET', 'DELETE'] as const)
        expect(statusAndCode(await running.app.inject({ method, url: `${base}/ANN/photos/${id}` }))).toEqual([
          422,
          'invalid_request',
        ])
    },
  )
})

describe('reading', () => {
  test('photos are JPEGs without the place, owner or camera that telephones write', async () => {
    await enrol(running, 'ANN')
    const tagged = await sharp(ann)
      .jpeg({ quality: 95 })
      .withExif({
        IFD0: { Make: 'SpyPhone', Artist: 'Jane Doe' },
        IFD3: { GPSLatitude: '10/1 46/1 0/1', GPSLatitudeRef: 'N' },
      })
      .toBuffer()
    expect((await sharp(tagged).metadata()).exif).toBeDefined()
    await upload(tagged)
    for (const path of ['/ANN/photo', '/ANN/photo/', '/ANN/photos/1']) {
      const answer = await get(path)
      expect(answer.statusCode).toBe(200)
      expect(answer.headers).toMatchObject({
        'content-type': 'image/jpeg',
        'cache-control': 'private, no-store',
        'x-content-type-options': 'nosniff',
      })
      const { format, exif, icc, xmp, width } = await sharp(answer.rawPayload).metadata()
      expect({ format, exif, icc, xmp, width }).toEqual({ format: 'jpeg', width: 450 })
      expect(answer.rawPayload.includes('SpyPhone')).toBe(false)
    }
  })

  test('a list of photos tells what is kept, but neither where nor its hash', async () => {
    await enrol(running, 'ANN', ann, annAgain)
    const answer = await get('/ANN/photos/')
    expect(answer.json()[1]).toEqual({
      photo_id: 2,
      filename: 'picture.jpg',
      url: `${base}/ANN/photos/2`,
      content_type: 'image/jpeg',
      size_bytes: expect.any(Number),
      width_px: 360,
      height_px: 360,
      quality_score: expect.any(Number),
      created_from: 'ADMIN_UPLOAD',
      is_avatar: false,
      created_at: '2025-03-03T01:00:00.000Z',
    })
    expect((await running.app.inject(answer.json()[1].url)).headers['content-type']).toBe('image/jpeg')
  })

  test('a list of templates has no embedding', async () => {
    await enrol(running, 'ANN', ann)
    const answer = await get('/ANN/templates')
    expect(answer.json()).toEqual([
      {
        template_id: 1,
        image_id: 1,
        pack: running.engine.pack.name,
        is_primary: true,
        created_from: 'ADMIN_UPLOAD',
        quality_score: expect.any(Number),
        confidence_score: 1,
        match_count: 0,
        last_matched: null,
        avg_match_confidence: 0,
        created_at: '2025-03-03T01:00:00.000Z',
        updated_at: '2025-03-03T01:00:00.000Z',
        active_from: null,
        is_suspended: false,
        parent_id: null,
        learned_from: null,
        photo_id: null,
      },
    ])
    expect(answer.body).not.toMatch(/embedding|vector|file_path/)
  })

  test.each(['/NOBODY/photo', '/NOBODY/photos', '/NOBODY/templates'])('%s is 404', async (path) => {
    expect(statusAndCode(await get(path))).toEqual([404, 'employee_not_found'])
  })

  test('a photo whose file is gone is 404, and can still be deleted', async () => {
    await enrol(running, 'ANN', ann)
    await running.photos.remove(await files())
    expect(statusAndCode(await get('/ANN/photos/1'))).toEqual([404, 'photo_not_found'])
    expect((await removePhoto(1)).statusCode).toBe(200)
  })
})

test('ending employment removes rows, files and what is in memory of one person alone', async () => {
  await enrol(running, 'ANN', ann, annAgain)
  await enrol(running, 'BOB', bob)
  const [, , ofBob] = await samples()
  const answer = await running.app.inject({ method: 'DELETE', url: `${base}/ANN` })
  expect(answer.json()).toMatchObject({ deleted_face_templates: 1 })
  expect(await rowCounts(running.db)).toMatchObject({
    employees: 2,
    samples: 1,
    sample_embeddings: 1,
    face_templates: 1,
  })
  expect(await files()).toEqual([ofBob.file_path])
  expect([await whoIs(ann), await whoIs(bob)]).toEqual([undefined, 'BOB'])
})

const age = (path: string) => utimes(path, new Date(), new Date(Date.now() - 61 * 60 * 1000))

test('a photo whose file was lost comes back when the picture is sent again', async () => {
  await enrol(running, 'ANN', ann)
  for (const name of await files()) await rm(join(running.uploads, name))
  expect((await get('/ANN/photo')).statusCode).toBe(404)
  await enrol(running, 'BOB', bob)
  const url = '/api/v1/employees/ANN/upload-photo'
  const again = await running.app.inject({ method: 'POST', url, payload: form({ photo: ann }) })
  expect(again.json()).toMatchObject({ success: true, already_stored: true })
  expect((await get('/ANN/photo')).statusCode).toBe(200)
  expect((await knownFiles(running.db)).size).toBe((await files()).length)
})

describe('the sweep', () => {
  const sweep = async () => running.photos.sweep(await knownFiles(running.db))

  test('removes what a crash left, after an hour and not before', async () => {
    await enrol(running, 'ANN', ann)
    const known = await files()
    const stray = await running.photos.save(Buffer.from('a photo without a row'), someKey)
    const half = '0b0e7a35-0000-4000-8000-000000000000.jpg.part'
    await writeFile(join(running.uploads, half), 'half a photo')
    expect(await sweep()).toBe(0)
    for (const name of await files()) await age(join(running.uploads, name))
    expect(await sweep()).toBe(2)
    expect(await files()).toEqual(known)
    expect((await get('/ANN/photo')).statusCode).toBe(200)
    expect([stray, half].map((name) => known.includes(name))).toEqual([false, false])
  })

  test('leaves alone what is not a photo of ours', async () => {
    const others = ['README.txt', 'holiday.jpg', 'holiday.mkv.part']
    for (const name of others) {
      await writeFile(join(running.uploads, name), 'x')
      await age(join(running.uploads, name))
    }
    expect(await sweep()).toBe(0)
    expect((await files()).sort()).toEqual(others)
  })

  test('goes on when photos are deleted at the same time', async () => {
    const names = await Promise.all(
      Array.from({ length: 50 }, () => running.photos.save(Buffer.from('x'), someKey)),
    )
    for (const name of names) await age(join(running.uploads, name))
    await Promise.all([sweep(), running.photos.remove(names), sweep()])
    expect(await files()).toEqual([])
  })

  test('a name that is not of ours is never read or removed', async () => {
    for (const name of ['../secret', '/etc/passwd', '', 'a.jpg', '..'])
      for (const work of [() => running.photos.read(name, someKey), () => running.photos.remove([name])])
        await expect(work()).rejects.toThrow('not the name')
  })
})

test('the gallery in memory is the one that would be opened anew, whatever happened', async () => {
  await registerKiosk(running, 'GATE')
  const names = ['blonde', 'longHair', 'sunlit', 'frontal', 'bun'] as const
  const pictures = await Promise.all(names.map(portrait))
  const votes = await Promise.all(
    pictures.map(async (picture) => {
      const analysis = await running.engine.analyse(picture)
      if (analysis.kind !== 'face') throw new Error('a portrait without a face')
      return voteOf(analysis.face)
    }),
  )
  const change = (id: string, payload: object) =>
    running.app.inject({ method: 'PUT', url: `${base}/${id}`, payload })
  const steps: [string, () => Promise<unknown> | PromiseLike<unknown>][] = [
    ['enrol', () => enrol(running, 'P0', pictures[0])],
    ['enrol another', () => enrol(running, 'P1', pictures[1])],
    ['enrol a third', () => enrol(running, 'P2', pictures[2])],
    ['further photo', () => upload(annAgain, 'P0')],
    ['rename', () => change('P1', { name: 'Bảo' })],
    ['deactivate', () => change('P1', { is_active: false })],
    ['enrol while inactive', () => upload(pictures[3], 'P1')],
    ['enrol a fourth', () => enrol(running, 'P3', pictures[4])],
    ['delete the first', () => running.app.inject({ method: 'DELETE', url: `${base}/P0` })],
    ['reactivate', () => change('P1', { is_active: true })],
    ['delete a last photo', () => removePhoto(4, 'P2')],
    ['delete another photo', () => removePhoto(3, 'P2')],
    [
      'all at once',
      () =>
        Promise.all([
          change('P1', { name: 'B' }),
          change('P3', { is_active: false }),
          upload(pictures[2], 'P2'),
        ]),
    ],
    [
      'and back',
      () =>
        Promise.all([
          change('P3', { is_active: true }),
          change('P1', { is_active: false }),
          change('P1', { is_active: true }),
        ]),
    ],
    // Of two changes at once either may have been the last.
    ['reactivate for sure', () => change('P1', { is_active: true })],
  ]
  const { db, vault, ledger, clock, engine } = running
  for (const [what, step] of steps) {
    await step()
    const anew = await openGallery({
      db,
      vault,
      change: ledger.by(serverAuthor),
      pack: engine.pack,
      clock,
      log: createLogger({ level: 'silent' }),
      threshold: 0.65,
    })
    for (const vote of votes)
      expect(running.gallery.identify([vote], 9), what).toEqual(anew.identify([vote], 9))
    expect([running.gallery.people, running.gallery.templates], what).toEqual([anew.people, anew.templates])
    await anew.close()
  }
  expect(running.gallery.people).toBe(3)
})
