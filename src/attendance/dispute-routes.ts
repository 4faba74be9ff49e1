import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { authorOf, type Caller, callerId, visibleDepartments } from '../access/caller.ts'
import { requireOwnDevice } from '../access/guard.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems, sendJpeg } from '../shared/http.ts'
import { setPageHeaders } from '../shared/paging.ts'
import { readAvatar } from './avatar.ts'
import { admit } from './check-in.ts'
import { type DisputeDeps, listDisputes, raiseDispute, resolveDispute } from './disputes.ts'
import { decisionPath } from './explain-schema.ts'
import type { PictureDeps } from './pictures.ts'
import type { View } from './punches.ts'
import {
  disputeQuery,
  disputeSchema,
  notMeAnswer,
  notMeSchema,
  punchPath,
  resolutionSchema,
  resolvedSchema,
} from './schema.ts'

const tags = ['Attendance']

export interface DisputeRouteDeps extends Omit<DisputeDeps, 'change'>, PictureDeps {
  ledger: Ledger
  /** IANA zone of the sites that name none. */
  timeZone: string
}

/** Whom a kiosk took somebody for, and punches that somebody says are not theirs. */
export function disputeRoutes(app: App, deps: DisputeRouteDeps): void {
  const { db, ledger, timeZone } = deps

  app.get(
    '/attendance/decisions/:decision_id/avatar',
    {
      config: { access: 'devices:report' },
      schema: {
        tags,
        summary: 'The avatar of whom a kiosk has just recognised, for ten seconds after the check',
        description:
          'Only for the kiosk that checked, by its own key: whoever stands there sees at once whether it is them. ' +
          'At most 480 pixels a side.',
        params: decisionPath,
        response: { 200: z.any().describe('image/jpeg'), ...problems },
      },
    },
    async ({ caller, params }, reply) => {
      const jpeg = await readAvatar(deps, params.decision_id, requireKey(caller))
      return sendJpeg(reply, jpeg)
    },
  )

  app.post(
    '/attendance/:id/not-me',
    {
      // Of kiosks alone: whoever else knows of a wrong punch corrects it.
      config: { access: 'devices:report' },
      schema: {
        tags,
        summary: 'Say at the kiosk that a punch is not theirs, within ten seconds of the check',
        description: 'Only from the kiosk at which it was made. Sent again it answers the same.',
        params: punchPath,
        body: notMeSchema,
        response: { 200: notMeAnswer, ...problems },
      },
    },
    async (request) => {
      const { id } = request.params
      const { device_id: deviceId } = request.body
      requireOwnDevice(request.caller, deviceId)
      await admit(db, { deviceId, address: request.ip })
      const disputed = await raiseDispute(changing(request), id, deviceId)
      return {
        success: true as const,
        message: 'The punch is marked. Somebody will look into it; check in again.',
        attendance_id: id,
        disputed,
      }
    },
  )

  app.get(
    '/attendance/disputes',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: 'Punches that somebody says are not theirs, newest first',
        description: 'Managers see those of their departments.',
        querystring: disputeQuery,
        response: { 200: z.array(disputeSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { disputes, total } = await listDisputes(db, request.query, viewOf(request))
      setPageHeaders(request, reply, request.query, total)
      return disputes
    },
  )

  app.post(
    '/attendance/:id/not-me/resolve',
    {
      config: { access: 'attendance:write' },
      schema: {
        tags,
        summary: "Say that a check's punch was of somebody else, or that one that is disputed was not",
        description:
          'Confirmed: the punch is taken away by a correction, whoever it was gets it by hand, what was learned from it ' +
          'is deleted, and the two people are told apart more carefully from now on. Rejected: everything is as before.',
        params: punchPath,
        body: resolutionSchema,
        response: { 200: resolvedSchema, ...problems },
      },
    },
    async (request) => {
      const { id } = request.params
      const voucher = { enteredBy: callerId(request.caller), view: viewOf(request) }
      const resolved = await resolveDispute(changing(request), id, request.body, voucher)
      const message = resolved.state === 'confirmed' ? 'The punch was taken away' : 'The punch stays'
      return { success: true as const, message, attendance_id: id, ...resolved }
    },
  )

  const viewOf = ({ caller }: FastifyRequest): View => ({ departments: visibleDepartments(caller), timeZone })
  const changing = (request: FastifyRequest): DisputeDeps => ({
    ...deps,
    change: ledger.by(authorOf(request)),
  })
}

/**
 * The id of the kiosk whose key was sent. Where kiosks need none, anybody can say that they are one: decisions are numbered,
 * and the faces would be there to take. Throws `forbidden`.
 */
function requireKey(caller: Caller): string {
  if (caller.kind === 'kiosk' && caller.deviceId !== undefined) return caller.deviceId
  throw new AppError('forbidden', 'This is for kiosks that are paired. Send the key of the kiosk.')
}
