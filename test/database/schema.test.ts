import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../src/database/tables.ts'
import { type TestDatabase, testDatabase } from '../support/database.ts'

let database: TestDatabase
let db: Database
let people = 0

beforeAll(async () => {
  database = await testDatabase()
  db = database.db
  await db.insertInto('devices').values({ device_id: 'gate-1', name: 'Gate' }).execute()
})
afterAll(() => database.close())

async function employee(): Promise<string> {
  const employee_id = `E${++people}`
  await db.insertInto('employees').values({ employee_id, name: 'Ann' }).execute()
  return employee_id
}

async function decision(employee_id: string | null = null): Promise<number> {
  const row = await db
    .insertInto('decisions')
    .values({ kind: 'face', outcome: 'identified', pack: 'p', employee_id, record: JSON.stringify({}) })
    .returning('id')
    .executeTakeFirstOrThrow()
  return row.id
}

async function punch(values: Partial<Record<string, unknown>> = {}): Promise<number> {
  const employee_id = (values.employee_id as string) ?? (await employee())
  const row = await db
    .insertInto('attendance')
    .values({
      employee_id,
      device_id: 'gate-1',
      timestamp: new Date('2026-01-05T01:00:00Z'),
      attendance_type: 'IN',
      confidence_score: 0.9,
      liveness: 'bona_fide',
      decision_id: (values.decision_id as number) ?? (await decision(employee_id)),
      ...values,
    } as never)
    .returning('id')
    .executeTakeFirstOrThrow()
  return row.id
}

async function template(employee_id: string, values: object = {}): Promise<void> {
  await db
    .insertInto('face_templates')
    .values({
      employee_id,
      image_id: 1,
      pack: 'p',
      filename: 'f',
      file_path: 'f',
      embedding_vector: Buffer.alloc(16, 1),
      created_from: 'ADMIN_UPLOAD',
      ...values,
    } as never)
    .execute()
}

const refused = (constraint: string) => ({ code: '23514', constraint })

test('a device id of digits only is refused', async () => {
  await expect(
    db.insertInto('devices').values({ device_id: '12345', name: 'Gate' }).execute(),
  ).rejects.toMatchObject(refused('devices_device_id_check'))
})

test('a device id is taken once', async () => {
  await expect(
    db.insertInto('devices').values({ device_id: 'gate-1', name: 'Other' }).execute(),
  ).rejects.toMatchObject({ code: '23505', constraint: 'devices_device_id_key' })
})

test('an attendance type other than IN and OUT is refused', async () => {
  await expect(punch({ attendance_type: 'BANANA' })).rejects.toMatchObject(
    refused('attendance_attendance_type_check'),
  )
})

test('a liveness that the contract does not name is refused', async () => {
  await expect(punch({ liveness: 'maybe' })).rejects.toMatchObject(refused('attendance_liveness_check'))
})

test('a confidence above 1 is refused', async () => {
  await expect(punch({ confidence_score: 1.01 })).rejects.toMatchObject(
    refused('attendance_confidence_score_check'),
  )
})

test('a punch without a decision is refused', async () => {
  const employee_id = await employee()
  await expect(
    sql`INSERT INTO attendance (employee_id, device_id, timestamp, attendance_type, liveness)
      VALUES (${employee_id}, 'gate-1', now(), 'IN', 'bona_fide')`.execute(db),
  ).rejects.toMatchObject({ code: '23502', column: 'decision_id' })
})

test('a punch whose decision does not exist is refused', async () => {
  await expect(punch({ decision_id: 999_999 })).rejects.toMatchObject({
    code: '23503',
    constraint: 'attendance_decision_id_fkey',
  })
})

test('two punches never share a decision', async () => {
  const decision_id = await decision()
  await punch({ decision_id })
  await expect(punch({ decision_id })).rejects.toMatchObject({
    code: '23505',
    constraint: 'attendance_decision_id_key',
  })
})

test('a punch of a device that is not registered is refused', async () => {
  await expect(punch({ device_id: 'unknown' })).rejects.toMatchObject({
    code: '23503',
    constraint: 'attendance_device_id_fkey',
  })
})

test('an employee with punches cannot be deleted', async () => {
  const employee_id = await employee()
  await punch({ employee_id })
  await expect(
    db.deleteFrom('employees').where('employee_id', '=', employee_id).execute(),
  ).rejects.toMatchObject({ code: '23503' })
})

test('an employee id cannot be changed under its punches', async () => {
  const employee_id = await employee()
  await punch({ employee_id })
  await expect(
    db
      .updateTable('employees')
      .set({ employee_id: 'other' })
      .where('employee_id', '=', employee_id)
      .execute(),
  ).rejects.toMatchObject({ code: '23503' })
})

test('a punch is never changed', async () => {
  const id = await punch()
  await expect(
    db.updateTable('attendance').set({ attendance_type: 'OUT' }).where('id', '=', id).execute(),
  ).rejects.toThrow('rows of attendance are never changed')
  const row = await db
    .selectFrom('attendance')
    .select('attendance_type')
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  expect(row.attendance_type).toBe('IN')
})

test('a decision is never changed', async () => {
  const id = await decision()
  await expect(
    db.updateTable('decisions').set({ outcome: 'attack' }).where('id', '=', id).execute(),
  ).rejects.toThrow('rows of decisions are never changed')
})

test('an outcome that the rules do not name is refused', async () => {
  await expect(
    db
      .insertInto('decisions')
      .values({ kind: 'face', outcome: 'perhaps', pack: 'p', record: '{}' })
      .execute(),
  ).rejects.toMatchObject(refused('decisions_outcome_check'))
})

test('a face decision without its model pack is refused', async () => {
  await expect(
    db.insertInto('decisions').values({ kind: 'face', outcome: 'attack', record: '{}' }).execute(),
  ).rejects.toMatchObject({ code: '23514' })
})

test('a decision is a duplicate exactly when it names the punch that it repeats', async () => {
  const duplicate_of = await punch()
  const values = { kind: 'face' as const, pack: 'p', record: '{}' }
  await expect(
    db
      .insertInto('decisions')
      .values({ ...values, outcome: 'duplicate' })
      .execute(),
  ).rejects.toMatchObject({ code: '23514' })
  await expect(
    db
      .insertInto('decisions')
      .values({ ...values, outcome: 'identified', duplicate_of })
      .execute(),
  ).rejects.toMatchObject({ code: '23514' })
  await db
    .insertInto('decisions')
    .values({ ...values, outcome: 'duplicate', duplicate_of })
    .execute()
})

test('a person has one template for each slot of a pack, and packs stay apart', async () => {
  const employee_id = await employee()
  await template(employee_id)
  await template(employee_id, { image_id: 2 })
  await template(employee_id, { pack: 'other' })
  await expect(template(employee_id)).rejects.toMatchObject({
    code: '23505',
    constraint: 'face_templates_employee_id_image_id_pack_key',
  })
})

test('a template slot beyond 3 is refused', async () => {
  await expect(template(await employee(), { image_id: 4 })).rejects.toMatchObject(
    refused('face_templates_image_id_check'),
  )
})

test('an embedding of nothing is refused', async () => {
  await expect(template(await employee(), { embedding_vector: Buffer.alloc(0) })).rejects.toMatchObject(
    refused('face_templates_embedding_vector_check'),
  )
})

test('an employee who has left cannot be active', async () => {
  await expect(
    db.insertInto('employees').values({ employee_id: 'gone', name: 'Bo', ended_at: new Date() }).execute(),
  ).rejects.toMatchObject({ code: '23514' })
})

test('the photos and templates of a deleted employee go with the employee', async () => {
  const employee_id = await employee()
  await template(employee_id)
  await db.deleteFrom('employees').where('employee_id', '=', employee_id).execute()
  const left = await db
    .selectFrom('face_templates')
    .where('employee_id', '=', employee_id)
    .selectAll()
    .execute()
  expect(left).toEqual([])
})

test('a person has one avatar, and no photo twice', async () => {
  const employee_id = await employee()
  const photo = (sha256: string, is_avatar: boolean) =>
    db
      .insertInto('samples')
      .values({
        employee_id,
        file_path: `${employee_id}-${sha256}-${is_avatar}`,
        filename: 'a.jpg',
        content_type: 'image/jpeg',
        size_bytes: 1,
        width_px: 1,
        height_px: 1,
        sha256,
        quality_score: 1,
        created_from: 'ADMIN_UPLOAD',
        is_avatar,
      })
      .execute()
  await photo('a', true)
  await expect(photo('b', true)).rejects.toMatchObject({ code: '23505', constraint: 'samples_one_avatar' })
  await expect(photo('a', false)).rejects.toMatchObject({
    code: '23505',
    constraint: 'samples_employee_id_sha256_key',
  })
})

test('a photo has one embedding for each pack, which goes with the photo', async () => {
  const employee_id = await employee()
  const photo = await db
    .insertInto('samples')
    .values({
      employee_id,
      file_path: employee_id,
      filename: 'a.jpg',
      content_type: 'image/jpeg',
      size_bytes: 1,
      width_px: 1,
      height_px: 1,
      sha256: 'a',
      quality_score: 1,
      created_from: 'ADMIN_UPLOAD',
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const embed = (pack: string) =>
    db
      .insertInto('sample_embeddings')
      .values({ sample_id: photo.id, pack, embedding_vector: Buffer.alloc(16, 1) })
      .execute()
  await embed('p')
  await embed('other')
  await expect(embed('p')).rejects.toMatchObject({ code: '23505', constraint: 'sample_embeddings_pkey' })
  await db.deleteFrom('employees').where('employee_id', '=', employee_id).execute()
  const left = await db
    .selectFrom('sample_embeddings')
    .where('sample_id', '=', photo.id)
    .selectAll()
    .execute()
  expect(left).toEqual([])
})

test('a device keeps one answer for each idempotency key', async () => {
  const answer = () =>
    db
      .insertInto('idempotency_keys')
      .values({ device_id: 'gate-1', key: 'k', request_hash: 'h', answer: '{}' })
      .execute()
  await answer()
  await expect(answer()).rejects.toMatchObject({ code: '23505', constraint: 'idempotency_keys_pkey' })
})
