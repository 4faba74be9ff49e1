import { seededRandom } from '../src/shared/seeded-random.ts'

/** Error rates of biometric comparison (ISO/IEC 19795-1), from comparison scores. */

/** A comparison of two captures: its score (-Infinity where one could not be enrolled) and whose they are. */
export interface Comparison {
  score: number
  /** Index of the two people; equal for a genuine comparison. */
  one: number
  other: number
}

export interface ErrorRates {
  genuine: number
  impostor: number
  /** Equal error rate, 0..1. */
  eer: number
  /** False non-match rate and score threshold at each false-match rate. */
  at: { fmr: number; fnmr: number; threshold: number }[]
}

/**
 * EER and FNMR at given FMRs. A threshold accepts scores above it, and is the lowest one that accepts at most
 * `fmr` of the impostor comparisons. `weights` (one per person) weigh each comparison by the product of its two
 * people's, which is what a bootstrap over people needs. Throws RangeError for a score that is not a number.
 */
export function errorRates(
  comparisons: readonly Comparison[],
  fmrs: number[],
  weights?: ArrayLike<number>,
): ErrorRates {
  if (comparisons.some(({ score }) => Number.isNaN(score))) throw new RangeError('a score is not a number')
  return ratesOfSorted([...comparisons].sort(descending), fmrs, weights)
}

const descending = (a: Comparison, b: Comparison) => b.score - a.score || 0

function ratesOfSorted(
  sorted: readonly Comparison[],
  fmrs: number[],
  weights?: ArrayLike<number>,
): ErrorRates {
  const weightOf = ({ one, other }: Comparison) =>
    weights ? (one === other ? weights[one] : weights[one] * weights[other]) : 1
  let genuine = 0
  let impostor = 0
  for (const comparison of sorted)
    if (comparison.one === comparison.other) genuine += weightOf(comparison)
    else impostor += weightOf(comparison)

  const at: ErrorRates['at'] = []
  const wanted = [...fmrs].sort((a, b) => a - b)
  let eer = 1
  let accepted = 0
  let falsely = 0
  for (let i = 0; i < sorted.length; ) {
    // Equal scores are accepted together or not at all.
    const { score } = sorted[i]
    const before = { accepted, falsely }
    for (; i < sorted.length && sorted[i].score === score; i++)
      if (sorted[i].one === sorted[i].other) accepted += weightOf(sorted[i])
      else falsely += weightOf(sorted[i])
    while (wanted.length > 0 && falsely > wanted[0] * impostor)
      at.push({ fmr: wanted.shift()!, fnmr: 1 - before.accepted / genuine, threshold: score })
    eer = Math.min(eer, Math.max(falsely / impostor, 1 - accepted / genuine))
  }
  for (const fmr of wanted)
    at.push({ fmr, fnmr: 1 - accepted / genuine, threshold: sorted.at(-1)?.score ?? 0 })
  return { genuine, impostor, eer, at }
}

/** The 2.5th and 97.5th percentile of FNMR at each FMR, over samples of people drawn with replacement (seeded). */
export function bootstrap(
  comparisons: readonly Comparison[],
  people: number,
  fmrs: number[],
  replicates: number,
): [low: number, high: number][] {
  const random = seededRandom(1)
  const sorted = [...comparisons].sort(descending)
  const fnmrs = fmrs.map(() => [] as number[])
  for (let replicate = 0; replicate < replicates; replicate++) {
    const weights = new Float64Array(people)
    for (let draw = 0; draw < people; draw++) weights[Math.floor(random() * people)]++
    const { at } = ratesOfSorted(sorted, fmrs, weights)
    for (const [index, fmr] of fmrs.entries()) fnmrs[index].push(at.find((rate) => rate.fmr === fmr)!.fnmr)
  }
  return fnmrs.map((values) => [quantile(values, 0.025), quantile(values, 0.975)])
}

/** One probe against a gallery: what it scored with its own person, and with the best of the others. */
export interface Search {
  /** -Infinity when the own person or the probe could not be enrolled. */
  own: number
  bestOther: number
}

/**
 * Open-set identification. Each search is both a mated one and, with its own person taken out of the gallery, a
 * non-mated one. FNIR counts probes whose own person is not first or not above the threshold.
 */
export function identificationRates(searches: readonly Search[], fpirs: number[]) {
  const rank1 = searches.filter(({ own, bestOther }) => own > bestOther).length / searches.length
  const strangers = searches.map(({ bestOther }) => bestOther).sort((a, b) => b - a)
  const at = fpirs.map((fpir) => {
    const threshold = strangers[Math.floor(fpir * strangers.length)]
    const missed = searches.filter(({ own, bestOther }) => !(own > threshold && own > bestOther)).length
    return { fpir, fnir: missed / searches.length, threshold }
  })
  return { searches: searches.length, rank1, at }
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}
