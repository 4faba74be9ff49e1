import { describe, expect, test } from 'vitest'
import {
  type Comparison,
  fitTail,
  fpirAt,
  intervalOf,
  startOfTail,
  thresholdOfTail,
} from '../../src/gallery/calibration-tail.ts'

const noPause = async () => {}

/** Comparisons of everybody with everybody whose decades fall as 10^(-slope x decades), spread evenly, in disorder. */
function comparisonsOf(people: number, slope: number): Comparison[] {
  const count = people * (people - 1)
  return Array.from({ length: count }, (_, i) => {
    const one = Math.floor(i / (people - 1))
    const other = i % (people - 1)
    const u = (((i * 7919) % count) + 0.5) / count
    return { one, other: other < one ? other : other + 1, decades: -Math.log10(u) / slope }
  })
}

async function tailOf(comparisons: Comparison[], people: number) {
  const decades = comparisons.map((one) => one.decades)
  const start = startOfTail(decades, decades.length)
  const highest = comparisons.filter((one) => one.decades > start)
  return fitTail(highest, { start, total: decades.length, people }, noPause)
}

describe('the tail of exponential comparisons', () => {
  test.each([
    [100, 1],
    [100, 0.5],
    [300, 1.4],
  ])('of %d people with the slope %d is the analytic one', async (people, slope) => {
    const tail = (await tailOf(comparisonsOf(people, slope), people))!
    // The error of a rate from n exponential excesses is 1/sqrt(n); these are spread evenly, which halves it at least.
    expect(Math.abs(tail.slope / slope - 1)).toBeLessThan(0.5 / Math.sqrt(tail.comparisons))
    expect(tail.share).toBeCloseTo(0.03, 3)
    // FMR 10^(-slope x decades) = .01 / people, solved for the decades by hand.
    const byHand = 0.25 + (0.1 * Math.log10(people / 0.01)) / slope
    expect(thresholdOfTail(tail, people, 0.01)).toBeCloseTo(Math.min(1, byHand), 2)
  })

  test('promises the target FPIR at the threshold for it', () => {
    const line = { start: 1.5, share: 0.03, slope: 0.8 }
    for (const people of [20, 200, 5000]) {
      const threshold = thresholdOfTail(line, people, 0.01)
      // 1 - (1 - .01/n)^n.
      expect(fpirAt(line, people, threshold)).toBeCloseTo(0.01, 4)
    }
    // 0.03 x 10^(-.8 x (4 - 1.5)) = 3e-4 for each of 100 people, at .65, which is 4 decades.
    expect(fpirAt(line, 100, 0.65)).toBeCloseTo(1 - (1 - 3e-4) ** 100, 9)
  })

  test('takes one person enrolled twice for no more than a pair that might be', async () => {
    const comparisons = comparisonsOf(50, 1)
    const without = (await tailOf(comparisons, 50))!
    comparisons[0].decades = 40
    comparisons[49].decades = 40
    const tail = (await tailOf(comparisons, 50))!
    expect([without.censored, tail.censored]).toEqual([0, 2])
    const raised = thresholdOfTail(tail, 50, 0.01) - thresholdOfTail(without, 50, 0.01)
    expect(raised).toBeGreaterThan(0)
    expect(raised).toBeLessThan(0.03)
  })

  test('is none where all comparisons are alike', async () => {
    const comparisons = comparisonsOf(30, 1).map((one) => ({ ...one, decades: 0.5 }))
    expect(await tailOf(comparisons, 30)).toBeNull()
  })
})

test('the bootstrap interval covers the truth in about 95 of 100 draws, and is the same each time', async () => {
  const people = 40
  let covered = 0
  let state = 7
  const random = () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 1
    return ((state % 65536) + 0.5) / 65536
  }
  for (let draw = 0; draw < 100; draw++) {
    const comparisons = comparisonsOf(people, 1).map((one) => ({ ...one, decades: -Math.log10(random()) }))
    const tail = (await tailOf(comparisons, people))!
    const [low, high] = intervalOf(tail, (line) => thresholdOfTail(line, people, 0.01))
    expect(low).toBeLessThan(high)
    const truth = 0.25 + 0.1 * Math.log10(people / 0.01)
    if (low <= truth && truth <= high) covered++
    if (draw === 0) expect((await tailOf(comparisons, people))!.replicates).toEqual(tail.replicates)
  }
  expect(covered).toBeGreaterThanOrEqual(90)
})
