import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Change } from '../ledger/ledger.ts'
import { open, SealBroken, seal } from '../vault/seal.ts'
import type { Vault } from '../vault/vault.ts'
import { toBytes, toVector } from './templates.ts'

/** What the gallery's own people taught, frozen: scores mean the same until the next one. */
export interface Calibration {
  id: number
  /** How many people it was taken from. */
  people: number
  mean: Float32Array
  /** The people that scores are normalised against; null while plain scores are used. */
  cohort: string[] | null
}

/** From so many people on the gallery's own centring mean is better than the pack's. */
export const MIN_PEOPLE_FOR_MEAN = 10
/** From so many people on a cohort is better than plain scores (docs/ACCURACY.md). */
export const MIN_PEOPLE_FOR_COHORT = 100
/** More people in the cohort no longer help. */
export const MAX_COHORT = 200

/** A cohort that so many have left is no longer one: plain scores again, until the next calibration. */
export const MIN_COHORT_LEFT = 50

/**
 * Whether the gallery has outgrown its calibration: at 10 people, at 100 (the first cohort), and whenever it has doubled
 * since. In between mean and cohort stay as they are, so that the scale does not drift with every enrolment.
 */
export function calibrationDue(
  people: number,
  current: Pick<Calibration, 'people'> | null,
  normalised: boolean,
): boolean {
  if (people < MIN_PEOPLE_FOR_MEAN) return false
  if (!current || people >= 2 * current.people) return true
  return people >= MIN_PEOPLE_FOR_COHORT && !normalised
}

/** The cohort: everybody, or 200 drawn by a hash, so that the same gallery draws the same people. Null below 100. */
export function drawCohort(employeeIds: readonly string[]): string[] | null {
  if (employeeIds.length < MIN_PEOPLE_FOR_COHORT) return null
  const order = (id: string) => createHash('sha256').update(id).digest('hex')
  return [...employeeIds]
    .map((id) => ({ id, order: order(id) }))
    .sort((one, other) => (one.order < other.order ? -1 : 1))
    .slice(0, MAX_COHORT)
    .map(({ id }) => id)
}

/** The vault's key of what is taken from everybody. */
export const CALIBRATION_KEY = 'calibrations'
export const calibrationContext = (pack: string, people: number) => `calibration ${pack} ${people}`

/** The newest calibration of a pack, or null; 'unreadable' when it does not open. */
export async function latestCalibration(
  { db, vault }: { db: Database; vault: Vault },
  pack: string,
): Promise<Calibration | null | 'unreadable'> {
  const row = await db
    .selectFrom('calibrations')
    .select(['id', 'people', 'mean', 'cohort'])
    .where('pack', '=', pack)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!row) return null
  const key = await vault.named(CALIBRATION_KEY)
  try {
    return { ...row, mean: toVector(open(key, row.mean, calibrationContext(pack, row.people))) }
  } catch (error) {
    if (error instanceof SealBroken) return 'unreadable'
    throw error
  }
}

/** The number of the newest calibration of a pack, whether it opens or not. */
export async function newestId(
  db: Database | DatabaseTransaction,
  pack: string,
): Promise<number | undefined> {
  const row = await db
    .selectFrom('calibrations')
    .select('id')
    .where('pack', '=', pack)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.id
}

/** The key of the advisory lock that lets one process calibrate at a time; any fixed number would do. */
const calibrationLock = 7_265_554

/** Writes a calibration that follows number `after`. Undefined, and nothing written, where another process was faster. */
export async function insertCalibration(
  { change, vault }: { change: Change; vault: Vault },
  pack: string,
  calibration: Omit<Calibration, 'id'>,
  after: number | undefined,
  now: Date,
): Promise<Calibration | undefined> {
  const key = await vault.named(CALIBRATION_KEY)
  const mean = seal(key, toBytes(calibration.mean), calibrationContext(pack, calibration.people))
  return change(async (trx) => {
    await sql`SELECT pg_advisory_xact_lock(${calibrationLock})`.execute(trx)
    if ((await newestId(trx, pack)) !== after) return undefined
    const { id } = await trx
      .insertInto('calibrations')
      .values({ ...calibration, pack, mean, is_sealed: true, created_at: now })
      .returning('id')
      .executeTakeFirstOrThrow()
    return { ...calibration, id }
  })
}
