import { requireNetwork } from '../access/guard.ts'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { FaceEngine } from '../face/engine.ts'
import type { Action } from '../face/pad/challenge.ts'
import { MIN_COMPARED_QUALITY, noFace, poorQuality, severalFaces } from '../gallery/faults.ts'
import type { Candidate, Gallery } from '../gallery/gallery.ts'
import type { Learner } from '../gallery/learn.ts'
import { takeChallenge } from '../gallery/liveness-challenge.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { invalidField } from '../shared/http.ts'
import type { Logger } from '../shared/log.ts'
import type { WorkQueue } from '../shared/work-queue.ts'
import { type Decision, decide, type Evidence, type PadPolicy, type PunchType, type Rules } from './decide.ts'
import { type Conclusion, describe, describeFrames } from './describe.ts'
import { judgeLiveness } from './liveness.ts'
import { bestFace, kindOf, type Looked, lookAt, votesOf } from './look.ts'
import { type PictureDeps, savePicture, toKeptJpeg } from './pictures.ts'
import {
  type Answer,
  findKiosk,
  insertDecision,
  insertPunch,
  type Kiosk,
  lastPunch,
  lockActivePerson,
  lockKey,
  type NewDecision,
  type Punch,
  type Remembered,
  remember,
} from './records.ts'
import type { Checked } from './schema.ts'

export interface CheckInDeps extends PictureDeps {
  engine: FaceEngine
  gallery: Gallery
  learner: Pick<Learner, 'offer'>
  ledger: Pick<Ledger, 'punches'>
  queue: WorkQueue
  clock: Clock
  log: Logger
  /** IANA zone that decides which day a punch belongs to, where the kiosk's site has none of its own. */
  timeZone: string
  /** Where the kiosk has none of its own. */
  padPolicy: PadPolicy
  duplicateWindowMs: number
}

export interface CheckRequest {
  /** 1 to MAX_FRAMES pictures, in the order in which they were taken. */
  images: readonly Uint8Array[]
  /** When each was taken, in milliseconds since the first. */
  frameMs?: readonly number[]
  deviceId: string
  /** Where a kiosk calls from; undefined for people and programs, who may from anywhere. */
  address: string | undefined
  /** Undefined leaves it to the kiosk's direction. */
  requested: PunchType | 'AUTO' | undefined
  /** The nonce of the challenge that the pictures answer. */
  challenge?: string
  /** Who the person says to be. */
  claimed?: string
  /** When the picture was taken, by the client's clock; undefined means now. */
  capturedAt?: Date
  /** The client's name for this event, and a hash of all that it sent with it. */
  idempotency?: { key: string; requestHash: string }
}

type CheckAnswer = Omit<Checked, 'processing_time'>

export interface CheckResult {
  answer: CheckAnswer
  /** The request had been answered before; this is that answer. */
  replayed: boolean
}

/** How many of the people most alike are kept in a decision record. */
export const CANDIDATES = 5

/** A picture may be sent in later, as long as the week is not yet paid. */
const MAX_AGE_MS = 7 * 24 * 3_600_000
/** How far a client's clock may be ahead. */
export const MAX_AHEAD_MS = 5 * 60_000

/**
 * One check-in, from the pictures to the punch on disk. Resolves to the answer; rejects with an AppError when the kiosk
 * is unknown, its challenge is not valid, the pictures cannot be judged or the server is too busy. No punch is stored
 * then, and a decision only where a picture was looked at.
 */
export async function checkIn(deps: CheckInDeps, request: CheckRequest): Promise<CheckResult> {
  const { db, clock } = deps
  const now = clock.now()
  const { idempotency, capturedAt } = request
  const kiosk = await admit(db, request)
  if (kiosk.remembered) return replayed(kiosk.remembered, request)
  if (capturedAt) requireRecent(capturedAt, now)
  try {
    // The kiosk's queue first; no connection or lock of the database is held while the networks run.
    const seen = await deps.queue.run(`kiosk ${request.deviceId}`, async () => {
      // The same request may have been answered while this one waited: its challenge is used up now.
      if (idempotency && request.challenge !== undefined) {
        const { remembered } = await admit(db, request)
        if (remembered) return { remembered }
      }
      // Not before there is a place: who is told to come back comes with the same challenge.
      const steps =
        request.challenge === undefined
          ? undefined
          : await takeChallenge(db, request.deviceId, request.challenge, now)
      const looked = await lookAt(deps.engine, request.images, request.frameMs, steps !== undefined)
      const shown = request.images[looked.embedded[0]?.frame ?? 0]
      const jpeg = kiosk.keepPictures ? await toKeptJpeg(shown) : undefined
      return { looked, steps, jpeg }
    })
    if (seen.remembered) return replayed(seen.remembered, request)
    return await decideAndStore(deps, request, { ...seen, kiosk, now })
  } catch (error) {
    if (idempotency && error instanceof AppError && error.status < 500)
      await rememberRefusal(deps, request.deviceId, idempotency, error, now)
    throw error
  }
}

/** Resolves to a kiosk that may check people in, from this address; rejects for any other. */
export async function admit(
  db: Database | DatabaseTransaction,
  { deviceId, address, idempotency }: Pick<CheckRequest, 'deviceId' | 'address' | 'idempotency'>,
  lock = false,
): Promise<Kiosk> {
  const kiosk = await findKiosk(db, deviceId, idempotency?.key, lock)
  if (!kiosk)
    throw new AppError('unknown_device', `The device ${deviceId} is not registered. Register it first.`)
  if (!kiosk.isActive) throw new AppError('device_inactive', `The device ${deviceId} is deactivated.`)
  if (address !== undefined) requireNetwork(address, kiosk.allowedNetworks)
  return kiosk
}

function requireRecent(capturedAt: Date, now: Date): void {
  const ageMs = now.getTime() - capturedAt.getTime()
  if (ageMs < -MAX_AHEAD_MS) throw invalidField('captured_at', "lies in the future: set the client's clock")
  if (ageMs > MAX_AGE_MS)
    throw invalidField('captured_at', 'is more than 7 days ago: enter the punch by hand instead')
}

function replayed({ requestHash, answer }: Remembered, { idempotency }: CheckRequest): CheckResult {
  if (requestHash !== idempotency?.requestHash)
    throw new AppError(
      'idempotency_key_reused',
      'This Idempotency-Key was used for another request. Take a new one.',
    )
  if (answer.status === 200) return { answer: answer.body, replayed: true }
  throw new AppError(answer.body.code, answer.body.message, answer.body.details)
}

/** What was seen, before anything is decided. */
interface Sight {
  looked: Looked
  /** What the kiosk was asked to have done, where the pictures answer a challenge. */
  steps: Action[] | undefined
  /** The picture, where it is kept. */
  jpeg: Uint8Array | undefined
  /** As it was when the pictures came. */
  kiosk: Kiosk
  now: Date
}

async function decideAndStore(
  deps: CheckInDeps,
  request: CheckRequest,
  { looked, steps, jpeg, kiosk: before, now }: Sight,
): Promise<CheckResult> {
  const at = request.capturedAt ?? now
  const votes = votesOf(looked)
  const found =
    votes.length === 0
      ? undefined
      : deps.gallery.identify(
          votes.map(({ vote }) => vote),
          CANDIDATES,
        )
  // Before the transaction: it searches the gallery for each picture, and nobody's row is to be locked meanwhile.
  const frames = describeFrames(deps.gallery, looked, votes)
  const rules: Rules = {
    threshold: found?.threshold ?? 1,
    minQuality: MIN_COMPARED_QUALITY,
    padPolicy: before.padPolicy ?? deps.padPolicy,
    duplicateWindowMs: deps.duplicateWindowMs,
  }
  const trust = { policy: rules.padPolicy, modelIsEnough: before.padModelEnough }
  const pad = judgeLiveness(looked, steps, deps.gallery, trust)
  const evidence: Evidence = {
    picture: pictureOf(looked),
    liveness: pad.state,
    candidates: found?.candidates ?? [],
    dissent: found?.dissent ?? false,
    claimed: request.claimed,
    candidateIsActive: true,
    // What a kiosk is for decides only about people, and only once it is known which kiosk it is.
    requested: request.requested ?? 'IN',
    now: at,
  }
  const first = decide(evidence, rules)
  const shown = first.outcome === 'identified' ? first.employeeId : undefined
  const picture = jpeg && (await keepPicture(deps, jpeg, shown))
  try {
    const ending = await decideInTurn()
    const unused =
      'replayed' in ending && (ending.replayed || (shown !== undefined && !ending.answer.recognized))
    if (picture !== undefined && unused) await deps.photos.remove([picture])
    if (ending instanceof AppError) throw ending
    learnFrom(deps, request, looked, ending)
    return ending
  } catch (error) {
    // After a refusal there is no row. After a lost connection nobody knows: then the sweep decides.
    if (picture !== undefined && error instanceof AppError && !('decision_id' in error.details))
      await deps.photos.remove([picture])
    throw error
  }

  /** Resolves to the answer, or to the refusal that was written down: its row must be committed before it is thrown. */
  async function decideInTurn(): Promise<CheckResult | AppError> {
    return deps.ledger.punches(async (trx) => {
      // Of two requests with one key the second waits here, and finds what the first was answered.
      if (request.idempotency) await lockKey(trx, request.deviceId, request.idempotency.key)
      // Once more: the kiosk may have been removed while the networks ran.
      const kiosk = await admit(trx, request, true)
      if (kiosk.remembered) return replayed(kiosk.remembered, request)
      const requested = request.requested ?? (kiosk.direction === 'AUTO' ? 'IN' : kiosk.direction)
      const timeZone = kiosk.timeZone ?? deps.timeZone
      const best = shown === undefined ? undefined : found?.candidates.find((one) => one.employeeId === shown)
      const person = best && (await lockActivePerson(trx, best.employeeId))
      const last =
        person && (await lastPunch(trx, best.employeeId, requested, at, timeZone, deps.duplicateWindowMs))
      const decision = best
        ? decide({ ...evidence, requested, candidateIsActive: person !== undefined, lastPunch: last }, rules)
        : first
      const refusal = refusalOf(decision, looked)
      // Sealed with the key of somebody who was deactivated meanwhile, it would be nobody's to open.
      const kept = shown === undefined || person ? picture : undefined
      const conclusion = {
        ...{ looked, frames, pad, steps, found, best, rules, decision, refusal, last },
        ...{ claimed: request.claimed, requested, timeZone, at, now, picture: kept },
      }
      if (refusal) return storeRefusal(trx, deps, request, refusal, conclusion)
      const answer = await store(trx, deps, request, conclusion)
      if (request.idempotency) {
        const { key, requestHash } = request.idempotency
        const body = answer as Checked
        await remember(trx, request.deviceId, key, { requestHash, answer: { status: 200, body } }, now)
      }
      return { answer, replayed: false }
    })
  }
}

/** Only what is committed is learned from, and only once. */
function learnFrom(
  { learner }: CheckInDeps,
  { images }: CheckRequest,
  { embedded: [best] }: Looked,
  { answer, replayed }: CheckResult,
): void {
  const { code: outcome, liveness, attendance_id: punchId, employee_id: employeeId } = answer
  if (replayed || outcome !== 'identified' || punchId === undefined || employeeId === undefined) return
  learner.offer({ punchId, employeeId, outcome, liveness, face: best.face, picture: images[best.frame] })
}

function pictureOf(looked: Looked): Evidence['picture'] {
  const kind = kindOf(looked)
  return kind === 'face' ? { kind, quality: bestFace(looked)!.quality.score } : { kind }
}

/** A person's time counts, whatever becomes of the picture: what cannot be written is logged. */
async function keepPicture(
  deps: CheckInDeps,
  jpeg: Uint8Array,
  employeeId: string | undefined,
): Promise<string | undefined> {
  try {
    return await savePicture(deps, jpeg, employeeId)
  } catch (error) {
    deps.log.error({ err: error }, 'the picture of a check could not be kept')
    return undefined
  }
}

/** What is answered where nothing could be compared. */
function refusalOf({ outcome }: Decision, looked: Looked): AppError | undefined {
  if (outcome === 'no_face') return noFace()
  if (outcome === 'several_faces') {
    const several = looked.frames.find((frame) => frame.kind === 'several_faces')
    return severalFaces(several?.kind === 'several_faces' ? several.count : 2)
  }
  if (outcome === 'poor_quality') return poorQuality(bestFace(looked)!.quality, MIN_COMPARED_QUALITY)
  return undefined
}

/** Not what the request was answered for good: the key's first answer stands, and a kiosk may come back. */
const passing: ReadonlySet<string> = new Set([
  'idempotency_key_reused',
  'unknown_device',
  'device_inactive',
  'network_not_allowed',
  // Another process may be answering the request that the challenge was used for.
  'challenge_invalid',
])

async function rememberRefusal(
  { db, log }: CheckInDeps,
  deviceId: string,
  { key, requestHash }: { key: string; requestHash: string },
  { code, message, details }: AppError,
  now: Date,
): Promise<void> {
  if (passing.has(code)) return
  try {
    await db.transaction().execute(async (trx) => {
      await lockKey(trx, deviceId, key)
      if ((await findKiosk(trx, deviceId, key))?.remembered) return
      const answer: Answer = { status: 'refused', body: { code, message, details } }
      await remember(trx, deviceId, key, { requestHash, answer }, now)
    })
  } catch (error) {
    log.error({ err: error }, 'a refusal could not be remembered')
  }
}

function decisionOf(deps: CheckInDeps, request: CheckRequest, conclusion: Conclusion): NewDecision {
  const { found, best, decision, picture, now } = conclusion
  return {
    deviceId: request.deviceId,
    outcome: decision.outcome,
    employeeId: 'employeeId' in decision ? decision.employeeId : null,
    confidence: (best ?? found?.candidates[0])?.confidence ?? null,
    pack: bestFace(conclusion.looked)?.pack ?? deps.engine.pack.name,
    calibrationId: found?.calibrationId ?? null,
    duplicateOf: decision.outcome === 'duplicate' ? decision.punchId : null,
    record: describe(deps, request.capturedAt, conclusion),
    picture,
    now,
  }
}

/** Writes down that there was nothing to compare. Resolves to the refusal, with the number of its decision. */
async function storeRefusal(
  trx: DatabaseTransaction,
  deps: CheckInDeps,
  request: CheckRequest,
  { code, message, details }: AppError,
  conclusion: Conclusion,
): Promise<AppError> {
  const decision_id = await insertDecision(trx, decisionOf(deps, request, conclusion))
  const body = { code, message, details: { ...details, decision_id } }
  if (request.idempotency) {
    const { key, requestHash } = request.idempotency
    const refused = { requestHash, answer: { status: 'refused' as const, body } }
    await remember(trx, request.deviceId, key, refused, conclusion.now)
  }
  return new AppError(body.code, body.message, body.details)
}

/** Writes the decision record and, where somebody was identified, the punch. */
async function store(
  trx: DatabaseTransaction,
  deps: CheckInDeps,
  request: CheckRequest,
  conclusion: Conclusion,
): Promise<CheckAnswer> {
  const { best, decision, last, timeZone, at, pad } = conclusion
  const record = decisionOf(deps, request, conclusion)
  const base = { success: true as const, liveness: pad.state }
  if (decision.outcome === 'identified' && best) {
    const { employeeId, type } = decision
    const { confidence, templateId } = best
    const punch = { employeeId, type, at, confidence, liveness: pad.state, templateId }
    const { decisionId, punchId } = await insertPunch(trx, record, punch)
    return { ...base, decision_id: decisionId, ...whoWasRecognised(best), ...punched(type, punchId, at) }
  }
  const decision_id = await insertDecision(trx, record)
  if (decision.outcome === 'duplicate' && last && best)
    return { ...base, decision_id, ...whoWasRecognised(best), ...repeated(last, timeZone) }
  return {
    ...base,
    decision_id,
    recognized: false,
    code: decision.outcome as Checked['code'],
    message: messages[decision.outcome] ?? 'Face not recognized',
    duplicate: false,
    next_step: nextStep(request, conclusion),
  }
}

/** What may get the person in after all. */
function nextStep(request: CheckRequest, { decision, found, rules }: Conclusion): Checked['next_step'] {
  if (decision.outcome === 'undecided' && request.challenge === undefined) return 'challenge'
  if (decision.outcome === 'ambiguous' && decision.lookAlikes.length > 0) return 'employee_code'
  const best = found?.candidates[0]?.confidence ?? 0
  const isClose = decision.outcome === 'ambiguous' || best >= rules.threshold - NEARLY
  return isClose && decision.outcome !== 'attack' && request.images.length === 1 ? 'more_frames' : undefined
}

/** One decade of false matches below the threshold: more pictures may get there. */
const NEARLY = 0.1

function whoWasRecognised({ employeeId, name, confidence }: Candidate) {
  return { recognized: true, employee_id: employeeId, employee_name: name, confidence }
}

/** What is answered of a new punch, whatever led to it. */
export function punched(type: PunchType, id: number, at: Date) {
  return {
    code: 'identified' as const,
    message: type === 'IN' ? 'Checked in' : 'Checked out',
    attendance_type: type,
    attendance_id: id,
    timestamp: at.toISOString(),
    duplicate: false,
  }
}

/** What is answered where there was such a punch a moment ago. */
export function repeated(last: Punch, timeZone: string) {
  return {
    ...punched(last.type, last.id, last.at),
    code: 'duplicate' as const,
    message: `Already checked ${last.type === 'IN' ? 'in' : 'out'} at ${clockTime(last.at, timeZone)}`,
    duplicate: true,
  }
}

const messages: Partial<Record<Decision['outcome'], string>> = {
  not_identified: 'Face not recognized',
  ambiguous:
    'Face not recognized: two people are too much alike. Come closer and look straight into the camera.',
  attack: 'The camera does not see a live face',
  undecided: 'A live face could not be confirmed',
}

function clockTime(time: Date, timeZone: string): string {
  return new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' }).format(time)
}
