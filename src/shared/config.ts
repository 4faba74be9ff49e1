import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import './schema-messages.ts'

const flag = z
  .enum(['true', 'false', '1', '0', 'yes', 'no'])
  .transform((value) => value === 'true' || value === '1' || value === 'yes')

const timeZone = z.string().refine(
  (zone) => {
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone })
      return true
    } catch {
      return false
    }
  },
  { error: 'not an IANA time zone such as Asia/Ho_Chi_Minh' },
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
  PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(8000)
    .describe('Port to listen on; 0 takes a free one'),
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
