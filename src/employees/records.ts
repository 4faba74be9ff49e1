import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import { codeOf } from '../database/errors.ts'
import { hasWords, isSameText, sortedBy } from '../database/lists.ts'
import type { Database, DatabaseTransaction, Tables } from '../database/tables.ts'
import { type Change, release } from '../ledger/ledger.ts'
import { versionMismatch } from '../shared/version.ts'
import type { Employee, EmployeeChanges, EmployeeFilters, NewEmployee, Page } from './schema.ts'

/**
 * Erases a person's photos and templates inside the transaction that ends their employment.
 * What cannot be rolled back (files, keys) goes into `afterCommit`.
 */
export type EraseBiometrics = (
  trx: DatabaseTransaction,
  employeeId: string,
  reason: 'employment_ended' | 'purge',
) => Promise<{ templates: number; afterCommit: () => Promise<void> }>

const photoCount = sql<number>`(SELECT count(*)::int FROM samples
  WHERE samples.employee_id = employees.employee_id AND samples.created_from = 'ADMIN_UPLOAD')`

const columns = [
  'id',
  'employee_id',
  'name',
  'department',
  'email',
  'phone',
  'position',
  'is_active',
  'site_id',
  'created_at',
  'updated_at',
  'ended_at',
  'version',
  photoCount.as('photos'),
] as const

type Creation =
  | { outcome: 'created'; employee: Employee }
  | { outcome: 'taken'; employeeId: string; former: boolean }
  | { outcome: 'no_such_site' }

/** Creates an employee; makes the id EMP_001, EMP_002, … where none is given. */
export async function createEmployee(change: Change, employee: NewEmployee, now: Date): Promise<Creation> {
  return siteMayBeMissing(() => insertEmployee(change, employee, now))
}

async function insertEmployee(change: Change, employee: NewEmployee, now: Date): Promise<Creation> {
  return change(async (trx) => {
    await lockIds(trx)
    const employeeId = employee.employee_id ?? (await freeEmployeeIds(trx, 1))[0]
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

/** An employee belongs to one of the sites: their table says so when the row is written. */
async function siteMayBeMissing<T>(write: () => Promise<T>): Promise<T | { outcome: 'no_such_site' }> {
  try {
    return await write()
  } catch (error) {
    if (codeOf(error) === '23503') return { outcome: 'no_such_site' }
    throw error
  }
}

/** One creation at a time: numbers handed out side by side would collide or leave gaps. */
export async function lockIds(trx: DatabaseTransaction): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('rollcall.employees.employee_id'))`.execute(trx)
}

/**
 * The next ids from the highest number in use on, former employees included: an id is never given to a second person.
 * `spokenFor` are ids that are about to be given by hand.
 */
export async function freeEmployeeIds(
  trx: DatabaseTransaction,
  count: number,
  spokenFor: ReadonlySet<string> = new Set(),
): Promise<string[]> {
  const highest = await trx
    .selectFrom('employees')
    .select(sql<string>`coalesce(max(substring(employee_id FROM 5)::bigint), 0)`.as('number'))
    .where(sql<SqlBool>`employee_id ~ '^EMP_[0-9]{1,9}$'`)
    .executeTakeFirstOrThrow()
  const free: string[] = []
  for (let next = Number(highest.number) + 1; free.length < count; ) {
    const candidates: string[] = []
    for (; candidates.length < count - free.length; next++) {
      const candidate = `EMP_${String(next).padStart(3, '0')}`
      if (!spokenFor.has(candidate)) candidates.push(candidate)
    }
    // Ids with longer numbers were given by hand; those that are next may be among them.
    const holders = await trx
      .selectFrom('employees')
      .select('employee_id')
      .where(sql<SqlBool>`employee_id = any(${candidates}::text[])`)
      .execute()
    const held = new Set(holders.map(({ employee_id }) => employee_id))
    free.push(...candidates.filter((candidate) => !held.has(candidate)))
  }
  return free
}

/** The departments that a caller may see; undefined means all. */
type Visible = readonly string[] | undefined

/** The employees of one page, and how many there are in all. */
export async function listEmployees(
  db: Database,
  query: EmployeeFilters & Page,
  visible: Visible,
): Promise<{ employees: Employee[]; total: number }> {
  const matching = selectMatching(db, query, visible)
  const employees = await matching
    .select(columns)
    .orderBy(order(query.sort))
    .limit(query.limit)
    .offset(query.skip)
    .execute()
  const { total } = await matching.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { employees, total }
}

/** Everybody who matches, with the name of their site. */
export async function everyEmployee(
  db: Database,
  query: EmployeeFilters,
  visible: Visible,
): Promise<(Employee & { site: string })[]> {
  return selectMatching(db, query, visible)
    .select(columns)
    .select(sql<string>`(SELECT sites.name FROM sites WHERE sites.id = employees.site_id)`.as('site'))
    .orderBy(order(query.sort))
    .execute()
}

function selectMatching(db: Database, query: EmployeeFilters, visible: Visible) {
  return db
    .selectFrom('employees')
    .where((eb) => eb.and(filters(eb, query)))
    .where(isVisible(visible))
}

/** The condition that a row of `employees` is of a person whom the caller may see. */
export function isVisible(visible: Visible) {
  return visible === undefined
    ? sql<SqlBool>`true`
    : sql<SqlBool>`employees.department = any(${[...visible]}::text[])`
}

function order(sort: EmployeeFilters['sort'] = 'created_at') {
  return sortedBy(sort, {
    name: sql`name_order(name) COLLATE "C"`,
    employee_id: sql`employee_id COLLATE "C"`,
    created_at: sql`created_at`,
  })
}

function filters(eb: ExpressionBuilder<Tables, 'employees'>, query: EmployeeFilters) {
  const conditions: Expression<SqlBool>[] = [eb('ended_at', query.ended ? 'is not' : 'is', null)]
  if (query.department != null) conditions.push(isSameText(sql`department`, query.department))
  if (query.is_active !== undefined) conditions.push(eb('is_active', '=', query.is_active))
  if (query.site_id !== undefined) conditions.push(eb('site_id', '=', query.site_id))
  if (query.has_photos !== undefined)
    conditions.push(sql<SqlBool>`(${photoCount} > 0) = ${query.has_photos}::boolean`)
  if (query.search != null) conditions.push(hasWords(searchedText, query.search))
  return conditions
}

const searchedText = sql<string>`concat_ws(' ', name, employee_id, email)`

/** One employee, unless employment has ended. */
export async function findEmployee(
  db: Database | DatabaseTransaction,
  employeeId: string,
  visible?: Visible,
): Promise<Employee | undefined> {
  return db
    .selectFrom('employees')
    .select(columns)
    .where('employee_id', '=', employeeId)
    .where('ended_at', 'is', null)
    .where(isVisible(visible))
    .executeTakeFirst()
}

type Refusal = { outcome: 'not_found' } | { outcome: 'version_mismatch' }

/** Changes only the given fields; null clears one. `expected`: only one of these versions, undefined means any. */
export async function updateEmployee(
  change: Change,
  employeeId: string,
  changes: EmployeeChanges,
  expected: readonly number[] | undefined,
  now: Date,
): Promise<{ outcome: 'updated'; employee: Employee } | { outcome: 'no_such_site' } | Refusal> {
  return siteMayBeMissing(() =>
    change(async (trx) => {
      const employee = await trx
        .updateTable('employees')
        .set({ ...changes, ...touched(now) })
        .where('employee_id', '=', employeeId)
        .where('ended_at', 'is', null)
        .where(isVersion(expected))
        .returning(columns)
        .executeTakeFirst()
      return employee ? { outcome: 'updated' as const, employee } : whyUnchanged(trx, employeeId)
    }),
  )
}

function touched(now: Date) {
  return { updated_at: now, version: sql<number>`version + 1` }
}

function isVersion(expected: readonly number[] | undefined) {
  return expected === undefined
    ? sql<SqlBool>`true`
    : sql<SqlBool>`employees.version = any(${[...expected]}::integer[])`
}

async function whyUnchanged(db: DatabaseTransaction, employeeId: string): Promise<Refusal> {
  return { outcome: (await findEmployee(db, employeeId)) ? 'version_mismatch' : 'not_found' }
}

/**
 * Lets a person be recognised, or not. `expected`: only one of these versions, undefined means any. Throws
 * `version_mismatch`; undefined when there is no such employee.
 */
export async function setActive(
  change: Change,
  employeeId: string,
  active: boolean,
  expected: readonly number[] | undefined,
  now: Date,
): Promise<Employee | undefined> {
  return change(async (trx) => {
    const changed = await trx
      .updateTable('employees')
      .set({ is_active: active, ...touched(now) })
      .where('employee_id', '=', employeeId)
      .where('ended_at', 'is', null)
      .where('is_active', '=', !active)
      .where(isVersion(expected))
      .returning(columns)
      .executeTakeFirst()
    if (changed) return changed
    const unchanged = await findEmployee(trx, employeeId)
    if (unchanged && expected && !expected.includes(unchanged.version)) throw versionMismatch()
    return unchanged
  })
}

/** Ends employment: the biometrics go, the person's row and punches stay. */
export async function endEmployment(
  change: Change,
  employeeId: string,
  expected: readonly number[] | undefined,
  now: Date,
  eraseBiometrics: EraseBiometrics,
): Promise<
  { outcome: 'ended'; templates: number; punches: number; afterCommit: () => Promise<void> } | Refusal
> {
  return change(async (trx) => {
    const ended = await trx
      .updateTable('employees')
      .set({ is_active: false, ended_at: now, ...touched(now) })
      .where('employee_id', '=', employeeId)
      .where('ended_at', 'is', null)
      .where(isVersion(expected))
      .returning('id')
      .executeTakeFirst()
    if (ended === undefined) return whyUnchanged(trx, employeeId)
    await trx.deleteFrom('pins').where('employee_id', '=', employeeId).execute()
    const erased = await eraseBiometrics(trx, employeeId, 'employment_ended')
    const { punches } = await trx
      .selectFrom('attendance')
      .select(sql<number>`count(*)::int`.as('punches'))
      .where('employee_id', '=', employeeId)
      .executeTakeFirstOrThrow()
    return { outcome: 'ended', ...erased, punches }
  })
}

/**
 * Removes a person, whether employed or not, with everything that is kept about them: punches and decisions too.
 * What remains is their id in the decision records of others whom they resemble or who gave their code, until those are
 * forgotten, and, in the ledger, that somebody was removed. Files of pictures that no row names any more are swept away.
 */
export async function purgeEmployee(
  change: Change,
  employeeId: string,
  expected: readonly number[] | undefined,
  eraseBiometrics: EraseBiometrics,
): Promise<
  | {
      outcome: 'purged'
      templates: number
      punches: number
      decisions: number
      afterCommit: () => Promise<void>
    }
  | Refusal
> {
  return change(async (trx) => {
    const person = await trx
      .selectFrom('employees')
      .select('version')
      .where('employee_id', '=', employeeId)
      .forUpdate()
      .executeTakeFirst()
    if (!person) return { outcome: 'not_found' }
    if (expected && !expected.includes(person.version)) return { outcome: 'version_mismatch' }
    await release(trx, { employeeId, punches: await theirPunches(trx, employeeId), action: 'purge' })
    const erased = await eraseBiometrics(trx, employeeId, 'purge')
    await trx
      .deleteFrom('idempotency_keys')
      .where(sql<SqlBool>`answer -> 'body' ->> 'employee_id' = ${employeeId}`)
      .execute()
    await sql`UPDATE calibrations SET cohort = array_remove(cohort, ${employeeId})
      WHERE ${employeeId} = any(cohort)`.execute(trx)
    await forgetInSwitches(trx, employeeId)
    const { punches, decisions } = await deletePunches(trx, employeeId)
    await trx.deleteFrom('employees').where('employee_id', '=', employeeId).execute()
    return { outcome: 'purged', ...erased, punches, decisions }
  })
}

/** Whom a change of the models named as skipped or no longer recognisable. */
async function forgetInSwitches(trx: DatabaseTransaction, employeeId: string): Promise<void> {
  for (const list of ['skipped', 'unrecognisable'])
    await sql`UPDATE model_switches SET report = jsonb_set(report, ARRAY[${list}], (
        SELECT coalesce(jsonb_agg(entry), '[]') FROM jsonb_array_elements(report -> ${list}) AS entry
        WHERE entry ->> 'employee_id' <> ${employeeId}))
      WHERE report -> ${list} @> jsonb_build_array(jsonb_build_object('employee_id', ${employeeId}::text))`.execute(
      trx,
    )
}

async function theirPunches(trx: DatabaseTransaction, employeeId: string): Promise<number[]> {
  const punches = await trx
    .selectFrom('attendance')
    .select('id')
    .where('employee_id', '=', employeeId)
    .execute()
  return punches.map(({ id }) => id)
}

/** Punches and decisions point at each other, so they go in the order in which nothing points at what goes. */
async function deletePunches(trx: DatabaseTransaction, employeeId: string) {
  const theirPunches = trx.selectFrom('attendance').select('id').where('employee_id', '=', employeeId)
  const repeated = await trx
    .deleteFrom('decisions')
    .where('duplicate_of', 'in', theirPunches)
    .executeTakeFirst()
  const punches = await trx
    .deleteFrom('attendance')
    .where('employee_id', '=', employeeId)
    .returning('decision_id')
    .execute()
  const decisions = await trx
    .deleteFrom('decisions')
    .where((eb) =>
      eb.or([
        eb('employee_id', '=', employeeId),
        sql<SqlBool>`id = any(${punches.map(({ decision_id }) => decision_id)}::integer[])`,
      ]),
    )
    .executeTakeFirst()
  return {
    punches: punches.length,
    decisions: Number(repeated.numDeletedRows) + Number(decisions.numDeletedRows),
  }
}

/** The departments that have employees, in alphabetical order. */
export async function listDepartments(db: Database, visible: Visible): Promise<string[]> {
  const counts = await countByDepartment(db, visible)
  return counts.flatMap(({ department }) => department ?? []).sort((a, b) => a.localeCompare(b, 'vi'))
}

/** Head counts: everybody who has not left, active or not, and by department. */
export async function employeeStats(db: Database, visible: Visible) {
  const counts = await countByDepartment(db, visible)
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

async function countByDepartment(db: Database, visible: Visible) {
  return db
    .selectFrom('employees')
    .select([
      'department',
      sql<number>`count(*)::int`.as('total'),
      sql<number>`(count(*) FILTER (WHERE is_active))::int`.as('active'),
    ])
    .where('ended_at', 'is', null)
    .where(isVisible(visible))
    .groupBy('department')
    .execute()
}
