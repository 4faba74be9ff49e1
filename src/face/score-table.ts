import type { ScoreTable } from './packs/pack.ts'

/** How many of the highest impostor scores the tail is fitted to, as a share. */
const TAIL_SHARE = 1e-3
/** And at the least: the rate of a tail that is fitted to k scores is off by 1 / sqrt(k) of itself, here by a fifth. */
const MIN_TAIL = 30
/** Fewer scores say nothing of the rates that thresholds are about. */
const MIN_SCORES = 1000

/**
 * -log10 of the false-match rate at a score, by linear interpolation; beyond the last point the fitted tail goes on
 * with the same slope. Never below 0.
 */
export function minusLog10Fmr({ points }: ScoreTable, score: number): number {
  if (score <= points[0][0]) return points[0][1]
  let right = points.findIndex(([limit]) => limit >= score)
  if (right < 0) right = points.length - 1
  const [s0, y0] = points[right - 1]
  const [s1, y1] = points[right]
  return y0 + ((score - s0) / (s1 - s0)) * (y1 - y0)
}

/** The score at which the false-match rate is 10^-`decades`: what `minusLog10Fmr` takes back. */
export function scoreAt({ points }: ScoreTable, decades: number): number {
  if (decades <= points[0][1]) return points[0][0]
  let right = points.findIndex(([, limit]) => limit >= decades)
  if (right < 0) right = points.length - 1
  const [s0, y0] = points[right - 1]
  const [s1, y1] = points[right]
  return s0 + ((decades - y0) / (y1 - y0)) * (s1 - s0)
}

/**
 * The scale that every client sees: 0.25 + 0.1 x -log10(FMR), clamped to 0..1, so that .65 is one false match in
 * 10^4 comparisons with a person, .75 in 10^5, whichever networks run.
 */
export function confidenceOf(table: ScoreTable, score: number): number {
  return Math.min(1, Math.max(0, 0.25 + 0.1 * minusLog10Fmr(table, score)))
}

/**
 * The confidence at which a gallery of so many people names one stranger in 1 / target FPIR: a stranger is compared with
 * everybody, so each person added raises it. 0.25 + 0.1 x log10(people / target FPIR), at most 1.
 */
export function thresholdOfSize(people: number, targetFpir: number): number {
  return Math.min(1, 0.25 + 0.1 * Math.log10(Math.max(people, 1) / targetFpir))
}

/**
 * The table of a set of impostor scores: counted down to the last thousandth, or to the 30 highest where these are more,
 * then an exponential tail whose rate is the maximum-likelihood one, 1 / mean excess over the start of the tail (peaks
 * over threshold with shape 0; Coles 2001, ch. 4). Cosine tails are lighter than that, so the tail promises less than it
 * keeps. Throws RangeError for fewer than 1,000 scores, and where the highest are all the same.
 */
export function fitScoreTable(impostorScores: readonly number[]): ScoreTable {
  const scores = Float64Array.from(impostorScores).sort().reverse()
  if (scores.length < MIN_SCORES) throw new RangeError('a score table needs at least 1,000 impostor scores')
  const tailCount = Math.max(Math.floor(scores.length * TAIL_SHARE), MIN_TAIL)
  const countedTo = round(Math.min(-Math.log10(TAIL_SHARE), Math.log10(scores.length / tailCount)))
  const start = scores[tailCount]
  const points: [number, number][] = [[scores.at(-1)!, 0]]
  // Every twentieth of a decade from 1 to where the tail starts.
  for (let step = 1; step / 20 < countedTo; step++) {
    const y = step / 20
    const score = round(scores[Math.floor(scores.length * 10 ** -y)])
    if (score > points.at(-1)![0] && score < round(start)) points.push([score, round(y)])
  }
  let excess = 0
  for (let i = 0; i < tailCount; i++) excess += (scores[i] - start) / tailCount
  if (excess < 1e-4)
    throw new RangeError('the highest impostor scores are all the same: there is no tail to fit')
  points.push([round(start), countedTo], [round(start + (10 - countedTo) * excess * Math.LN10), 10])
  return { points, countedTo }
}

const round = (value: number) => Math.round(value * 1e5) / 1e5
