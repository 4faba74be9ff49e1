import { sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import { forgetLeavers } from '../employees/retention.ts'
import type { Change } from '../ledger/ledger.ts'

/** How many days things are kept; see the settings of these names. */
export interface Retention {
  decisionDays: number
  leaverDays: number
}

const DAY_MS = 24 * 3_600_000
const BATCH = 1000
/** What is left after so many comes with the next run. */
const BATCHES_A_RUN = 100

/** Forgets what is past its time. `change` is the server's own. Resolves to how many of each; see also `knownPictures`. */
export async function applyRetention(
  db: Database,
  change: Change,
  { decisionDays, leaverDays }: Retention,
  now: Date,
): Promise<{ decisions: number; leavers: number }> {
  const before = (days: number) => new Date(now.getTime() - days * DAY_MS)
  const decisions = await forgetMeasures(db, before(decisionDays))
  const leavers = await forgetLeavers(db, change, before(leaverDays), now)
  return { decisions, leavers }
}

/**
 * Forgets whom else a face resembled, who its person said to be, and what was measured of it, in all pictures of a check,
 * in decisions before a time. What was decided, by which rule and thresholds, with which confidence, models and liveness,
 * stays. Returns how many decisions it was.
 */
async function forgetMeasures(db: Database, before: Date): Promise<number> {
  let forgotten = 0
  for (let batch = 1; batch <= BATCHES_A_RUN; batch++) {
    const { numAffectedRows = 0n } = await sql`
      UPDATE decisions
      SET record = (record - '{candidates,face,quality,frames,claimed}'::text[]) #- '{liveness,signals}'::text[]
      WHERE id IN (
        SELECT id FROM decisions
        WHERE created_at < ${before}::timestamptz
          AND (record ?| '{candidates,face,quality,frames,claimed}' OR record #> '{liveness,signals}' IS NOT NULL)
        ORDER BY created_at LIMIT ${BATCH})`.execute(db)
    forgotten += Number(numAffectedRows)
    if (numAffectedRows < BATCH) break
  }
  return forgotten
}
