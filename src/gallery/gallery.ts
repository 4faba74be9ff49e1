import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../database/tables.ts'
import { centringMean, fuse } from '../face/embed.ts'
import { COHORT_TOP, cohortMean, normaliseScore } from '../face/normalise.ts'
import type { Measured, Pack } from '../face/packs/pack.ts'
import { confidenceOf, effectiveThreshold, minusLog10Fmr } from '../face/score-table.ts'
import { GalleryMatrix } from '../face/search.ts'
import type { Change } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import type { Logger } from '../shared/log.ts'
import type { Vault } from '../vault/vault.ts'
import {
  type Calibration,
  calibrationDue,
  drawCohort,
  insertCalibration,
  latestCalibration,
  MIN_COHORT_LEFT,
  MIN_PEOPLE_FOR_MEAN,
  newestId,
} from './calibration.ts'
import {
  type ActiveTemplate,
  type ActiveTemplates,
  ADMIN_SLOT,
  activeTemplates,
  toVector,
} from './templates.ts'

/** A person who may be the one in the picture. */
export interface Candidate {
  employeeId: string
  name: string
  templateId: number
  /** Cosine of the fused vectors, -1..1. */
  rawScore: number
  /** What the tables are about: the raw score, or the normalised one. */
  score: number
  /** -log10 of the false-match rate at the score; not clamped, so that it still tells very sure ones apart. */
  minusLog10Fmr: number
  confidence: number
  /** The false-match rate is beyond what could be counted: a fitted tail. */
  extrapolated: boolean
}

export interface Identification {
  /** The best people first, at most as many as were asked for. */
  candidates: Candidate[]
  /** How many people were compared. */
  people: number
  threshold: number
  scale: 'raw' | 'normalised'
  calibrationId: number | null
}

/** All active templates in memory, in step with the database. */
export interface Gallery {
  /** The people whom a face resembles most (exact). The vector is as the engine made it. */
  identify(vector: Float32Array, top: number): Identification
  /** The same face against one person only; undefined when the person has no active template. */
  verify(vector: Float32Array, employeeId: string): Candidate | undefined
  /** How sure the pack is that two stored vectors are of one person, on the scale of `confidence`. */
  likeness(one: Float32Array, other: Float32Array): number
  /** Reads one person's templates again. Awaited after every commit that changes them. */
  refresh(employeeId: string): Promise<void>
  /** Reads everybody again, and the newest calibration: after changes by another process that are too many to be told. */
  reload(): Promise<void>
  /** Resolves when nothing more is being read or calibrated. */
  settled(): Promise<void>
  /** Stops retrying and waits for what is under way. */
  close(): Promise<void>
  readonly people: number
  readonly templates: number
  /** The ids of people who are left out because what is stored of them does not open. */
  readonly unreadable: readonly string[]
  readonly calibration: Calibration | null
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

/** One false identification in a hundred strangers, whatever the size of the gallery. */
export const TARGET_FPIR = 0.01

const LOAD_PEOPLE_AT_ONCE = 500
const LATER_MS = 1000

/** What a search needs, replaced as a whole when the calibration changes. */
interface State {
  calibration: Calibration | null
  mean: Float32Array
  matrix: GalleryMatrix
  cohort: GalleryMatrix | null
  people: Map<string, { name: string; templateIds: number[] }>
  unreadable: Set<string>
}

/** Loads the gallery. Rejects when the database cannot be read. */
export async function openGallery(deps: GalleryDeps): Promise<Gallery> {
  const { pack, clock, log, threshold } = deps
  const measured = measuredOf(pack)
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
    }
    for (const member of calibration?.cohort ?? []) {
      const { templates } = await activeTemplates(deps, pack.name, { employeeId: member })
      const own = templates.find(({ slot }) => slot === ADMIN_SLOT)
      if (own) fresh.cohort?.set(member, [fuse(pack.embedders, own.vector, fresh.mean)])
    }
    if (fresh.cohort && fresh.cohort.people < MIN_COHORT_LEFT) fresh.cohort = null
    for await (const page of everybody()) {
      leaveOut(fresh, page)
      for (const templates of byPerson(page.templates)) put(fresh, templates)
    }
    return fresh
  }

  async function* everybody(): AsyncGenerator<ActiveTemplates> {
    for (let after = 0; ; ) {
      const page = await activeTemplates(deps, pack.name, { after, limit: LOAD_PEOPLE_AT_ONCE })
      if (page.lastId === 0) return
      yield page
      after = page.lastId
    }
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
    into.people.set(employeeId, { name, templateIds: templates.map(({ id }) => id) })
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
    const table = from.cohort ? measured.normalised : measured.raw
    const decades = minusLog10Fmr(table, score)
    return {
      employeeId,
      name: person.name,
      templateId: person.templateIds[index],
      rawScore,
      score,
      minusLog10Fmr: decades,
      confidence: confidenceOf(table, score),
      extrapolated: decades > table.countedTo,
    }
  }

  /** A person by the best of their templates. */
  function bestOf(from: State, fused: Float32Array, employeeId: string): Candidate {
    const probe = probeRow(fused)
    const all = from.matrix.vectorsOf(employeeId).map((row, index) => {
      return candidate(from, fused, employeeId, index, dot(probe, row))
    })
    return all.reduce((best, one) => (one.score > best.score ? one : best))
  }

  function probeRow(fused: Float32Array): Float32Array {
    const row = new Float32Array(fused.length + 1).fill(1)
    row.set(fused)
    return row
  }

  async function reload(employeeId: string): Promise<void> {
    const read = await activeTemplates(deps, pack.name, { employeeId })
    const { templates } = read
    state.unreadable.delete(employeeId)
    leaveOut(state, read)
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
    if (isDue()) void enqueue(calibrate)
  }

  async function followCohort(): Promise<void> {
    state = await load(state.calibration)
    cohortChanged = false
    if (isDue()) void enqueue(calibrate)
  }

  const isDue = () => calibrationDue(state.matrix.people, state.calibration, state.cohort !== null)

  async function readNewest(): Promise<void> {
    const newest = await latestCalibration(deps, pack.name)
    state = await load(newest === 'unreadable' ? null : newest)
    if (isDue()) void enqueue(calibrate)
  }

  async function calibrate(): Promise<void> {
    if (!isDue()) return
    const before = await latestCalibration(deps, pack.name)
    // Another process was faster.
    if (before !== 'unreadable' && before !== null && before.id !== state.calibration?.id) return readNewest()
    const after = await newestId(deps.db, pack.name)
    const means: Float32Array[] = []
    const employeeIds: string[] = []
    for await (const page of everybody())
      for (const [first] of byPerson(page.templates)) {
        employeeIds.push(first.employeeId)
        means.push(centringMean(pack.embedders, [first.vector]))
      }
    // They may have left since the gallery was read; then it is about to be read again.
    if (means.length < MIN_PEOPLE_FOR_MEAN) return
    const mean = new Float32Array(means[0].length)
    for (const one of means) for (let i = 0; i < mean.length; i++) mean[i] += one[i] / means.length
    const cohort = drawCohort(employeeIds)
    const people = employeeIds.length
    const fresh = { people, mean, cohort }
    const calibration = await insertCalibration(deps, pack.name, fresh, after, clock.now())
    if (calibration === undefined) return readNewest()
    state = await load(calibration)
    log.info({ calibration: calibration.id, people, normalised: cohort !== null }, 'gallery calibrated')
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
  if (isDue()) void enqueue(calibrate)

  return {
    identify(vector, top) {
      const current = state
      const fused = fuse(pack.embedders, vector, current.mean)
      const found = current.matrix.people === 0 ? [] : current.matrix.search(probeRow(fused), top)
      const ranked = new Set(found.map(({ key }) => key))
      // The search takes everybody's cohort for the same. Left out of it, its members most alike rank higher: only they.
      const members = current.cohort ? current.cohort.search(fused, COHORT_TOP) : []
      const others = members.filter(({ key }) => !ranked.has(key) && current.matrix.has(key))
      const candidates = [
        ...found.map((match) => candidate(current, fused, match.key, match.templateIndex, match.score)),
        ...others.map(({ key }) => bestOf(current, fused, key)),
      ]
        .sort((one, other) => other.score - one.score)
        .slice(0, top)
      return {
        candidates,
        people: current.matrix.people,
        threshold: effectiveThreshold(threshold, current.matrix.people, TARGET_FPIR),
        scale: current.cohort ? 'normalised' : 'raw',
        calibrationId: current.calibration?.id ?? null,
      }
    },
    verify(vector, employeeId) {
      const current = state
      if (!current.matrix.has(employeeId)) return undefined
      return bestOf(current, fuse(pack.embedders, vector, current.mean), employeeId)
    },
    likeness(one, other) {
      const { mean } = state
      const score = dot(fuse(pack.embedders, one, mean), fuse(pack.embedders, other, mean))
      return confidenceOf(measured.raw, score)
    },
    refresh: (employeeId) => enqueue(() => reload(employeeId)),
    reload: () => enqueue(readNewest),
    async settled() {
      for (let last: Promise<void> | undefined; last !== work || waits.size > 0; ) {
        last = work
        await Promise.all([last, ...waits])
      }
    },
    async close() {
      closing.abort()
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
    get normalised() {
      return state.cohort !== null
    },
  }
}

function measuredOf({ name, measured }: Pack): Measured {
  if (measured) return measured
  throw new Error(
    `Nobody has measured what a score of the model pack ${name} means. Run "rollcall models measure ${name} ` +
      '--faces DIR", with photos of 50 people or more.',
  )
}

/** Splits templates that are ordered by person. */
function byPerson(templates: ActiveTemplate[]): ActiveTemplate[][] {
  const groups: ActiveTemplate[][] = []
  for (const template of templates) {
    const group = groups.at(-1)
    if (group?.[0].employeeId === template.employeeId) group.push(template)
    else groups.push([template])
  }
  return groups
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
