import { sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import {
  commitmentTo,
  digestOf,
  type EntryKind,
  type LedgerRow,
  macOf,
  releasedBy,
  rowsOf,
} from './entries.ts'
import type { Head, HeadStore } from './heads.ts'

/** A row that is not as it was entered. */
export interface Fault {
  /** The entry's number; null for a row that was never entered. */
  seq: number | null
  kind: EntryKind
  row_id: number | null
  what: 'changed' | 'removed' | 'inserted' | 'chain_broken' | 'cut_off' | 'unguarded'
  message: string
}

export interface Verified {
  entries: number
  head: Head
  /** In the order of the ledger, at most 20; empty when all is as it was entered. */
  faults: Fault[]
}

const PAGE = 2000
const MAX_FAULTS = 20

/** See `Ledger.verify`. Reads everything in one snapshot, a page at a time. */
export async function verifyLedger(db: Database, key: Buffer, heads: HeadStore): Promise<Verified> {
  // First of all: what is entered after it only makes the database longer.
  const { outside, faults } = await readOutside(heads)
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (trx) => {
      await sql`SET TRANSACTION READ ONLY`.execute(trx)
      await sql`SET LOCAL statement_timeout = 0`.execute(trx)
      const verified = await inSnapshot(trx, key, outside)
      return { ...verified, faults: [...faults, ...verified.faults].slice(0, MAX_FAULTS) }
    })
}

/** The heads that are kept outside the database. */
async function readOutside(heads: HeadStore): Promise<{ outside: Head[]; faults: Fault[] }> {
  const exported = await heads.exported()
  try {
    const newest = await heads.read()
    return {
      outside: newest ? [...exported, newest] : exported,
      faults: newest ? [] : [cutOff(0, missingHead)],
    }
  } catch (error) {
    return { outside: exported, faults: [cutOff(0, (error as Error).message)] }
  }
}

const missingHead =
  'The head of the ledger, which is kept beside the keys, is missing: what was cut off its end cannot be told.'

interface Entry {
  seq: string
  kind: EntryKind
  row_id: string
  digest: Buffer
  commitment: Buffer
  mac: Buffer
}

async function inSnapshot(db: Database, key: Buffer, outside: Head[]): Promise<Verified> {
  const faults: Fault[] = []
  /** What is not there as it was entered, until an entry is found that let it go. */
  const missing = new Map<string, Fault>()
  const released = new Set<string>()
  const macs = new Map(outside.map(({ seq }) => [seq, undefined as string | undefined]))
  let [mac, seq, chained]: [Uint8Array, bigint, boolean] = [Buffer.alloc(0), 0n, true]

  for (;;) {
    const entries = await pageAfter(db, seq)
    if (entries.length === 0) break
    const rows = await rowsByKey(db, entries)
    for (const entry of entries) {
      const number = Number(entry.seq)
      const at = { seq: number, kind: entry.kind, row_id: Number(entry.row_id) }
      if (BigInt(entry.seq) !== seq + 1n && chained) {
        faults.push({
          ...at,
          seq: Number(seq + 1n),
          row_id: null,
          what: 'removed',
          message: `The ledger's entry ${seq + 1n} is missing; after entry ${seq} comes ${entry.seq}.`,
        })
        chained = false
      }
      const expected = macOf(key, mac, {
        seq: BigInt(entry.seq),
        kind: entry.kind,
        rowId: entry.row_id,
        digest: entry.digest,
      })
      // After the first break every link differs: one fault says it.
      if (chained && !expected.equals(entry.mac)) {
        const message = `The ledger's entry ${number} was changed or put in: the chain breaks here.`
        faults.push({ ...at, what: 'chain_broken', message })
        chained = false
      }
      const row = rows.get(keyOf(entry))
      const fault = compare(entry, row)
      if (fault?.mayBeReleased) missing.set(keyOf(entry), { ...at, what: fault.what, message: fault.message })
      else if (fault) faults.push({ ...at, what: fault.what, message: fault.message })
      if (row && !fault && entry.kind === 'audit' && chained) letGo(row.open, released)
      if (macs.has(number)) macs.set(number, entry.mac.toString('hex'))
      seq = BigInt(entry.seq)
      mac = entry.mac
    }
  }

  for (const [name, fault] of missing) if (!released.has(name)) faults.push(fault)
  faults.push(...(await notEntered(db)), ...(await unguarded(db)))
  const head = await db.selectFrom('ledger_head').select(['seq', 'mac']).executeTakeFirstOrThrow()
  if (BigInt(head.seq) !== seq || !Buffer.from(head.mac).equals(mac))
    faults.push(cutOff(Number(seq), `The ledger ends with entry ${seq}, but its head is entry ${head.seq}.`))
  for (const { seq: number, mac: known } of outside)
    if (number > 0 && macs.get(number) !== known) {
      const message =
        number > seq
          ? `The ledger ends with entry ${seq}, but entry ${number} was written: what came after entry ${seq} was cut off, or an older database was put in its place.`
          : `The ledger's entry ${number} is not the one whose head was kept outside the database.`
      faults.push(cutOff(Number(seq), message))
      break
    }
  faults.sort((one, other) => (one.seq ?? Number.MAX_SAFE_INTEGER) - (other.seq ?? Number.MAX_SAFE_INTEGER))
  const last = { seq: Number(head.seq), mac: Buffer.from(head.mac).toString('hex') }
  return { entries: Number(seq), head: last, faults: faults.slice(0, MAX_FAULTS) }
}

async function pageAfter(db: Database, seq: bigint): Promise<Entry[]> {
  const { rows } = await sql<Entry>`SELECT seq, kind, row_id, digest, commitment, mac FROM ledger
    WHERE seq > ${String(seq)}::bigint ORDER BY seq LIMIT ${PAGE}`.execute(db)
  return rows
}

async function rowsByKey(db: Database, entries: Entry[]): Promise<Map<string, LedgerRow>> {
  const listed = JSON.stringify(entries.map(({ kind, row_id }) => ({ n: 0, kind, row_id: Number(row_id) })))
  const { rows } = await sql<LedgerRow>`
    WITH listed AS MATERIALIZED (
      SELECT * FROM jsonb_to_recordset(${listed}::jsonb) AS entry (n bigint, kind text, row_id bigint)
    ) ${rowsOf('listed')}`.execute(db)
  return new Map(rows.map((row) => [keyOf(row), row]))
}

const keyOf = ({ kind, row_id }: { kind: EntryKind; row_id: string }) => `${kind} ${row_id}`

/**
 * How a row differs from its entry. A later entry may have let it go, but only as letting go leaves it: a punch that is
 * not there, an audit row without its personal part. A number that was let go is no place for another row.
 */
function compare(
  entry: Entry,
  row: LedgerRow | undefined,
): (Pick<Fault, 'what' | 'message'> & { mayBeReleased: boolean }) | undefined {
  const punch = entry.kind === 'punch'
  const name = `${punch ? 'punch' : 'audit row'} ${entry.row_id} (entry ${entry.seq})`
  const changed = { what: 'changed' as const, message: `The ${name} was changed.`, mayBeReleased: false }
  if (!row) return { what: 'removed', message: `The ${name} was removed.`, mayBeReleased: punch }
  if (!digestOf(row.open, entry.commitment).equals(entry.digest)) return changed
  if (!punch && row.salt === null && row.personal === forgotten)
    return { what: 'changed', message: `What the ${name} says was removed.`, mayBeReleased: true }
  if (row.salt === null || !commitmentTo(row).equals(entry.commitment)) return changed
  return undefined
}

/** The personal part of an audit row of which nothing is left. */
const forgotten = '{"details": null, "subject": null}'

/** Only rows that are themselves as they were entered may let others go. */
function letGo(open: string, released: Set<string>): void {
  const rows = releasedBy(open)
  for (const id of rows?.punches ?? []) released.add(`punch ${id}`)
  for (const id of rows?.audits ?? []) released.add(`audit ${id}`)
}

/** Rows that no transaction of the program wrote. */
async function notEntered(db: Database): Promise<Fault[]> {
  const { rows } = await sql<{ kind: EntryKind; row_id: string }>`
    SELECT 'punch' AS kind, id::bigint AS row_id FROM attendance
      WHERE NOT EXISTS (SELECT FROM ledger WHERE kind = 'punch' AND row_id = attendance.id)
    UNION ALL
    SELECT 'audit', id FROM audit_log
      WHERE NOT EXISTS (SELECT FROM ledger WHERE kind = 'audit' AND row_id = audit_log.id)
    ORDER BY 1, 2 LIMIT ${MAX_FAULTS}`.execute(db)
  return rows.map(({ kind, row_id }) => ({
    seq: null,
    kind,
    row_id: Number(row_id),
    what: 'inserted',
    message:
      kind === 'punch'
        ? `The punch ${row_id} was put in by hand: it was never entered into the ledger.`
        : `The audit row ${row_id} tells of a change by hand: it was never entered into the ledger.`,
  }))
}

/** The tables whose changes are written down. */
const audited = [
  'api_keys',
  'calibrations',
  'consents',
  'devices',
  'disputes',
  'employees',
  'face_templates',
  'kiosk_events',
  'model_switches',
  'pairing_codes',
  'pins',
  'samples',
  'sites',
  'users',
]

/** What keeps changes from being written down: triggers that are off or strange, settings that silence them. */
async function unguarded(db: Database): Promise<Fault[]> {
  const { rows } = await sql<{ message: string }>`
    SELECT format('The trigger that writes changes of %s down is off or missing.', name) AS message
      FROM unnest(${audited}::text[]) AS name
      WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = name::regclass AND tgname = 'audit' AND tgenabled = 'O')
    UNION ALL
    SELECT 'The trigger that lists punches for the ledger is off or missing.'
      WHERE NOT EXISTS (SELECT FROM pg_trigger
        WHERE tgrelid = 'attendance'::regclass AND tgname = 'ledger' AND tgenabled = 'O')
    UNION ALL
    SELECT format('The table %s has a trigger that this program did not make: %s.', tgrelid::regclass, tgname)
      FROM pg_trigger WHERE NOT tgisinternal AND tgname NOT IN ('audit', 'ledger', 'attendance_is_final', 'decisions_are_final')
    UNION ALL
    SELECT format('A role or a database has a setting of its own for the ledger: %s.', setconfig)
      FROM pg_db_role_setting WHERE setconfig::text LIKE '%rollcall.%'
    ORDER BY 1`.execute(db)
  return rows.map(({ message }) => ({ seq: null, kind: 'audit', row_id: null, what: 'unguarded', message }))
}

function cutOff(seq: number, message: string): Fault {
  return { seq, kind: 'audit', row_id: null, what: 'cut_off', message }
}
