import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { authorOf, callerId, visibleDepartments } from '../access/caller.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type App, multipart, problems, sendJpeg } from '../shared/http.ts'
import { setPageHeaders } from '../shared/paging.ts'
import type { Box } from '../vault/box.ts'
import type { CheckInDeps } from './check-in.ts'
import { listPending, readPendingPicture, resolvePending } from './pending.ts'
import { addressOf } from './routes.ts'
import { syncEvent } from './sync.ts'
import * as schema from './sync-schema.ts'

const tags = ['Attendance']

export interface SyncRoutesDeps extends CheckInDeps {
  ledger: Ledger
  box: Box
}

/** What kiosks kept while they were off line, and what of it waits for a decision. */
export function syncRoutes(app: App, deps: SyncRoutesDeps): void {
  const { db, clock, ledger, queue, photos, timeZone, duplicateWindowMs } = deps

  app.post(
    '/attendance/sync',
    {
      config: { access: 'attendance:check' },
      onRequest: () => queue.room(),
      schema: {
        tags,
        summary: 'An event that a kiosk kept while it was off line',
        description:
          'Send them in their order, one after the other; the same event again answers the first result. What is not ' +
          'recognised, cannot be read or lacks what the site enforces waits at GET /attendance/pending. A gap or fork of ' +
          'the chain, a clock that was set and a signature that does not hold are flagged, and so is what the tablet kept when ' +
          'it was paired as another kiosk.',
        consumes: multipart,
        body: schema.syncForm,
        response: { 200: schema.syncedSchema, ...problems },
      },
    },
    async (request) => {
      const { event, signature, payload } = request.body
      const { caller } = request
      const sent = { text: event, signature, payload: payload.buffer, address: addressOf(request) }
      const own = caller.kind === 'kiosk' ? caller.deviceId : undefined
      return syncEvent({ ...deps, change: ledger.by(authorOf(request)) }, sent, own)
    },
  )

  app.get(
    '/attendance/pending',
    {
      config: { access: 'attendance:write' },
      schema: {
        tags,
        summary:
          'What kiosks kept off line and nobody was recognised by, or whose time is in doubt; oldest first',
        querystring: schema.pendingQuery,
        response: { 200: z.array(schema.pendingSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { pending, total } = await listPending(db, request.query)
      setPageHeaders(request, reply, request.query, total)
      return pending
    },
  )

  app.get(
    '/attendance/pending/:id/image',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags,
        summary: 'The picture of a pending punch; it is kept until that is decided',
        params: schema.pendingPath,
        response: { 200: z.any().describe('image/jpeg'), ...problems },
      },
    },
    async (request, reply) => {
      const jpeg = await readPendingPicture(deps, request.params.id)
      return sendJpeg(reply, jpeg)
    },
  )

  app.post(
    '/attendance/pending/:id/resolve',
    {
      config: { access: 'attendance:write' },
      schema: {
        tags,
        summary: 'Enter the punch that was pending, or let it go',
        params: schema.pendingPath,
        body: schema.resolutionSchema,
        response: { 200: schema.resolvedSchema, ...problems },
      },
    },
    async (request) => {
      const punch = await resolvePending(
        { change: ledger.by(authorOf(request)), clock, duplicateWindowMs, photos },
        request.params.id,
        request.body,
        voucherOf(request),
      )
      return { message: punch ? 'The punch is entered' : 'The event is dismissed', punch }
    },
  )

  const voucherOf = ({ caller }: FastifyRequest) => ({
    enteredBy: callerId(caller),
    view: { departments: visibleDepartments(caller), timeZone },
  })
}
