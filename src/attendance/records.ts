import { sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { countMatch } from '../gallery/templates.ts'
import type { ErrorCode } from '../shared/errors.ts'
import type { Liveness, Outcome, PadPolicy, PunchType } from './decide.ts'
import type { DecisionRecord } from './decision-record.ts'
import { isEffective } from './punches.ts'
import type { Checked } from './schema.ts'

export interface Kiosk {
  isActive: boolean
  /** What a check-in here is; AUTO leaves it to the check-in. */
  direction: PunchType | 'AUTO'
  /** Of its site; null where the server's own holds. */
  timeZone: string | null
  /** CIDR blocks that the kiosks of its site call from; empty means any. */
  allowedNetworks: string[]
  /** Whether its site keeps the pictures of check-ins. */
  keepPictures: boolean
  /** What presentation attack detection means here; null where the server's default holds. */
  padPolicy: PadPolicy | null
  /** Whether its site takes an installed network's word for a bona fide face. */
  padModelEnough: boolean
  /** Whether its site takes an employee code with its PIN. */
  pinAllowed: boolean
  remembered: Remembered | undefined
}

/**
 * The kiosk of a check, or undefined when nobody registered it; with what a request of this key was answered before.
 * With `lock` it is not deleted until the transaction ends.
 */
export async function findKiosk(
  db: Database | DatabaseTransaction,
  deviceId: string,
  key: string | undefined,
  lock = false,
): Promise<Kiosk | undefined> {
  const query = db
    .selectFrom('devices')
    .innerJoin('sites', 'sites.id', 'devices.site_id')
    .leftJoin('idempotency_keys as known', (join) =>
      join.onRef('known.device_id', '=', 'devices.device_id').on('known.key', '=', key ?? null),
    )
    .select([
      'devices.is_active as isActive',
      'devices.direction',
      'sites.time_zone as timeZone',
      'sites.allowed_networks as allowedNetworks',
      'sites.keep_pictures as keepPictures',
      'devices.pad_policy as padPolicy',
      'sites.pad_model_enough as padModelEnough',
      'sites.pin_allowed as pinAllowed',
      'known.request_hash',
      'known.answer',
    ])
    .where('devices.device_id', '=', deviceId)
  const row = await (lock ? query.forKeyShare('devices') : query).executeTakeFirst()
  return row && { ...row, remembered: toRemembered(row) }
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

/** Locks a person, former ones included, until the transaction ends. False when there is none. */
export async function lockPerson(trx: DatabaseTransaction, employeeId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('employees')
    .select('id')
    .where('employee_id', '=', employeeId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row !== undefined
}

export interface Punch {
  id: number
  type: PunchType
  at: Date
  confidence: number
  sameDay: boolean
}

/**
 * The person's last punch that counts, of one type or (AUTO) of any, and whether it is of the same day in `timeZone`.
 * As seen from `at`, which may be in the past: what came later than the duplicate window is left out, and so is the punch
 * numbered `besides`.
 */
export async function lastPunch(
  trx: DatabaseTransaction,
  employeeId: string,
  type: PunchType | 'AUTO',
  at: Date,
  timeZone: string,
  duplicateWindowMs: number,
  besides = 0,
): Promise<Punch | undefined> {
  const day = (time: unknown) => sql`(${time} AT TIME ZONE ${timeZone})::date`
  const punches = trx
    .selectFrom('attendance')
    .select([
      'id',
      'attendance_type as type',
      'timestamp as at',
      'confidence_score as confidence',
      sql<boolean>`${day(sql.ref('timestamp'))} = ${day(sql`${at}::timestamptz`)}`.as('sameDay'),
    ])
    .where('employee_id', '=', employeeId)
    .where('timestamp', '<=', new Date(at.getTime() + duplicateWindowMs))
    .where('id', '<>', besides)
    .where(isEffective)
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
  record: DecisionRecord
  /** The file of the picture, where it is kept. */
  picture: string | undefined
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
    .values({ ...decisionRow(decision), image_path: decision.picture })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

export interface NewPunch {
  employeeId: string
  type: PunchType
  at: Date
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
          timestamp: punch.at,
          attendance_type: punch.type,
          confidence_score: punch.confidence,
          liveness: punch.liveness,
          image_path: decision.picture,
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
