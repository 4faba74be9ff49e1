import { type ExpressionBuilder, type ExpressionWrapper, type SqlBool, sql } from 'kysely'
import type { Database, DatabaseTransaction, Tables } from '../database/tables.ts'
import type { Employee, EmployeeChanges, EmployeeQuery, NewEmployee } from './schema.ts'
import { searchPatterns } from './search.ts'

/**
 * Erases a person's photos and templates inside the transaction that ends their employment.
 * What cannot be rolled back (files) goes into `afterCommit`.
 */
export type EraseBiometrics = (
  trx: DatabaseTransaction,
  employeeId: string,
) => Promise<{ templates: number; afterCommit: () => Promise<void> }>

const columns = [
  'id',
  'employee_id',
  'name',
  'department',
  'email',
  'phone',
  'position',
  'is_active',
  'created_at',
  'updated_at',
] as const

type Creation =
  | { outcome: 'created'; employee: Employee }
  | { outcome: 'taken'; employeeId: string; former: boolean }

/** Creates an employee; makes the id EMP_001, EMP_002, … where none is given. */
export async function createEmployee(db: Database, employee: NewEmployee, now: Date): Promise<Creation> {
  return db.transaction().execute(async (trx) => {
    // One creation at a time: numbers handed out side by side would collide or leave gaps.
    await sql`SELECT pg_advisory_xact_lock(hashtext('rollcall.employees.employee_id'))`.execute(trx)
    const employeeId = employee.employee_id ?? (await nextEmployeeId(trx))
    const created = await trx
      .insertInto('employees')
      .values({ ...employee, employee_id: employeeId, created_at: now, updated_at: now })
      .onConflict((conflict) => conflict.column('employee_id').doNothing())
      .returning(columns)
      .executeTakeFirst()
    if (created !== undefined) return { outcome: 'created', employee: created }
    const holder = await trx
      .selectFrom('employees')
      .select('ended_at')
      .where('employee_id', '=', employeeId)
      .executeTakeFirst()
    return { outcome: 'taken', employeeId, former: holder?.ended_at != null }
  })
}

/** One more than the highest number in use, former employees included: an id is never given to a second person. */
async function nextEmployeeId(trx: DatabaseTransaction): Promise<string> {
  const highest = await trx
    .selectFrom('employees')
    .select(sql<string>`coalesce(max(substring(employee_id FROM 5)::bigint), 0)`.as('number'))
    .where(sql<SqlBool>`employee_id ~ '^EMP_[0-9]{1,9}$'`)
    .executeTakeFirstOrThrow()
  // Ids with longer numbers were given by hand; the one that is next may be among them.
  for (let number = Number(highest.number) + 1; ; number++) {
    const employeeId = `EMP_${String(number).padStart(3, '0')}`
    const holder = await trx
      .selectFrom('employees')
      .select('id')
      .where('employee_id', '=', employeeId)
      .executeTakeFirst()
    if (holder === undefined) return employeeId
  }
}

/** The employees of one page, oldest entry first, and how many there are in all. */
export async function listEmployees(
  db: Database,
  query: EmployeeQuery,
): Promise<{ employees: Employee[]; total: number }> {
  const matching = db.selectFrom('employees').where((eb) => eb.and(filters(eb, query)))
  const employees = await matching
    .select(columns)
    .orderBy('id')
    .limit(query.limit)
    .offset(query.skip)
    .execute()
  const { total } = await matching.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { employees, total }
}

function filters(eb: ExpressionBuilder<Tables, 'employees'>, query: EmployeeQuery) {
  const conditions: ExpressionWrapper<Tables, 'employees', SqlBool>[] = [eb('ended_at', 'is', null)]
  if (query.department != null) conditions.push(eb('department', '=', query.department))
  for (const pattern of searchPatterns(query.search ?? '')) {
    conditions.push(eb(searchedText, '~', pattern))
  }
  return conditions
}

/** Name, id and e-mail without accents; search.ts does the same to what was typed. */
const searchedText = sql<string>`translate(
  regexp_replace(normalize(concat_ws(' ', name, employee_id, email), NFD), '[\\u0300-\\u036f]', '', 'g'), 'đĐ', 'dD')`

/** One employee, unless employment has ended. */
export async function findEmployee(db: Database, employeeId: string): Promise<Employee | undefined> {
  return db
    .selectFrom('employees')
    .select(columns)
    .where('employee_id', '=', employeeId)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
}

/** Changes only the given fields; null clears one. Undefined when there is no such employee. */
export async function updateEmployee(
  db: Database,
  employeeId: string,
  changes: EmployeeChanges,
  now: Date,
): Promise<Employee | undefined> {
  return db
    .updateTable('employees')
    .set({ ...changes, updated_at: now })
    .where('employee_id', '=', employeeId)
    .where('ended_at', 'is', null)
    .returning(columns)
    .executeTakeFirst()
}

/** Ends employment: the biometrics go, the person's row and punches stay. Undefined when there is no such employee. */
export async function endEmployment(
  db: Database,
  employeeId: string,
  now: Date,
  eraseBiometrics: EraseBiometrics,
): Promise<{ templates: number; punches: number; afterCommit: () => Promise<void> } | undefined> {
  return db.transaction().execute(async (trx) => {
    const ended = await trx
      .updateTable('employees')
      .set({ is_active: false, ended_at: now, updated_at: now })
      .where('employee_id', '=', employeeId)
      .where('ended_at', 'is', null)
      .returning('id')
      .executeTakeFirst()
    if (ended === undefined) return undefined
    const erased = await eraseBiometrics(trx, employeeId)
    const { punches } = await trx
      .selectFrom('attendance')
      .select(sql<number>`count(*)::int`.as('punches'))
      .where('employee_id', '=', employeeId)
      .executeTakeFirstOrThrow()
    return { ...erased, punches }
  })
}

/** The departments that have employees, in alphabetical order. */
export async function listDepartments(db: Database): Promise<string[]> {
  const counts = await countByDepartment(db)
  return counts.flatMap(({ department }) => department ?? []).sort((a, b) => a.localeCompare(b, 'vi'))
}

/** Head counts: everybody who has not left, active or not, and by department. */
export async function employeeStats(db: Database) {
  const counts = await countByDepartment(db)
  const total = counts.reduce((sum, row) => sum + row.total, 0)
  const active = counts.reduce((sum, row) => sum + row.active, 0)
  const named = counts.flatMap(({ department, total }) =>
    department === null ? [] : [[department, total] as const],
  )
  return {
    total_employees: total,
    active_employees: active,
    inactive_employees: total - active,
    by_department: Object.fromEntries(named),
    without_department: counts.find(({ department }) => department === null)?.total ?? 0,
  }
}

async function countByDepartment(db: Database) {
  return db
    .selectFrom('employees')
    .select([
      'department',
      sql<number>`count(*)::int`.as('total'),
      sql<number>`(count(*) FILTER (WHERE is_active))::int`.as('active'),
    ])
    .where('ended_at', 'is', null)
    .groupBy('department')
    .execute()
}
