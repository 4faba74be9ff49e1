import { z } from 'zod'
import { authorOf, callerId, visibleDepartments } from '../access/caller.ts'
import { hasPermission } from '../access/guard.ts'
import { employeePath } from '../employees/schema.ts'
import { type Ledger, note } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems } from '../shared/http.ts'
import { wholeList } from '../shared/paging.ts'
import { type Consent, giveConsent, listConsents } from './consent.ts'
import type { EnrolDeps } from './enrol.ts'
import { listErasures } from './erase.ts'
import { archiveDisposition, personArchive } from './person-archive.ts'
import { readPhoto } from './person-key.ts'
import { erasePerson, lockAnybody, personalData, requireAnybody } from './personal-data.ts'
import {
  consentSchema,
  consentWithdrawnSchema,
  erasedSchema,
  erasureSchema,
  exportQuery,
  newConsentSchema,
  personalDataSchema,
} from './schema.ts'
import { listSamples } from './templates.ts'

const tags = ['Employees']

/** What a person has a right to: their consent asked, what is kept of them told, and erased. */
export function personalDataRoutes(app: App, deps: EnrolDeps & { ledger: Ledger; timeZone: string }): void {
  const { db, clock, ledger } = deps

  app.post(
    '/employees/:employee_id/consent',
    {
      config: { access: 'biometrics:write' },
      schema: {
        tags,
        summary: 'Record that a person agrees to be recognised by face',
        description:
          'Where the site asks for it (require_consent), no photo is added before. Again, for the same text, it changes nothing.',
        params: employeePath,
        body: newConsentSchema,
        response: { 201: consentSchema, ...problems },
      },
    },
    async (request, reply) => {
      const employeeId = request.params.employee_id
      const consent = await ledger.by(authorOf(request))(async (trx) => {
        await lockAnybody(trx, employeeId)
        const by = callerId(request.caller)
        return giveConsent(trx, { employeeId, textVersion: request.body.text_version, by, now: clock.now() })
      })
      return reply.code(201).send(asAnswered(consent))
    },
  )

  app.get(
    '/employees/:employee_id/consent',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags,
        summary: 'The consents of a person, withdrawn ones included, oldest first',
        params: employeePath,
        response: { 200: z.array(consentSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { employee_id } = request.params
      requireVisible(await requireAnybody(db, employee_id), visibleDepartments(request.caller))
      return wholeList(request, reply, (await listConsents(db, employee_id)).map(asAnswered))
    },
  )

  app.delete(
    '/employees/:employee_id/consent',
    {
      config: { access: 'biometrics:write' },
      schema: {
        tags,
        summary: 'Withdraw the consent: photos and templates are erased, punches stay',
        params: employeePath,
        response: { 200: consentWithdrawnSchema, ...problems },
      },
    },
    async (request) => {
      const erased = await erasePerson(deps, ledger.by(authorOf(request)), request.params.employee_id, true)
      return {
        success: true as const,
        message: 'Consent withdrawn and biometric data erased; attendance records are kept',
        withdrawn_consents: erased.withdrawn,
        erasure: erased.erasure,
        deleted_photos: erased.photos,
        deleted_face_templates: erased.templates,
      }
    },
  )

  app.post(
    '/employees/:employee_id/erase',
    {
      config: { access: 'biometrics:write' },
      schema: {
        tags,
        summary: 'Erase photos and templates; the person and the punches stay',
        params: employeePath,
        response: { 200: erasedSchema, ...problems },
      },
    },
    async (request) => {
      const erased = await erasePerson(deps, ledger.by(authorOf(request)), request.params.employee_id, false)
      return {
        success: true as const,
        message: 'Biometric data erased; attendance records are kept',
        deleted_photos: erased.photos,
        deleted_face_templates: erased.templates,
        retained_attendance_records: erased.punches,
        erasure: erased.erasure,
      }
    },
  )

  app.get(
    '/employees/:employee_id/erasures',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags,
        summary: 'The certificates of what was erased of a person, also of one who was purged, oldest first',
        description:
          'Each has its entry in the ledger, which "rollcall verify" proves, and whether the key is gone now.',
        params: employeePath,
        response: { 200: z.array(erasureSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { employee_id } = request.params
      const erasures = await listErasures(deps, employee_id)
      const visible = visibleDepartments(request.caller)
      if (visible || erasures.length === 0) requireVisible(await requireAnybody(db, employee_id), visible)
      return wholeList(request, reply, erasures)
    },
  )

  app.get(
    '/employees/:employee_id/data-export',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags,
        summary:
          'Everything that is kept about one person, also after they have left, as a JSON file or a ZIP',
        description:
          'Needs employees:read and attendance:read as well. Embeddings are in it only with embeddings:read. The ZIP ' +
          '(format=zip, or Accept: application/zip) holds the JSON as data.json, the photos themselves, the punches ' +
          'as CSV, and a readme.txt in Vietnamese and English; of JSON, the photos are at the addresses that GET ' +
          'photos lists.',
        params: employeePath,
        querystring: exportQuery,
        response: { 200: personalDataSchema, ...problems },
      },
    },
    async (request, reply) => {
      for (const permission of ['employees:read', 'attendance:read'] as const)
        if (!hasPermission(request.caller, permission))
          throw new AppError(
            'forbidden',
            `This needs the permission ${permission} too, which you do not have.`,
          )
      const { employee_id } = request.params
      const withEmbeddings = hasPermission(request.caller, 'embeddings:read')
      const data = await personalData(deps, employee_id, withEmbeddings)
      requireVisible(data.employee, visibleDepartments(request.caller))
      await ledger.by(authorOf(request))((trx) =>
        note(trx, {
          action: 'export',
          subject_kind: 'employees',
          subject: employee_id,
          details: { embeddings: withEmbeddings },
        }),
      )
      const exported = { exported_at: clock.now(), ...data }
      reply.header('cache-control', 'private, no-store')
      const { format = acceptsZip(request.headers.accept) ? 'zip' : 'json' } = request.query
      if (format === 'json')
        return reply.header('content-disposition', 'attachment; filename="personal-data.json"').send(exported)
      const archive = await personArchive(deps, exported, await photoReader(employee_id))
      // The schema describes the JSON; a stream is sent as it is.
      return reply
        .type('application/zip')
        .header('content-disposition', archiveDisposition(employee_id))
        .send(archive as never)
    },
  )

  /** Reads the photos of a person, in the clear, by their numbers. */
  async function photoReader(employeeId: string): Promise<(photoId: number) => Promise<Buffer | undefined>> {
    const samples = await listSamples(db, employeeId)
    return async (photoId) => {
      const sample = samples.find(({ id }) => id === photoId)
      return sample && readPhoto(deps, sample)
    }
  }
}

function acceptsZip(accept = ''): boolean {
  return /^\s*application\/zip\b/i.test(accept)
}

function asAnswered({ id, employee_id: _, ...consent }: Consent) {
  return { ...consent, consent_id: id }
}

/** A person whom the caller may not see is answered as if there were none. */
function requireVisible(
  { employee_id, department }: { employee_id: string; department: string | null },
  visible: readonly string[] | undefined,
): void {
  if (visible && !visible.includes(department ?? ''))
    throw new AppError('employee_not_found', `There is no employee ${employee_id}.`)
}
