import type { Database } from '../database/tables.ts'
import { averageVectors } from '../face/embed.ts'
import type { Analysis } from '../face/pipeline.ts'
import { AppError } from '../shared/errors.ts'
import type { Vault } from '../vault/vault.ts'
import type { Gallery } from './gallery.ts'
import { MARGIN } from './look-alikes.ts'
import type { Models } from './models.ts'
import { findKey, readPhoto } from './person-key.ts'
import type { PhotoStore } from './photo-store.ts'
import { sampleVectors } from './templates.ts'

// What another pack would have decided differently.

/** The kept picture of a check. */
export interface KeptPicture {
  decisionId: number
  /** Who the person said to be, where that is still known. */
  claimed: string | undefined
  /** Undefined when its file is gone; rejects with `biometrics_unreadable`. */
  read(): Promise<Uint8Array | undefined>
}

/** What the floor above knows of check-ins. */
export interface Checks {
  /** The kept pictures of the newest checks since then, newest first. */
  pictures(since: Date, limit: number): Promise<KeptPicture[]>
  /**
   * Whom a check with this picture is of, by the rule of check-ins, where the person said to be `claimed`; undefined for
   * nobody.
   */
  identify(gallery: Gallery, analysis: Analysis, claimed: string | undefined): string | undefined
}

export interface Comparison {
  /** Pictures of check-ins; where no site keeps any, the stored photos, each left out of its person's template. */
  basis: 'kept_pictures' | 'stored_photos'
  compared: number
  unreadable: number
  same: number
  /** Numbers of decisions, or of photos. */
  newly_recognised: number[]
  no_longer_recognised: number[]
  different_person: number[]
  /** Milliseconds that the networks took for a picture. */
  from_ms: number | null
  to_ms: number | null
}

export interface ComparisonDeps {
  db: Database
  vault: Vault
  photos: PhotoStore
  checks: Checks
  /** The pack in use, and the other one. */
  from: Models
  to: Models
  /** Has the pack in use look at a picture when those at the kiosks leave it time. */
  look(jpeg: Uint8Array): Promise<Analysis>
  /** Resolves when it is a picture's turn; rejects when the work is to end. */
  turn(): Promise<void>
}

const DAYS = 7
const MAX_COMPARED = 500
/** So many photos tell how fast a pack is. */
const TIMED = 10

export async function comparePacks(deps: ComparisonDeps, now: Date): Promise<Comparison> {
  const since = new Date(now.getTime() - DAYS * 24 * 3_600_000)
  const pictures = await deps.checks.pictures(since, MAX_COMPARED)
  return pictures.length > 0 ? compareChecks(deps, pictures) : comparePhotos(deps)
}

async function compareChecks(deps: ComparisonDeps, pictures: readonly KeptPicture[]): Promise<Comparison> {
  const { checks, from, to } = deps
  const result = emptyComparison('kept_pictures')
  const times = stopwatch()
  for (const { decisionId, claimed, read } of pictures) {
    await deps.turn()
    const looks = await readable(async () => {
      const jpeg = await read()
      return jpeg && times.both(deps, jpeg)
    })
    if (looks) {
      const before = checks.identify(from.gallery, looks.before, claimed)
      count(result, decisionId, before, checks.identify(to.gallery, looks.after, claimed))
    } else result.unreadable++
  }
  return { ...result, ...times.means() }
}

/** Leave-one-out: each photo against its person's other photos and everybody else's templates. */
async function comparePhotos(deps: ComparisonDeps): Promise<Comparison> {
  const { db, from, to } = deps
  const result = emptyComparison('stored_photos')
  const times = stopwatch()
  const samples = await db
    .selectFrom('samples')
    .innerJoin('employees', 'employees.employee_id', 'samples.employee_id')
    .select(['samples.id', 'samples.employee_id', 'file_path'])
    .where('samples.created_from', '=', 'ADMIN_UPLOAD')
    .where('employees.is_active', '=', true)
    .orderBy('samples.id', 'desc')
    .limit(MAX_COMPARED)
    .execute()
  for (const sample of samples) {
    await deps.turn()
    const before = await leaveOneOut(deps, from, sample)
    const after = await leaveOneOut(deps, to, sample)
    if (before === 'unreadable' || after === 'unreadable') result.unreadable++
    else count(result, sample.id, before, after)
    if (times.count() >= TIMED) continue
    await readable(async () => {
      const jpeg = await readPhoto(deps, sample)
      return jpeg && times.both(deps, jpeg)
    })
  }
  return { ...result, ...times.means() }
}

/** Whom a photo is taken for when it is not among its person's own; undefined for nobody. */
async function leaveOneOut(
  { db, vault }: ComparisonDeps,
  { engine, gallery }: Models,
  sample: { id: number; employee_id: string },
): Promise<string | undefined | 'unreadable'> {
  const { pack } = engine
  const theirs = await readable(async () => {
    const key = await findKey(vault, db, sample.employee_id)
    return key && (await sampleVectors(db, key, sample.employee_id, pack.name))
  })
  if (!theirs) return 'unreadable'
  const probe = theirs.find(({ id }) => id === sample.id)
  // The networks see no face in it that could be compared.
  if (!probe) return undefined
  const others = theirs.filter((one) => one !== probe).map(({ vector }) => vector)
  const { candidates, threshold } = gallery.identify(
    [{ pack: pack.name, vector: probe.vector, weight: 1 }],
    2,
  )
  const rivals = candidates.filter(({ employeeId }) => employeeId !== sample.employee_id)
  const ranked = rivals.map(({ employeeId, confidence }) => ({ employeeId, confidence }))
  if (others.length > 0)
    ranked.push({
      employeeId: sample.employee_id,
      confidence: gallery.likeness(pack.name, averageVectors(pack.embedders, others), probe.vector),
    })
  const [best, second] = ranked.sort((one, other) => other.confidence - one.confidence)
  if (!best || best.confidence < threshold) return undefined
  return second && second.confidence > best.confidence - MARGIN ? undefined : best.employeeId
}

function emptyComparison(basis: Comparison['basis']): Comparison {
  const lists = { newly_recognised: [], no_longer_recognised: [], different_person: [] }
  return { basis, compared: 0, unreadable: 0, same: 0, ...lists, from_ms: null, to_ms: null }
}

function count(result: Comparison, id: number, before: string | undefined, after: string | undefined): void {
  result.compared++
  if (before === after) result.same++
  else if (before === undefined) result.newly_recognised.push(id)
  else if (after === undefined) result.no_longer_recognised.push(id)
  else result.different_person.push(id)
}

/** Has both packs look at pictures, and knows how long they took on average. */
function stopwatch() {
  let pictures = 0
  const total = { from_ms: 0, to_ms: 0 }
  const sum = ({ timings }: Analysis) => Object.values(timings).reduce((all, ms) => all + ms, 0)
  return {
    async both({ to, look }: ComparisonDeps, jpeg: Uint8Array) {
      const before = await look(jpeg)
      const after = await to.engine.analyse(jpeg)
      pictures++
      total.from_ms += sum(before)
      total.to_ms += sum(after)
      return { before, after }
    },
    count: () => pictures,
    means: () => ({
      from_ms: pictures === 0 ? null : total.from_ms / pictures,
      to_ms: pictures === 0 ? null : total.to_ms / pictures,
    }),
  }
}

/** Undefined for what cannot be opened or is no picture. */
async function readable<T>(read: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (error.status < 500 || error.code === 'biometrics_unreadable') return undefined
    throw error
  }
}

/** Who is recognised by the one pack and has no template in the other. */
export async function unrecognisable(
  db: Database,
  { from_pack, to_pack }: { from_pack: string; to_pack: string },
): Promise<string[]> {
  const rows = await db
    .selectFrom('face_templates')
    .innerJoin('employees', 'employees.employee_id', 'face_templates.employee_id')
    .select('face_templates.employee_id')
    .distinct()
    .where('pack', '=', from_pack)
    .where('employees.is_active', '=', true)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('face_templates as other')
            .select('other.id')
            .whereRef('other.employee_id', '=', 'face_templates.employee_id')
            .where('other.pack', '=', to_pack),
        ),
      ),
    )
    .orderBy('face_templates.employee_id')
    .execute()
  return rows.map(({ employee_id }) => employee_id)
}
