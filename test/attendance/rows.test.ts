import { afterAll, beforeAll, expect, test } from 'vitest'
import { recordPunch } from '../support/app.ts'
import { type TestDatabase, testDatabase } from '../support/database.ts'

let database: TestDatabase
let first: number

beforeAll(async () => {
  database = await testDatabase()
  const { db } = database
  await db.insertInto('devices').values({ device_id: 'GATE', name: 'Gate' }).execute()
  await db.insertInto('employees').values({ employee_id: 'ANN', name: 'Ann' }).execute()
  first = await recordPunch(db, 'ANN', 'GATE')
})
afterAll(() => database.close())

async function write(values: { corrects: number | null; is_void?: boolean }): Promise<void> {
  const { db } = database
  const decision = await db
    .insertInto('decisions')
    .values({ kind: 'correction', outcome: 'corrected', record: JSON.stringify({}) })
    .returning('id')
    .executeTakeFirstOrThrow()
  await db
    .insertInto('attendance')
    .values({
      employee_id: 'ANN',
      timestamp: new Date('2025-03-03T01:00:00Z'),
      attendance_type: 'IN',
      confidence_score: 0,
      liveness: 'unavailable',
      decision_id: decision.id,
      ...values,
    })
    .execute()
}

test('a punch that takes nothing away cannot be void', async () => {
  await expect(write({ corrects: null, is_void: true })).rejects.toMatchObject({
    constraint: 'attendance_void_corrects',
  })
})

test('a punch has one correction, of a punch that is there', async () => {
  await write({ corrects: first })
  await expect(write({ corrects: first })).rejects.toMatchObject({ constraint: 'attendance_corrects_key' })
  await expect(write({ corrects: 999 })).rejects.toMatchObject({ constraint: 'attendance_corrects_fkey' })
})

test('a face that was compared names its pack, whatever else may go without', async () => {
  const face = database.db
    .insertInto('decisions')
    .values({ kind: 'face', outcome: 'identified', record: JSON.stringify({}) })
    .execute()
  await expect(face).rejects.toMatchObject({ code: '23514' })
})
