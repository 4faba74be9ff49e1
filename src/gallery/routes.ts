import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { employeePath } from '../employees/schema.ts'
import { effectiveThreshold } from '../face/score-table.ts'
import { AppError } from '../shared/errors.ts'
import { type App, multipart, problems, type UploadedFile } from '../shared/http.ts'
import { deletePhoto, type EnrolDeps, enrolPhoto } from './enrol.ts'
import { noFace, severalFaces } from './faults.ts'
import { TARGET_FPIR } from './gallery.ts'
import {
  enrolledSchema,
  faceForm,
  modelsStatusSchema,
  photoDeletedSchema,
  photoForm,
  photoPath,
  photoSchema,
  processedSchema,
  processForm,
  templateSchema,
} from './schema.ts'
import { ADMIN_SLOT, findPerson, listSamples, listTemplates, type Sample } from './templates.ts'

export interface GalleryRoutesDeps extends EnrolDeps {
  /** FACE_RECOGNITION_THRESHOLD. */
  threshold: number
}

const faces = ['Employees']
const recognition = ['Recognition']
const jpeg = z.any().describe('image/jpeg')

/** Every route about photos, faces and templates. */
export function galleryRoutes(app: App, deps: GalleryRoutesDeps): void {
  const { db, engine, gallery, photos, queue } = deps

  app.post(
    '/employees/:employee_id/upload-photo',
    {
      onRequest: () => queue.room(),
      schema: {
        tags: faces,
        summary: 'Add a photo; the face template is made anew from all photos of the person',
        consumes: multipart,
        params: employeePath,
        body: photoForm,
        response: { 200: enrolledSchema, ...problems },
      },
    },
    async (request, reply) => enrolAndTell(request.params.employee_id, request.body.photo, reply),
  )

  app.post(
    '/employees/:employee_id/upload-face',
    {
      onRequest: () => queue.room(),
      schema: {
        tags: faces,
        summary: 'The same as upload-photo, with the field called `file`',
        consumes: multipart,
        params: employeePath,
        body: faceForm,
        response: { 200: enrolledSchema, ...problems },
      },
    },
    async (request, reply) => enrolAndTell(request.params.employee_id, request.body.file, reply),
  )

  async function enrolAndTell(employee_id: string, file: UploadedFile, reply: FastifyReply) {
    const enrolled = await enrolPhoto(deps, employee_id, file)
    return {
      success: true as const,
      message: enrolled.alreadyStored ? 'This photo was already stored' : 'Face enrolled',
      employee_id,
      photo_id: enrolled.photoId,
      template_id: enrolled.templateId,
      slot: ADMIN_SLOT,
      photos: enrolled.photos,
      is_avatar: enrolled.isAvatar,
      already_stored: enrolled.alreadyStored,
      quality_score: enrolled.face.quality.score,
      reasons: enrolled.face.quality.reasons,
      liveness: 'unavailable' as const,
      processing_time: reply.elapsedTime / 1000,
    }
  }

  app.get(
    '/employees/:employee_id/photo',
    {
      schema: {
        tags: faces,
        summary: 'The avatar',
        params: employeePath,
        response: { 200: jpeg, ...problems },
      },
    },
    async (request, reply) => {
      const { employee_id } = request.params
      const samples = await samplesOf(employee_id)
      return sendPhoto(
        reply,
        samples.find(({ is_avatar }) => is_avatar),
      )
    },
  )

  app.get(
    '/employees/:employee_id/photos',
    {
      schema: {
        tags: faces,
        summary: 'The photos of a person, oldest first',
        params: employeePath,
        response: { 200: z.array(photoSchema), ...problems },
      },
    },
    async (request) => {
      const { employee_id } = request.params
      const samples = await samplesOf(employee_id)
      return samples.map(({ id, ...sample }) => ({
        ...sample,
        photo_id: id,
        url: `/api/v1/employees/${encodeURIComponent(employee_id)}/photos/${id}`,
      }))
    },
  )

  app.get(
    '/employees/:employee_id/photos/:photo_id',
    {
      schema: { tags: faces, summary: 'One photo', params: photoPath, response: { 200: jpeg, ...problems } },
    },
    async (request, reply) => {
      const { employee_id, photo_id } = request.params
      const samples = await samplesOf(employee_id)
      return sendPhoto(
        reply,
        samples.find(({ id }) => id === photo_id),
      )
    },
  )

  app.delete(
    '/employees/:employee_id/photos/:photo_id',
    {
      schema: {
        tags: faces,
        summary: 'Delete a photo; the template is made anew from those left',
        params: photoPath,
        response: { 200: photoDeletedSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id, photo_id } = request.params
      const { remaining } = await deletePhoto(deps, employee_id, photo_id)
      const message =
        remaining > 0
          ? 'Photo deleted'
          : 'Photo deleted; without any photo the person is no longer recognised'
      return { success: true as const, message, remaining_photos: remaining }
    },
  )

  app.get(
    '/employees/:employee_id/templates',
    {
      schema: {
        tags: faces,
        summary: 'The face templates of a person, without their embeddings',
        params: employeePath,
        response: { 200: z.array(templateSchema), ...problems },
      },
    },
    async (request) => {
      const { employee_id } = request.params
      await requirePerson(employee_id)
      const templates = await listTemplates(db, employee_id)
      return templates.map(({ id, ...template }) => ({ ...template, template_id: id }))
    },
  )

  app.post(
    '/recognition/process',
    {
      onRequest: () => queue.room(),
      schema: {
        tags: recognition,
        summary:
          'Look at a face, and compare it with one person where an employee_id is given; nothing is stored',
        consumes: multipart,
        body: processForm,
        response: { 200: processedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { image, employee_id } = request.body
      const person = employee_id === undefined ? undefined : await requirePerson(employee_id)
      const analysis = await queue.run(`process ${request.id}`, () => engine.analyse(image.buffer))
      if (analysis.kind === 'no_face') throw noFace()
      if (analysis.kind === 'several_faces') throw severalFaces(analysis.count)
      const { detection, pose, quality, vector } = analysis.face
      return {
        success: true as const,
        face_detected: true as const,
        is_real: null,
        liveness: 'unavailable' as const,
        embedding_extracted: true as const,
        match_result: person && compare(vector, person.employee_id),
        message: 'Face found. Its embedding is not given out.',
        quality: { score: quality.score, parts: quality.parts, reasons: quality.reasons },
        pose,
        face_box: detection.box,
        picture: { width_px: analysis.picture.widthPx, height_px: analysis.picture.heightPx },
        processing_time: reply.elapsedTime / 1000,
      }
    },
  )

  function compare(vector: Float32Array, employee_id: string) {
    const match = gallery.verify(vector, employee_id)
    const confidence = match?.confidence ?? 0
    const matched = confidence >= deps.threshold
    const message = !match
      ? 'The person has no active template: enrol a photo first'
      : matched
        ? 'The face is that of the person'
        : 'The face does not match the person'
    return { employee_id, matched, confidence, threshold: deps.threshold, message }
  }

  app.get(
    '/recognition/models/status',
    {
      schema: {
        tags: recognition,
        summary: 'The models and what they have done since the start',
        response: { 200: modelsStatusSchema, ...problems },
      },
    },
    async () => {
      const { analyses, meanMs, since } = engine.performance()
      return {
        models_loaded: { face_detector: true, anti_spoof: false, face_recognizer: true },
        performance: {
          total_recognitions: analyses,
          avg_processing_time: meanMs / 1000,
          cache_hits: 0,
          last_reset: since,
        },
        cache_size: gallery.templates,
        pack: engine.pack.name,
        embedding_dimension: engine.pack.dimension,
        people: gallery.people,
        threshold: effectiveThreshold(deps.threshold, gallery.people, TARGET_FPIR),
        score_scale: gallery.normalised ? ('normalised' as const) : ('raw' as const),
        calibration_id: gallery.calibration?.id ?? null,
        liveness: 'unavailable' as const,
      }
    },
  )

  async function requirePerson(employee_id: string) {
    const person = await findPerson(db, employee_id)
    if (!person) throw new AppError('employee_not_found', `There is no employee ${employee_id}.`)
    return person
  }

  async function samplesOf(employee_id: string): Promise<Sample[]> {
    await requirePerson(employee_id)
    return listSamples(db, employee_id)
  }

  async function sendPhoto(reply: FastifyReply, sample: Sample | undefined) {
    const bytes = sample && (await photos.read(sample.file_path))
    if (!bytes) throw new AppError('photo_not_found', 'There is no such photo of this employee.')
    return reply
      .type('image/jpeg')
      .header('cache-control', 'private, no-store')
      .header('x-content-type-options', 'nosniff')
      .send(bytes)
  }
}
