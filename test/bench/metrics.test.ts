import { describe, expect, test } from 'vitest'
import { bootstrap, type Comparison, errorRates, identificationRates, quantile } from '../../bench/metrics.ts'
import { seededRandom } from '../../src/shared/seeded-random.ts'

const genuine = (score: number, person = 0): Comparison => ({ score, one: person, other: person })
const impostor = (score: number, one = 0, other = 1): Comparison => ({ score, one, other })

describe('error rates', () => {
  test('are zero where the scores do not overlap', () => {
    const { eer, at } = errorRates([genuine(0.9), genuine(0.8), impostor(0.2), impostor(0.1)], [0.5])
    expect(eer).toBe(0)
    expect(at[0]).toMatchObject({ fmr: 0.5, fnmr: 0 })
  })

  test('by hand: of four impostors one is above half of the genuine scores', () => {
    const scores = [genuine(0.9), impostor(0.85), genuine(0.5), impostor(0.4), impostor(0.3), impostor(0.2)]
    const { genuine: mated, impostor: nonMated, at } = errorRates(scores, [0.1, 0.25])
    expect([mated, nonMated]).toEqual([2, 4])
    // No impostor may pass: above .85 there is one genuine of two.
    expect(at.find(({ fmr }) => fmr === 0.1)).toMatchObject({ fnmr: 0.5, threshold: 0.85 })
    // One of four may pass: above .4 there are both.
    expect(at.find(({ fmr }) => fmr === 0.25)).toMatchObject({ fnmr: 0, threshold: 0.4 })
  })

  test('equal scores are accepted together or not at all', () => {
    const { at } = errorRates([genuine(0.5), impostor(0.5), impostor(0.1)], [0.1])
    expect(at[0]).toMatchObject({ fnmr: 1, threshold: 0.5 })
  })

  test('a failure to enrol is a miss at every threshold', () => {
    const failed = genuine(Number.NEGATIVE_INFINITY)
    const { at } = errorRates([genuine(0.9), failed, impostor(0.2), impostor(0.1)], [0.5])
    expect(at[0].fnmr).toBe(0.5)
  })

  test('a person drawn twice counts twice, one not drawn not at all', () => {
    const scores = [genuine(0.9, 0), genuine(0.1, 1), impostor(0.5, 0, 1)]
    expect(errorRates(scores, [0.5], [2, 0]).genuine).toBe(2)
    expect(errorRates(scores, [0.5], [2, 0]).impostor).toBe(0)
    expect(errorRates(scores, [0.5], [1, 1]).at[0].fnmr).toBe(0.5)
  })

  test('the bootstrap is the same at every run and holds the figure', () => {
    const random = seededRandom(7)
    const scores = Array.from({ length: 20 }, (_, person) => [
      genuine(0.4 + random() / 2, person),
      ...Array.from({ length: person }, (_, other) => impostor(random() * 0.6, person, other)),
    ]).flat()
    const [first] = bootstrap(scores, 20, [0.01], 50)
    expect(bootstrap(scores, 20, [0.01], 50)[0]).toEqual(first)
    const { fnmr } = errorRates(scores, [0.01]).at[0]
    expect(first[0]).toBeLessThanOrEqual(fnmr)
    expect(first[1]).toBeGreaterThanOrEqual(fnmr)
  })
})

describe('identification', () => {
  const searches = [
    { own: 0.9, bestOther: 0.3 },
    { own: 0.8, bestOther: 0.2 },
    { own: 0.4, bestOther: 0.6 },
    { own: 0.5, bestOther: 0.45 },
  ]

  test('rank-1 is the share whose own person is first', () => {
    expect(identificationRates(searches, []).rank1).toBe(0.75)
  })

  test('at an FPIR of a quarter the threshold lets one stranger of four pass', () => {
    const [rates] = identificationRates(searches, [0.25]).at
    // The strangers reach .6, .45, .3 and .2: only .6 is above .45; of the probes .9, .8 and .5 are found.
    expect(rates).toMatchObject({ threshold: 0.45, fnir: 0.25 })
  })
})

test('a quantile is one of the values', () => {
  expect(quantile([3, 1, 2, 4], 0.5)).toBe(3)
  expect(quantile([3, 1, 2, 4], 1)).toBe(4)
})
