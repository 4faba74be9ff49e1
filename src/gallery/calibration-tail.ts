import { seededRandom } from '../shared/seeded-random.ts'
/** How often different people of one site are taken for each other, beyond what could be counted. */

/**
 * The highest comparisons of different people, fitted on the axis of the pack's own score table: -log10 of the FMR that
 * the table gives a score, in decades. There what the table was measured on falls by one decade per decade, whatever the
 * shape of its scores, so that one straight line says how this site differs. FMR(y) = share x 10^(-slope (y - start)).
 */
export interface Tail {
  /** Where it begins, in decades of the pack's table. */
  start: number
  /** The share of comparisons above the start. */
  share: number
  /** Decades that it falls by in one decade of the pack's table: 1 where the site is as the pack's own people were. */
  slope: number
  /** How many comparisons it was fitted to, and how many of them only counted as at least the limit (see `fitTail`). */
  comparisons: number
  censored: number
  /** [share, slope] of each bootstrap replicate. */
  replicates: [number, number][]
}

/** One comparison of two people: which they are, and -log10 of the FMR that the pack's table gives it. */
export interface Comparison {
  one: number
  other: number
  decades: number
}

/** The share of comparisons that the tail is fitted to; of 1, 3, 5 and 10% this came closest on faces. */
const TAIL_SHARE = 0.03
/** ... but never fewer, and never more than are of use. */
const MIN_TAIL = 30
const MAX_TAIL = 20_000
const REPLICATES = 200

/** Where the tail of a set of comparisons begins: its highest 3%, as a quantile of a sample of them. */
export function startOfTail(sample: readonly number[], comparisons: number): number {
  const share = Math.max(Math.min(TAIL_SHARE, MAX_TAIL / comparisons), MIN_TAIL / comparisons)
  const sorted = Float64Array.from(sample).sort()
  return sorted[Math.max(0, sorted.length - 1 - Math.ceil(share * sample.length))]
}

/**
 * Peaks over a threshold with shape 0 (Coles 2001, ch. 4): the rate is the number of comparisons by the sum of their
 * excesses. Those that a tenth of a comparison is expected beyond, such as one person enrolled twice, are censored
 * there: they count as at least that, so that no single pair decides on the threshold. Its interval comes from a
 * bootstrap over people, because the comparisons of one person hang together; each comparison is weighed by the product
 * of its two people's weights, which makes the interval rather too wide than too narrow (Owen, "The pigeonhole
 * bootstrap", Annals of Applied Statistics 1, 2007).
 * @param above all comparisons above `start`
 * @param total how many comparisons there are in all, of `people` people
 * @returns null where all that lie above the start lie on it: there is no tail to fit
 */
export async function fitTail(
  above: readonly Comparison[],
  { start, total, people }: { start: number; total: number; people: number },
  /** Lets others have their turn. */
  pause: () => Promise<void>,
): Promise<Tail | null> {
  const limit = Math.max(Math.log10(total), start) + 1
  const fit = (weights: ArrayLike<number>, weightOfAll: number): [number, number] | undefined => {
    let [count, uncensored, excess] = [0, 0, 0]
    for (const { one, other, decades } of above) {
      const weight = weights[one] * weights[other]
      count += weight
      if (decades < limit) uncensored += weight
      excess += weight * (Math.min(decades, limit) - start)
    }
    if (!(excess > 0) || uncensored === 0) return undefined
    return [count / weightOfAll, uncensored / excess / Math.LN10]
  }
  const fitted = fit(new Uint8Array(people).fill(1), total)
  if (!fitted) return null
  const random = seededRandom(people)
  const replicates: [number, number][] = []
  for (let i = 0; i < REPLICATES; i++) {
    const weights = new Uint16Array(people)
    for (let drawn = 0; drawn < people; drawn++) weights[Math.floor(random() * people)]++
    const squares = weights.reduce((sum, weight) => sum + weight ** 2, 0)
    const replicate = fit(weights, (total * (people ** 2 - squares)) / (people * (people - 1)))
    if (replicate) replicates.push([roundTo4(replicate[0]), roundTo4(replicate[1])])
    if (i % 10 === 9) await pause()
  }
  const [share, slope] = fitted
  const censored = above.filter(({ decades }) => decades >= limit).length
  return { start, share, slope, comparisons: above.length, censored, replicates }
}

const roundTo4 = (value: number) => Number(value.toPrecision(4))

type Line = Pick<Tail, 'start' | 'share' | 'slope'>

/** The confidence at which a gallery of so many people names one stranger in 1 / target FPIR, by the site's own tail. */
export function thresholdOfTail({ start, share, slope }: Line, people: number, targetFpir: number): number {
  const decades = start + Math.log10((share * Math.max(people, 1)) / targetFpir) / slope
  return Math.min(1, Math.max(0, 0.25 + 0.1 * decades))
}

/** How likely a stranger is named by a gallery of so many people at a threshold (a confidence). */
export function fpirAt({ start, share, slope }: Line, people: number, threshold: number): number {
  const decades = (threshold - 0.25) / 0.1
  const fmr = Math.min(1, share * 10 ** (-slope * (decades - start)))
  return 1 - (1 - fmr) ** people
}

/** The 95% interval of what is derived from a tail, between the percentiles of its replicates. */
export function intervalOf(tail: Tail, derived: (line: Line) => number): [number, number] {
  const values = tail.replicates
    .map(([share, slope]) => derived({ start: tail.start, share, slope }))
    .sort((a, b) => a - b)
  const at = (quantile: number) => values[Math.round(quantile * (values.length - 1))]
  return [at(0.025), at(0.975)]
}
