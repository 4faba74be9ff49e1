import { setImmediate as turn } from 'node:timers/promises'
import type { Database } from '../database/tables.ts'
import { averageVectors, fuse } from '../face/embed.ts'
import { COHORT_TOP, normaliseScore } from '../face/normalise.ts'
import { requireMeasured } from '../face/packs/measured.ts'
import type { Pack } from '../face/packs/pack.ts'
import { minusLog10Fmr } from '../face/score-table.ts'
import { GalleryMatrix } from '../face/search.ts'
import { AppError } from '../shared/errors.ts'
import type { Vault } from '../vault/vault.ts'
import { addTo, type Curves, noCurves } from './calibration-report.ts'
import { type Comparison, fitTail, startOfTail, type Tail } from './calibration-tail.ts'
import { findKey } from './person-key.ts'
import { sampleVectors } from './templates.ts'

/** Of fewer people the highest comparisons are too few to fit a tail to. */
export const MIN_PEOPLE_FOR_TAIL = 20
/** A person's further photos are not compared. */
const MAX_PHOTOS = 3
/** The people whose comparisons show where the tail begins. */
const SAMPLED = 200

/** A person as the search holds them: their templates, fused, and the administrator's among them. */
export interface Enrolled {
  employeeId: string
  templates: Float32Array[]
  admin: Float32Array | undefined
}

/** What a gallery's own people say of a pack's scores. */
export interface SiteScores {
  /** Of whom the comparisons below name the indices. */
  people: string[]
  /** How often a photo was compared with another person, by the best of their templates. */
  comparisons: number
  /** Those that the tail was fitted to, or would be. */
  highest: Comparison[]
  /** Null where there are too few people. */
  tail: Tail | null
  curves: Curves
}

/**
 * Compares the stored photos of everybody with the templates of everybody else, as strangers would be at a kiosk: a
 * photo, the best of a person's templates, the scale in force. Where a person's photos cannot be read their templates
 * stand in for them; templates of several photos score higher with each other than a single picture does
 * (docs/ACCURACY.md). The event loop has its turn after each photo. Rejects when `stopping` is aborted.
 */
export async function measureSite(
  deps: { db: Database; vault: Vault; pack: Pack; stopping: AbortSignal },
  enrolled: readonly Enrolled[],
  mean: Float32Array,
  /** The members of the cohort; null for raw scores. */
  cohort: readonly string[] | null,
): Promise<SiteScores> {
  const { pack } = deps
  const measured = requireMeasured(pack)
  const table = cohort ? measured.normalised : measured.raw
  const comparer = await compareAmong(pack.dimension, enrolled, cohort, pause)
  const curves = noCurves()
  const sample: number[] = []
  const sampledPhotos: Float32Array[][] = []
  for (const one of Array.from(enrolled.keys()).slice(0, SAMPLED)) {
    sampledPhotos[one] = await photosOf(one)
    for await (const { decades } of strangersOf(one, sampledPhotos[one]))
      for (const value of decades) sample.push(value)
  }
  const start = startOfTail(sample, (sample.length / Math.min(SAMPLED, enrolled.length)) * enrolled.length)
  const highest: Comparison[] = []
  let total = 0
  for (const one of enrolled.keys()) {
    const photos = sampledPhotos[one] ?? (await photosOf(one))
    for await (const { scores, decades } of strangersOf(one, photos)) {
      total += decades.length
      for (let i = 0; i < decades.length; i++) {
        addTo(curves, 'impostor', scores[i], decades[i])
        // The person themself is left out of the scores.
        if (decades[i] > start) highest.push({ one, other: i < one ? i : i + 1, decades: decades[i] })
      }
    }
    for (const score of genuineOf(one, photos)) addTo(curves, 'genuine', score, minusLog10Fmr(table, score))
  }
  const tail =
    enrolled.length < MIN_PEOPLE_FOR_TAIL
      ? null
      : await fitTail(highest, { start, total, people: enrolled.length }, pause)
  return { people: enrolled.map(({ employeeId }) => employeeId), comparisons: total, highest, tail, curves }

  async function pause(): Promise<void> {
    await turn()
    deps.stopping.throwIfAborted()
  }

  async function* strangersOf(one: number, photos: readonly Float32Array[]) {
    const probes =
      photos.length > 0
        ? photos.map((photo) => fuse(pack.embedders, photo, mean))
        : enrolled[one].templates.slice(0, MAX_PHOTOS)
    for (const probe of probes) {
      await pause()
      const scores = comparer.withOthers(probe, one)
      yield { scores, decades: scores.map((score) => minusLog10Fmr(table, score)) }
    }
  }

  /** Each photo against the template of the person's other ones. */
  function genuineOf(one: number, photos: readonly Float32Array[]): number[] {
    if (photos.length < 2) return []
    return photos.map((photo, index) => {
      const others = averageVectors(pack.embedders, photos.toSpliced(index, 1))
      const [probe, template] = [photo, others].map((vector) => fuse(pack.embedders, vector, mean))
      return comparer.between(probe, template, one)
    })
  }

  async function photosOf(one: number): Promise<Float32Array[]> {
    const { employeeId } = enrolled[one]
    try {
      const key = await findKey(deps.vault, deps.db, employeeId)
      const photos = key ? await sampleVectors(deps.db, key, employeeId, pack.name) : []
      return photos.slice(0, MAX_PHOTOS).map(({ vector }) => vector)
    } catch (error) {
      if (error instanceof AppError && error.code === 'biometrics_unreadable') return []
      throw error
    }
  }
}

/** What a face reaches with the cohort: without themself, and without one more person. */
type WithCohort = (other: number) => number

/**
 * Scores as `normaliseScore` has them. Neither of the two people counts in what the other reaches with the cohort: of
 * strangers, whom this is about, none is a member.
 */
async function compareAmong(
  dimension: number,
  enrolled: readonly Enrolled[],
  cohort: readonly string[] | null,
  pause: () => Promise<void>,
) {
  const matrix = new GalleryMatrix(dimension)
  const members = new GalleryMatrix(dimension)
  /** The person of each of the cohort's rows. */
  const memberOf: number[] = []
  const drawn = new Set(cohort)
  for (const [index, { employeeId, templates, admin }] of enrolled.entries()) {
    matrix.set(employeeId, templates)
    if (!drawn.has(employeeId) || !admin) continue
    members.set(employeeId, [admin])
    memberOf.push(index)
  }

  function withCohort(vector: Float32Array, self: number): WithCohort {
    if (!cohort) return () => 0
    const scores = members.scores(vector)
    const highest = memberOf
      .map((member, row) => ({ member, score: scores[row] }))
      .filter(({ member }) => member !== self)
      .sort((one, other) => other.score - one.score)
      .slice(0, COHORT_TOP + 1)
    const sum = highest.reduce((total, { score }) => total + score, 0)
    const next = highest.length > COHORT_TOP ? highest.pop()!.score : undefined
    const mean = (sum - (next ?? 0)) / highest.length
    const without = new Map(
      highest.map(({ member, score }) => [
        member,
        (sum - score) / (next === undefined ? highest.length - 1 : highest.length),
      ]),
    )
    return (other) => without.get(other) ?? mean
  }

  const templateMeans: WithCohort[][] = []
  for (const [self, { templates }] of enrolled.entries()) {
    templateMeans.push(templates.map((template) => withCohort(template, self)))
    await pause()
  }

  return {
    /** The best score with each other person, in their order, `self` left out. */
    withOthers(probe: Float32Array, self: number): Float32Array {
      const probeMean = withCohort(probe, self)
      const scores = matrix.scores(probe)
      const best = new Float32Array(enrolled.length - 1)
      let row = 0
      for (const [other, means] of templateMeans.entries()) {
        const withoutOther = probeMean(other)
        let highest = Number.NEGATIVE_INFINITY
        for (const templateMean of means) {
          const score = normaliseScore(scores[row++], withoutOther, templateMean(self))
          if (score > highest) highest = score
        }
        if (other !== self) best[other < self ? other : other - 1] = highest
      }
      return best
    },
    /** The score of two faces of one person. */
    between(probe: Float32Array, template: Float32Array, self: number): number {
      const score = probe.reduce((sum, value, i) => sum + value * template[i], 0)
      return normaliseScore(score, withCohort(probe, self)(self), withCohort(template, self)(self))
    },
  }
}
