import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { AppError } from '../shared/errors.ts'

const HOUR_MS = 60 * 60 * 1000

/** Any fixed number would do. */
const COUNT_LOCK = 7_265_553

/**
 * After so many failures the pauses begin: 1 s, 2 s, 4 s ... up to the longest. Of a name from everywhere that one is
 * short: it stops a crowd from guessing, and nobody from signing in.
 */
const limits = {
  both: { free: 5, longestS: 15 * 60 },
  address: { free: 30, longestS: 15 * 60 },
  name: { free: 50, longestS: 10 },
}

type Kind = keyof typeof limits

/**
 * Counts an attempt as failed before it is made, so that many at once do not slip through; `forgive` takes it back.
 * Of a name (undefined for links and codes, which nobody types) and an address; `kinds` are the limits that hold. Throws
 * `too_many_requests` with the seconds to wait.
 */
export async function countAttempt(
  db: Database,
  username: string | undefined,
  address: string,
  now: Date,
  kinds: readonly Kind[] = ['both', 'address', 'name'],
): Promise<{ forgive: () => Promise<void> }> {
  const name = username?.toLowerCase()
  const named = { both: `both ${name} ${address}`, name: `name ${name}` }
  const texts = { address: `address ${address}`, ...(name !== undefined && named) } as Record<Kind, string>
  const keys = kinds.filter((kind) => kind in texts).map((kind) => ({ kind, key: hashOf(texts[kind]) }))
  const addressKey = keys.find(({ kind }) => kind === 'address')?.key
  const before = await db.transaction().execute(async (trx) => {
    // One after the other: all of many at once would find that nobody has failed yet.
    await sql`SELECT pg_advisory_xact_lock(${COUNT_LOCK})`.execute(trx)
    const last = addressKey
      ? await trx
          .selectFrom('login_failures')
          .select('last_at')
          .where('key', '=', addressKey)
          .executeTakeFirst()
      : undefined
    let wait = 0
    for (const { kind, key } of keys) wait = Math.max(wait, await waitSeconds(trx, key, limits[kind], now))
    if (wait > 0)
      throw new AppError('too_many_requests', `Too many failed attempts. Try again in ${wait} seconds.`, {
        retry_after_seconds: wait,
      })
    await trx
      .insertInto('login_failures')
      .values(keys.map(({ key }) => ({ key, failures: 1, last_at: now })))
      .onConflict((conflict) =>
        conflict.column('key').doUpdateSet({
          // An hour without a failure is a new beginning.
          failures: sql`CASE WHEN login_failures.last_at < ${new Date(now.getTime() - HOUR_MS)}
            THEN 1 ELSE login_failures.failures + 1 END`,
          last_at: now,
        }),
      )
      .execute()
    return last?.last_at
  })
  return {
    forgive: async () => {
      const ofName = keys.filter(({ kind }) => kind !== 'address').map(({ key }) => key)
      if (ofName.length > 0) await db.deleteFrom('login_failures').where('key', 'in', ofName).execute()
      if (!addressKey) return
      await db
        .updateTable('login_failures')
        .set({
          failures: sql`greatest(1, failures - 1)`,
          // As it was before, unless somebody has failed since: no pause begins with what was right.
          ...(before && {
            last_at: sql`CASE WHEN last_at = ${now} THEN ${before}::timestamptz ELSE last_at END`,
          }),
        })
        .where('key', '=', addressKey)
        .execute()
    },
  }
}

async function waitSeconds(
  db: DatabaseTransaction,
  key: string,
  { free, longestS }: { free: number; longestS: number },
  now: Date,
): Promise<number> {
  const row = await db
    .selectFrom('login_failures')
    .select(['failures', 'last_at'])
    .where('key', '=', key)
    .executeTakeFirst()
  if (!row || row.failures < free) return 0
  const pause = Math.min(longestS, 2 ** Math.min(20, row.failures - free))
  return Math.max(0, Math.ceil((row.last_at.getTime() - now.getTime()) / 1000 + pause))
}

/** Forgets failures that no longer count. Returns how many. */
export async function forgetFailures(db: Database, now: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('login_failures')
    .where('last_at', '<', new Date(now.getTime() - HOUR_MS))
    .executeTakeFirst()
  return Number(numDeletedRows)
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
