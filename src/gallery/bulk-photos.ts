import { createCipheriv, createHash, randomBytes, randomUUID } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type SqlBool, sql } from 'kysely'
import {
  type Entry,
  fromRandomAccessReaderPromise,
  getFileNameLowLevel,
  RandomAccessReader,
  validateFileName,
  type ZipFile,
} from 'yauzl'
import { z } from 'zod'
import { authorOf, callerId } from '../access/caller.ts'
import { isConnectionError } from '../database/errors.ts'
import type { Database } from '../database/tables.ts'
import { employeeId, importQuery } from '../employees/schema.ts'
import { toStoredJpeg } from '../face/decode.ts'
import type { Change, Ledger } from '../ledger/ledger.ts'
import { AppError, type ErrorCode, statusOfCode } from '../shared/errors.ts'
import {
  type App,
  displayName,
  formProblem,
  invalidField,
  multipart,
  problems,
  text,
  tooLarge,
} from '../shared/http.ts'
import { requireConsent } from './consent.ts'
import { type ConsentGiven, type EnrolDeps, enrollableFace, enrolPhotos } from './enrol.ts'
import { findKey } from './person-key.ts'
import { fingerprint, listSamples } from './templates.ts'

export interface BulkDeps extends EnrolDeps {
  ledger: Ledger
  /** Where an upload lies while it is worked on; the file has no name there, so that none is ever left behind. */
  folder: string
  /** The largest single photo. */
  maxPhotoBytes: number
}

const MAX_ZIP_BYTES = 200 * 1024 * 1024
const MAX_ENTRIES = 10_000
/** Photos hardly get smaller in a ZIP: what unpacks to more than this is none of photos. */
const MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
const FORM_OVERHEAD_BYTES = 64 * 1024
/** Those who stand at a kiosk come first: so often a photo asks again for a place, a second apart. */
const MAX_ATTEMPTS = 120

// ---------------------------------------------------------------- the route

/** A ZIP on the disk, in a file without a name, under a key that is nowhere else. */
interface StoredZip {
  handle: FileHandle
  key: Buffer
  /** Gives back the file and the turn. Again it does nothing. */
  release: () => void
  /** Whether the route has it; from then on it is the route that releases it. */
  taken: boolean
}

const storedZip = z
  .custom<StoredZip>((value) => typeof value === 'object' && value !== null && 'handle' in value, {
    error: 'must be a file: one part of the form with a filename',
  })
  .meta({ type: 'string', format: 'binary' })

const photosForm = z.object({
  file: storedZip.describe('ZIP of JPEG, PNG or WebP photos'),
  dry_run: importQuery.shape.dry_run,
  consent: text(100)
    .optional()
    .describe('Text version: records of each person who is enrolled that they agreed to this text'),
})

const rowSchema = z.object({
  entry: z.string().describe('The name in the ZIP'),
  employee_id: z.string().nullable(),
  outcome: z.enum(['enrolled', 'already_stored', 'refused']).describe('In a dry run: what it would be'),
  code: z.enum(Object.keys(statusOfCode) as [ErrorCode, ...ErrorCode[]]).nullable(),
  message: z.string(),
  quality_score: z.number().nullable(),
})

const totalsSchema = z.object({
  success: z.boolean().describe('Whether no photo was refused'),
  dry_run: z.boolean(),
  enrolled: z.number(),
  already_stored: z.number(),
  refused: z.number(),
  ignored: z.number().describe('Folders, and what computers add to a ZIP by themselves'),
  stopped: z
    .object({ code: z.string(), message: z.string() })
    .nullable()
    .describe(
      'Why what comes after the last row was not looked at. Send the same file again: it goes on there',
    ),
})

const photosImportedSchema = totalsSchema.extend({ rows: z.array(rowSchema) }).meta({ id: 'PhotosImported' })

type Row = z.infer<typeof rowSchema>
type Totals = z.infer<typeof totalsSchema>

/** Photos of many people in one file. */
export function bulkPhotoRoutes(app: App, deps: BulkDeps): void {
  /** One at a time: more would take the disk and the kiosks' turns, and be no faster. */
  let busy = false

  app.post(
    '/employees/photos/import',
    {
      config: { access: 'biometrics:write', maxFormBytes: MAX_ZIP_BYTES + FORM_OVERHEAD_BYTES },
      preValidation: receive,
      schema: {
        tags: ['Employees'],
        summary: 'Add the photos of many people from a ZIP',
        description:
          'Each photo is named by its person: EMP_001.jpg, EMP_001_2.jpg, or EMP_001/1.jpg; other folders do not ' +
          'matter. A photo that is refused holds no other one up, and the answer has a row for each. It is sent row ' +
          'by row while the work goes on: as lines of JSON (the rows, then the totals) to whoever accepts ' +
          'application/x-ndjson, as one JSON document otherwise. Whoever closes the connection stops the work after ' +
          'the photo that is being looked at; the same file sent again goes on there. A dry run looks at each photo ' +
          'and stores nothing; it does not compare photos with each other. At most 200 MB and 10,000 entries.',
        consumes: multipart,
        querystring: importQuery,
        body: photosForm,
        response: { 200: photosImportedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { file, consent } = request.body
      const dryRun = request.body.dry_run ?? request.query.dry_run ?? false
      const lines = /\bapplication\/x-ndjson\b/i.test(request.headers.accept ?? '')
      file.taken = true
      try {
        const archive = await openArchive(deps.db, file)
        const rows = importPhotos(deps, archive, {
          dryRun,
          change: deps.ledger.by(authorOf(request)),
          consent: consent === undefined ? undefined : { textVersion: consent, by: callerId(request.caller) },
        })
        const stream = Readable.from(lines ? asLines(rows) : asDocument(rows))
        stream.once('close', file.release)
        reply.type(lines ? 'application/x-ndjson' : 'application/json; charset=utf-8')
        // The schema describes the document; what is sent is its text, piece by piece.
        return reply.send(stream as never)
      } catch (error) {
        file.release()
        throw error
      }
    },
  )

  /** Reads the form, the ZIP to the disk. */
  async function receive(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (busy)
      throw new AppError('overloaded', 'Another import of photos is under way. Try again when it is done.', {
        retry_after_seconds: 30,
      })
    busy = true
    const stored: StoredZip[] = []
    const release = () => {
      busy = false
      for (const { handle } of stored.splice(0)) void handle.close().catch(() => {})
    }
    reply.raw.once('close', () => {
      if (!stored.some(({ taken }) => taken)) release()
    })
    const fields: Record<string, unknown> = {}
    try {
      for await (const part of request.parts({ limits: { fileSize: MAX_ZIP_BYTES, files: 1 } })) {
        if (!part.fieldname) throw new AppError('invalid_request', 'A part of the form has no name.')
        if (part.type === 'field') {
          if (part.valueTruncated) throw invalidField(part.fieldname, 'is too long')
          fields[part.fieldname] = part.value
          continue
        }
        const zip = { handle: await openNameless(deps.folder), key: randomBytes(32), release, taken: false }
        stored.push(zip)
        const cipher = cipherAt(zip.key, 0)
        for await (const chunk of part.file as AsyncIterable<Buffer>)
          await write(zip.handle, cipher.update(chunk))
        if (part.file.truncated) throw tooLarge(MAX_ZIP_BYTES)
        fields[part.fieldname] = zip
      }
    } catch (error) {
      // What is still on its way is read and dropped: a client that is cut off while sending never sees the answer.
      request.raw.unpipe()
      request.raw.resume()
      release()
      throw formProblem(error)
    }
    request.body = fields
  }
}

/** A new file that only its handle leads to: it is gone with it, however the process ends. */
async function openNameless(folder: string): Promise<FileHandle> {
  const path = join(folder, `${randomUUID()}.upload`)
  try {
    const handle = await open(path, 'wx+', 0o600)
    await rm(path)
    return handle
  } catch (error) {
    throw notStored(error)
  }
}

const BLOCK_BYTES = 16
const PIECE_BYTES = 64 * 1024

/** AES in counter mode from a place in the file on; it opens what it sealed. The key is of one file only: no nonce. */
function cipherAt(key: Buffer, position: number) {
  const counter = Buffer.alloc(BLOCK_BYTES)
  counter.writeBigUInt64BE(BigInt(Math.floor(position / BLOCK_BYTES)), BLOCK_BYTES - 8)
  const cipher = createCipheriv('aes-256-ctr', key, counter)
  cipher.update(Buffer.alloc(position % BLOCK_BYTES))
  return cipher
}

/** The bytes of the ZIP, opened where they are read: what the disk had of it is no photo. */
class SealedZip extends RandomAccessReader {
  readonly #stored: StoredZip

  constructor(stored: StoredZip) {
    super()
    this.#stored = stored
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return Readable.from(this.#range(start, end), { objectMode: false })
  }

  async *#range(start: number, end: number): AsyncGenerator<Buffer> {
    for (let at = start; at < end; at += PIECE_BYTES) yield this.#piece(at, Math.min(PIECE_BYTES, end - at))
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.#piece(position, length).then(
      (piece) => {
        piece.copy(buffer, offset)
        callback(null)
      },
      (error: Error) => callback(error),
    )
  }

  async #piece(position: number, length: number): Promise<Buffer> {
    const { handle, key } = this.#stored
    const sealed = Buffer.alloc(length)
    const { bytesRead } = await handle.read(sealed, 0, length, position)
    if (bytesRead < length) throw new Error('the file ends too early')
    return cipherAt(key, position).update(sealed)
  }
}

async function write(handle: FileHandle, chunk: Buffer): Promise<void> {
  try {
    await handle.writeFile(chunk)
  } catch (error) {
    throw notStored(error)
  }
}

function notStored(cause: unknown): AppError {
  const message =
    'The file could not be stored: the disk is full or cannot be written. Tell the administrator.'
  return new AppError('storage_unavailable', message, {}, cause)
}

async function* asLines(rows: AsyncIterable<Row | Totals>): AsyncGenerator<string> {
  for await (const row of rows) yield `${JSON.stringify(row)}\n`
}

async function* asDocument(rows: AsyncIterable<Row | Totals>): AsyncGenerator<string> {
  let before = '{"rows":[\n'
  for await (const row of rows) {
    if ('entry' in row) {
      yield before + JSON.stringify(row)
      before = ',\n'
    } else {
      yield `${before.startsWith('{') ? before : '\n'}],${JSON.stringify(row).slice(1)}\n`
    }
  }
}

// ---------------------------------------------------------------- the archive

/** An entry that is meant to be a photo. */
interface Listed {
  entry: Entry
  /** As the ZIP calls it, to be shown; never part of a path. */
  name: string
  employeeId: string | null
  /** Why it is not even looked at. */
  fault: AppError | undefined
}

interface Archive {
  zip: ZipFile
  photos: Listed[]
  ignored: number
}

/** What a ZIP holds, and whose each photo is. Rejects with `invalid_request` where it cannot be read, or holds no photo. */
async function openArchive(db: Database, stored: StoredZip): Promise<Archive> {
  const entries: Entry[] = []
  let zip: ZipFile
  try {
    // Names are judged below, one by one, and sizes by what really comes out.
    const options = { autoClose: false, decodeStrings: false, validateEntrySizes: false }
    const { size } = await stored.handle.stat()
    zip = await fromRandomAccessReaderPromise(new SealedZip(stored), size, options)
    if (zip.entryCount <= MAX_ENTRIES) for await (const entry of zip.eachEntry()) entries.push(entry)
  } catch {
    throw invalidField('file', 'is not a ZIP that can be read, or was cut off: make it again')
  }
  if (zip.entryCount > MAX_ENTRIES)
    throw invalidField('file', `has more than ${MAX_ENTRIES} entries: send it in parts`)

  const named = entries.map((entry) => ({ entry, name: nameOf(entry) }))
  const photos = named.filter(({ name }) => !isIgnored(name))
  if (photos.length === 0) throw invalidField('file', 'holds no photos')
  const known = await knownPeople(db, [...new Set(photos.flatMap(({ name }) => idsIn(name)))])
  const seen = new Set<string>()
  return {
    zip,
    ignored: named.length - photos.length,
    photos: photos.map(({ entry, name }) => {
      const owner = ownerOf(name, (id) => known.has(id))
      const fault = faultOf(entry, name, owner, seen.has(name))
      seen.add(name)
      return { entry, name, employeeId: owner.employeeId, fault }
    }),
  }
}

function nameOf(entry: Entry): string {
  const name = getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, false)
  return name.normalize('NFC')
}

/** Folders, and what macOS and Windows put beside the pictures. */
function isIgnored(name: string): boolean {
  const segments = name.split('/')
  const last = segments.at(-1)!
  return (
    last === '' ||
    segments[0] === '__MACOSX' ||
    last.startsWith('.') ||
    /^(thumbs\.db|desktop\.ini)$/i.test(last)
  )
}

function faultOf(
  entry: Entry,
  name: string,
  { employeeId, fault }: Owner,
  repeated: boolean,
): AppError | undefined {
  if (validateFileName(name) !== null)
    return new AppError(
      'invalid_request',
      'The name leads out of the ZIP. Name the photo by the employee id.',
    )
  if (repeated) return new AppError('invalid_request', 'The ZIP has this name twice; the first one counts.')
  if (entry.isEncrypted())
    return new AppError('invalid_request', 'The photo is locked with a password. Make the ZIP without one.')
  if (employeeId === null) return new AppError('employee_not_found', fault)
  return undefined
}

async function knownPeople(db: Database, ids: string[]): Promise<Set<string>> {
  const rows = await db
    .selectFrom('employees')
    .select('employee_id')
    .where('ended_at', 'is', null)
    .where(sql<SqlBool>`employee_id = any(${ids}::text[])`)
    .execute()
  return new Set(rows.map(({ employee_id }) => employee_id))
}

type Owner = { employeeId: string; fault: undefined } | { employeeId: null; fault: string }

/**
 * Whose photo it is by its path: the folder's, where that is a person's id; otherwise the file name's, with or without
 * a number behind it. Where folder and file name two people, it is nobody's.
 */
export function ownerOf(path: string, isKnown: (employeeId: string) => boolean): Owner {
  const [folder, whole, numbered] = namesIn(path)
  const byFile = [whole, numbered].find((id) => id !== '' && isKnown(id))
  // In a person's own folder 7.jpg is their seventh picture, whoever number 7 may be.
  const other = byFile !== undefined && !/^\d{1,3}$/.test(byFile) ? byFile : undefined
  if (folder !== '' && isKnown(folder))
    return other === undefined || other === folder
      ? { employeeId: folder, fault: undefined }
      : {
          employeeId: null,
          fault: `The folder is of ${folder}, the file of ${other}. Say whose photo it is.`,
        }
  if (byFile !== undefined) return { employeeId: byFile, fault: undefined }
  return { employeeId: null, fault: `There is no employee ${whole}. Name the photo by the employee id.` }
}

/** The ids that a path may mean; those that can be none are left out. */
function idsIn(path: string): string[] {
  return namesIn(path).filter((id) => id !== '')
}

/** The folder, the file without its ending, and that without a number behind it; empty where it cannot be an id. */
function namesIn(path: string): [string, string, string] {
  const segments = path.split('/')
  const whole = segments
    .at(-1)!
    .replace(/\.[^.]*$/, '')
    .trim()
  const numbered = /^(.*\S)[ _-]+\(?\d{1,2}\)?$/.exec(whole)?.[1] ?? ''
  const asId = (name: string) => employeeId.safeParse(name).data ?? ''
  return [asId(segments.at(-2) ?? ''), asId(whole), asId(numbered)]
}

// ---------------------------------------------------------------- the work

interface How {
  dryRun: boolean
  change: Change
  /** To be recorded of each person who is enrolled. */
  consent: ConsentGiven | undefined
}

/** Enrols the photos one after the other. Yields a row for each, then the totals. */
async function* importPhotos(
  deps: BulkDeps,
  { zip, photos, ignored }: Archive,
  how: How,
): AsyncGenerator<Row | Totals> {
  const counts = { enrolled: 0, already_stored: 0, refused: 0 }
  let stopped: Totals['stopped'] = null
  let roomBytes = MAX_UNPACKED_BYTES
  for (const photo of photos) {
    const shown = { entry: photo.name.slice(-300), employee_id: photo.employeeId }
    try {
      if (photo.fault) throw photo.fault
      if (roomBytes <= 0) throw new AppError('upload_too_large', 'The ZIP unpacks to more than photos do.')
      const bytes = await unpack(zip, photo.entry, deps.maxPhotoBytes, (count) => {
        roomBytes -= count
      })
      const done = await enrolOne(deps, photo, bytes, how)
      counts[done.outcome]++
      yield { ...shown, ...done, code: null }
    } catch (error) {
      const refusal = refusalOf(error)
      if (!refusal) {
        stopped = whyStopped(error)
        deps.log.error({ err: error }, 'an import of photos stopped')
        break
      }
      counts.refused++
      const { code, message, details } = refusal
      const quality_score = typeof details.quality_score === 'number' ? details.quality_score : null
      yield { ...shown, outcome: 'refused', code, message, quality_score }
    }
  }
  const success = counts.refused === 0 && stopped === null
  yield { success, dry_run: how.dryRun, ...counts, ignored, stopped }
}

/** What is wrong with this photo or person alone; undefined for what would befall every one after it. */
function refusalOf(error: unknown): AppError | undefined {
  if (!(error instanceof AppError)) return undefined
  return error.status < 500 || error.code === 'biometrics_unreadable' ? error : undefined
}

function whyStopped(error: unknown): { code: ErrorCode; message: string } {
  if (error instanceof AppError) return { code: error.code, message: error.message }
  if (isConnectionError(error))
    return {
      code: 'database_unavailable',
      message: 'The database cannot be reached. Send the file again soon.',
    }
  return { code: 'internal', message: 'The server failed. Its log has the reason.' }
}

/** The bytes of an entry, however large its header says that it is. */
async function unpack(
  zip: ZipFile,
  entry: Entry,
  maxBytes: number,
  count: (bytes: number) => void,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>) {
      size += chunk.length
      count(chunk.length)
      if (size > maxBytes)
        throw new AppError('upload_too_large', `The photo is too large: at most ${maxBytes} bytes are taken.`)
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof AppError) throw error
    // Nothing but what was sent can fail here.
    throw damaged()
  }
  const bytes = Buffer.concat(chunks)
  if (size !== entry.uncompressedSize || crc32(bytes) !== entry.crc32) throw damaged()
  return bytes
}

function damaged(): AppError {
  return new AppError('invalid_image', 'The photo is damaged in the ZIP. Make the ZIP again.')
}

async function enrolOne(
  deps: BulkDeps,
  { name, employeeId }: Listed,
  bytes: Buffer,
  { dryRun, change, consent }: How,
): Promise<Pick<Row, 'outcome' | 'message' | 'quality_score'> & { outcome: 'enrolled' | 'already_stored' }> {
  const id = employeeId!
  if (dryRun) {
    if (await isStored(deps, id, bytes))
      return { outcome: 'already_stored', message: 'This photo was already stored', quality_score: null }
    if (consent === undefined) await requireConsent(deps.db, id)
    const { quality } = await whenThereIsRoom(() =>
      deps.queue.run(`enrol ${id}`, async () =>
        enrollableFace(deps.engine, (await toStoredJpeg(bytes)).bytes),
      ),
    )
    return { outcome: 'enrolled', message: 'The photo can be enrolled', quality_score: quality.score }
  }
  const filename = displayName(name.split('/').at(-1))
  const { first: enrolled } = await whenThereIsRoom(() =>
    enrolPhotos(deps, change, id, [{ buffer: bytes, filename }], { consent }),
  )
  const quality_score = enrolled.quality.score
  if (enrolled.alreadyStored)
    return { outcome: 'already_stored', message: 'This photo was already stored', quality_score }
  const others = enrolled.alsoEnrolledAs.map(({ employeeId }) => employeeId)
  const message =
    others.length > 0 ? `Face enrolled; the same face is enrolled as ${others.join(', ')}` : 'Face enrolled'
  return { outcome: 'enrolled', message, quality_score }
}

/** Whether a person has this very picture, without a look at it. */
export async function isStored(
  { db, vault }: Pick<EnrolDeps, 'db' | 'vault'>,
  employeeId: string,
  bytes: Uint8Array,
): Promise<boolean> {
  const key = await findKey(vault, db, employeeId)
  if (!key) return false
  const print = fingerprint(key, createHash('sha256').update(bytes).digest('hex'))
  return (await listSamples(db, employeeId)).some(({ sha256 }) => sha256 === print)
}

async function whenThereIsRoom<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const passes = error instanceof AppError && ['overloaded', 'pack_changed'].includes(error.code)
      if (!passes || attempt === MAX_ATTEMPTS) throw error
      await sleep(1000)
    }
  }
}
