import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { authorOf, visibleDepartments } from '../access/caller.ts'
import { hasPermission } from '../access/guard.ts'
import type { Database } from '../database/tables.ts'
import type { FaceEngine } from '../face/engine.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems, rowNumber } from '../shared/http.ts'
import { pageQuery, setPageHeaders } from '../shared/paging.ts'
import { acceptCalibration, MIN_PEOPLE_FOR_MEAN } from './calibration.ts'
import { calibrationSchema, pastCalibrationSchema } from './calibration-schema.ts'
import { listCalibrations, viewCalibration } from './calibration-view.ts'
import type { Gallery } from './gallery.ts'

interface CalibrationRoutesDeps {
  db: Database
  engine: FaceEngine
  gallery: Gallery
  ledger: Ledger
  clock: Clock
  /** FACE_RECOGNITION_THRESHOLD. */
  threshold: number
}

const tags = ['Recognition']
const calibrationPath = z.object({ id: rowNumber('a calibration') })

/** How the pack's scores fit the people of this site, and what follows for the threshold. */
export function calibrationRoutes(app: App, deps: CalibrationRoutesDeps): void {
  const { db, gallery, ledger, clock } = deps

  app.get(
    '/recognition/calibration',
    {
      config: { access: 'system:read' },
      schema: {
        tags,
        summary:
          'The newest calibration: thresholds, curves, the share of strangers let through, look-alikes',
        response: { 200: calibrationSchema, ...problems },
      },
    },
    view,
  )

  app.get(
    '/recognition/calibration/history',
    {
      config: { access: 'system:read' },
      schema: {
        tags,
        summary: 'All calibrations, newest first',
        querystring: pageQuery,
        response: { 200: z.array(pastCalibrationSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { calibrations, total } = await listCalibrations(db, request.query)
      setPageHeaders(request, reply, request.query, total)
      return calibrations
    },
  )

  app.post(
    '/recognition/calibration',
    {
      config: { access: 'recognition:calibrate' },
      schema: {
        tags,
        summary: 'Calibrate now; each night it is done anyway where people or templates were changed',
        description:
          'Compares everybody with everybody else, which takes a few seconds for a thousand people; check-ins go on.',
        response: { 200: calibrationSchema, ...problems },
      },
    },
    async (request, reply) => {
      // It may take longer than a silent connection is left open: who listens keeps it from being cut off.
      reply.raw.on('timeout', () => {})
      await gallery.calibrate(ledger.by(authorOf(request)))
      return view(request)
    },
  )

  app.post(
    '/recognition/calibration/:id/accept',
    {
      config: { access: 'recognition:calibrate' },
      schema: {
        tags,
        summary: "Let the newest calibration lower the threshold below the model pack's own",
        description:
          'It holds for the calibrations after it as well, until one asks for more than .01 above this one.',
        params: calibrationPath,
        response: { 200: calibrationSchema, ...problems },
      },
    },
    (request) => accept(request, request.params.id, true),
  )

  app.delete(
    '/recognition/calibration/:id/accept',
    {
      config: { access: 'recognition:calibrate' },
      schema: {
        tags,
        summary: "Take that back: the model pack's own threshold counts again",
        params: calibrationPath,
        response: { 200: calibrationSchema, ...problems },
      },
    },
    (request) => accept(request, request.params.id, false),
  )

  async function accept(request: FastifyRequest, id: number, accepted: boolean) {
    const author = authorOf(request)
    const at = { configured: deps.threshold, people: gallery.people, accept: accepted }
    await acceptCalibration(ledger.by(author), author, id, at, clock.now())
    await gallery.recalibrated()
    return view(request)
  }

  async function view(request: FastifyRequest, _reply?: FastifyReply) {
    const departments = visibleDepartments(request.caller)
    const seesPeople = hasPermission(request.caller, 'employees:read')
    const sees = ({ department }: { department: string | null }) =>
      seesPeople && (!departments || (department !== null && departments.includes(department)))
    const at = { configured: deps.threshold, people: gallery.people }
    const calibration = await viewCalibration(db, deps.engine.pack.name, at, sees)
    if (!calibration)
      throw new AppError(
        'calibration_not_found',
        `Nothing was calibrated yet. That is done by itself as soon as ${MIN_PEOPLE_FOR_MEAN} active people have a template.`,
      )
    return calibration
  }
}
