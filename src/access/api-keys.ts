import { type SqlBool, sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import type { Change } from '../ledger/ledger.ts'
import type { Page } from '../shared/paging.ts'
import { type Permission, permissionsOfRole } from './permissions.ts'
import { hashToken, newToken } from './tokens.ts'

const columns = [
  'id',
  'name',
  'hint',
  'scopes',
  'created_by',
  'created_at',
  'expires_at',
  'last_used_at',
] as const

/** How exactly the last use is kept: a write for every request would be a heavy price for a date. */
const LAST_USE_MS = 60_000

export interface NewKey {
  name: string
  scopes: Permission[]
  expires_at?: string | undefined
}

/** Makes a key for a program. The key itself is in the answer and nowhere else. */
export async function createKey(change: Change, key: NewKey, createdBy: number, now: Date) {
  const token = newToken('api')
  const row = await change((trx) =>
    trx
      .insertInto('api_keys')
      .values({
        name: key.name,
        key_hash: hashToken(token),
        hint: token.slice(0, 18),
        scopes: key.scopes,
        created_by: createdBy,
        created_at: now,
        expires_at: key.expires_at === undefined ? null : new Date(key.expires_at),
        last_used_at: null,
      })
      .returning(columns)
      .executeTakeFirstOrThrow(),
  )
  return { ...row, key: token }
}

/** The keys of one page, and how many there are in all. */
export async function listKeys(db: Database, { limit, skip }: Page) {
  const all = db.selectFrom('api_keys')
  const keys = await all.select(columns).orderBy('id').limit(limit).offset(skip).execute()
  const { total } = await all.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { keys, total }
}

/**
 * The key with this hash, unless it has expired; its last use is noted. It may do what its maker may do at this moment,
 * and nothing once they are gone.
 */
export async function findKey(
  db: Database,
  keyHash: string,
  now: Date,
): Promise<{ id: number; name: string; scopes: Permission[] } | undefined> {
  const key = await db
    .selectFrom('api_keys')
    .innerJoin('users as maker', 'maker.id', 'api_keys.created_by')
    .select(['api_keys.id', 'api_keys.name', 'scopes', 'last_used_at', 'maker.role'])
    .where('key_hash', '=', keyHash)
    .where('maker.is_active', '=', true)
    .where(sql<SqlBool>`(expires_at IS NULL OR expires_at > ${now})`)
    .executeTakeFirst()
  if (!key) return undefined
  if (!key.last_used_at || now.getTime() - key.last_used_at.getTime() > LAST_USE_MS)
    await db.updateTable('api_keys').set({ last_used_at: now }).where('id', '=', key.id).execute()
  const makers = permissionsOfRole[key.role]
  const scopes = (key.scopes as Permission[]).filter((scope) => makers.has(scope))
  return { id: key.id, name: key.name, scopes }
}

/** Revokes a key: it is gone at once. False when there is none. */
export async function deleteKey(change: Change, id: number): Promise<boolean> {
  const deleted = await change((trx) =>
    trx.deleteFrom('api_keys').where('id', '=', id).returning('id').executeTakeFirst(),
  )
  return deleted !== undefined
}
