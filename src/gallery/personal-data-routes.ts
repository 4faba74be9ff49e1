import { z } from 'zod'
import { callerId, visibleDepartments } from '../access/caller.ts'
import { hasPermission } from '../access/guard.ts'
import { employeePath } from '../employees/schema.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems } from '../shared/http.ts'
import { type Consent, giveConsent, listConsents } from './consent.ts'
import type { EnrolDeps } from './enrol.ts'
import { erasePerson, lockAnybody, personalData, requireAnybody } from './personal-data.ts'
import {
  consentSchema,
  consentWithdrawnSchema,
  erasedSchema,
  newConsentSchema,
  personalDataSchema,
} from './schema.ts'

const tags = ['Employees']

/** What a person has a right to: their consent asked, what is kept of them told, and erased. */
export function personalDataRoutes(app: App, deps: EnrolDeps): void {
  const { db, clock } = deps

  app.post(
    '/employees/:employee_id/consent',
    {
      config: { access: 'biometrics:write' },
      schema: {
        tags,
        summary: 'Record that a person agrees to be recognised by face',
        description:
          'Where REQUIRE_CONSENT is set, no photo is added before. Again, for the same text, it changes nothing.',
        params: employeePath,
        body: newConsentSchema,
        response: { 201: consentSchema, ...problems },
      },
    },
    async (request, reply) => {
      const employeeId = request.params.employee_id
      const consent = await db.transaction().execute(async (trx) => {
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
    async (request) => {
      const { employee_id } = request.params
      requireVisible(await requireAnybody(db, employee_id), visibleDepartments(request.caller))
      return (await listConsents(db, employee_id)).map(asAnswered)
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
      const erased = await erasePerson(deps, request.params.employee_id, true)
      return {
        success: true as const,
        message: 'Consent withdrawn and biometric data erased; attendance records are kept',
        withdrawn_consents: erased.withdrawn,
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
      const erased = await erasePerson(deps, request.params.employee_id, false)
      return {
        success: true as const,
        message: 'Biometric data erased; attendance records are kept',
        deleted_photos: erased.photos,
        deleted_face_templates: erased.templates,
        retained_attendance_records: erased.punches,
      }
    },
  )

  app.get(
    '/employees/:employee_id/data-export',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags,
        summary: 'Everything that is kept about one person, also after they have left, as a JSON file',
        description:
          'Needs employees:read and attendance:read as well. Embeddings are in it only with embeddings:read; the ' +
          'photos themselves are at the addresses that GET photos lists.',
        params: employeePath,
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
      const data = await personalData(db, employee_id, withEmbeddings)
      requireVisible(data.employee, visibleDepartments(request.caller))
      return reply
        .header('content-disposition', 'attachment; filename="personal-data.json"')
        .header('cache-control', 'private, no-store')
        .send({ exported_at: clock.now(), ...data })
    },
  )
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
