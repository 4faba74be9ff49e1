import { authorOf } from '../access/caller.ts'
import { visibleNames } from '../employees/visible.ts'
import type { CachedEngine } from '../face/cache.ts'
import { judgePad } from '../face/pad/judge.ts'
import type { Face } from '../face/pipeline.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { type App, multipart, problems } from '../shared/http.ts'
import type { EnrolDeps } from './enrol.ts'
import { MIN_COMPARED_QUALITY, noFace, poorQuality, severalFaces } from './faults.ts'
import { voteOf } from './gallery.ts'
import { modelsStatus } from './models-status.ts'
import {
  identifiedSchema,
  identifyForm,
  modelsStatusSchema,
  processedSchema,
  processForm,
  trainedSchema,
  trainSchema,
  verifiedSchema,
  verifyForm,
} from './schema.ts'
import { findPerson } from './templates.ts'
import { train } from './train.ts'

export interface RecognitionRoutesDeps extends EnrolDeps {
  engine: CachedEngine
  ledger: Ledger
  /** FACE_RECOGNITION_THRESHOLD. */
  threshold: number
}

const tags = ['Recognition']

/** What the face engine sees in a picture, compared with people where asked for; nobody punches here. */
export function recognitionRoutes(app: App, deps: RecognitionRoutesDeps): void {
  const { db, engine, gallery, queue } = deps

  app.post(
    '/recognition/process',
    {
      config: { access: 'recognition:run' },
      onRequest: () => queue.room(),
      schema: {
        tags,
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
      const analysis = await analyse(image.buffer, request.id)
      const { detection, pose, quality } = analysis.face
      const liveness = livenessOf(analysis.face)
      return {
        success: true as const,
        face_detected: true as const,
        is_real: liveness === 'bona_fide' ? true : liveness === 'attack' ? false : null,
        liveness,
        embedding_extracted: true as const,
        match_result: person && compare(analysis.face, person.employee_id),
        message: 'Face found. Its embedding is not given out.',
        quality: { score: quality.score, parts: quality.parts, reasons: quality.reasons },
        pose,
        face_box: detection.box,
        picture: { width_px: analysis.picture.widthPx, height_px: analysis.picture.heightPx },
        processing_time: reply.elapsedTime / 1000,
      }
    },
  )

  app.post(
    '/recognition/verify',
    {
      config: { access: 'recognition:run' },
      onRequest: () => queue.room(),
      schema: {
        tags,
        summary: 'Whether the face in the picture is that of one person; nothing is stored',
        consumes: multipart,
        body: verifyForm,
        response: { 200: verifiedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { image, employee_id } = request.body
      await requirePerson(employee_id)
      const { face } = await analyse(image.buffer, request.id)
      if (face.quality.score < MIN_COMPARED_QUALITY) throw poorQuality(face.quality, MIN_COMPARED_QUALITY)
      const { matched, ...compared } = compare(face, employee_id)
      return {
        success: true as const,
        verified: matched,
        ...compared,
        liveness: livenessOf(face),
        processing_time: reply.elapsedTime / 1000,
      }
    },
  )

  app.post(
    '/recognition/identify',
    {
      config: { access: 'recognition:run' },
      onRequest: () => queue.room(),
      schema: {
        tags,
        summary: 'The people whom the face in the picture resembles most; nothing is stored, nobody punches',
        consumes: multipart,
        body: identifyForm,
        response: { 200: identifiedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { image, top } = request.body
      const { face } = await analyse(image.buffer, request.id)
      if (face.quality.score < MIN_COMPARED_QUALITY) throw poorQuality(face.quality, MIN_COMPARED_QUALITY)
      const { candidates, people, threshold } = gallery.identify([voteOf(face)], top)
      const seen = await visibleNames(
        db,
        request.caller,
        candidates.map(({ employeeId }) => employeeId),
      )
      return {
        success: true as const,
        candidates: candidates.map(({ employeeId, confidence, lookAlike }) => ({
          employee_id: seen.has(employeeId) ? employeeId : null,
          name: seen.get(employeeId) ?? null,
          confidence,
          above_threshold: confidence >= threshold,
          look_alike: lookAlike,
        })),
        threshold,
        people,
        liveness: livenessOf(face),
        processing_time: reply.elapsedTime / 1000,
      }
    },
  )

  async function analyse(picture: Uint8Array, requestId: string) {
    const analysis = await queue.run(`recognition ${requestId}`, () => engine.analyse(picture))
    if (analysis.kind === 'no_face') throw noFace()
    if (analysis.kind === 'several_faces') throw severalFaces(analysis.count)
    return analysis
  }

  function compare(face: Face, employee_id: string) {
    const match = gallery.verify(voteOf(face), employee_id)
    const confidence = match?.confidence ?? 0
    const matched = confidence >= deps.threshold
    const message = !match
      ? 'The person is deactivated or has no template: reactivate them, or enrol a photo first'
      : matched
        ? 'The face is that of the person'
        : 'The face does not match the person'
    return { employee_id, matched, confidence, threshold: deps.threshold, message }
  }

  app.post(
    '/recognition/train',
    {
      config: { access: 'biometrics:write' },
      schema: {
        tags,
        summary: 'Make the templates anew from the stored photos, after a change of models for example',
        description:
          'Takes a few pictures a second, beside the check-ins. Who is skipped keeps what was there.',
        body: trainSchema,
        response: { 200: trainedSchema, ...problems },
      },
    },
    async (request, reply) => {
      // It may take longer than a silent connection is left open: who listens keeps it from being cut off.
      reply.raw.on('timeout', () => {})
      const { trained, skipped } = await train(
        deps,
        deps.ledger.by(authorOf(request)),
        request.body?.employee_ids,
      )
      return { success: true as const, trained, skipped, processing_time: reply.elapsedTime / 1000 }
    },
  )

  app.get(
    '/recognition/models/status',
    {
      config: { access: 'system:read' },
      schema: {
        tags,
        summary: 'The models and what they have done since the start',
        response: { 200: modelsStatusSchema, ...problems },
      },
    },
    async () => ({
      ...modelsStatus(deps),
      pack: engine.pack.name,
      embedding_dimension: engine.pack.dimension,
      people: gallery.people,
      threshold: gallery.limits.threshold,
      score_scale: gallery.normalised ? ('normalised' as const) : ('raw' as const),
      calibration_id: gallery.calibration?.id ?? null,
      liveness: engine.looksForAttacks ? ('available' as const) : ('unavailable' as const),
    }),
  )

  async function requirePerson(employee_id: string) {
    const person = await findPerson(db, employee_id)
    if (!person) throw new AppError('employee_not_found', `There is no employee ${employee_id}.`)
    return person
  }
}

/** What the installed networks say of one picture by themselves; no policy is asked. */
function livenessOf({ padScore }: Face) {
  return judgePad({ model: padScore, passive: null, challenge: null }, { modelIsEnough: true }).state
}
