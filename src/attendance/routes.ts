import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { authorOf, callerId, visibleDepartments } from '../access/caller.ts'
import { requireOwnDevice } from '../access/guard.ts'
import { findDevice } from '../devices/records.ts'
import { devicePath } from '../devices/schema.ts'
import { employeePath } from '../employees/schema.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { type App, multipart, problemOf, problems, sendJpeg } from '../shared/http.ts'
import { setPageHeaders } from '../shared/paging.ts'
import { admit, type CheckInDeps, type CheckRequest, checkIn } from './check-in.ts'
import { exportPunches } from './export.ts'
import { correctPunch, enterPunch, type Voucher } from './manual.ts'
import { readPicture } from './pictures.ts'
import { findPunch, listPunches, personExists, today, type View } from './punches.ts'
import {
  allPunchesQuery,
  type BatchEntry,
  batchForm,
  batchSchema,
  checkedSchema,
  checkForm,
  correctionSchema,
  exportQuery,
  idempotencyHeaders,
  manualSchema,
  type PunchQuery,
  punchPath,
  punchQuery,
  punchSchema,
  streamHeaders,
  todayQuery,
  todaySchema,
  uploadForm,
} from './schema.ts'
import { openStreams } from './stream.ts'

const tags = ['Attendance']
const punchList = { 200: z.array(punchSchema), ...problems }

export interface AttendanceDeps extends CheckInDeps {
  ledger: Ledger
  /** Whether whoever sent a request, of which the answer takes long, may still send it and has the same rights. */
  isStill(request: FastifyRequest): Promise<boolean>
}

/** Check-ins and the punches that they left. */
export function attendanceRoutes(app: App, deps: AttendanceDeps): void {
  const { db, queue, clock, timeZone, ledger, duplicateWindowMs } = deps
  const streams = openStreams(db)
  app.addHook('preClose', async () => streams.close())

  app.post(
    '/attendance/check',
    {
      config: { access: 'attendance:check' },
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
    async (request, reply) => checkAndTell(request, reply, request.body, request.headers['idempotency-key']),
  )

  app.post(
    '/attendance/upload',
    {
      config: { access: 'attendance:check' },
      onRequest: () => queue.room(),
      schema: {
        tags,
        summary: 'The same as check, with a picture that was taken earlier',
        description: "The punch counts at `captured_at`; its record says that this time is the client's.",
        consumes: multipart,
        headers: idempotencyHeaders,
        body: uploadForm,
        response: { 200: checkedSchema, ...problems },
      },
    },
    async (request, reply) => checkAndTell(request, reply, request.body, request.headers['idempotency-key']),
  )

  async function checkAndTell(
    request: FastifyRequest,
    reply: FastifyReply,
    form: z.infer<typeof checkForm> & { captured_at?: string },
    key: string | undefined,
  ) {
    requireOwnDevice(request.caller, form.device_id)
    const { answer, replayed } = await checkIn(deps, checkRequest(request, form, key))
    if (replayed) reply.header('idempotent-replayed', 'true')
    return { ...answer, processing_time: reply.elapsedTime / 1000 }
  }

  app.post(
    '/attendance/batch',
    {
      config: { access: 'attendance:check' },
      onRequest: () => queue.room(),
      schema: {
        tags,
        summary: 'Several pictures of one kiosk, one after the other',
        description:
          'Answers in the order in which the pictures were sent. A picture that is refused has an entry that says why ' +
          'and does not stop the others. The Idempotency-Key holds for each picture by its place.',
        consumes: multipart,
        headers: idempotencyHeaders,
        body: batchForm,
        response: { 200: batchSchema, ...problems },
      },
    },
    async (request) => {
      const { images, device_id, attendance_type, captured_at } = request.body
      requireOwnDevice(request.caller, device_id)
      await admit(db, { deviceId: device_id, address: addressOf(request) })
      const key = request.headers['idempotency-key']
      const entries: BatchEntry[] = []
      for (const [index, image] of images.entries()) {
        const form = { image: [image], device_id, attendance_type, captured_at: captured_at?.[index] }
        const check = checkRequest(request, form, key && hash(key, String(index)))
        entries.push(await batchEntry(deps, check, image.filename, request.id))
      }
      return entries
    },
  )

  app.get(
    '/attendance',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: 'The punches that count, newest first; managers see those of their departments',
        querystring: allPunchesQuery,
        response: punchList,
      },
    },
    async (request, reply) => sendPunches(request, reply, request.query),
  )

  app.get(
    '/attendance/history/:device_id',
    {
      config: { access: 'attendance:read' },
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
      config: { access: 'attendance:read' },
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
      if (!(await personExists(db, employee_id, viewOf(request))))
        throw new AppError('employee_not_found', `There is no employee ${employee_id}.`)
      return sendPunches(request, reply, { ...request.query, employee_id })
    },
  )

  async function sendPunches(request: FastifyRequest, reply: FastifyReply, query: PunchQuery) {
    const { punches, total } = await listPunches(db, query, viewOf(request))
    setPageHeaders(request, reply, query, total)
    return punches
  }

  app.get(
    '/attendance/today',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: "Today's punches and their number, at each site by its own calendar",
        querystring: todayQuery,
        response: { 200: todaySchema, ...problems },
      },
    },
    async (request, reply) => {
      const found = await today(db, request.query, clock.now(), viewOf(request))
      if (!found) throw new AppError('site_not_found', `There is no site ${request.query.site_id}.`)
      setPageHeaders(request, reply, request.query, found.total)
      return found
    },
  )

  app.get(
    '/attendance/stream',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: 'New punches as they are written, as server-sent events',
        description:
          'Each event is called `punch`, its data is a punch as in the lists, its id the number of the punch. A stream ' +
          'ends after a minute: come back with the last id as Last-Event-ID, and nothing is left out. The first id comes ' +
          'before any punch. A stream ends at once when its session or key does.',
        headers: streamHeaders,
        response: { 200: z.any().describe('text/event-stream'), ...problems },
      },
    },
    async (request, reply) => {
      // Who asks with HEAD learns what it would be, without one.
      if (request.method === 'HEAD') return reply.type('text/event-stream; charset=utf-8').send('')
      const listener = {
        caller: callerId(request.caller),
        view: viewOf(request),
        mayGoOn: () => deps.isStill(request),
      }
      return streams.send(reply, listener, request.headers['last-event-id'])
    },
  )

  app.get(
    '/attendance/export',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: 'Punches as CSV or XLSX, oldest first',
        description:
          'Filters as the list does, at most a year at once, without pages. `time` is that of the clock on the wall in ' +
          '`time_zone`. A text that a spreadsheet program would take for a formula stands behind an apostrophe.',
        querystring: exportQuery,
        response: {
          200: z.any().describe('text/csv with semicolons and a byte order mark, or XLSX'),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const change = request.method === 'HEAD' ? undefined : ledger.by(authorOf(request))
      return exportPunches(db, change, reply, request.query, viewOf(request), clock.now())
    },
  )

  app.get(
    '/attendance/:id',
    {
      config: { access: 'attendance:read' },
      schema: {
        tags,
        summary: 'One punch, also where it was corrected',
        params: punchPath,
        response: { 200: punchSchema, ...problems },
      },
    },
    async (request) => {
      const { id } = request.params
      const punch = await findPunch(db, id, viewOf(request))
      if (!punch) throw new AppError('punch_not_found', `There is no punch ${id}.`)
      return punch
    },
  )

  app.get(
    '/attendance/:id/image',
    {
      config: { access: 'biometrics:read' },
      schema: {
        tags,
        summary: 'The picture of the check that made a punch, where its site keeps pictures',
        description: 'Of a correction, that of the punch that it corrects.',
        params: punchPath,
        response: { 200: z.any().describe('image/jpeg'), ...problems },
      },
    },
    async (request, reply) => {
      const jpeg = await readPicture(deps, request.params.id, viewOf(request), clock.now())
      return sendJpeg(reply, jpeg)
    },
  )

  app.post(
    '/attendance/manual',
    {
      config: { access: 'attendance:write' },
      schema: {
        tags,
        summary: 'Enter a punch by hand',
        body: manualSchema,
        response: { 201: punchSchema, ...problems },
      },
    },
    async (request, reply) => {
      const punch = await enterPunch(changing(request), request.body, voucherOf(request))
      return reply.code(201).send(punch)
    },
  )

  app.post(
    '/attendance/:id/correct',
    {
      config: { access: 'attendance:write' },
      schema: {
        tags,
        summary: 'Put a corrected punch in the place of this one, or take it away',
        description: 'A punch is never changed: the answer is a new one, which `corrects` this.',
        params: punchPath,
        body: correctionSchema,
        response: { 201: punchSchema, ...problems },
      },
    },
    async (request, reply) => {
      const changes = changing(request)
      const { punch, unlearned } = await correctPunch(
        changes,
        request.params.id,
        request.body,
        voucherOf(request),
      )
      // What was learned from a punch that is taken away is gone.
      if (punch.is_void) await deps.gallery.refresh(punch.employee_id)
      await deps.photos.remove(unlearned.files)
      return reply.code(201).send(punch)
    },
  )

  const viewOf = ({ caller }: FastifyRequest): View => ({ departments: visibleDepartments(caller), timeZone })
  const changing = (request: FastifyRequest) => ({
    change: ledger.by(authorOf(request)),
    clock,
    duplicateWindowMs,
  })
  const voucherOf = (request: FastifyRequest): Voucher => ({
    enteredBy: callerId(request.caller),
    view: viewOf(request),
  })
}

/** A check as it was sent. The hash is of everything but its device, which the key belongs to. */
function checkRequest(
  request: FastifyRequest,
  form: z.infer<typeof checkForm> & { captured_at?: string },
  key: string | undefined,
): CheckRequest {
  const { image, frame_ms, device_id, attendance_type, challenge, employee_code, captured_at } = form
  const images = image.map(({ buffer }) => buffer)
  const further = JSON.stringify({ frame_ms, challenge, employee_code })
  return {
    images,
    frameMs: frame_ms,
    deviceId: device_id,
    address: addressOf(request),
    requested: attendance_type,
    challenge,
    claimed: employee_code,
    capturedAt: captured_at === undefined ? undefined : new Date(captured_at),
    idempotency:
      key === undefined
        ? undefined
        : {
            key,
            requestHash: hash(
              attendance_type ?? '',
              captured_at ?? '',
              ...images,
              // Not where there is nothing of it: what an older version remembers must stay the same.
              ...(further === '{}' ? [] : [further]),
            ),
          },
  }
}

/** Where a kiosk calls from; undefined for people and programs, who may from anywhere. */
export const addressOf = ({ caller, ip }: FastifyRequest) => (caller.kind === 'kiosk' ? ip : undefined)

function hash(...parts: (string | Uint8Array)[]): string {
  const sum = createHash('sha256')
  for (const part of parts) sum.update(part).update('\0')
  return sum.digest('hex')
}

async function batchEntry(
  deps: CheckInDeps,
  check: CheckRequest,
  filename: string,
  requestId: string,
): Promise<BatchEntry> {
  const start = performance.now()
  try {
    const { answer } = await checkIn(deps, check)
    return { ...answer, filename, processing_time: (performance.now() - start) / 1000 }
  } catch (error) {
    // What is no refusal of this picture, a lost database say, ends the batch.
    if (!(error instanceof AppError)) throw error
    return { ...problemOf(error, requestId, performance.now() - start), code: error.code, filename }
  }
}
