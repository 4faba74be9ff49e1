import { createHash } from 'node:crypto'
import type { Database } from '../database/tables.ts'
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

/** The newest calibration of a pack, or null. */
export async function latestCalibration(db: Database, pack: string): Promise<Calibration | null> {
  const row = await db
    .selectFrom('calibrations')
    .select(['id', 'people', 'mean', 'cohort'])
    .where('pack', '=', pack)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row ? { ...row, mean: toVector(row.mean) } : null
}

export async function insertCalibration(
  db: Database,
  pack: string,
  calibration: Omit<Calibration, 'id'>,
  now: Date,
): Promise<Calibration> {
  const { id } = await db
    .insertInto('calibrations')
    .values({ ...calibration, pack, mean: toBytes(calibration.mean), created_at: now })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { ...calibration, id }
}
