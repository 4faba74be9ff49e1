import { sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { humanV1 } from '../face/packs/human-v1.ts'
import { AppError } from '../shared/errors.ts'

/** The key of the advisory lock that enrolments share and a change of the pack wants alone; any fixed number would do. */
const packLock = 7_265_556

/** The name of the pack in use: that of the last switch that was made, the embedded one before any. */
export async function activePack(db: Database | DatabaseTransaction): Promise<string> {
  const row = await db
    .selectFrom('model_switches')
    .select('to_pack')
    .where('state', '=', 'switched')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.to_pack ?? humanV1.name
}

/**
 * Keeps the pack in use what it is until the transaction ends: first in each that stores what a pack's networks saw,
 * before any row is locked. Rejects with `pack_changed` when `pack`, whose networks they were, is not in use any more.
 */
export async function holdPack(trx: DatabaseTransaction, pack: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock_shared(${packLock})`.execute(trx)
  if ((await activePack(trx)) !== pack)
    throw new AppError('pack_changed', 'The face models are being changed. Send it again.', {
      retry_after_seconds: 1,
    })
}

/** Waits for the enrolments that are under way, and lets no other one begin until the transaction ends. */
export async function holdPackAlone(trx: DatabaseTransaction): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${packLock})`.execute(trx)
}
