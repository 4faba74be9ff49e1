import { type SqlBool, sql } from 'kysely'
import { hasWords } from '../database/lists.ts'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Page } from '../shared/paging.ts'
import type { ExportQuery, PunchFilters, PunchQuery } from './schema.ts'

/** Whose punches may be seen, and the time zone of the sites that name none. */
export interface View {
  /** Undefined means all. */
  departments: readonly string[] | undefined
  timeZone: string
}

/** The punches that a view holds, with all that may be asked about them. What is not used, the planner leaves out. */
function punchesIn(db: Database | DatabaseTransaction, { departments }: View) {
  const punches = db
    .selectFrom('attendance')
    .innerJoin('employees', 'employees.employee_id', 'attendance.employee_id')
    .innerJoin('decisions', 'decisions.id', 'attendance.decision_id')
    .leftJoin('devices', 'devices.device_id', 'attendance.device_id')
    .leftJoin('sites', (join) => join.on(sql<SqlBool>`sites.id = ${siteId}`))
    .leftJoin('attendance as later', 'later.corrects', 'attendance.id')
    .leftJoin('disputes', 'disputes.punch_id', 'attendance.id')
  return departments === undefined
    ? punches
    : punches.where(sql<SqlBool>`employees.department = ANY(${departments}::text[])`)
}

/** Where a punch was: at the kiosk's site, or at the person's own where there was no kiosk. */
const siteId = sql<number>`coalesce(devices.site_id, employees.site_id)`
const siteZone = (timeZone: string) => sql<string>`coalesce(sites.time_zone, ${timeZone}::text)`
const dayOf = (time: unknown, zone: unknown) => sql<string>`(${time} AT TIME ZONE ${zone})::date`

const columns = [
  'attendance.id',
  'attendance.employee_id',
  'employees.name as employee_name',
  'attendance.device_id',
  'attendance.timestamp',
  'attendance.attendance_type',
  'attendance.confidence_score',
  'attendance.liveness',
  'attendance.decision_id',
  'attendance.image_path',
  'attendance.notes',
  'decisions.kind',
  'attendance.corrects',
  'attendance.is_void',
  'later.id as superseded_by',
  'disputes.state as disputed',
] as const

/** Holds for the punches that count: nothing corrects them, and they do not merely take another one away. */
export const isEffective = sql<SqlBool>`(NOT attendance.is_void
  AND NOT EXISTS (SELECT FROM attendance AS correction WHERE correction.corrects = attendance.id))`

/** The punches of one page and how many there are in all. */
export async function listPunches(db: Database, query: PunchQuery, view: View) {
  let matching = filtered(punchesIn(db, view), query, view)
  if (query.include === 'effective') matching = matching.where(isEffective)
  const order = query.sort === 'timestamp' ? 'asc' : 'desc'
  const punches = await matching
    .select(columns)
    .orderBy('attendance.timestamp', order)
    .orderBy('attendance.id', order)
    .limit(query.limit)
    .offset(query.skip)
    .execute()
  return { punches, total: await count(matching) }
}

function filtered(punches: ReturnType<typeof punchesIn>, query: PunchFilters, view: View) {
  let matching = punches
  if (query.employee_id) matching = matching.where('attendance.employee_id', '=', query.employee_id)
  if (query.device_id) matching = matching.where('attendance.device_id', '=', query.device_id)
  if (query.attendance_type)
    matching = matching.where('attendance.attendance_type', '=', query.attendance_type)
  if (query.site_id) matching = matching.where(siteId, '=', query.site_id)
  if (query.search != null) matching = matching.where(hasWords(personText, query.search))
  if (query.kind) matching = matching.where('decisions.kind', '=', query.kind)
  if (query.disputed) matching = matching.where('disputes.state', '=', query.disputed)
  if (query.department) matching = matching.where('employees.department', '=', query.department)
  if (query.from) matching = matching.where('attendance.timestamp', '>=', new Date(query.from))
  if (query.to) matching = matching.where('attendance.timestamp', '<', new Date(query.to))
  if (query.date) {
    const day = sql`${query.date}::date`
    matching = matching
      // So much the index finds, whatever the zones of the site and of the database.
      .where(sql<SqlBool>`attendance.timestamp BETWEEN ${day} - 2 AND ${day} + 3`)
      .where(sql<SqlBool>`${dayOf(sql.ref('attendance.timestamp'), siteZone(view.timeZone))} = ${day}`)
  }
  return matching
}

const personText = sql<string>`concat_ws(' ', employees.name, employees.employee_id)`

const EXPORT_PAGE = 500

/**
 * Every punch that matches, oldest first, as they are when it begins: what is entered or corrected meanwhile is left
 * out. No connection is held in between. `count` is how many there are.
 */
export async function everyPunch(db: Database, query: ExportQuery, view: View) {
  const upTo = await newestPunch(db)
  const asOf = sql<SqlBool>`attendance.id <= ${upTo}`
  const uncorrected = sql<SqlBool>`NOT attendance.is_void AND NOT EXISTS (SELECT FROM attendance AS correction
    WHERE correction.corrects = attendance.id AND correction.id <= ${upTo})`
  let matching = filtered(punchesIn(db, view), query, view).where(asOf)
  if (query.include === 'effective') matching = matching.where(uncorrected)

  async function* read() {
    // As a text: a time of the database is finer than one here.
    for (let last = { exact_time: '-infinity', id: 0 }; ; ) {
      const page = await matching
        .select(columns)
        .select(['employees.department', 'sites.name as site'])
        .select(siteZone(view.timeZone).as('time_zone'))
        .select(sql<string>`attendance.timestamp::text`.as('exact_time'))
        .select(
          sql<string>`to_char(attendance.timestamp AT TIME ZONE ${siteZone(view.timeZone)},
            'YYYY-MM-DD"T"HH24:MI:SS"Z"')`.as('wall_time'),
        )
        .where(
          sql<SqlBool>`(attendance.timestamp, attendance.id) > (${last.exact_time}::timestamptz, ${last.id}::integer)`,
        )
        .orderBy('attendance.timestamp')
        .orderBy('attendance.id')
        .limit(EXPORT_PAGE)
        .execute()
      yield* page
      if (page.length < EXPORT_PAGE) return
      last = page.at(-1)!
    }
  }
  return { count: await count(matching), punches: read() }
}

async function count(matching: ReturnType<typeof punchesIn>): Promise<number> {
  const { total } = await matching.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return total
}

/** One punch, also where it was corrected. */
export async function findPunch(db: Database | DatabaseTransaction, id: number, view: View) {
  return punchesIn(db, view).select(columns).where('attendance.id', '=', id).executeTakeFirst()
}

/** What happened today, at each site by its own calendar; or undefined where there is no such site. */
export async function today(db: Database, query: Page & { site_id?: number }, now: Date, view: View) {
  const zone = siteZone(view.timeZone)
  const at = sql`${now}::timestamptz`
  let listed = db
    .selectFrom('sites')
    .select([
      'sites.id as site_id',
      'name',
      zone.as('time_zone'),
      sql<string>`${dayOf(at, zone)}::text`.as('date'),
    ])
    .orderBy('sites.id')
  if (query.site_id) listed = listed.where('sites.id', '=', query.site_id)
  const sites = await listed.execute()
  if (query.site_id && sites.length === 0) return undefined

  const time = sql.ref('attendance.timestamp')
  let matching = punchesIn(db, view)
    .where(isEffective)
    .where(sql<SqlBool>`${time} BETWEEN ${at} - interval '2 days' AND ${at} + interval '2 days'`)
    .where(sql<SqlBool>`${dayOf(time, zone)} = ${dayOf(at, zone)}`)
  if (query.site_id) matching = matching.where(siteId, '=', query.site_id)
  const counts = await matching
    .select([
      'sites.id as site_id',
      sql<number>`count(*)::int`.as('total'),
      sql<number>`count(DISTINCT attendance.employee_id)::int`.as('people'),
      sql<number>`(count(*) FILTER (WHERE attendance.attendance_type = 'IN'))::int`.as('in'),
      sql<number>`(count(*) FILTER (WHERE attendance.attendance_type = 'OUT'))::int`.as('out'),
    ])
    .groupBy(sql`GROUPING SETS ((sites.id), ())`)
    .execute()
  const punches = await matching
    .select(columns)
    .orderBy('attendance.timestamp', 'desc')
    .orderBy('attendance.id', 'desc')
    .limit(query.limit)
    .offset(query.skip)
    .execute()
  const countsOf = (site: number | null) => {
    const { site_id: _, ...found } = counts.find(({ site_id }) => site_id === site) ?? {
      site_id: site,
      ...nothing,
    }
    return found
  }
  return { ...countsOf(null), sites: sites.map((site) => ({ ...site, ...countsOf(site.site_id) })), punches }
}

const nothing = { total: 0, people: 0, in: 0, out: 0 }

/**
 * The punches after a number, in the order of their numbers, whatever the view; and whether each is in it.
 * Numbers are given before their rows can be seen: `oldest` is the oldest transaction that was under way, `next` the one
 * that had not begun.
 */
export async function punchesAfter(db: Database, id: number, limit: number, view: View) {
  const rows = await punchesIn(db, { ...view, departments: undefined })
    .select([...columns, 'employees.department'])
    .select(sql<string>`pg_snapshot_xmin(pg_current_snapshot())::text`.as('oldest'))
    .select(sql<string>`pg_snapshot_xmax(pg_current_snapshot())::text`.as('next'))
    .where('attendance.id', '>', id)
    .orderBy('attendance.id')
    .limit(limit)
    .execute()
  return rows.map(({ department, oldest, next, ...punch }) => ({
    punch,
    visible: isVisible(department, view.departments),
    oldest: BigInt(oldest),
    next: BigInt(next),
  }))
}

/** The number of the newest punch, 0 where there is none. */
export async function newestPunch(db: Database): Promise<number> {
  const { id } = await db
    .selectFrom('attendance')
    .select(sql<number>`coalesce(max(id), 0)`.as('id'))
    .executeTakeFirstOrThrow()
  return id
}

/** A person of the view, former ones included: their punches are kept. */
export async function personExists(
  db: Database,
  employeeId: string,
  { departments }: View,
): Promise<boolean> {
  const row = await db
    .selectFrom('employees')
    .select('department')
    .where('employee_id', '=', employeeId)
    .executeTakeFirst()
  return row !== undefined && isVisible(row.department, departments)
}

function isVisible(department: string | null, departments: View['departments']): boolean {
  return departments === undefined || (department !== null && departments.includes(department))
}
