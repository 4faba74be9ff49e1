import { type ExpressionBuilder, type ExpressionWrapper, type SqlBool, sql } from 'kysely'
import type { Database, DatabaseTransaction, Tables } from '../database/tables.ts'
import type { ErrorCode } from '../shared/errors.ts'
import type { Liveness, Outcome, PunchType } from './decide.ts'
import type { Checked, PunchQuery } from './schema.ts'

/** The kiosk of a check, or undefined when nobody registered it; with `lock` not deleted until the transaction ends. */
export async function findKiosk(
  db: Database | DatabaseTransaction,
  deviceId: string,
  lock = false,
): Promise<{ is_active: boolean } | undefined> {
  const query = db.selectFrom('devices').select('is_active').where('device_id', '=', deviceId)
  return (lock ? query.forKeyShare() : query).executeTakeFirst()
}

/**
 * Locks a person until the transaction ends, so that two kiosks cannot punch for them at once.
 * Undefined when they are no longer active.
 */
export async function lockActivePerson(
  trx: DatabaseTransaction,
  employeeId: string,
): Promise<{ name: string } | undefined> {
  return trx
    .selectFrom('employees')
    .select('name')
    .where('employee_id', '=', employeeId)
    .where('is_active', '=', true)
    .forNoKeyUpdate()
    .executeTakeFirst()
}

export interface Punch {
  id: number
  type: PunchType
  at: Date
  confidence: number
  sameDay: boolean
}

/** A person's newest punch, of one type or (AUTO) of any, and whether it is of the same day in `timeZone`. */
export async function lastPunch(
  trx: DatabaseTransaction,
  employeeId: string,
  type: PunchType | 'AUTO',
  now: Date,
  timeZone: string,
): Promise<Punch | undefined> {
  const day = (time: unknown) => sql`(${time} AT TIME ZONE ${timeZone})::date`
  const punches = trx
    .selectFrom('attendance')
    .select([
      'id',
      'attendance_type as type',
      'timestamp as at',
      'confidence_score as confidence',
      sql<boolean>`${day(sql.ref('timestamp'))} = ${day(sql`${now}::timestamptz`)}`.as('sameDay'),
    ])
    .where('employee_id', '=', employeeId)
    .orderBy('timestamp', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
  const wanted = type === 'AUTO' ? punches : punches.where('attendance_type', '=', type)
  return wanted.executeTakeFirst()
}

export interface NewDecision {
  deviceId: string
  outcome: Outcome
  employeeId: string | null
  confidence: number | null
  pack: string
  calibrationId: number | null
  duplicateOf: number | null
  record: Record<string, unknown>
  now: Date
}

export async function insertDecision(trx: DatabaseTransaction, decision: NewDecision): Promise<number> {
  const { id } = await trx
    .insertInto('decisions')
    .values({
      created_at: decision.now,
      device_id: decision.deviceId,
      kind: 'face',
      outcome: decision.outcome,
      employee_id: decision.employeeId,
      confidence: decision.confidence,
      pack: decision.pack,
      calibration_id: decision.calibrationId,
      duplicate_of: decision.duplicateOf,
      record: JSON.stringify(decision.record),
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

export async function insertPunch(
  trx: DatabaseTransaction,
  punch: {
    employeeId: string
    deviceId: string
    type: PunchType
    confidence: number
    liveness: Liveness
    decisionId: number
    now: Date
  },
): Promise<number> {
  const { id } = await trx
    .insertInto('attendance')
    .values({
      employee_id: punch.employeeId,
      device_id: punch.deviceId,
      timestamp: punch.now,
      attendance_type: punch.type,
      confidence_score: punch.confidence,
      liveness: punch.liveness,
      decision_id: punch.decisionId,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** What a request was answered: a check's body, or a refusal's code, sentence and further keys. */
export type Answer =
  | { status: 200; body: Checked }
  | { status: 'refused'; body: { code: ErrorCode; message: string; details: Record<string, unknown> } }

export interface Remembered {
  requestHash: string
  answer: Answer
}

/** What a request with this key was answered before. */
export async function findRemembered(
  db: Database | DatabaseTransaction,
  deviceId: string,
  key: string,
): Promise<Remembered | undefined> {
  const row = await db
    .selectFrom('idempotency_keys')
    .select(['request_hash', 'answer'])
    .where('device_id', '=', deviceId)
    .where('key', '=', key)
    .executeTakeFirst()
  return row && { requestHash: row.request_hash, answer: row.answer as unknown as Answer }
}

/** Remembers an answer in the transaction that makes its punch. */
export async function remember(
  trx: DatabaseTransaction,
  deviceId: string,
  key: string,
  { requestHash, answer }: Remembered,
  now: Date,
): Promise<void> {
  await trx
    .insertInto('idempotency_keys')
    .values({
      device_id: deviceId,
      key,
      request_hash: requestHash,
      answer: JSON.stringify(answer),
      created_at: now,
    })
    .execute()
}

/** One request of a key at a time, until the transaction ends. */
export async function lockKey(trx: DatabaseTransaction, deviceId: string, key: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`rollcall.key ${deviceId} ${key}`}, 0))`.execute(
    trx,
  )
}

/** Forgets keys older than `before`. Returns how many. */
export async function forgetKeys(db: Database, before: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('idempotency_keys')
    .where('created_at', '<', before)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/** The punches of one page, newest first, and how many there are in all. */
export async function listPunches(db: Database, query: PunchQuery) {
  const matching = db
    .selectFrom('attendance')
    .innerJoin('employees', 'employees.employee_id', 'attendance.employee_id')
    .where((eb) => eb.and(filters(eb, query)))
  const punches = await matching
    .selectAll('attendance')
    .select('employees.name as employee_name')
    .orderBy('attendance.timestamp', 'desc')
    .orderBy('attendance.id', 'desc')
    .limit(query.limit)
    .offset(query.skip)
    .execute()
  const { total } = await matching.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { punches, total }
}

function filters(eb: ExpressionBuilder<Tables, 'attendance' | 'employees'>, query: PunchQuery) {
  const conditions: ExpressionWrapper<Tables, 'attendance' | 'employees', SqlBool>[] = []
  if (query.employee_id) conditions.push(eb('attendance.employee_id', '=', query.employee_id))
  if (query.device_id) conditions.push(eb('attendance.device_id', '=', query.device_id))
  if (query.attendance_type) conditions.push(eb('attendance_type', '=', query.attendance_type))
  if (query.from) conditions.push(eb('timestamp', '>=', new Date(query.from)))
  if (query.to) conditions.push(eb('timestamp', '<', new Date(query.to)))
  return conditions
}

/** A person, former ones included: their punches are kept. */
export async function personExists(db: Database, employeeId: string): Promise<boolean> {
  const row = await db
    .selectFrom('employees')
    .select('id')
    .where('employee_id', '=', employeeId)
    .executeTakeFirst()
  return row !== undefined
}
