import { z } from 'zod'
import { authorOf, visibleDepartments } from '../access/caller.ts'
import type { Database } from '../database/tables.ts'
import { type Ledger, note } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, multipart, problems } from '../shared/http.ts'
import { columnNames, importEmployees } from './import.ts'
import { everyEmployee } from './records.ts'
import { exportQuery, importForm, importQuery, importSchema } from './schema.ts'
import { readTable, sendFile } from './spreadsheet.ts'

const tags = ['Employees']
interface TransferDeps {
  db: Database
  ledger: Ledger
  clock: Clock
  onEmployeeChanged: (employeeId: string) => Promise<void>
}

/** People as a file for a spreadsheet program, and back. */
export function transferRoutes(app: App, { db, ledger, clock, onEmployeeChanged }: TransferDeps): void {
  app.get(
    '/employees/export',
    {
      config: { access: 'employees:read' },
      schema: {
        tags,
        summary: 'People as CSV or XLSX',
        description:
          'Filters and sorts as the list does, without pages. A text that a spreadsheet program would take for a ' +
          'formula stands behind an apostrophe, which an import takes away again.',
        querystring: exportQuery,
        response: {
          200: z.any().describe('text/csv with semicolons and a byte order mark, or XLSX'),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { format, separator, ...filters } = request.query
      // Who asks with HEAD takes nobody along, and there is nothing to tell of.
      if (request.method === 'HEAD')
        return sendFile(reply, 'employees', columnNames, [], { format, separator })
      const people = await everyEmployee(db, filters, visibleDepartments(request.caller))
      const rows = people.map((person) => columnNames.map((column) => String(person[column] ?? '')))
      const { search, ...others } = filters
      // Before the first of them leaves. What was searched for may be a name, which would stay in the ledger.
      await ledger.by(authorOf(request))((trx) =>
        note(trx, {
          action: 'export',
          subject_kind: 'employees',
          details: { format, filters: { ...others, search: search != null }, people: people.length },
        }),
      )
      return sendFile(reply, 'employees', columnNames, rows, { format, separator })
    },
  )

  app.post(
    '/employees/import',
    {
      config: { access: 'employees:write' },
      schema: {
        tags,
        summary: 'Create and update people from a CSV or XLSX file',
        description:
          'The first row names the columns, in English or Vietnamese: name (họ tên), employee_id (mã nhân viên), ' +
          'department (phòng ban), position (chức vụ), email, phone (điện thoại), site (địa điểm), is_active. A row ' +
          'whose employee_id is in use changes that person, every other row makes a new one; a column that the file ' +
          'does not have stays as it is, and an empty cell clears it. All rows are stored, or none: where one ' +
          'fails, the answer is 422 import_rejected with the same report, which says what to mend. A dry run answers ' +
          'the report and stores nothing. At most 5 MB and 10,000 people.',
        consumes: multipart,
        querystring: importQuery,
        body: importForm,
        response: { 200: importSchema, ...problems },
      },
    },
    async (request) => {
      const dryRun = request.body.dry_run ?? request.query.dry_run ?? false
      const table = await readTable(request.body.file.buffer)
      const { report, stored, announced } = await importEmployees(
        ledger.by(authorOf(request)),
        table,
        dryRun,
        clock.now(),
      )
      if (!stored && !dryRun)
        throw new AppError(
          'import_rejected',
          `Nothing was imported: ${report.failed} of ${report.rows.length} rows must be mended first.`,
          report,
        )
      if (stored) for (const employeeId of announced) await onEmployeeChanged(employeeId)
      return report
    },
  )
}
