import { z } from 'zod'
import { deviceId } from '../devices/schema.ts'
import { employeeId } from '../employees/schema.ts'
import { livenessSchema } from '../gallery/schema.ts'
import { uploadedFile } from '../shared/http.ts'
import { pageQuery } from '../shared/paging.ts'

export const punchType = z.enum(['IN', 'OUT'])

export const checkForm = z.object({
  image: uploadedFile.describe('JPEG, PNG or WebP with one face'),
  device_id: deviceId,
  attendance_type: z
    .enum(['IN', 'OUT', 'AUTO'])
    .default('IN')
    .describe('AUTO: OUT when the last punch of the day is an IN, else IN'),
})

export const idempotencyHeaders = z.looseObject({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, { error: 'must be 1 to 255 printable ASCII characters without spaces' })
    .optional()
    .describe('The same key and request again answer the first result; kept for 7 days per device'),
})

const outcome = z.enum(['identified', 'duplicate', 'not_identified', 'ambiguous', 'attack', 'undecided'])

/** The old system's keys, and what explains them. */
export const checkedSchema = z
  .object({
    success: z.literal(true),
    recognized: z.boolean(),
    code: outcome,
    message: z.string(),
    employee_id: z.string().optional(),
    employee_name: z.string().optional(),
    confidence: z.number().optional().describe('0.25 + 0.1 x -log10 of the false-match rate'),
    attendance_type: punchType.optional(),
    attendance_id: z.number().optional(),
    timestamp: z.iso.datetime().optional().describe('When the punch counts'),
    duplicate: z.boolean().describe('The person had just punched; attendance_id is that first punch'),
    liveness: livenessSchema,
    decision_id: z.number(),
    processing_time: z.number().describe('Seconds'),
  })
  .meta({ id: 'Checked' })

export type Checked = z.infer<typeof checkedSchema>

export const punchSchema = z
  .object({
    id: z.number(),
    employee_id: z.string(),
    employee_name: z.string(),
    device_id: z.string(),
    timestamp: z.date(),
    attendance_type: punchType,
    confidence_score: z.number(),
    liveness: livenessSchema,
    decision_id: z.number(),
    image_path: z.string().nullable(),
    notes: z.string().nullable(),
  })
  .meta({ id: 'Attendance' })

export const punchQuery = pageQuery.extend({
  from: z.iso.datetime({ offset: true }).optional().describe('Not before this time'),
  to: z.iso.datetime({ offset: true }).optional().describe('Before this time'),
  attendance_type: punchType.optional(),
})

export const allPunchesQuery = punchQuery.extend({
  employee_id: employeeId.optional(),
  device_id: deviceId.optional(),
})

export type PunchQuery = z.infer<typeof allPunchesQuery>
