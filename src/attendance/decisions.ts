import { type SqlBool, sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import type { Liveness } from './decide.ts'
import type { DecisionQuery } from './explain-schema.ts'
import type { View } from './punches.ts'

/** The decisions that a view holds; what is about nobody, only who sees everybody. */
function decisionsIn(db: Database, { departments }: View) {
  const decisions = db
    .selectFrom('decisions')
    .leftJoin('attendance', 'attendance.decision_id', 'decisions.id')
    .leftJoin('employees', 'employees.employee_id', 'decisions.employee_id')
  return departments === undefined
    ? decisions
    : decisions.where(sql<SqlBool>`employees.department = ANY(${departments}::text[])`)
}

const columns = [
  'decisions.id as decision_id',
  'attendance.id as attendance_id',
  'decisions.kind',
  'decisions.outcome',
  'decisions.created_at as made_at',
  'decisions.device_id',
  'decisions.employee_id',
  'employees.name as employee_name',
  'decisions.confidence',
  'decisions.pack',
] as const

/** The decisions of one page, newest first, and how many there are in all. */
export async function listDecisions(db: Database, query: DecisionQuery, view: View) {
  let matching = decisionsIn(db, view)
  if (query.device_id) matching = matching.where('decisions.device_id', '=', query.device_id)
  if (query.employee_id) matching = matching.where('decisions.employee_id', '=', query.employee_id)
  if (query.outcome) matching = matching.where('decisions.outcome', '=', query.outcome)
  if (query.from) matching = matching.where('decisions.created_at', '>=', new Date(query.from))
  if (query.to) matching = matching.where('decisions.created_at', '<', new Date(query.to))
  const decisions = await matching
    .select(columns)
    .select(sql<string | null>`decisions.record ->> 'rule'`.as('rule'))
    .select(sql<Liveness | null>`decisions.record #>> '{liveness,state}'`.as('liveness'))
    .orderBy('decisions.created_at', 'desc')
    .orderBy('decisions.id', 'desc')
    .limit(query.limit)
    .offset(query.skip)
    .execute()
  const { total } = await matching.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { decisions, total }
}

export type DecisionRow = NonNullable<Awaited<ReturnType<typeof findDecision>>>

/** One decision, with its record as it was written. */
export async function findDecision(db: Database, id: number, view: View) {
  return decisionsIn(db, view)
    .leftJoin('attendance as later', 'later.corrects', 'attendance.id')
    .leftJoin('disputes', 'disputes.punch_id', 'attendance.id')
    .select([
      ...columns,
      'decisions.calibration_id',
      'decisions.duplicate_of',
      'decisions.record',
      'decisions.image_path',
      'attendance.image_path as punch_image_path',
      'later.id as superseded_by',
      'disputes.state as disputed',
    ])
    .where('decisions.id', '=', id)
    .executeTakeFirst()
}
