/**
 * How well a pack tells people apart, on a folder of photos laid out as identity/*.jpg.
 *
 *   npm run evaluate -- --faces DIR [--pack NAME] [--models DIR] [--liveness] [--json] [--write]
 *
 * An `index.csv` (identity,file,group) in DIR names groups of people. --write puts the default centring mean and
 * the score-to-FMR tables into the pack; --liveness goes on with presentation attacks (bench/liveness.ts).
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { averageVectors } from '../src/face/embed.ts'
import { startEngine } from '../src/face/engine.ts'
import {
  COHORT,
  type Entry,
  firstOfEach,
  lookAtPhotos,
  type Measurement,
  measure,
  type Photo,
  type Scores,
  score,
} from '../src/face/measure.ts'
import { findPack, packs } from '../src/face/packs/catalogue.ts'
import { humanV1 } from '../src/face/packs/human-v1.ts'
import type { ScoreTable } from '../src/face/packs/pack.ts'
import { MIN_QUALITY_SCORE } from '../src/face/quality.ts'
import { confidenceOf } from '../src/face/score-table.ts'
import { thresholdsOf } from '../src/gallery/calibration.ts'
import { describeLiveness, runLiveness } from './liveness.ts'
import {
  bootstrap,
  type Comparison,
  errorRates,
  identificationRates,
  quantile,
  type Search,
} from './metrics.ts'

const FMRS = [1e-2, 1e-3, 1e-4]
const FPIRS = [0.01, 0.1]
const REPLICATES = 200

const usage =
  'npm run evaluate -- --faces DIR [--pack NAME] [--models DIR] [--liveness] [--json] [--write], with the photos in ' +
  'DIR/identity/*.jpg'
const { values: options } = readOptions()
if (!options.faces) fail(`Say where the photos are: ${usage}`)
const chosen = options.pack === undefined ? humanV1 : findPack(options.pack)
if (!chosen) fail(`There is no pack ${options.pack}: ${packs.map(({ name }) => name).join(', ')}.`)
function readOptions() {
  try {
    return parseArgs({
      options: {
        faces: { type: 'string' },
        pack: { type: 'string' },
        models: { type: 'string' },
        liveness: { type: 'boolean' },
        json: { type: 'boolean' },
        write: { type: 'boolean' },
      },
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

const engine = await startEngine({ pack: chosen, modelPath: options.models }).catch((error: Error) =>
  fail(error.message),
)
const { pack } = engine
const { photos, people } = await lookAtPhotos(engine, options.faces, (done, total) => {
  if (done % 50 === 0 || done === total)
    process.stderr.write(`\r${done} of ${total} photos${done === total ? '\n' : ''}`)
}).catch((error: Error) => fail(error.message))
await engine.close()
const singles: Entry[] = photos
const { templates, probes } = twoPhotoTemplates(photos, people)
const single = score(pack, singles, firstOfEach(singles))
const two = score(
  pack,
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
    'single photos, normalised with deviations': withIntervals(pairs(singles, withDeviations(single))),
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
const measured = measure(pack, photos, single)
const tables = { raw: measured.raw, normalised: measured.normalised }
const atKiosk = {
  'two photos enrolled, raw': atThreshold(tables.raw, searchesOfTwo(two.raw)),
  'two photos enrolled, normalised': atThreshold(tables.normalised, searchesOfTwo(two.normalised(COHORT))),
}
const liveness = options.liveness
  ? await runLiveness({ faces: options.faces, models: options.models })
  : undefined
if (options.json) console.log(JSON.stringify({ ...report, atKiosk, tables, liveness }))
else print()
if (liveness && !options.json) console.log(describeLiveness(liveness))
if (options.write) writeMeasured()

// --- Scoring

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

/** With the division by the cohort's deviations, over its 50 highest scores, for comparison. */
function withDeviations({ against }: Measurement): Scores {
  return against('deviations', COHORT, meanAndDeviation, (score, probe, template) => {
    const z = ({ mean, deviation }: typeof probe) => (score - mean) / deviation
    return (z(probe) + z(template)) / 2
  })
}

function meanAndDeviation(scores: number[]): { mean: number; deviation: number } {
  const highest = [...scores].sort((a, b) => b - a).slice(0, 50)
  const mean = highest.reduce((sum, score) => sum + score, 0) / highest.length
  const variance = highest.reduce((sum, score) => sum + (score - mean) ** 2, 0) / highest.length
  return { mean, deviation: Math.sqrt(variance) }
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
  const { threshold } = thresholdsOf(0.65, templates.length, null)
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
  const table = ({ points, countedTo }: ScoreTable) =>
    `{ points: [${points.map(([score, y]) => `[${score}, ${y}]`).join(', ')}], countedTo: ${countedTo} }`
  const command = `npm run evaluate -- --faces DIR${options.pack ? ` --pack ${pack.name} --models DIR` : ''} --write`
  const path = new URL(`../src/face/packs/${pack.name}.measured.ts`, import.meta.url)
  writeFileSync(
    path,
    `// Written by \`${command}\` from ${report.photos} photos of ${report.people} people; not by hand.
import type { Measured } from './pack.ts'

// biome-ignore format: data
export const measured: Measured = {
  defaultMean: '${measured.defaultMean}',
  raw: ${table(measured.raw)},
  normalised: ${table(measured.normalised)},
}
`,
  )
  say(`\nwrote ${path.pathname.split('/').slice(-4).join('/')}`)
}
