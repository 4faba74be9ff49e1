import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cohortMean, normaliseScore } from '../../src/face/normalise.ts'

describe('the cohort mean', () => {
  test('is the mean of the highest scores, wherever they stand', () => {
    expect(cohortMean([0.1, 0.9, 0.2, 0.7], 2)).toBeCloseTo(0.8, 12)
  })

  test('takes all scores when there are fewer than it wants', () => {
    expect(cohortMean([0.2, 0.4], 10)).toBeCloseTo(0.3, 12)
  })

  test('equals sorting and averaging', () => {
    const score = fc.double({ min: -1, max: 1, noNaN: true })
    fc.assert(
      fc.property(
        fc.array(score, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        (scores, top) => {
          const highest = [...scores].sort((a, b) => b - a).slice(0, top)
          const mean = highest.reduce((sum, value) => sum + value, 0) / highest.length
          expect(cohortMean(scores, top)).toBeCloseTo(mean, 12)
        },
      ),
    )
  })

  test('refuses an empty cohort and a score that is not a number', () => {
    expect(() => cohortMean([])).toThrow(RangeError)
    expect(() => cohortMean([0.5, Number.NaN])).toThrow(RangeError)
  })
})

test('a normalised score is the distance above the mean of both cohorts, by hand', () => {
  expect(normaliseScore(0.9, 0.5, 0.7)).toBeCloseTo(0.3, 12)
})

test('swapping probe and template changes nothing', () => {
  expect(normaliseScore(0.8, 0.6, 0.5)).toBe(normaliseScore(0.8, 0.5, 0.6))
})
