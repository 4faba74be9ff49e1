import type { z } from 'zod'
import type { DatabaseTransaction } from '../database/tables.ts'
import { type Unlearned, unlearn } from '../gallery/templates.ts'
import { type Change, note } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { invalidField } from '../shared/http.ts'
import { MAX_AHEAD_MS } from './check-in.ts'
import type { PunchType } from './decide.ts'
import { findPunch, type View } from './punches.ts'
import { findKiosk, lastPunch, lockPerson } from './records.ts'
import type { correctionSchema, manualSchema } from './schema.ts'

export interface ManualDeps {
  change: Change
  clock: Clock
  duplicateWindowMs: number
}

/** Who vouches for a punch that no face led to, as `callerId` names them, and what they may see. */
export interface Voucher {
  enteredBy: string
  view: View
}

type PunchRow = NonNullable<Awaited<ReturnType<typeof findPunch>>>

/**
 * Enters a punch by hand, for former people too. Rejects with `employee_not_found`, `device_not_found`,
 * `duplicate_punch` (the person has it already), or `invalid_request` for a time to come.
 */
export async function enterPunch(
  { change, clock, duplicateWindowMs }: ManualDeps,
  entry: z.infer<typeof manualSchema>,
  { enteredBy, view }: Voucher,
): Promise<PunchRow> {
  const now = clock.now()
  const { employee_id, device_id = null, attendance_type, timestamp, notes } = entry
  refuseFuture(timestamp, now)
  return change(async (trx) => {
    if (device_id !== null && !(await findKiosk(trx, device_id, undefined, true)))
      throw new AppError('device_not_found', `There is no device ${device_id}.`)
    if (!(await lockPerson(trx, employee_id)))
      throw new AppError('employee_not_found', `There is no employee ${employee_id}.`)
    await refuseDuplicate(trx, entry, view, duplicateWindowMs)
    return writePunch(trx, {
      decision: {
        kind: 'manual',
        outcome: 'entered',
        record: { entered_by: enteredBy, notes },
        now,
      },
      punch: {
        employee_id,
        device_id,
        timestamp,
        attendance_type,
        notes,
        confidence_score: 0,
        liveness: 'unavailable',
      },
      view,
    })
  })
}

/**
 * Puts a new row in the place of a punch, or takes it away, and with it the templates that were learned from it; the old row
 * stays as it is. Resolves to the new row, and to what was unlearned. Rejects with `punch_not_found`,
 * `already_corrected` where another row has its place already, `duplicate_punch` where the person has such a punch at
 * that time besides it, or `invalid_request`.
 */
export async function correctPunch(
  { change, clock, duplicateWindowMs }: ManualDeps,
  id: number,
  correction: z.infer<typeof correctionSchema>,
  { enteredBy, view }: Voucher,
): Promise<{ punch: PunchRow; unlearned: Unlearned }> {
  const now = clock.now()
  const { notes } = correction
  if (correction.timestamp) refuseFuture(correction.timestamp, now)
  return change(async (trx) => {
    const seen = await requirePunch(trx, id, view)
    // Of two corrections at once the second waits here, and then finds the first.
    await lockPerson(trx, seen.employee_id)
    const old = await requirePunch(trx, id, view)
    if (old.superseded_by !== null)
      throw new AppError(
        'already_corrected',
        `The punch ${id} was corrected before. Correct its successor, ${old.superseded_by}, if that is wrong too.`,
        { superseded_by: old.superseded_by },
      )
    const is_void = correction.void === true
    const timestamp = correction.timestamp ?? old.timestamp
    const attendance_type = correction.attendance_type ?? old.attendance_type
    const same =
      timestamp.getTime() === old.timestamp.getTime() &&
      attendance_type === old.attendance_type &&
      is_void === old.is_void
    if (same) throw new AppError('invalid_request', 'The punch is already as it is asked to be.')
    if (!is_void) {
      const corrected = { employee_id: old.employee_id, attendance_type, timestamp }
      await refuseDuplicate(trx, corrected, view, duplicateWindowMs, id)
    }
    const unlearned = is_void
      ? await unlearn(trx, await originOf(trx, id), old.employee_id)
      : { templates: 0, files: [] }
    const punch = await writePunch(trx, {
      decision: {
        kind: 'correction',
        outcome: is_void ? 'voided' : 'corrected',
        record: {
          entered_by: enteredBy,
          notes,
          corrects: id,
          before: asRecorded(old),
          after: asRecorded({ timestamp, attendance_type, is_void }),
        },
        now,
      },
      punch: {
        employee_id: old.employee_id,
        device_id: old.device_id,
        timestamp,
        attendance_type,
        notes,
        // What the face said of the person holds, whatever the time was.
        confidence_score: old.confidence_score,
        liveness: old.liveness,
        image_path: old.image_path,
        corrects: id,
        is_void,
      },
      view,
    })
    return { punch, unlearned }
  })
}

/** The punch that stands at the beginning of a chain of corrections: a template is learned from that one. */
async function originOf(trx: DatabaseTransaction, id: number): Promise<number> {
  for (let origin = id; ; ) {
    const { corrects } = await trx
      .selectFrom('attendance')
      .select('corrects')
      .where('id', '=', origin)
      .executeTakeFirstOrThrow()
    if (corrects === null) return origin
    origin = corrects
  }
}

function refuseFuture(time: Date, now: Date): void {
  if (time.getTime() > now.getTime() + MAX_AHEAD_MS) throw invalidField('timestamp', 'lies in the future')
}

async function requirePunch(trx: DatabaseTransaction, id: number, view: View): Promise<PunchRow> {
  const found = await findPunch(trx, id, view)
  if (!found) throw new AppError('punch_not_found', `There is no punch ${id}.`)
  return found
}

/** A form that is sent twice must not pay twice. `besides`: the punch that is about to be corrected. */
async function refuseDuplicate(
  trx: DatabaseTransaction,
  {
    employee_id,
    attendance_type,
    timestamp,
  }: Pick<PunchRow, 'employee_id' | 'attendance_type' | 'timestamp'>,
  { timeZone }: View,
  windowMs: number,
  besides?: number,
): Promise<void> {
  const last = await lastPunch(trx, employee_id, attendance_type, timestamp, timeZone, windowMs, besides)
  if (!last || timestamp.getTime() - last.at.getTime() > windowMs) return
  throw new AppError(
    'duplicate_punch',
    `There is such a punch at this time already: ${last.id}. Correct that one if it is wrong.`,
    { attendance_id: last.id },
  )
}

function asRecorded(punch: { timestamp: Date; attendance_type: PunchType; is_void: boolean }) {
  const { timestamp, attendance_type, is_void } = punch
  return { timestamp: timestamp.toISOString(), attendance_type, is_void }
}

interface NewRow {
  decision: {
    kind: 'manual' | 'correction'
    outcome: string
    record: Record<string, unknown>
    now: Date
  }
  punch: Pick<
    PunchRow,
    'employee_id' | 'device_id' | 'timestamp' | 'attendance_type' | 'notes' | 'confidence_score' | 'liveness'
  > &
    Partial<Pick<PunchRow, 'image_path' | 'corrects' | 'is_void'>>
  view: View
}

/** Writes what vouches for a punch, the punch, and both into the audit log. */
async function writePunch(trx: DatabaseTransaction, { decision, punch, view }: NewRow): Promise<PunchRow> {
  const { id: decision_id } = await trx
    .insertInto('decisions')
    .values({
      created_at: decision.now,
      device_id: punch.device_id,
      kind: decision.kind,
      outcome: decision.outcome,
      employee_id: punch.employee_id,
      record: JSON.stringify(decision.record),
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const { id } = await trx
    .insertInto('attendance')
    .values({ ...punch, decision_id })
    .returning('id')
    .executeTakeFirstOrThrow()
  const { before, after = asRecorded({ ...punch, is_void: false }) } = decision.record
  await note(trx, {
    action: decision.outcome,
    subject_kind: 'attendance',
    subject: punch.employee_id,
    details: { punch: id, corrects: punch.corrects, before, after, notes: punch.notes },
  })
  return requirePunch(trx, id, view)
}
