import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { thresholdOfSize } from '../face/score-table.ts'
import { type Author, type Change, note } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { open, SealBroken, seal } from '../vault/seal.ts'
import type { Vault } from '../vault/vault.ts'
import { type StoredReport, storedReport } from './calibration-report.ts'
import { type Tail, thresholdOfTail } from './calibration-tail.ts'
import { type LookAlike, replaceLookAlikes } from './look-alikes.ts'
import { toBytes, toVector } from './templates.ts'

/** What the gallery's own people taught, frozen: scores mean the same until the next one. */
export interface Calibration {
  id: number
  /** How many people it was taken from. */
  people: number
  mean: Float32Array
  /** The people that scores are normalised against; null while plain scores are used. */
  cohort: string[] | null
  /** How these people are taken for each other; null where they are too few, and of an older version. */
  tail: Tail | null
  /** An administrator's word that this tail may lower the threshold. */
  lowered: boolean
}

/** From so many people on the gallery's own centring mean is better than the pack's. */
export const MIN_PEOPLE_FOR_MEAN = 10
/** From so many people on a cohort is better than plain scores (docs/ACCURACY.md). */
export const MIN_PEOPLE_FOR_COHORT = 100
/** More people in the cohort no longer help. */
export const MAX_COHORT = 200

/** A cohort that so many have left is no longer one: plain scores again, until the next calibration. */
export const MIN_COHORT_LEFT = 50

/**
 * Whether the gallery has outgrown its calibration: at 10 people, at 100 (the first cohort), and whenever it has doubled
 * since. In between mean and cohort stay as they are, so that the scale does not drift with every enrolment.
 */
export function calibrationDue(
  people: number,
  current: Pick<Calibration, 'people'> | null,
  normalised: boolean,
): boolean {
  if (people < MIN_PEOPLE_FOR_MEAN) return false
  if (!current || people >= 2 * current.people) return true
  return people >= MIN_PEOPLE_FOR_COHORT && !normalised
}

/** The cohort: everybody, or 200 drawn by a hash, so that the same gallery draws the same people. Null below 100. */
export function drawCohort(employeeIds: readonly string[]): string[] | null {
  if (employeeIds.length < MIN_PEOPLE_FOR_COHORT) return null
  return inDrawnOrder(employeeIds).slice(0, MAX_COHORT)
}

/** Of more people these are compared with each other: time grows with their square. */
const MAX_COMPARED = 5000

/** The people whom a calibration compares with each other, the cohort among them. */
export function drawCompared(employeeIds: readonly string[]): string[] {
  return inDrawnOrder(employeeIds).slice(0, MAX_COMPARED)
}

/** Orders ids by a hash of them, so that whoever is drawn first is so again the next time. */
function inDrawnOrder(employeeIds: readonly string[]): string[] {
  const order = (id: string) => createHash('sha256').update(id).digest('hex')
  return employeeIds
    .map((id) => ({ id, order: order(id) }))
    .sort((one, other) => (one.order < other.order ? -1 : 1))
    .map(({ id }) => id)
}

/** One false identification in a hundred strangers, whatever the size of the gallery. */
export const TARGET_FPIR = 0.01

/** What the threshold in force was made of. All are confidences. */
export interface Thresholds {
  /** FACE_RECOGNITION_THRESHOLD. */
  configured: number
  /** What the pack's score table asks for at this number of people. */
  pack: number
  /** What the gallery's own people ask for at this number of them; null while they are too few to say. */
  site: number | null
  /** An administrator has given their word that the site's term alone counts, although it is below the pack's. */
  lowered: boolean
}

/**
 * The thresholds for so many people. The one in force is the highest of the three; where the site's was accepted although
 * it is below the pack's, the pack's does not count. Never below the configured one.
 */
export function thresholdsOf(
  configured: number,
  people: number,
  calibration: Pick<Calibration, 'tail' | 'lowered'> | null,
): { threshold: number; thresholds: Thresholds } {
  const pack = thresholdOfSize(people, TARGET_FPIR)
  const site = calibration?.tail ? thresholdOfTail(calibration.tail, people, TARGET_FPIR) : null
  const lowered = site !== null && site < pack && calibration!.lowered
  const threshold = Math.max(configured, site ?? 0, lowered ? 0 : pack)
  return { threshold, thresholds: { configured, pack, site, lowered } }
}

/** The vault's key of what is taken from everybody. */
export const CALIBRATION_KEY = 'calibrations'
export const calibrationContext = (pack: string, people: number) => `calibration ${pack} ${people}`

/** The newest calibration of a pack, or null; 'unreadable' when it does not open. */
export async function latestCalibration(
  { db, vault }: { db: Database; vault: Vault },
  pack: string,
): Promise<Calibration | null | 'unreadable'> {
  const row = await db
    .selectFrom('calibrations')
    .select(['id', 'people', 'mean', 'cohort', 'report', 'lowered_at'])
    .where('pack', '=', pack)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!row) return null
  const { id, people, cohort, report, lowered_at } = row
  const key = await vault.named(CALIBRATION_KEY)
  try {
    const mean = toVector(open(key, row.mean, calibrationContext(pack, people)))
    return { id, people, mean, cohort, tail: tailOf(report), lowered: lowered_at !== null }
  } catch (error) {
    if (error instanceof SealBroken) return 'unreadable'
    throw error
  }
}

function tailOf(report: unknown): Tail | null {
  return storedReport.safeParse(report).data?.tail ?? null
}

/** The number of the newest calibration of a pack, whether it opens or not. */
export async function newestId(
  db: Database | DatabaseTransaction,
  pack: string,
): Promise<number | undefined> {
  const row = await db
    .selectFrom('calibrations')
    .select('id')
    .where('pack', '=', pack)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.id
}

const HOUR_MS = 3_600_000
/** A calibration is renewed at night, when nobody waits at a kiosk. */
const NIGHT = { from: 2, to: 5, afterMs: 20 * HOUR_MS }

/**
 * Whether it is time for the calibration of the night: between 2 and 5 o'clock in the time zone, when the last one is
 * older than 20 hours (or of a version that kept no report) and a person or a template was changed since. False where
 * there is none yet: the first one is made as soon as there are people enough.
 */
export async function nightlyDue(db: Database, pack: string, now: Date, timeZone: string): Promise<boolean> {
  const hour = Number(new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit' }).format(now))
  if (hour < NIGHT.from || hour >= NIGHT.to) return false
  const last = await db
    .selectFrom('calibrations')
    .select(['id', 'created_at'])
    .select(({ eb }) => eb('report', 'is', null).as('is_older'))
    .where('pack', '=', pack)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!last || now.getTime() - last.created_at.getTime() <= NIGHT.afterMs) return false
  if (last.is_older) return true
  const change = await db
    .selectFrom('audit_log')
    .select('id')
    .where('id', '>', (audit) =>
      audit
        .selectFrom('audit_log')
        .select(({ fn }) => fn.min('id').as('id'))
        .where('subject_kind', '=', 'calibrations')
        .where('subject', '=', String(last.id)),
    )
    .where('subject_kind', 'in', ['employees', 'face_templates'])
    .limit(1)
    .executeTakeFirst()
  return change !== undefined
}

/** The key of the advisory lock that lets one process calibrate at a time; any fixed number would do. */
const calibrationLock = 7_265_554

export interface NewCalibration {
  people: number
  mean: Float32Array
  cohort: string[] | null
  report: StoredReport
  lookAlikes: readonly LookAlike[]
}

/**
 * Writes a calibration that follows number `after`, all of it or nothing. Returns its number; undefined, and nothing
 * written, where another process was faster.
 */
export async function insertCalibration(
  { change, vault }: { change: Change; vault: Vault },
  pack: string,
  { people, mean, cohort, report, lookAlikes }: NewCalibration,
  after: number | undefined,
  now: Date,
): Promise<number | undefined> {
  const key = await vault.named(CALIBRATION_KEY)
  const sealed = seal(key, toBytes(mean), calibrationContext(pack, people))
  const { tail } = report
  return change(async (trx) => {
    await sql`SELECT pg_advisory_xact_lock(${calibrationLock})`.execute(trx)
    if ((await newestId(trx, pack)) !== after) return undefined
    const { id } = await trx
      .insertInto('calibrations')
      .values({
        pack,
        people,
        mean: sealed,
        is_sealed: true,
        cohort,
        threshold: tail && thresholdOfTail(tail, people, TARGET_FPIR),
        report: JSON.stringify(report),
        ...(after !== undefined && tail && (await wordThatHolds(trx, after, tail, people))),
        created_at: now,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    await replaceLookAlikes(trx, pack, lookAlikes, now)
    return id
  })
}

/** A tenth of a decade: what a tail asks for differs by more than that from one draw of people to another. */
const SAME_THRESHOLD = 0.01

/**
 * An administrator's word on a lower threshold goes over to the next calibration, unless that one asks for more: for
 * more than .01 above what the tail that they accepted asks for, both at the new number of people. Then the pack's term
 * counts again, until the new one is accepted.
 */
async function wordThatHolds(trx: DatabaseTransaction, before: number, tail: Tail, people: number) {
  const { pack, lowered_by, lowered_at } = await trx
    .selectFrom('calibrations')
    .select(['pack', 'lowered_by', 'lowered_at'])
    .where('id', '=', before)
    .executeTakeFirstOrThrow()
  if (!lowered_at) return undefined
  const accepted = await trx
    .selectFrom('calibrations')
    .select('report')
    .where('pack', '=', pack)
    .where('lowered_at', '=', lowered_at)
    .orderBy('id')
    .limit(1)
    .executeTakeFirstOrThrow()
  const acceptedTail = tailOf(accepted.report)
  if (!acceptedTail) return undefined
  const [asked, given] = [tail, acceptedTail].map((one) => thresholdOfTail(one, people, TARGET_FPIR))
  return asked > given + SAME_THRESHOLD ? undefined : { lowered_by, lowered_at }
}

/**
 * An administrator's word that the newest calibration may lower the threshold below the pack's term; `accept: false`
 * takes it back. Rejects with `calibration_not_found`, `calibration_superseded` where there is a newer one, and
 * `nothing_to_lower` where its tail asks for as much as the pack does, or for less than the configured threshold does
 * already.
 */
export async function acceptCalibration(
  change: Change,
  author: Author,
  id: number,
  { configured, people, accept }: { configured: number; people: number; accept: boolean },
  now: Date,
): Promise<void> {
  await change(async (trx) => {
    await sql`SELECT pg_advisory_xact_lock(${calibrationLock})`.execute(trx)
    const row = await trx
      .selectFrom('calibrations')
      .select(['pack', 'report', 'lowered_at'])
      .where('id', '=', id)
      .executeTakeFirst()
    if (!row) throw new AppError('calibration_not_found', `There is no calibration ${id}.`)
    if ((await newestId(trx, row.pack)) !== id)
      throw new AppError('calibration_superseded', 'There is a newer calibration. Look at that one.')
    if ((row.lowered_at !== null) === accept) return
    const of = (lowered: boolean) => thresholdsOf(configured, people, { tail: tailOf(row.report), lowered })
    const [higher, lower] = [of(false).threshold, of(true).threshold]
    if (accept && lower >= higher)
      throw new AppError(
        'nothing_to_lower',
        'This calibration does not lower the threshold: it asks for as much as is in force without it.',
      )
    await trx
      .updateTable('calibrations')
      .set({ lowered_by: accept ? author.by : null, lowered_at: accept ? now : null })
      .where('id', '=', id)
      .execute()
    await note(trx, {
      action: accept ? 'lower_threshold' : 'restore_threshold',
      subject_kind: 'calibrations',
      subject: String(id),
      details: { before: accept ? higher : lower, after: accept ? lower : higher },
    })
  })
}
