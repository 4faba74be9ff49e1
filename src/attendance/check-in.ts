import { requireNetwork } from '../access/guard.ts'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { FaceEngine } from '../face/engine.ts'
import type { Analysis } from '../face/pipeline.ts'
import { MIN_COMPARED_QUALITY, noFace, poorQuality, severalFaces } from '../gallery/faults.ts'
import { type Gallery, type Identification, MARGIN, voteOf } from '../gallery/gallery.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { invalidField } from '../shared/http.ts'
import type { Logger } from '../shared/log.ts'
import type { WorkQueue } from '../shared/work-queue.ts'
import { type Decision, decide, type Liveness, type PadPolicy, type PunchType, type Rules } from './decide.ts'
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
  ledger: Pick<Ledger, 'punches'>
  queue: WorkQueue
  clock: Clock
  log: Logger
  /** IANA zone that decides which day a punch belongs to, where the kiosk's site has none of its own. */
  timeZone: string
  padPolicy: PadPolicy
  duplicateWindowMs: number
}

export interface CheckRequest {
  image: Uint8Array
  deviceId: string
  /** Where a kiosk calls from; undefined for people and programs, who may from anywhere. */
  address: string | undefined
  /** Undefined leaves it to the kiosk's direction. */
  requested: PunchType | 'AUTO' | undefined
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
const CANDIDATES = 5

/** A picture may be sent in later, as long as the week is not yet paid. */
const MAX_AGE_MS = 7 * 24 * 3_600_000
/** How far a client's clock may be ahead. */
export const MAX_AHEAD_MS = 5 * 60_000

/** Nothing is looked for yet, and so nothing ever passes. */
const LIVENESS: Liveness = 'unavailable'

/**
 * One check-in, from the picture to the punch on disk. Resolves to the answer; rejects with an AppError when the kiosk
 * is unknown, the picture cannot be judged or the server is too busy. Then nothing is stored, but for the refusal
 * itself where the client gave an idempotency key.
 */
export async function checkIn(deps: CheckInDeps, request: CheckRequest): Promise<CheckResult> {
  const { db, clock } = deps
  const now = clock.now()
  const { idempotency, capturedAt } = request
  const { remembered, keepPictures } = await admit(db, request)
  if (remembered) return replayed(remembered, request)
  if (capturedAt) requireRecent(capturedAt, now)
  try {
    // The kiosk's queue first; no connection or lock of the database is held while the networks run.
    const { analysis, jpeg } = await deps.queue.run(`kiosk ${request.deviceId}`, async () => {
      const analysis = await deps.engine.analyse(request.image)
      const jpeg = keepPictures && analysis.kind === 'face' ? await toKeptJpeg(request.image) : undefined
      return { analysis, jpeg }
    })
    return await decideAndStore(deps, request, analysis, jpeg, now)
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

async function decideAndStore(
  deps: CheckInDeps,
  request: CheckRequest,
  analysis: Analysis,
  /** The picture, where it is kept. */
  jpeg: Uint8Array | undefined,
  now: Date,
): Promise<CheckResult> {
  const at = request.capturedAt ?? now
  const face = analysis.kind === 'face' ? analysis.face : undefined
  const found = face && deps.gallery.identify([voteOf(face)], CANDIDATES)
  const rules: Rules = {
    threshold: found?.threshold ?? 1,
    margin: MARGIN,
    minQuality: MIN_COMPARED_QUALITY,
    padPolicy: deps.padPolicy,
    duplicateWindowMs: deps.duplicateWindowMs,
  }
  const evidence = {
    picture: face
      ? { kind: 'face' as const, quality: face.quality.score }
      : { kind: analysis.kind as 'no_face' },
    liveness: LIVENESS,
    candidates: found?.candidates ?? [],
    candidateIsActive: true,
    // What a kiosk is for decides only about people, and only once it is known which kiosk it is.
    requested: request.requested ?? 'IN',
    now: at,
  }
  const first = decide(evidence, rules)
  // What cannot be compared leaves nothing behind.
  refuse(first, analysis)
  const shown = first.outcome === 'identified' ? first.employeeId : undefined
  const picture = jpeg && (await keepPicture(deps, jpeg, shown))
  try {
    const result = await decideInTurn()
    if (picture !== undefined && result.replayed) await deps.photos.remove([picture])
    return result
  } catch (error) {
    // After a refusal there is no row. After a lost connection nobody knows: then the sweep decides.
    if (picture !== undefined && error instanceof AppError) await deps.photos.remove([picture])
    throw error
  }

  async function decideInTurn(): Promise<CheckResult> {
    return deps.ledger.punches(async (trx) => {
      // Of two requests with one key the second waits here, and finds what the first was answered.
      if (request.idempotency) await lockKey(trx, request.deviceId, request.idempotency.key)
      // Once more: the kiosk may have been removed while the networks ran.
      const kiosk = await admit(trx, request, true)
      if (kiosk.remembered) return replayed(kiosk.remembered, request)
      const requested = request.requested ?? (kiosk.direction === 'AUTO' ? 'IN' : kiosk.direction)
      const timeZone = kiosk.timeZone ?? deps.timeZone
      const best = first.outcome === 'identified' ? found?.candidates[0] : undefined
      const person = best && (await lockActivePerson(trx, best.employeeId))
      const last =
        person && (await lastPunch(trx, best.employeeId, requested, at, timeZone, deps.duplicateWindowMs))
      const decision = best
        ? decide({ ...evidence, requested, candidateIsActive: person !== undefined, lastPunch: last }, rules)
        : first
      const conclusion = {
        analysis,
        found: found!,
        rules,
        decision,
        last,
        requested,
        timeZone,
        at,
        now,
        picture,
      }
      const answer = await store(trx, request, conclusion)
      if (request.idempotency) {
        const { key, requestHash } = request.idempotency
        const body = answer as Checked
        await remember(trx, request.deviceId, key, { requestHash, answer: { status: 200, body } }, now)
      }
      return { answer, replayed: false }
    })
  }
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

function refuse(decision: Decision, analysis: Analysis): void {
  if (analysis.kind === 'no_face') throw noFace()
  if (analysis.kind === 'several_faces') throw severalFaces(analysis.count)
  if (decision.outcome === 'poor_quality') throw poorQuality(analysis.face.quality, MIN_COMPARED_QUALITY)
}

/** Not what the request was answered for good: the key's first answer stands, and a kiosk may come back. */
const passing: ReadonlySet<string> = new Set([
  'idempotency_key_reused',
  'unknown_device',
  'device_inactive',
  'network_not_allowed',
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

interface Conclusion {
  analysis: Analysis
  found: Identification
  rules: Rules
  decision: Decision
  last: Punch | undefined
  requested: PunchType | 'AUTO'
  /** Of the kiosk's site. */
  timeZone: string
  /** When the punch counts. */
  at: Date
  now: Date
  /** The file of the picture, where it is kept. */
  picture: string | undefined
}

/** Writes the decision record and, where somebody was identified, the punch. */
async function store(
  trx: DatabaseTransaction,
  request: CheckRequest,
  conclusion: Conclusion,
): Promise<CheckAnswer> {
  const { analysis, found, decision, last, timeZone, at, now, picture } = conclusion
  if (analysis.kind !== 'face') throw new Error('only a face leads to a decision record')
  const [best] = found.candidates
  const record: NewDecision = {
    deviceId: request.deviceId,
    outcome: decision.outcome,
    employeeId: 'employeeId' in decision ? decision.employeeId : null,
    confidence: best?.confidence ?? null,
    pack: analysis.face.pack,
    calibrationId: found.calibrationId,
    duplicateOf: decision.outcome === 'duplicate' ? decision.punchId : null,
    record: describe(request, conclusion),
    picture,
    now,
  }
  const base = { success: true as const, liveness: LIVENESS }
  if (decision.outcome === 'identified') {
    const { employeeId, type } = decision
    const { confidence, templateId } = best
    const punch = { employeeId, type, at, confidence, liveness: LIVENESS, templateId }
    const { decisionId, punchId } = await insertPunch(trx, record, punch)
    return {
      ...base,
      decision_id: decisionId,
      ...whoWasRecognised(best, type, punchId, at),
      code: 'identified',
      message: type === 'IN' ? 'Checked in' : 'Checked out',
      duplicate: false,
    }
  }
  const decision_id = await insertDecision(trx, record)
  if (decision.outcome === 'duplicate' && last)
    return {
      ...base,
      decision_id,
      ...whoWasRecognised(best, last.type, last.id, last.at),
      code: 'duplicate',
      message: `Already checked ${last.type === 'IN' ? 'in' : 'out'} at ${clockTime(last.at, timeZone)}`,
      duplicate: true,
    }
  return {
    ...base,
    decision_id,
    recognized: false,
    code: decision.outcome as Checked['code'],
    message: messages[decision.outcome] ?? 'Face not recognized',
    duplicate: false,
  }
}

function whoWasRecognised(
  best: Identification['candidates'][number],
  type: PunchType,
  attendanceId: number,
  at: Date,
) {
  return {
    recognized: true,
    employee_id: best.employeeId,
    employee_name: best.name,
    confidence: best.confidence,
    attendance_type: type,
    attendance_id: attendanceId,
    timestamp: at.toISOString(),
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

/** Everything that led to the decision, as it is kept for good. */
function describe(request: CheckRequest, conclusion: Conclusion): Record<string, unknown> {
  const { analysis, found, rules, decision, requested, now } = conclusion
  if (analysis.kind !== 'face') throw new Error('only a face leads to a decision record')
  const { detection, pose, quality } = analysis.face
  return {
    rule: decision.rule,
    requested,
    ...(request.capturedAt && {
      time_of: 'client',
      captured_at: request.capturedAt.toISOString(),
      received_at: now.toISOString(),
    }),
    picture: analysis.picture,
    face: { box: detection.box, score: detection.score, pose },
    quality: { score: quality.score, parts: quality.parts, measures: quality.measures },
    liveness: { state: LIVENESS, policy: rules.padPolicy },
    thresholds: { confidence: rules.threshold, margin: rules.margin, quality: rules.minQuality },
    scale: found.scale,
    people: found.people,
    candidates: found.candidates.map((one) => ({
      employee_id: one.employeeId,
      template_id: one.templateId,
      raw_score: one.rawScore,
      score: one.score,
      confidence: one.confidence,
      // Beyond what the pack's impostor pairs could count the table is a fitted tail.
      extrapolated: one.extrapolated,
    })),
    timings_ms: analysis.timings,
  }
}
