import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { PhotoStore } from '../gallery/photo-store.ts'
import type { Change } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { invalidField } from '../shared/http.ts'
import type { Box } from '../vault/box.ts'
import { SealBroken } from '../vault/seal.ts'
import { admit, type CheckInDeps, checkIn, MAX_AHEAD_MS } from './check-in.ts'
import { savePicture, toKeptJpeg } from './pictures.ts'
import { findKiosk } from './records.ts'
import { type Flag, type KioskEvent, kioskEventSchema, type Synced } from './sync-schema.ts'

/** An event as it came over the wire. */
export interface SentEvent {
  /** The text that was signed. */
  text: string
  signature: string
  payload: Uint8Array
  /** Where the kiosk calls from. */
  address: string | undefined
}

export interface SyncDeps extends CheckInDeps {
  change: Change
  /** What kiosks seal their pictures to. */
  box: Box
  photos: PhotoStore
}

const NOTHING = '0'.repeat(64)
/** The two clocks of a kiosk part by less in a day, unless somebody set one of them. */
const MAX_DRIFT_MS = 5000

/**
 * Takes an event that a kiosk kept while it was off line: punches where the face is recognised, else leaves it for
 * somebody to decide. What is wrong with its chain or signature is flagged, and nothing is lost for it. The same event
 * again is answered as it was. Rejects with `invalid_request` for what is no event, with the codes of `admit`, and where
 * the server cannot look at pictures now.
 */
export async function syncEvent(
  deps: SyncDeps,
  sent: SentEvent,
  /** The kiosk that sends it; undefined for a person or program. */
  own: string | undefined,
): Promise<Synced> {
  const { db, clock } = deps
  const event = parseEvent(sent.text)
  // A tablet that was paired anew still has what it kept as another kiosk: somebody's time, whoever it is now.
  const deviceId = own ?? event.device_id
  const isOther = deviceId !== event.device_id
  await admit(db, { deviceId, address: sent.address })
  const known = await findEvent(db, deviceId, event)
  if (known) return known
  // It is no part of this kiosk's chain.
  const signingKey = isOther ? null : await signingKeyOf(db, deviceId)
  const { pictures, flag } = openEvent(deps.box, signingKey, event, sent)
  const wrong = isOther ? 'other_device' : flag
  const ending = pictures && !wrong ? await tryToPunch(deps, event, pictures, sent) : undefined
  const isPending = ending === undefined || ending.outcome === 'pending'
  const image = isPending && pictures ? await keepImage(deps, pictures[0]) : undefined
  try {
    return await deps.change(async (trx) => {
      // One event of a kiosk after the other: each is compared with the one before it.
      await trx
        .selectFrom('devices')
        .select('id')
        .where('device_id', '=', deviceId)
        .forNoKeyUpdate()
        .execute()
      const again = await findEvent(trx, deviceId, event)
      if (again) return again
      const flags: Flag[] = [
        ...(wrong ? [wrong] : []),
        ...(isOther ? [] : await flagsOf(trx, event, signingKey, clock.now())),
      ]
      const outcome = ending?.outcome ?? 'pending'
      await trx
        .insertInto('kiosk_events')
        .values({
          device_id: deviceId,
          event_id: event.event_id,
          signing_key: signingKey,
          seq: event.seq,
          hash: sha256(sent.text),
          captured_at: new Date(event.captured_at),
          received_at: clock.now(),
          boot_id: event.boot_id,
          monotonic_ms: event.monotonic_ms,
          attendance_type: event.attendance_type,
          flags,
          outcome,
          reason: ending?.reason ?? null,
          decision_id: ending?.decisionId ?? null,
          punch_id: ending?.punchId ?? null,
          image_path: image ?? null,
          // A punch with a doubtful time counts, and somebody looks at it.
          state: outcome === 'pending' || flags.length > 0 ? 'open' : null,
        })
        .execute()
      return { event_id: event.event_id, outcome, flags }
    })
  } catch (error) {
    if (image !== undefined && error instanceof AppError) await deps.photos.remove([image])
    throw error
  }
}

function parseEvent(text: string): KioskEvent {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw invalidField('event', 'is not valid JSON')
  }
  const { data, error } = kioskEventSchema.safeParse(json)
  if (data) return data
  const [issue] = error.issues
  throw invalidField(['event', ...issue.path].join('.'), issue.message)
}

async function findEvent(
  db: Database | DatabaseTransaction,
  deviceId: string,
  { event_id }: KioskEvent,
): Promise<Synced | undefined> {
  const found = await db
    .selectFrom('kiosk_events')
    .select(['event_id', 'outcome', 'flags'])
    .where('device_id', '=', deviceId)
    .where('event_id', '=', event_id)
    .executeTakeFirst()
  return found && { ...found, flags: found.flags as Flag[] }
}

async function signingKeyOf(db: Database, deviceId: string): Promise<string | null> {
  const device = await db
    .selectFrom('devices')
    .select('signing_key')
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  return device?.signing_key ?? null
}

/** The pictures of an event, as far as they open, and what is wrong with them: then somebody looks at them. */
function openEvent(
  box: Box,
  signingKey: string | null,
  event: KioskEvent,
  { text, signature, payload }: SentEvent,
): { pictures?: Buffer[]; flag?: Flag } {
  const isSigned =
    signingKey !== null &&
    verify(
      'sha256',
      Buffer.from(text),
      { key: importSigningKey(signingKey), dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    )
  const flag = isSigned && sha256(payload) === event.payload_sha256 ? undefined : 'bad_signature'
  try {
    const pictures = unpack(box.open(payload, event.event_id))
    if (pictures.length === event.frame_ms.length) return { pictures, flag }
  } catch (error) {
    if (!(error instanceof SealBroken || error instanceof RangeError)) throw error
  }
  return { flag: flag ?? 'unreadable' }
}

/** A point of P-256, uncompressed, in base64url, as a key. Throws where it is none. */
export function importSigningKey(point: string): KeyObject {
  const bytes = Buffer.from(point, 'base64url')
  const [x, y] = [bytes.subarray(1, 33), bytes.subarray(33)].map((part) => part.toString('base64url'))
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' })
}

/** Each picture behind its length as 4 bytes, big-endian. Throws a RangeError where they do not fit. */
function unpack(bytes: Buffer): Buffer[] {
  const pictures: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) throw new RangeError('a picture is cut off')
    pictures.push(bytes.subarray(at + 4, end))
    at = end
  }
  return pictures
}

interface Ending {
  outcome: Synced['outcome']
  reason?: string
  decisionId?: number
  punchId?: number
}

/** Faults of the kiosk's own standing, or of the server at this moment: the event is sent again. */
const notAboutTheEvent: ReadonlySet<string> = new Set([
  'unknown_device',
  'device_inactive',
  'network_not_allowed',
])

async function tryToPunch(
  deps: CheckInDeps,
  event: KioskEvent,
  pictures: Buffer[],
  { text, address }: SentEvent,
): Promise<Ending> {
  try {
    const { answer } = await checkIn(deps, {
      images: pictures,
      frameMs: event.frame_ms,
      deviceId: event.device_id,
      address,
      requested: event.attendance_type,
      capturedAt: new Date(event.captured_at),
      idempotency: { key: event.event_id, requestHash: sha256(text) },
    })
    const { code, decision_id: decisionId, attendance_id: punchId } = answer
    if (code === 'identified') return { outcome: 'punched', decisionId, punchId }
    if (code === 'duplicate') return { outcome: 'duplicate', decisionId, punchId }
    return { outcome: 'pending', reason: code, decisionId }
  } catch (error) {
    if (!(error instanceof AppError) || error.status >= 500 || error.status === 429) throw error
    if (notAboutTheEvent.has(error.code)) throw error
    // It was answered while the kiosk still was on line, and the answer was lost on its way: the person read "saved".
    if (error.code === 'idempotency_key_reused') return answeredBefore(deps.db, event)
    return { outcome: 'pending', reason: error.code, decisionId: error.details.decision_id as number }
  }
}

async function answeredBefore(db: Database, { device_id, event_id }: KioskEvent): Promise<Ending> {
  const answer = (await findKiosk(db, device_id, event_id))?.remembered?.answer
  if (answer?.status !== 200) return { outcome: 'pending', reason: 'answered_before' }
  const { recognized, code, decision_id: decisionId, attendance_id: punchId } = answer.body
  return recognized
    ? { outcome: 'duplicate', reason: 'answered_before', decisionId, punchId }
    : { outcome: 'pending', reason: code, decisionId }
}

/** Whoever decides has to see who stood there. */
async function keepImage(deps: SyncDeps, picture: Buffer): Promise<string | undefined> {
  try {
    return await savePicture(deps, await toKeptJpeg(picture), undefined)
  } catch (error) {
    deps.log.warn({ err: error }, 'the picture of an event could not be kept')
    return undefined
  }
}

/** What does not fit the event before it: another number, another past, or clocks that ran apart. */
async function flagsOf(
  trx: DatabaseTransaction,
  event: KioskEvent,
  signingKey: string | null,
  now: Date,
): Promise<Flag[]> {
  const last = await trx
    .selectFrom('kiosk_events')
    .select(['seq', 'hash', 'boot_id', 'monotonic_ms', 'captured_at'])
    .where('device_id', '=', event.device_id)
    .where('signing_key', 'is not distinct from', signingKey)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  const flags: Flag[] = []
  const expected = (last?.seq ?? 0) + 1
  if (event.seq > expected) flags.push('gap')
  else if (event.seq < expected || event.previous_hash !== (last?.hash ?? NOTHING)) flags.push('fork')
  const capturedAt = Date.parse(event.captured_at)
  if (capturedAt - now.getTime() > MAX_AHEAD_MS || (last && clocksParted(last, event, capturedAt)))
    flags.push('clock_jump')
  return flags
}

function clocksParted(
  last: { boot_id: string; monotonic_ms: number; captured_at: Date },
  { boot_id, monotonic_ms }: KioskEvent,
  capturedAt: number,
): boolean {
  const passed = capturedAt - last.captured_at.getTime()
  if (boot_id !== last.boot_id) return passed < -MAX_DRIFT_MS
  return Math.abs(passed - (monotonic_ms - last.monotonic_ms)) > MAX_DRIFT_MS
}

function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
