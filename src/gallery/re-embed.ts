import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { FaceEngine } from '../face/engine.ts'
import type { Change } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Vault } from '../vault/vault.ts'
import { holdPack } from './active-pack.ts'
import { learnedVector } from './adapt.ts'
import { enrollableFace, rebuildTemplate } from './enrol.ts'
import { findKey, opening, readPhoto } from './person-key.ts'
import type { PhotoStore } from './photo-store.ts'
import {
  ADMIN_SLOT,
  deleteTemplates,
  deleteUnusedPhotos,
  findPerson,
  listSamples,
  openSample,
  openTemplate,
  sealTemplate,
  upsertSampleVector,
} from './templates.ts'

// Gives people in another pack what they have in the one in use: each stored photo embedded, each template made anew.

export interface ReEmbedDeps {
  db: Database
  vault: Vault
  photos: PhotoStore
  clock: Clock
  /** Of the new pack. */
  engine: FaceEngine
}

export interface PackChange {
  from_pack: string
  to_pack: string
}

/** A photo that the new pack can make nothing of; without a number, a person of whom nothing can be read. */
export interface Skipped {
  employee_id: string
  sample_id: number | null
  reason: string
}

/** What a person still lacks in the new pack. */
export interface Lag {
  employeeId: string
  /** Photos that are not embedded. */
  samples: number[]
  /** Template slots to make and to remove. */
  make: number[]
  drop: number[]
}

interface SampleState {
  employee_id: string
  id: number
  created_from: 'ADMIN_UPLOAD' | 'ATTENDANCE'
  has_from: boolean
  has_to: boolean
}

interface TemplateState {
  id: number
  employee_id: string
  image_id: number
  pack: string
  updated_at: Date
  active_from: Date | null
  is_suspended: boolean
  learned_from: number | null
  sample_id: number | null
}

/**
 * How far the new pack is: the number of photos, how many of them are embedded or skipped, and who lacks what. Of one
 * person only where `employeeId` is given.
 */
export async function lagOf(
  db: Database | DatabaseTransaction,
  change: PackChange,
  skipped: readonly Skipped[],
  employeeId?: string,
): Promise<{ total: number; done: number; people: Lag[] }> {
  const samples = byPerson(await sampleStates(db, change, employeeId))
  const templates = byPerson(await templateStates(db, change, employeeId))
  const skippedSamples = new Set(skipped.map(({ sample_id }) => sample_id))
  const leftOut = new Set(skipped.flatMap((one) => (one.sample_id === null ? [one.employee_id] : [])))
  let total = 0
  let missing = 0
  const people: Lag[] = []
  for (const id of new Set([...samples.keys(), ...templates.keys()])) {
    const theirs = samples.get(id) ?? []
    total += theirs.length
    if (leftOut.has(id)) continue
    const lacking = theirs.filter((sample) => !sample.has_to && !skippedSamples.has(sample.id))
    missing += lacking.length
    const lag = {
      employeeId: id,
      samples: lacking.map((sample) => sample.id),
      ...templateLag(change, theirs, templates.get(id) ?? []),
    }
    if (lag.samples.length + lag.make.length + lag.drop.length > 0) people.push(lag)
  }
  return { total, done: total - missing, people }
}

function sampleStates(
  db: Database | DatabaseTransaction,
  { from_pack, to_pack }: PackChange,
  employeeId?: string,
): Promise<SampleState[]> {
  let query = db
    .selectFrom('samples')
    .innerJoin('employees', 'employees.employee_id', 'samples.employee_id')
    .leftJoin('sample_embeddings as old', (join) =>
      join.onRef('old.sample_id', '=', 'samples.id').on('old.pack', '=', from_pack),
    )
    .leftJoin('sample_embeddings as new', (join) =>
      join.onRef('new.sample_id', '=', 'samples.id').on('new.pack', '=', to_pack),
    )
    .select(({ eb }) => [
      'samples.employee_id',
      'samples.id',
      'samples.created_from',
      eb('old.sample_id', 'is not', null).$castTo<boolean>().as('has_from'),
      eb('new.sample_id', 'is not', null).$castTo<boolean>().as('has_to'),
    ])
    .where('employees.ended_at', 'is', null)
    .orderBy('samples.id')
  if (employeeId !== undefined) query = query.where('samples.employee_id', '=', employeeId)
  return query.execute()
}

function templateStates(
  db: Database | DatabaseTransaction,
  { from_pack, to_pack }: PackChange,
  employeeId?: string,
): Promise<TemplateState[]> {
  let query = db
    .selectFrom('face_templates')
    .innerJoin('employees', 'employees.employee_id', 'face_templates.employee_id')
    .select([
      'face_templates.id',
      'face_templates.employee_id',
      'image_id',
      'pack',
      'face_templates.updated_at',
      'active_from',
      'is_suspended',
      'learned_from',
      'sample_id',
    ])
    .where('pack', 'in', [from_pack, to_pack])
    .where('employees.ended_at', 'is', null)
  if (employeeId !== undefined) query = query.where('face_templates.employee_id', '=', employeeId)
  return query.execute()
}

function byPerson<Row extends { employee_id: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const people = new Map<string, Row[]>()
  for (const row of rows) {
    const theirs = people.get(row.employee_id)
    if (theirs) theirs.push(row)
    else people.set(row.employee_id, [row])
  }
  return people
}

/** Which templates have to be made or removed, so that a person has in the new pack what they have in the old one. */
function templateLag(
  { from_pack, to_pack }: PackChange,
  samples: readonly SampleState[],
  templates: readonly TemplateState[],
): Pick<Lag, 'make' | 'drop'> {
  const inSlot = (pack: string, slot: number) =>
    templates.find((one) => one.pack === pack && one.image_id === slot)
  // Parents first: the administrator's slot is the lowest.
  const slots = new Set([ADMIN_SLOT, ...templates.map(({ image_id }) => image_id)].sort())
  const make: number[] = []
  const drop: number[] = []
  for (const slot of slots) {
    const old = inSlot(from_pack, slot)
    const present = inSlot(to_pack, slot)
    const wanted = slot === ADMIN_SLOT ? adminWanted(samples, old) : learnedWanted(samples, old)
    if (!wanted && present) drop.push(slot)
    if (wanted && !(present && (!old || isCopy(present, old)))) make.push(slot)
  }
  return { make, drop }
}

/**
 * Who has no template in the old pack, though it saw their photos, had it removed. Of whom it saw nothing the new pack may
 * well make one.
 */
function adminWanted(samples: readonly SampleState[], old: TemplateState | undefined): boolean {
  const uploaded = samples.filter(({ created_from }) => created_from === 'ADMIN_UPLOAD')
  if (!uploaded.some(({ has_to }) => has_to)) return false
  return old !== undefined || !uploaded.some(({ has_from }) => has_from)
}

/** What was learned stays learned from the same photo, and what was taken back stays taken back. */
function learnedWanted(samples: readonly SampleState[], old: TemplateState | undefined): boolean {
  return samples.some(({ id, has_to }) => has_to && id === old?.sample_id)
}

/** A template that was made for another one says that it is as old: either changes when its photos do. */
function isCopy(present: TemplateState, old: TemplateState): boolean {
  const facts = ({ updated_at, active_from, is_suspended, learned_from, sample_id }: TemplateState) =>
    JSON.stringify([updated_at, active_from, is_suspended, learned_from, sample_id])
  return facts(present) === facts(old)
}

/**
 * Brings one person up to the old pack, in one transaction. What is embedded is not embedded again. Resolves to the photos
 * of which the new pack can make nothing; rejects with `model_failure` when its networks fail, and with `pack_changed`
 * when the old pack is not in use any more.
 */
export async function embedPerson(
  deps: ReEmbedDeps,
  change: Change,
  packs: PackChange,
  { employeeId, samples }: Lag,
  /** Resolves when it is a photo's turn: those at the kiosks go first. */
  turn: () => Promise<void>,
): Promise<Skipped[]> {
  const skipped: Skipped[] = []
  const seen = new Map<number, Float32Array>()
  for (const sample of await listSamples(deps.db, employeeId)) {
    if (!samples.includes(sample.id)) continue
    await turn()
    const look = await lookAt(deps, sample)
    if (typeof look === 'string')
      skipped.push({ employee_id: employeeId, sample_id: sample.id, reason: look })
    else seen.set(sample.id, look)
  }
  try {
    await change((trx) => storePerson(deps, trx, packs, employeeId, seen, skipped))
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'biometrics_unreadable') throw error
    skipped.push({ employee_id: employeeId, sample_id: null, reason: error.code })
  }
  return skipped
}

/** A network may fail once; twice on one photo while it works on others, and it is the photo. */
const RETRY_MS = 500

/** What the new networks see in a stored photo, or why nothing can be made of it. */
async function lookAt(
  deps: ReEmbedDeps,
  sample: { employee_id: string; file_path: string },
  again = true,
): Promise<Float32Array | string> {
  try {
    const jpeg = await readPhoto(deps, sample)
    return jpeg ? (await enrollableFace(deps.engine, jpeg)).vector : 'photo_missing'
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (error.status < 500 || error.code === 'biometrics_unreadable') return error.code
    if (error.code !== 'model_failure') throw error
    if (again) {
      await sleep(RETRY_MS)
      return lookAt(deps, sample, false)
    }
    if (!(await deps.engine.works())) throw error
    return error.code
  }
}

async function storePerson(
  deps: ReEmbedDeps,
  trx: DatabaseTransaction,
  packs: PackChange,
  employeeId: string,
  seen: ReadonlyMap<number, Float32Array>,
  skipped: readonly Skipped[],
): Promise<void> {
  await holdPack(trx, packs.from_pack)
  const person = await findPerson(trx, employeeId, true)
  const key = person && (await findKey(deps.vault, trx, employeeId))
  // They left, or were erased, while the networks ran.
  if (!key) return
  for (const { id: sampleId } of await listSamples(trx, employeeId)) {
    const vector = seen.get(sampleId)
    if (vector) await upsertSampleVector(trx, key, { employeeId, sampleId, pack: packs.to_pack, vector })
  }
  // A template of fewer photos is no longer theirs.
  if (seen.size > 0) await deleteTemplates(trx, employeeId, { pack: packs.to_pack, slot: ADMIN_SLOT })
  const [lag] = (await lagOf(trx, packs, skipped, employeeId)).people
  for (const slot of lag?.drop ?? []) await deleteTemplates(trx, employeeId, { pack: packs.to_pack, slot })
  const make = lag?.make ?? []
  if (make.includes(ADMIN_SLOT)) await makeAdminTemplate(deps, trx, packs, employeeId)
  for (const slot of make)
    if (slot !== ADMIN_SLOT) await makeLearnedTemplate(deps, trx, key, packs, employeeId, slot)
  // Their files are swept away later.
  await deleteUnusedPhotos(trx, employeeId)
}

async function makeAdminTemplate(
  { engine, vault, clock }: ReEmbedDeps,
  trx: DatabaseTransaction,
  { from_pack }: PackChange,
  employeeId: string,
): Promise<void> {
  const old = await trx
    .selectFrom('face_templates')
    .select('updated_at')
    .where('employee_id', '=', employeeId)
    .where('pack', '=', from_pack)
    .where('image_id', '=', ADMIN_SLOT)
    .executeTakeFirst()
  await rebuildTemplate(
    trx,
    { engine, vault, clock: { now: () => old?.updated_at ?? clock.now() } },
    employeeId,
  )
}

async function makeLearnedTemplate(
  { clock, engine }: ReEmbedDeps,
  trx: DatabaseTransaction,
  key: Buffer,
  { from_pack, to_pack }: PackChange,
  employeeId: string,
  slot: number,
): Promise<void> {
  const {
    id: _,
    embedding_vector: __,
    ...old
  } = await trx
    .selectFrom('face_templates')
    .selectAll()
    .where('employee_id', '=', employeeId)
    .where('pack', '=', from_pack)
    .where('image_id', '=', slot)
    .executeTakeFirstOrThrow()
  const sampleId = old.sample_id!
  const { embedding_vector: sealed } = await trx
    .selectFrom('sample_embeddings')
    .select('embedding_vector')
    .where('sample_id', '=', sampleId)
    .where('pack', '=', to_pack)
    .executeTakeFirstOrThrow()
  // Of its own pack: what descends from a template goes with it.
  const parent = await trx
    .selectFrom('face_templates')
    .innerJoin('face_templates as old', 'old.image_id', 'face_templates.image_id')
    .select(['face_templates.id', 'face_templates.embedding_vector'])
    .where('old.id', '=', old.parent_id)
    .where('face_templates.employee_id', '=', employeeId)
    .where('face_templates.pack', '=', to_pack)
    .executeTakeFirst()
  const face = opening(employeeId, () => openSample(key, sealed, { employeeId, sampleId, pack: to_pack }))
  const parentVector =
    parent &&
    opening(employeeId, () =>
      openTemplate(key, parent.embedding_vector, { employeeId, slot: ADMIN_SLOT, pack: to_pack }),
    )
  const vector = parentVector ? learnedVector(engine.pack.embedders, parentVector, face) : face
  const values = {
    ...old,
    pack: to_pack,
    embedding_vector: sealTemplate(key, vector, { employeeId, slot, pack: to_pack }),
    parent_id: parent?.id ?? null,
    created_at: clock.now(),
    match_count: 0,
    last_matched: null,
    avg_match_confidence: 0,
  }
  await trx
    .insertInto('face_templates')
    .values(values)
    .onConflict((conflict) => conflict.columns(['employee_id', 'image_id', 'pack']).doUpdateSet(values))
    .execute()
}
