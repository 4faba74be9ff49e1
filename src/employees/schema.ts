import { z } from 'zod'
import { optionalText, text } from '../shared/http.ts'
import { pageQuery } from '../shared/paging.ts'

/** Words that are routes below /employees, or may become some. */
const reservedIds = new Set(['departments', 'stats', 'import', 'export', 'search', 'new'])

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

export const newEmployeeSchema = z.object({
  employee_id: newEmployeeId.nullish().describe('Made when it is missing'),
  name,
  ...optionalFields,
})

export const employeeChangesSchema = z.object({
  employee_id: employeeId.optional().describe('Cannot be changed; accepted where it repeats the path'),
  name: name.optional(),
  ...optionalFields,
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
    created_at: z.date(),
    updated_at: z.date(),
  })
  .meta({ id: 'Employee' })

export const employeePath = z.object({ employee_id: employeeId })

export const employeeQuery = pageQuery.extend({
  department: optionalText(100).describe('Only this department'),
  search: optionalText(100).describe(
    'Words that occur in the name, id or e-mail; accents and case do not matter',
  ),
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
  deleted_attendance_records: z.number().describe('Always 0: punches are pay evidence and stay'),
  retained_attendance_records: z.number(),
})

export type NewEmployee = z.infer<typeof newEmployeeSchema>
export type EmployeeChanges = Omit<z.infer<typeof employeeChangesSchema>, 'employee_id'>
export type Employee = z.infer<typeof employeeSchema>
export type EmployeeQuery = z.infer<typeof employeeQuery>
