import { createHash } from 'node:crypto'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { toStoredJpeg } from '../face/decode.ts'
import { averageVectors } from '../face/embed.ts'
import type { FaceEngine } from '../face/engine.ts'
import type { Face } from '../face/pipeline.ts'
import { MIN_QUALITY_SCORE } from '../face/quality.ts'
import { type Change, note } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { WorkQueue } from '../shared/work-queue.ts'
import { SealBroken } from '../vault/seal.ts'
import type { Vault } from '../vault/vault.ts'
import { giveConsent, requireConsent } from './consent.ts'
import { guardAround } from './drift.ts'
import { noFace, poorQuality, severalFaces } from './faults.ts'
import { type Gallery, voteOf } from './gallery.ts'
import { findKey, keyForEnrolment } from './person-key.ts'
import type { PhotoStore } from './photo-store.ts'
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
/** A further photo less like the others than this is of somebody else: one stranger in thirty is as alike. */
const MIN_LIKENESS = 0.4

/** A consent that comes with the photo. */
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

export interface Enrolled {
  photoId: number
  templateId: number
  photos: number
  isAvatar: boolean
  /** The very same picture was there already; nothing changed. */
  alreadyStored: boolean
  alsoEnrolledAs: SameFace[]
  face: Face
}

/**
 * Adds a photo to a person and makes their template anew from all their photos; `consent` is recorded with it.
 * Rejects with `employee_not_found`, `consent_missing`, `no_face`, `several_faces`, `poor_quality`, `face_mismatch`,
 * `too_many_photos`, `biometrics_unreadable`, or the codes of decoding and of the queue; nothing is stored then.
 */
export async function enrolPhoto(
  deps: EnrolDeps,
  change: Change,
  employeeId: string,
  upload: { buffer: Uint8Array; filename: string },
  consent?: ConsentGiven,
): Promise<Enrolled> {
  const { db, gallery, photos, queue, clock, vault, log } = deps
  await requirePerson(db, employeeId)
  if (!consent) await requireConsent(db, employeeId)
  const sha256 = createHash('sha256').update(upload.buffer).digest('hex')
  // What is embedded is what is kept, so that the template can be made again from it.
  const { jpeg, face } = await queue.run(`enrol ${employeeId}`, async () => {
    const jpeg = await toStoredJpeg(upload.buffer)
    return { jpeg, face: await enrollableFace(deps.engine, jpeg.bytes) }
  })

  const alsoEnrolledAs = othersWithFace(gallery, employeeId, face)
  let saved: string | undefined
  try {
    const enrolled = await change(async (trx) => {
      await requirePerson(trx, employeeId, true)
      if (consent) await giveConsent(trx, { employeeId, ...consent, now: clock.now() })
      // Once more: it may have been withdrawn while the networks ran.
      await requireConsent(trx, employeeId)
      const samples = await uploadedSamples(trx, employeeId)
      const key = await keyForEnrolment(vault, trx, employeeId)
      const print = fingerprint(key, sha256)
      const same = samples.find((sample) => sample.sha256 === print)
      if (!same) {
        if (samples.length >= MAX_PHOTOS)
          throw new AppError('too_many_photos', `There are ${MAX_PHOTOS} photos already. Delete one first.`)
        await requireSamePerson(trx, deps, key, employeeId, face)
      }
      // Its file may have been lost or spoilt, with a disk or by hand: then this one takes its place.
      const lost = same !== undefined && !(await isReadable(photos, same.file_path, key))
      if (!same || lost) saved = await photos.save(jpeg.bytes, key)
      const photoId =
        same?.id ??
        (await insertSample(trx, key, {
          employeeId,
          filePath: saved!,
          filename: upload.filename,
          sizeBytes: jpeg.bytes.length,
          widthPx: jpeg.width,
          heightPx: jpeg.height,
          sha256: print,
          quality: face.quality.score,
          createdFrom: 'ADMIN_UPLOAD',
          isAvatar: samples.length === 0,
          pack: deps.engine.pack.name,
          vector: face.vector,
          now: clock.now(),
        }))
      if (lost) await replaceSampleFile(trx, same!, saved!)
      if (!same && alsoEnrolledAs.length > 0) await noteSameFace(trx, employeeId, alsoEnrolledAs)
      const present = same && (await findAdminTemplate(trx, employeeId, deps.engine.pack.name))
      const templateId = present ?? (await rebuildTemplate(trx, deps, employeeId))
      return {
        photoId,
        templateId: templateId!,
        photos: samples.length + (same ? 0 : 1),
        isAvatar: same ? same.is_avatar : samples.length === 0,
        alreadyStored: same !== undefined,
        replaced: lost ? same!.file_path : undefined,
        alsoEnrolledAs,
        face,
      }
    })
    if (enrolled.replaced) await photos.remove([enrolled.replaced])
    if (!enrolled.alreadyStored && alsoEnrolledAs.length > 0)
      log.warn({ others: alsoEnrolledAs.length }, 'a face was enrolled that other people are enrolled with')
    await gallery.refresh(employeeId)
    await guardAround(deps, change, employeeId)
    return enrolled
  } catch (error) {
    // After a refusal there is no row. After a lost connection nobody knows: then the sweep decides.
    if (error instanceof AppError && saved) await photos.remove([saved])
    throw error
  }
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
  { gallery, photos }: EnrolDeps,
  change: Change,
  employeeId: string,
  templateId: number,
): Promise<{ remaining: number }> {
  const { files, remaining } = await change(async (trx) => {
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
    await deleteTemplates(trx, employeeId, { pack: pack.name, slot: ADMIN_SLOT })
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
  const analysis = await engine.analyse(jpeg)
  if (analysis.kind === 'no_face') throw noFace()
  if (analysis.kind === 'several_faces') throw severalFaces(analysis.count)
  const { face } = analysis
  if (face.quality.score < MIN_QUALITY_SCORE) throw poorQuality(face.quality, MIN_QUALITY_SCORE)
  return face
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

async function requireSamePerson(
  trx: DatabaseTransaction,
  { engine, gallery }: Pick<EnrolDeps, 'engine' | 'gallery'>,
  key: Buffer,
  employeeId: string,
  face: Face,
): Promise<void> {
  const { pack } = engine
  const others = await sampleVectors(trx, key, employeeId, pack.name)
  if (others.length === 0) return
  const template = averageVectors(
    pack.embedders,
    others.map(({ vector }) => vector),
  )
  if (gallery.likeness(template, face.vector) < MIN_LIKENESS)
    throw new AppError(
      'face_mismatch',
      "This face does not look like the one in the person's other photos. Choose another photo, or delete the wrong ones first.",
    )
}

/** Everybody else whom this face identifies: the same person under another id, or a twin. */
function othersWithFace(gallery: Gallery, employeeId: string, face: Face): SameFace[] {
  const { candidates, threshold } = gallery.identify([voteOf(face)], 5)
  return candidates
    .filter((other) => other.employeeId !== employeeId && other.confidence >= threshold)
    .map(({ employeeId, name, confidence }) => ({ employeeId, name, confidence }))
}

async function noteSameFace(trx: DatabaseTransaction, employeeId: string, others: SameFace[]): Promise<void> {
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
