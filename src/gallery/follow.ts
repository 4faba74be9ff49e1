import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../database/tables.ts'
import type { Logger } from '../shared/log.ts'
import type { Gallery } from './gallery.ts'

/** A person who is enrolled at one server is recognised at the others within a second. */
const POLL_MS = 400
/** From so many changed people on it is less work to read everybody. */
const MANY = 500

/** The number of the ledger's last entry. Read it before the gallery is opened: what comes later is followed. */
export async function ledgerSeq(db: Database): Promise<string> {
  const { seq } = await db.selectFrom('ledger_head').select('seq').executeTakeFirstOrThrow()
  return seq
}

interface FollowDeps {
  db: Database
  gallery: Gallery
  log: Logger
  /** Told that another process may have changed the models; nothing waits for what it does. */
  onSwitch: () => void
  /** Drops what this process keeps in memory of pictures, when another one erases a person. */
  forgetPictures: () => void
}

/**
 * Keeps the gallery in step with what other processes change in the database: the ledger names every change, and its
 * numbers have no gaps, so that nobody is missed however long the database was out of reach. Returns the function that
 * stops it.
 */
export function followLedger(
  { db, gallery, log, onSwitch, forgetPictures }: FollowDeps,
  from: string,
): () => Promise<void> {
  const stopping = new AbortController()
  let seen = from

  async function catchUp(): Promise<void> {
    const head = await ledgerSeq(db)
    if (head === seen) return
    // Only after a restore are there fewer entries than before.
    const changes = BigInt(head) < BigInt(seen) ? undefined : await changesBetween(db, seen, head)
    if (changes === undefined || changes.some(({ subject }) => subject === null) || changes.length > MANY) {
      onSwitch()
      forgetPictures()
      await gallery.reload()
    } else {
      if (changes.some(({ kind }) => kind === 'model_switches')) onSwitch()
      if (changes.some(({ kind }) => kind === 'erasures')) forgetPictures()
      const rules = new Set(['calibrations', 'disputes'])
      if (changes.some(({ kind }) => rules.has(kind))) await gallery.recalibrated()
      const people = changes
        .filter(({ kind }) => kind === 'employees' || kind === 'face_templates')
        .map(({ subject }) => subject!)
      for (const employeeId of new Set(people)) await gallery.refresh(employeeId)
    }
    seen = head
  }

  async function follow(): Promise<void> {
    let failing = false
    while (!stopping.signal.aborted) {
      try {
        await catchUp()
        failing = false
      } catch (error) {
        if (!failing) log.warn({ err: error }, 'changes by other servers cannot be followed; trying again')
        failing = true
      }
      await sleep(POLL_MS, undefined, { ref: false, signal: stopping.signal }).catch(() => {})
    }
  }
  const following = follow()

  return async () => {
    stopping.abort()
    await following
  }
}

/**
 * What of the gallery the entries after `after` have changed, up to `upTo`: at most one more than are worth reading one
 * by one. Whoever was purged since has no name any more.
 */
async function changesBetween(
  db: Database,
  after: string,
  upTo: string,
): Promise<{ kind: string; subject: string | null }[]> {
  return db
    .selectFrom('ledger')
    .innerJoin('audit_log', 'audit_log.id', 'ledger.row_id')
    .select(['audit_log.subject_kind as kind', 'audit_log.subject as subject'])
    .distinct()
    .where('ledger.kind', '=', 'audit')
    .where('ledger.seq', '>', after)
    .where('ledger.seq', '<=', upTo)
    .where('audit_log.subject_kind', 'in', [
      'employees',
      'face_templates',
      'calibrations',
      'disputes',
      'model_switches',
      'erasures',
    ])
    .limit(MANY + 1)
    .execute()
}
