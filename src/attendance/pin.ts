import type { Insertable } from 'kysely'
import { hashPassword, verifyPassword } from '../access/passwords.ts'
import { countAttempt } from '../access/throttle.ts'
import type { Database, DatabaseTransaction, DecisionsTable } from '../database/tables.ts'
import type { Change } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { admit, type CheckInDeps, punched, repeated } from './check-in.ts'
import { type PunchType, punch } from './decide.ts'
import { lastPunch, lockActivePerson } from './records.ts'
import type { Checked } from './schema.ts'

export interface PinRequest {
  deviceId: string
  /** Where a kiosk calls from; undefined for people and programs. */
  address: string | undefined
  employeeId: string
  pin: string
  requested: PunchType | 'AUTO' | undefined
}

type PinDeps = Pick<CheckInDeps, 'db' | 'ledger' | 'clock' | 'timeZone' | 'duplicateWindowMs'>

/**
 * A punch by employee code and PIN. Resolves to the answer, which for a wrong PIN, for somebody who has none and for
 * somebody unknown is the same. Rejects with `pin_not_allowed` where the site does not take PINs, `too_many_requests`
 * after several wrong ones, and the codes of a kiosk that may not check anybody in. Each try leaves a decision.
 */
export async function checkPin(
  deps: PinDeps,
  request: PinRequest,
): Promise<Omit<Checked, 'processing_time'>> {
  const { db, clock } = deps
  const { deviceId, employeeId } = request
  const now = clock.now()
  requirePins(await admit(db, request))
  // For person and kiosk: the mistakes of some must not lock the kiosk for the others.
  const { forgive } = await countAttempt(db, `pin ${employeeId}`, `kiosk ${deviceId}`, now, ['both', 'name'])
  const stored = await hashOf(db, employeeId)
  const matches = await verifyPassword(stored, request.pin)
  if (matches) await forgive()

  return deps.ledger.punches(async (trx) => {
    // Once more: both may have been changed while the PIN was hashed.
    const kiosk = requirePins(await admit(trx, request, true))
    const requested = request.requested ?? (kiosk.direction === 'AUTO' ? 'IN' : kiosk.direction)
    const timeZone = kiosk.timeZone ?? deps.timeZone
    const person = await lockActivePerson(trx, employeeId)
    const isRight = matches && (await hashOf(trx, employeeId)) === stored
    const base = { success: true as const, liveness: 'unavailable' as const }
    const record = (
      decision: Pick<Insertable<DecisionsTable>, 'outcome' | 'employee_id' | 'duplicate_of'>,
      rule: string,
    ) =>
      trx
        .insertInto('decisions')
        .values({
          ...{ created_at: now, device_id: deviceId, kind: 'pin' as const, ...decision },
          record: JSON.stringify({ rule, requested }),
        })
        .returning('id as decision_id')
        .executeTakeFirstOrThrow()
    if (!person || !isRight) {
      const about = { outcome: 'wrong_pin' as const, employee_id: person ? employeeId : null }
      const refused = await record(about, 'employee code and PIN do not belong together')
      const message = 'The employee code or the PIN is wrong'
      return { ...base, ...refused, recognized: false, code: 'wrong_pin', message, duplicate: false }
    }
    const last = await lastPunch(trx, employeeId, requested, now, timeZone, deps.duplicateWindowMs)
    const decision = punch(
      { requested, lastPunch: last, now },
      { employeeId, why: 'employee code and PIN' },
      deps,
    )
    const recorded = await record(
      {
        outcome: decision.outcome,
        employee_id: employeeId,
        duplicate_of: decision.outcome === 'duplicate' ? decision.punchId : null,
      },
      decision.rule,
    )
    const who = { recognized: true, employee_id: employeeId, employee_name: person.name }
    if (decision.outcome === 'duplicate')
      return { ...base, ...recorded, ...who, ...repeated(last!, timeZone) }
    const { id } = await trx
      .insertInto('attendance')
      .values({
        employee_id: employeeId,
        device_id: deviceId,
        timestamp: now,
        attendance_type: decision.type,
        // No face speaks for it.
        confidence_score: 0,
        liveness: 'unavailable',
        ...recorded,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    return { ...base, ...recorded, ...who, ...punched(decision.type, id, now) }
  })
}

async function hashOf(db: Database | DatabaseTransaction, employeeId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('pins')
    .select('pin_hash')
    .where('employee_id', '=', employeeId)
    .executeTakeFirst()
  return row?.pin_hash
}

function requirePins<Kiosk extends { pinAllowed: boolean }>(kiosk: Kiosk): Kiosk {
  if (kiosk.pinAllowed) return kiosk
  throw new AppError(
    'pin_not_allowed',
    'This site does not take PINs. An administrator can allow them in the settings of the site.',
  )
}

/** When a person's PIN was set; null where they have none. */
export async function pinSetAt(db: Database, employeeId: string): Promise<Date | null> {
  const row = await db
    .selectFrom('pins')
    .select('set_at')
    .where('employee_id', '=', employeeId)
    .executeTakeFirst()
  return row?.set_at ?? null
}

/** Gives an active person a PIN in place of any former one. Rejects with `employee_not_found`. */
export async function setPin(change: Change, employeeId: string, pin: string, now: Date): Promise<void> {
  const pin_hash = await hashPassword(pin)
  await change(async (trx) => {
    if (!(await lockActivePerson(trx, employeeId)))
      throw new AppError('employee_not_found', `There is no active employee ${employeeId}.`)
    await trx
      .insertInto('pins')
      .values({ employee_id: employeeId, pin_hash, set_at: now })
      .onConflict((conflict) => conflict.column('employee_id').doUpdateSet({ pin_hash, set_at: now }))
      .execute()
  })
}

/** Takes a person's PIN away; without one it changes nothing. */
export async function removePin(change: Change, employeeId: string): Promise<void> {
  await change(async (trx) => {
    await trx.deleteFrom('pins').where('employee_id', '=', employeeId).execute()
  })
}
