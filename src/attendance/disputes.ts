import { type SqlBool, sql } from 'kysely'
import type { z } from 'zod'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Gallery } from '../gallery/gallery.ts'
import type { PhotoStore } from '../gallery/photo-store.ts'
import { suspendLearned, unlearn } from '../gallery/templates.ts'
import { note } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { invalidField } from '../shared/http.ts'
import { correctPunch, enterPunch, type ManualDeps, type Voucher } from './manual.ts'
import { findPunch, personExists, type View } from './punches.ts'
import { lockPerson } from './records.ts'
import type { DisputeQuery, resolutionSchema } from './schema.ts'

export interface DisputeDeps extends ManualDeps {
  gallery: Gallery
  photos: PhotoStore
}

/** How long after a check its kiosk may say that it was not the person: as long as its answer is shown. */
const NOT_ME_MS = 10_000
/** The check may have waited its turn, and the ten seconds are those of whoever reads the answer. */
const ON_THE_WAY_MS = 5_000
/** How long after a check its kiosk is heard, or told anything, about whom it took somebody for. */
export const NOT_ME_UNTIL_MS = NOT_ME_MS + ON_THE_WAY_MS
/** How much surer a check must be of the first of two people who were mistaken for each other, in confidence. */
const LOOK_ALIKE_MARGIN = 0.15

export type DisputeState = 'open' | 'confirmed' | 'rejected'

/**
 * Writes down that somebody at a kiosk says that a punch is not theirs; what was learned from it is no longer searched.
 * Sent again it changes nothing. Resolves to the state of the dispute; rejects with `punch_not_found`, `wrong_device`
 * where the punch was not made by a check at this kiosk, or `not_me_too_late`.
 */
export async function raiseDispute(
  { change, clock, gallery }: DisputeDeps,
  punchId: number,
  deviceId: string,
): Promise<DisputeState> {
  const now = clock.now()
  const { employeeId, state, suspended } = await change(async (trx) => {
    const punch = await findCheck(trx, punchId)
    if (!punch) throw new AppError('punch_not_found', `There is no punch ${punchId}.`)
    const { employee_id: employeeId, device_id, kind, checked_at } = punch
    if (device_id !== deviceId || kind !== 'face')
      throw new AppError('wrong_device', `The punch ${punchId} was not made by a check at ${deviceId}.`)
    // Whoever learns from the punch, or resolves what is said of it, waits here.
    await lockPerson(trx, employeeId)
    const before = await stateOf(trx, punchId)
    if (before !== undefined) return { employeeId, state: before, suspended: [] }
    if (now.getTime() - checked_at.getTime() > NOT_ME_UNTIL_MS)
      throw new AppError(
        'not_me_too_late',
        `More than ${NOT_ME_MS / 1000} seconds have passed since the check. Ask for the punch to be corrected instead.`,
      )
    await trx
      .insertInto('disputes')
      .values({ punch_id: punchId, device_id: deviceId, created_at: now })
      .execute()
    const suspended = await suspendLearned(trx, punchId, true)
    await noteTemplates(trx, 'suspend', employeeId, punchId, suspended)
    return { employeeId, state: 'open' as const, suspended }
  })
  if (suspended.length > 0) await gallery.refresh(employeeId)
  return state
}

async function findCheck(trx: DatabaseTransaction, punchId: number) {
  return trx
    .selectFrom('attendance')
    .innerJoin('decisions', 'decisions.id', 'attendance.decision_id')
    .select([
      'attendance.employee_id',
      'attendance.device_id',
      'decisions.kind',
      'decisions.created_at as checked_at',
    ])
    .where('attendance.id', '=', punchId)
    .executeTakeFirst()
}

async function stateOf(trx: DatabaseTransaction, punchId: number): Promise<DisputeState | undefined> {
  const row = await trx
    .selectFrom('disputes')
    .select('state')
    .where('punch_id', '=', punchId)
    .executeTakeFirst()
  return row?.state
}

/** That templates are searched no longer, or again: by this other servers hear of it. */
async function noteTemplates(
  trx: DatabaseTransaction,
  action: 'suspend' | 'resume',
  employeeId: string,
  punch: number,
  templates: number[],
): Promise<void> {
  if (templates.length === 0) return
  await note(trx, {
    action,
    subject_kind: 'face_templates',
    subject: employeeId,
    details: { punch, templates },
  })
}

/** The disputes of one page, newest first, about punches of a view, and how many there are in all. */
export async function listDisputes(db: Database, { state, limit, skip }: DisputeQuery, view: View) {
  let matching = disputesIn(db, view)
  if (state) matching = matching.where('disputes.state', '=', state)
  const seesActual = isVisible('actual.department', view)
  const disputes = await matching
    .leftJoin('employees as actual', 'actual.employee_id', 'disputes.actual_employee_id')
    .select([
      'disputes.punch_id as attendance_id',
      'disputes.state',
      'disputes.created_at as disputed_at',
      'attendance.employee_id',
      'employees.name as employee_name',
      'disputes.device_id',
      'attendance.timestamp',
      'attendance.attendance_type',
      'attendance.confidence_score',
      'disputes.resolved_at',
      'disputes.resolved_by',
      sql<string | null>`CASE WHEN ${seesActual} THEN disputes.actual_employee_id END`.as(
        'actual_employee_id',
      ),
      'disputes.correction_id',
      'disputes.notes',
    ])
    .orderBy('disputes.created_at', 'desc')
    .orderBy('disputes.punch_id', 'desc')
    .limit(limit)
    .offset(skip)
    .execute()
  const { total } = await matching.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { disputes, total }
}

function disputesIn(db: Database | DatabaseTransaction, view: View) {
  return db
    .selectFrom('disputes')
    .innerJoin('attendance', 'attendance.id', 'disputes.punch_id')
    .innerJoin('employees', 'employees.employee_id', 'attendance.employee_id')
    .where(isVisible('employees.department', view))
}

const isVisible = (department: string, { departments }: View) =>
  departments === undefined
    ? sql<SqlBool>`true`
    : sql<SqlBool>`coalesce(${sql.ref(department)} = ANY(${departments}::text[]), false)`

/**
 * Ends a dispute. Where it was somebody else, the punch is taken away by a correction, they get it by hand if it is known
 * who it was, everything that was learned from it is deleted, and the two are told apart more carefully from now on. Where
 * it was the person all the same, what was learned is searched again. All of it, or nothing.
 *
 * A check's punch that nobody disputed may be confirmed to be of somebody else as well, at any time.
 *
 * Rejects with `dispute_not_found`, `dispute_settled`, `employee_not_found`, or `invalid_request`.
 */
export async function resolveDispute(
  deps: DisputeDeps,
  punchId: number,
  resolution: z.infer<typeof resolutionSchema>,
  voucher: Voucher,
) {
  const { change, clock, gallery, photos } = deps
  const { confirmed, employee_id: actual, notes } = resolution
  const { people, files, ...resolved } = await change(async (trx) => {
    if (confirmed) await openDispute(trx, punchId, voucher.view, clock.now())
    const { employee_id: named } = await requireDispute(trx, punchId, voucher.view)
    if (actual === named) throw invalidField('employee_id', 'is the person whom the punch names')
    if (actual !== undefined && !(await personExists(trx, actual, voucher.view)))
      throw new AppError('employee_not_found', `There is no employee ${actual}.`)
    // Always in one order: of two that are resolved at once neither waits for the other.
    for (const person of [named, actual ?? named].sort()) await lockPerson(trx, person)
    if ((await stateOf(trx, punchId)) !== 'open')
      throw new AppError('dispute_settled', `The dispute about the punch ${punchId} was resolved before.`)
    const outcome = confirmed
      ? await undo(trx, deps, punchId, { named, actual, notes }, voucher)
      : await keep(trx, punchId, named)
    await trx
      .updateTable('disputes')
      .set({
        state: outcome.state,
        resolved_at: clock.now(),
        resolved_by: voucher.enteredBy,
        actual_employee_id: actual ?? null,
        correction_id: outcome.correction_id,
        notes: notes ?? null,
      })
      .where('punch_id', '=', punchId)
      .execute()
    return { ...outcome, people: [named, ...(outcome.look_alike === null ? [] : [outcome.look_alike])] }
  })
  for (const employeeId of people) await gallery.refresh(employeeId)
  // The pair's margin is wider now.
  await gallery.recalibrated()
  await photos.remove(files)
  return resolved
}

/** Whoever decides may say by themselves, at any time, that a check's punch is of somebody else. */
async function openDispute(trx: DatabaseTransaction, punchId: number, view: View, now: Date): Promise<void> {
  const punch = await findPunch(trx, punchId, view)
  if (punch?.kind !== 'face' || punch.device_id === null) return
  await trx
    .insertInto('disputes')
    .values({ punch_id: punchId, device_id: punch.device_id, created_at: now })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

async function requireDispute(
  trx: DatabaseTransaction,
  punchId: number,
  view: View,
): Promise<{ employee_id: string }> {
  const row = await disputesIn(trx, view)
    .select('attendance.employee_id')
    .where('disputes.punch_id', '=', punchId)
    .executeTakeFirst()
  if (!row) throw new AppError('dispute_not_found', `Nobody disputes a punch ${punchId}.`)
  return row
}

interface Outcome {
  state: DisputeState
  correction_id: number | null
  entered_id: number | null
  deleted_face_templates: number
  look_alike: string | null
  /** Of the photos that were deleted. */
  files: string[]
}

/** It was the person all the same. */
async function keep(trx: DatabaseTransaction, punchId: number, employeeId: string): Promise<Outcome> {
  const resumed = await suspendLearned(trx, punchId, false)
  await noteTemplates(trx, 'resume', employeeId, punchId, resumed)
  const nothing = { correction_id: null, entered_id: null, deleted_face_templates: 0, look_alike: null }
  return { state: 'rejected', ...nothing, files: [] }
}

/** It was somebody else: `actual`, where that is known. */
async function undo(
  trx: DatabaseTransaction,
  deps: DisputeDeps,
  punchId: number,
  { named, actual, notes }: { named: string; actual: string | undefined; notes: string | undefined },
  voucher: Voucher,
): Promise<Outcome> {
  const inside: ManualDeps = { ...deps, change: (work) => work(trx) }
  const why = notes ?? 'It was somebody else, as was said at the kiosk'
  const standing = await standingRow(trx, punchId, voucher.view)
  const { punch: correction, unlearned } = standing.is_void
    ? { punch: standing, unlearned: await unlearn(trx, punchId, named) }
    : await correctPunch(inside, standing.id, { void: true, notes: why }, voucher)
  const entered = actual === undefined ? undefined : await enterFor(actual)
  const other = actual ?? (await secondCandidate(trx, punchId, named))
  if (other !== undefined) await widenMargin(trx, [named, other], punchId, deps.clock.now())
  return {
    state: 'confirmed',
    correction_id: correction.id,
    entered_id: entered ?? null,
    deleted_face_templates: unlearned.templates,
    look_alike: other ?? null,
    files: unlearned.files,
  }

  async function enterFor(employee_id: string): Promise<number | undefined> {
    const { device_id, attendance_type, timestamp } = standing
    try {
      const entry = { employee_id, device_id, attendance_type, timestamp, notes: why }
      return (await enterPunch(inside, entry, voucher)).id
    } catch (error) {
      // They checked in once more and were recognised.
      if (error instanceof AppError && error.code === 'duplicate_punch') return undefined
      throw error
    }
  }
}

/** What stands in the place of a punch after all its corrections, or the punch itself. */
async function standingRow(trx: DatabaseTransaction, punchId: number, view: View) {
  for (let id = punchId; ; ) {
    const row = await findPunch(trx, id, view)
    if (!row) throw new AppError('punch_not_found', `There is no punch ${id}.`)
    if (row.superseded_by === null) return row
    id = row.superseded_by
  }
}

/** Whom the face of a check resembled next, if they are still there. */
async function secondCandidate(
  trx: DatabaseTransaction,
  punchId: number,
  first: string,
): Promise<string | undefined> {
  const check = await trx
    .selectFrom('attendance')
    .innerJoin('decisions', 'decisions.id', 'attendance.decision_id')
    .select('decisions.record')
    .where('attendance.id', '=', punchId)
    .executeTakeFirstOrThrow()
  const { candidates = [] } = check.record as { candidates?: { employee_id: string }[] }
  const second = candidates.find(({ employee_id }) => employee_id !== first)?.employee_id
  if (second === undefined) return undefined
  const present = await trx
    .selectFrom('employees')
    .select('employee_id')
    .where('employee_id', '=', second)
    .executeTakeFirst()
  return present?.employee_id
}

/** Asks of every check, whichever pack runs, that it be surer which of two people it sees. */
async function widenMargin(
  trx: DatabaseTransaction,
  pair: [string, string],
  punch: number,
  now: Date,
): Promise<void> {
  const [one, other] = pair
  await trx
    .insertInto('look_alikes')
    .values({
      // In the order of the database, which compares them.
      employee_a: sql<string>`least(${one}::text, ${other}::text)`,
      employee_b: sql<string>`greatest(${one}::text, ${other}::text)`,
      origin: 'dispute',
      margin: LOOK_ALIKE_MARGIN,
      created_at: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const details = { punch, margin: LOOK_ALIKE_MARGIN }
  for (const subject of pair)
    await note(trx, { action: 'look_alike', subject_kind: 'employees', subject, details })
}
