import { type SqlBool, sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import { type Change, release } from '../ledger/ledger.ts'

/** What a person is called once they are forgotten. */
const FORMER_NAME = 'Former employee'
/** Each has a transaction of their own; the others come with the next run. */
const PEOPLE_A_RUN = 500

/** What still tells who somebody was. */
const isRemembered = sql<SqlBool>`(name <> ${FORMER_NAME} OR email IS NOT NULL OR phone IS NOT NULL
  OR position IS NOT NULL OR EXISTS (SELECT FROM consents WHERE consents.employee_id = employees.employee_id))`

/**
 * Forgets who they were whose employment ended before a time: name, contact data, position and consents go, also from the
 * audit log; the punches stay under the employee_id. Returns how many people it was.
 */
export async function forgetLeavers(db: Database, change: Change, before: Date, now: Date): Promise<number> {
  const leavers = await db
    .selectFrom('employees')
    .select('employee_id')
    .where('ended_at', '<', before)
    .where(isRemembered)
    .orderBy('id')
    .limit(PEOPLE_A_RUN)
    .execute()
  let forgotten = 0
  for (const { employee_id: employeeId } of leavers) {
    forgotten += await change(async (trx) => {
      const person = await trx
        .selectFrom('employees')
        .select('id')
        .where('employee_id', '=', employeeId)
        .where(isRemembered)
        .forNoKeyUpdate()
        .executeTakeFirst()
      // Purged, or forgotten by another server, in between.
      if (!person) return 0
      await release(trx, { employeeId, punches: [], action: 'retention' })
      await trx.deleteFrom('consents').where('employee_id', '=', employeeId).execute()
      await trx
        .updateTable('employees')
        .set({ name: FORMER_NAME, email: null, phone: null, position: null, updated_at: now })
        .set({ version: sql`version + 1` })
        .where('employee_id', '=', employeeId)
        .execute()
      return 1
    })
  }
  return forgotten
}
