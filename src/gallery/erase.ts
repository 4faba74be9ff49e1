import { createHmac, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, DatabaseTransaction, ErasuresTable } from '../database/tables.ts'
import { type Change, note } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import type { Logger } from '../shared/log.ts'
import type { Tombstone, Vault } from '../vault/vault.ts'
import { withdrawConsents } from './consent.ts'
import { forgetLookAlikes } from './look-alikes.ts'
import type { PhotoStore } from './photo-store.ts'
import { deleteTemplates, listSamples } from './templates.ts'

export type ErasureReason = ErasuresTable['reason']

export interface EraseDeps {
  photos: PhotoStore
  vault: Vault
  clock: Clock
  log: Logger
  /** Drops what is kept in memory of pictures, where an engine runs: nobody knows whose they are. */
  forgetPictures?: () => void
}

export interface Erased {
  templates: number
  photos: number
  /** Drops the key and removes the files; what it cannot do, the server does when it next tidies up. */
  afterCommit: () => Promise<void>
}

/** An erasure that is done again, because an older backup brought the person back. */
export interface EarlierErasure {
  keyId: string
  at?: Date | undefined
  by?: string | undefined
}

/**
 * Erases all photos and templates of a person inside the caller's Change, with a certificate of it where there was a key,
 * and of every purge; the key and the files go after its commit. What a decision record tells of a person is scores, and
 * stays. One that is done again keeps the time and the author of `earlier`.
 */
export async function eraseBiometrics(
  { photos, vault, clock, log, forgetPictures }: EraseDeps,
  trx: DatabaseTransaction,
  employeeId: string,
  reason: ErasureReason,
  earlier?: EarlierErasure,
): Promise<Erased> {
  const samples = await listSamples(trx, employeeId)
  // Templates first: those that go with their photo would not be counted.
  const counts = { templates: await deleteTemplates(trx, employeeId, 'all'), photos: samples.length }
  await trx.deleteFrom('samples').where('employee_id', '=', employeeId).execute()
  await forgetLookAlikes(trx, employeeId)
  // Whoever is purged without ever having had a key needs a tombstone as well.
  const keyId =
    (await giveUpKey(trx, employeeId)) ?? earlier?.keyId ?? (reason === 'purge' ? randomUUID() : undefined)
  const at = earlier?.at ?? clock.now()
  const by = keyId && (await certify(trx, { employeeId, keyId, reason, at, by: earlier?.by, ...counts }))
  const afterCommit = async () => {
    forgetPictures?.()
    try {
      if (keyId) await vault.destroy(keyId, await tombstoneOf(vault, { employeeId, reason, at, by }))
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

async function tombstoneOf(
  vault: Vault,
  { employeeId, reason, at, by }: { employeeId: string; reason: string; at: Date; by?: string | undefined },
): Promise<Tombstone> {
  return { reason, person: await hashOf(vault, employeeId), at: at.toISOString(), by }
}

/** By which a tombstone knows a person again, with the keys of their installation. */
async function hashOf(vault: Vault, employeeId: string): Promise<string> {
  const key = await vault.named('ledger')
  return createHmac('sha256', key).update(`rollcall erased person ${employeeId}`).digest('hex')
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

/** Returns who it is by. */
async function certify(
  trx: DatabaseTransaction,
  erasure: {
    employeeId: string
    keyId: string
    reason: ErasureReason
    at: Date
    by?: string | undefined
    photos: number
    templates: number
  },
): Promise<string> {
  const { employeeId, keyId, reason, at, photos, templates } = erasure
  const auditId = await note(trx, {
    action: 'erase',
    subject_kind: 'erasures',
    subject: keyId,
    details: { employee_id: employeeId, key_id: keyId, reason, photos, templates },
  })
  // Who the Change is by.
  const author = sql<string>`coalesce(nullif(current_setting('rollcall.author', true), '')::jsonb->>'by', session_user)`
  const { by } = await trx
    .insertInto('erasures')
    .values({
      employee_id: employeeId,
      key_id: keyId,
      at,
      by: erasure.by ?? author,
      reason,
      photos,
      templates,
      audit_id: String(auditId),
    })
    .returning('by')
    .executeTakeFirstOrThrow()
  return by
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

/**
 * Drops the keys whose erasure was committed and then cut off by a crash. Returns how many. A certificate alone drops no
 * key: its entry in the ledger must say the same, and nobody may have the key any more.
 */
export async function finishErasures({ db, vault }: { db: Database; vault: Vault }): Promise<number> {
  const present = new Set(await vault.keys())
  const erased = new Set(await vault.erased())
  const certificates = await db
    .selectFrom('erasures')
    .innerJoin('audit_log', 'audit_log.id', 'erasures.audit_id')
    .innerJoin('ledger', (join) =>
      join.onRef('ledger.row_id', '=', 'audit_log.id').on('ledger.kind', '=', 'audit'),
    )
    .leftJoin('employees', 'employees.key_id', 'erasures.key_id')
    .select(['erasures.employee_id', 'erasures.key_id', 'erasures.reason', 'erasures.at', 'erasures.by'])
    .where('audit_log.action', '=', 'erase')
    .where('audit_log.subject_kind', '=', 'erasures')
    .where('audit_log.subject', '=', sql<string>`erasures.key_id::text`)
    .where('employees.id', 'is', null)
    .orderBy('erasures.id')
    .execute()
  let dropped = 0
  for (const { employee_id: employeeId, key_id, reason, at, by } of certificates) {
    if (!present.has(key_id) && erased.has(key_id)) continue
    await vault.destroy(key_id, await tombstoneOf(vault, { employeeId, reason, at, by }))
    present.delete(key_id)
    erased.add(key_id)
    dropped++
  }
  return dropped
}

/** The tombstones of a vault, by the key and by the person. */
export interface Tombstones {
  ofKey(keyId: string): Promise<(Tombstone & { keyId: string }) | undefined>
  /** Those of a person that are later than a time, the earliest first. */
  ofPerson(employeeId: string, after: Date): Promise<(Tombstone & { keyId: string })[]>
}

/** Reads all tombstones; undefined where there are none. */
export async function readTombstones(vault: Vault): Promise<Tombstones | undefined> {
  const keyIds = await vault.erased()
  if (keyIds.length === 0) return undefined
  const ofKeys = new Map<string, Tombstone & { keyId: string }>()
  const ofPeople = new Map<string, (Tombstone & { keyId: string })[]>()
  for (const keyId of keyIds) {
    const tombstone = { ...(await vault.tombstone(keyId)), keyId }
    ofKeys.set(keyId, tombstone)
    if (tombstone.person === undefined) continue
    ofPeople.set(tombstone.person, [...(ofPeople.get(tombstone.person) ?? []), tombstone])
  }
  const time = ({ at }: Tombstone) => Date.parse(at ?? '')
  return {
    ofKey: async (keyId) => ofKeys.get(keyId),
    ofPerson: async (employeeId, after) =>
      (ofPeople.get(await hashOf(vault, employeeId)) ?? [])
        .filter((tombstone) => time(tombstone) > after.getTime())
        .sort((one, other) => time(one) - time(other)),
  }
}

/** An erasure as its tombstone tells of it. */
export function earlierErasure({ keyId, at, by }: Tombstone & { keyId: string }): EarlierErasure {
  return { keyId, at: at === undefined ? undefined : new Date(at), by }
}

/**
 * Erases again who was erased before, after an older backup brought them back: everybody whose key has a tombstone, and,
 * as a backup may be older than the keys, everybody who has a tombstone and photos or templates of before it. Returns
 * their ids, with the reason that they were erased for.
 */
export async function applyTombstones(
  deps: EraseDeps & { db: Database; change: Change },
): Promise<{ employeeId: string; reason: ErasureReason }[]> {
  const { db, vault, change, clock, log } = deps
  const tombstones = await readTombstones(vault)
  const again: { employeeId: string; reason: ErasureReason }[] = []
  if (!tombstones) return again
  for (const { employeeId, keyId, oldest } of await peopleWithFaces(db)) {
    const tombstone =
      (keyId === null ? undefined : await tombstones.ofKey(keyId)) ??
      (oldest === null ? undefined : (await tombstones.ofPerson(employeeId, oldest))[0])
    if (!tombstone) continue
    const reason = reasonFrom(tombstone.reason)
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
      return eraseBiometrics(deps, trx, employeeId, reason, earlierErasure(tombstone))
    })
    await afterCommit()
    log.warn({ employee_id: employeeId, reason }, 'erased again: an older backup had brought it back')
    again.push({ employeeId, reason })
  }
  return again
}

/** Everybody who has a key, photos or templates, with the time of the oldest of these. */
async function peopleWithFaces(
  db: Database,
): Promise<{ employeeId: string; keyId: string | null; oldest: Date | null }[]> {
  const { rows } = await sql<{ employeeId: string; keyId: string | null; oldest: Date | null }>`
    SELECT employees.employee_id AS "employeeId", employees.key_id AS "keyId", stored.oldest
    FROM employees LEFT JOIN (
      SELECT employee_id, min(created_at) AS oldest FROM (
        SELECT employee_id, created_at FROM samples UNION ALL SELECT employee_id, created_at FROM face_templates
      ) AS each_one GROUP BY employee_id
    ) AS stored ON stored.employee_id = employees.employee_id
    WHERE employees.key_id IS NOT NULL OR stored.oldest IS NOT NULL ORDER BY employees.id`.execute(db)
  return rows
}

const reasons: ErasureReason[] = ['erase', 'consent_withdrawn', 'employment_ended', 'purge', 'retention']

function reasonFrom(told: string | undefined): ErasureReason {
  return reasons.find((reason) => reason === told) ?? 'restore'
}
