import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { authorOf, callerId, visibleDepartments } from '../access/caller.ts'
import type { DatabaseTransaction } from '../database/tables.ts'
import { employeePath } from '../employees/schema.ts'
import { visibleNames } from '../employees/visible.ts'
import type { Change, Ledger } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { type App, multipart, problems, sendJpeg, type UploadedFile } from '../shared/http.ts'
import { wholeList } from '../shared/paging.ts'
import { expectedVersions, ifMatch, versionMismatch } from '../shared/version.ts'
import {
  deletePhoto,
  type EnrolDeps,
  type Enrolment,
  enrolPhotos,
  NothingEnrolled,
  type PhotoResult,
  removeTemplate,
  type SameFace,
  setAvatar,
} from './enrol.ts'
import { adviceOn } from './faults.ts'
import { readPhoto } from './person-key.ts'
import { personalDataRoutes } from './personal-data-routes.ts'
import {
  avatarChosenSchema,
  avatarSchema,
  enrolledSchema,
  faceForm,
  type PhotoAnswer,
  photoDeletedSchema,
  photoForm,
  photoPath,
  photoSchema,
  rebuiltSchema,
  templateDeletedSchema,
  templatePath,
  templateSchema,
} from './schema.ts'
import { ADMIN_SLOT, findPerson, listSamples, listTemplates, type Sample } from './templates.ts'
import { train } from './train.ts'

const faces = ['Employees']
const jpeg = z.any().describe('image/jpeg')

/** Every route about a person's photos, templates, consent and personal data. */
export function galleryRoutes(app: App, deps: EnrolDeps & { ledger: Ledger; timeZone: string }): void {
  const { db, engine, queue, ledger } = deps
  personalDataRoutes(app, deps)

  app.post(
    '/employees/:employee_id/upload-photo',
    {
      config: { access: 'biometrics:write' },
      onRequest: () => queue.room(),
      schema: {
        tags: faces,
        summary: 'Add photos; the face template is made anew from all photos of the person',
        description:
          'Each photo is judged by itself: what can be used is kept, and `results` says what is wrong with the others. ' +
          'Where none can be used nothing is stored, and the refusal has the same `results`. Photos of a person of whom ' +
          'nothing is stored must mostly show one face; later ones must show the same.',
        consumes: multipart,
        params: employeePath,
        body: photoForm,
        response: { 200: enrolledSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { photo, selected_avatar_index, consent } = request.body
      return enrolAndTell(request, reply, { photos: photo, avatarIndex: selected_avatar_index, consent })
    },
  )

  app.post(
    '/employees/:employee_id/upload-face',
    {
      config: { access: 'biometrics:write' },
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
    async (request, reply) => {
      const { file, consent } = request.body
      return enrolAndTell(request, reply, { photos: [file], consent })
    },
  )

  async function enrolAndTell(
    request: FastifyRequest<{ Params: { employee_id: string } }>,
    reply: FastifyReply,
    sent: { photos: UploadedFile[]; avatarIndex?: number | undefined; consent: string | undefined },
  ) {
    const { employee_id } = request.params
    const { photos, avatarIndex } = sent
    const consent =
      sent.consent === undefined ? undefined : { textVersion: sent.consent, by: callerId(request.caller) }
    const change = ledger.by(authorOf(request))
    const enrolled = await enrolPhotos(deps, change, employee_id, photos, { consent, avatarIndex }).catch(
      async (error: unknown) => {
        if (!(error instanceof NothingEnrolled)) throw error
        const results = await Promise.all(error.results.map((one) => asAnswer(request, one)))
        throw new AppError(error.code, error.message, { ...error.details, results })
      },
    )
    const { first } = enrolled
    const avatar_refused = avatarIndex !== undefined && enrolled.results[avatarIndex].refusal !== undefined
    const results = await Promise.all(enrolled.results.map((one) => asAnswer(request, one)))
    const accepted = results.filter((one) => one.accepted)
    const also_enrolled_as = accepted
      .flatMap((one) => one.also_enrolled_as)
      .filter((one, index, all) => all.findIndex((other) => other.employee_id === one.employee_id) === index)
    return {
      success: true as const,
      message: whatWasDone(enrolled, avatar_refused),
      employee_id,
      photo_id: first.photoId,
      template_id: enrolled.templateId,
      slot: ADMIN_SLOT,
      photos: enrolled.photos,
      is_avatar: first.isAvatar,
      already_stored: first.alreadyStored,
      also_enrolled_as,
      warning:
        also_enrolled_as.length === 0
          ? null
          : 'This face is enrolled under another id too. Unless they are twins, erase the photos under one of them.',
      quality_score: first.quality.score,
      reasons: first.quality.reasons,
      liveness: 'unavailable' as const,
      results,
      avatar_refused,
      processing_time: reply.elapsedTime / 1000,
    }
  }

  function whatWasDone({ first, results }: Enrolment, avatarRefused: boolean): string {
    if (results.length === 1) return first.alreadyStored ? 'This photo was already stored' : 'Face enrolled'
    const accepted = results.filter((one) => !one.refusal).length
    const done = `${accepted} of ${results.length} photos are enrolled`
    return avatarRefused ? `${done}; the one that was to be the avatar was refused` : done
  }

  async function asAnswer(request: FastifyRequest, result: PhotoResult): Promise<PhotoAnswer> {
    const { filename, quality, samePerson, refusal } = result
    return {
      filename,
      accepted: refusal === undefined,
      code: refusal?.code ?? null,
      message: refusal?.message ?? null,
      photo_id: refusal ? null : result.photoId,
      is_avatar: !refusal && result.isAvatar,
      already_stored: !refusal && result.alreadyStored,
      quality: quality ? { score: quality.score, parts: quality.parts } : null,
      reasons: quality?.reasons ?? [],
      advice: adviceOn(quality?.reasons ?? []),
      same_person: samePerson,
      also_enrolled_as: await asSeen(request, result.alsoEnrolledAs),
    }
  }

  /** Nobody is named whom the caller may not see. */
  async function asSeen(request: FastifyRequest, others: SameFace[]) {
    const seen = await visibleNames(
      db,
      request.caller,
      others.map(({ employeeId }) => employeeId),
    )
    return others.map(({ employeeId, confidence }) => ({
      employee_id: seen.has(employeeId) ? employeeId : null,
      name: seen.get(employeeId) ?? null,
      confidence,
    }))
  }

  app.get(
    '/employees/:employee_id/photo',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags: faces,
        summary: 'The avatar',
        params: employeePath,
        response: { 200: jpeg, ...problems },
      },
    },
    async (request, reply) => {
      const samples = await samplesOf(request, request.params.employee_id)
      return sendPhoto(
        reply,
        samples.find(({ is_avatar }) => is_avatar),
      )
    },
  )

  app.put(
    '/employees/:employee_id/photo',
    {
      config: { access: 'biometrics:write' },
      schema: {
        tags: faces,
        summary: 'Choose which photo is the avatar',
        description: 'If-Match takes the ETag of the employee.',
        params: employeePath,
        headers: ifMatch,
        body: avatarSchema,
        response: { 200: avatarChosenSchema, ...problems },
      },
    },
    async (request) => {
      const { photo_id } = request.body
      const { employee_id } = request.params
      const expected = expectedVersions(request.headers['if-match'])
      const change: Change = (work) =>
        ledger.by(authorOf(request))(async (trx) => {
          if (expected) await requireVersion(trx, employee_id, expected)
          return work(trx)
        })
      await setAvatar(change, employee_id, photo_id)
      return { success: true as const, message: 'Avatar chosen', photo_id }
    },
  )

  app.get(
    '/employees/:employee_id/photos',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags: faces,
        summary: 'The photos of a person, oldest first',
        params: employeePath,
        response: { 200: z.array(photoSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { employee_id } = request.params
      const samples = await samplesOf(request, employee_id)
      const photos = samples.map(({ id, ...sample }) => ({
        ...sample,
        photo_id: id,
        url: `/api/v1/employees/${encodeURIComponent(employee_id)}/photos/${id}`,
      }))
      return wholeList(request, reply, photos)
    },
  )

  app.get(
    '/employees/:employee_id/photos/:photo_id',
    {
      config: { access: 'biometrics:read' },
      schema: { tags: faces, summary: 'One photo', params: photoPath, response: { 200: jpeg, ...problems } },
    },
    async (request, reply) => {
      const { employee_id, photo_id } = request.params
      const samples = await samplesOf(request, employee_id)
      return sendPhoto(
        reply,
        samples.find(({ id }) => id === photo_id),
      )
    },
  )

  app.delete(
    '/employees/:employee_id/photos/:photo_id',
    {
      config: { access: 'biometrics:write' },
      schema: {
        tags: faces,
        summary: 'Delete a photo; the template is made anew from those left',
        params: photoPath,
        response: { 200: photoDeletedSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id, photo_id } = request.params
      const { remaining } = await deletePhoto(deps, ledger.by(authorOf(request)), employee_id, photo_id)
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
      config: { access: 'biometrics:read' },
      schema: {
        tags: faces,
        summary: 'The face templates of a person, without their embeddings',
        params: employeePath,
        response: { 200: z.array(templateSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { employee_id } = request.params
      await requireVisible(request, employee_id)
      const templates = await listTemplates(db, employee_id)
      return wholeList(
        request,
        reply,
        templates.map(({ id, sample_id, ...template }) => ({
          ...template,
          template_id: id,
          photo_id: sample_id,
        })),
      )
    },
  )

  app.delete(
    '/employees/:employee_id/templates/:template_id',
    {
      config: { access: 'biometrics:write' },
      schema: {
        tags: faces,
        summary: 'Delete a template',
        description:
          'The uploaded photos stay, and a rebuild makes the template again from them. A learned template goes with its ' +
          'photo; with the one in slot 1 go all that were learned by it.',
        params: templatePath,
        response: { 200: templateDeletedSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id, template_id } = request.params
      const { remaining } = await removeTemplate(deps, ledger.by(authorOf(request)), employee_id, template_id)
      const message =
        remaining > 0
          ? 'Template deleted'
          : 'Template deleted; without any template the person is no longer recognised'
      return { success: true as const, message, remaining_templates: remaining }
    },
  )

  app.post(
    '/employees/:employee_id/templates/rebuild',
    {
      config: { access: 'biometrics:write' },
      onRequest: () => queue.room(),
      schema: {
        tags: faces,
        summary: 'Make the template again from the stored photos',
        params: employeePath,
        response: { 200: rebuiltSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id } = request.params
      await requireVisible(request, employee_id)
      const { skipped } = await train(deps, ledger.by(authorOf(request)), [employee_id])
      const templates = skipped.length > 0 ? [] : await listTemplates(db, employee_id)
      const made = templates.find(
        ({ image_id, pack }) => image_id === ADMIN_SLOT && pack === engine.pack.name,
      )
      if (!made)
        throw new AppError(
          'photo_not_found',
          'There is no photo of this person that a template can be made of.',
        )
      return {
        success: true as const,
        message: 'Template made again from the stored photos',
        template_id: made.id,
        slot: ADMIN_SLOT,
      }
    },
  )

  async function requireVersion(trx: DatabaseTransaction, employee_id: string, expected: readonly number[]) {
    const person = await trx
      .selectFrom('employees')
      .select('version')
      .where('employee_id', '=', employee_id)
      .where('ended_at', 'is', null)
      .forNoKeyUpdate()
      .executeTakeFirst()
    if (person && !expected.includes(person.version)) throw versionMismatch()
  }

  /** A person whom the caller may not see is answered as if there were none. */
  async function requireVisible(request: FastifyRequest, employee_id: string): Promise<void> {
    const person = await findPerson(db, employee_id)
    const visible = visibleDepartments(request.caller)
    if (!person || (visible && !visible.includes(person.department ?? '')))
      throw new AppError('employee_not_found', `There is no employee ${employee_id}.`)
  }

  async function samplesOf(request: FastifyRequest, employee_id: string): Promise<Sample[]> {
    await requireVisible(request, employee_id)
    return listSamples(db, employee_id)
  }

  async function sendPhoto(reply: FastifyReply, sample: Sample | undefined) {
    const bytes = sample && (await readPhoto(deps, sample))
    if (!bytes) throw new AppError('photo_not_found', 'There is no such photo of this employee.')
    return sendJpeg(reply, bytes)
  }
}
