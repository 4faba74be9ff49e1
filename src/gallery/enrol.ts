import { createHash } from 'node:crypto'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { toStoredJpeg } from '../face/decode.ts'
import { averageVectors } from '../face/embed.ts'
import type { FaceEngine } from '../face/engine.ts'
import type { Face } from '../face/pipeline.ts'
import { MIN_QUALITY_SCORE } from '../face/quality.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { WorkQueue } from '../shared/work-queue.ts'
import { requireConsent } from './consent.ts'
import { noFace, poorQuality, severalFaces } from './faults.ts'
import type { Gallery } from './gallery.ts'
import type { PhotoStore } from './photo-store.ts'
import {
  ADMIN_SLOT,
  chooseAvatar,
  deleteSample,
  deleteTemplate,
  deleteTemplates,
  findAdminTemplate,
  findPerson,
  insertSample,
  listSamples,
  listTemplates,
  replaceSampleFile,
  sampleVectors,
  upsertAdminTemplate,
} from './templates.ts'

export interface EnrolDeps {
  db: Database
  engine: FaceEngine
  gallery: Gallery
  photos: PhotoStore
  queue: WorkQueue
  clock: Clock
  log: Logger
}

/** More photos make a template better up to a handful; a limit keeps a mistaken bulk upload small. */
export const MAX_PHOTOS = 10
/** A further photo less like the others than this is of somebody else: one stranger in thirty is as alike. */
const MIN_LIKENESS = 0.4

/** Where REQUIRE_CONSENT is set, nobody is enrolled whose consent is not on record. */
export interface EnrolRules {
  requireConsent: boolean
}

export interface Enrolled {
  photoId: number
  templateId: number
  photos: number
  isAvatar: boolean
  /** The very same picture was there already; nothing changed. */
  alreadyStored: boolean
  face: Face
}

/**
 * Adds a photo to a person and makes their template anew from all their photos.
 * Rejects with `employee_not_found`, `consent_missing`, `no_face`, `several_faces`, `poor_quality`, `face_mismatch`,
 * `too_many_photos`, or the codes of decoding and of the queue; nothing is stored then.
 */
export async function enrolPhoto(
  deps: EnrolDeps & EnrolRules,
  employeeId: string,
  upload: { buffer: Uint8Array; filename: string },
): Promise<Enrolled> {
  const { db, gallery, photos, queue, clock } = deps
  await requirePerson(db, employeeId)
  if (deps.requireConsent) await requireConsent(db, employeeId)
  const sha256 = createHash('sha256').update(upload.buffer).digest('hex')
  // What is embedded is what is kept, so that the template can be made again from it.
  const { jpeg, face } = await queue.run(`enrol ${employeeId}`, async () => {
    const jpeg = await toStoredJpeg(upload.buffer)
    return { jpeg, face: await enrollableFace(deps.engine, jpeg.bytes) }
  })

  const filePath = await photos.save(jpeg.bytes)
  try {
    const enrolled = await db.transaction().execute(async (trx) => {
      await requirePerson(trx, employeeId, true)
      // Once more: it may have been withdrawn while the networks ran.
      if (deps.requireConsent) await requireConsent(trx, employeeId)
      const samples = await listSamples(trx, employeeId)
      const same = samples.find((sample) => sample.sha256 === sha256)
      if (!same) {
        if (samples.length >= MAX_PHOTOS)
          throw new AppError('too_many_photos', `There are ${MAX_PHOTOS} photos already. Delete one first.`)
        await requireSamePerson(trx, deps, employeeId, face)
      }
      const photoId =
        same?.id ??
        (await insertSample(trx, {
          employeeId,
          filePath,
          filename: upload.filename,
          sizeBytes: jpeg.bytes.length,
          widthPx: jpeg.width,
          heightPx: jpeg.height,
          sha256,
          quality: face.quality.score,
          isAvatar: samples.length === 0,
          pack: deps.engine.pack.name,
          vector: face.vector,
          now: clock.now(),
        }))
      // Its file may have been lost, with a disk or by hand: then this one takes its place.
      const lost = same !== undefined && (await photos.read(same.file_path)) === undefined
      if (lost) await replaceSampleFile(trx, same, filePath)
      const present = same && (await findAdminTemplate(trx, employeeId, deps.engine.pack.name))
      const templateId = present ?? (await rebuildTemplate(trx, deps, employeeId))
      return {
        photoId,
        templateId: templateId!,
        photos: samples.length + (same ? 0 : 1),
        isAvatar: same ? same.is_avatar : samples.length === 0,
        alreadyStored: same !== undefined,
        kept: same === undefined || lost,
        face,
      }
    })
    if (!enrolled.kept) await photos.remove([filePath])
    await gallery.refresh(employeeId)
    return enrolled
  } catch (error) {
    // After a refusal there is no row. After a lost connection nobody knows: then the sweep decides.
    if (error instanceof AppError) await photos.remove([filePath])
    throw error
  }
}

/** Deletes one photo and makes the template anew from the others; without any the person is no longer recognised. */
export async function deletePhoto(
  deps: EnrolDeps,
  employeeId: string,
  photoId: number,
): Promise<{ remaining: number }> {
  const { db, gallery, photos } = deps
  const deleted = await db.transaction().execute(async (trx) => {
    await requirePerson(trx, employeeId, true)
    const samples = await listSamples(trx, employeeId)
    const sample = samples.find(({ id }) => id === photoId)
    if (!sample) throw new AppError('photo_not_found', 'There is no such photo of this employee.')
    await deleteSample(trx, sample)
    await rebuildTemplate(trx, deps, employeeId)
    return { filePath: sample.file_path, remaining: samples.length - 1 }
  })
  await gallery.refresh(employeeId)
  await photos.remove([deleted.filePath])
  return { remaining: deleted.remaining }
}

/** Makes one photo of a person their avatar. */
export async function setAvatar({ db }: EnrolDeps, employeeId: string, photoId: number): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await requirePerson(trx, employeeId, true)
    const sample = (await listSamples(trx, employeeId)).find(({ id }) => id === photoId)
    if (!sample) throw new AppError('photo_not_found', 'There is no such photo of this employee.')
    await chooseAvatar(trx, sample)
  })
}

/** Deletes one template; the photos stay, and a rebuild makes it again. Returns how many are left. */
export async function removeTemplate(
  { db, gallery }: EnrolDeps,
  employeeId: string,
  templateId: number,
): Promise<{ remaining: number }> {
  const remaining = await db.transaction().execute(async (trx) => {
    await requirePerson(trx, employeeId, true)
    if (!(await deleteTemplate(trx, employeeId, templateId)))
      throw new AppError('template_not_found', 'There is no such template of this employee.')
    return (await listTemplates(trx, employeeId)).length
  })
  await gallery.refresh(employeeId)
  return { remaining }
}

/**
 * Erases all photos and templates of a person inside the caller's transaction; the files go after its commit.
 * What a decision record tells of a person is scores, and stays.
 */
export async function eraseBiometrics(
  { photos, log }: Pick<EnrolDeps, 'photos' | 'log'>,
  trx: DatabaseTransaction,
  employeeId: string,
): Promise<{ templates: number; photos: number; afterCommit: () => Promise<void> }> {
  const samples = await listSamples(trx, employeeId)
  await trx.deleteFrom('samples').where('employee_id', '=', employeeId).execute()
  const templates = await deleteTemplates(trx, employeeId, 'all')
  const afterCommit = async () => {
    try {
      await photos.remove(samples.map(({ file_path }) => file_path))
    } catch (error) {
      log.error({ err: error }, 'photos of a person who left could not be removed; a later sweep will')
    }
  }
  return { templates, photos: samples.length, afterCommit }
}

/** The template of the administrator's slot from all photos; removed when there is none. Returns its id. */
export async function rebuildTemplate(
  trx: DatabaseTransaction,
  { engine, clock }: Pick<EnrolDeps, 'engine' | 'clock'>,
  employeeId: string,
): Promise<number | undefined> {
  const { pack } = engine
  const samples = await sampleVectors(trx, employeeId, pack.name)
  if (samples.length === 0) {
    await deleteTemplates(trx, employeeId, { pack: pack.name, slot: ADMIN_SLOT })
    return undefined
  }
  const [{ filePath, filename }] = samples
  return upsertAdminTemplate(trx, {
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

async function requireSamePerson(
  trx: DatabaseTransaction,
  { engine, gallery }: Pick<EnrolDeps, 'engine' | 'gallery'>,
  employeeId: string,
  face: Face,
): Promise<void> {
  const { pack } = engine
  const others = await sampleVectors(trx, employeeId, pack.name)
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
