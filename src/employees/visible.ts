import { type Caller, visibleDepartments } from '../access/caller.ts'
import { hasPermission } from '../access/guard.ts'
import type { Database } from '../database/tables.ts'
import { isVisible } from './records.ts'

/** The names of those of these people whom the caller may see, by their ids; who has left is seen by who sees everybody. */
export async function visibleNames(
  db: Database,
  caller: Caller,
  employeeIds: readonly string[],
): Promise<Map<string, string>> {
  if (employeeIds.length === 0 || !hasPermission(caller, 'employees:read')) return new Map()
  const rows = await db
    .selectFrom('employees')
    .select(['employee_id', 'name'])
    .where('employee_id', 'in', [...new Set(employeeIds)])
    .where(isVisible(visibleDepartments(caller)))
    .execute()
  return new Map(rows.map(({ employee_id, name }) => [employee_id, name]))
}
