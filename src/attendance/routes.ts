import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { findDevice } from '../devices/records.ts'
import { devicePath } from '../devices/schema.ts'
import { employeePath } from '../employees/schema.ts'
import { AppError } from '../shared/errors.ts'
import { type App, multipart, problems } from '../shared/http.ts'
import { setPageHeaders } from '../shared/paging.ts'
import { type CheckInDeps, checkIn } from './check-in.ts'
import { listPunches, personExists } from './records.ts'
import {
  allPunchesQuery,
  checkedSchema,
  checkForm,
  idempotencyHeaders,
  type PunchQuery,
  punchQuery,
  punchSchema,
} from './schema.ts'

const tags = ['Attendance']
const punchList = { 200: z.array(punchSchema), ...problems }

/** Check-ins and the punches that they left. */
export function attendanceRoutes(app: App, deps: CheckInDeps): void {
  const { db, queue } = deps

  app.post(
    '/attendance/check',
    {
      // Before the picture is read into memory.
      onRequest: () => queue.room(),
      schema: {
        tags,
        summary: 'Recognise the face and keep the punch',
        consumes: multipart,
        headers: idempotencyHeaders,
        body: checkForm,
        response: { 200: checkedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { image, device_id, attendance_type } = request.body
      const key = request.headers['idempotency-key']
      const { answer, replayed } = await checkIn(deps, {
        image: image.buffer,
        deviceId: device_id,
        requested: attendance_type,
        idempotency:
          key === undefined ? undefined : { key, requestHash: hash(image.buffer, attendance_type) },
      })
      if (replayed) reply.header('idempotent-replayed', 'true')
      return { ...answer, processing_time: reply.elapsedTime / 1000 }
    },
  )

  app.get(
    '/attendance',
    {
      schema: {
        tags,
        summary: 'All punches, newest first',
        querystring: allPunchesQuery,
        response: punchList,
      },
    },
    async (request, reply) => sendPunches(request, reply, request.query),
  )

  app.get(
    '/attendance/history/:device_id',
    {
      schema: {
        tags,
        summary: "A kiosk's punches, newest first",
        params: devicePath,
        querystring: punchQuery,
        response: punchList,
      },
    },
    async (request, reply) => {
      const device = await findDevice(db, request.params.device_id)
      if (!device) throw new AppError('device_not_found', `There is no device ${request.params.device_id}.`)
      return sendPunches(request, reply, { ...request.query, device_id: device.device_id })
    },
  )

  app.get(
    '/attendance/employee/:employee_id',
    {
      schema: {
        tags,
        summary: "A person's punches, newest first; also those of people who left",
        params: employeePath,
        querystring: punchQuery,
        response: punchList,
      },
    },
    async (request, reply) => {
      const { employee_id } = request.params
      if (!(await personExists(db, employee_id)))
        throw new AppError('employee_not_found', `There is no employee ${employee_id}.`)
      return sendPunches(request, reply, { ...request.query, employee_id })
    },
  )

  async function sendPunches(request: FastifyRequest, reply: FastifyReply, query: PunchQuery) {
    const { punches, total } = await listPunches(db, query)
    setPageHeaders(request, reply, query, total)
    return punches
  }
}

/** A hash of everything that a check sends but its device, which the key belongs to. */
function hash(image: Uint8Array, type: string): string {
  return createHash('sha256').update(type).update('\0').update(image).digest('hex')
}
