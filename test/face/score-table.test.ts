import { describe, expect, test } from 'vitest'
import type { ScoreTable } from '../../src/face/packs/pack.ts'
import { confidenceOf, fitScoreTable, minusLog10Fmr, thresholdOfSize } from '../../src/face/score-table.ts'

/** 1 in 10 at a score of 0.2, 1 in 1,000 at 0.6, and so on with 1 in 10 more for each 0.2. */
const table: ScoreTable = {
  points: [
    [-1, 0],
    [0.2, 1],
    [0.6, 3],
    [1, 5],
  ],
  countedTo: 3,
}

describe('the false-match rate of a score', () => {
  test.each([
    [-1, 0],
    [-0.4, 0.5],
    [0.2, 1],
    [0.3, 1.5],
    [0.6, 3],
    [0.9, 4.5],
    [1, 5],
  ])('at %f is 10 to the power of -%f', (score, expected) => {
    expect(minusLog10Fmr(table, score)).toBeCloseTo(expected, 9)
  })

  test('goes on with the slope of the tail beyond the last point', () => {
    expect(minusLog10Fmr(table, 1.4)).toBeCloseTo(7, 9)
  })

  test('is 1 at and below the lowest score', () => {
    expect(minusLog10Fmr(table, -5)).toBe(0)
  })
})

describe('the confidence', () => {
  // 10^-y is at this score in the table.
  const scoreAt = (y: number) => y / 5

  test.each([
    [0, 0.25],
    [3, 0.55],
    [4, 0.65],
    [5, 0.75],
    [7, 0.95],
    [7.5, 1],
  ])('of a false-match rate of 1 in 10^%f is %f', (y, confidence) => {
    expect(confidenceOf(table, y === 0 ? -1 : scoreAt(y))).toBeCloseTo(confidence, 9)
  })

  test('is at most 1', () => {
    expect(confidenceOf(table, 9)).toBe(1)
  })

  test('of something that is not a number passes no threshold', () => {
    expect(confidenceOf(table, Number.NaN) >= 0).toBe(false)
  })
})

describe('the threshold of a gallery of some size', () => {
  test.each([
    [16, 0.57041],
    [100, 0.65],
    [1000, 0.75],
    [10_000, 0.85],
  ])('for %i people and 1 false match in 100 strangers, is %f', (people, threshold) => {
    expect(thresholdOfSize(people, 0.01)).toBeCloseTo(threshold, 5)
  })

  test('is that of one person for an empty gallery, and at most 1', () => {
    expect(thresholdOfSize(0, 0.01)).toBeCloseTo(0.45, 9)
    expect(thresholdOfSize(1e9, 1e-6)).toBe(1)
  })
})

describe('a fitted table', () => {
  /** Scores whose tail is 10^(-slope x score): -ln(u) / (slope ln 10), with u spread evenly over 0..1, in disorder. */
  function exponentialScores(count: number, slope: number): number[] {
    return Array.from({ length: count }, (_, i) => {
      const u = (((i * 7919) % count) + 0.5) / count
      return -Math.log10(u) / slope
    })
  }

  const slope = 12
  const fitted = fitScoreTable(exponentialScores(200_000, slope))

  test.each([0.5, 1, 2, 2.9])('counts: it gives back a rate of 10^-%f', (y) => {
    expect(minusLog10Fmr(fitted, y / slope)).toBeCloseTo(y, 2)
  })

  test.each([4, 5, 6, 8, 12])('extrapolates: it gives back a rate of 10^-%f within a few percent', (y) => {
    expect(minusLog10Fmr(fitted, y / slope) / y).toBeGreaterThan(0.96)
    expect(minusLog10Fmr(fitted, y / slope) / y).toBeLessThan(1.04)
  })

  test('promises no more than it keeps where the true tail is lighter than exponential', () => {
    // A normal tail: the sum of twelve even numbers less 6 (Irwin-Hall), sampled by a fixed recurrence.
    const normal = sumsOfTwelve(100_000)
    const { points } = fitScoreTable(normal)
    const at = points.at(-2)![0] + 1
    const exceeding = normal.filter((score) => score >= at).length / normal.length
    expect(10 ** -minusLog10Fmr({ points, countedTo: 3 }, at)).toBeGreaterThanOrEqual(exceeding)
  })

  test.each([1000, 1225, 29_999, 30_000, 200_000])(
    'rises in both columns, from 0 on: of %i scores',
    (count) => {
      const { points } = fitScoreTable(exponentialScores(count, slope))
      expect(points[0][1]).toBe(0)
      for (const [i, [score, y]] of points.entries()) {
        if (i === 0) continue
        expect(score).toBeGreaterThan(points[i - 1][0])
        expect(y).toBeGreaterThan(points[i - 1][1])
      }
    },
  )

  test.each([
    [200_000, 3],
    [30_000, 3],
    [3000, 2],
    [1000, Math.log10(1000 / 30)],
  ])('says where counting ends: of %i scores at 10^-%f', (count, countedTo) => {
    const { points, ...table } = fitScoreTable(exponentialScores(count, slope))
    expect(table.countedTo).toBeCloseTo(countedTo, 5)
    expect(points.at(-2)![1]).toBe(table.countedTo)
  })

  test('promises no more of few scores, whatever the highest one is', () => {
    // Of 1,225, as 50 people make them; the highest is as good as the second.
    const scores = exponentialScores(1225, slope).sort((one, other) => other - one)
    scores[0] = scores[1] + 1e-3
    const few = fitScoreTable(scores)
    for (const y of [4, 5, 6]) expect(minusLog10Fmr(few, y / slope)).toBeLessThan(1.05 * y)
  })

  test('takes a higher score for a rarer match, all along', () => {
    let previous = -1
    for (let score = -0.1; score < 1.5; score += 0.001) {
      const y = minusLog10Fmr(fitted, score)
      expect(y).toBeGreaterThanOrEqual(previous)
      previous = y
    }
  })

  test('does not depend on the order of the scores, and leaves them as they were', () => {
    const scores = exponentialScores(2000, slope)
    const copy = [...scores]
    const sorted = [...scores].sort((one, other) => one - other)
    expect(fitScoreTable(scores)).toEqual(fitScoreTable(sorted))
    expect(scores).toEqual(copy)
  })

  test('of fewer than 1,000 scores is refused', () => {
    expect(() => fitScoreTable(exponentialScores(999, slope))).toThrow(RangeError)
    expect(() => fitScoreTable(exponentialScores(1000, slope))).not.toThrow()
  })

  test('of scores that repeat never falls', () => {
    const coarse = fitScoreTable(exponentialScores(50_000, slope).map((score) => Math.round(score * 20) / 20))
    const rates = Array.from({ length: 200 }, (_, i) => minusLog10Fmr(coarse, i / 200))
    expect(rates.every((rate, i) => Number.isFinite(rate) && rate >= (rates[i - 1] ?? 0))).toBe(true)
  })

  function sumsOfTwelve(count: number): number[] {
    let state = 1
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state / 2 ** 32
    }
    return Array.from({ length: count }, () => {
      let sum = -6
      for (let i = 0; i < 12; i++) sum += next()
      return sum
    })
  }
})
