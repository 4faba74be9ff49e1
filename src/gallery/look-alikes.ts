import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Comparison } from './calibration-tail.ts'

/** Half a decade of false matches between the best two people. */
export const MARGIN = 0.05

/**
 * How far below the threshold two people's photos still make them look-alikes. From one picture to the next the score of
 * two alike people deviates by .6 to .8 of a decade; of the pictures that brought two people to a given value, four in
 * five were of people whose enrolment photos lay above it or less than a decade, .1 of confidence, below: so in 552
 * published photos of 229 people.
 */
const REACH = 2 * MARGIN

/** Two people who are hard to tell apart; `one` sorts before `other`. */
export interface LookAlike {
  one: string
  other: string
  /** How sure the pack is that they are the same; null where a person has said that they were mixed up. */
  confidence: number | null
  /** How much surer, in confidence, the first of them must be than the second. */
  margin: number
}

/**
 * The pairs whose photos come within reach of the threshold. Their margin is MARGIN there and grows by as much as they
 * are more alike: .15 for a pair at the threshold itself, more for twins.
 */
export function lookAlikesAmong(
  people: readonly string[],
  comparisons: readonly Comparison[],
  threshold: number,
): LookAlike[] {
  const pairs = new Map<string, LookAlike>()
  for (const { one, other, decades } of comparisons) {
    const confidence = Math.min(1, 0.25 + 0.1 * decades)
    const above = confidence - (threshold - REACH)
    if (above < 0) continue
    const [first, second] = [people[one], people[other]].sort()
    const key = pairKey(first, second)
    if (confidence <= (pairs.get(key)?.confidence ?? 0)) continue
    pairs.set(key, { one: first, other: second, confidence, margin: Math.min(1, MARGIN + above) })
  }
  return [...pairs.values()]
}

/** Margins by pairs of people, whichever is named first. */
export interface Margins {
  /** Undefined for people who are not known to be alike. */
  between(one: string, other: string): number | undefined
}

/** Employee ids hold no line breaks. */
const pairKey = (one: string, other: string) => (one < other ? `${one}\n${other}` : `${other}\n${one}`)

/** Those between active people, for the pack or from a dispute; of several for one pair the widest margin counts. */
export async function readMargins(db: Database, pack: string): Promise<Margins> {
  const margins = new Map<string, number>()
  for (const { people, margin } of await listLookAlikes(db, pack)) {
    const key = pairKey(people[0].employeeId, people[1].employeeId)
    margins.set(key, Math.max(margin, margins.get(key) ?? 0))
  }
  return { between: (one, other) => margins.get(pairKey(one, other)) }
}

/** A pair as it is listed. */
export interface NamedLookAlike {
  people: { employeeId: string; name: string; department: string | null }[]
  origin: 'calibration' | 'dispute'
  confidence: number | null
  margin: number
}

/** The pairs of active people, for the pack or from a dispute: those from disputes first, then the most alike. */
export async function listLookAlikes(db: Database, pack: string): Promise<NamedLookAlike[]> {
  const rows = await db
    .selectFrom('look_alikes')
    .innerJoin('employees as a', 'a.employee_id', 'look_alikes.employee_a')
    .innerJoin('employees as b', 'b.employee_id', 'look_alikes.employee_b')
    .select(['employee_a', 'employee_b', 'origin', 'confidence', 'margin'])
    .select(['a.name as name_a', 'a.department as department_a'])
    .select(['b.name as name_b', 'b.department as department_b'])
    .where('a.is_active', '=', true)
    .where('b.is_active', '=', true)
    .where((row) => row.or([row('pack', '=', pack), row('pack', 'is', null)]))
    .orderBy('confidence', (order) => order.desc().nullsFirst())
    .orderBy('look_alikes.id')
    .execute()
  return rows.map((row) => ({
    people: [
      { employeeId: row.employee_a, name: row.name_a, department: row.department_a },
      { employeeId: row.employee_b, name: row.name_b, department: row.department_b },
    ],
    origin: row.origin,
    confidence: row.confidence,
    margin: row.margin,
  }))
}

/** Puts a calibration's pairs in place of those of the one before; those from disputes stay. */
export async function replaceLookAlikes(
  trx: DatabaseTransaction,
  pack: string,
  pairs: readonly LookAlike[],
  now: Date,
): Promise<void> {
  await trx.deleteFrom('look_alikes').where('pack', '=', pack).where('origin', '=', 'calibration').execute()
  // Whoever was purged since they were compared has no row to refer to.
  const named = [...new Set(pairs.flatMap(({ one, other }) => [one, other]))]
  if (named.length === 0) return
  const there = await trx
    .selectFrom('employees')
    .select('employee_id')
    .where('employee_id', 'in', named)
    .where('is_active', '=', true)
    .forKeyShare()
    .execute()
  const present = new Set(there.map(({ employee_id }) => employee_id))
  const rows = pairs
    .filter(({ one, other }) => present.has(one) && present.has(other))
    .map(({ one, other, confidence, margin }) => ({
      employee_a: one,
      employee_b: other,
      pack,
      origin: 'calibration' as const,
      confidence,
      margin,
      created_at: now,
    }))
  for (let i = 0; i < rows.length; i += 1000)
    await trx
      .insertInto('look_alikes')
      .values(rows.slice(i, i + 1000))
      .execute()
}

/** Forgets whom a person is alike to. */
export async function forgetLookAlikes(trx: DatabaseTransaction, employeeId: string): Promise<void> {
  await trx
    .deleteFrom('look_alikes')
    .where((row) => row.or([row('employee_a', '=', employeeId), row('employee_b', '=', employeeId)]))
    .execute()
}
