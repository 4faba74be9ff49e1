import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { errorRates } from '../../bench/metrics.ts'
import { startEngine } from '../../src/face/engine.ts'
import { COHORT, firstOfEach, lookAtPhotos, measure, type Scores, score } from '../../src/face/measure.ts'
import { findPack } from '../../src/face/packs/catalogue.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import type { ScoreTable } from '../../src/face/packs/pack.ts'

/** A folder of measuring data, which is never part of the project; without it there is nothing to measure. */
const data = process.env.EVAL_DATA

interface Rates {
  at: { fmr: number; fnmr: number; interval: [number, number] }[]
}

interface Report {
  failuresToEnrol: number
  quality: { tenthPercentileOfSingleFrontal: number }
  verification: Record<string, Rates>
  tables: { raw: ScoreTable; normalised: ScoreTable }
}

describe.runIf(data)('on published photos the embedded pack', () => {
  let report: Report
  beforeAll(async () => {
    const words = ['--import', 'tsx', 'bench/evaluate.ts', '--json', '--faces', join(data!, 'faces')]
    const { stdout } = await promisify(execFile)(process.execPath, words, { maxBuffer: 1e8 })
    report = JSON.parse(stdout)
  }, 900_000)

  const acceptRate = (name: string) => 1 - report.verification[name].at.find(({ fmr }) => fmr === 1e-3)!.fnmr

  test('accepts 93.5% of single photos at a false-match rate of one in a thousand', () => {
    expect(acceptRate('single photos, raw')).toBeGreaterThanOrEqual(0.935)
  })

  test('accepts 95.5% of them with normalised scores', () => {
    expect(acceptRate('single photos, normalised')).toBeGreaterThanOrEqual(0.955)
  })

  test('accepts 98% with templates of two photos', () => {
    expect(acceptRate('two-photo templates, raw')).toBeGreaterThanOrEqual(0.98)
    expect(acceptRate('two-photo templates, normalised')).toBeGreaterThanOrEqual(0.98)
  })

  test('states an interval that holds the figure', () => {
    for (const { at } of Object.values(report.verification))
      for (const { fnmr, interval } of at) {
        expect(interval[0]).toBeLessThanOrEqual(fnmr)
        expect(interval[1]).toBeGreaterThanOrEqual(fnmr)
      }
  })

  test('finds a face in every photo, and calls a tenth of the single frontal ones not good enough', () => {
    expect(report.failuresToEnrol).toBe(0)
    expect(report.quality.tenthPercentileOfSingleFrontal).toBeCloseTo(0.8, 1)
  })

  test.each(['raw', 'normalised'] as const)('carries the table of %s scores that was measured', (scale) => {
    const [measured, carried] = [report.tables[scale].points, humanV1.measured[scale].points]
    expect(carried.length).toBe(measured.length)
    for (const [index, [score, y]] of carried.entries()) {
      expect(score).toBeCloseTo(measured[index][0], 2)
      expect(y).toBeCloseTo(measured[index][1], 6)
    }
  })
})

describe.runIf(data)('on published photos the pack of test weights', () => {
  test('accepts 99% of single photos at a false-match rate of one in a thousand, and misses no face', async () => {
    const pack = findPack('test-mobilefacenet')!
    const engine = await startEngine({ pack, modelPath: join(data!, 'models') })
    const { photos, people } = await lookAtPhotos(engine, join(data!, 'faces'), () => {})
    await engine.close()
    const scored = score(pack, photos, firstOfEach(photos))
    const acceptRate = (scores: Scores) => {
      const comparisons = photos.flatMap((one, i) =>
        photos
          .slice(i + 1)
          .map((other, k) => ({ score: scores(i, i + 1 + k), one: one.person, other: other.person })),
      )
      return 1 - errorRates(comparisons, [1e-3]).at[0].fnmr
    }
    expect(people).toHaveLength(229)
    expect(photos.filter(({ vector }) => vector === null)).toEqual([])
    expect(acceptRate(scored.raw)).toBeGreaterThanOrEqual(0.99)
    expect(acceptRate(scored.normalised(COHORT))).toBeGreaterThanOrEqual(0.99)
    const measured = measure(pack, photos, scored)
    for (const scale of ['raw', 'normalised'] as const)
      for (const [index, [score]] of measured[scale].points.entries())
        expect(pack.measured![scale].points[index][0]).toBeCloseTo(score, 2)
  }, 600_000)
})

test('the pack carries a default mean and rising tables', () => {
  const { defaultMean, raw, normalised } = humanV1.measured
  expect(Buffer.from(defaultMean, 'base64').length).toBe(1024 * 4)
  for (const { points } of [raw, normalised])
    for (let i = 1; i < points.length; i++) {
      expect(points[i][0]).toBeGreaterThan(points[i - 1][0])
      expect(points[i][1]).toBeGreaterThan(points[i - 1][1])
    }
})
