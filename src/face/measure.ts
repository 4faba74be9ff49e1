import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../shared/seeded-random.ts'
import { centredLength, centringMean, fuse } from './embed.ts'
import type { FaceEngine } from './engine.ts'
import { cohortMean, normaliseScore } from './normalise.ts'
import type { Measured, Pack } from './packs/pack.ts'
import { fitScoreTable } from './score-table.ts'

/** A photo of a data set, looked at. */
export interface Photo {
  /** Index of the person. */
  person: number
  /** From the data set's index; 'all' where it has none. */
  group: string
  /** Null: no face was found. */
  vector: Float32Array | null
  quality: number
  frontal: boolean
  /** The product would refuse it, because another large face is in it. */
  several: boolean
}

/** A photo or a template that takes part in comparisons. */
export interface Entry {
  person: number
  vector: Float32Array | null
}

/** The comparison score of two entries by their places; -Infinity where one of them has no vector. */
export type Scores = (i: number, j: number) => number

export interface Measurement {
  raw: Scores
  /** Normalised as the product does it, against a cohort of so many people. */
  normalised(cohortSize: number): Scores
  /** Normalised in another way: `statisticsOf` what an entry scores with the cohort. `name` is that of the way. */
  against<Statistics>(
    name: string,
    cohortSize: number,
    statisticsOf: (scores: number[]) => Statistics,
    normalise: (score: number, probe: Statistics, template: Statistics) => number,
  ): Scores
}

/** How many people's faces the normalised table is made with. */
export const COHORT = 200
/** Pairs of the same few people over and over say nothing of others: it is people that count, and not photos. */
const MIN_PEOPLE = 50
/** A head turned less than this is called frontal. */
const FRONTAL_DEGREES = 15

/**
 * Looks at the photos of a folder laid out as identity/*.jpg; an `index.csv` (identity,file,group) in it names groups.
 * Rejects with a sentence when the folder is missing or too small to say anything of false matches, or a file in it is no
 * picture.
 */
export async function lookAtPhotos(
  engine: FaceEngine,
  folder: string,
  progress: (done: number, total: number) => void,
): Promise<{ photos: Photo[]; people: string[] }> {
  if (!existsSync(folder)) throw new Error(`There is no folder ${folder}.`)
  const groupOf = readGroups(join(folder, 'index.csv'))
  const found = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({
      name,
      photos: readdirSync(join(folder, name))
        .filter((file) => /\.(jpe?g|png|webp)$/i.test(file))
        .sort(),
    }))
    .filter(({ photos }) => photos.length > 0)
    .sort((one, other) => (one.name < other.name ? -1 : 1))
  requirePeople(found.length, `There are photos of ${found.length} people in ${folder}.`)
  const files = found.flatMap(({ name, photos }, person) =>
    photos.map((file) => ({ person, path: join(folder, name, file), group: groupOf.get(name) ?? 'all' })),
  )
  const photos: Photo[] = []
  for (const [index, { person, path, group }] of files.entries()) {
    progress(index, files.length)
    const seen = await engine.analyse(readFileSync(path), 'central').catch((error: Error) => {
      throw new Error(`The photo ${path} cannot be looked at: ${error.message}`, { cause: error.cause })
    })
    const face = seen.kind === 'face' ? seen.face : null
    photos.push({
      person,
      group,
      vector: face?.vector ?? null,
      quality: face?.quality.score ?? 0,
      frontal: Math.abs(face?.pose.yaw ?? 90) <= FRONTAL_DEGREES,
      several: seen.kind === 'face' && seen.rivals > 1,
    })
  }
  progress(files.length, files.length)
  return { photos, people: found.map(({ name }) => name) }
}

function requirePeople(count: number, found: string): void {
  if (count < MIN_PEOPLE)
    throw new Error(`${found} At least ${MIN_PEOPLE} are needed to say anything of false matches.`)
}

function readGroups(path: string): Map<string, string> {
  if (!existsSync(path)) return new Map()
  const [, ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/)
  return new Map(lines.map((line) => line.split(',')).map(([identity, , group]) => [identity, group]))
}

/** What a pack's scores mean, by these photos, one photo a template. Throws where faces of too few people were found. */
export function measure(
  pack: Pack,
  photos: readonly Photo[],
  { raw, normalised }: Measurement = score(pack, photos, firstOfEach(photos)),
): Measured {
  const people = new Set(photos.filter(({ vector }) => vector).map(({ person }) => person)).size
  requirePeople(people, `A face was found on photos of ${people} people.`)
  const mean = centringMean(
    pack.embedders,
    firstOfEach(photos).flatMap((index) => photos[index].vector ?? []),
  )
  return {
    defaultMean: Buffer.from(mean.buffer).toString('base64'),
    raw: fitScoreTable(impostorScores(photos, raw)),
    normalised: fitScoreTable(impostorScores(photos, normalised(COHORT))),
  }
}

/** The places of each person's first entry. */
export function firstOfEach(entries: readonly Entry[]): number[] {
  return entries.flatMap(({ person }, index) => (entries[index - 1]?.person === person ? [] : [index]))
}

function impostorScores(entries: readonly Entry[], scores: Scores): number[] {
  const all: number[] = []
  for (let i = 0; i < entries.length; i++)
    for (let j = i + 1; j < entries.length; j++)
      if (entries[i].person !== entries[j].person && Number.isFinite(scores(i, j))) all.push(scores(i, j))
  return all
}

/**
 * Every entry against every other; `cohort` are the places of those that scores may be normalised against. The centring
 * mean of a comparison is that of all the other people, as if it had been taken from a gallery before these two came; so
 * is the cohort.
 */
export function score(pack: Pack, entries: readonly Entry[], cohort: readonly number[]): Measurement {
  const n = entries.length
  const matrix = scoreMatrix(pack, entries)
  const raw: Scores = (i, j) => matrix[i * n + j]
  const perCohort = new Map<string, Scores>()

  const against: Measurement['against'] = (name, size, statisticsOf, normalise) => {
    const known = perCohort.get(name + size)
    if (known) return known
    type Statistics = ReturnType<typeof statisticsOf>
    const drawn = draw(cohort, size)
    const statistics = new Map<string, Statistics>()
    const statisticsWithout = (i: number, person: number): Statistics => {
      const key = `${i} ${person}`
      const stored = statistics.get(key)
      if (stored !== undefined) return stored
      const others = drawn.filter(
        (member) => entries[member].person !== entries[i].person && entries[member].person !== person,
      )
      const fresh = statisticsOf(others.map((member) => raw(i, member)).filter(Number.isFinite))
      statistics.set(key, fresh)
      return fresh
    }
    const scores: Scores = (i, j) =>
      raw(i, j) === Number.NEGATIVE_INFINITY
        ? Number.NEGATIVE_INFINITY
        : normalise(
            raw(i, j),
            statisticsWithout(i, entries[j].person),
            statisticsWithout(j, entries[i].person),
          )
    perCohort.set(name + size, scores)
    return scores
  }

  return { raw, normalised: (size) => against('', size, cohortMean, normaliseScore), against }
}

function scoreMatrix({ embedders }: Pack, entries: readonly Entry[]): Float64Array {
  const n = entries.length
  const length = centredLength(embedders)
  const meanOf = new Map<number, Float32Array>()
  const total = new Float64Array(length)
  for (const person of new Set(entries.map((entry) => entry.person))) {
    const own = entries.flatMap((entry) => (entry.person === person && entry.vector ? [entry.vector] : []))
    if (own.length === 0) continue
    const mean = centringMean(embedders, own)
    meanOf.set(person, mean)
    for (let k = 0; k < length; k++) total[k] += mean[k]
  }
  const matrix = new Float64Array(n * n).fill(Number.NEGATIVE_INFINITY)
  const mean = new Float32Array(length)
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      const [one, other] = [entries[i], entries[j]]
      if (!one.vector || !other.vector) continue
      const [a, b] = [meanOf.get(one.person)!, meanOf.get(other.person)!]
      const same = one.person === other.person
      const rest = meanOf.size - (same ? 1 : 2)
      for (let k = 0; k < length; k++) mean[k] = (total[k] - a[k] - (same ? 0 : b[k])) / rest
      const comparison = dot(fuse(embedders, one.vector, mean), fuse(embedders, other.vector, mean))
      matrix[i * n + j] = comparison
      matrix[j * n + i] = comparison
    }
  }
  return matrix
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

function draw(from: readonly number[], size: number): number[] {
  const random = seededRandom(1)
  return [...from]
    .map((value) => ({ value, order: random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, size)
    .map(({ value }) => value)
}
