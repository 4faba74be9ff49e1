import { type SqlBool, sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import { findPack } from '../face/packs/catalogue.ts'
import { digestOf } from '../face/packs/digest.ts'
import { MIN_QUALITY_SCORE, type QualityPart } from '../face/quality.ts'
import { adviceOn } from '../gallery/faults.ts'
import { type DecisionRecord, decisionRecordSchema } from './decision-record.ts'
import type { DecisionRow } from './decisions.ts'
import type { Explanation } from './explain-schema.ts'
import type { View } from './punches.ts'

/** What an explanation may tell its reader. */
export interface Reader {
  view: View
  /** Whether they may see people at all. */
  seesPeople: boolean
  /** Whether they may see raw scores. */
  seesScores: boolean
}

interface ExplainDeps {
  db: Database
  reader: Reader
  /** Whether the picture of the check can still be looked at. */
  pictureKept: boolean
}

/** All that is known of why a decision ended as it did; what its reader may not see of other people is left out. */
export async function explain(deps: ExplainDeps, row: DecisionRow): Promise<Explanation> {
  const record = decisionRecordSchema.parse(row.record)
  const { pictureKept } = deps
  const personOf = await peopleIn(deps, row, record)
  return {
    decision_id: row.decision_id,
    attendance_id: row.attendance_id,
    kind: row.kind,
    outcome: row.outcome,
    rule: record.rule ?? null,
    made_at: row.made_at,
    device_id: row.device_id,
    employee_id: row.employee_id,
    employee_name: row.employee_name,
    confidence: row.confidence,
    forgotten: isForgotten(row, record),
    requested: record.requested ?? null,
    captured_at: record.captured_at ?? null,
    claimed: record.claimed === undefined ? null : personOf(record.claimed),
    duplicate_of: row.duplicate_of,
    superseded_by: row.superseded_by,
    disputed: row.disputed,
    refused: record.refused
      ? { code: record.refused.code ?? null, details: record.refused.details ?? {} }
      : null,
    pack: packOf(row, record),
    picture: record.picture
      ? { width_px: record.picture.widthPx ?? null, height_px: record.picture.heightPx ?? null }
      : null,
    picture_kept: pictureKept,
    picture_url: pictureKept ? pictureUrl(row) : null,
    face_box: record.face?.box ?? null,
    pose: record.face?.pose ?? null,
    quality: qualityOf(record),
    frames: (record.frames ?? []).map(({ kind, quality, embedded, votes, at_ms }) => ({
      kind: kind ?? null,
      quality: quality ?? null,
      embedded: embedded ?? false,
      votes: votes ? { ...personOf(votes.employee_id), confidence: votes.confidence } : null,
      at_ms: at_ms ?? null,
    })),
    liveness: livenessOf(record),
    scale: record.scale ?? null,
    people: record.people ?? null,
    candidates: candidatesOf(record, personOf, deps.reader),
    margin: marginOf(record),
    thresholds: thresholdsOf(row, record),
    vouched: await vouchedOf(deps, row, record),
    timings_ms: record.timings_ms ?? {},
  }
}

type Person = Pick<Explanation['candidates'][number], 'employee_id' | 'name' | 'pseudonym'>

/**
 * How the people of a record are shown: by id and name to those who may see them, under a pseudonym to all. Nobody is
 * named who was erased since, or purged: what is left of them in others' records is of no person. Nor is who came since:
 * a code that was nobody's then was not theirs.
 */
async function peopleIn(
  { db, reader }: ExplainDeps,
  { made_at }: DecisionRow,
  { candidates = [], frames = [], claimed }: DecisionRecord,
): Promise<(employeeId: string | undefined) => Person> {
  const resembled = [
    ...candidates.map((one) => one.employee_id),
    ...frames.map((one) => one.votes?.employee_id),
  ]
  const ids = [...new Set([...resembled, claimed].filter((id) => id !== undefined))]
  const seen = reader.seesPeople && ids.length > 0 ? await seenBy(db, reader, ids, made_at) : []
  const names = new Map(seen.map(({ employee_id, name }) => [employee_id, name]))
  return (id) => ({
    employee_id: id !== undefined && names.has(id) ? id : null,
    name: names.get(id ?? '') ?? null,
    pseudonym: id === undefined ? 'unknown' : `person ${ids.indexOf(id) + 1}`,
  })
}

async function seenBy(db: Database, { view }: Reader, ids: string[], madeAt: Date) {
  const people = db
    .selectFrom('employees')
    .select(['employee_id', 'name'])
    .where(sql<SqlBool>`employee_id = ANY(${ids}::text[])`)
    .where('created_at', '<=', madeAt)
    .where(
      sql<SqlBool>`NOT EXISTS (SELECT FROM erasures
        WHERE erasures.employee_id = employees.employee_id AND erasures.at >= ${madeAt}::timestamptz)`,
    )
  const { departments } = view
  return (
    departments ? people.where(sql<SqlBool>`department = ANY(${departments}::text[])`) : people
  ).execute()
}

/** Each of them is a measure, or names whom a face resembled; a decision about a face has some until they are forgotten. */
function isForgotten({ kind }: DecisionRow, record: DecisionRecord): boolean {
  const { candidates, face, quality, frames, liveness } = record
  return kind === 'face' && !candidates && !face && !quality && !frames && !liveness?.signals
}

function packOf(row: DecisionRow, record: DecisionRecord): Explanation['pack'] {
  if (row.kind !== 'face') return null
  const name = record.pack?.name ?? row.pack
  const digest = record.pack?.digest ?? null
  const known = findPack(name ?? '')?.files
  if (!known || digestOf(known) !== digest) return { name, digest, files: null }
  return { name, digest, files: Object.entries(known).map(([file, { sha256 }]) => ({ name: file, sha256 })) }
}

/** Where the picture of a decision is, whether or not it is kept. */
function pictureUrl({ decision_id, attendance_id }: DecisionRow): string {
  const path = attendance_id === null ? `decisions/${decision_id}` : String(attendance_id)
  return `/api/v1/attendance/${path}/image`
}

function qualityOf({ quality }: DecisionRecord): Explanation['quality'] {
  if (!quality) return null
  const { score = null, parts = {} } = quality
  const reasons = (Object.keys(parts) as QualityPart[])
    .filter((part) => parts[part] < MIN_QUALITY_SCORE)
    .sort((one, other) => parts[one] - parts[other])
  return { score, parts, reasons, advice: adviceOn(reasons) }
}

function livenessOf({ liveness }: DecisionRecord): Explanation['liveness'] {
  if (!liveness) return null
  const signals = (liveness.signals ?? []).map(({ signal, state, scores, reason }) => ({
    signal: signal ?? null,
    state: state ?? null,
    scores: scores ?? {},
    reason: reason ?? null,
  }))
  const { state = null, policy = null, steps = null } = liveness
  return { state, policy, steps, signals }
}

function candidatesOf(
  { candidates = [], thresholds }: DecisionRecord,
  personOf: (employeeId: string | undefined) => Person,
  { seesScores }: Reader,
): Explanation['candidates'] {
  return candidates.map((one, index) => ({
    rank: index + 1,
    ...personOf(one.employee_id),
    confidence: one.confidence ?? null,
    above_threshold:
      one.confidence === undefined || thresholds?.confidence === undefined
        ? null
        : one.confidence >= thresholds.confidence,
    margin: one.margin ?? null,
    look_alike: one.look_alike ?? false,
    extrapolated: one.extrapolated ?? false,
    ...(seesScores && { raw_score: one.raw_score, score: one.score, template_id: one.template_id }),
  }))
}

/** In confidence, of which .1 is a decade of false matches; older records have it only as far as it was not clamped. */
function marginOf({ candidates = [] }: DecisionRecord): number | null {
  const [first, second] = candidates
  if (first?.minus_log10_fmr !== undefined && second?.minus_log10_fmr !== undefined)
    return (first.minus_log10_fmr - second.minus_log10_fmr) / 10
  if (first?.confidence === undefined || second?.confidence === undefined) return null
  return first.confidence - second.confidence
}

function thresholdsOf(
  { calibration_id }: DecisionRow,
  { thresholds }: DecisionRecord,
): Explanation['thresholds'] {
  if (!thresholds) return null
  const nothing = { confidence: null, configured: null, pack: null, site: null, lowered: null }
  const more = { high: null, learning: null, margin: null, quality: null }
  return { ...nothing, ...more, ...thresholds, calibration_id }
}

/** Who vouches for what no face led to. */
async function vouchedOf(
  { db }: ExplainDeps,
  { kind }: DecisionRow,
  record: DecisionRecord,
): Promise<Explanation['vouched']> {
  if (kind === 'face') return null
  const { before, after } = record
  const by = record.entered_by ?? record.imported_by ?? null
  const punch = (one: typeof before) =>
    one && {
      timestamp: one.timestamp ?? null,
      attendance_type: one.attendance_type ?? null,
      is_void: one.is_void ?? null,
    }
  return {
    by,
    by_name: await nameOf(db, by),
    notes: record.notes ?? null,
    corrects: record.corrects ?? null,
    before: punch(before) ?? null,
    after: punch(after) ?? null,
    imported_from: record.source ?? null,
    original:
      kind === 'import'
        ? {
            id: record.legacy_id ?? null,
            device_id: record.legacy_device_id ?? null,
            confidence_score: record.legacy_confidence_score ?? null,
            image_path: record.legacy_image_path ?? null,
          }
        : null,
  }
}

/** Of a user, whom records name by number. */
async function nameOf(db: Database, by: string | null): Promise<string | null> {
  const number = /^user:(\d+)$/.exec(by ?? '')?.[1]
  if (number === undefined) return null
  const user = await db
    .selectFrom('users')
    .select(['name', 'username'])
    .where('id', '=', Number(number))
    .executeTakeFirst()
  return user?.name ?? user?.username ?? null
}
