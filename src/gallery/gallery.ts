import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../database/tables.ts'
import { fuse } from '../face/embed.ts'
import { COHORT_TOP, cohortMean, normaliseScore } from '../face/normalise.ts'
import { requireMeasured } from '../face/packs/measured.ts'
import type { Pack } from '../face/packs/pack.ts'
import type { Face } from '../face/pipeline.ts'
import { confidenceOf, minusLog10Fmr, scoreAt } from '../face/score-table.ts'
import { GalleryMatrix } from '../face/search.ts'
import type { Change } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { Vault } from '../vault/vault.ts'
import { calibrateGallery } from './calibrate.ts'
import {
  type Calibration,
  calibrationDue,
  latestCalibration,
  MIN_COHORT_LEFT,
  type Thresholds,
  thresholdsOf,
} from './calibration.ts'
import { MARGIN, type Margins, readMargins } from './look-alikes.ts'
import {
  type ActiveTemplate,
  type ActiveTemplates,
  ADMIN_SLOT,
  activeTemplates,
  byPerson,
  everybodysTemplates,
  toVector,
} from './templates.ts'

/** What one frame has to say. */
export interface Vote {
  /** Whose networks made the vector. */
  pack: string
  /** As the engine made it. */
  vector: Float32Array
  /** How much it counts beside the others of the same check: its quality, 0 to 1. */
  weight: number
}

/** A person who may be the one in the picture. */
export interface Candidate {
  employeeId: string
  name: string
  /** The best of their templates, and the slot that it is in. */
  templateId: number
  slot: number
  /** Cosine of the fused vectors, -1..1. */
  rawScore: number
  /** What the tables are about: the raw score, or the normalised one. */
  score: number
  /** -log10 of the false-match rate at the score; not clamped, so that it still tells very sure ones apart. */
  minusLog10Fmr: number
  confidence: number
  /** The false-match rate is beyond what could be counted: a fitted tail. */
  extrapolated: boolean
  /** How much surer, in confidence, the first candidate must be than this one. */
  margin: number
  /** This person and the first candidate are known to be hard to tell apart. */
  lookAlike: boolean
}

/** The confidences that matter at the present number of people. */
export interface Limits {
  /** From it on a person is recognised. */
  threshold: number
  thresholds: Thresholds
  /** Below it a kiosk may ask for another picture. */
  high: number
  /** From it on a template may be learned. */
  learning: number
}

export interface Identification extends Limits {
  /** The best people first, at most as many as were asked for. */
  candidates: Candidate[]
  /** Frames that are each sure of themselves name different people: then it was nobody. */
  dissent: boolean
  /** How many people were compared. */
  people: number
  scale: 'raw' | 'normalised'
  calibrationId: number | null
}

/** All active templates in memory, in step with the database. */
export interface Gallery {
  /**
   * The people whom the face of one check resembles most. With one vote that is exact. With several a person's score is
   * the weighted mean of what each frame gives them, for everybody who is among the best of any frame.
   *
   * The mean keeps what the score table promises. A stranger's frames score alike distributed with a person, and the
   * mean of alike distributed scores, however they depend on each other, is less spread than one of them: it is smaller
   * in the convex order (Shaked & Shanthikumar, Stochastic Orders, ch. 3), so that it exceeds no threshold by more in
   * expectation than a single frame does.
   *
   * A vote of another pack throws `pack_changed`, here and below; no vote at all a RangeError.
   */
  identify(votes: readonly Vote[], top: number): Identification
  /** The same face against one person only; undefined when the person has no active template. */
  verify(vote: Vote, employeeId: string): Candidate | undefined
  /** Each active template of a person by itself, in the order of their slots. */
  templatesOf(vote: Vote, employeeId: string): Candidate[]
  /** The people whom a face resembles most by any of their templates, however far that lifts them: for the drift guard. */
  nearest(vote: Vote, top: number): Candidate[]
  /** How sure a pack is that two vectors that it made are of one person, on the scale of `confidence`. */
  likeness(pack: string, one: Float32Array, other: Float32Array): number
  /** Reads one person's templates again. Awaited after every commit that changes them. */
  refresh(employeeId: string): Promise<void>
  /** Reads everybody again, and the newest calibration: after changes by another process that are too many to be told. */
  reload(): Promise<void>
  /** Reads the newest calibration and the look-alikes again. Awaited after every commit that changes them. */
  recalibrated(): Promise<void>
  /**
   * Makes a calibration now, by this change, and resolves when it is in force. Two at once are one; where another process
   * is faster it is theirs. Rejects with `too_few_people` below ten, and when the database fails: then all is as before.
   */
  calibrate(change: Change): Promise<void>
  /** Resolves when nothing more is being read or calibrated. */
  settled(): Promise<void>
  /** Stops retrying and waits for what is under way. */
  close(): Promise<void>
  readonly people: number
  readonly templates: number
  /** The ids of people who are left out because what is stored of them does not open. */
  readonly unreadable: readonly string[]
  readonly calibration: Calibration | null
  readonly limits: Limits
  /** Whether scores are normalised against a cohort. */
  readonly normalised: boolean
}

interface GalleryDeps {
  db: Database
  vault: Vault
  /** By the server itself, for calibrations. */
  change: Change
  pack: Pack
  clock: Clock
  log: Logger
  /** FACE_RECOGNITION_THRESHOLD. */
  threshold: number
}

/**
 * How far a learned template may lift a person above what their photos say: .025 of confidence. What is learned follows a
 * face that changes slowly, and must not become somebody else's face step by step: with .05 one of 16 strangers whom
 * templates were led to was let in, with this none (docs/ACCURACY.md).
 */
const LIFT_DECADES = 0.25
/** Candidates that are looked at beyond those asked for. */
const SPARE = 5

/** HIGH and LEARNING: so far above the threshold in force, and never below these. */
const HIGH = { above: 0.05, atLeast: 0.75 }
const LEARNING = { above: 0.1, atLeast: 0.85 }

/** A frame without any quality would leave nothing to divide by. */
const MIN_WEIGHT = 1e-3

const LATER_MS = 1000

/** What a search needs, replaced as a whole when the calibration changes. */
interface State {
  calibration: Calibration | null
  mean: Float32Array
  matrix: GalleryMatrix
  cohort: GalleryMatrix | null
  people: Map<string, { name: string; templates: { id: number; slot: number }[] }>
  unreadable: Set<string>
  margins: Margins
}

/** Loads the gallery. Rejects when the database cannot be read. */
export async function openGallery(deps: GalleryDeps): Promise<Gallery> {
  const { pack, log, threshold } = deps
  const measured = requireMeasured(pack)
  const defaultMean = toVector(Buffer.from(measured.defaultMean, 'base64'))
  const latest = await latestCalibration(deps, pack.name)
  if (latest === 'unreadable')
    log.error(
      'the calibration of the gallery does not open: it was altered, or its key is lost; a new one is made',
    )
  let state = await load(latest === 'unreadable' ? null : latest)
  // One change after the other: what is read last is what is newest.
  let work: Promise<void> = Promise.resolve()
  const closing = new AbortController()
  /** Changes that wait beside the others, so that one that goes on failing holds nobody up. */
  const waits = new Set<Promise<void>>()
  /** The calibration that is being made. */
  let calibrating: Promise<void> | undefined
  /** Whether the scores with the cohort are of another cohort than the present one. */
  let cohortChanged = false

  async function load(calibration: Calibration | null): Promise<State> {
    const fresh: State = {
      calibration,
      mean: calibration?.mean ?? defaultMean,
      // One component more than the pack's: see `rowOf`.
      matrix: new GalleryMatrix(pack.dimension + 1),
      cohort: calibration?.cohort ? new GalleryMatrix(pack.dimension) : null,
      people: new Map(),
      unreadable: new Set(),
      margins: await readMargins(deps.db, pack.name),
    }
    for (const member of calibration?.cohort ?? []) {
      const { templates } = await activeTemplates(deps, pack.name, { employeeId: member })
      const own = templates.find(({ slot }) => slot === ADMIN_SLOT)
      if (own) fresh.cohort?.set(member, [fuse(pack.embedders, own.vector, fresh.mean)])
    }
    if (fresh.cohort && fresh.cohort.people < MIN_COHORT_LEFT) fresh.cohort = null
    for await (const page of everybodysTemplates(deps, pack.name)) {
      leaveOut(fresh, page)
      for (const templates of byPerson(page.templates)) put(fresh, templates)
    }
    return fresh
  }

  /** Who cannot be read is not recognised; the others go on. */
  function leaveOut(from: State, { unreadable }: ActiveTemplates): void {
    for (const { employeeId, error } of unreadable) {
      from.unreadable.add(employeeId)
      log.error({ err: error, employee_id: employeeId }, 'a person is left out of the gallery')
    }
  }

  /** Puts the templates of one person into a state. */
  function put(into: State, templates: ActiveTemplate[]): void {
    const [{ employeeId, name }] = templates
    into.matrix.set(
      employeeId,
      templates.map(({ vector }) => rowOf(into, employeeId, fuse(pack.embedders, vector, into.mean))),
    )
    into.people.set(employeeId, { name, templates: templates.map(({ id, slot }) => ({ id, slot })) })
  }

  /**
   * The compared vector and, as one more component, half of what the template scores with the cohort, negative. A probe
   * has 1 there, so that the search itself ranks by the normalised score.
   */
  function rowOf({ cohort }: State, employeeId: string, fused: Float32Array): Float32Array {
    const row = new Float32Array(fused.length + 1)
    row.set(fused)
    row[fused.length] = cohort ? -cohortMeanWithout(cohort, fused, employeeId) / 2 : 0
    return row
  }

  function candidate(
    from: State,
    fused: Float32Array,
    employeeId: string,
    index: number,
    ranked: number,
  ): Candidate {
    const person = from.people.get(employeeId)!
    const vector = from.matrix.vectorsOf(employeeId)[index]
    const templateMean = -2 * vector[fused.length]
    const rawScore = ranked + templateMean / 2
    const score = from.cohort
      ? normaliseScore(rawScore, cohortMeanWithout(from.cohort, fused, employeeId), templateMean)
      : rawScore
    const { id: templateId, slot } = person.templates[index]
    const who = { employeeId, name: person.name, templateId, slot, margin: MARGIN, lookAlike: false }
    return { ...who, rawScore, score, ...meaningOf(from, score) }
  }

  function meaningOf({ cohort }: State, score: number) {
    const table = cohort ? measured.normalised : measured.raw
    const decades = minusLog10Fmr(table, score)
    const confidence = confidenceOf(table, score)
    return { minusLog10Fmr: decades, confidence, extrapolated: decades > table.countedTo }
  }

  function eachTemplate(from: State, fused: Float32Array, employeeId: string): Candidate[] {
    const probe = probeRow(fused)
    return from.matrix.vectorsOf(employeeId).map((row, index) => {
      return candidate(from, fused, employeeId, index, dot(probe, row))
    })
  }

  /** A person by the best of their templates; a learned one counts for a little more than the photos say, and no more. */
  function bestOf(from: State, fused: Float32Array, employeeId: string): Candidate {
    const each = eachTemplate(from, fused, employeeId)
    const best = surest(each)
    const photos = each.find(({ slot }) => slot === ADMIN_SLOT)
    if (!photos || best.minusLog10Fmr <= photos.minusLog10Fmr + LIFT_DECADES) return best
    const table = from.cohort ? measured.normalised : measured.raw
    const score = scoreAt(table, photos.minusLog10Fmr + LIFT_DECADES)
    return { ...best, score, ...meaningOf(from, score) }
  }

  function fusedOf({ mean }: State, vote: Omit<Vote, 'weight'>): Float32Array {
    if (vote.pack !== pack.name)
      throw new AppError('pack_changed', 'The face models are being changed. Send it again.', {
        retry_after_seconds: 1,
      })
    return fuse(pack.embedders, vote.vector, mean)
  }

  /** The people whom one frame resembles most, best first. */
  function rank(from: State, fused: Float32Array, top: number): Candidate[] {
    // A few more than asked for: whom a learned template ranks too high makes room for others.
    const found = from.matrix.people === 0 ? [] : from.matrix.search(probeRow(fused), top + SPARE)
    const ranked = new Set(found.map(({ key }) => key))
    // The search takes everybody's cohort for the same. Left out of it, its members most alike rank higher: only they.
    const members = from.cohort ? from.cohort.search(fused, COHORT_TOP) : []
    const others = members.filter(({ key }) => !ranked.has(key) && from.matrix.has(key))
    return [
      ...found.map(({ key, templateIndex, score }) =>
        from.people.get(key)!.templates[templateIndex].slot === ADMIN_SLOT
          ? candidate(from, fused, key, templateIndex, score)
          : bestOf(from, fused, key),
      ),
      ...others.map(({ key }) => bestOf(from, fused, key)),
    ]
      .sort((one, other) => other.score - one.score)
      .slice(0, top)
  }

  /** What all frames together say of a person; the template is that of the surest frame. */
  function together(
    from: State,
    frames: readonly { fused: Float32Array; weight: number }[],
    employeeId: string,
  ): Candidate {
    const each = frames.map(({ fused }) => bestOf(from, fused, employeeId))
    const total = frames.reduce((sum, { weight }) => sum + weight, 0)
    const mean = (of: (one: Candidate) => number) =>
      each.reduce((sum, one, i) => sum + (of(one) * frames[i].weight) / total, 0)
    const score = mean((one) => one.score)
    return { ...surest(each), rawScore: mean((one) => one.rawScore), score, ...meaningOf(from, score) }
  }

  /** How alike each is to the first of them. */
  function withMargins({ margins }: State, candidates: Candidate[]): Candidate[] {
    const [first] = candidates
    return candidates.map((one) => {
      const margin = margins.between(first.employeeId, one.employeeId)
      return margin === undefined ? one : { ...one, margin: Math.max(MARGIN, margin), lookAlike: true }
    })
  }

  function probeRow(fused: Float32Array): Float32Array {
    const row = new Float32Array(fused.length + 1).fill(1)
    row.set(fused)
    return row
  }

  function limitsOf({ matrix, calibration }: State): Limits {
    const inForce = thresholdsOf(threshold, matrix.people, calibration)
    return {
      ...inForce,
      high: Math.max(HIGH.atLeast, inForce.threshold + HIGH.above),
      learning: Math.max(LEARNING.atLeast, inForce.threshold + LEARNING.above),
    }
  }

  async function reload(employeeId: string): Promise<void> {
    const read = await activeTemplates(deps, pack.name, { employeeId })
    const { templates } = read
    state.unreadable.delete(employeeId)
    leaveOut(state, read)
    // Whoever comes or goes takes their look-alikes along.
    if (templates.length > 0 !== state.people.has(employeeId))
      state.margins = await readMargins(deps.db, pack.name)
    if (templates.length > 0) {
      put(state, templates)
    } else {
      state.matrix.remove(employeeId)
      state.people.delete(employeeId)
      // Nothing of a person who left stays in memory; the cohort is one smaller until the next calibration.
      state.cohort?.remove(employeeId)
    }
    if (state.cohort && state.cohort.people < MIN_COHORT_LEFT) state = await load(state.calibration)
    // Everybody's normalised scores hang on the cohort: they must not depend on when the gallery was opened. A little
    // later, because one change is often the first of many.
    if (!cohortChanged && state.calibration?.cohort?.includes(employeeId)) {
      cohortChanged = true
      later(followCohort)
    }
    calibrateIfDue()
  }

  async function followCohort(): Promise<void> {
    state = await load(state.calibration)
    cohortChanged = false
    calibrateIfDue()
  }

  const isDue = () => calibrationDue(state.matrix.people, state.calibration, state.cohort !== null)

  async function readNewest(): Promise<void> {
    const newest = await latestCalibration(deps, pack.name)
    state = await load(newest === 'unreadable' ? null : newest)
    calibrateIfDue()
  }

  /** Mean and cohort never change in a calibration: where it is still the same one, nobody's templates are read again. */
  async function recalibrated(): Promise<void> {
    const newest = await latestCalibration(deps, pack.name)
    if (newest === 'unreadable' || newest?.id !== state.calibration?.id) return readNewest()
    const margins = await readMargins(deps.db, pack.name)
    state = { ...state, calibration: newest, margins }
  }

  /** Of itself, and again until it succeeds. */
  function calibrateIfDue(): void {
    if (!isDue() || calibrating || closing.signal.aborted) return
    calibrate(deps.change).catch((error: unknown) => {
      // They may have left since the gallery was read; then it is about to be read again.
      const tooFew = error instanceof AppError && error.code === 'too_few_people'
      if (closing.signal.aborted || tooFew) return
      log.error({ err: error }, 'the gallery could not be calibrated; trying again')
      later(async () => calibrateIfDue())
    })
  }

  /** Beside the changes of the gallery, which must not wait for it. */
  function calibrate(change: Change): Promise<void> {
    const peopleBefore = state.matrix.people
    calibrating ??= makeCalibration(change).finally(() => {
      calibrating = undefined
    })
    // It may be outgrown by the time that it is made.
    const again = () => state.matrix.people !== peopleBefore && calibrateIfDue()
    calibrating.then(again, () => {})
    return calibrating
  }

  async function makeCalibration(change: Change): Promise<void> {
    await calibrateGallery({ ...deps, change, stopping: closing.signal })
    await enqueue(readNewest)
  }

  /**
   * Runs a change after those before it, and again until it succeeds: a leaver must not go on being recognised.
   * Resolves after the first try, so that a lost database does not hold the caller.
   */
  function enqueue(change: () => Promise<void>): Promise<void> {
    work = work.then(async () => {
      if (closing.signal.aborted) return
      try {
        await change()
      } catch (error) {
        log.error({ err: error }, 'the gallery could not be brought into step; trying again')
        later(change)
      }
    })
    return work
  }

  function later(change: () => Promise<void>): void {
    const wait = sleep(LATER_MS, undefined, { signal: closing.signal })
      .then(
        () => enqueue(change),
        () => {},
      )
      .finally(() => waits.delete(wait))
    waits.add(wait)
  }

  // Due already after an import, or a crash between the tenth person and their calibration.
  calibrateIfDue()

  return {
    identify(votes, top) {
      if (votes.length === 0) throw new RangeError('an identification needs a vote')
      const current = state
      const frames = votes.map((vote) => ({
        fused: fusedOf(current, vote),
        weight: Math.max(MIN_WEIGHT, vote.weight),
      }))
      const perFrame = frames.map(({ fused }) => rank(current, fused, top))
      const limits = limitsOf(current)
      const named = perFrame.flatMap(([best]) => (best && best.confidence >= limits.threshold ? [best] : []))
      const anybody = new Set(perFrame.flat().map(({ employeeId }) => employeeId))
      const candidates =
        frames.length === 1
          ? perFrame[0]
          : [...anybody]
              .map((employeeId) => together(current, frames, employeeId))
              .sort((one, other) => other.score - one.score)
              .slice(0, top)
      return {
        candidates: withMargins(current, candidates),
        dissent: new Set(named.map(({ employeeId }) => employeeId)).size > 1,
        people: current.matrix.people,
        ...limits,
        scale: current.cohort ? 'normalised' : 'raw',
        calibrationId: current.calibration?.id ?? null,
      }
    },
    verify(vote, employeeId) {
      const current = state
      const fused = fusedOf(current, vote)
      return current.matrix.has(employeeId) ? bestOf(current, fused, employeeId) : undefined
    },
    templatesOf(vote, employeeId) {
      const current = state
      return eachTemplate(current, fusedOf(current, vote), employeeId)
    },
    nearest(vote, top) {
      const current = state
      const fused = fusedOf(current, vote)
      const found = current.matrix.people === 0 ? [] : current.matrix.search(probeRow(fused), top)
      return found.map(({ key, templateIndex, score }) =>
        candidate(current, fused, key, templateIndex, score),
      )
    },
    likeness(of, one, other) {
      const current = state
      const [a, b] = [one, other].map((vector) => fusedOf(current, { pack: of, vector }))
      return confidenceOf(measured.raw, dot(a, b))
    },
    refresh: (employeeId) => enqueue(() => reload(employeeId)),
    reload: () => enqueue(readNewest),
    recalibrated: () => enqueue(recalibrated),
    calibrate,
    async settled() {
      for (let last: Promise<void> | undefined; last !== work || waits.size > 0 || calibrating; ) {
        last = work
        await Promise.all([last, ...waits, calibrating?.catch(() => {})])
      }
    },
    async close() {
      closing.abort()
      await calibrating?.catch(() => {})
      await work
    },
    get people() {
      return state.matrix.people
    },
    get templates() {
      return state.matrix.rows
    },
    get unreadable() {
      return [...state.unreadable].sort()
    },
    get calibration() {
      return state.calibration
    },
    get limits() {
      return limitsOf(state)
    },
    get normalised() {
      return state.cohort !== null
    },
  }
}

/** The vote of one face. */
export function voteOf({ pack, vector, quality }: Face): Vote {
  return { pack, vector, weight: quality.score }
}

function surest(candidates: readonly Candidate[]): Candidate {
  return candidates.reduce((best, one) => (one.score > best.score ? one : best))
}

/** What a face reaches with the cohort, the person it is compared with left out. */
function cohortMeanWithout(cohort: GalleryMatrix, fused: Float32Array, employeeId: string): number {
  const scores = cohort.scores(fused)
  const others: number[] = []
  for (let row = 0; row < cohort.rows; row++) if (cohort.ownerOf(row) !== employeeId) others.push(scores[row])
  return cohortMean(others)
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}
