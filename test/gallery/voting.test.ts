import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Gallery } from '../../src/gallery/gallery.ts'
import { sealTemplate } from '../../src/gallery/templates.ts'
import { again, type Company, somePeople, stranger, syntheticCompany, vote } from './synthetic.ts'

let company: Company
let gallery: Gallery
beforeAll(async () => {
  company = await syntheticCompany()
  await company.store(somePeople(40))
  gallery = await company.open()
  await gallery.settled()
})
afterAll(() => company.close())

/** Pictures of the person of this number. */
const pictures = (person: number, count: number, spread = 0.6) =>
  Array.from({ length: count }, (_, i) => again(stranger(person), 1000 * person + i, spread))

describe('several frames of one check', () => {
  test('give each person the mean of their scores, weighed by quality', () => {
    const [good, poor] = pictures(5, 2)
    const together = gallery.identify([vote(good, 0.9), vote(poor, 0.3)], 3)
    const [first] = together.candidates
    const [of] = [(frame: Float32Array) => gallery.verify(vote(frame), first.employeeId)!]
    expect(first.employeeId).toBe('P0005')
    expect(first.score).toBeCloseTo((0.9 * of(good).score + 0.3 * of(poor).score) / 1.2, 6)
    expect(first.rawScore).toBeCloseTo((0.9 * of(good).rawScore + 0.3 * of(poor).rawScore) / 1.2, 6)
    expect(together).toMatchObject({ dissent: false, people: 40 })
  })

  test('that are all alike are as good as one of them', () => {
    const [frame] = pictures(5, 1)
    const { candidates: one } = gallery.identify([vote(frame, 0.4)], 5)
    const { candidates: three } = gallery.identify([vote(frame, 0.9), vote(frame, 0.5), vote(frame, 0)], 5)
    expect(three.map(({ employeeId }) => employeeId)).toEqual(one.map(({ employeeId }) => employeeId))
    for (const [i, { score }] of three.entries()) expect(score).toBeCloseTo(one[i].score, 5)
  })

  test('that are sure of different people dissent', () => {
    const [ann, bob] = [...pictures(5, 1, 0.2), ...pictures(8, 1, 0.2)]
    expect(gallery.identify([vote(ann), vote(ann), vote(bob)], 5).dissent).toBe(true)
    // A frame that is sure of nobody contradicts nobody.
    const blurred = again(stranger(8), 77, 3)
    expect(gallery.identify([vote(blurred)], 1).candidates[0].confidence).toBeLessThan(0.6)
    expect(gallery.identify([vote(ann), vote(blurred, 0.2)], 5).dissent).toBe(false)
  })

  test('name strangers no more often than one frame does', () => {
    const threshold = 0.42
    const named = [0, 0, 0]
    for (let i = 0; i < 1500; i++) {
      const face = stranger(40_000 + i)
      // From frames that have nothing but the person in common to frames that are the same picture.
      const [a, b, c] = [1, 2, 3].map((frame) => vote(again(face, 10_000 * frame + i, 0.5)))
      for (const [n, votes] of [[a], [a, b], [a, b, c]].entries())
        if (gallery.identify(votes, 1).candidates[0].confidence >= threshold) named[n]++
    }
    const [one, two, three] = named
    expect(one).toBeGreaterThan(50)
    expect(two).toBeLessThanOrEqual(one + 2 * Math.sqrt(one))
    expect(three).toBeLessThanOrEqual(one + 2 * Math.sqrt(one))
  })

  test('of another pack are refused, and so is a check without any', () => {
    const foreign = { ...vote(stranger(5)), pack: 'another' }
    const refused = expect.objectContaining({ code: 'pack_changed', details: { retry_after_seconds: 1 } })
    for (const ask of [
      () => gallery.identify([vote(stranger(5)), foreign], 1),
      () => gallery.verify(foreign, 'P0005'),
      () => gallery.verify(foreign, 'NOBODY'),
      () => gallery.templatesOf(foreign, 'P0005'),
    ])
      expect(ask).toThrow(refused)
    expect(() => gallery.identify([], 1)).toThrow(RangeError)
  })
})

test('each template of a person speaks for itself, with its slot', async () => {
  const person = company.db.selectFrom('face_templates').selectAll().where('employee_id', '=', 'P0005')
  const { id: _, ...admin } = await person.executeTakeFirstOrThrow()
  const { key_id } = await company.db
    .selectFrom('employees')
    .select('key_id')
    .where('employee_id', '=', 'P0005')
    .executeTakeFirstOrThrow()
  const learned = again(stranger(5), 4242, 0.5)
  const where = { employeeId: 'P0005', slot: 2, pack: 'synthetic' }
  const key = (await company.vault.key(key_id!))!
  await company.db
    .insertInto('face_templates')
    .values({ ...admin, image_id: 2, is_primary: false, embedding_vector: sealTemplate(key, learned, where) })
    .execute()
  await gallery.refresh('P0005')
  const each = gallery.templatesOf(vote(learned), 'P0005')
  expect(each.map(({ slot }) => slot)).toEqual([1, 2])
  expect(each[1].rawScore).toBeCloseTo(1, 5)
  expect(each[0].rawScore).toBeCloseTo(1 / Math.sqrt(1.25), 1)
  // The learned one lifts the person a little above what the photos say, and no further.
  const verified = gallery.verify(vote(learned), 'P0005')!
  expect(verified).toMatchObject({ slot: 2, templateId: each[1].templateId, rawScore: each[1].rawScore })
  expect(verified.minusLog10Fmr).toBeCloseTo(each[0].minusLog10Fmr + 0.25, 5)
  expect(gallery.nearest(vote(learned), 1)).toMatchObject([{ slot: 2, rawScore: expect.closeTo(1, 5) }])
  expect(gallery.identify([vote(learned)], 1).candidates[0]).toMatchObject({
    slot: 2,
    templateId: each[1].templateId,
  })
  expect(gallery.templatesOf(vote(learned), 'NOBODY')).toEqual([])
})
