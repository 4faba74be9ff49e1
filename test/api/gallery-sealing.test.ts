import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import { sql } from 'kysely'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { applyTombstones, finishErasures } from '../../src/gallery/erase.ts'
import { voteOf } from '../../src/gallery/gallery.ts'
import { findKey } from '../../src/gallery/person-key.ts'
import { sealOlder } from '../../src/gallery/seal-older.ts'
import { openSample, openTemplate, toBytes } from '../../src/gallery/templates.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { createLogger } from '../../src/shared/log.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, signIn, type TestApp, testApp } from '../support/app.ts'

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
beforeEach(() => running.clear())
afterAll(() => running.close())

const base = '/api/v1/employees'
const send = (method: 'GET' | 'POST' | 'DELETE', path: string, payload?: object, headers = {}) =>
  running.app.inject({ method, url: `${base}${path}`, payload, headers })
const upload = (photo: Uint8Array, id: string, fields = {}, headers = {}) =>
  send('POST', `/${id}/upload-photo`, form({ photo, ...fields }), headers)
const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const keyFile = (id: string) => join(running.uploads, '..', 'keys', `${id}.key`)
const keyIdOf = async (employeeId: string) =>
  (
    await running.db
      .selectFrom('employees')
      .select('key_id')
      .where('employee_id', '=', employeeId)
      .executeTakeFirstOrThrow()
  ).key_id
const deps = () => ({
  db: running.db,
  vault: running.vault,
  photos: running.photos,
  clock: running.clock,
  log: createLogger({ level: 'silent' }),
  change: running.ledger.by(serverAuthor),
})
const samples = () => running.db.selectFrom('samples').selectAll().orderBy('id').execute()
const templates = () => running.db.selectFrom('face_templates').selectAll().orderBy('id').execute()

async function whoIs(picture: Uint8Array): Promise<string | undefined> {
  const analysis = await running.engine.analyse(picture)
  if (analysis.kind !== 'face') throw new Error('a picture with one face was expected')
  const { candidates, threshold } = running.gallery.identify([voteOf(analysis.face)], 1)
  return candidates[0]?.confidence >= threshold ? candidates[0].employeeId : undefined
}

/** Turns one bit in the middle. */
function altered(bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes)
  const middle = copy.length >> 1
  copy[middle] = copy[middle]! ^ 1
  return copy
}

describe('what is stored of a face', () => {
  test('is neither a picture nor a vector to whoever has the disk and the database', async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB', bob)
    const [sample] = await samples()
    const file = await readFile(join(running.uploads, sample.file_path))
    await expect(sharp(file).metadata()).rejects.toThrow()
    const picture = (await send('GET', '/ANN/photo')).rawPayload
    expect(file.includes(Buffer.from(picture.subarray(100, 132)))).toBe(false)
    const analysis = await running.engine.analyse(picture)
    if (analysis.kind !== 'face') throw new Error('the stored photo has no face')
    const vector = toBytes(analysis.face.vector)
    for (const { embedding_vector } of await templates())
      expect(Buffer.from(embedding_vector).includes(Buffer.from(vector.subarray(0, 16)))).toBe(false)
    // Each person has a key of their own.
    const [annKey, bobKey] = [await keyIdOf('ANN'), await keyIdOf('BOB')]
    expect(annKey).not.toBe(bobKey)
    expect((await running.vault.keys()).includes(annKey!)).toBe(true)
  })

  test('does not tell whose a photo is to whoever has the photo', async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB')
    await upload(ann, 'BOB')
    const [one, other] = await samples()
    expect(one.sha256).toHaveLength(64)
    expect(one.sha256).not.toBe(other.sha256)
  })

  test('is refused and logged where a photo was altered, put in place of another, or its key is lost', async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB', bob)
    const [annFile, bobFile] = (await samples()).map(({ file_path }) => join(running.uploads, file_path))
    const whole = await readFile(annFile)
    await writeFile(annFile, altered(whole))
    expect(outcome(await send('GET', '/ANN/photo'))).toEqual([500, 'biometrics_unreadable'])
    await copyFile(bobFile, annFile)
    expect(outcome(await send('GET', '/ANN/photo'))).toEqual([500, 'biometrics_unreadable'])
    await writeFile(annFile, whole)
    expect((await send('GET', '/ANN/photo')).statusCode).toBe(200)

    await rm(keyFile((await keyIdOf('ANN'))!))
    expect(outcome(await send('GET', '/ANN/photo'))).toEqual([500, 'biometrics_unreadable'])
    expect(outcome(await upload(annAgain, 'ANN'))).toEqual([500, 'biometrics_unreadable'])
    expect(await samples()).toHaveLength(2)
    expect((await send('GET', '/BOB/photo')).statusCode).toBe(200)
    // The way out: erased, and enrolled anew under another key.
    expect((await send('POST', '/ANN/erase')).json()).toMatchObject({ success: true, deleted_photos: 1 })
    expect((await upload(ann, 'ANN')).statusCode).toBe(200)
    expect(await whoIs(ann)).toBe('ANN')
  })

  test('a photo that was altered is put right when the same picture comes again', async () => {
    await enrol(running, 'ANN', ann)
    const [{ file_path }] = await samples()
    await writeFile(join(running.uploads, file_path), 'no longer what it was')
    expect((await upload(ann, 'ANN')).json()).toMatchObject({ success: true, already_stored: true })
    expect((await send('GET', '/ANN/photo')).statusCode).toBe(200)
    expect(await readdir(running.uploads)).toHaveLength(1)
  })

  test.each<[string, () => Promise<unknown>]>([
    ['altered', async () => setTemplate('ANN', altered((await templates())[0]!.embedding_vector))],
    ['cut', async () => setTemplate('ANN', (await templates())[0]!.embedding_vector.subarray(0, 40))],
    ["another person's", async () => setTemplate('ANN', (await templates())[1]!.embedding_vector)],
    ['one in the clear', async () => setTemplate('ANN', Buffer.alloc(4608, 1))],
    ['without its key', async () => rm(keyFile((await keyIdOf('ANN'))!))],
  ])('a template that is %s leaves that person out, by name, and nobody else', async (_what, spoil) => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB', bob)
    await spoil()
    await running.gallery.refresh('ANN')
    expect([await whoIs(ann), await whoIs(bob)]).toEqual([undefined, 'BOB'])
    expect(running.gallery.unreadable).toEqual(['ANN'])
    await running.gallery.reload()
    expect([await whoIs(ann), await whoIs(bob)]).toEqual([undefined, 'BOB'])
    expect(running.gallery.unreadable).toEqual(['ANN'])
    // Training makes it again from the photos, where the key is there.
    const trained = await running.app.inject({
      method: 'POST',
      url: '/api/v1/recognition/train',
      payload: {},
    })
    expect(trained.statusCode).toBe(200)
    const isLost = !(await running.vault.keys()).includes((await keyIdOf('ANN'))!)
    expect(await whoIs(ann)).toBe(isLost ? undefined : 'ANN')
  })

  const setTemplate = (employeeId: string, embedding_vector: Uint8Array) =>
    running.db
      .updateTable('face_templates')
      .set({ embedding_vector: Buffer.from(embedding_vector) })
      .where('employee_id', '=', employeeId)
      .execute()
})

describe('erasing', () => {
  test('drops the key, and leaves a certificate that the ledger proves', async () => {
    await enrol(running, 'ANN', ann, annAgain)
    const keyId = (await keyIdOf('ANN'))!
    const { erasure } = (await send('POST', '/ANN/erase')).json()
    expect(erasure).toMatchObject({
      employee_id: 'ANN',
      key_id: keyId,
      reason: 'erase',
      by: expect.stringMatching(/^user:\d+$/),
      deleted_photos: 2,
      deleted_face_templates: 1,
      key_erased: true,
    })
    expect(await running.vault.key(keyId)).toBeUndefined()
    expect(await keyIdOf('ANN')).toBeNull()
    expect((await send('GET', '/ANN/erasures')).json()).toEqual([erasure])
    const entry = await running.db
      .selectFrom('ledger')
      .innerJoin('audit_log', 'audit_log.id', 'ledger.row_id')
      .select(['mac', 'subject', 'action', 'details'])
      .where('seq', '=', String(erasure.ledger.seq))
      .where('kind', '=', 'audit')
      .executeTakeFirstOrThrow()
    expect(Buffer.from(entry.mac).toString('hex')).toBe(erasure.ledger.mac)
    expect(entry).toMatchObject({ subject: keyId, action: 'erase', details: { photos: 2, reason: 'erase' } })
    // Again there is nothing to erase: the certificate is the one that there is.
    expect((await send('POST', '/ANN/erase')).json()).toMatchObject({ deleted_photos: 0, erasure })
    await enrol(running, 'BOB')
    expect((await send('POST', '/BOB/erase')).json().erasure).toBeNull()
    expect((await send('GET', '/ANN/data-export')).json().erasures).toEqual([erasure])
  })

  test.each([
    ['DELETE', '/ANN', 'employment_ended'],
    ['DELETE', '/ANN/consent', 'consent_withdrawn'],
    ['DELETE', '/ANN?purge=true&confirm=ANN', 'purge'],
  ] as const)('%s %s erases with the reason %s', async (method, path, reason) => {
    await enrol(running, 'ANN', ann)
    await send('POST', '/ANN/consent', { text_version: '1' })
    const keyId = (await keyIdOf('ANN'))!
    expect((await send(method, path)).statusCode).toBe(200)
    expect(await running.vault.key(keyId)).toBeUndefined()
    const [certificate, ...more] = (await send('GET', '/ANN/erasures')).json()
    expect(more).toEqual([])
    expect(certificate).toMatchObject({ key_id: keyId, reason, key_erased: true, deleted_photos: 1 })
    expect(certificate.ledger.seq).toBeGreaterThan(0)
    expect(await readdir(running.uploads)).toEqual([])
  })

  test('of somebody who never was is not certified', async () => {
    expect(outcome(await send('GET', '/NOBODY/erasures'))).toEqual([404, 'employee_not_found'])
  })

  test('that was cut off between the commit and the key is finished later', async () => {
    await enrol(running, 'ANN', ann)
    const keyId = (await keyIdOf('ANN'))!
    const copy = join(running.uploads, '..', 'copy-of-a-key')
    await copyFile(keyFile(keyId), copy)
    await send('POST', '/ANN/erase')
    // As if it had never got to the key.
    await rm(join(running.uploads, '..', 'keys', 'erased', keyId))
    await copyFile(copy, keyFile(keyId))
    expect((await send('GET', '/ANN/erasures')).json()[0].key_erased).toBe(false)
    expect(await finishErasures(deps())).toBe(1)
    expect((await send('GET', '/ANN/erasures')).json()[0].key_erased).toBe(true)
    expect(await finishErasures(deps())).toBe(0)
  })

  test('drops no key because of a certificate that was written by hand', async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB', bob)
    const [annKey, bobKey] = [(await keyIdOf('ANN'))!, (await keyIdOf('BOB'))!]
    await send('POST', '/BOB/erase')
    const { audit_id } = await running.db.selectFrom('erasures').select('audit_id').executeTakeFirstOrThrow()
    const forged = { employee_id: 'ANN', key_id: annKey, at: new Date(), by: 'x', reason: 'erase' as const }
    const counts = { photos: 1, templates: 1 }
    for (const id of [audit_id, '1', '999999'])
      await running.db
        .insertInto('erasures')
        .values({ ...forged, ...counts, audit_id: id })
        .execute()
    expect(await finishErasures(deps())).toBe(0)
    // Nor while somebody has it: an entry in the ledger alone does not do.
    await running.db
      .updateTable('employees')
      .set({ key_id: bobKey })
      .where('employee_id', '=', 'BOB')
      .execute()
    await rm(join(running.uploads, '..', 'keys', 'erased', bobKey))
    expect(await finishErasures(deps())).toBe(0)
    expect((await send('GET', '/ANN/photo')).statusCode).toBe(200)
    expect(await whoIs(ann)).toBe('ANN')
  })

  test('is done again when a backup comes back that is older than the keys, and not to who enrolled since', async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB', bob)
    const [sample] = await samples()
    const file = await readFile(join(running.uploads, sample.file_path))
    running.clock.advance(60_000)
    for (const id of ['ANN', 'BOB']) await send('POST', `/${id}/erase`)
    running.clock.advance(60_000)
    expect((await upload(bob, 'BOB')).statusCode).toBe(200)
    const [erasure] = (await send('GET', '/ANN/erasures')).json()
    // No name of a key says whose photo it is.
    const { id: _, ...row } = sample
    await running.db.insertInto('samples').values(row).execute()
    await writeFile(join(running.uploads, sample.file_path), file)

    running.clock.advance(60_000)
    expect(await applyTombstones(deps())).toEqual([{ employeeId: 'ANN', reason: 'erase' }])
    expect(await sealOlder(deps())).toBe(0)
    expect((await samples()).map(({ employee_id }) => employee_id)).toEqual(['BOB'])
    expect(await readdir(running.uploads)).toHaveLength(1)
    const again = (await send('GET', '/ANN/erasures')).json()[1]
    const { at, by, reason, key_id } = erasure
    expect(again).toMatchObject({ at, by, reason, key_id, deleted_photos: 1, key_erased: true })
    expect(await applyTombstones(deps())).toEqual([])
    expect((await send('GET', '/BOB/photo')).statusCode).toBe(200)
  })

  test('leaves a tombstone of everybody who is purged, which names nobody', async () => {
    await enrol(running, 'CAT')
    const before = await running.vault.erased()
    expect((await send('DELETE', '/CAT?purge=true&confirm=CAT')).statusCode).toBe(200)
    const [id, ...more] = (await running.vault.erased()).filter((other) => !before.includes(other))
    expect(more).toEqual([])
    const tombstone = (await running.vault.tombstone(id!))!
    expect(tombstone).toMatchObject({ reason: 'purge', at: running.clock.now().toISOString() })
    expect(tombstone.person).toMatch(/^[0-9a-f]{64}$/)
    expect(JSON.stringify(tombstone)).not.toContain('CAT')
    // Also where the server was killed in between.
    await rm(join(running.uploads, '..', 'keys', 'erased', id!))
    expect(await finishErasures(deps())).toBe(1)
    expect(await running.vault.tombstone(id!)).toEqual(tombstone)
  })

  test('is done again when an older copy of the database and of the keys comes back', async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'BOB', bob)
    await send('POST', '/ANN/consent', { text_version: '1' })
    const keyId = (await keyIdOf('ANN'))!
    const copy = join(running.uploads, '..', 'copy-of-a-key')
    await copyFile(keyFile(keyId), copy)
    const [sample] = await samples()
    const [template] = await templates()
    const file = await readFile(join(running.uploads, sample.file_path))
    await send('DELETE', '/ANN/consent')

    // The older backup: rows, photo, key file, and a consent that still holds.
    const { id: _, ...row } = sample
    const { id: __, ...templateRow } = template
    await running.db.insertInto('samples').values(row).execute()
    await running.db.insertInto('face_templates').values(templateRow).execute()
    await running.db
      .updateTable('employees')
      .set({ key_id: keyId })
      .where('employee_id', '=', 'ANN')
      .execute()
    await running.db.updateTable('consents').set({ withdrawn_at: null }).execute()
    await writeFile(join(running.uploads, sample.file_path), file)
    await copyFile(copy, keyFile(keyId))

    // The tombstone beats the key file: nothing of theirs opens, whatever is there.
    expect(outcome(await send('GET', '/ANN/photo'))).toEqual([500, 'biometrics_unreadable'])
    await running.gallery.refresh('ANN')
    expect(await whoIs(ann)).toBeUndefined()
    expect(await applyTombstones(deps())).toEqual([{ employeeId: 'ANN', reason: 'consent_withdrawn' }])
    expect((await samples()).map(({ employee_id }) => employee_id)).toEqual(['BOB'])
    expect((await templates()).map(({ employee_id }) => employee_id)).toEqual(['BOB'])
    expect(await readdir(running.uploads)).toHaveLength(1)
    expect(await keyIdOf('ANN')).toBeNull()
    expect(await readdir(join(running.uploads, '..', 'keys'))).not.toContain(`${keyId}.key`)
    const consents = (await send('GET', '/ANN/consent')).json()
    expect(consents[0].withdrawn_at).not.toBeNull()
    expect((await send('GET', '/ANN/erasures')).json()).toHaveLength(2)
    expect(await applyTombstones(deps())).toEqual([])
  })
})

describe('what an older version stored in the clear', () => {
  /** As it was before there were keys. */
  async function inTheClear(employeeId: string): Promise<void> {
    const { db } = running
    const key = (await findKey(running.vault, db, employeeId))!
    for (const sample of (await samples()).filter(({ employee_id }) => employee_id === employeeId)) {
      const jpeg = (await running.photos.read(sample.file_path, key))!
      await writeFile(join(running.uploads, sample.file_path), jpeg)
      await db
        .updateTable('samples')
        .set({ sha256: 'a'.repeat(63) + sample.id })
        .where('id', '=', sample.id)
        .execute()
      const vectors = await db
        .selectFrom('sample_embeddings')
        .selectAll()
        .where('sample_id', '=', sample.id)
        .execute()
      for (const { sample_id, pack, embedding_vector } of vectors)
        await db
          .updateTable('sample_embeddings')
          .set({
            embedding_vector: toBytes(
              openSample(key, embedding_vector, { employeeId, sampleId: sample_id, pack }),
            ),
          })
          .where('sample_id', '=', sample_id)
          .execute()
    }
    for (const { id, image_id: slot, pack, embedding_vector } of (await templates()).filter(
      ({ employee_id }) => employee_id === employeeId,
    ))
      await db
        .updateTable('face_templates')
        .set({ embedding_vector: toBytes(openTemplate(key, embedding_vector, { employeeId, slot, pack })) })
        .where('id', '=', id)
        .execute()
    await db.updateTable('employees').set({ key_id: null }).where('employee_id', '=', employeeId).execute()
  }

  async function tableFiles(): Promise<number[]> {
    const { rows } = await sql<{ file: number }>`SELECT pg_relation_filenode(name::regclass)::int AS file
      FROM unnest(ARRAY['samples', 'sample_embeddings', 'face_templates', 'calibrations']) AS name`.execute(
      running.db,
    )
    return rows.map(({ file }) => file)
  }

  test('is sealed at the start, person by person, and goes on where it was cut off', async () => {
    await enrol(running, 'ANN', ann, annAgain)
    await enrol(running, 'BOB', bob)
    await enrol(running, 'CAT')
    for (const id of ['ANN', 'BOB']) await inTheClear(id)
    const before = { samples: await samples(), files: (await readdir(running.uploads)).sort() }

    // Cut off with the second person: the first is sealed as a whole, the second is as it was.
    let saved = 0
    const photos = {
      ...running.photos,
      save: async (...photo: Parameters<typeof running.photos.save>) => {
        if (++saved === 3) throw new Error('killed')
        return running.photos.save(...photo)
      },
    }
    await expect(sealOlder({ ...deps(), photos })).rejects.toThrow('killed')
    expect([await keyIdOf('ANN'), await keyIdOf('BOB')]).toEqual([expect.any(String), null])
    expect((await samples())[2]).toEqual(before.samples[2])

    const told: string[] = []
    const old = await tableFiles()
    expect(await sealOlder(deps(), (step) => told.push(step))).toBe(1)
    expect(told).toEqual([expect.stringContaining('0 of 1'), expect.stringContaining('from the tables')])
    // Written anew, so that no row in the clear is left in the files of the tables.
    const anew = await tableFiles()
    expect(anew).toHaveLength(4)
    expect(anew.filter((file) => old.includes(file))).toEqual([])
    expect(await sealOlder(deps())).toBe(0)
    expect(await tableFiles()).toEqual(anew)
    expect(await keyIdOf('CAT')).toBeNull()
    await running.gallery.reload()
    expect([await whoIs(ann), await whoIs(bob)]).toEqual(['ANN', 'BOB'])
    expect(running.gallery.unreadable).toEqual([])
    const files = await readdir(running.uploads)
    expect(files).toHaveLength(3)
    expect(files.filter((name) => before.files.includes(name))).toEqual([])
    for (const name of files)
      await expect(sharp(await readFile(join(running.uploads, name))).metadata()).rejects.toThrow()
    for (const id of [1, 2]) expect((await send('GET', `/ANN/photos/${id}`)).statusCode).toBe(200)
    // The picture is known again by its new fingerprint.
    expect((await upload(annAgain, 'ANN')).statusCode).toBe(200)
  })
})

describe('a face that is enrolled under another id', () => {
  beforeEach(async () => {
    await enrol(running, 'ANN', ann)
    await enrol(running, 'ANNA')
  })

  test('is enrolled and told, and written down', async () => {
    const answer = await upload(annAgain, 'ANNA')
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({
      success: true,
      also_enrolled_as: [{ employee_id: 'ANN', name: 'ANN', confidence: expect.any(Number) }],
      warning: expect.stringContaining('another id'),
    })
    expect(answer.json().also_enrolled_as[0].confidence).toBeGreaterThanOrEqual(0.65)
    const noted = await running.db
      .selectFrom('audit_log')
      .select(['subject', 'details'])
      .where('action', '=', 'same_face')
      .execute()
    expect(noted).toMatchObject([
      { subject: 'ANNA', details: { also_enrolled_as: [{ employee_id: 'ANN' }] } },
    ])
    // A purge of the other one forgets it, too.
    expect((await send('DELETE', '/ANN?purge=true&confirm=ANN')).statusCode).toBe(200)
    const left = await running.db
      .selectFrom('audit_log')
      .select(['subject', 'details'])
      .where('action', '=', 'same_face')
      .execute()
    expect(left).toEqual([{ subject: null, details: null }])
  })

  test('is told without a name to whoever may not see that person', async () => {
    const owner = await signIn(running.db, 'owner')
    const made = await running.app.inject({
      method: 'POST',
      url: '/api/v1/auth/api-keys',
      payload: { name: 'Enrolment', scopes: ['biometrics:write'] },
      headers: owner,
    })
    const answer = await upload(annAgain, 'ANNA', {}, { 'x-api-key': made.json().key })
    expect(answer.json().also_enrolled_as).toMatchObject([{ employee_id: null, name: null }])
  })

  test('is not told of other faces, nor of a further photo of the same person', async () => {
    expect((await upload(bob, 'ANNA')).json()).toMatchObject({ also_enrolled_as: [], warning: null })
    expect((await upload(annAgain, 'ANN')).json()).toMatchObject({ also_enrolled_as: [], warning: null })
  })
})

describe('a consent that comes with the photo', () => {
  beforeEach(async () => {
    await running.db.updateTable('sites').set({ require_consent: true }).execute()
    await enrol(running, 'ANN')
  })
  afterAll(() => running.db.updateTable('sites').set({ require_consent: false }).execute())

  test('is recorded with it, once, and by whom', async () => {
    expect(outcome(await upload(ann, 'ANN'))).toEqual([409, 'consent_missing'])
    for (let time = 0; time < 2; time++)
      expect((await upload(ann, 'ANN', { consent: '2025-03' })).statusCode).toBe(200)
    const consents = (await send('GET', '/ANN/consent')).json()
    expect(consents).toMatchObject([{ text_version: '2025-03', withdrawn_at: null }])
    expect(consents[0].given_by).toMatch(/^user:\d+$/)
    expect((await upload(annAgain, 'ANN')).statusCode).toBe(200)
  })

  test('is not recorded where the photo is refused', async () => {
    const blank = await sharp({ create: { width: 400, height: 400, channels: 3, background: 'grey' } })
      .jpeg()
      .toBuffer()
    expect(outcome(await upload(blank, 'ANN', { consent: '2025-03' }))).toEqual([422, 'no_face'])
    expect((await send('GET', '/ANN/consent')).json()).toEqual([])
    expect((await upload(ann, 'ANN', { consent: ' ' })).statusCode).toBe(422)
  })
})
