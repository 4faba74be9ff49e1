import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import fastifyMultipart, { type MultipartFile } from '@fastify/multipart'
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RawServerDefault,
} from 'fastify'
import { hasZodFastifySchemaValidationErrors, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import './schema-messages.ts'
import { AppError, type ErrorCode, statusOfCode } from './errors.ts'

/** The Fastify instance as the rooms see it: zod schemas give the types of requests and replies. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

// ---------------------------------------------------------------- texts

/** Control characters, line separators and lone surrogates. */
const unwanted = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u

/**
 * A text of 1 to `max` characters: trimmed, in Unicode's composed form, on one line.
 * NUL and lone surrogates would be refused by the database, as a fault of ours.
 */
export function text(max: number) {
  return cleanText(max).min(1, { error: 'must not be empty' })
}

/** A text that may be left out; null or an empty text clears it. Absent stays undefined, cleared is null. */
export function optionalText(max: number) {
  return cleanText(max)
    .nullish()
    .transform((value) => (value === '' ? null : value))
}

/** A number in a path or a query: decimal digits and nothing else, so that 0x1, 1e3 and +1 are none. */
export function wholeNumber(
  min: number,
  max: number,
  error = `must be a whole number from ${min} to ${max}`,
) {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^(0|[1-9][0-9]{0,9})$/.test(value) ? Number(value) : value),
    z.int({ error }).min(min, { error }).max(max, { error }),
  )
}

/** The number of a row in a path or a query; `what` it is the number of, such as "a site". */
export function rowNumber(what: string) {
  return wholeNumber(1, 2_147_483_647, `must be the number of ${what}`)
}

function cleanText(max: number) {
  return z
    .string()
    .trim()
    .normalize('NFC')
    .max(max, { error: `must have at most ${max} characters` })
    .refine((value) => !unwanted.test(value), { error: 'must not contain control characters' })
}

// ---------------------------------------------------------------- errors

/** Header of every answer: the id under which the log knows the request. */
export const requestIdHeader = 'x-request-id'

/** Body of every answer that is not a success. The sentence stands under three keys: clients read any of them. */
export const problemSchema = z
  .looseObject({
    success: z.literal(false),
    code: z.enum(Object.keys(statusOfCode) as [ErrorCode, ...ErrorCode[]]),
    message: z.string(),
    error: z.string(),
    detail: z.string(),
    request_id: z.string(),
    processing_time: z.number().describe('Seconds'),
    fields: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem', description: 'Why the request was refused or failed' })

/** What every route may answer besides its success: `response: { 200: …, ...problems }`. */
export const problems = { '4xx': problemSchema, '5xx': problemSchema }

/** Answers with a picture, which nobody on the way may keep: it shows a face. */
export const sendJpeg = (reply: FastifyReply, jpeg: Uint8Array) =>
  reply.type('image/jpeg').header('cache-control', 'private, no-store').send(jpeg)

/** The refusal of one field that the schema alone cannot judge. */
export function invalidField(path: string, message: string): AppError {
  return new AppError('invalid_request', sentence(path, message), { fields: [{ path, message }] })
}

/**
 * Answers every error as a Problem, and every unknown route with 404.
 * `isConnectionError` tells a lost database from a fault; shared code must not know the database.
 */
export function registerErrorHandling(app: App, isConnectionError: (error: unknown) => boolean): void {
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, isConnectionError))
  app.setNotFoundHandler(() => {
    throw unknownRoute()
  })
  // Before the body is looked at: an unknown route is unknown whatever was sent to it.
  app.addHook('onRequest', async (request) => {
    if (request.is404) throw unknownRoute()
  })
}

/** Answers what fails before a route was found, such as a wrong percent-encoding in the path. */
export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  isConnectionError: (error: unknown) => boolean = () => false,
): FastifyReply {
  const known = asAppError(error, isConnectionError)
  // Being busy is no fault: the request's own line tells of it.
  if (known.status >= 500 && known.code !== 'overloaded' && known.code !== 'stopping')
    request.log.error({ error: loggable(error), code: known.code }, known.message)
  if (known.status === 503 || known.status === 429) {
    reply.header('retry-after', String(known.details.retry_after_seconds ?? 5))
  }
  reply.header(requestIdHeader, request.id)
  return reply
    .code(known.status)
    .type('application/json; charset=utf-8')
    .send(problemOf(known, request.id, reply.elapsedTime))
}

/** Answers what is not even HTTP, or came too slowly: Node hands over the bare socket. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const known = clientError(error.code)
  const body = JSON.stringify(problemOf(known, '', 0))
  const head = [
    `HTTP/1.1 ${known.status} ${STATUS_CODES[known.status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function clientError(code: string | undefined): AppError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new AppError('request_timeout', 'The request took too long to arrive.')
  }
  if (code === 'HPE_HEADER_OVERFLOW') return new AppError('headers_too_large', 'The headers are too large.')
  return new AppError('malformed_request', 'The request is not valid HTTP.')
}

function unknownRoute(): AppError {
  return new AppError('not_found', 'There is no such route.')
}

/** The body that tells of a refusal. */
export function problemOf(
  error: AppError,
  requestId: string,
  elapsedMs: number,
): z.input<typeof problemSchema> {
  const { code, message } = error
  return {
    ...error.details,
    success: false,
    code,
    message,
    error: message,
    detail: message,
    request_id: requestId,
    processing_time: elapsedMs / 1000,
  }
}

function asAppError(error: unknown, isConnectionError: (error: unknown) => boolean): AppError {
  if (error instanceof AppError) return error
  if (hasZodFastifySchemaValidationErrors(error)) return validationProblem(error.validation)
  const refusal = frameworkRefusals[String((error as NodeJS.ErrnoException | null)?.code)]
  if (refusal !== undefined) return new AppError(...refusal)
  const status = (error as { statusCode?: unknown } | null)?.statusCode
  if (status === 404) return unknownRoute()
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new AppError('malformed_request', 'The request is not valid.')
  if (isConnectionError(error)) {
    return new AppError(
      'database_unavailable',
      'The database cannot serve the request at the moment. Try again soon.',
    )
  }
  return new AppError('internal', 'The server failed. The request id leads to the reason in its log.')
}

/** The framework's refusals of a request; its other errors are faults of ours. */
const frameworkRefusals: Record<string, [ErrorCode, string]> = {
  FST_ERR_BAD_URL: ['malformed_request', 'The path is not validly percent-encoded.'],
  FST_ERR_MAX_PARAM_LENGTH: ['not_found', 'There is no such route.'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['malformed_request', 'The body is not valid JSON.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid_request', 'The body is missing.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed_request', 'The body is shorter or longer than announced.'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['upload_too_large', 'The body is too large.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    'The body must be JSON (application/json), or a multipart form (multipart/form-data) where files are sent.',
  ],
}

interface ZodFault {
  keyword: string
  instancePath: string
  message?: string
}

function validationProblem(faults: ZodFault[]): AppError {
  const fields = faults.slice(0, 20).map((fault) => ({
    path: fault.instancePath.slice(1).replaceAll('/', '.'),
    message: fault.message ?? 'is not valid',
  }))
  const first = fields[0]!
  return new AppError('invalid_request', sentence(first.path, first.message), { fields })
}

function sentence(path: string, message: string): string {
  return `${path === '' ? 'The request' : path}: ${message}.`
}

/** What the log may hold of an error: no further properties, because the database's carry the values of a row. */
function loggable(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) }
  const { name, message, stack, cause } = error
  const { code } = error as NodeJS.ErrnoException
  return { type: name, message, stack, code, cause: cause === undefined ? undefined : loggable(cause) }
}

// ---------------------------------------------------------------- uploads

/** One file of a multipart form, in memory. `filename` is only what the client calls it, never a path. */
export interface UploadedFile {
  buffer: Buffer
  filename: string
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of a route that reads its form itself, because the file is too large for the memory: the form's largest size. */
    maxFormBytes?: number
  }
}

/** `schema: { consumes: multipart, body: z.object({ image: uploadedFile, … }) }` makes a route take files. */
export const multipart = ['multipart/form-data']

/** A file of a multipart form that is not empty. */
export const uploadedFile = z
  .custom<UploadedFile>(isUploadedFile, {
    error: ({ input }) =>
      Array.isArray(input)
        ? 'must be sent once: exactly one file is taken'
        : 'must be a file: a part of the form with a filename',
    abort: true,
  })
  .refine((file) => file.buffer.length > 0, { error: 'is an empty file' })
  .meta({ type: 'string', format: 'binary' })

/** A field that a form may repeat: one value comes as itself, several as a list. */
export function oneOrMore<Field extends z.ZodType>(field: Field, max: number) {
  return z
    .preprocess(
      (value) => (value === undefined || Array.isArray(value) ? value : [value]),
      z
        .array(field)
        .min(1)
        .max(max, { error: `must be sent at most ${max} times` }),
    )
    .meta({ type: 'array' })
}

function isUploadedFile(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Buffer.isBuffer((value as UploadedFile).buffer)
}

/** Room for the other fields and the boundaries around the files. */
const formOverheadBytes = 1024 * 1024
/** What all forms together may hold in memory, arriving, waiting or being worked on. */
const allFormsBytes = 128 * 1024 * 1024

/**
 * Makes `request.body` of multipart forms, `{ image: UploadedFile, device_id: '…' }`, for the routes that consume them.
 * `maxFileBytes` holds for one file, and, with a little room, for the whole form.
 */
export async function registerUploads(app: App, maxFileBytes: number): Promise<void> {
  const maxFormBytes = maxFileBytes + formOverheadBytes
  await app.register(fastifyMultipart, {
    throwFileSizeLimit: false,
    limits: { fileSize: maxFileBytes, files: 12, fields: 20, parts: 32, fieldSize: 10_000, headerPairs: 20 },
  })
  let heldBytes = 0
  app.addHook('preParsing', async (request) => {
    const { maxFormBytes: own } = request.routeOptions.config
    if (Number(request.headers['content-length']) > (own ?? maxFormBytes)) throw tooLarge(own ?? maxFileBytes)
  })
  app.addHook('preValidation', async (request, reply) => {
    const wanted = takesForms(request)
    if (wanted !== request.isMultipart()) {
      throw new AppError(
        'unsupported_media_type',
        wanted
          ? 'The body must be a multipart form (multipart/form-data).'
          : 'The body must be JSON (application/json).',
      )
    }
    if (!wanted || request.routeOptions.config.maxFormBytes !== undefined) return
    let heldByThis = 0
    reply.raw.once('close', () => {
      heldBytes -= heldByThis
    })
    /** Counts what arrives, until it is answered: many slow senders must not fill the memory. */
    const hold = (bytes: number) => {
      if (heldBytes + bytes > allFormsBytes)
        throw new AppError('overloaded', 'Too many uploads at once. Try again in a moment.', {
          retry_after_seconds: 1,
        })
      heldBytes += bytes
      heldByThis += bytes
    }
    request.body = await readForm(request, maxFileBytes, maxFormBytes, hold)
  })
}

function takesForms(request: FastifyRequest): boolean {
  return request.routeOptions.schema?.consumes?.includes('multipart/form-data') === true
}

async function readForm(
  request: FastifyRequest,
  maxFileBytes: number,
  maxFormBytes: number,
  hold: (bytes: number) => void,
) {
  const form = new Map<string, unknown[]>()
  let room = maxFormBytes
  try {
    for await (const part of request.parts()) {
      if (!part.fieldname) throw new AppError('invalid_request', 'A part of the form has no name.')
      let value: unknown
      if (part.type === 'file') {
        value = await readFile(part, Math.min(room, maxFileBytes), maxFileBytes, hold)
        room -= (value as UploadedFile).buffer.length
      } else {
        if (part.valueTruncated) throw invalidField(part.fieldname, 'is too long')
        value = part.value
      }
      form.set(part.fieldname, [...(form.get(part.fieldname) ?? []), value])
    }
  } catch (error) {
    // What is still on its way is read and dropped: a client that is cut off while sending never sees the answer.
    request.raw.unpipe()
    request.raw.resume()
    throw formProblem(error)
  }
  return Object.fromEntries(
    [...form].map(([name, values]) => [name, values.length === 1 ? values[0] : values]),
  )
}

async function readFile(
  part: MultipartFile,
  maxBytes: number,
  maxFileBytes: number,
  hold: (bytes: number) => void,
): Promise<UploadedFile> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of part.file as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes || part.file.truncated) throw tooLarge(maxFileBytes)
    hold(chunk.length)
    chunks.push(chunk)
  }
  if (part.file.truncated) throw tooLarge(maxFileBytes)
  return { buffer: Buffer.concat(chunks), filename: displayName(part.filename) }
}

/** A client may call a file anything; what is kept of it must be a text that the database accepts. */
export function displayName(filename: string | undefined): string {
  const characters = [...(filename ?? '').normalize('NFC')].filter((character) => !unwanted.test(character))
  return characters.slice(-200).join('').trim() || 'unnamed'
}

export function tooLarge(maxFileBytes: number): AppError {
  return new AppError(
    'upload_too_large',
    `The upload is too large: at most ${maxFileBytes} bytes are accepted.`,
    {
      max_bytes: maxFileBytes,
    },
  )
}

/** While a form is read, nothing but what the client sent can fail. */
export function formProblem(error: unknown): AppError {
  if (error instanceof AppError) return error
  const code = String((error as NodeJS.ErrnoException).code)
  if (/^FST_(PARTS|FILES|FIELDS)_LIMIT$/.test(code)) {
    return new AppError('upload_too_large', 'The form has too many files or fields.')
  }
  if (code === 'FST_PROTO_VIOLATION')
    return new AppError('invalid_request', 'The form has a field name that is not allowed.')
  return new AppError('malformed_request', 'The multipart form is broken or was cut off.')
}
