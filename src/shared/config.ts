import { readFileSync } from 'node:fs'
import { join } from 'node:path'
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

const days = z.coerce.number().int().min(1).max(36_500)

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
  WORKERS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe('Server processes that share the port and the cores; more than one needs PostgreSQL (DB_URL)'),
  SECRET_KEY: z
    .string()
    .optional()
    .describe('At least 32 random characters; without it one is made and kept in DATA_DIR/secret-key'),
  MASTER_KEY: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, { error: 'must be 64 hexadecimal digits: openssl rand -hex 32' })
    .optional()
    .describe('Seals the keys of photos and templates: 64 hexadecimal digits; several hosts must share one'),
  MASTER_KEY_FILE: z
    .string()
    .min(1)
    .optional()
    .describe('File of the master key where MASTER_KEY is not set; DATA_DIR/master-key by default'),
  KEY_DIR: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of the sealed keys; DATA_DIR/keys by default, and one for all hosts'),
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
    .describe(
      'Web origins besides the own one that may call the API; with DEVICE_AUTH=open also http:// and each name that kiosks call the server by',
    ),
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
  TLS_CERT: z
    .string()
    .optional()
    .describe(
      'Certificate to serve HTTPS with, a PEM file with its chain; without it that of `rollcall tls init`, if there is one',
    ),
  TLS_KEY: z.string().optional().describe('Private key of TLS_CERT, a PEM file without a passphrase'),
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
  UPLOAD_DIR: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of the enrolment photos; DATA_DIR/uploads by default'),
  MODEL_PATH: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of the installed model packs (`rollcall models`); DATA_DIR/models by default'),
  BACKUP_DIR: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of the backups; DATA_DIR/backups by default, better one on another disk'),
  BACKUP_KEEP: z.coerce
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(7)
    .describe('How many of the backups that the server makes each night are kept; 0 makes none'),
  BACKUP_HOUR: z.coerce
    .number()
    .int()
    .min(0)
    .max(23)
    .default(3)
    .describe('Hour of the day in TIME_ZONE at which the server makes its backup'),
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
  RETENTION_DECISIONS_DAYS: days
    .default(365)
    .describe('Days after which a decision forgets whom else the face resembled and what was measured of it'),
  RETENTION_LEAVERS_DAYS: days
    .default(365)
    .describe('Days after the end of employment until name, contact data and consents go; punches stay'),
  RETENTION_NETWORK_LOG_DAYS: days.default(30).describe("Days for which kiosks' requests are logged"),
})

export type Config = z.infer<typeof configSchema> & {
  UPLOAD_DIR: string
  MODEL_PATH: string
  MASTER_KEY_FILE: string
  KEY_DIR: string
}

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
  const { DATA_DIR, UPLOAD_DIR, MODEL_PATH, MASTER_KEY_FILE, KEY_DIR } = parsed.data
  return {
    ...parsed.data,
    UPLOAD_DIR: UPLOAD_DIR ?? `${DATA_DIR}/uploads`,
    MODEL_PATH: MODEL_PATH ?? `${DATA_DIR}/models`,
    MASTER_KEY_FILE: MASTER_KEY_FILE ?? `${DATA_DIR}/master-key`,
    KEY_DIR: KEY_DIR ?? `${DATA_DIR}/keys`,
  }
}

/** Which of the WORKERS this process is, from 1: told by the process that started it. */
export function workerNumber(env: Record<string, string | undefined> = process.env): number {
  return Number(env.ROLLCALL_WORKER ?? 1)
}

function readEnvFile(path: string): Record<string, string | undefined> {
  try {
    return parseEnv(readFileSync(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new Error(`The settings in ${path} cannot be read. It must be a readable file.`, { cause: error })
  }
}

/** Where backups lie, unless a command names another place. */
export const backupFolder = ({ BACKUP_DIR, DATA_DIR }: Pick<Config, 'BACKUP_DIR' | 'DATA_DIR'>): string =>
  BACKUP_DIR ?? join(DATA_DIR, 'backups')
