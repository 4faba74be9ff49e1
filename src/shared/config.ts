import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { isNetwork, timeZone } from './places.ts'
import './schema-messages.ts'
import { MAX_ADDRESSES, privateAddresses } from './private-networks.ts'

const flag = z
  .enum(['true', 'false', '1', '0', 'yes', 'no'])
  .transform((value) => value === 'true' || value === '1' || value === 'yes')

const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((entry) => entry.trim())
      .filter(Boolean),
  )

/** Every setting, its default and its meaning. The only place that knows the environment's names. */
export const configSchema = z.object({
  DB_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, { error: 'must look like postgresql://user:password@host:5432/database' })
    .optional()
    .describe('PostgreSQL to use; without it an embedded PostgreSQL lives in DATA_DIR'),
  DATA_DIR: z.string().min(1).default('data').describe('Folder of everything the server keeps'),
  HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; loopback until access control is configured'),
  PORT: z
    .string()
    .regex(/^[0-9]{1,5}$/, { error: 'must be a number from 0 to 65535' })
    .default('8000')
    .transform(Number)
    .refine((port) => port <= 65535, { error: 'must be a number from 0 to 65535' })
    .describe('Port to listen on; 0 takes a free one'),
  SECRET_KEY: z
    .string()
    .optional()
    .describe('At least 32 random characters; without it one is made and kept in DATA_DIR/secret-key'),
  ACCESS_TOKEN_EXPIRE_MINUTES: z.coerce
    .number()
    .min(1)
    .max(24 * 60)
    .default(30)
    .describe('How long an access token is good; the session goes on by its refresh token'),
  DEVICE_AUTH: z
    .enum(['paired', 'open'])
    .default('paired')
    .describe(
      'paired: a kiosk needs its key. open: any caller may be any registered kiosk, for a closed network',
    ),
  CORS_ORIGINS: list
    .refine((origins) => origins.every((origin) => /^https?:\/\/[^/*\s]+$/.test(origin)), {
      error: 'must be exact origins, such as https://hr.example.com, with commas between them',
    })
    .describe('Web origins besides the own one that may call the API'),
  RATE_LIMIT: z.coerce
    .number()
    .int()
    .min(10)
    .max(100_000_000)
    .default(600)
    .describe(
      'Requests a minute: of each user, of each program, and of all unknown callers of one address; a kiosk has a fifth',
    ),
  TRUST_PROXY: list
    .refine((entries) => entries.every(isNetwork), {
      error: 'must be addresses or blocks such as 10.0.0.0/8, with commas between them',
    })
    .describe('Reverse proxies whose X-Forwarded-… headers are believed'),
  DISCOVERY: flag
    .default(false)
    .describe('Whether administrators may look for kiosks in the network by mDNS'),
  SCAN_NETWORKS: list
    .refine((networks) => networks.every((network) => privateAddresses(network) !== undefined), {
      error: `must be private IPv4 networks of at most ${MAX_ADDRESSES} addresses, such as 192.168.1.0/24, with commas between them`,
    })
    .refine(
      (networks) => networks.flatMap((network) => privateAddresses(network) ?? []).length <= MAX_ADDRESSES,
      { error: `must have at most ${MAX_ADDRESSES} addresses together` },
    )
    .describe('Networks that administrators may scan for kiosks; none by default'),
  SCAN_PORTS: list
    .prefault('5000,8000')
    .transform((ports) => ports.map(Number))
    .pipe(z.array(z.int().min(1).max(65535)).min(1).max(4, { error: 'must be at most 4 ports' }))
    .describe('Ports that a scan tries'),
  DEBUG: flag.default(false).describe('More logs'),
  FACE_RECOGNITION_THRESHOLD: z.coerce
    .number()
    .min(0.25)
    .max(1)
    .default(0.65)
    .describe(
      'Lowest confidence that recognises; 0.65 is one false match in 10,000 comparisons with a person',
    ),
  ANTI_SPOOFING_ENABLED: flag
    .default(true)
    .describe('Whether presentation attacks are looked for: true means policy flag, false means off'),
  MAX_UPLOAD_SIZE: z.coerce
    .number()
    .int()
    .min(1024)
    .max(100 * 1024 * 1024)
    .default(10 * 1024 * 1024)
    .describe('Largest picture in bytes'),
  REQUIRE_CONSENT: flag
    .default(false)
    .describe('Whether photos are enrolled only of people whose consent is recorded'),
  UPLOAD_DIR: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of the enrolment photos; DATA_DIR/uploads by default'),
  TIME_ZONE: timeZone
    .default('Asia/Ho_Chi_Minh')
    .describe('IANA zone that decides which day a punch belongs to'),
  DUPLICATE_WINDOW_S: z.coerce
    .number()
    .int()
    .min(0)
    .max(3600)
    .default(60)
    .describe('A second punch of the same type within these seconds is the first one'),
})

export type Config = z.infer<typeof configSchema> & { UPLOAD_DIR: string }

/**
 * Reads the settings: `overrides` over the environment over a .env file in `folder`. An empty value means "not set".
 * Throws an Error whose message names every wrong setting, its value and what it should be.
 */
export function loadConfig(
  overrides: Record<string, string | undefined> = {},
  folder = '.',
  env: Record<string, string | undefined> = process.env,
): Config {
  const merged = { ...readEnvFile(`${folder}/.env`), ...env, ...overrides }
  const present = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== ''))
  const parsed = configSchema.safeParse(present)
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
    throw new Error(`These settings are wrong:\n${lines.join('\n')}`)
  }
  return { ...parsed.data, UPLOAD_DIR: parsed.data.UPLOAD_DIR ?? `${parsed.data.DATA_DIR}/uploads` }
}

function readEnvFile(path: string): Record<string, string | undefined> {
  try {
    return parseEnv(readFileSync(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new Error(`The settings in ${path} cannot be read. It must be a readable file.`, { cause: error })
  }
}
