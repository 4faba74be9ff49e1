import { ECDH } from 'node:crypto'
import { isIP } from 'node:net'
import { z } from 'zod'
import { optionalText, rowNumber, text } from '../shared/http.ts'
import { pageQuery, sortBy } from '../shared/paging.ts'

/** Marks the name of a device that was deleted but is kept, because punches or decisions refer to it. */
export const deletedMark = ' [DELETED]'

/** Words that are routes below /devices, or may become some. */
const reservedIds = new Set([
  'register',
  'heartbeat',
  'cleanup',
  'pair',
  'pairing',
  'discover',
  'commands',
  'rotate-key',
])

const idCharacters = /^[\p{L}\p{M}\p{Nd}_.:-]{1,64}$/u
const idError = { error: 'must be 1 to 64 letters, digits, "_", "-", "." or ":"' }

/** A device's own id, as it stands in forms. It may name a device that does not exist. */
export const deviceId = z
  .string()
  .trim()
  .normalize('NFC')
  .regex(idCharacters, idError)
  .describe('Identifies a kiosk, for example KIOSK_001')

const newDeviceId = deviceId
  // Of whatever script: people read them as the device's number.
  .refine((id) => !/^\p{Nd}+$/u.test(id), { error: 'must not consist of digits alone' })
  .refine((id) => !/^\.+$/.test(id), { error: 'must not consist of dots alone' })
  .refine((id) => !reservedIds.has(id.toLowerCase()), { error: 'is a reserved word' })

const name = text(200).refine((value) => !value.endsWith(deletedMark.trim()), {
  error: `must not end with ${deletedMark.trim()}`,
})

const padPolicyMeaning =
  'Presentation attack detection: off does not look, flag writes its state on the punch, enforce lets only bona fide ' +
  "faces punch; null (the default) is the server's own"

const place = {
  location: optionalText(200),
  ip_address: optionalText(64).refine((value) => value == null || isIP(value) !== 0, {
    error: 'must be an IPv4 or IPv6 address',
  }),
  direction: z
    .enum(['IN', 'OUT', 'AUTO'])
    .optional()
    .describe('What a check-in here is; AUTO (the default) leaves it to the check-in'),
  pad_policy: z.enum(['off', 'flag', 'enforce']).nullable().optional().describe(padPolicyMeaning),
  site_id: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .optional()
    .describe('Where it stands; the first site by default'),
}

// Flat, and without NUL: jsonb refuses what is nested without end or no valid text.
const settingText = z.union([z.literal(''), text(1000)])
export const settings = z
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

const time = z.date().describe('ISO 8601')
const config = z.record(z.string(), z.unknown()).nullable()
const direction = z.enum(['IN', 'OUT', 'AUTO'])

export const deviceSchema = z
  .object({
    id: z.number(),
    device_id: z.string(),
    name: z.string(),
    location: z.string().nullable(),
    ip_address: z.string().nullable(),
    is_active: z.boolean(),
    created_at: time,
    last_heartbeat: time.nullable(),
    config,
    config_version: z.number().describe('One more with each change of config'),
    direction,
    pad_policy: z.enum(['off', 'flag', 'enforce']).nullable().describe(padPolicyMeaning),
    site_id: z.number(),
    state: z.enum(['online', 'late', 'offline']).describe('From the last heartbeat'),
    paired: z.boolean().describe('Whether it has a key'),
    clock_skew_ms: z.number().nullable().describe("The server's clock minus the kiosk's"),
    last_status: z.string().nullable().describe('As the kiosk tells it'),
    app_version: z.string().nullable(),
    version: z.number().describe('One more with each change by a person; also the ETag'),
  })
  .meta({ id: 'Device' })

const yesOrNo = z.enum(['true', 'false']).transform((value) => value === 'true')

export const deviceQuery = pageQuery.extend({
  is_active: yesOrNo.optional().describe('Only the active, or only the deactivated and deleted'),
  paired: yesOrNo.optional().describe('Only those with a key, or only those without'),
  state: deviceSchema.shape.state.optional().describe('Only those that are online, late or offline now'),
  direction: direction.optional(),
  site_id: rowNumber('a site').optional().describe('Only this site'),
  search: optionalText(100).describe(
    'Words that occur in the name, id or location; accents and case do not matter',
  ),
  sort: sortBy('name', 'device_id', 'created_at', 'last_heartbeat').describe(
    '`-` turns it round. Oldest entry first by default',
  ),
})

export const devicePath = z.object({
  device_id: z
    .string()
    .normalize('NFC')
    .regex(idCharacters, idError)
    .describe("The device's number or its own id"),
})

export const heartbeatSchema = z.object({
  device_id: deviceId,
  timestamp: optionalText(64).describe(
    "The device's clock, as ISO 8601; without a zone it is taken for UTC. Only the server's own clock counts",
  ),
  status: optionalText(32),
  app_version: optionalText(64),
})

const commands = ['reload', 'reset', 'test_picture', 'update'] as const

export const heartbeatAnswer = z.object({
  msg: z.literal('Heartbeat updated'),
  server_time: time,
  next_heartbeat_s: z.number().describe('When the next one is expected, in seconds'),
  clock_skew_ms: z
    .number()
    .nullable()
    .describe("The server's clock minus the kiosk's; null without its time"),
  warning: z.string().optional().describe('Where the timestamp is no time'),
  config,
  config_version: z.number(),
  direction,
  pin_allowed: z.boolean().describe('Whether its site takes an employee code with its PIN'),
  name: z.string(),
  site_name: z.string(),
  time_zone: z.string().describe("Of its site, or the server's where the site has none of its own"),
  commands: z
    .array(z.object({ id: z.number(), command: z.enum(commands) }))
    .describe('To be done now, and each to be acknowledged; a command is sent once'),
})

export const keyAnswer = z.object({
  device_id: z.string(),
  device_key: z.string().describe('Shown this once; send it as X-Device-Key'),
})

export const pairingAnswer = z.object({
  device_id: z.string(),
  code: z.string().describe('To be typed at the kiosk, once'),
  path: z.string().describe('Open it at the kiosk instead of typing'),
  qr_svg: z.string().describe('The address with that path as a QR code'),
  expires_at: time,
  expires_in: z.number().describe('Seconds'),
})

function isPoint(text: string): boolean {
  try {
    ECDH.convertKey(text, 'prime256v1', 'base64url')
    return /^B[\w-]{86}$/.test(text)
  } catch {
    return false
  }
}

export const pairingSchema = z.object({
  code: text(32).describe('As the administrator sees it; small letters, spaces and dashes do not matter'),
  signing_key: z
    .string()
    .refine(isPoint, { error: 'must be a point of P-256, uncompressed, in base64url' })
    .optional()
    .describe('Public half of the key that the kiosk signs with what it keeps off line'),
})

export const pairedAnswer = keyAnswer.extend({
  name: z.string(),
  config,
  config_version: z.number(),
  direction,
  site: z.object({
    id: z.number(),
    name: z.string(),
    time_zone: z.string().describe("The server's where the site has none of its own"),
  }),
  sealing_key: z.string().describe('A point of P-256: what the kiosk keeps off line is sealed to it'),
})

export const doneAnswer = z.object({ message: z.string() })

export const newCommandSchema = z.object({ command: z.enum(commands) })

export const commandSchema = z
  .object({
    id: z.number(),
    device_id: z.string(),
    command: z.enum(commands),
    state: z.enum(['queued', 'sent', 'done', 'failed']),
    created_at: time,
    sent_at: time.nullable(),
    finished_at: time.nullable(),
    result: z.string().nullable().describe('What the kiosk said about it'),
  })
  .meta({ id: 'DeviceCommand' })

export const commandPath = z.object({ command_id: rowNumber('a command') })

export const acknowledgementSchema = z.object({
  state: z.enum(['done', 'failed']),
  result: optionalText(500),
})

export const resetAnswer = z.object({ message: z.string(), command_id: z.number() })

export const configAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  config,
  version: z.number(),
})

export const logSchema = z
  .object({
    id: z.number(),
    created_at: time,
    device_id: z.string().nullable().describe('null when the caller could not show that it is a device'),
    ip_address: z.string().nullable(),
    action: z.string().describe('Method and route'),
    result: z.string().describe('HTTP status'),
    latency_ms: z.number().nullable(),
  })
  .meta({ id: 'NetworkLog' })

const moment = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-01-31T00:00:00Z' })

export const logQuery = pageQuery.extend({
  from: moment.optional().describe('Not before this time'),
  to: moment.optional().describe('Before this time'),
  action: optionalText(200).describe('Words that occur in method and route, such as heartbeat'),
  result: z
    .string()
    .regex(/^[1-5][0-9]{2}$/, { error: 'must be an HTTP status such as 401' })
    .optional()
    .describe('Only what was answered with this HTTP status'),
  ip_address: optionalText(64).describe('Only from this address'),
  sort: sortBy('created_at', 'latency_ms').describe('`-` turns it round. Newest first by default'),
})

const discovered = {
  ip: z.string(),
  hostname: z.string(),
  status: z.literal('discovered'),
  last_seen: time,
}

export const discoveryAnswer = z.object({
  discovered_devices: z.array(z.object(discovered)),
  total_found: z.number(),
})

export const scanAnswer = z.array(
  z.object({ ...discovered, port: z.number(), last_seen: z.string().describe('ISO 8601') }),
)

export const deletionAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  action: z.enum(['deactivated', 'deleted']),
})

export const cleanupAnswer = z.object({ success: z.literal(true), message: z.string(), deleted: z.number() })

export type NewDevice = z.infer<typeof newDeviceSchema>
export type DeviceChanges = z.infer<typeof deviceChangesSchema>
export type Device = z.infer<typeof deviceSchema>
export type Command = z.infer<typeof commandSchema>
export type CommandName = Command['command']
export type Acknowledgement = z.infer<typeof acknowledgementSchema>
export type DeviceQuery = z.infer<typeof deviceQuery>
export type LogQuery = z.infer<typeof logQuery>
export type NetworkLog = z.infer<typeof logSchema>
export type Discovered = z.infer<typeof discoveryAnswer>['discovered_devices'][number]
