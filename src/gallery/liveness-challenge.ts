import { createHash, randomBytes, randomInt } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import { type Action, CHALLENGE_MS, drawChallenge } from '../face/pad/challenge.ts'
import { AppError } from '../shared/errors.ts'

export interface Challenge {
  /** Says that these steps were asked, once. */
  nonce: string
  steps: Action[]
  expiresAt: Date
}

/** A person takes half a minute for two; who asks for more waits until one comes that they are prepared for. */
const MOST_A_MINUTE = 20

/**
 * Asks a kiosk for a random sequence of movements. Throws `unknown_device` where there is no such kiosk, and
 * `too_many_requests` where it asks again and again.
 */
export async function issueChallenge(db: Database, deviceId: string, now: Date): Promise<Challenge> {
  const { asked } = await db
    .selectFrom('liveness_challenges')
    .select(sql<number>`count(*)::int`.as('asked'))
    .where('device_id', '=', deviceId)
    .where('created_at', '>', new Date(now.getTime() - 60_000))
    .executeTakeFirstOrThrow()
  if (asked >= MOST_A_MINUTE)
    throw new AppError('too_many_requests', 'This kiosk has asked for too many challenges. Wait a minute.', {
      retry_after_seconds: 60,
    })
  const nonce = randomBytes(18).toString('base64url')
  const steps = drawChallenge((below) => randomInt(below))
  const expiresAt = new Date(now.getTime() + CHALLENGE_MS)
  const issued = await db
    .insertInto('liveness_challenges')
    .columns(['nonce_hash', 'device_id', 'steps', 'created_at', 'expires_at'])
    .expression(({ selectFrom, val, cast }) =>
      selectFrom('devices')
        .select([
          val(hashOf(nonce)).as('nonce_hash'),
          'device_id',
          cast<string[]>(val(JSON.stringify(steps)), 'jsonb').as('steps'),
          cast<Date>(val(now), 'timestamptz').as('created_at'),
          cast<Date>(val(expiresAt), 'timestamptz').as('expires_at'),
        ])
        .where('device_id', '=', deviceId)
        .where('is_active', '=', true),
    )
    .executeTakeFirst()
  if (!issued.numInsertedOrUpdatedRows)
    throw new AppError('unknown_device', `The device ${deviceId} is not registered, or deactivated.`)
  return { nonce, steps, expiresAt }
}

/**
 * Takes a challenge that this kiosk was given: nobody can take it again, whatever becomes of the check. Resolves to what
 * was asked. Throws `challenge_invalid` for one that was taken, is another kiosk's, is over or never was: which of them is
 * nobody's business.
 */
export async function takeChallenge(
  db: Database,
  deviceId: string,
  nonce: string,
  now: Date,
): Promise<Action[]> {
  const taken = await db
    .updateTable('liveness_challenges')
    .set({ used_at: now })
    .where('nonce_hash', '=', hashOf(nonce))
    .where('device_id', '=', deviceId)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .returning('steps')
    .executeTakeFirst()
  if (!taken)
    throw new AppError(
      'challenge_invalid',
      'This challenge was used, is too old or was given to another kiosk. Ask for a new one.',
    )
  return taken.steps as Action[]
}

/** Forgets challenges that have been over for a minute. Returns how many. */
export async function forgetChallenges(db: Database, now: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('liveness_challenges')
    .where('expires_at', '<', new Date(now.getTime() - 60_000))
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/** The database alone is not enough to answer a challenge in somebody's place. */
const hashOf = (nonce: string) => createHash('sha256').update(nonce).digest('hex')
