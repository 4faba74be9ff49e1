import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { visibleDepartments } from '../access/caller.ts'
import { hasPermission } from '../access/guard.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems, sendJpeg } from '../shared/http.ts'
import { setPageHeaders } from '../shared/paging.ts'
import { findDecision, listDecisions } from './decisions.ts'
import { explain } from './explain.ts'
import { decisionPath, decisionQuery, decisionSchema, explanationSchema } from './explain-schema.ts'
import { isDecisionPictureKept, type PictureDeps, readDecisionPicture } from './pictures.ts'
import { findPunch, type View } from './punches.ts'
import { punchPath } from './schema.ts'

const tags = ['Attendance']
const hidden =
  'Other people in a comparison are named to those only who may see them; others have a pseudonym in their place. ' +
  'Raw scores are for those who may see the state of the server.'

/** Why each check, correction and import ended as it did. */
export function explainRoutes(app: App, deps: PictureDeps & { clock: Clock; timeZone: string }): void {
  const { db, clock } = deps

  app.get(
    '/attendance/decisions',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: 'What was decided at the kiosks and by hand, newest first',
        description:
          'Also what made no punch: strangers, repeated checks, pictures that could not be compared. Managers see what ' +
          'is about people of their departments.',
        querystring: decisionQuery,
        response: { 200: z.array(decisionSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { decisions, total } = await listDecisions(db, request.query, viewOf(request))
      setPageHeaders(request, reply, request.query, total)
      return decisions
    },
  )

  app.get(
    '/attendance/decisions/:decision_id/explain',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: 'Why a decision ended as it did, also one that made no punch',
        description: hidden,
        params: decisionPath,
        response: { 200: explanationSchema, ...problems },
      },
    },
    async (request) => explainFor(request, request.params.decision_id),
  )

  app.get(
    '/attendance/:id/explain',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: 'Why a punch is there: what was seen, compared and decided, or who vouches for it',
        description: hidden,
        params: punchPath,
        response: { 200: explanationSchema, ...problems },
      },
    },
    async (request) => {
      const { id } = request.params
      const punch = await findPunch(db, id, viewOf(request))
      if (!punch) throw new AppError('punch_not_found', `There is no punch ${id}.`)
      return explainFor(request, punch.decision_id)
    },
  )

  async function explainFor(request: FastifyRequest, id: number) {
    const view = viewOf(request)
    const decision = await findDecision(db, id, view)
    if (!decision) throw noDecision(id)
    const reader = {
      view,
      seesPeople: hasPermission(request.caller, 'employees:read'),
      seesScores: hasPermission(request.caller, 'system:read'),
    }
    const pictureKept = await isDecisionPictureKept(db, decision, clock.now())
    return explain({ db, reader, pictureKept }, decision)
  }

  app.get(
    '/attendance/decisions/:decision_id/image',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags,
        summary: 'The picture that was decided on, where its site keeps pictures',
        params: decisionPath,
        response: { 200: z.any().describe('image/jpeg'), ...problems },
      },
    },
    async (request, reply) => {
      const { decision_id } = request.params
      const decision = await findDecision(db, decision_id, viewOf(request))
      if (!decision) throw noDecision(decision_id)
      const jpeg = await readDecisionPicture(deps, decision, viewOf(request), clock.now())
      return sendJpeg(reply, jpeg)
    },
  )

  const viewOf = ({ caller }: FastifyRequest): View => ({
    departments: visibleDepartments(caller),
    timeZone: deps.timeZone,
  })
}

function noDecision(id: number): AppError {
  return new AppError('decision_not_found', `There is no decision ${id}.`)
}
