import { type ExpressionBuilder, type ExpressionWrapper, type SqlBool, sql } from 'kysely'
import type { Database, DatabaseTransaction, Tables } from '../database/tables.ts'
import { countMatch } from '../gallery/templates.ts'
import type { ErrorCode } from '../shared/errors.ts'
import type { Liveness, Outcome, PunchType } from './decide.ts'
import type { Checked, PunchQuery } from './schema.ts'

/**
 * The kiosk of a check, or undefined when nobody registered it; with what a request of this key was answered before.
 * With `lock` it is not deleted until the transaction ends.
 */
export async function findKiosk(
  db: Database | DatabaseTransaction,
  deviceId: string,
  key: string | undefined,
  lock = false,
): Promise<{ isActive: boolean; remembered: Remembered | undefined } | undefined> {
  const query = db
    .selectFrom('devices')
    .leftJoin('idempotency_keys as known', (join) =>
      join.onRef('known.device_id', '=', 'devices.device_id').on('known.key', '=', key ?? null),
    )
    .select(['devices.is_active', 'known.request_hash', 'known.answer'])
    .where('devices.device_id', '=', deviceId)
  const row = await (lock ? query.forKeyShare('devices') : query).executeTakeFirst()
  return row && { isActive: row.is_active, remembered: toRemembered(row) }
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

/** The row of a decision, as far as it is known before it is written. */
function decisionRow(decision: NewDecision) {
  return {
    created_at: decision.now,
    device_id: decision.deviceId,
    kind: 'face' as const,
    outcome: decision.outcome,
    employee_id: decision.employeeId,
    confidence: decision.confidence,
    pack: decision.pack,
    calibration_id: decision.calibrationId,
    duplicate_of: decision.duplicateOf,
    record: JSON.stringify(decision.record),
  }
}

/** Writes a decision that made no punch. Returns its id. */
export async function insertDecision(trx: DatabaseTransaction, decision: NewDecision): Promise<number> {
  const { id } = await trx
    .insertInto('decisions')
    .values(decisionRow(decision))
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

export interface NewPunch {
  employeeId: string
  type: PunchType
  confidence: number
  liveness: Liveness
  /** The template that the face resembled most. */
  templateId: number
}

/**
 * Writes a decision, its punch, and that the template was matched once more: in one statement, because every one costs
 * the embedded database a turn. Returns the ids.
 */
export async function insertPunch(
  trx: DatabaseTransaction,
  decision: NewDecision,
  punch: NewPunch,
): Promise<{ decisionId: number; punchId: number }> {
  return trx
    .with('decision', (db) => db.insertInto('decisions').values(decisionRow(decision)).returning('id'))
    .with('punch', (db) =>
      db
        .insertInto('attendance')
        .values(({ selectFrom }) => ({
          employee_id: punch.employeeId,
          device_id: decision.deviceId,
          timestamp: decision.now,
          attendance_type: punch.type,
          confidence_score: punch.confidence,
          liveness: punch.liveness,
          decision_id: selectFrom('decision').select('id'),
        }))
        .returning('id'),
    )
    .with('matched', (db) => countMatch(db, punch.templateId, punch.confidence, decision.now))
    .selectFrom(['decision', 'punch'])
    .select(['decision.id as decisionId', 'punch.id as punchId'])
    .executeTakeFirstOrThrow()
}

/** What a request was answered: a check's body, or a refusal's code, sentence and further keys. */
export type Answer =
  | { status: 200; body: Checked }
  | { status: 'refused'; body: { code: ErrorCode; message: string; details: Record<string, unknown> } }

export interface Remembered {
  requestHash: string
  answer: Answer
}

function toRemembered(row: { request_hash: string | null; answer: unknown }): Remembered | undefined {
  return row.request_hash === null
    ? undefined
    : { requestHash: row.request_hash, answer: row.answer as Answer }
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
