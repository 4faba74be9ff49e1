import { sql } from 'kysely'
import type { Database, DatabaseTransaction, ErasuresTable } from '../database/tables.ts'
import { type Change, note } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import type { Logger } from '../shared/log.ts'
import type { Vault } from '../vault/vault.ts'
import { withdrawConsents } from './consent.ts'
import type { PhotoStore } from './photo-store.ts'
import { deleteTemplates, listSamples } from './templates.ts'

export type ErasureReason = ErasuresTable['reason']

export interface EraseDeps {
  photos: PhotoStore
  vault: Vault
  clock: Clock
  log: Logger
}

export interface Erased {
  templates: number
  photos: number
  /** Drops the key and removes the files; what it cannot do, the server does when it next tidies up. */
  afterCommit: () => Promise<void>
}

/**
 * Erases all photos and templates of a person inside the caller's Change, with a certificate of it where there was a key;
 * the key and the files go after its commit. What a decision record tells of a person is scores, and stays.
 */
export async function eraseBiometrics(
  { photos, vault, clock, log }: EraseDeps,
  trx: DatabaseTransaction,
  employeeId: string,
  reason: ErasureReason,
): Promise<Erased> {
  const samples = await listSamples(trx, employeeId)
  await trx.deleteFrom('samples').where('employee_id', '=', employeeId).execute()
  const counts = { templates: await deleteTemplates(trx, employeeId, 'all'), photos: samples.length }
  const keyId = await giveUpKey(trx, employeeId)
  if (keyId) await certify(trx, { employeeId, keyId, reason, at: clock.now(), ...counts })
  const afterCommit = async () => {
    try {
      if (keyId) await vault.destroy(keyId, reason)
      await photos.remove(samples.map(({ file_path }) => file_path))
    } catch (error) {
      log.error(
        { err: error },
        'the key or the photos of a person could not be removed; tidying up will do it',
      )
    }
  }
  return { ...counts, afterCommit }
}

/** Takes the key from the person's row. Returns its id, if there was one. */
async function giveUpKey(trx: DatabaseTransaction, employeeId: string): Promise<string | undefined> {
  const person = await trx
    .selectFrom('employees')
    .select('key_id')
    .where('employee_id', '=', employeeId)
    .executeTakeFirst()
  if (!person || person.key_id === null) return undefined
  await trx.updateTable('employees').set({ key_id: null }).where('employee_id', '=', employeeId).execute()
  return person.key_id
}

async function certify(
  trx: DatabaseTransaction,
  erasure: {
    employeeId: string
    keyId: string
    reason: ErasureReason
    at: Date
    photos: number
    templates: number
  },
): Promise<void> {
  const { employeeId, keyId, reason, at, photos, templates } = erasure
  const auditId = await note(trx, {
    action: 'erase',
    subject_kind: 'erasures',
    subject: keyId,
    details: { employee_id: employeeId, key_id: keyId, reason, photos, templates },
  })
  await trx
    .insertInto('erasures')
    .values({
      employee_id: employeeId,
      key_id: keyId,
      at,
      // Who the Change is by.
      by: sql<string>`coalesce(nullif(current_setting('rollcall.author', true), '')::jsonb->>'by', session_user)`,
      reason,
      photos,
      templates,
      audit_id: String(auditId),
    })
    .execute()
}

/** A certificate with what proves it: its entry in the ledger, and that the key is gone. */
export interface Erasure {
  erasure_id: number
  employee_id: string
  key_id: string
  at: Date
  by: string
  reason: ErasureReason
  deleted_photos: number
  deleted_face_templates: number
  key_erased: boolean
  ledger: { seq: number; mac: string } | null
}

/** The certificates about one person, oldest first. */
export async function listErasures(
  { db, vault }: { db: Database; vault: Vault },
  employeeId: string,
): Promise<Erasure[]> {
  const rows = await db
    .selectFrom('erasures')
    .leftJoin('ledger', (join) =>
      join.onRef('ledger.row_id', '=', 'erasures.audit_id').on('ledger.kind', '=', 'audit'),
    )
    .selectAll('erasures')
    .select(['ledger.seq', 'ledger.mac'])
    .where('employee_id', '=', employeeId)
    .orderBy('erasures.id')
    .execute()
  return Promise.all(
    rows.map(async (row) => ({
      erasure_id: row.id,
      employee_id: row.employee_id,
      key_id: row.key_id,
      at: row.at,
      by: row.by,
      reason: row.reason,
      deleted_photos: row.photos,
      deleted_face_templates: row.templates,
      key_erased: await vault.isErased(row.key_id),
      ledger: row.mac ? { seq: Number(row.seq), mac: Buffer.from(row.mac).toString('hex') } : null,
    })),
  )
}

/** Drops the keys whose erasure was committed and then cut off by a crash. Returns how many. */
export async function finishErasures({ db, vault }: { db: Database; vault: Vault }): Promise<number> {
  const present = new Set(await vault.keys())
  const erased = await db.selectFrom('erasures').select(['key_id', 'reason']).orderBy('id').execute()
  let dropped = 0
  for (const { key_id, reason } of erased) {
    if (!present.delete(key_id)) continue
    await vault.destroy(key_id, reason)
    dropped++
  }
  return dropped
}

/**
 * Erases again who was erased before, after an older backup brought them back: everybody whose key has a tombstone.
 * Returns their ids, with the reason that they were erased for.
 */
export async function applyTombstones(
  deps: EraseDeps & { db: Database; change: Change },
): Promise<{ employeeId: string; reason: ErasureReason }[]> {
  const { db, vault, change, clock, log } = deps
  const erased = new Set(await vault.erased())
  const keyed = await db
    .selectFrom('employees')
    .select(['employee_id', 'key_id'])
    .where('key_id', 'is not', null)
    .orderBy('id')
    .execute()
  const again: { employeeId: string; reason: ErasureReason }[] = []
  for (const { employee_id: employeeId, key_id } of keyed) {
    if (key_id === null || !erased.has(key_id)) continue
    const reason = reasonFrom(await vault.reasonOf(key_id))
    const { afterCommit } = await change(async (trx) => {
      // Of several servers that start at once, one waits for the other.
      await sql`SET LOCAL lock_timeout = 0`.execute(trx)
      await trx
        .selectFrom('employees')
        .select('id')
        .where('employee_id', '=', employeeId)
        .forNoKeyUpdate()
        .execute()
      if (reason === 'consent_withdrawn') await withdrawConsents(trx, employeeId, clock.now())
      return eraseBiometrics(deps, trx, employeeId, reason)
    })
    await afterCommit()
    log.warn({ employee_id: employeeId, reason }, 'erased again: an older backup had brought it back')
    again.push({ employeeId, reason })
  }
  return again
}

const reasons: ErasureReason[] = ['erase', 'consent_withdrawn', 'employment_ended', 'purge', 'retention']

function reasonFrom(told: string | undefined): ErasureReason {
  return reasons.find((reason) => reason === told) ?? 'restore'
}
