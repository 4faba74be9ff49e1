import { z } from 'zod'
import { deviceId } from '../devices/schema.ts'
import { employeeId } from '../employees/schema.ts'
import { rowNumber, text, uploadedFile } from '../shared/http.ts'
import { pageQuery } from '../shared/paging.ts'
import { punchSchema, punchType } from './schema.ts'

/** The most pictures of one event. */
const MAX_PICTURES = 5

/** What a kiosk says of a check that it kept while it was off line; it signs the very text. */
export const kioskEventSchema = z.object({
  device_id: deviceId,
  event_id: z.uuid(),
  seq: z.int().min(1).max(2_147_483_647).describe('One more with each event since the kiosk was paired'),
  previous_hash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe('SHA-256 of the text of the event before it; zeros before the first'),
  captured_at: z.iso.datetime({ offset: true }),
  monotonic_ms: z.number().min(0).max(1e13).describe('Of a clock that nobody can set'),
  boot_id: z.uuid().describe('Which run of that clock it was'),
  attendance_type: z.enum(['IN', 'OUT', 'AUTO']),
  frame_ms: z.array(z.int().min(0).max(60_000)).min(1).max(MAX_PICTURES),
  payload_sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

export type KioskEvent = z.infer<typeof kioskEventSchema>

export const syncForm = z.object({
  event: z.string().max(4000).describe('A KioskEvent as JSON: the text that was signed'),
  signature: z
    .string()
    .regex(/^[\w-]{86}$/, { error: 'must be 64 bytes in base64url' })
    .describe("ECDSA on P-256 with SHA-256 over the event's text, r and s, with the key of the pairing"),
  payload: uploadedFile.describe(
    'The pictures, each behind its length as 4 bytes, sealed to the sealing key',
  ),
})

const flags = z.enum(['gap', 'fork', 'clock_jump', 'bad_signature', 'other_device', 'unreadable'])
export type Flag = z.infer<typeof flags>

export const syncedSchema = z
  .object({
    event_id: z.string(),
    outcome: z
      .enum(['punched', 'duplicate', 'pending'])
      .describe('pending: somebody will decide what it was'),
    flags: z.array(flags).describe('What is wrong with the chain of events; nothing is lost for it'),
  })
  .meta({ id: 'SyncedEvent' })

export type Synced = z.infer<typeof syncedSchema>

export const pendingSchema = z
  .object({
    id: z.number(),
    device_id: z.string(),
    captured_at: z.date(),
    received_at: z.date(),
    attendance_type: z.enum(['IN', 'OUT', 'AUTO']).describe('As it was asked for at the kiosk'),
    reason: z.string().nullable().describe('Why there is no punch: the outcome or the code of the check'),
    flags: z.array(flags),
    decision_id: z.number().nullable(),
    punch_id: z.number().nullable().describe('The punch that it made, where only the flags are in question'),
    has_picture: z.boolean(),
  })
  .meta({ id: 'PendingPunch' })

export const pendingQuery = pageQuery
export const pendingPath = z.object({ id: rowNumber('a pending punch') })

export const resolutionSchema = z.union([
  z.object({
    employee_id: employeeId,
    attendance_type: punchType,
    notes: text(500).describe('Why: it stays with the punch for good'),
  }),
  z.object({ dismiss: z.literal(true), notes: text(500) }),
])

export const resolvedSchema = z.object({
  message: z.string(),
  punch: punchSchema.nullable().describe('Null where it was dismissed'),
})
