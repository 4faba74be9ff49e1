import { hash, verify } from '@node-rs/argon2'
import { z } from 'zod'
import { createWorkQueue } from '../shared/work-queue.ts'

export const MIN_PASSWORD_LENGTH = 10

/** The passwords that are tried first; what is longer than the minimum and not here takes guessing. */
const common = new Set([
  '1234567890',
  'password123',
  'qwertyuiop',
  '0123456789',
  '0987654321',
  'passwordpassword',
])

/** A password that somebody chooses: NIST SP 800-63B asks for length and against known ones, not for kinds of characters. */
export const newPassword = z
  .string()
  .min(MIN_PASSWORD_LENGTH, { error: `must have at least ${MIN_PASSWORD_LENGTH} characters` })
  .max(200, { error: 'must have at most 200 characters' })
  .refine((password) => !common.has(password.toLowerCase()) && new Set(password).size > 3, {
    error: 'is one of the first that are guessed',
  })
  .describe(`At least ${MIN_PASSWORD_LENGTH} characters`)

/** Argon2id with OWASP's first choice: 19 MiB, 2 passes, 1 lane. */
const cost = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

/** Hashing takes a core for a while: not many at once, whoever sends passwords by the thousand. */
const queue = createWorkQueue({ atOnce: 2, maxWaiting: 50, maxWaitingPerKey: 50, maxWaitMs: 5000 })
let turn = 0
const inTurn = <T>(work: () => Promise<T>) => queue.run(`password ${turn++}`, work)

export function hashPassword(password: string): Promise<string> {
  return inTurn(() => hash(password.normalize('NFC'), cost))
}

/** Compared with for a name that nobody has, so that it takes as long as any other. */
let decoy: Promise<string> | undefined

/** Whether the password is the one behind `stored`; an unknown name (undefined) takes the same time and is wrong. */
export async function verifyPassword(stored: string | undefined | null, password: string): Promise<boolean> {
  decoy ??= hash('the password of nobody', cost)
  const against = stored ?? (await decoy)
  const right = await inTurn(() => verify(against, password.normalize('NFC')))
  return right && stored != null
}
