import { readdir } from 'node:fs/promises'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createKey } from '../../src/access/api-keys.ts'
import { voteOf } from '../../src/gallery/gallery.ts'
import { findKey } from '../../src/gallery/person-key.ts'
import { openTemplate } from '../../src/gallery/templates.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { portrait } from '../face/portraits.ts'
import {
  enrol,
  form,
  recordPunch,
  registerKiosk,
  rowCounts,
  signIn,
  type TestApp,
  testApp,
} from '../support/app.ts'

let running: TestApp
let ann: Buffer
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
type Headers = Record<string, string>
const send = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  payload?: object,
  headers: Headers = {},
) => running.app.inject({ method, url: `${base}${path}`, payload, headers })
const outcome = (answer: { statusCode: number; json(): { code?: string } }) => [
  answer.statusCode,
  answer.json().code,
]
const upload = (photo: Uint8Array, id: string, company = running) =>
  company.app.inject({ method: 'POST', url: `${base}/${id}/upload-photo`, payload: form({ photo }) })

async function whoIs(picture: Uint8Array): Promise<string | undefined> {
  const analysis = await running.engine.analyse(picture)
  if (analysis.kind !== 'face') throw new Error('a picture with one face was expected')
  const { candidates, threshold } = running.gallery.identify([voteOf(analysis.face)], 1)
  return candidates[0]?.confidence >= threshold ? candidates[0].employeeId : undefined
}

describe('the avatar', () => {
  beforeEach(() => enrol(running, 'ANN', ann, annAgain))

  test('is the photo that was chosen', async () => {
    const answer = await send('PUT', '/ANN/photo', { photo_id: 2 })
    expect(answer.json()).toEqual({ success: true, message: 'Avatar chosen', photo_id: 2 })
    expect((await send('GET', '/ANN/photo')).rawPayload).toEqual(
      (await send('GET', '/ANN/photos/2')).rawPayload,
    )
    expect((await send('PUT', '/ANN/photo', { photo_id: 2 })).statusCode).toBe(200)
  })

  test('stays one, whatever is chosen at once', async () => {
    const choices = [1, 2, 1, 2, 1, 2].map((photo_id) => send('PUT', '/ANN/photo', { photo_id }))
    for (const answer of await Promise.all(choices)) expect(answer.statusCode).toBe(200)
    const photos = (await send('GET', '/ANN/photos')).json() as { is_avatar: boolean }[]
    expect(photos.filter(({ is_avatar }) => is_avatar)).toHaveLength(1)
  })

  test('is no photo of somebody else, and none that is not there', async () => {
    await enrol(running, 'BOB', bob)
    for (const photo_id of [3, 99])
      expect(outcome(await send('PUT', '/ANN/photo', { photo_id }))).toEqual([404, 'photo_not_found'])
    expect(outcome(await send('PUT', '/NOBODY/photo', { photo_id: 1 }))).toEqual([404, 'employee_not_found'])
    for (const photo_id of [0, -1, 1.5, '1', null, 1e12])
      expect((await send('PUT', '/ANN/photo', { photo_id })).statusCode).toBe(422)
    const photos = (await send('GET', '/ANN/photos')).json() as { is_avatar: boolean }[]
    expect(photos.map(({ is_avatar }) => is_avatar)).toEqual([true, false])
  })
})

describe('a template', () => {
  beforeEach(() => enrol(running, 'ANN', ann, annAgain))

  test('that is deleted recognises nobody until it is made again from the photos, as it was', async () => {
    const vector = async () =>
      openTemplate(
        (await findKey(running.vault, running.db, 'ANN'))!,
        (await running.db.selectFrom('face_templates').select('embedding_vector').executeTakeFirstOrThrow())
          .embedding_vector,
        { employeeId: 'ANN', slot: 1, pack: running.engine.pack.name },
      )
    const before = await vector()
    const deleted = await send('DELETE', '/ANN/templates/1')
    expect(deleted.json()).toEqual({
      success: true,
      message: expect.stringContaining('no longer recognised'),
      remaining_templates: 0,
    })
    expect(await whoIs(ann)).toBeUndefined()
    expect((await send('GET', '/ANN/photos')).json()).toHaveLength(2)

    const rebuilt = await send('POST', '/ANN/templates/rebuild')
    expect(rebuilt.statusCode).toBe(200)
    expect(rebuilt.json()).toEqual({
      success: true,
      message: expect.any(String),
      template_id: expect.any(Number),
      slot: 1,
    })
    expect(await whoIs(ann)).toBe('ANN')
    expect(await vector()).toEqual(before)
  })

  test('is made again for networks that have not seen the photos yet', async () => {
    await running.db.deleteFrom('sample_embeddings').execute()
    await running.db.deleteFrom('face_templates').execute()
    await running.gallery.refresh('ANN')
    expect(await whoIs(ann)).toBeUndefined()
    expect((await send('POST', '/ANN/templates/rebuild')).statusCode).toBe(200)
    expect(await whoIs(ann)).toBe('ANN')
  })

  test('of nobody, of somebody else or without a photo is refused', async () => {
    await enrol(running, 'BOB', bob)
    await enrol(running, 'CY')
    expect(outcome(await send('DELETE', '/ANN/templates/99'))).toEqual([404, 'template_not_found'])
    expect(outcome(await send('DELETE', '/BOB/templates/1'))).toEqual([404, 'template_not_found'])
    expect(outcome(await send('DELETE', '/NOBODY/templates/1'))).toEqual([404, 'employee_not_found'])
    expect(outcome(await send('POST', '/NOBODY/templates/rebuild'))).toEqual([404, 'employee_not_found'])
    expect(outcome(await send('POST', '/CY/templates/rebuild'))).toEqual([404, 'photo_not_found'])
    for (const id of ['0', 'x', '-1', '99999999999'])
      expect((await send('DELETE', `/ANN/templates/${id}`)).statusCode).toBe(422)
    expect([await whoIs(ann), await whoIs(bob)]).toEqual(['ANN', 'BOB'])
  })
})

describe('consent', () => {
  const give = (text_version = '2025-03', id = 'ANN') => send('POST', `/${id}/consent`, { text_version })
  beforeEach(() => enrol(running, 'ANN', ann))

  test('is recorded with its text, time and who wrote it down, and once for each text', async () => {
    const answer = await give()
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({
      consent_id: 1,
      text_version: '2025-03',
      given_at: '2025-03-03T01:00:00.000Z',
      given_by: expect.stringMatching(/^user:\d+$/),
      withdrawn_at: null,
    })
    running.clock.advance(1000)
    expect((await give()).json()).toEqual(answer.json())
    await give('2025-04')
    const list = await send('GET', '/ANN/consent')
    expect(list.json().map((one: { text_version: string }) => one.text_version)).toEqual([
      '2025-03',
      '2025-04',
    ])
  })

  test('that is withdrawn erases photos, templates and files, and stays on record', async () => {
    await enrol(running, 'BOB', bob)
    await give()
    await give('2025-04')
    running.clock.advance(60_000)
    const answer = await send('DELETE', '/ANN/consent')
    expect(answer.json()).toEqual({
      success: true,
      message: expect.any(String),
      withdrawn_consents: 2,
      deleted_photos: 1,
      deleted_face_templates: 1,
      erasure: expect.objectContaining({ reason: 'consent_withdrawn', key_erased: true }),
    })
    expect([await whoIs(ann), await whoIs(bob)]).toEqual([undefined, 'BOB'])
    expect(await readdir(running.uploads)).toHaveLength(1)
    expect((await send('GET', '/ANN/consent')).json()).toMatchObject([
      { withdrawn_at: '2025-03-03T01:01:00.000Z' },
      { withdrawn_at: '2025-03-03T01:01:00.000Z' },
    ])
    expect(outcome(await send('DELETE', '/ANN/consent'))).toEqual([409, 'consent_missing'])
    expect((await give()).json()).toMatchObject({ consent_id: 3, withdrawn_at: null })
  })

  test('without one, nothing is withdrawn or erased', async () => {
    expect(outcome(await send('DELETE', '/ANN/consent'))).toEqual([409, 'consent_missing'])
    expect(await whoIs(ann)).toBe('ANN')
  })

  test('of nobody, or to nothing, is refused', async () => {
    expect(outcome(await give('1', 'NOBODY'))).toEqual([404, 'employee_not_found'])
    for (const method of ['GET', 'DELETE'] as const)
      expect(outcome(await send(method, '/NOBODY/consent'))).toEqual([404, 'employee_not_found'])
    for (const text_version of ['', '   ', 'a\0b', 'x'.repeat(101), null, 7])
      expect((await send('POST', '/ANN/consent', { text_version })).statusCode).toBe(422)
    expect((await send('GET', '/ANN/consent')).json()).toEqual([])
  })

  test('is asked for before a photo is added, where the site says so, and not otherwise', async () => {
    const strict = await testApp()
    const [lax, asking] = await Promise.all(
      [false, true].map(async (require_consent) => {
        const payload = { name: `Asks: ${require_consent}`, require_consent }
        return (await strict.app.inject({ method: 'POST', url: '/api/v1/sites', payload })).json().id
      }),
    )
    const move = (site_id: number) =>
      strict.app.inject({ method: 'PUT', url: `${base}/ANN`, payload: { site_id } })
    await enrol(strict, 'ANN')
    expect((await move(asking)).statusCode).toBe(200)
    expect(outcome(await upload(ann, 'ANN', strict))).toEqual([409, 'consent_missing'])
    expect(await rowCounts(strict.db)).toMatchObject({ samples: 0, face_templates: 0 })
    expect(await readdir(strict.uploads)).toEqual([])
    const url = `${base}/ANN/consent`
    await strict.app.inject({ method: 'POST', url, payload: { text_version: '1' } })
    expect((await upload(ann, 'ANN', strict)).statusCode).toBe(200)
    strict.clock.advance(1000)
    await strict.app.inject({ method: 'DELETE', url })
    expect(outcome(await upload(ann, 'ANN', strict))).toEqual([409, 'consent_missing'])
    await move(lax)
    expect((await upload(ann, 'ANN', strict)).statusCode).toBe(200)
    await strict.close()
  })
})

describe('erasing', () => {
  test('removes photos, templates and files, and keeps the person and the punches', async () => {
    await enrol(running, 'ANN', ann, annAgain)
    await registerKiosk(running, 'GATE')
    await recordPunch(running.db, 'ANN', 'GATE')
    const answer = await send('POST', '/ANN/erase')
    expect(answer.json()).toEqual({
      success: true,
      message: expect.any(String),
      deleted_photos: 2,
      deleted_face_templates: 1,
      retained_attendance_records: 1,
      erasure: expect.objectContaining({ reason: 'erase', deleted_photos: 2, deleted_face_templates: 1 }),
    })
    expect(await whoIs(ann)).toBeUndefined()
    expect(await readdir(running.uploads)).toEqual([])
    expect(await rowCounts(running.db)).toMatchObject({
      employees: 1,
      attendance: 1,
      samples: 0,
      sample_embeddings: 0,
      face_templates: 0,
    })
    expect((await send('POST', '/ANN/erase')).json()).toMatchObject({ deleted_photos: 0 })
    expect(outcome(await send('POST', '/NOBODY/erase'))).toEqual([404, 'employee_not_found'])
  })
})

describe('an export of what is kept about one person', () => {
  beforeEach(async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB', bob)
    await registerKiosk(running, 'GATE')
    await send('POST', '/ANN/consent', { text_version: '1' })
    const image = await sharp(ann).jpeg({ quality: 85 }).toBuffer()
    for (const picture of [image, bob]) {
      const check = await running.app.inject({
        method: 'POST',
        url: '/api/v1/attendance/check',
        payload: form({ image: picture, device_id: 'GATE' }),
      })
      expect(check.json().recognized).toBe(true)
    }
  })

  test('holds all of it, nothing of others, and no embedding for those who may not see one', async () => {
    const hr = await signIn(running.db, 'hr')
    const answer = await send('GET', '/ANN/data-export', undefined, hr)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-disposition']).toBe('attachment; filename="personal-data.json"')
    expect(answer.headers['content-type']).toContain('application/json')
    expect(answer.json()).toMatchObject({
      exported_at: '2025-03-03T01:00:00.000Z',
      employee: { employee_id: 'ANN', name: 'ANN' },
      photos: [{ id: 1, filename: 'picture.jpg' }],
      templates: [{ id: 1, employee_id: 'ANN' }],
      consents: [{ text_version: '1' }],
      punches: [{ employee_id: 'ANN', attendance_type: 'IN' }],
      decisions: [{ employee_id: 'ANN', outcome: 'identified' }],
    })
    expect(answer.body).not.toContain('BOB')
    expect(answer.body).not.toMatch(/embedding|file_path|image_path/)
  })

  test('tells of a picture that looked like somebody else only that it did not look like this person', async () => {
    const votes = (employee_id: string) => ({ employee_id, confidence: 0.7 })
    const frames = [
      { kind: 'face', votes: votes('ANN') },
      { kind: 'face', votes: votes('BOB') },
    ]
    await running.db
      .insertInto('decisions')
      .values({
        kind: 'face',
        outcome: 'identified',
        employee_id: 'ANN',
        pack: 'p',
        record: JSON.stringify({ frames }),
      })
      .execute()
    const { decisions } = (await send('GET', '/ANN/data-export')).json()
    expect(decisions.at(-1).record.frames).toEqual([frames[0], { kind: 'face', votes: null }])
  })

  test('holds the embeddings for those who may see them', async () => {
    const answer = await send('GET', '/ANN/data-export')
    const { dimension } = running.engine.pack
    expect(answer.json().templates[0].embeddings[0].length).toBeGreaterThanOrEqual(dimension)
    expect(answer.json().photos[0].embeddings).toHaveLength(1)
  })

  test('is there for somebody who has left, and for nobody else', async () => {
    await send('DELETE', '/ANN')
    expect((await send('GET', '/ANN/data-export')).json()).toMatchObject({
      employee: { ended_at: '2025-03-03T01:00:00.000Z' },
      photos: [],
      templates: [],
      punches: [{ employee_id: 'ANN' }],
    })
    expect(outcome(await send('GET', '/NOBODY/data-export'))).toEqual([404, 'employee_not_found'])
  })
})

test('a program needs every permission that an export of personal data touches', async () => {
  await enrol(running, 'ANN')
  const { id } = await running.db.selectFrom('users').select('id').executeTakeFirstOrThrow()
  const scopes = ['biometrics:read', 'employees:read', 'attendance:read'] as const
  const answers = []
  for (const count of [1, 2, 3]) {
    const key = await createKey(
      running.ledger.by(serverAuthor),
      { name: 'k', scopes: scopes.slice(0, count) },
      id,
      running.clock.now(),
    )
    answers.push((await send('GET', '/ANN/data-export', undefined, { 'x-api-key': key.key })).statusCode)
  }
  expect(answers).toEqual([403, 403, 200])
})

describe('a purge', () => {
  const purge = (query: string, headers: Headers = {}) =>
    send('DELETE', `/ANN?purge=true${query}`, undefined, headers)

  beforeEach(async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB', bob)
    await registerKiosk(running, 'GATE')
    await send('POST', '/ANN/consent', { text_version: '1' })
    for (const key of ['one', 'two'])
      await running.app.inject({
        method: 'POST',
        url: '/api/v1/attendance/check',
        headers: { 'idempotency-key': key },
        payload: form({ image: await sharp(ann).jpeg({ quality: 85 }).toBuffer(), device_id: 'GATE' }),
      })
    await recordPunch(running.db, 'BOB', 'GATE')
  })

  test.each(['of an employee', 'of somebody who has left'])(
    '%s removes every row, file and vector of them, and nothing of others',
    async (who) => {
      if (who === 'of somebody who has left') await send('DELETE', '/ANN')
      const before = await rowCounts(running.db)
      expect(before).toMatchObject({
        employees: 2,
        attendance: 2,
        decisions: 3,
        consents: 1,
        idempotency_keys: 2,
      })
      const answer = await purge('&confirm=ANN')
      expect(answer.statusCode, answer.body).toBe(200)
      expect(answer.json()).toEqual({
        message: expect.any(String),
        deleted_face_templates: who === 'of an employee' ? 1 : 0,
        deleted_attendance_records: 1,
        retained_attendance_records: 0,
        deleted_decisions: 2,
      })
      expect(await rowCounts(running.db)).toMatchObject({
        employees: 1,
        attendance: 1,
        decisions: 1,
        consents: 0,
        samples: 1,
        face_templates: 1,
        idempotency_keys: 0,
      })
      expect(await readdir(running.uploads)).toHaveLength(1)
      expect([await whoIs(ann), await whoIs(bob)]).toEqual([undefined, 'BOB'])
      expect((await running.app.inject(`${base}?ended=true`)).json()).toEqual([])
      expect(outcome(await purge('&confirm=ANN'))).toEqual([404, 'employee_not_found'])
    },
  )

  test('removes punches that were entered and corrected by hand as well', async () => {
    const post = (path: string, payload: object) =>
      running.app.inject({ method: 'POST', url: `/api/v1/attendance${path}`, payload })
    const entered = await post('/manual', {
      employee_id: 'ANN',
      attendance_type: 'OUT',
      timestamp: '2025-03-02T10:00:00Z',
      notes: 'forgot',
    })
    expect(entered.statusCode, entered.body).toBe(201)
    const corrected = await post(`/${entered.json().id}/correct`, { void: true, notes: 'was wrong' })
    expect(corrected.statusCode, corrected.body).toBe(201)
    expect((await purge('&confirm=ANN')).json()).toMatchObject({ deleted_attendance_records: 3 })
    expect(await rowCounts(running.db)).toMatchObject({ attendance: 1, decisions: 1 })
  })

  test.each(['', '&confirm=', '&confirm=BOB', '&confirm=true', '&confirm=ann'])(
    'without the right confirmation (%s) is refused, and nothing is removed',
    async (query) => {
      const before = await rowCounts(running.db)
      const answer = await purge(query)
      expect([...outcome(answer), answer.json().fields[0].path]).toEqual([422, 'invalid_request', 'confirm'])
      expect(await rowCounts(running.db)).toEqual(before)
    },
  )

  test('is the owner’s alone', async () => {
    for (const role of ['admin', 'hr', 'manager', 'viewer'] as const) {
      const headers = await signIn(running.db, role)
      const before = await rowCounts(running.db)
      expect(outcome(await purge('&confirm=ANN', headers)), role).toEqual([403, 'forbidden'])
      expect(await rowCounts(running.db), role).toEqual(before)
    }
  })

  test('obeys If-Match', async () => {
    expect(outcome(await purge('&confirm=ANN', { 'if-match': '"9"' }))).toEqual([412, 'version_mismatch'])
    expect((await send('GET', '/ANN')).statusCode).toBe(200)
  })
})

describe('who may not see or change faces', () => {
  beforeEach(() => enrol(running, 'ANN', ann))

  test.each(['viewer', 'manager'] as const)('a %s', async (role) => {
    const headers = await signIn(running.db, role)
    const before = await rowCounts(running.db)
    for (const [method, path, payload] of [
      ['GET', '/ANN/photo'],
      ['GET', '/ANN/photos'],
      ['GET', '/ANN/photos/1'],
      ['GET', '/ANN/templates'],
      ['GET', '/ANN/consent'],
      ['GET', '/ANN/data-export'],
      ['PUT', '/ANN/photo', { photo_id: 1 }],
      ['DELETE', '/ANN/templates/1'],
      ['POST', '/ANN/templates/rebuild'],
      ['POST', '/ANN/consent', { text_version: '1' }],
      ['DELETE', '/ANN/consent'],
      ['POST', '/ANN/erase'],
    ] as const)
      expect(outcome(await send(method, path, payload, headers)), `${method} ${path}`).toEqual([
        403,
        'forbidden',
      ])
    expect(await rowCounts(running.db)).toEqual(before)
  })
})
