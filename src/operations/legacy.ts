import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type SqlBool, sql } from 'kysely'
import pg from 'pg'
import { openDatabase } from '../database/connect.ts'
import { withoutAccents } from '../database/lists.ts'
import { migrateToLatest } from '../database/migrate.ts'
import { announceServer } from '../database/serving.ts'
import type { Database } from '../database/tables.ts'
import { deletedMark, newDeviceSchema, settings } from '../devices/schema.ts'
import { newEmployeeSchema } from '../employees/schema.ts'
import { toStoredJpeg } from '../face/decode.ts'
import { isStored } from '../gallery/bulk-photos.ts'
import { listConsents, requireConsent } from '../gallery/consent.ts'
import { type EnrolDeps, enrollableFace, enrolPhotos } from '../gallery/enrol.ts'
import { modelLoader } from '../gallery/model-loader.ts'
import { openPhotoStore } from '../gallery/photo-store.ts'
import { openKeys } from '../keys.ts'
import { type Change, cliAuthor, type Ledger } from '../ledger/ledger.ts'
import { makeFolder } from '../main.ts'
import { systemClock } from '../shared/clock.ts'
import type { Config } from '../shared/config.ts'
import { AppError } from '../shared/errors.ts'
import { displayName } from '../shared/http.ts'
import { createLogger } from '../shared/log.ts'
import { createWorkQueue } from '../shared/work-queue.ts'
import { findPhotos, listFiles, type PhotoClaim } from './legacy-photos.ts'

export interface LegacyDeps extends EnrolDeps {
  ledger: Ledger
  /** The largest photo in bytes. */
  maxPhotoBytes: number
  /** How many photos are looked at side by side. */
  atOnce: number
}

export interface LegacySource {
  /** The old system's PostgreSQL. */
  url: string
  /** The folder of its pictures. */
  photos: string
  /** The zone of its times, which say none: it wrote them in UTC. */
  timeZone: string
  /** The text to which the people imported have agreed; undefined where nobody says so. */
  consent: string | undefined
  dryRun: boolean
}

const kinds = ['employee', 'device', 'punch', 'photo'] as const
type Kind = (typeof kinds)[number]

interface Count {
  read: number
  added: number
  /** There already, from an earlier run or twice in the old system. */
  present: number
  left_out: number
}

export interface LegacyReport {
  dry_run: boolean
  counts: Record<Kind, Count>
  /** Every row that was left out, and every one that was changed on the way; `left_out` says which. */
  lines: { kind: Kind; row: string; left_out: boolean; message: string }[]
}

const PAGE = 1000
/** Changes in one transaction: what a run that is killed has to do again. */
const BATCH = 500
const MAX_AHEAD_MS = 5 * 60 * 1000

interface Run {
  deps: LegacyDeps
  source: LegacySource
  old: pg.Client
  change: Change
  report: LegacyReport
  tell: (step: string) => void
}

/**
 * Brings people, devices, punches and photos of the old system over. What is there already stays as it is, so that a run
 * that was stopped is simply started again. Rejects with an Error for the operator where the old database or the folder
 * of photos cannot be read; a row that cannot be taken is a line of the report.
 */
export async function importLegacy(
  deps: LegacyDeps,
  source: LegacySource,
  tell: (step: string) => void = () => {},
): Promise<LegacyReport> {
  const files = await filesOf(source)
  const old = await openOld(source)
  try {
    const zero = () => ({ read: 0, added: 0, present: 0, left_out: 0 })
    const counts = { employee: zero(), device: zero(), punch: zero(), photo: zero() }
    const report: LegacyReport = { dry_run: source.dryRun, counts, lines: [] }
    const run: Run = { deps, source, old, change: deps.ledger.by(cliAuthor), report, tell }
    const people = await importPeople(run)
    const devices = await importDevices(run)
    await importPunches(run, people, devices)
    await importPhotos(run, people, files)
    return report
  } finally {
    await old.end()
  }
}

async function filesOf({ photos }: LegacySource): Promise<string[]> {
  return listFiles(photos).catch((cause) => {
    throw new Error(`The folder of photos ${photos} cannot be read. Correct --photos.`, { cause })
  })
}

/** What an operator reads at the end. */
export function describeReport({ dry_run, counts, lines }: LegacyReport): string {
  const name = { employee: 'employees', device: 'devices', punch: 'attendance', photo: 'photos' }
  const row = (cells: (string | number)[]) => cells.map((cell) => String(cell).padStart(12)).join('')
  const table = [
    row(['', 'read', dry_run ? 'would add' : 'added', 'there', 'left out']),
    ...kinds.map((kind) => {
      const { read, added, present, left_out } = counts[kind]
      return row([name[kind], read, added, present, left_out])
    }),
  ]
  const told = (leftOut: boolean) =>
    lines
      .filter(({ left_out }) => left_out === leftOut)
      .map(({ kind, row, message }) => `  ${kind} ${row}: ${message}`)
  const section = (title: string, rows: string[]) => (rows.length === 0 ? [] : ['', title, ...rows])
  return [
    ...table,
    ...section('Changed on the way:', told(false)),
    ...section('Left out:', told(true)),
    ...(dry_run ? ['', 'This was a dry run: nothing was stored.'] : []),
  ].join('\n')
}

/** Opens this installation, without a server, and imports into it. Rejects with an Error for the operator. */
export async function runLegacyImport(
  config: Config,
  source: LegacySource,
  tell: (step: string) => void,
): Promise<LegacyReport> {
  const clock = systemClock
  const log = createLogger({ level: 'error' })
  const undo: (() => Promise<void>)[] = []
  // First of all, so that whoever mistyped an address does not wait for the models to hear of it.
  await filesOf(source)
  await (await openOld(source)).end()
  try {
    await makeFolder(config.DATA_DIR, 'DATA_DIR')
    await makeFolder(config.UPLOAD_DIR, 'UPLOAD_DIR')
    const database = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR, log })
    undo.push(() => database.close())
    const { db } = database
    // Keeps a restore away until it is done.
    undo.push(await announceServer(config.DB_URL, log))
    await migrateToLatest(db)
    const { vault, ledger } = await openKeys(config, db, clock, log)
    undo.push(() => ledger.close())
    tell('loading the face models')
    const atOnce = availableParallelism()
    const { MODEL_PATH: modelPath, FACE_RECOGNITION_THRESHOLD: threshold } = config
    const loader = modelLoader({ db, vault, ledger, clock, log, modelPath, threshold })
    const engine = await loader.openInUse(atOnce)
    undo.push(() => engine.close())
    const { id } = await db.selectFrom('instance').select('id').executeTakeFirstOrThrow()
    const photos = await openPhotoStore(join(config.UPLOAD_DIR, id))
    const gallery = await loader.openGallery(engine)
    undo.push(() => gallery.close())
    // Nobody stands at a door here: whoever comes waits until it is their turn.
    const queue = createWorkQueue({
      atOnce,
      maxWaiting: atOnce,
      maxWaitingPerKey: atOnce,
      maxWaitMs: 600_000,
    })
    const maxPhotoBytes = config.MAX_UPLOAD_SIZE
    const deps = { db, vault, ledger, engine, gallery, photos, queue, clock, log, maxPhotoBytes, atOnce }
    return await importLegacy(deps, source, tell)
  } finally {
    for (const step of undo.reverse()) await step()
  }
}

// ---------------------------------------------------------------- the old database

/** A connection that can only read. Rejects with an Error for the operator. */
async function openOld({ url }: LegacySource): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'rollcall import-legacy',
    connectionTimeoutMillis: 10_000,
    options: '-c default_transaction_read_only=on -c timezone=UTC -c DateStyle=ISO',
  })
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (cause) {
    throw new Error('The old database cannot be reached. Start it, or correct --db.', { cause })
  }
  try {
    const tables = await columnsOf(client, ['employees', 'attendance', 'instance'])
    if (tables.has('instance'))
      throw new Error("The database of --db is one of Rollcall's own. Name the old system's database.")
    for (const table of ['employees', 'attendance'])
      if (!tables.has(table))
        throw new Error(`The database of --db has no table ${table}. Name the old system's database.`)
    return client
  } catch (error) {
    await client.end()
    throw error
  }
}

/** The columns of each table that is there, with their types. */
async function columnsOf(client: pg.Client, tables: string[]): Promise<Map<string, Map<string, string>>> {
  const { rows } = await client.query<{ table_name: string; column_name: string; data_type: string }>(
    `SELECT table_name, column_name, data_type FROM information_schema.columns
      WHERE table_schema = current_schema() AND table_name = ANY ($1)`,
    [tables],
  )
  const found = new Map<string, Map<string, string>>()
  for (const { table_name, column_name, data_type } of rows)
    found.set(table_name, (found.get(table_name) ?? new Map()).set(column_name, data_type))
  return found
}

type OldRow = Record<string, string | null> & { id: string }

/**
 * A table page by page, as texts; a column that it lacks is null, and a table that is not there is empty. Times come with
 * their zone. Throws an Error for the operator where a column of `needed` is missing.
 */
async function* readOld(
  { old, source }: Run,
  table: string,
  needed: string[],
  optional: string[],
): AsyncGenerator<OldRow[]> {
  const columns = (await columnsOf(old, [table])).get(table)
  if (!columns) return
  const missing = ['id', ...needed].find((column) => !columns.has(column))
  if (missing) throw new Error(`The old table ${table} has no column ${missing}, and cannot be read without.`)
  const selected = [...needed, ...optional].map((column) => {
    const type = columns.get(column)
    if (type === undefined) return `NULL AS "${column}"`
    // A time without a zone is one of --time-zone.
    return type === 'timestamp without time zone'
      ? `("${column}" AT TIME ZONE $3)::text AS "${column}"`
      : `"${column}"::text`
  })
  // The condition on $3 holds always: the zone has to be named also where no column needs it.
  for (let after = '-9223372036854775808'; ; ) {
    const { rows } = await old
      .query<OldRow>(
        `SELECT id::text, ${selected.join(', ')} FROM "${table}"
        WHERE id > $1::bigint AND $3::text IS NOT NULL ORDER BY "${table}".id LIMIT $2`,
        [after, PAGE, source.timeZone],
      )
      .catch((cause) => {
        const message = `The old table ${table} could not be read. Mend that and start again: what is here already stays.`
        throw new Error(message, { cause })
      })
    if (rows.length === 0) return
    yield rows
    after = rows.at(-1)!.id
  }
}

// ---------------------------------------------------------------- what becomes of a row

function leaveOut({ report }: Run, kind: Kind, row: string, message: string): void {
  report.counts[kind].left_out++
  report.lines.push({ kind, row, left_out: true, message })
}

function tellOf({ report }: Run, kind: Kind, row: string, message: string): void {
  report.lines.push({ kind, row, left_out: false, message })
}

/** Whether a schema takes a value, and what it makes of it. */
interface Schema {
  safeParse(value: unknown): { success: boolean; data?: unknown }
}

/**
 * Ids as they are here. One that is not valid here gets a new one, made of itself alone, so that every run makes the
 * same; and so does the second of two that would become one.
 */
function createIds(run: Run, kind: Kind, schema: Schema) {
  const holders = new Map<string, string>()
  return (old: string): string => {
    const parsed = schema.safeParse(old)
    const asItIs = parsed.success ? String(parsed.data) : undefined
    const free = asItIs !== undefined && (holders.get(asItIs) ?? old) === old
    const id = free ? asItIs : newId(old)
    holders.set(id, old)
    if (id !== old) tellOf(run, kind, old, `is called ${id} here`)
    return id
  }
}

function newId(old: string): string {
  const letters = old.normalize('NFC').replace(/[^\p{L}\p{M}\p{Nd}_.-]+/gu, '_')
  return `${letters.slice(0, 50)}_${createHash('sha256').update(old).digest('hex').slice(0, 8)}`
}

/** A text as this system keeps it, cut to its length; null where nothing is left. */
function cleaned(text: string | null, max: number): string | null {
  const characters = [
    ...(text ?? '')
      .normalize('NFC')
      .replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ')
      .trim(),
  ]
  return characters.join('').slice(0, max).trim() || null
}

/** What the schema of a field makes of a text; null, and a line of the report, where it does not take it. */
function fieldOf(run: Run, kind: Kind, row: string, field: string, schema: Schema, text: string | null) {
  const clean = cleaned(text, 1000)
  const parsed = schema.safeParse(clean)
  if (parsed.success) return (parsed.data ?? null) as string | null
  tellOf(run, kind, row, `${field} "${clean}" is not valid here and was dropped`)
  return null
}

/** A time as the database takes it, or undefined for what is none, or lies outside of what a punch can be of. */
function timeOf(text: string | null): string | undefined {
  if (text === null || !/^\d{4}-/.test(text) || / BC$/.test(text)) return undefined
  return text >= '1970' ? text : undefined
}

// ---------------------------------------------------------------- people

/** The new id of each old one. */
type Ids = Map<string, string>

interface NewPerson {
  employee_id: string
  name: string
  department: string | null
  email: string | null
  phone: string | null
  position: string | null
  is_active: boolean
  created_at: string | null
}

async function importPeople(run: Run): Promise<Ids> {
  const { deps, report, source, tell, change } = run
  const count = report.counts.employee
  const idOf = createIds(run, 'employee', newEmployeeSchema.shape.employee_id)
  const ids: Ids = new Map()
  const fields = ['name', 'department', 'email', 'phone', 'position', 'created_at', 'is_active']
  for await (const page of readOld(run, 'employees', ['employee_id'], fields)) {
    const people: [string, NewPerson][] = []
    for (const row of page) {
      count.read++
      if (cleaned(row.employee_id, 1) === null)
        leaveOut(run, 'employee', `number ${row.id}`, 'has no employee_id')
      else people.push([row.employee_id!, personOf(run, row, idOf(row.employee_id!))])
    }
    for (let from = 0; from < people.length; from += BATCH) {
      const batch = people.slice(from, from + BATCH)
      const known = await knownPeople(
        deps.db,
        batch.map(([, { employee_id }]) => employee_id),
      )
      const fresh: NewPerson[] = []
      for (const [old, person] of batch) {
        const name = known.get(person.employee_id)
        if (name !== undefined && !isSameName(name, person.name)) {
          const message = `is called ${person.name} there, but ${name} here: two people? Their punches and photos are left out too; give one another id, or both one name`
          leaveOut(run, 'employee', old, message)
          continue
        }
        ids.set(old, person.employee_id)
        if (name === undefined) fresh.push(person)
        else count.present++
      }
      if (!source.dryRun && fresh.length > 0)
        await change((trx) =>
          sql`INSERT INTO employees (employee_id, name, department, email, phone, position, is_active, created_at)
            SELECT employee_id, name, department, email, phone, position, is_active,
              coalesce(created_at, ${deps.clock.now()}::timestamptz)
            FROM jsonb_to_recordset(${JSON.stringify(fresh)}::jsonb) AS given (employee_id text, name text,
              department text, email text, phone text, position text, is_active boolean, created_at timestamptz)`.execute(
            trx,
          ),
        )
      count.added += fresh.length
    }
    tell(`${count.read} employees read`)
  }
  return ids
}

function personOf(run: Run, row: OldRow, employee_id: string): NewPerson {
  const { department, email, phone, position } = newEmployeeSchema.shape
  const field = (name: string, schema: Schema) =>
    fieldOf(run, 'employee', employee_id, name, schema, row[name] ?? null)
  const name = cleaned(row.name ?? null, 200)
  if (name === null) tellOf(run, 'employee', employee_id, 'has no name, and is called by the id')
  return {
    employee_id,
    name: name ?? employee_id,
    department: field('department', department),
    email: field('email', email),
    phone: field('phone', phone),
    position: field('position', position),
    is_active: row.is_active !== 'false',
    created_at: timeOf(row.created_at ?? null) ?? null,
  }
}

/** The names of those who are here, by id. */
async function knownPeople(db: Database, ids: string[]): Promise<Map<string, string>> {
  const rows = await db
    .selectFrom('employees')
    .select(['employee_id', 'name'])
    .where(sql<SqlBool>`employee_id = any(${ids}::text[])`)
    .execute()
  return new Map(rows.map(({ employee_id, name }) => [employee_id, name]))
}

function isSameName(one: string, other: string): boolean {
  const plain = (name: string) => withoutAccents(name).toLowerCase().replace(/\s+/gu, ' ')
  return plain(one) === plain(other)
}

// ---------------------------------------------------------------- devices

interface NewDevice {
  device_id: string
  name: string
  location: string | null
  ip_address: string | null
  is_active: boolean
  created_at: string | null
  config: unknown
}

interface Devices {
  ids: Ids
  /** The id here of a device that punches name and no row does; it is made then, and inactive. */
  unknown(old: string): Promise<string>
}

async function importDevices(run: Run): Promise<Devices> {
  const { report, tell } = run
  const count = report.counts.device
  const idOf = createIds(run, 'device', newDeviceSchema.shape.device_id)
  const ids: Ids = new Map()
  const fields = ['name', 'location', 'ip_address', 'is_active', 'created_at', 'config']
  for await (const page of readOld(run, 'devices', ['device_id'], fields)) {
    const devices: NewDevice[] = []
    for (const row of page) {
      count.read++
      if (row.device_id === null || cleaned(row.device_id, 1) === null) {
        leaveOut(run, 'device', `number ${row.id}`, 'has no device_id')
        continue
      }
      const device = deviceOf(run, row, idOf(row.device_id))
      ids.set(row.device_id, device.device_id)
      devices.push(device)
    }
    await addDevices(run, devices)
    tell(`${count.read} devices read`)
  }
  return {
    ids,
    async unknown(old) {
      const device_id = idOf(old)
      ids.set(old, device_id)
      tellOf(run, 'device', old, 'stands on punches, but in no row of devices: added as an inactive one')
      const nothing = { location: null, ip_address: null, created_at: null, config: null }
      await addDevices(run, [{ device_id, name: device_id, is_active: false, ...nothing }])
      return device_id
    },
  }
}

function deviceOf(run: Run, row: OldRow, device_id: string): NewDevice {
  const { location, ip_address } = newDeviceSchema.shape
  const field = (name: string, schema: Schema) =>
    fieldOf(run, 'device', device_id, name, schema, row[name] ?? null)
  const given = cleaned(row.name ?? null, 200 - deletedMark.length)
  const isDeleted = given?.includes(deletedMark.trim()) ?? false
  const plain = cleaned(given?.replaceAll(deletedMark.trim(), '') ?? null, 200) ?? device_id
  return {
    device_id,
    name: isDeleted ? plain + deletedMark : plain,
    location: field('location', location),
    ip_address: field('ip_address', ip_address),
    is_active: row.is_active !== 'false' && !isDeleted,
    created_at: timeOf(row.created_at ?? null) ?? null,
    config: configOf(run, device_id, row.config ?? null),
  }
}

function configOf(run: Run, device_id: string, text: string | null): unknown {
  if (text === null || text === 'null') return null
  try {
    const parsed = settings.safeParse(JSON.parse(text))
    if (parsed.success) return parsed.data
  } catch {
    // Said below.
  }
  tellOf(run, 'device', device_id, 'its settings are not a flat list of values, and were dropped')
  return null
}

/** Adds those that are not here yet. */
async function addDevices({ deps, report, source, change }: Run, devices: NewDevice[]): Promise<void> {
  const here = await deps.db
    .selectFrom('devices')
    .select('device_id')
    .where(sql<SqlBool>`device_id = any(${devices.map(({ device_id }) => device_id)}::text[])`)
    .execute()
  const known = new Set(here.map(({ device_id }) => device_id))
  const fresh = devices.filter(({ device_id }) => !known.has(device_id))
  if (!source.dryRun && fresh.length > 0)
    await change((trx) =>
      sql`INSERT INTO devices (device_id, name, location, ip_address, is_active, created_at, config)
        SELECT device_id, name, location, ip_address, is_active,
          coalesce(created_at, ${deps.clock.now()}::timestamptz), nullif(config, 'null'::jsonb)
        FROM jsonb_to_recordset(${JSON.stringify(fresh)}::jsonb) AS given (device_id text, name text,
          location text, ip_address text, is_active boolean, created_at timestamptz, config jsonb)`.execute(
        trx,
      ),
    )
  report.counts.device.added += fresh.length
  report.counts.device.present += devices.length - fresh.length
}

// ---------------------------------------------------------------- punches

interface NewPunch {
  n: number
  employee_id: string
  device_id: string
  timestamp: string
  attendance_type: string
  confidence: number
  notes: string | null
  /** What vouches for it. */
  record: Record<string, unknown>
}

async function importPunches(run: Run, people: Ids, devices: Devices): Promise<void> {
  const { report, tell } = run
  const count = report.counts.punch
  const needed = ['employee_id', 'timestamp', 'attendance_type']
  const optional = ['device_id', 'confidence_score', 'image_path', 'notes']
  for await (const page of readOld(run, 'attendance', needed, optional)) {
    const punches: NewPunch[] = []
    for (const row of page) {
      count.read++
      const punch = await punchOf(run, row, people, devices)
      if (typeof punch === 'string') leaveOut(run, 'punch', `number ${row.id}`, punch)
      else punches.push(punch)
    }
    for (let from = 0; from < punches.length; from += BATCH)
      await addPunches(run, punches.slice(from, from + BATCH))
    tell(`${count.read} punches read`)
  }
}

/** A punch, or why it is none here. */
async function punchOf(run: Run, row: OldRow, people: Ids, devices: Devices): Promise<NewPunch | string> {
  const { employee_id, device_id, attendance_type } = row
  const employeeId = people.get(employee_id ?? '')
  if (employeeId === undefined) return `is of ${employee_id ?? 'nobody'}, who was not imported`
  const type = (attendance_type ?? '').trim().toUpperCase()
  if (type !== 'IN' && type !== 'OUT')
    return `its type is ${attendance_type ?? 'missing'}, neither IN nor OUT`
  const timestamp = timeOf(row.timestamp ?? null)
  if (timestamp === undefined) return `its time is ${row.timestamp ?? 'missing'}`
  if (new Date(timestamp).getTime() > run.deps.clock.now().getTime() + MAX_AHEAD_MS)
    return `its time ${timestamp} lies in the future`
  if (device_id == null || device_id.trim() === '') return 'names no device'
  const confidence = Number(row.confidence_score)
  return {
    n: run.report.counts.punch.read,
    employee_id: employeeId,
    device_id: devices.ids.get(device_id) ?? (await devices.unknown(device_id)),
    timestamp,
    attendance_type: type,
    confidence: Number.isFinite(confidence) ? Math.min(Math.max(confidence, 0), 1) : 0,
    notes: cleaned(row.notes ?? null, 500),
    record: {
      imported_by: cliAuthor.by,
      source: 'legacy',
      legacy_id: Number(row.id),
      legacy_device_id: device_id,
      legacy_confidence_score: row.confidence_score ?? null,
      legacy_image_path: row.image_path ?? null,
    },
  }
}

const givenPunches = (punches: readonly NewPunch[]) => sql`given AS (
    SELECT DISTINCT ON (employee_id, "timestamp", attendance_type) *
    FROM jsonb_to_recordset(${JSON.stringify(punches)}::jsonb) AS punch (n bigint, employee_id text, device_id text,
      "timestamp" timestamptz, attendance_type text, confidence double precision, notes text, record jsonb)
    WHERE NOT EXISTS (SELECT FROM attendance AS present WHERE present.employee_id = punch.employee_id
      AND present.timestamp = punch.timestamp AND present.attendance_type = punch.attendance_type)
    ORDER BY employee_id, "timestamp", attendance_type, n
  )`

/** Adds those that are not here yet, each with the decision that vouches for it, in the old order. */
async function addPunches({ deps, report, source, change }: Run, punches: NewPunch[]): Promise<void> {
  if (punches.length === 0) return
  const given = givenPunches(punches)
  const { rows } = source.dryRun
    ? await sql`WITH ${given} SELECT FROM given`.execute(deps.db)
    : await change((trx) =>
        sql`WITH ${given}, numbered AS MATERIALIZED (
            SELECT ordered.*, nextval(pg_get_serial_sequence('decisions', 'id'))::integer AS decision_id
            FROM (SELECT * FROM given ORDER BY n) AS ordered
          ), decided AS (
            INSERT INTO decisions (id, created_at, device_id, kind, outcome, employee_id, confidence, record)
            OVERRIDING SYSTEM VALUE
            SELECT decision_id, ${deps.clock.now()}::timestamptz, device_id, 'import', 'imported', employee_id,
              confidence, record FROM numbered
          )
          INSERT INTO attendance (employee_id, device_id, timestamp, attendance_type, confidence_score, liveness,
            decision_id, notes)
          SELECT employee_id, device_id, timestamp, attendance_type, confidence, 'unavailable', decision_id, notes
          FROM numbered ORDER BY n
          RETURNING id`.execute(trx),
      )
  report.counts.punch.added += rows.length
  report.counts.punch.present += punches.length - rows.length
}

// ---------------------------------------------------------------- photos

async function importPhotos(run: Run, people: Ids, files: string[]): Promise<void> {
  const { report, tell, deps } = run
  const count = report.counts.photo
  const claims: (PhotoClaim & { order: number })[] = []
  const optional = ['image_id', 'filename', 'file_path', 'created_from']
  for await (const page of readOld(run, 'face_templates', ['employee_id'], optional))
    for (const row of page) {
      if (row.employee_id === null || !people.has(row.employee_id)) continue
      claims.push({
        employeeId: row.employee_id,
        path: row.file_path ?? null,
        filename: row.filename ?? null,
        learned: row.created_from === 'ATTENDANCE',
        order: Number(row.image_id ?? 0),
      })
    }
  // The avatar first: the first photo here is the avatar too.
  claims.sort((one, other) => one.order - other.order)
  const { photos, learned, missing } = findPhotos(files, claims, new Set(people.keys()))
  for (const { claim, why } of missing) {
    count.read++
    leaveOut(run, 'photo', `${claim.path ?? claim.filename} of ${claim.employeeId}`, why)
  }
  if (learned > 0)
    tellOf(
      run,
      'photo',
      `(${learned})`,
      'learned at check-ins of the old system, seen by nobody: not enrolled',
    )

  const waiting = [...photos]
  let done = 0
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [old, paths] = next
      for (const path of paths) {
        count.read++
        await importPhoto(run, people.get(old)!, path)
      }
      if (++done % 20 === 0 || waiting.length === 0)
        tell(`photos of ${done} of ${photos.size} people looked at`)
    }
  }
  await Promise.all(Array.from({ length: deps.atOnce }, work))
}

async function importPhoto(run: Run, employeeId: string, path: string): Promise<void> {
  const { deps, source, change, report } = run
  const count = report.counts.photo
  try {
    const buffer = await readPhoto(join(source.photos, path), deps.maxPhotoBytes)
    if (await isStored(deps, employeeId, buffer)) {
      count.present++
      return
    }
    await refuseErased(deps.db, employeeId)
    if (source.dryRun) {
      await lookAt(run, employeeId, buffer)
      count.added++
      return
    }
    const consent = source.consent ? { textVersion: source.consent, by: cliAuthor.by } : undefined
    const filename = displayName(path.split('/').at(-1))
    const { first: enrolled } = await enrolPhotos(deps, change, employeeId, [{ buffer, filename }], {
      consent,
    })
    if (enrolled.alreadyStored) count.present++
    else count.added++
    const others = enrolled.alsoEnrolledAs.map((other) => `${other.employeeId} (${other.name})`)
    if (others.length > 0 && !enrolled.alreadyStored)
      tellOf(
        run,
        'photo',
        `${path} of ${employeeId}`,
        `has the same face as ${others.join(', ')}: one person twice?`,
      )
  } catch (error) {
    const isOfPhoto =
      error instanceof AppError && (error.status < 500 || error.code === 'biometrics_unreadable')
    if (!isOfPhoto) throw error
    leaveOut(run, 'photo', `${path} of ${employeeId}`, error.message)
  }
}

async function readPhoto(path: string, maxBytes: number): Promise<Buffer> {
  try {
    if ((await stat(path)).size <= maxBytes) return await readFile(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new AppError('photo_not_found', `The file cannot be read (${code}).`, {}, error)
  }
  throw new AppError('upload_too_large', `The photo is larger than ${maxBytes} bytes (MAX_UPLOAD_SIZE).`)
}

/** Whoever had their face erased here, or took their consent back, must not come in again by another run. */
async function refuseErased(db: Database, employeeId: string): Promise<void> {
  const erased = await db
    .selectFrom('erasures')
    .select('id')
    .where('employee_id', '=', employeeId)
    .limit(1)
    .executeTakeFirst()
  const consents = await listConsents(db, employeeId)
  const withdrawn = consents.length > 0 && consents.every(({ withdrawn_at }) => withdrawn_at !== null)
  if (erased || withdrawn)
    throw new AppError(
      'consent_missing',
      'The face of this person was erased here, or their consent withdrawn. Enrol them by hand if they agree.',
    )
}

/** What enrolment would say of the photo alone. */
async function lookAt({ deps, source }: Run, employeeId: string, buffer: Buffer): Promise<void> {
  if (!source.consent && (await asksForConsent(deps.db, employeeId)))
    await requireConsent(deps.db, employeeId)
  await deps.queue.run(`look ${employeeId}`, async () =>
    enrollableFace(deps.engine, (await toStoredJpeg(buffer)).bytes),
  )
}

/** In a dry run the person may not be here yet; then they would be of the first site. */
async function asksForConsent(db: Database, employeeId: string): Promise<boolean> {
  const site = await db
    .selectFrom('sites')
    .leftJoin('employees', (join) => join.on('employees.employee_id', '=', employeeId))
    .select('require_consent')
    .where(sql<SqlBool>`sites.id = coalesce(employees.site_id, 1)`)
    .executeTakeFirst()
  return site?.require_consent !== false
}
