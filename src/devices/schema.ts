import { isIP } from 'node:net'
import { z } from 'zod'
import { optionalText, text } from '../shared/http.ts'

/** Marks the name of a device that was deleted but is kept, because punches or decisions refer to it. */
export const deletedMark = ' [DELETED]'

/** Words that are routes below /devices, or may become some. */
const reservedIds = new Set(['register', 'heartbeat', 'cleanup', 'pair', 'pairing', 'discover'])

/** A device's own id, as it stands in forms. It may name a device that does not exist. */
export const deviceId = z
  .string()
  .trim()
  .normalize('NFC')
  .regex(/^[\p{L}\p{M}\p{Nd}_.:-]{1,64}$/u, {
    error: 'must be 1 to 64 letters, digits, "_", "-", "." or ":"',
  })
  .describe('Identifies a kiosk, for example KIOSK_001')

const newDeviceId = deviceId
  // Of whatever script: people read them as the device's number.
  .refine((id) => !/^\p{Nd}+$/u.test(id), { error: 'must not consist of digits alone' })
  .refine((id) => !/^\.+$/.test(id), { error: 'must not consist of dots alone' })
  .refine((id) => !reservedIds.has(id.toLowerCase()), { error: 'is a reserved word' })

const name = text(200).refine((value) => !value.endsWith(deletedMark.trim()), {
  error: `must not end with ${deletedMark.trim()}`,
})

const place = {
  location: optionalText(200),
  ip_address: optionalText(64).refine((value) => value == null || isIP(value) !== 0, {
    error: 'must be an IPv4 or IPv6 address',
  }),
}

// Flat, and without NUL: jsonb refuses what is nested without end or no valid text.
const settingText = z.union([z.literal(''), text(1000)])
const settings = z
  .record(text(64), z.union([settingText, z.number(), z.boolean(), z.null()]))
  .refine((config) => Object.keys(config).length <= 50, { error: 'must have at most 50 entries' })

export const newDeviceSchema = z.object({
  device_id: newDeviceId,
  name: name.optional().describe('The id, when it is missing'),
  ...place,
})

export const deviceChangesSchema = z.object({
  name: name.optional(),
  ...place,
  is_active: z.boolean().optional(),
  config: settings.nullable().optional(),
})

export const deviceSchema = z
  .object({
    id: z.number(),
    device_id: z.string(),
    name: z.string(),
    location: z.string().nullable(),
    ip_address: z.string().nullable(),
    is_active: z.boolean(),
    created_at: z.date(),
    last_heartbeat: z.date().nullable(),
    config: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: 'Device' })

export const devicePath = z.object({
  device_id: deviceId.describe("The device's number or its own id"),
})

export const heartbeatSchema = z.object({
  device_id: deviceId,
  timestamp: optionalText(64).describe("The device's clock; only the server's own counts"),
  status: optionalText(32),
})

export const heartbeatAnswer = z.object({ msg: z.literal('Heartbeat updated') })

export const deletionAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  action: z.enum(['deactivated', 'deleted']),
})

export const cleanupAnswer = z.object({ success: z.literal(true), message: z.string(), deleted: z.number() })

export type NewDevice = z.infer<typeof newDeviceSchema>
export type DeviceChanges = z.infer<typeof deviceChangesSchema>
export type Device = z.infer<typeof deviceSchema>
