import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { z } from 'zod'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Page } from '../shared/paging.ts'
import { hashToken, newToken } from './tokens.ts'

const uuid = z.uuid()
const DAY_MS = 24 * 60 * 60 * 1000
/** After it, everybody signs in anew. */
export const SESSION_DAYS = 30
/** Two tabs may renew at once; later than this a token that was used before is a stolen one. */
const RACE_MS = 10_000

export interface Where {
  ip: string
  userAgent: string | undefined
}

/** Begins a session; the refresh token is shown once and stored as a hash. */
export async function startSession(
  db: Database | DatabaseTransaction,
  userId: number,
  where: Where,
  now: Date,
): Promise<{ sessionId: string; refreshToken: string }> {
  const sessionId = randomUUID()
  const refreshToken = newRefreshToken(sessionId)
  await db
    .insertInto('sessions')
    .values({
      id: sessionId,
      user_id: userId,
      refresh_hash: hashToken(refreshToken),
      previous_hash: null,
      rotated_at: now,
      created_at: now,
      expires_at: new Date(now.getTime() + SESSION_DAYS * DAY_MS),
      ip_address: where.ip,
      user_agent: where.userAgent?.slice(0, 300) ?? null,
    })
    .execute()
  return { sessionId, refreshToken }
}

export type Renewal =
  | { outcome: 'renewed'; userId: number; sessionId: string; refreshToken: string }
  | { outcome: 'refused' }
  /** Somebody used the token before: the session has ended for both. */
  | { outcome: 'reused'; userId: number }

/** It names its session, so that any token of the session is known, however old it is. */
function newRefreshToken(sessionId: string): string {
  return `${newToken('refresh')}.${sessionId}`
}

const sessionOf = (token: string) => uuid.safeParse(token.split('.').at(-1)).data

/** Exchanges a refresh token for the next one. A token is good once. */
export async function renewSession(db: Database, token: string, where: Where, now: Date): Promise<Renewal> {
  const presented = hashToken(token)
  const sessionId = sessionOf(token)
  if (sessionId === undefined) return { outcome: 'refused' }
  return db.transaction().execute(async (trx): Promise<Renewal> => {
    const session = await trx
      .selectFrom('sessions')
      .innerJoin('users', 'users.id', 'sessions.user_id')
      .select([
        'sessions.id',
        'user_id',
        'refresh_hash',
        'previous_hash',
        'rotated_at',
        'expires_at',
        'is_active',
      ])
      .where('sessions.id', '=', sessionId)
      .forUpdate('sessions')
      .executeTakeFirst()
    if (!session?.is_active || session.expires_at <= now) return { outcome: 'refused' }
    if (session.refresh_hash !== presented) {
      const raced = now.getTime() - session.rotated_at.getTime() < RACE_MS
      if (raced && session.previous_hash === presented) return { outcome: 'refused' }
      await trx.deleteFrom('sessions').where('id', '=', session.id).execute()
      return { outcome: 'reused', userId: session.user_id }
    }
    const refreshToken = newRefreshToken(session.id)
    await trx
      .updateTable('sessions')
      .set({
        refresh_hash: hashToken(refreshToken),
        previous_hash: presented,
        rotated_at: now,
        ip_address: where.ip,
      })
      .where('id', '=', session.id)
      .execute()
    return { outcome: 'renewed', userId: session.user_id, sessionId: session.id, refreshToken }
  })
}

/** Ends the session of a refresh token, of the one before it too, if there is one. */
export async function endSessionOf(db: Database, token: string): Promise<void> {
  const hash = hashToken(token)
  await db
    .deleteFrom('sessions')
    .where(({ or, eb }) => or([eb('refresh_hash', '=', hash), eb('previous_hash', '=', hash)]))
    .execute()
}

/** A page of a person's sessions that have not expired, newest first, and how many there are in all. */
export async function listSessions(db: Database, userId: number, { limit, skip }: Page, now: Date) {
  const theirs = db.selectFrom('sessions').where('user_id', '=', userId).where('expires_at', '>', now)
  const sessions = await theirs
    .select(['id', 'created_at', 'rotated_at', 'expires_at', 'ip_address', 'user_agent'])
    .orderBy('rotated_at', 'desc')
    .orderBy('id')
    .limit(limit)
    .offset(skip)
    .execute()
  const { total } = await theirs.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { sessions, total }
}

/** Ends one session of a person. False when they have no such session. */
export async function endSession(db: Database, userId: number, sessionId: string): Promise<boolean> {
  const ended = await db
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    .where('id', '=', sessionId)
    .returning('id')
    .executeTakeFirst()
  return ended !== undefined
}

/** Ends all sessions of a person but one: their password, role or state has changed. */
export async function endSessions(
  db: Database | DatabaseTransaction,
  userId: number,
  except?: string,
): Promise<number> {
  const query = db.deleteFrom('sessions').where('user_id', '=', userId)
  const ended = await (except === undefined ? query : query.where('id', '!=', except)).executeTakeFirst()
  return Number(ended.numDeletedRows)
}

/** Forgets sessions and links that have expired. */
export async function forgetExpired(db: Database, now: Date): Promise<void> {
  await db.deleteFrom('sessions').where('expires_at', '<', now).execute()
  await db.deleteFrom('one_time_links').where('expires_at', '<', now).execute()
}
