import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { acceptCalibration, nightlyDue } from '../../src/gallery/calibration.ts'
import { storedReport } from '../../src/gallery/calibration-report.ts'
import { fpirAt, intervalOf, type Tail, thresholdOfTail } from '../../src/gallery/calibration-tail.ts'
import { viewCalibration } from '../../src/gallery/calibration-view.ts'
import { MARGIN } from '../../src/gallery/look-alikes.ts'
import type { Change } from '../../src/ledger/ledger.ts'
import {
  again,
  type Company,
  type Person,
  somePeople,
  stranger,
  syntheticCompany,
  syntheticPack,
  vote,
} from './synthetic.ts'

let company: Company
beforeAll(async () => {
  company = await syntheticCompany()
})
afterEach(() => company.clear())
afterAll(() => company.close())

const seeAll = () => true
const author = { by: 'user:1' }

/** A gallery of people with its first calibration. */
async function calibrated(people: readonly Person[], overrides: Parameters<Company['open']>[0] = {}) {
  await company.store(people)
  const gallery = await company.open(overrides)
  await gallery.settled()
  return gallery
}

const newestTail = async (): Promise<Tail | null> =>
  storedReport.parse((await company.calibrations()).at(-1)!.report).tail

describe('the threshold of a site', () => {
  test("is the pack's own where its people are as those that the pack was measured on", async () => {
    const gallery = await calibrated(somePeople(60))
    const { threshold, thresholds } = gallery.limits
    expect(thresholds).toMatchObject({ configured: 0.65, lowered: false })
    // 60 people and FPIR .01: .25 + .1 x log10(6000).
    expect(thresholds.pack).toBeCloseTo(0.6278, 4)
    const [low, high] = intervalOf((await newestTail())!, ({ slope }) => slope)
    expect(low).toBeLessThan(1)
    expect(high).toBeGreaterThan(1)
    expect(threshold).toBe(Math.max(0.65, thresholds.site!))
  })

  test('rises by itself where they are more alike, and nobody has to say so', async () => {
    const gallery = await calibrated(somePeople(60, 0.7))
    const { threshold, thresholds, high, learning } = gallery.limits
    expect(thresholds.site).toBeGreaterThan(0.75)
    expect(threshold).toBe(thresholds.site)
    expect([high, learning]).toEqual([threshold + 0.05, threshold + 0.1].map((one) => expect.closeTo(one, 9)))
    expect(gallery.identify([vote(stranger(5))], 1)).toMatchObject({ threshold, thresholds })
  })

  test('of fewer than twenty people is left to the pack, and the report says why', async () => {
    const gallery = await calibrated(somePeople(19, 0.7))
    expect(gallery.limits).toMatchObject({ threshold: 0.65, thresholds: { site: null } })
    const view = await viewCalibration(company.db, 'synthetic', { configured: 0.65, people: 19 }, seeAll)
    expect(view).toMatchObject({ fpir: null, tail: null, comparisons: 19 * 18 + 7 * 18 })
    expect(view!.message).toContain('too few')
  })

  test('lets through as many strangers as is predicted', async () => {
    const gallery = await calibrated(somePeople(200, 0.4), { threshold: 0.3 })
    const tail = (await newestTail())!
    const { scale, people } = gallery.identify([vote(stranger(5))], 1)
    expect([scale, people]).toEqual(['normalised', 200])
    // Enough of 3,000 strangers to be counted.
    const threshold = thresholdOfTail(tail, people, 0.04)
    let named = 0
    for (let i = 0; i < 3000; i++) {
      const { candidates } = gallery.identify([vote(stranger(500_000 + i, 0.4))], 1)
      if (candidates[0].confidence >= threshold) named++
    }
    const [low, high] = intervalOf(tail, (line) => fpirAt(line, people, threshold))
    // What was counted has an error of its own: two deviations of a share.
    const error = (2 * Math.sqrt(named)) / 3000
    expect(named).toBeGreaterThan(30)
    expect(named / 3000 + error).toBeGreaterThan(low)
    expect(named / 3000 - error).toBeLessThan(high)
  })
})

describe('a lower threshold', () => {
  // The pack's table says half of the decades that are true: these people would do with far less.
  const pessimist = syntheticPack(0.5)
  const open = { pack: pessimist, threshold: 0.3 }
  const at = { configured: 0.3, people: 60, accept: true }
  const accept = async (id: number, accepted = true) =>
    acceptCalibration(company.deps.change, author, id, { ...at, accept: accepted }, new Date('2025-03-04'))

  test("takes an administrator's word, which can be taken back", async () => {
    const gallery = await calibrated(somePeople(60), open)
    const { threshold, thresholds } = gallery.limits
    expect(thresholds.site!).toBeLessThan(thresholds.pack - 0.05)
    expect(threshold).toBe(thresholds.pack)

    const [{ id }] = await company.calibrations()
    await accept(id)
    await gallery.recalibrated()
    expect(gallery.limits).toMatchObject({ threshold: thresholds.site, thresholds: { lowered: true } })
    expect(await company.calibrations()).toMatchObject([{ lowered_by: 'user:1' }])
    // The configured one is the floor, whatever was accepted.
    expect((await company.open({ ...open, threshold: 0.6 })).limits.threshold).toBe(0.6)

    await accept(id, false)
    await gallery.recalibrated()
    expect(gallery.limits).toMatchObject({ threshold: thresholds.pack, thresholds: { lowered: false } })
  })

  test('holds for the next calibration that asks for no more, and ends with one that does', async () => {
    const gallery = await calibrated(somePeople(60), open)
    await accept((await company.calibrations())[0].id)
    await company.store(somePeople(2, 0, 500))
    await gallery.calibrate(company.deps.change)
    expect(gallery.limits.thresholds.lowered).toBe(true)

    await company.store(somePeople(15, 1.2, 600))
    await gallery.calibrate(company.deps.change)
    const rows = await company.calibrations()
    expect(rows.map(({ lowered_by }) => lowered_by)).toEqual(['user:1', 'user:1', null])
    expect(gallery.limits.thresholds.lowered).toBe(false)
  })

  test('is refused for a calibration that is not the newest, or that lowers nothing', async () => {
    const gallery = await calibrated(somePeople(60, 1.2), open)
    await expect(accept((await company.calibrations())[0].id)).rejects.toMatchObject({
      code: 'nothing_to_lower',
      status: 409,
    })
    await gallery.calibrate(company.deps.change)
    const [first] = await company.calibrations()
    await expect(accept(first.id)).rejects.toMatchObject({ code: 'calibration_superseded', status: 409 })
    await expect(accept(99_999)).rejects.toMatchObject({ code: 'calibration_not_found' })
  })
})

describe('look-alikes', () => {
  /** Thirty people, and two of them as alike as brothers. */
  const withBrothers = (): Person[] => {
    const brother = again(stranger(900), 901, 0.45)
    return [
      ...somePeople(30),
      { employeeId: 'B1', photos: [stranger(900)] },
      { employeeId: 'B2', photos: [brother] },
    ]
  }
  const pairs = () => company.db.selectFrom('look_alikes').selectAll().orderBy('employee_a').execute()

  test('get a margin as wide as they are alike, whichever of them comes first', async () => {
    const gallery = await calibrated(withBrothers())
    const [pair, ...more] = await pairs()
    expect(more).toEqual([])
    expect(pair).toMatchObject({
      employee_a: 'B1',
      employee_b: 'B2',
      pack: 'synthetic',
      origin: 'calibration',
    })
    expect(pair.margin).toBeCloseTo(MARGIN + pair.confidence! - (gallery.limits.threshold - 0.1), 9)
    expect(pair.margin).toBeGreaterThan(0.15)
    for (const seed of [902, 903]) {
      const { candidates } = gallery.identify([vote(again(stranger(900), seed, 0.2))], 3)
      expect(candidates.slice(0, 2).map(({ employeeId }) => employeeId)).toEqual(['B1', 'B2'])
      expect(candidates[1]).toMatchObject({ lookAlike: true, margin: pair.margin })
      for (const other of [candidates[0], candidates[2]])
        expect(other).toMatchObject({ lookAlike: false, margin: MARGIN })
    }
  })

  test('of a dispute count as well, and outlast a calibration', async () => {
    const gallery = await calibrated(somePeople(30))
    const dispute = { employee_a: 'P0001', employee_b: 'P0002', origin: 'dispute' as const, margin: 0.3 }
    await company.db
      .insertInto('look_alikes')
      .values({ ...dispute, created_at: new Date() })
      .execute()
    await gallery.recalibrated()
    const marginOf = () =>
      gallery.identify([vote(stranger(2))], 31).candidates.find(({ employeeId }) => employeeId === 'P0001')
    expect(marginOf()).toMatchObject({ lookAlike: true, margin: 0.3 })
    await gallery.calibrate(company.deps.change)
    expect(marginOf()).toMatchObject({ lookAlike: true, margin: 0.3 })
  })

  test('are forgotten when one of them leaves, and by the next calibration', async () => {
    const gallery = await calibrated(withBrothers())
    await company.db
      .updateTable('employees')
      .set({ is_active: false })
      .where('employee_id', '=', 'B2')
      .execute()
    await gallery.refresh('B2')
    const view = await viewCalibration(company.db, 'synthetic', { configured: 0.65, people: 31 }, seeAll)
    expect(view!.look_alikes).toEqual([])
    await gallery.calibrate(company.deps.change)
    expect((await pairs()).map(({ employee_b }) => employee_b)).not.toContain('B2')
  })

  test('are named to those alone who may see both', async () => {
    await calibrated(withBrothers())
    const shown = async (sees: () => boolean) =>
      (await viewCalibration(company.db, 'synthetic', { configured: 0.65, people: 32 }, sees))!.look_alikes
    expect(await shown(() => true)).toMatchObject([
      { people: [{ employee_id: 'B1', name: 'Name of B1' }, { employee_id: 'B2' }] },
    ])
    expect(await shown(() => false)).toMatchObject([
      {
        people: [
          { label: 'Person 1', employee_id: null, name: null },
          { label: 'Person 2', name: null },
        ],
      },
    ])
  })
})

describe('the report', () => {
  test('counts each comparison once, genuine and impostor', async () => {
    await calibrated(somePeople(30))
    const { curves, comparisons, compared, scale } = storedReport.parse(
      (await company.calibrations()).at(-1)!.report,
    )
    // 20 people have one photo and 10 have two: 40 photos against 29 others each, and 10 x 2 against their own.
    expect({ comparisons, compared, scale }).toEqual({ comparisons: 40 * 29, compared: 30, scale: 'raw' })
    const sum = (bars: number[]) => bars.reduce((total, bar) => total + bar, 0)
    for (const curve of Object.values(curves))
      expect([sum(curve.impostor), sum(curve.genuine)]).toEqual([40 * 29, 20])
    // Random directions have a cosine about 0; two pictures of one person, with .3 of noise each, about 1 / 1.09.
    const middle = ({ from, step, ...bars }: typeof curves.score, kind: 'genuine' | 'impostor') =>
      bars[kind].reduce((total, bar, i) => total + bar * (from + (i + 0.5) * step), 0) / sum(bars[kind])
    expect(middle(curves.score, 'impostor')).toBeCloseTo(0, 1)
    expect(middle(curves.score, 'genuine')).toBeCloseTo(1 / 1.09, 1)
  })

  test('is missing in rows of an older version, and all else goes on', async () => {
    const gallery = await calibrated(somePeople(30))
    await company.db.updateTable('calibrations').set({ report: null, threshold: null }).execute()
    await gallery.recalibrated()
    expect(gallery.limits).toMatchObject({ threshold: 0.65, thresholds: { site: null } })
    const view = await viewCalibration(company.db, 'synthetic', { configured: 0.65, people: 30 }, seeAll)
    expect(view).toMatchObject({ curves: null, scale: null, fpir: null })
  })
})

describe('one calibration of several', () => {
  test('that are made at once by two servers is written', async () => {
    const [one, other] = [await calibrated(somePeople(30)), await company.open()]
    await Promise.all([one.calibrate(company.deps.change), other.calibrate(company.deps.change)])
    const rows = await company.calibrations()
    expect(rows).toHaveLength(2)
    expect([one.calibration?.id, other.calibration?.id]).toEqual([rows[1].id, rows[1].id])
  })

  test('that is broken off at the end leaves the one before in force, with its look-alikes', async () => {
    const gallery = await calibrated(somePeople(30, 0.7))
    const before = {
      limits: gallery.limits,
      pairs: await company.db.selectFrom('look_alikes').selectAll().execute(),
    }
    const killed: Change = (work) =>
      company.db.transaction().execute(async (trx) => {
        await work(trx)
        throw new Error('killed')
      })
    await expect(gallery.calibrate(killed)).rejects.toThrow('killed')
    expect(await company.calibrations()).toHaveLength(1)
    const anew = await company.open()
    expect([gallery.limits, anew.limits]).toEqual([before.limits, before.limits])
    expect(await company.db.selectFrom('look_alikes').selectAll().execute()).toEqual(before.pairs)
  })

  test('that a stopping server is in the middle of is given up', async () => {
    const gallery = await calibrated(somePeople(30))
    const made = gallery.calibrate(company.deps.change).catch((error: Error) => error)
    await gallery.close()
    expect(await made).toBeInstanceOf(Error)
    expect(await company.calibrations()).toHaveLength(1)
  })

  test('is refused where there are fewer than ten people', async () => {
    const gallery = await calibrated(somePeople(9))
    await expect(gallery.calibrate(company.deps.change)).rejects.toMatchObject({ code: 'too_few_people' })
  })
})

test('it is calibrated at night, a day after the last time, where somebody was changed', async () => {
  await calibrated(somePeople(12))
  const due = (time: string, zone = 'Asia/Ho_Chi_Minh') =>
    nightlyDue(company.db, 'synthetic', new Date(time), zone)
  // The calibration is of 01:00 UTC on the 3rd, 08:00 in Vietnam; 20:30 UTC is half past three there.
  expect(await due('2025-03-03T20:30:00Z')).toBe(false)
  expect(await due('2025-03-04T20:30:00Z')).toBe(false)
  await company.db.updateTable('employees').set({ name: 'Ann' }).where('employee_id', '=', 'P0001').execute()
  expect(await due('2025-03-03T20:30:00Z')).toBe(false)
  expect(await due('2025-03-04T20:30:00Z')).toBe(true)
  expect(await due('2025-03-04T20:30:00Z', 'Europe/Berlin')).toBe(false)
  expect(await due('2025-03-04T22:00:00Z')).toBe(false)
})
