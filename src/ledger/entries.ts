import { createHash, createHmac } from 'node:crypto'
import { sql } from 'kysely'

/*
 * What the chain holds of a row. Each row has an open part and a personal one. The ledger keeps a commitment to the
 * personal part, HMAC-SHA-256 under the row's own random salt, and a digest, SHA-256 of the open part and the commitment;
 * the chain is mac(n) = HMAC-SHA-256(key, mac(n-1), n, kind, row, digest(n)). Whoever forgets a person deletes the
 * personal part and its salt: the commitment that stays tells nothing, not even to one who guesses, and the chain holds.
 *
 * The texts are PostgreSQL's own of a jsonb value: keys in its fixed order, times in UTC, floats in their shortest form.
 * A column that a later migration adds does not belong to it; the parts below stay as they are, for the rows that are.
 */

export type EntryKind = 'audit' | 'punch'

/** A row, as it is entered and as it is verified. */
export interface LedgerRow {
  kind: EntryKind
  row_id: string
  open: string
  personal: string
  /** Null where the personal part was let go. */
  salt: string | null
}

/** Rows that the ledger no longer vouches for: punches that are deleted, audit rows whose personal part is. */
export interface Released {
  punches: number[]
  audits: number[]
}

// With what led to the punch, but for the measures that retention forgets (the trigger on decisions lets go of the same).
// Rows of a time when there were fewer of them are none the different for those that came later.
const punchParts = sql`
  jsonb_build_object('id', r.id, 'device_id', r.device_id, 'timestamp', r.timestamp,
    'attendance_type', r.attendance_type, 'confidence_score', r.confidence_score, 'liveness', r.liveness,
    'decision_id', r.decision_id, 'corrects', r.corrects, 'is_void', r.is_void)::text AS open,
  jsonb_build_object('employee_id', r.employee_id, 'notes', r.notes, 'image_path', r.image_path,
    'decision', jsonb_build_object('kind', d.kind, 'outcome', d.outcome, 'employee_id', d.employee_id,
      'confidence', d.confidence, 'pack', d.pack,
      'record', (d.record - '{candidates,face,quality,frames,claimed}'::text[]) #- '{liveness,signals}'::text[])
    )::text AS personal,
  r.salt::text AS salt`

const auditParts = sql`
  jsonb_build_object('id', r.id, 'at', r.at, 'by', r.by, 'action', r.action, 'subject_kind', r.subject_kind,
    'released', r.released)::text AS open,
  jsonb_build_object('subject', r.subject, 'details', r.details)::text AS personal,
  r.salt::text AS salt`

/** The rows that `listed` (n, kind, row_id) names, where they still are; with `own` only those of this transaction. */
export function rowsOf(listed: string, own = false) {
  const written = own ? sql`AND r.xmin = pg_current_xact_id()::xid` : sql``
  return sql<LedgerRow & { n: string }>`
  SELECT l.n, l.kind, l.row_id, ${auditParts} FROM ${sql.ref(listed)} AS l
    JOIN audit_log AS r ON r.id = l.row_id WHERE l.kind = 'audit' ${written}
  UNION ALL
  SELECT l.n, l.kind, l.row_id, ${punchParts} FROM ${sql.ref(listed)} AS l
    JOIN attendance AS r ON r.id = l.row_id JOIN decisions AS d ON d.id = r.decision_id
    WHERE l.kind = 'punch' ${written}`
}

/** What says nothing of the personal part without the salt. */
export function commitmentTo({ personal, salt }: Pick<LedgerRow, 'personal' | 'salt'>): Buffer {
  return createHmac('sha256', salt ?? '')
    .update(personal)
    .digest()
}

export function digestOf(open: string, commitment: Uint8Array): Buffer {
  return createHash('sha256').update(open).update(commitment).digest()
}

/** One link of the chain. */
export function macOf(
  key: Buffer,
  before: Uint8Array,
  entry: { seq: bigint; kind: EntryKind; rowId: string; digest: Uint8Array },
): Buffer {
  return createHmac('sha256', key)
    .update(before)
    .update(`\n${entry.seq} ${entry.kind} ${entry.rowId}\n`)
    .update(entry.digest)
    .digest()
}

/** What an audit row lets go, as its open part says. */
export function releasedBy(open: string): Released | null {
  return (JSON.parse(open) as { released: Released | null }).released
}
