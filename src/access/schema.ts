import { z } from 'zod'
import { optionalText, rowNumber, text } from '../shared/http.ts'
import { pageQuery, sortBy } from '../shared/paging.ts'
import { newPassword } from './passwords.ts'
import { permissionNames, roles, scopes } from './permissions.ts'

const username = text(254)
  .refine((name) => !/\s/.test(name), { error: 'must not contain spaces' })
  .describe('What the user signs in with, such as an e-mail address')

/** Not trimmed or changed: a password is what was typed. */
const password = z.string().min(1).max(200)

const token = z.string().min(1).max(200)
const time = z.date().describe('ISO 8601')

export const credentialsSchema = z.object({
  username,
  password,
  code: z
    .string()
    .regex(/^[0-9]{6}$/, { error: 'must be the 6 digits that the authenticator app shows' })
    .optional()
    .describe('Of the second factor, where one is set up'),
})

export const setupSchema = z.object({ token, username, name: text(200).optional(), password: newPassword })
export const setupStateSchema = z.object({ needed: z.boolean() })
export const resetSchema = z.object({ token, password: newPassword })
export const passwordChangeSchema = z.object({ current_password: password, new_password: newPassword })
export const codeSchema = z.object({ code: credentialsSchema.shape.code.unwrap() })
export const passwordSchema = z.object({ password })

export const userSchema = z
  .object({
    id: z.number(),
    username: z.string(),
    name: z.string(),
    role: z.enum(roles),
    departments: z.array(z.string()).nullable().describe('What a manager sees; null for other roles'),
    is_active: z.boolean(),
    totp_enabled: z.boolean(),
    created_at: time,
    last_login_at: time.nullable(),
    version: z.number().describe('Also the ETag; send it back as If-Match with a change'),
  })
  .meta({ id: 'User' })

export const userQuery = pageQuery.extend({
  role: z.enum(roles).optional().describe('Only this role'),
  is_active: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .describe('Only the active, or only the deactivated'),
  search: optionalText(100).describe(
    'Words that occur in the name or username; accents and case do not matter',
  ),
  sort: sortBy('name', 'username', 'created_at', 'last_login_at').describe(
    '`name` is the Vietnamese order, by given name; `-` turns it round. Oldest entry first by default',
  ),
})

export type UserQuery = z.infer<typeof userQuery>

export const signedInSchema = z.object({
  access_token: z.string().describe('Send it as Authorization: Bearer …'),
  token_type: z.literal('bearer'),
  expires_in: z.number().describe('Seconds'),
  user: userSchema,
})

export const meSchema = userSchema.extend({
  permissions: z.array(z.enum(permissionNames)),
  session_id: z.string(),
})

const departments = z.array(text(200)).min(1).max(100)

export const newUserSchema = z
  .object({
    username,
    name: text(200).optional(),
    role: z.enum(roles),
    departments: departments.optional().describe('For managers alone, who need at least one'),
  })
  .refine(({ role, departments }) => (role === 'manager') === (departments !== undefined), {
    path: ['departments'],
    error: 'must be given for a manager, and for nobody else',
  })

export const userChangesSchema = z.object({
  name: text(200).optional(),
  role: z.enum(roles).optional(),
  departments: departments.optional().describe('For managers alone'),
  is_active: z.boolean().optional(),
})

export type SentUserChanges = z.infer<typeof userChangesSchema>

export const linkSchema = z.object({
  token: z.string().describe('For POST /api/v1/auth/reset, once'),
  path: z.string().describe('Send it to the user with your address before it'),
  expires_in: z.number().describe('Seconds'),
})

export const invitedSchema = z.object({ user: userSchema, link: linkSchema })

export const sessionSchema = z.object({
  id: z.string(),
  created_at: time,
  last_used_at: time,
  expires_at: time,
  ip_address: z.string().nullable(),
  user_agent: z.string().nullable(),
  current: z.boolean(),
})

export const totpSchema = z.object({
  secret: z.string().describe('For authenticator apps that cannot read the picture'),
  uri: z.string(),
  qr_svg: z.string().describe('The uri as a QR code'),
})

export const newKeySchema = z.object({
  name: text(200),
  scopes: z
    .array(z.enum(scopes))
    .min(1)
    .transform((names) => [...new Set(names)]),
  expires_at: z.iso
    .datetime({ offset: true, error: 'must be a time such as 2026-01-31T00:00:00Z' })
    .optional(),
})

export const keySchema = z
  .object({
    id: z.number(),
    name: z.string(),
    hint: z.string().describe('How the key begins'),
    scopes: z.array(z.string()),
    created_by: z.number().nullable(),
    created_at: time,
    expires_at: time.nullable(),
    last_used_at: time.nullable().describe('To the minute'),
  })
  .meta({ id: 'ApiKey' })

export const newKeyAnswer = keySchema.extend({
  key: z.string().describe('Shown this once; send it as X-API-Key'),
})

export const userPath = z.object({ id: rowNumber('a user') })
export const keyPath = z.object({ id: rowNumber('a key') })
export const sessionPath = z.object({ session_id: z.uuid({ error: 'must be the id of a session' }) })
export const done = z.object({ message: z.string() })
