/**
 * How well the engine tells people apart, on a folder of photos laid out as identity/*.jpg.
 *
 *   npm run evaluate -- --faces DIR [--json] [--write]
 *
 * An `index.csv` (identity,file,group) in DIR names groups of people. --write puts the default centring mean and
 * the score-to-FMR tables into the pack.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { averageVectors, centredLength, centringMean, fuse } from '../src/face/embed.ts'
import { startEngine } from '../src/face/engine.ts'
import { cohortMean, normaliseScore } from '../src/face/normalise.ts'
import type { Pack, ScoreTable } from '../src/face/packs/pack.ts'
import { MIN_QUALITY_SCORE } from '../src/face/quality.ts'
import { confidenceOf, effectiveThreshold, fitScoreTable } from '../src/face/score-table.ts'
import {
  bootstrap,
  type Comparison,
  errorRates,
  identificationRates,
  quantile,
  type Search,
  seededRandom,
} from './metrics.ts'

const FMRS = [1e-2, 1e-3, 1e-4]
const FPIRS = [0.01, 0.1]
const REPLICATES = 200
const COHORT = 200

interface Photo {
  person: number
  group: string
  /** null: no face was found. */
  vector: Float32Array | null
  quality: number
  frontal: boolean
  /** The product would refuse it, because another large face is in it. */
  several: boolean
}

/** A photo or a template that takes part in comparisons. */
interface Entry {
  person: number
  vector: Float32Array | null
}

/** What the score tables are fitted to at the least. */
const MIN_IMPOSTOR_PAIRS = 1000
const usage = 'npm run evaluate -- --faces DIR [--json] [--write], with the photos in DIR/identity/*.jpg'
const { values: options } = readOptions()
if (!options.faces) fail(`Say where the photos are: ${usage}`)
if (!existsSync(options.faces)) fail(`There is no folder ${options.faces}.`)
function readOptions() {
  try {
    return parseArgs({
      options: { faces: { type: 'string' }, json: { type: 'boolean' }, write: { type: 'boolean' } },
    })
  } catch (error) {
    return fail(`${(error as Error).message}\n${usage}`)
  }
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}

const say = (line: string) => (options.json ? console.error(line) : console.log(line))

const { photos, people, pack } = await readPhotos(options.faces)
const singles: Entry[] = photos
const strangers =
  photos.reduce((sum, one) => sum + photos.filter(({ person }) => person !== one.person).length, 0) / 2
if (strangers < MIN_IMPOSTOR_PAIRS)
  fail(
    `${photos.length} photos of ${people.length} people make ${strangers} pairs of different people. At least ` +
      `${MIN_IMPOSTOR_PAIRS} are needed to say anything of false matches: 50 people or more.`,
  )
const { templates, probes } = twoPhotoTemplates(photos, people)
const single = measure(singles, firstOfEach(singles))
const two = measure(
  [...templates, ...probes],
  templates.map((_, index) => index),
)

const report = {
  pack: pack.name,
  photos: photos.length,
  people: people.length,
  failuresToEnrol: photos.filter(({ vector }) => !vector).length,
  refusedAsSeveralFaces: photos.filter(({ several }) => several).length,
  quality: {
    belowMinimum: photos.filter(({ quality }) => quality < MIN_QUALITY_SCORE).length,
    tenthPercentileOfSingleFrontal: quantile(
      photos.filter(({ several, frontal }) => !several && frontal).map(({ quality }) => quality),
      0.1,
    ),
  },
  verification: {
    'single photos, raw': withIntervals(pairs(singles, single.raw)),
    'single photos, normalised': withIntervals(pairs(singles, single.normalised(COHORT))),
    'single photos, normalised with deviations': withIntervals(pairs(singles, single.withDeviations(COHORT))),
    'two-photo templates, raw': withIntervals(probePairs(two.raw)),
    'two-photo templates, normalised': withIntervals(probePairs(two.normalised(COHORT))),
  },
  cohortSizes: Object.fromEntries(
    [20, 50, 100, 200].map((size) => [size, errorRates(pairs(singles, single.normalised(size)), FMRS)]),
  ),
  groups: Object.fromEntries(
    [...new Set(photos.map(({ group }) => group))].map((group) => [group, ratesOfGroup(group)]),
  ),
  identification: {
    'single photo enrolled, raw': identificationRates(searchesOfSingles(single.raw), FPIRS),
    'single photo enrolled, normalised': identificationRates(
      searchesOfSingles(single.normalised(COHORT)),
      FPIRS,
    ),
    'two photos enrolled, raw': identificationRates(searchesOfTwo(two.raw), FPIRS),
    'two photos enrolled, normalised': identificationRates(searchesOfTwo(two.normalised(COHORT)), FPIRS),
  },
}
const tables = {
  raw: fitScoreTable(impostors([...pairs(singles, single.raw)])),
  normalised: fitScoreTable(impostors([...pairs(singles, single.normalised(COHORT))])),
}
const atKiosk = {
  'two photos enrolled, raw': atThreshold(tables.raw, searchesOfTwo(two.raw)),
  'two photos enrolled, normalised': atThreshold(tables.normalised, searchesOfTwo(two.normalised(COHORT))),
}
if (options.json) console.log(JSON.stringify({ ...report, atKiosk, tables }))
else print()
if (options.write) writeMeasured()

// --- Reading

async function readPhotos(folder: string): Promise<{ photos: Photo[]; people: string[]; pack: Pack }> {
  const groupOf = readGroups(join(folder, 'index.csv'))
  const people = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
  const files = people.flatMap((name, person) =>
    readdirSync(join(folder, name))
      .filter((file) => /\.(jpe?g|png|webp)$/i.test(file))
      .sort()
      .map((file) => ({ person, path: join(folder, name, file), group: groupOf.get(name) ?? 'all' })),
  )
  const engine = await startEngine()
  const photos: Photo[] = []
  for (const [index, { person, path, group }] of files.entries()) {
    if (index % 50 === 0) process.stderr.write(`\r${index} of ${files.length} photos`)
    const bytes = readFileSync(path)
    const seen = await engine.analyse(bytes, 'central')
    const face = seen.kind === 'face' ? seen.face : null
    photos.push({
      person,
      group,
      vector: face?.vector ?? null,
      quality: face?.quality.score ?? 0,
      frontal: Math.abs(face?.pose.yaw ?? 90) <= 15,
      several: seen.kind === 'face' && seen.rivals > 1,
    })
  }
  process.stderr.write(`\r${files.length} of ${files.length} photos\n`)
  await engine.close()
  return { photos, people, pack: engine.pack }
}

function readGroups(path: string): Map<string, string> {
  if (!existsSync(path)) return new Map()
  const [, ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/)
  return new Map(lines.map((line) => line.split(',')).map(([identity, , group]) => [identity, group]))
}

/** A template of the first two photos of everybody who has two, and the third and later photos as probes. */
function twoPhotoTemplates(photos: Photo[], people: string[]): { templates: Entry[]; probes: Entry[] } {
  const templates: Entry[] = []
  const probes: Entry[] = []
  for (const person of people.keys()) {
    const own = photos.filter((photo) => photo.person === person)
    if (own.length < 2) continue
    const enrolled = own.slice(0, 2).flatMap(({ vector }) => (vector ? [vector] : []))
    templates.push({ person, vector: enrolled.length > 0 ? averageVectors(pack.embedders, enrolled) : null })
    probes.push(...own.slice(2))
  }
  return { templates, probes }
}

function firstOfEach(entries: Entry[]): number[] {
  return entries.flatMap(({ person }, index) => (entries[index - 1]?.person === person ? [] : [index]))
}

// --- Scoring

type Scores = (i: number, j: number) => number

interface Measurement {
  raw: Scores
  /** Normalised as the product does it, against a cohort of so many people. */
  normalised: (cohortSize: number) => Scores
  /** With the division by the cohort's deviations, over its 50 highest scores, for comparison. */
  withDeviations: (cohortSize: number) => Scores
}

/**
 * Every entry against every other. The centring mean of a comparison is that of all the other people, as if it had been
 * taken from a gallery before these two came; so is the cohort.
 */
function measure(entries: Entry[], cohort: number[]): Measurement {
  const n = entries.length
  const matrix = scoreMatrix(entries)
  const raw: Scores = (i, j) => matrix[i * n + j]
  const perCohort = new Map<string, Scores>()

  function against<Statistics>(
    name: string,
    size: number,
    statisticsOf: (scores: number[]) => Statistics,
    normalise: (score: number, probe: Statistics, template: Statistics) => number,
  ): Scores {
    const known = perCohort.get(name + size)
    if (known) return known
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

  return {
    raw,
    normalised: (size) => against('mean', size, (scores) => cohortMean(scores), normaliseScore),
    withDeviations: (size) =>
      against('deviation', size, meanAndDeviation, (score, probe, template) => {
        const z = ({ mean, deviation }: typeof probe) => (score - mean) / deviation
        return (z(probe) + z(template)) / 2
      }),
  }
}

function meanAndDeviation(scores: number[]): { mean: number; deviation: number } {
  const highest = [...scores].sort((a, b) => b - a).slice(0, 50)
  const mean = highest.reduce((sum, score) => sum + score, 0) / highest.length
  const variance = highest.reduce((sum, score) => sum + (score - mean) ** 2, 0) / highest.length
  return { mean, deviation: Math.sqrt(variance) }
}

function scoreMatrix(entries: Entry[]): Float64Array {
  const n = entries.length
  const length = centredLength(pack.embedders)
  const meanOf = new Map<number, Float32Array>()
  const total = new Float64Array(length)
  for (const person of new Set(entries.map((entry) => entry.person))) {
    const own = entries.flatMap((entry) => (entry.person === person && entry.vector ? [entry.vector] : []))
    if (own.length === 0) continue
    const mean = centringMean(pack.embedders, own)
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
      const score = dot(fuse(pack.embedders, one.vector, mean), fuse(pack.embedders, other.vector, mean))
      matrix[i * n + j] = score
      matrix[j * n + i] = score
    }
  }
  return matrix
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

function draw(from: number[], size: number): number[] {
  const random = seededRandom(1)
  return [...from]
    .map((value) => ({ value, order: random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, size)
    .map(({ value }) => value)
}

// --- What is compared

function pairs(entries: Entry[], score: Scores): Comparison[] {
  return entries.flatMap((one, i) =>
    entries
      .slice(i + 1)
      .map((other, k) => ({ score: score(i, i + 1 + k), one: one.person, other: other.person })),
  )
}

function probePairs(score: Scores): Comparison[] {
  return probes.flatMap((probe, p) =>
    templates.map((template, t) => ({
      score: score(templates.length + p, t),
      one: probe.person,
      other: template.person,
    })),
  )
}

function searchesOfSingles(score: Scores): Search[] {
  const enrolled = firstOfEach(singles)
  return singles.flatMap((_, i) => (enrolled.includes(i) ? [] : [search(i, enrolled, singles, score)]))
}

function searchesOfTwo(score: Scores): Search[] {
  const all = [...templates, ...probes]
  const gallery = templates.map((_, index) => index)
  return probes.map((_, p) => search(templates.length + p, gallery, all, score))
}

function search(probe: number, gallery: number[], entries: Entry[], score: Scores): Search {
  const found = { own: Number.NEGATIVE_INFINITY, bestOther: Number.NEGATIVE_INFINITY }
  for (const member of gallery) {
    const side = entries[member].person === entries[probe].person ? 'own' : 'bestOther'
    found[side] = Math.max(found[side], score(probe, member))
  }
  return found
}

function impostors(comparisons: Comparison[]): number[] {
  return comparisons.flatMap(({ one, other, score }) =>
    one !== other && Number.isFinite(score) ? [score] : [],
  )
}

// --- Reporting

function withIntervals(comparisons: Comparison[]) {
  const rates = errorRates(comparisons, FMRS)
  const intervals = bootstrap(comparisons, people.length, FMRS, REPLICATES)
  return { ...rates, at: rates.at.map((rate) => ({ ...rate, interval: intervals[FMRS.indexOf(rate.fmr)] })) }
}

function ratesOfGroup(group: string) {
  const inGroup = new Set(photos.filter((photo) => photo.group === group).map(({ person }) => person))
  const within = (comparisons: Comparison[]) =>
    errorRates(
      comparisons.filter(({ one, other }) => inGroup.has(one) && inGroup.has(other)),
      [1e-2, 1e-3],
    )
  return {
    people: inGroup.size,
    raw: within(pairs(singles, single.raw)),
    normalised: within(pairs(singles, single.normalised(COHORT))),
  }
}

/** What a kiosk would do with these searches, at the threshold for this gallery; the margin is in confidence. */
function atThreshold(table: ScoreTable, searches: Search[]) {
  const confidence = (score: number) => (Number.isFinite(score) ? confidenceOf(table, score) : 0)
  const margins = [0.02, 0.05, 0.1]
  const threshold = effectiveThreshold(0.65, templates.length, 0.01)
  const recognised = searches.filter(({ own, bestOther }) => confidence(own) >= threshold && own > bestOther)
  return {
    threshold,
    fnir: 1 - recognised.length / searches.length,
    fpir: searches.filter(({ bestOther }) => confidence(bestOther) >= threshold).length / searches.length,
    ambiguousAtMargin: Object.fromEntries(
      margins.map((margin) => [
        margin,
        recognised.filter(({ own, bestOther }) => confidence(own) - confidence(bestOther) < margin).length /
          searches.length,
      ]),
    ),
  }
}

function print(): void {
  const percent = (value: number) => `${(100 * value).toFixed(2)}%`
  say(`\n${report.photos} photos of ${report.people} people, pack ${report.pack}`)
  say(`failures to enrol: ${report.failuresToEnrol} (each counted as a miss below)`)
  say(`a kiosk would refuse for several faces: ${report.refusedAsSeveralFaces}`)
  say(
    `quality below ${MIN_QUALITY_SCORE}: ${report.quality.belowMinimum}; 10th percentile of single frontal photos: ` +
      report.quality.tenthPercentileOfSingleFrontal.toFixed(3),
  )
  say('\nVerification: TAR = 1 - FNMR at each FMR [95% bootstrap interval over people] (score)')
  for (const [name, rates] of Object.entries(report.verification)) {
    say(`  ${name}: EER ${percent(rates.eer)} (${rates.genuine} genuine, ${rates.impostor} impostor)`)
    for (const { fmr, fnmr, threshold, interval } of rates.at)
      say(
        `    TAR@${fmr.toExponential(0)} ${percent(1 - fnmr)} [${percent(1 - interval[1])}, ${percent(1 - interval[0])}] (${threshold.toFixed(3)})`,
      )
  }
  say('\nNormalised against cohorts of different sizes')
  for (const [size, rates] of Object.entries(report.cohortSizes))
    say(
      `  ${size} people: EER ${percent(rates.eer)} ${rates.at.map(({ fmr, fnmr }) => `TAR@${fmr.toExponential(0)} ${percent(1 - fnmr)}`).join(' ')}`,
    )
  say('\nWithin a group')
  for (const [group, { people, raw, normalised }] of Object.entries(report.groups))
    for (const [name, rates] of Object.entries({ raw, normalised }))
      say(
        `  ${group} (${people} people), ${name}: EER ${percent(rates.eer)} ${rates.at.map(({ fmr, fnmr, threshold }) => `TAR@${fmr.toExponential(0)} ${percent(1 - fnmr)} (${threshold.toFixed(3)})`).join(' ')}, ${rates.impostor} impostor pairs`,
      )
  say('\nIdentification among all people')
  for (const [name, { searches, rank1, at }] of Object.entries(report.identification))
    say(
      `  ${name}: rank-1 ${percent(rank1)} of ${searches}; ${at.map(({ fpir, fnir }) => `FNIR ${percent(fnir)} at FPIR ${percent(fpir)}`).join('; ')}`,
    )
  say(`\nAt a kiosk's threshold for ${templates.length} people`)
  for (const [name, { threshold, fnir, fpir, ambiguousAtMargin }] of Object.entries(atKiosk))
    say(
      `  ${name}: threshold ${threshold.toFixed(2)}, FNIR ${percent(fnir)}, FPIR ${percent(fpir)}, ambiguous ${JSON.stringify(ambiguousAtMargin)}`,
    )
}

function writeMeasured(): void {
  const mean = centringMean(
    pack.embedders,
    firstOfEach(singles).flatMap((index) => (singles[index].vector ? [singles[index].vector] : [])),
  )
  const table = ({ points, countedTo }: ScoreTable) =>
    `{ points: [${points.map(([score, y]) => `[${score}, ${y}]`).join(', ')}], countedTo: ${countedTo} }`
  const path = new URL(`../src/face/packs/${pack.name}.measured.ts`, import.meta.url)
  writeFileSync(
    path,
    `// Written by \`npm run evaluate -- --faces DIR --write\` from ${report.photos} photos of ${report.people} people; not by hand.
import type { Measured } from './pack.ts'

// biome-ignore format: data
export const measured: Measured = {
  defaultMean: '${Buffer.from(mean.buffer).toString('base64')}',
  raw: ${table(tables.raw)},
  normalised: ${table(tables.normalised)},
}
`,
  )
  say(`\nwrote ${path.pathname.split('/').slice(-4).join('/')}`)
}
