import { type SqlBool, sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Clock } from '../shared/clock.ts'
import type { Logger } from '../shared/log.ts'
import {
  commitmentTo,
  digestOf,
  type LedgerRow,
  macOf,
  type Released,
  releasedBy,
  rowsOf,
} from './entries.ts'
import { type Head, type HeadStore, openHeadStore } from './heads.ts'
import { type Verified, verifyLedger } from './verify.ts'

/** Who makes a change, and how it reached the server. */
export interface Author {
  /** As `callerId` names them, or what of the program itself. */
  by: string
  /** The address that the request came from. */
  from?: string
  /** The request's method and route. */
  route?: string
  request_id?: string
}

/** What the server does of itself: retention, clean-up, calibration. */
export const serverAuthor: Author = { by: 'server' }
/** Whoever runs the command line program on the server's machine. */
export const cliAuthor: Author = { by: 'cli' }

/** A transaction whose changes are written down and entered into the ledger with it, or not at all. */
export type Change = <T>(work: (trx: DatabaseTransaction) => Promise<T>) => Promise<T>

export interface Ledger {
  /** Changes by this author. */
  by(author: Author): Change
  /** Punches, which say themselves where they come from. */
  punches: Change
  /** Compares every entry with what it is of. Resolves to what was found; rejects when the database fails. */
  verify(): Promise<Verified>
  /**
   * Takes the database as it is for what holds from now on, after an older backup was restored: what was entered later
   * than that is gone. Says so in the ledger itself.
   */
  accept(author: Author, reason: string): Promise<void>
  /** Writes the head of the day where the database's owner cannot change it. Once a day is enough. */
  exportHead(): Promise<void>
  /** Writes the head down and stops. */
  close(): Promise<void>
}

interface LedgerDeps {
  db: Database
  clock: Clock
  log: Logger
  /** The vault's key named `ledger`. */
  key: Buffer
  /** Where the newest head is kept outside the database: the folder of the keys. */
  keyFolder: string
  /** Where one head a day is added, to be carried elsewhere. */
  headsFile: string
}

/**
 * Opens the ledger. Punches that were there before there was a ledger are entered now. A database that ends before the
 * head outside of it was cut or is an older one: that is logged, and `verify` tells it until it is accepted.
 */
export async function openLedger(deps: LedgerDeps): Promise<Ledger> {
  const { db, clock, log, key } = deps
  const heads = openHeadStore(deps.keyFolder, deps.headsFile, log, (head) => holds(db, head))

  const change =
    (author?: Author, adopting = false): Change =>
    async (work) => {
      let head: Head | undefined
      const result = await db.transaction().execute(async (trx) => {
        if (author) await tellAuthor(trx, author, clock.now())
        const done = await work(trx)
        head = await enter(trx, key, adopting)
        return done
      })
      if (head) heads.moved(head)
      return result
    }

  const ledger: Ledger = {
    by: change,
    punches: change(),
    verify: () => verifyLedger(db, key, heads),
    async accept(author, reason) {
      const known = await heads.read().catch(() => undefined)
      const accepted = await headOf(db)
      await change(author)((trx) =>
        note(trx, {
          action: 'accept',
          subject_kind: 'ledger',
          details: { reason, outside: known?.seq ?? null, inside: accepted.seq },
        }),
      )
      await heads.accept(await headOf(db))
    },
    exportHead: async () => heads.exportDaily(await headOf(db), clock.now()),
    close: () => heads.close(),
  }

  await begin(db, heads, change(serverAuthor, true), log)
  return ledger
}

/** Tells the triggers whose change this is. */
async function tellAuthor(trx: DatabaseTransaction, author: Author, at: Date): Promise<void> {
  const told = JSON.stringify({ ...author, at })
  await sql`SELECT set_config('rollcall.author', ${told}, true)`.execute(trx)
}

/**
 * Enters what the transaction has written, in the order in which it was. Last of all in it: whoever has the head waits
 * for nobody else.
 */
async function enter(trx: DatabaseTransaction, key: Buffer, adopting: boolean): Promise<Head | undefined> {
  const { rows } = await sql<LedgerRow & { seq: string; head: Buffer }>`
    WITH head AS MATERIALIZED (
      SELECT seq, mac FROM ledger_head WHERE current_setting('rollcall.entries', true) <> '' FOR UPDATE
    ), listed AS MATERIALIZED (
      SELECT n * 1e10 + row_id AS n, split_part(entry, ' ', 1) AS kind, row_id
      FROM unnest(string_to_array(rtrim(current_setting('rollcall.entries', true), ','), ','))
        WITH ORDINALITY AS entries (entry, n),
        generate_series(split_part(entry, ' ', 2)::bigint, split_part(entry, ' ', 3)::bigint) AS row_id
    ), found AS (${rowsOf('listed', !adopting)})
    SELECT head.seq, head.mac AS head, found.* FROM head CROSS JOIN found ORDER BY found.n`.execute(trx)
  if (rows.length === 0) return undefined
  const own = lettingGo.get(trx)
  for (const row of rows)
    if (row.kind === 'audit' && releasedBy(row.open) && row.row_id !== own)
      throw new Error(`the audit row ${row.row_id} lets others go, and nobody here wrote it`)
  let { seq, mac } = { seq: BigInt(rows[0]!.seq), mac: rows[0]!.head }
  const entries = rows.map((row) => {
    const commitment = commitmentTo(row)
    const digest = digestOf(row.open, commitment)
    seq += 1n
    mac = macOf(key, mac, { seq, kind: row.kind, rowId: row.row_id, digest })
    const hex = { digest: digest.toString('hex'), commitment: commitment.toString('hex') }
    return { seq: Number(seq), kind: row.kind, row_id: Number(row.row_id), ...hex, mac: mac.toString('hex') }
  })
  await sql`
    WITH entered AS (
      INSERT INTO ledger (seq, kind, row_id, digest, commitment, mac)
      SELECT seq, kind, row_id, decode(digest, 'hex'), decode(commitment, 'hex'), decode(mac, 'hex')
      FROM jsonb_to_recordset(${JSON.stringify(entries)}::jsonb)
        AS entry (seq bigint, kind text, row_id bigint, digest text, commitment text, mac text)
    )
    UPDATE ledger_head SET seq = ${String(seq)}::bigint, mac = ${mac}`.execute(trx)
  return { seq: Number(seq), mac: mac.toString('hex') }
}

/** An act that changes no row of its own, such as an export. Inside a Change. Returns the audit row's number. */
export function note(trx: DatabaseTransaction, act: Act): Promise<number> {
  return write(trx, act)
}

interface Act {
  action: string
  subject_kind: string
  subject?: string | null
  details?: Record<string, unknown>
}

/** The audit row with which each open transaction lets others go: only what the program wrote itself may. */
const lettingGo = new WeakMap<DatabaseTransaction, string>()

async function write(trx: DatabaseTransaction, act: Act, released?: Released): Promise<number> {
  const { action, subject_kind, subject = null, details = {} } = act
  const { rows } = await sql<{
    id: string
  }>`SELECT audit_write(${action}::text, ${subject_kind}::text, ${subject}::text,
    ${JSON.stringify(details)}::jsonb, ${released ? JSON.stringify(released) : null}::jsonb) AS id`.execute(
    trx,
  )
  return Number(rows[0]!.id)
}

/**
 * Forgets what audit rows say of a person, in a Change that is about to change or delete what is kept of them: their
 * earlier rows lose subject, details and salt, later ones in this transaction never get any. `punches` are those that
 * the transaction deletes. The act itself stays in the ledger, with the numbers of all rows that it let go.
 */
export async function release(
  trx: DatabaseTransaction,
  {
    employeeId,
    punches,
    action,
    details,
  }: {
    employeeId: string
    punches: number[]
    action: string
    details?: Record<string, unknown>
  },
): Promise<void> {
  await sql`SELECT set_config('rollcall.forgetting', 'on', true)`.execute(trx)
  const forgotten = await trx
    .updateTable('audit_log')
    .set({ subject: null, details: null, salt: null })
    .where('subject_kind', 'in', aboutPeople)
    // A note that somebody else has the same face names them, too.
    .where(
      sql<SqlBool>`(subject = ${employeeId} OR
        details -> 'also_enrolled_as' @> jsonb_build_array(jsonb_build_object('employee_id', ${employeeId}::text)))`,
    )
    .returning('id')
    .execute()
  const released = { punches, audits: forgotten.map(({ id }) => Number(id)) }
  lettingGo.set(trx, String(await write(trx, { action, subject_kind: 'employees', details }, released)))
}

/** Kinds of subjects that are people's employee_id. */
const aboutPeople = ['employees', 'consents', 'samples', 'face_templates', 'attendance', 'pins']

async function headOf(db: Database): Promise<Head> {
  const { seq, mac } = await db.selectFrom('ledger_head').select(['seq', 'mac']).executeTakeFirstOrThrow()
  return { seq: Number(seq), mac: Buffer.from(mac).toString('hex') }
}

/** Whether the database's ledger holds this very entry. */
async function holds(db: Database, head: Head): Promise<boolean> {
  if (head.seq === 0) return true
  const row = await db
    .selectFrom('ledger')
    .select('mac')
    .where('seq', '=', String(head.seq))
    .executeTakeFirst()
  return row !== undefined && Buffer.from(row.mac).toString('hex') === head.mac
}

/** What a start finds: nothing yet, or the head that was kept. */
async function begin(db: Database, heads: HeadStore, adopt: Change, log: Logger): Promise<void> {
  const distrust = (what: string) => {
    heads.distrust()
    log.error(`${what} Run: rollcall verify`)
  }
  let known: Head | undefined
  try {
    known = await heads.read()
  } catch (error) {
    return distrust((error as Error).message)
  }
  if (known) {
    if (!(await holds(db, known)))
      distrust(
        `The ledger in the database does not hold entry ${known.seq}, its last known one: it was cut, or this is an older database.`,
      )
  } else if ((await headOf(db)).seq > 0) {
    distrust('The head of the ledger, which is kept beside the keys, is missing.')
  } else {
    await adoptPunches(db, adopt)
    await heads.accept(await headOf(db))
  }
}

/** Enters the punches of a database that is older than the ledger. */
async function adoptPunches(db: Database, adopt: Change): Promise<void> {
  const { punches } = await db
    .selectFrom('attendance')
    .select(({ fn }) => fn.countAll<string>().as('punches'))
    .executeTakeFirstOrThrow()
  if (Number(punches) === 0) return
  await adopt(async (trx) => {
    // Only one of several servers that start at once; the others find it done.
    const { seq } = await trx.selectFrom('ledger_head').select('seq').forUpdate().executeTakeFirstOrThrow()
    if (Number(seq) > 0) return
    await sql`SET LOCAL statement_timeout = 0`.execute(trx)
    await sql`SELECT set_config('rollcall.entries', string_agg(format('punch %s %s,', id, id), '' ORDER BY id), true)
      FROM attendance`.execute(trx)
    await note(trx, { action: 'adopt', subject_kind: 'ledger', details: { punches: Number(punches) } })
  })
}
