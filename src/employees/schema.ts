import { z } from 'zod'
import { optionalText, rowNumber, text, uploadedFile } from '../shared/http.ts'
import { pageQuery, sortBy } from '../shared/paging.ts'
import { fileQuery } from './spreadsheet.ts'

/** Words that are routes below /employees, or may become some. */
const reservedIds = new Set(['departments', 'stats', 'photos', 'import', 'export', 'search', 'new'])

const idCharacters = /^[\p{L}\p{M}\p{Nd}_.-]{1,64}$/u

/** An employee's id as it stands in a path or a form. It may name somebody who does not exist. */
export const employeeId = z
  .string()
  .trim()
  .normalize('NFC')
  .regex(idCharacters, { error: 'must be 1 to 64 letters, digits, "_", "-" or "."' })
  .describe('Identifies an employee, for example EMP_001')

const newEmployeeId = employeeId
  .refine((id) => !reservedIds.has(id.toLowerCase()), { error: 'is a reserved word' })
  .refine((id) => !/^\.+$/.test(id), { error: 'must not consist of dots alone' })

const email = optionalText(254).refine((value) => value == null || /^[^\s@]+@[^\s@]+$/.test(value), {
  error: 'must look like name@example.com',
})

const name = text(200)

const optionalFields = {
  department: optionalText(100),
  email,
  phone: optionalText(50),
  position: optionalText(100),
}

const siteError = { error: 'must be the number of a site' }
const siteId = z.int(siteError).min(1, siteError).max(2_147_483_647, siteError)

export const newEmployeeSchema = z.object({
  employee_id: newEmployeeId.nullish().describe('Made when it is missing'),
  name,
  ...optionalFields,
  site_id: siteId.optional().describe('Where the person works; site 1 by default'),
})

export const employeeChangesSchema = z.object({
  employee_id: employeeId.optional().describe('Cannot be changed; accepted where it repeats the path'),
  name: name.optional(),
  ...optionalFields,
  site_id: siteId.optional(),
  is_active: z.boolean().optional().describe('Only active employees are recognised'),
})

export const employeeSchema = z
  .object({
    id: z.number(),
    employee_id: z.string(),
    name: z.string(),
    department: z.string().nullable(),
    email: z.string().nullable(),
    phone: z.string().nullable(),
    position: z.string().nullable(),
    is_active: z.boolean(),
    site_id: z.number(),
    created_at: z.date(),
    updated_at: z.date(),
    ended_at: z.date().nullable().describe('When employment ended'),
    version: z.number().describe('Also the ETag; send it back as If-Match with a change'),
    photos: z.number().describe('How many photos are stored: without one nobody is recognised'),
  })
  .meta({ id: 'Employee' })

export const employeePath = z.object({ employee_id: employeeId })

export const yesOrNo = z.enum(['true', 'false']).transform((value) => value === 'true')

const filters = {
  department: optionalText(100).describe('Only this department; accents and case do not matter'),
  is_active: yesOrNo.optional().describe('Only the active, or only the deactivated'),
  site_id: rowNumber('a site').optional().describe('Only this site'),
  has_photos: yesOrNo
    .optional()
    .describe('false: only those who cannot be recognised yet, for want of a photo'),
  search: optionalText(100).describe(
    'Words that occur in the name, id or e-mail; accents and case do not matter',
  ),
  ended: yesOrNo.default(false).describe('true: those who have left, instead of those who have not'),
  sort: sortBy('name', 'employee_id', 'created_at').describe(
    '`name` is the Vietnamese order, by given name; `-` turns it round. Oldest entry first by default',
  ),
}

export const employeeQuery = pageQuery.extend(filters)

export const exportQuery = z.object({ ...filters, ...fileQuery })

export const endQuery = z.object({
  purge: yesOrNo
    .default(false)
    .describe('true: remove the person with punches, decisions and all (needs employees:purge)'),
  confirm: z.string().optional().describe('With purge: the employee_id once more'),
})

/** Not z.record, which leaves out `__proto__`: a department may be called anything. */
const headCounts = z
  .custom<Record<string, number>>()
  .meta({ type: 'object', additionalProperties: { type: 'number' } })

export const statsSchema = z.object({
  total_employees: z.number(),
  active_employees: z.number(),
  inactive_employees: z.number(),
  by_department: headCounts,
  without_department: z.number(),
})

export const endedSchema = z.object({
  message: z.string(),
  deleted_face_templates: z.number(),
  deleted_attendance_records: z.number().describe('0 but for a purge: punches are pay evidence'),
  retained_attendance_records: z.number(),
  deleted_decisions: z.number().optional().describe('Only of a purge'),
})

const importCounts = {
  dry_run: z.boolean(),
  created: z.number(),
  updated: z.number(),
  unchanged: z.number(),
  failed: z.number(),
  ignored_columns: z.array(z.string()).describe('Headings that mean nothing here'),
}

export const importSchema = z
  .object({
    success: z.boolean().describe('false: a dry run has found rows that must be mended before an import'),
    ...importCounts,
    rows: z.array(
      z.object({
        row: z.number().describe('As the spreadsheet counts; the header is row 1'),
        action: z.enum(['created', 'updated', 'unchanged', 'failed']),
        employee_id: z.string().nullable().describe('null where a dry run would make one'),
        errors: z.array(z.string()),
      }),
    ),
  })
  .meta({ id: 'ImportReport' })

export const importForm = z.object({
  file: uploadedFile.describe(
    'CSV (commas, semicolons or tabulators; UTF-8 or UTF-16) or XLSX, its first sheet',
  ),
  dry_run: yesOrNo.optional().describe('true: only report what would happen'),
})

export const importQuery = importForm.pick({ dry_run: true })

export type ImportReport = z.infer<typeof importSchema>
export type NewEmployee = z.infer<typeof newEmployeeSchema>
export type EmployeeChanges = Omit<z.infer<typeof employeeChangesSchema>, 'employee_id'>
export type Employee = z.infer<typeof employeeSchema>
export type Page = Pick<z.infer<typeof employeeQuery>, 'limit' | 'skip'>
export type EmployeeFilters = Omit<z.infer<typeof employeeQuery>, 'limit' | 'skip'>
