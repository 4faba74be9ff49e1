import { setImmediate } from 'node:timers/promises'
import { type SqlBool, sql } from 'kysely'
import { withoutAccents } from '../database/lists.ts'
import type { DatabaseTransaction } from '../database/tables.ts'
import type { Change } from '../ledger/ledger.ts'
import { invalidField } from '../shared/http.ts'
import { freeEmployeeIds, lockIds } from './records.ts'
import { employeeChangesSchema, type ImportReport, newEmployeeSchema } from './schema.ts'
import { isEmpty, type TableRow } from './spreadsheet.ts'

/** What a column may be called, accents, case and underscores aside. The first is what an export writes. */
const headings = {
  employee_id: ['employee id', 'id', 'ma nhan vien', 'ma nv', 'ma so nhan vien'],
  name: ['name', 'full name', 'ho ten', 'ho va ten', 'ten nhan vien'],
  department: ['department', 'phong ban', 'bo phan'],
  position: ['position', 'chuc vu', 'chuc danh'],
  email: ['email', 'e mail', 'thu dien tu'],
  phone: ['phone', 'dien thoai', 'so dien thoai', 'sdt'],
  site: ['site', 'dia diem', 'chi nhanh', 'co so'],
  is_active: ['is active', 'active', 'dang hoat dong', 'hoat dong'],
} as const

type Column = keyof typeof headings

/** The columns of an export, which an import reads again. */
export const columnNames = Object.keys(headings) as Column[]

const truths = new Map([
  ...['true', '1', 'yes', 'x', 'co', 'dung'].map((word) => [word, true] as const),
  ...['false', '0', 'no', 'khong', 'sai'].map((word) => [word, false] as const),
])

/** The columns of a person that a file may set. */
interface Values {
  employee_id: string
  name: string
  department: string | null
  email: string | null
  phone: string | null
  position: string | null
  site_id: number
  is_active: boolean
}

type Known = Values & { ended_at: Date | null }

type Site = { id: number; name: string }

interface Header {
  columns: ReadonlyMap<Column, number>
  ignored: string[]
  /** How many cells it has. */
  width: number
}

interface Plan {
  row: number
  action: 'created' | 'updated' | 'unchanged' | 'failed'
  employee_id: string | null
  errors: string[]
  /** The person as they will be, for `created` and `updated`. */
  values?: Values
  /** Whether the change is one of name or state, which the gallery must know. */
  announced?: boolean
}

/**
 * Creates and updates people from the rows of a file: all of them, or none when a row fails or `dryRun` is set.
 * `stored` tells which; `announced` are the people whose name or state changed.
 */
export async function importEmployees(
  change: Change,
  table: readonly TableRow[],
  dryRun: boolean,
  now: Date,
): Promise<{ report: ImportReport; stored: boolean; announced: string[] }> {
  const header = readHeader(table)
  const rows = table
    .map((row, index) => ({ ...row, number: index + 1 }))
    .slice(1)
    .filter((row) => !isEmpty(row))
  if (rows.length === 0) throw invalidField('file', 'has a header, but no people below it')

  return change(async (trx) => {
    await lockIds(trx)
    const sites = await trx.selectFrom('sites').select(['id', 'name']).execute()
    const known = await knownPeople(
      trx,
      rows.map(({ cells }) => idIn(cells, header.columns)),
    )
    const plans: Plan[] = []
    const seen = new Map<string, number>()
    for (const row of rows) {
      const id = idIn(row.cells, header.columns)
      const plan = planRow(row, header, known.get(id), sites, seen.get(id))
      plans.push(plan)
      if (id !== '' && !seen.has(id)) seen.set(id, row.number)
      // Ten thousand rows must not keep everybody else waiting.
      if (plans.length % 200 === 0) await setImmediate()
    }
    const failed = plans.filter(({ action }) => action === 'failed').length
    const stored = !dryRun && failed === 0
    if (stored) await store(trx, plans, now)
    return {
      report: {
        success: failed === 0,
        dry_run: dryRun,
        ...countActions(plans),
        ignored_columns: header.ignored,
        rows: plans.map(({ row, action, employee_id, errors }) => ({ row, action, employee_id, errors })),
      },
      stored,
      announced: plans.flatMap(({ announced, employee_id }) => (announced && employee_id ? employee_id : [])),
    }
  })
}

/** Which column of the file is which; every other is left alone, and named in the report. */
function readHeader(table: readonly TableRow[]): Header {
  if (table.length === 0) throw invalidField('file', 'is empty')
  const columns = new Map<Column, number>()
  const ignored: string[] = []
  for (const [index, heading] of table[0].cells.entries()) {
    const words = withoutAccents(heading)
      .toLowerCase()
      .replace(/[\s_*.-]+/gu, ' ')
      .trim()
    const column = columnNames.find((name) => (headings[name] as readonly string[]).includes(words))
    if (column === undefined) {
      if (words !== '') ignored.push(heading.trim().slice(0, 100))
    } else if (columns.has(column)) throw invalidField('file', `has two columns for ${column}`)
    else columns.set(column, index)
  }
  if (!columns.has('name') && !columns.has('employee_id'))
    throw invalidField(
      'file',
      `has no header that can be read: the first row must name columns such as ${columnNames.join(', ')}`,
    )
  return { columns, ignored, width: table[0].cells.length }
}

function idIn(cells: readonly string[], columns: ReadonlyMap<Column, number>): string {
  return (cells[columns.get('employee_id') ?? -1] ?? '').trim().normalize('NFC')
}

async function knownPeople(trx: DatabaseTransaction, ids: string[]): Promise<Map<string, Known>> {
  // What the database does not take for a text is refused by the schema later on.
  const wanted = ids.filter((id) => id !== '' && id.length <= 64 && !/[\0\p{Cs}]/u.test(id))
  const people = await trx
    .selectFrom('employees')
    .select([
      'employee_id',
      'name',
      'department',
      'email',
      'phone',
      'position',
      'site_id',
      'is_active',
      'ended_at',
    ])
    .where(sql<SqlBool>`employee_id = any(${wanted}::text[])`)
    .forUpdate()
    .execute()
  return new Map(people.map((person) => [person.employee_id, person]))
}

function planRow(
  row: TableRow & { number: number },
  header: Header,
  person: Known | undefined,
  sites: readonly Site[],
  earlierRow: number | undefined,
): Plan {
  const { given, errors } = readCells(row, header, sites)
  if (earlierRow !== undefined) errors.push(`employee_id: stands in row ${earlierRow} already`)
  if (person?.ended_at)
    errors.push('employee_id: belongs to a former employee, whose records keep it; choose another one')
  const parsed = (person ? employeeChangesSchema : newEmployeeSchema).safeParse(given)
  for (const issue of parsed.error?.issues ?? []) errors.push(`${issue.path.join('.')}: ${issue.message}`)

  const plan = { row: row.number, employee_id: idIn(row.cells, header.columns) || null, errors }
  if (!parsed.success || errors.length > 0) return { ...plan, action: 'failed' }
  const { employee_id: _, ...fields } = { is_active: given.is_active as boolean | undefined, ...parsed.data }
  const before = person ?? blank
  const values = { ...before, ...withoutUndefined(fields) } as Values
  if (!person) return { ...plan, action: 'created', values }
  const changed = (Object.keys(blank) as (keyof typeof blank)[]).filter((key) => values[key] !== person[key])
  return {
    ...plan,
    action: changed.length > 0 ? 'updated' : 'unchanged',
    values,
    announced: changed.includes('name') || changed.includes('is_active'),
  }
}

const blank = {
  name: '',
  department: null,
  email: null,
  phone: null,
  position: null,
  site_id: 1,
  is_active: true,
}

/** What the cells of a row say, as the body of a request would; an empty cell clears what may be empty. */
function readCells({ cells, problem }: TableRow, { columns, width }: Header, sites: readonly Site[]) {
  const errors = problem === undefined ? [] : [problem]
  if (cells.slice(width).some((cell) => cell !== '')) errors.push('There are more cells than the header has.')
  const given: Record<string, unknown> = {}
  for (const [column, index] of columns) {
    const cell = cells[index]?.trim() ?? ''
    const mayBeEmpty = column !== 'employee_id' && column !== 'site' && column !== 'is_active'
    if (cell === '' && !mayBeEmpty) continue
    if (column === 'site') {
      given.site_id = siteOf(cell, sites)
      if (given.site_id === undefined)
        errors.push('site: must be the name or the number of a site that exists')
    } else if (column === 'is_active') {
      given.is_active = truths.get(withoutAccents(cell).toLowerCase())
      if (given.is_active === undefined) errors.push('is_active: must be true or false')
    } else {
      given[column] = cell
    }
  }
  return { given, errors }
}

function siteOf(cell: string, sites: readonly Site[]): number | undefined {
  const name = cell.normalize('NFC').toLowerCase()
  return (
    sites.find((site) => site.name.toLowerCase() === name) ?? sites.find(({ id }) => String(id) === cell)
  )?.id
}

function withoutUndefined(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function countActions(plans: readonly Plan[]) {
  const counts = { created: 0, updated: 0, unchanged: 0, failed: 0 }
  for (const { action } of plans) counts[action]++
  return counts
}

/** As many statements for ten thousand people as for one. Gives the plans without an id theirs. */
async function store(trx: DatabaseTransaction, plans: readonly Plan[], now: Date): Promise<void> {
  // Each row is written down in the audit log as well, which for ten thousand takes longer than a statement may.
  await sql`SET LOCAL statement_timeout = 0`.execute(trx)
  const byHand = new Set(plans.flatMap(({ employee_id }) => employee_id ?? []))
  const nameless = plans.filter(({ employee_id }) => employee_id === null)
  const made = await freeEmployeeIds(trx, nameless.length, byHand)
  for (const [index, plan] of nameless.entries()) plan.employee_id = made[index]

  const rowsOf = (action: Plan['action']) => {
    const people = plans.filter((plan) => plan.action === action)
    const rows = people.map(({ values, employee_id }) => ({ ...values, employee_id }))
    return sql`jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS given (employee_id text, name text,
      department text, email text, phone text, position text, site_id integer, is_active boolean)`
  }
  await sql`INSERT INTO employees (employee_id, name, department, email, phone, position, site_id, is_active,
      created_at, updated_at)
    SELECT given.*, ${now}::timestamptz, ${now}::timestamptz FROM ${rowsOf('created')}`.execute(trx)
  await sql`UPDATE employees SET name = given.name, department = given.department, email = given.email,
      phone = given.phone, position = given.position, site_id = given.site_id, is_active = given.is_active,
      updated_at = ${now}::timestamptz, version = version + 1
    FROM ${rowsOf('updated')} WHERE employees.employee_id = given.employee_id`.execute(trx)
  // A list that has grown at once is sorted by its index only when the planner knows of its length.
  await sql`ANALYZE employees`.execute(trx)
}
