import { createHash } from 'node:crypto'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { toStoredJpeg } from '../face/decode.ts'
import { averageVectors } from '../face/embed.ts'
import type { FaceEngine } from '../face/engine.ts'
import type { Face } from '../face/pipeline.ts'
import { MIN_QUALITY_SCORE, type Quality } from '../face/quality.ts'
import { type Change, note } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { WorkQueue } from '../shared/work-queue.ts'
import { SealBroken } from '../vault/seal.ts'
import type { Vault } from '../vault/vault.ts'
import { holdPack } from './active-pack.ts'
import { giveConsent, requireConsent } from './consent.ts'
import { guardAround } from './drift.ts'
import { differentFace, noFace, poorQuality, severalFaces } from './faults.ts'
import { type Gallery, voteOf } from './gallery.ts'
import { findKey, keyForEnrolment } from './person-key.ts'
import type { PhotoStore } from './photo-store.ts'
import { likenessOf, ownFaces } from './same-person.ts'
import {
  ADMIN_SLOT,
  chooseAvatar,
  deleteSample,
  deleteTemplate,
  deleteTemplates,
  deleteUnusedPhotos,
  findAdminTemplate,
  findPerson,
  fingerprint,
  insertSample,
  listSamples,
  listTemplates,
  replaceSampleFile,
  type Sample,
  sampleVectors,
  upsertAdminTemplate,
} from './templates.ts'

export interface EnrolDeps {
  db: Database
  engine: FaceEngine
  gallery: Gallery
  photos: PhotoStore
  vault: Vault
  queue: WorkQueue
  clock: Clock
  log: Logger
}

/** More photos make a template better up to a handful; a limit keeps a mistaken bulk upload small. */
export const MAX_PHOTOS = 10

/** A consent that comes with the photos. */
export interface ConsentGiven {
  textVersion: string
  by: string
}

/** Somebody else who is enrolled with the same face, or one as alike as a twin's. */
export interface SameFace {
  employeeId: string
  name: string
  confidence: number
}

/** A photo as it was sent. */
interface Upload {
  buffer: Uint8Array
  filename: string
}

interface EnrolOptions {
  consent?: ConsentGiven | undefined
  /** The place of the photo that is to be the avatar. Undefined keeps the present one, or takes the first photo. */
  avatarIndex?: number | undefined
}

/** What became of one photo. */
export type PhotoResult = AcceptedPhoto | RefusedPhoto

interface LookedAt {
  filename: string
  /** Undefined where there was no one face to assess. */
  quality: Quality | undefined
  /**
   * Whether the face is that of the person's other photos, stored and sent along, and how like them it is; null where
   * there is nothing to compare.
   */
  samePerson: { same: boolean; likeness: number } | null
  alsoEnrolledAs: SameFace[]
}

interface AcceptedPhoto extends LookedAt {
  quality: Quality
  refusal?: undefined
  photoId: number
  isAvatar: boolean
  /** The very same picture was there already; nothing changed. */
  alreadyStored: boolean
}

interface RefusedPhoto extends LookedAt {
  refusal: AppError
}

export interface Enrolment {
  templateId: number
  /** How many photos the template is made of. */
  photos: number
  /** One for each photo, in the order in which they were sent. */
  results: PhotoResult[]
  /** The first that was accepted. */
  first: AcceptedPhoto
}

/** Every photo was refused, and nothing was stored. */
export class NothingEnrolled extends AppError {
  readonly results: readonly RefusedPhoto[]

  constructor(results: readonly RefusedPhoto[]) {
    const refusals = results.map(({ refusal }) => refusal)
    const { code, message, details, cause } = refusals.find(({ status }) => status === 422) ?? refusals[0]
    const each = results.map(({ filename, refusal }) => `${filename}: ${refusal.message}`)
    if (results.length === 1) super(code, message, details, cause)
    else super(code, ['None of the photos can be used.', ...each].join(' '))
    this.results = results
  }
}

/**
 * Adds 1 to MAX_PHOTOS photos to a person and makes their template anew from all their photos, once; `consent` is
 * recorded with it. What can be used is kept, and what cannot is refused by itself. Rejects with `NothingEnrolled` where
 * no photo can be used (`no_face`, `several_faces`, `poor_quality`, `face_mismatch`, `too_many_photos`, `invalid_image`,
 * `image_too_many_pixels`), and with `employee_not_found`, `consent_missing`, `unsupported_media_type`,
 * `biometrics_unreadable` or the codes of the queue; nothing is stored then.
 */
export async function enrolPhotos(
  deps: EnrolDeps,
  change: Change,
  employeeId: string,
  uploads: readonly Upload[],
  { consent, avatarIndex }: EnrolOptions = {},
): Promise<Enrolment> {
  const { db, gallery, photos, clock, log } = deps
  await requirePerson(db, employeeId)
  if (!consent) await requireConsent(db, employeeId)
  const seen: Seen[] = []
  for (const upload of uploads) seen.push(await lookAt(deps, employeeId, upload))
  requireAny(seen)

  const saved: string[] = []
  const { replaced, isNew, ...enrolment } = await change(async (trx) => {
    for (const one of seen) if (!one.refusal) await holdPack(trx, one.face.pack)
    await requirePerson(trx, employeeId, true)
    if (consent) await giveConsent(trx, { employeeId, ...consent, now: clock.now() })
    // Once more: it may have been withdrawn while the networks ran.
    await requireConsent(trx, employeeId)
    return store(trx, deps, employeeId, { seen, avatarIndex, saved })
  }).catch(async (error: unknown) => {
    // After a refusal there is no row. After a lost connection nobody knows: then the sweep decides.
    if (error instanceof AppError) await photos.remove(saved)
    throw error
  })
  await photos.remove(replaced)
  const others = enrolment.results.flatMap((one) => (one.refusal ? [] : one.alsoEnrolledAs)).length
  if (isNew && others > 0) log.warn({ others }, 'a face was enrolled that other people are enrolled with')
  await gallery.refresh(employeeId)
  await guardAround(deps, change, employeeId)
  return enrolment
}

/** A photo with one face that is good enough to be enrolled. */
interface Usable extends LookedAt {
  refusal?: undefined
  quality: Quality
  sha256: string
  jpeg: Awaited<ReturnType<typeof toStoredJpeg>>
  face: Face
}

type Seen = Usable | RefusedPhoto

async function lookAt(
  { queue, engine, gallery }: EnrolDeps,
  employeeId: string,
  { buffer, filename }: Upload,
): Promise<Seen> {
  const nothing = { filename, quality: undefined, samePerson: null, alsoEnrolledAs: [] }
  try {
    // What is embedded is what is kept, so that the template can be made again from it.
    const { jpeg, face, refusal } = await queue.run(`enrol ${employeeId}`, async () => {
      const jpeg = await toStoredJpeg(buffer)
      return { jpeg, ...(await lookForFace(engine, jpeg.bytes)) }
    })
    if (refusal) return { ...nothing, quality: face?.quality, refusal }
    const sha256 = createHash('sha256').update(buffer).digest('hex')
    const alsoEnrolledAs = othersWithFace(gallery, employeeId, face)
    return { ...nothing, quality: face.quality, sha256, jpeg, face, alsoEnrolledAs }
  } catch (error) {
    if (error instanceof AppError && spoilt.has(error.code)) return { ...nothing, refusal: error }
    throw error
  }
}

/** What is wrong with one photo alone. What is no picture at all is a mistake of the whole request. */
const spoilt: ReadonlySet<string> = new Set(['invalid_image', 'image_too_many_pixels'])

function requireAny(seen: readonly Seen[]): void {
  const refused = seen.flatMap((one) => (one.refusal ? [one] : []))
  if (refused.length === seen.length) throw new NothingEnrolled(refused)
}

/**
 * Keeps the photos that are of the person, who is locked, and makes the template. Names the files that it writes in
 * `saved`, and those that they take the place of in `replaced`.
 */
async function store(
  trx: DatabaseTransaction,
  deps: EnrolDeps,
  employeeId: string,
  { seen, avatarIndex, saved }: { seen: readonly Seen[]; avatarIndex: number | undefined; saved: string[] },
): Promise<Enrolment & { replaced: string[]; isNew: boolean }> {
  const samples = await uploadedSamples(trx, employeeId)
  const judged = await judge(trx, deps, employeeId, { seen, samples })
  requireAny(judged)
  const key = await keyForEnrolment(deps.vault, trx, employeeId)
  const avatar = samples.find(({ is_avatar }) => is_avatar)
  const wished = avatarIndex === undefined ? undefined : judged[avatarIndex]
  const usable = distinct(judged.filter((one) => !one.refusal))
  const wish = wished?.refusal ? undefined : usable.find(({ sha256 }) => sha256 === wished?.sha256)
  const chosen = wish ?? (avatar ? undefined : usable[0])

  const kept = new Map<string, number>()
  const added: Usable[] = []
  const replaced: string[] = []
  for (const one of usable) {
    const print = fingerprint(key, one.sha256)
    const same = samples.find(({ sha256 }) => sha256 === print)
    // Its file may have been lost or spoilt, with a disk or by hand: then this one takes its place.
    if (same && (await isReadable(deps.photos, same.file_path, key))) {
      kept.set(one.sha256, same.id)
      continue
    }
    const filePath = await deps.photos.save(one.jpeg.bytes, key)
    saved.push(filePath)
    if (same) {
      await replaceSampleFile(trx, same, filePath)
      replaced.push(same.file_path)
      kept.set(one.sha256, same.id)
      continue
    }
    const { filename, quality, jpeg, face } = one
    const sample = {
      employeeId,
      filePath,
      filename,
      sizeBytes: jpeg.bytes.length,
      widthPx: jpeg.width,
      heightPx: jpeg.height,
      sha256: print,
      quality: quality.score,
      createdFrom: 'ADMIN_UPLOAD' as const,
      isAvatar: !avatar && one === chosen,
      pack: face.pack,
      vector: face.vector,
      now: deps.clock.now(),
    }
    kept.set(one.sha256, await insertSample(trx, key, sample))
    added.push(one)
  }
  const avatarId = chosen ? kept.get(chosen.sha256) : avatar?.id
  const isAvatarNow = avatar ? avatarId === avatar.id : chosen !== undefined && added.includes(chosen)
  if (!isAvatarNow)
    await chooseAvatar(trx, (await uploadedSamples(trx, employeeId)).find(({ id }) => id === avatarId)!)
  await noteSameFaces(trx, employeeId, added)
  const present =
    added.length === 0 ? await findAdminTemplate(trx, employeeId, deps.engine.pack.name) : undefined
  const templateId = present ?? (await rebuildTemplate(trx, deps, employeeId))
  const results = judged.map((one): PhotoResult => {
    if (one.refusal) return one
    const photoId = kept.get(one.sha256)!
    return { ...one, photoId, isAvatar: photoId === avatarId, alreadyStored: !added.includes(one) }
  })
  return {
    templateId: templateId!,
    photos: samples.length + added.length,
    results,
    first: results.find((one) => !one.refusal)!,
    replaced,
    isNew: added.length > 0,
  }
}

/** Refuses what is not the person's, and what there is no room for; says of each photo how like the others it is. */
async function judge(
  trx: DatabaseTransaction,
  { engine, gallery, vault }: EnrolDeps,
  employeeId: string,
  { seen, samples }: { seen: readonly Seen[]; samples: readonly Sample[] },
): Promise<Seen[]> {
  const { pack } = engine
  const key = await findKey(vault, trx, employeeId)
  const stored = key ? await sampleVectors(trx, key, employeeId, pack.name) : []
  const sampleOf = ({ sha256 }: Usable) =>
    key && samples.find((sample) => sample.sha256 === fingerprint(key, sha256))
  const usable = distinct(seen.filter((one) => !one.refusal))
  const fresh = usable.filter((one) => !sampleOf(one)).map(({ face }) => face.vector)
  const likeness = likenessOf(gallery, pack)
  const own = ownFaces(
    likeness,
    stored.map(({ vector }) => vector),
    fresh,
  )
  let room = MAX_PHOTOS - samples.length
  const verdicts = new Map<string, Pick<Seen, 'samePerson' | 'refusal'>>()
  for (const one of usable) {
    const { vector } = one.face
    const sample = sampleOf(one)
    const same = sample !== undefined || own.has(vector)
    const theirs = [
      ...stored.filter(({ filePath }) => filePath !== sample?.file_path).map(({ vector }) => vector),
      ...fresh.filter((other) => other !== vector && own.has(other)),
    ]
    const others = theirs.length > 0 ? theirs : fresh.filter((other) => other !== vector)
    const samePerson = others.length > 0 ? { same, likeness: likeness(others, vector) } : null
    const refusal = sample
      ? undefined
      : room <= 0
        ? tooManyPhotos()
        : same
          ? undefined
          : differentFace(stored.length > 0 ? 'stored' : theirs.length > 0 ? 'most' : 'none')
    if (!sample && !refusal) room--
    verdicts.set(one.sha256, { samePerson, refusal })
  }
  return seen.map((one) => {
    if (one.refusal) return one
    const { samePerson, refusal } = verdicts.get(one.sha256)!
    const { filename, quality, alsoEnrolledAs } = one
    return refusal ? { filename, quality, alsoEnrolledAs, samePerson, refusal } : { ...one, samePerson }
  })
}

function tooManyPhotos(): AppError {
  return new AppError('too_many_photos', `There are ${MAX_PHOTOS} photos already. Delete one first.`)
}

/** The same picture may be sent twice; it speaks once. */
function distinct(photos: readonly Usable[]): Usable[] {
  return photos.filter(({ sha256 }, index) => photos.findIndex((one) => one.sha256 === sha256) === index)
}

/**
 * Deletes one photo and makes the template anew from the others; without any uploaded one the person is no longer
 * recognised. What was learned from a photo goes with it.
 */
export async function deletePhoto(
  deps: EnrolDeps,
  change: Change,
  employeeId: string,
  photoId: number,
): Promise<{ remaining: number }> {
  const { gallery, photos } = deps
  const deleted = await change(async (trx) => {
    await holdPack(trx, deps.engine.pack.name)
    await requirePerson(trx, employeeId, true)
    const sample = (await listSamples(trx, employeeId)).find(({ id }) => id === photoId)
    if (!sample) throw new AppError('photo_not_found', 'There is no such photo of this employee.')
    await deleteSample(trx, sample)
    if (sample.created_from === 'ADMIN_UPLOAD') await rebuildTemplate(trx, deps, employeeId)
    const files = [sample.file_path, ...(await deleteUnusedPhotos(trx, employeeId))]
    return { files, remaining: (await uploadedSamples(trx, employeeId)).length }
  })
  await gallery.refresh(employeeId)
  await photos.remove(deleted.files)
  await guardAround(deps, change, employeeId)
  return { remaining: deleted.remaining }
}

/** Makes one uploaded photo of a person their avatar. */
export async function setAvatar(change: Change, employeeId: string, photoId: number): Promise<void> {
  await change(async (trx) => {
    await requirePerson(trx, employeeId, true)
    const sample = (await uploadedSamples(trx, employeeId)).find(({ id }) => id === photoId)
    if (!sample) throw new AppError('photo_not_found', 'There is no such uploaded photo of this employee.')
    await chooseAvatar(trx, sample)
  })
}

/**
 * Deletes one template. The uploaded photos stay, and a rebuild makes it again; a learned one goes with its photo, and with
 * the administrator's go all that descend from it. Returns how many are left.
 */
export async function removeTemplate(
  { engine, gallery, photos }: EnrolDeps,
  change: Change,
  employeeId: string,
  templateId: number,
): Promise<{ remaining: number }> {
  const { files, remaining } = await change(async (trx) => {
    await holdPack(trx, engine.pack.name)
    await requirePerson(trx, employeeId, true)
    if (!(await deleteTemplate(trx, employeeId, templateId)))
      throw new AppError('template_not_found', 'There is no such template of this employee.')
    const files = await deleteUnusedPhotos(trx, employeeId)
    return { files, remaining: (await listTemplates(trx, employeeId)).length }
  })
  await gallery.refresh(employeeId)
  await photos.remove(files)
  return { remaining }
}

/** The template of the administrator's slot from all photos; removed when there is none. Returns its id. */
export async function rebuildTemplate(
  trx: DatabaseTransaction,
  { engine, clock, vault }: Pick<EnrolDeps, 'engine' | 'clock' | 'vault'>,
  employeeId: string,
): Promise<number | undefined> {
  const { pack } = engine
  const key = await findKey(vault, trx, employeeId)
  const samples = key ? await sampleVectors(trx, key, employeeId, pack.name) : []
  if (!key || samples.length === 0) {
    // Without any photo, what other packs made of those that there were goes as well.
    const isBare = (await uploadedSamples(trx, employeeId)).length === 0
    await deleteTemplates(trx, employeeId, isBare ? 'all' : { pack: pack.name, slot: ADMIN_SLOT })
    return undefined
  }
  const [{ filePath, filename }] = samples
  return upsertAdminTemplate(trx, key, {
    employeeId,
    pack: pack.name,
    vector: averageVectors(
      pack.embedders,
      samples.map(({ vector }) => vector),
    ),
    quality: samples.reduce((sum, { quality }) => sum + quality, 0) / samples.length,
    filePath,
    filename,
    now: clock.now(),
  })
}

/** The one face of a picture that is good enough to be enrolled; rejects where there is none. */
export async function enrollableFace(engine: FaceEngine, jpeg: Uint8Array): Promise<Face> {
  const { face, refusal } = await lookForFace(engine, jpeg)
  if (refusal) throw refusal
  return face
}

/** The one face of a picture, or why it cannot be enrolled. */
async function lookForFace(
  engine: FaceEngine,
  jpeg: Uint8Array,
): Promise<{ face: Face; refusal?: undefined } | { face?: Face; refusal: AppError }> {
  const analysis = await engine.analyse(jpeg)
  if (analysis.kind === 'no_face') return { refusal: noFace() }
  if (analysis.kind === 'several_faces') return { refusal: severalFaces(analysis.count) }
  const { face } = analysis
  if (face.quality.score < MIN_QUALITY_SCORE)
    return { face, refusal: poorQuality(face.quality, MIN_QUALITY_SCORE) }
  return { face }
}

async function requirePerson(
  db: Database | DatabaseTransaction,
  employeeId: string,
  lock = false,
): Promise<void> {
  if (!(await findPerson(db, employeeId, lock)))
    throw new AppError('employee_not_found', `There is no employee ${employeeId}.`)
}

/** The photos that an administrator vouches for. */
async function uploadedSamples(trx: DatabaseTransaction, employeeId: string): Promise<Sample[]> {
  return (await listSamples(trx, employeeId)).filter(({ created_from }) => created_from === 'ADMIN_UPLOAD')
}

/** Everybody else whom this face identifies: the same person under another id, or a twin. */
function othersWithFace(gallery: Gallery, employeeId: string, face: Face): SameFace[] {
  const { candidates, threshold } = gallery.identify([voteOf(face)], 5)
  return candidates
    .filter((other) => other.employeeId !== employeeId && other.confidence >= threshold)
    .map(({ employeeId, name, confidence }) => ({ employeeId, name, confidence }))
}

async function noteSameFaces(
  trx: DatabaseTransaction,
  employeeId: string,
  photos: readonly LookedAt[],
): Promise<void> {
  const others = photos.flatMap(({ alsoEnrolledAs }) => alsoEnrolledAs)
  if (others.length === 0) return
  await note(trx, {
    action: 'same_face',
    subject_kind: 'employees',
    subject: employeeId,
    details: {
      also_enrolled_as: others.map(({ employeeId, confidence }) => ({ employee_id: employeeId, confidence })),
    },
  })
}

async function isReadable(photos: PhotoStore, name: string, key: Buffer): Promise<boolean> {
  try {
    return (await photos.read(name, key)) !== undefined
  } catch (error) {
    if (error instanceof SealBroken) return false
    throw error
  }
}
