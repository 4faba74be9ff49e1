import { ApiError } from '../shared/api.ts'
import { cutFace, type Picture, pause, takeBurst } from './burst.ts'
import { askForChallenge, type Checked, type CheckIn, check, type Direction, type Step } from './check.ts'
import type { Detector } from './detector.ts'
import type { Kiosk } from './pairing.ts'
import type { Queue } from './queue.ts'
import { play } from './sound.ts'
import { type FaceBox, type Sight, watchWalkUps } from './walk-up.ts'

/** What the screen says. */
export type Phase =
  | { kind: 'waiting'; sight: Sight; face: FaceBox | undefined }
  | { kind: 'looking' }
  /** `taking`: the pictures of this step are being taken now. */
  | { kind: 'step'; step: Step | 'rest'; number: number; of: number; taking: boolean }
  | { kind: 'code'; answer: (code: string | undefined) => void }
  | { kind: 'result'; result: Result }

export type Result =
  /** Without a picture where no face led to it. */
  | { kind: 'punched'; checked: Checked; picture?: Blob }
  | { kind: 'again'; reasons: string[] }
  | { kind: 'refused'; code: Checked['code'] }
  | { kind: 'saved' }
  | { kind: 'failed'; error: unknown }

export interface AttendantDeps {
  kiosk: Kiosk
  video: HTMLVideoElement
  detect: Detector
  queue: Queue
  /** What a check here is, as it was chosen or the kiosk is set. */
  direction: () => Direction
  show: (phase: Phase) => void
  /** Whether the server answered last time. */
  isReached: () => boolean
  /** Tells whether the server answered. */
  reached: (isReached: boolean) => void
  /** The server no longer knows this kiosk. */
  disowned: () => void
  signal: AbortSignal
}

const LOOK_MS = 150
const BURST = { count: 5, intervalMs: 250 }
const LONG_BURST = { count: 8, intervalMs: 250 }
/** Three pictures of each step, as many at rest before: the twelve that a check may have. */
const PICTURES_A_STEP = 3
const STEP_MS = 2200
const STEP_LEAD_MS = 1300
const CODE_MS = 30_000
/** Whoever waits longer goes to the queue: what the server does not answer in this time is kept and sent again. */
const ANSWER_MS = 15_000
/** Where it did not answer a moment ago either. */
const OFFLINE_ANSWER_MS = 4000
export const SHOWN_MS: Record<Result['kind'], number> = {
  punched: 4000,
  again: 2500,
  refused: 4000,
  saved: 3000,
  failed: 4000,
}

/** Waits for people and takes them, one after the other, until the signal ends it. */
export async function attend(deps: AttendantDeps): Promise<void> {
  const { video, detect, show, signal } = deps
  const watcher = watchWalkUps()
  while (!signal.aborted) {
    const boxes = video.readyState >= video.HAVE_CURRENT_DATA ? detect(video) : []
    const picture = { width: video.videoWidth, height: video.videoHeight }
    const sight = watcher.see(boxes, picture, performance.now())
    const isDone = watcher.isResting(performance.now())
    const [face] = boxes.sort((one, other) => other.width - one.width)
    if (sight !== 'still') {
      show({ kind: 'waiting', sight: isDone ? 'nobody' : sight, face: isDone ? undefined : face })
      await pause(LOOK_MS)
      continue
    }
    const result = await serve(deps, face)
    if (signal.aborted) return
    show({ kind: 'result', result })
    play(
      result.kind === 'punched' || result.kind === 'saved'
        ? 'good'
        : result.kind === 'again'
          ? 'again'
          : 'bad',
    )
    await pause(SHOWN_MS[result.kind])
    watcher.answered(
      result.kind === 'again' || result.kind === 'failed' ? 'failed' : 'done',
      performance.now(),
    )
  }
}

/** Takes one person, from the first picture to the answer. */
async function serve(deps: AttendantDeps, face: FaceBox): Promise<Result> {
  const { kiosk, video, queue, direction, show, isReached, reached, disowned } = deps
  show({ kind: 'looking' })
  const capturedAt = new Date()
  let checkIn: CheckIn
  let picture: Blob
  try {
    picture = await cutFace(video, face)
    const pictures = await takeBurst(video, BURST.count, BURST.intervalMs)
    checkIn = { eventId: crypto.randomUUID(), direction: direction(), pictures }
  } catch (error) {
    // The camera went away.
    return { kind: 'failed', error }
  }
  try {
    // More than one of each further step helps nobody.
    for (const asked = new Set<string>(); ; ) {
      const checked = await check(kiosk, checkIn, isReached() ? ANSWER_MS : OFFLINE_ANSWER_MS)
      reached(true)
      const { next_step, recognized, code } = checked
      if (recognized) return { kind: 'punched', checked, picture }
      if (next_step === undefined || asked.has(next_step)) return { kind: 'refused', code }
      asked.add(next_step)
      const further = await goOn(deps, next_step)
      if (!further) return { kind: 'refused', code }
      show({ kind: 'looking' })
      checkIn = { ...checkIn, ...further, eventId: crypto.randomUUID() }
    }
  } catch (error) {
    if (isRefusal(error)) {
      reached(true)
      if (error.code === 'unknown_device') disowned()
      const reasons = reasonsOf(error)
      return reasons ? { kind: 'again', reasons } : { kind: 'failed', error }
    }
    // The server does not answer, or cannot: the time is kept, whoever it was.
    reached(false)
    try {
      await queue.add({ ...checkIn, capturedAt })
      return { kind: 'saved' }
    } catch (full) {
      return { kind: 'failed', error: full }
    }
  }
}

/** What the server refuses is not sent again; what it cannot answer now is. */
function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429
}

/** What the person can do about it, as keys of the catalogue; undefined where it is not about the pictures. */
function reasonsOf({ code, body }: ApiError): string[] | undefined {
  if (code === 'no_face' || code === 'several_faces') return [code]
  if (code === 'poor_quality') return body.reasons as string[]
  return undefined
}

/** Has the person do what the server asks for. Undefined where they left. */
async function goOn(
  deps: AttendantDeps,
  step: NonNullable<Checked['next_step']>,
): Promise<Partial<CheckIn> | undefined> {
  const { kiosk, video, show } = deps
  const again = (): Promise<Picture[]> => takeBurst(video, LONG_BURST.count, LONG_BURST.intervalMs)
  if (step === 'more_frames') return { pictures: await again() }
  if (step === 'challenge') {
    const { challenge, steps } = await askForChallenge(kiosk)
    return { challenge, pictures: await perform(deps, steps) }
  }
  const employeeCode = await new Promise<string | undefined>((answer) => {
    show({ kind: 'code', answer })
    setTimeout(answer, CODE_MS)
  })
  if (!employeeCode) return undefined
  show({ kind: 'looking' })
  return { employeeCode, pictures: await takeBurst(video, BURST.count, BURST.intervalMs) }
}

/** Shows one step after the other and takes its pictures; the first ones show the face at rest. */
async function perform({ video, show }: AttendantDeps, steps: Step[]): Promise<Picture[]> {
  const since = performance.now()
  const of = steps.length
  show({ kind: 'step', step: 'rest', number: 0, of, taking: true })
  const pictures = await takeBurst(video, PICTURES_A_STEP, 150, since)
  for (const [index, step] of steps.entries()) {
    const shown = { kind: 'step', step, number: index + 1, of } as const
    play('cue')
    show({ ...shown, taking: false })
    await pause(STEP_LEAD_MS)
    show({ ...shown, taking: true })
    const intervalMs = (STEP_MS - STEP_LEAD_MS) / PICTURES_A_STEP
    pictures.push(...(await takeBurst(video, PICTURES_A_STEP, intervalMs, since)))
  }
  return pictures
}
