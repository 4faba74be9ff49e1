import { z } from 'zod'
import { deviceId } from '../devices/schema.ts'
import { employeeId } from '../employees/schema.ts'
import { fileQuery } from '../employees/spreadsheet.ts'
import { MAX_FRAMES } from '../face/pipeline.ts'
import { livenessSchema } from '../gallery/schema.ts'
import { oneOrMore, optionalText, rowNumber, text, uploadedFile, wholeNumber } from '../shared/http.ts'
import { pageQuery } from '../shared/paging.ts'

export const punchType = z.enum(['IN', 'OUT'])

const time = z.iso.datetime({ offset: true })

const attendanceType = z
  .enum(['IN', 'OUT', 'AUTO'])
  .optional()
  .describe(
    "AUTO: OUT when the last punch of the day is an IN, else IN. When missing: the kiosk's direction, else IN",
  )

const checkFields = z.object({
  image: oneOrMore(uploadedFile, MAX_FRAMES).describe(
    `1 to ${MAX_FRAMES} pictures of the same person, JPEG, PNG or WebP, in the order in which they were taken; together not larger than one upload may be`,
  ),
  frame_ms: oneOrMore(wholeNumber(0, 60_000), MAX_FRAMES)
    .optional()
    .describe('When each picture was taken, in milliseconds since the first; 100 apart when missing'),
  device_id: deviceId,
  attendance_type: attendanceType,
  challenge: z
    .string()
    .regex(/^[\w-]{1,64}$/, { error: 'must be a challenge as the server gave it' })
    .optional()
    .describe('The challenge that the pictures answer: see POST /recognition/liveness/challenge'),
  employee_code: employeeId
    .optional()
    .describe('Who the person says to be: tells look-alikes apart, and recognises nobody by itself'),
})

/** Pictures have times that fit their order; a challenge is judged by them. */
function requireFrameTimes<Form extends typeof checkFields>(form: Form) {
  return form
    .refine(({ image, frame_ms }) => frame_ms === undefined || frame_ms.length === image.length, {
      path: ['frame_ms'],
      error: 'must be sent once for each picture, or not at all',
    })
    .refine(
      ({ frame_ms }) => frame_ms?.every((ms, index) => index === 0 || ms >= frame_ms[index - 1]) ?? true,
      {
        path: ['frame_ms'],
        error: 'must not fall: the pictures are sent in the order in which they were taken',
      },
    )
    .refine(({ challenge, frame_ms }) => challenge === undefined || frame_ms !== undefined, {
      path: ['frame_ms'],
      error: 'must be sent with a challenge',
    })
}

export const checkForm = requireFrameTimes(checkFields)

const capturedAt = time.describe(
  "When the picture was taken, by the client's clock: not in the future, and not older than 7 days",
)

export const uploadForm = requireFrameTimes(checkFields.extend({ captured_at: capturedAt }))

/** The most pictures of one batch. */
const MAX_BATCH = 10

export const batchForm = z
  .object({
    images: oneOrMore(uploadedFile, MAX_BATCH).describe(
      `1 to ${MAX_BATCH} pictures, each with one face; together not larger than one upload may be`,
    ),
    device_id: deviceId,
    attendance_type: attendanceType,
    captured_at: oneOrMore(capturedAt, MAX_BATCH)
      .optional()
      .describe('One for each picture, in the same order, or none at all'),
  })
  .refine(({ images, captured_at }) => captured_at === undefined || captured_at.length === images.length, {
    path: ['captured_at'],
    error: 'must be sent once for each picture, or not at all',
  })

/** Nobody means a time before this by hand: it is a slip of the keyboard. */
const EARLIEST = new Date('2000-01-01T00:00:00Z')
const enteredTime = time
  .transform((value) => new Date(value))
  .refine((value) => value >= EARLIEST, { error: 'must be a time after 2000' })
const why = text(500).describe('Why: it stays with the punch for good')

export const manualSchema = z.object({
  employee_id: employeeId,
  attendance_type: punchType,
  timestamp: enteredTime,
  notes: why,
  device_id: deviceId.nullish().describe('The kiosk at which it should have been'),
})

export const correctionSchema = z
  .object({
    timestamp: enteredTime.optional(),
    attendance_type: punchType.optional(),
    void: z.literal(true).optional().describe('The punch does not count at all'),
    notes: why,
  })
  .refine((given) => given.void || given.timestamp || given.attendance_type, {
    error: 'must have a timestamp, an attendance_type, or void: true',
  })
  .refine((given) => !given.void || !(given.timestamp || given.attendance_type), {
    path: ['void'],
    error: 'cannot come with a timestamp or an attendance_type',
  })

export const punchPath = z.object({ id: rowNumber('a punch') })

export const idempotencyHeaders = z.looseObject({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, { error: 'must be 1 to 255 printable ASCII characters without spaces' })
    .optional()
    .describe('The same key and request again answer the first result; kept for 7 days per device'),
})

export const disputeState = z.enum(['open', 'confirmed', 'rejected'])

export const notMeSchema = z.object({ device_id: deviceId.describe('The kiosk at which the punch was made') })

export const notMeAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  attendance_id: z.number(),
  disputed: disputeState,
})

export const resolutionSchema = z
  .object({
    confirmed: z
      .boolean()
      .describe(
        'true: it was somebody else, and the punch is taken away. false: it was the person all the same',
      ),
    employee_id: employeeId.optional().describe('Who it was: they get the punch, by hand'),
    notes: text(500).optional().describe('Why: it stays with the dispute, and with the correction for good'),
  })
  .refine((given) => given.confirmed || given.employee_id === undefined, {
    path: ['employee_id'],
    error: 'cannot be given where the dispute is rejected',
  })

export const resolvedSchema = z
  .object({
    success: z.literal(true),
    message: z.string(),
    attendance_id: z.number(),
    state: disputeState,
    correction_id: z.number().nullable().describe('The row that takes the punch away'),
    entered_id: z
      .number()
      .nullable()
      .describe('The punch that was entered for employee_id; null where they had one at this time already'),
    deleted_face_templates: z.number().describe('Templates that had been learned from the punch'),
    look_alike: z
      .string()
      .nullable()
      .describe('The employee_id from whom the person must be told apart more surely from now on'),
  })
  .meta({ id: 'DisputeResolved' })

export const disputeQuery = pageQuery.extend({
  state: disputeState.optional().describe('Only those that are open, or that were decided so'),
})

export type DisputeQuery = z.infer<typeof disputeQuery>

export const disputeSchema = z
  .object({
    attendance_id: z.number(),
    state: disputeState,
    disputed_at: z.date(),
    employee_id: z.string().describe('Who the punch says it was'),
    employee_name: z.string(),
    device_id: z.string(),
    timestamp: z.date(),
    attendance_type: punchType,
    confidence_score: z.number(),
    resolved_at: z.date().nullable(),
    resolved_by: z.string().nullable(),
    actual_employee_id: z
      .string()
      .nullable()
      .describe('Who it was, where that is known; null for somebody whom the caller may not see'),
    correction_id: z.number().nullable(),
    notes: z.string().nullable(),
  })
  .meta({ id: 'Dispute' })

// biome-ignore format: one a line would be long
const outcome = z.enum([
  'identified', 'duplicate', 'not_identified', 'ambiguous', 'attack', 'undecided', 'wrong_pin',
])

export const pin = z
  .string()
  .regex(/^\d{4,8}$/, { error: 'must be 4 to 8 digits' })
  .describe('4 to 8 digits')

/** As secret as it is short: the first that anybody tries are refused. */
export const newPinSchema = z.object({
  pin: pin.refine(
    (digits) =>
      new Set(digits).size > 1 && !'01234567890'.includes(digits) && !'09876543210'.includes(digits),
    { error: 'is one of the first that are guessed' },
  ),
})

export const pinStateSchema = z.object({
  employee_id: z.string(),
  set_at: z.date().nullable().describe('When the present PIN was set; null where there is none'),
})

export const pinCheckSchema = z.object({
  device_id: deviceId,
  employee_id: employeeId.describe('The employee code'),
  pin,
  attendance_type: attendanceType,
})

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
    next_step: z
      .enum(['more_frames', 'challenge', 'employee_code'])
      .optional()
      .describe('What may get the person in after all: several pictures, a challenge, or the employee code'),
    decision_id: z.number(),
    processing_time: z.number().describe('Seconds'),
  })
  .meta({ id: 'Checked' })

export type Checked = z.infer<typeof checkedSchema>

const filename = z.string().describe('What the client called the picture')

export const batchSchema = z.array(
  z.union([
    checkedSchema.extend({ filename }),
    z
      .looseObject({
        success: z.literal(false),
        code: z.string(),
        message: z.string(),
        error: z.string(),
        detail: z.string(),
        request_id: z.string(),
        filename,
        processing_time: z.number().describe('Seconds'),
      })
      .describe('This picture was refused; the others were not'),
  ]),
)

export type BatchEntry = z.infer<typeof batchSchema>[number]

export const decisionKind = z.enum(['face', 'manual', 'correction', 'import', 'pin'])
const punchKind = decisionKind.describe('What led to the punch')

export const punchSchema = z
  .object({
    id: z.number(),
    employee_id: z.string(),
    employee_name: z.string(),
    device_id: z.string().nullable().describe('Null for a punch that was entered by hand without a kiosk'),
    timestamp: z.date(),
    attendance_type: punchType,
    confidence_score: z.number(),
    liveness: livenessSchema,
    decision_id: z.number(),
    image_path: z.string().nullable(),
    notes: z.string().nullable(),
    kind: punchKind,
    corrects: z.number().nullable().describe('The punch that this one takes the place of'),
    is_void: z.boolean().describe('The corrected punch does not count, and nothing in its place'),
    superseded_by: z.number().nullable().describe('The correction that takes the place of this one'),
    disputed: disputeState
      .nullable()
      .describe('Whether somebody said at the kiosk that it was not them, and what was found'),
  })
  .meta({ id: 'Attendance' })

const siteId = rowNumber('a site').describe('The site of the kiosk, or of the person where there is no kiosk')

export const punchQuery = pageQuery.extend({
  from: time.optional().describe('Not before this time'),
  to: time.optional().describe('Before this time'),
  date: z.iso
    .date()
    .refine((date) => date >= '1900', { error: 'must be a date after 1900' })
    .optional()
    .describe("The day of the punch in the site's time zone, such as 2025-03-03"),
  attendance_type: punchType.optional(),
  site_id: siteId.optional(),
  department: optionalText(100),
  search: optionalText(100).describe(
    "Words that occur in the person's name or id; accents and case do not matter",
  ),
  kind: punchKind.optional(),
  disputed: disputeState.optional().describe('Only those that somebody says are not theirs'),
  sort: z
    .enum(['timestamp', '-timestamp'])
    .default('-timestamp')
    .describe('-timestamp: newest first. timestamp: oldest first'),
  include: z
    .enum(['effective', 'all'])
    .default('effective')
    .describe('effective: the punches that count. all: also those that were corrected'),
})

export const allPunchesQuery = punchQuery.extend({
  employee_id: employeeId.optional(),
  device_id: deviceId.optional(),
})

export type PunchQuery = z.infer<typeof allPunchesQuery>
export type PunchFilters = Omit<PunchQuery, 'limit' | 'skip' | 'sort' | 'include'>

const YEAR_MS = 366 * 24 * 3_600_000

export const exportQuery = allPunchesQuery
  .omit({ limit: true, skip: true, sort: true })
  .extend(fileQuery)
  .refine(({ from, date }) => from !== undefined || date !== undefined, {
    path: ['from'],
    error: 'must say where the export begins, unless date names its day',
  })
  .refine(({ from, to }) => from === undefined || to === undefined || Date.parse(from) < Date.parse(to), {
    path: ['to'],
    error: 'must be later than from',
  })
  .refine(({ from, to }) => !from || !to || Date.parse(to) - Date.parse(from) <= YEAR_MS, {
    path: ['to'],
    error: 'is more than a year after from: export the years one by one',
  })

export type ExportQuery = z.infer<typeof exportQuery>

export const streamHeaders = z.looseObject({
  'last-event-id': wholeNumber(0, 2_147_483_647, 'must be the number of a punch')
    .optional()
    .describe('The last punch that was seen; the stream goes on after it'),
})

export const todayQuery = pageQuery.extend({ site_id: siteId.optional() })

const counts = {
  total: z.number().describe('Punches'),
  people: z.number(),
  in: z.number(),
  out: z.number(),
}

export const todaySchema = z
  .object({
    ...counts,
    sites: z.array(
      z.object({
        site_id: z.number(),
        name: z.string(),
        time_zone: z.string(),
        date: z.string().describe('Today in the time zone of the site'),
        ...counts,
      }),
    ),
    punches: z.array(punchSchema).describe('Newest first, a page of them'),
  })
  .meta({ id: 'Today' })
