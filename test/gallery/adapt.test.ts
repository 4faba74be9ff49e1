import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EmbedderSpec } from '../../src/face/embed.ts'
import { adrift, type LearningEvidence, learnedVector, mayLearn } from '../../src/gallery/adapt.ts'

const now = new Date('2025-03-20T08:00:00Z')
const daysAgo = (days: number) => new Date(now.getTime() - days * 24 * 3_600_000)
const rules = { learning: 0.85, margin: 0.05 }

/** As good as it gets. */
const good: LearningEvidence = {
  outcome: 'identified',
  liveness: 'bona_fide',
  quality: 0.95,
  admin: { confidence: 0.9, minusLog10Fmr: 6.5 },
  second: { minusLog10Fmr: 2 },
  isDisputed: false,
  hasLookAlike: false,
  lastLearnedAt: undefined,
  learned: [],
  now,
}
const ask = (changes: Partial<LearningEvidence>) => mayLearn({ ...good, ...changes }, rules)
const sure = (minusLog10Fmr: number) => ({ confidence: 0.25 + 0.1 * minusLog10Fmr, minusLog10Fmr })

describe('a template is learned', () => {
  test('from a check that leaves no doubt', () => {
    expect(ask({})).toEqual({ learn: true, slot: 2 })
    expect(ask({ second: undefined })).toEqual({ learn: true, slot: 2 })
  })

  test.each<[string, Partial<LearningEvidence>, string]>([
    ['a duplicate', { outcome: 'duplicate' }, 'duplicate'],
    ['somebody who was not identified', { outcome: 'ambiguous' }, 'ambiguous'],
    ['a check without liveness', { liveness: 'unavailable' }, 'unavailable'],
    ['an undecided one', { liveness: 'undecided' }, 'undecided'],
    ['an attack', { liveness: 'attack' }, 'attack'],
    ['a poor picture', { quality: 0.79 }, 'quality'],
    ["a person without an administrator's template", { admin: undefined }, "administrator's template"],
    ["a face of which the administrator's template is not sure", { admin: sure(5.9) }, '0.840 sure'],
    ['a face that resembles two people', { second: { minusLog10Fmr: 5.6 } }, 'second person'],
    ['a person of whom a punch is disputed', { isDisputed: true }, 'disputed'],
    ['one who has a look-alike', { hasLookAlike: true }, 'look-alike'],
    ['one who was learned from nine days ago', { lastLearnedAt: daysAgo(9) }, '10 days'],
  ])('never from %s', (_what, changes, why) => {
    expect(ask(changes)).toEqual({ learn: false, why: expect.stringContaining(why) })
  })

  test.each<[string, Partial<LearningEvidence>, boolean]>([
    ['quality .8', { quality: 0.8 }, true],
    ['confidence .85', { admin: { confidence: 0.85, minusLog10Fmr: 6 } }, true],
    ['a margin of .1', { second: { minusLog10Fmr: 5.5 } }, true],
    ['a margin of less', { second: { minusLog10Fmr: 5.501 } }, false],
    ['ten days', { lastLearnedAt: daysAgo(10) }, true],
    ['a millisecond less', { lastLearnedAt: new Date(daysAgo(10).getTime() + 1) }, false],
  ])('at the limits: %s', (_what, changes, learns) => {
    expect(ask(changes).learn).toBe(learns)
  })

  test('into an empty slot first, then in place of the older one', () => {
    const at = (slot: number, days: number) => ({ slot, learnedAt: daysAgo(days) })
    expect(ask({ learned: [at(2, 30)] })).toEqual({ learn: true, slot: 3 })
    expect(ask({ learned: [at(3, 30)] })).toEqual({ learn: true, slot: 2 })
    expect(ask({ learned: [at(2, 30), at(3, 20)] })).toEqual({ learn: true, slot: 2 })
    expect(ask({ learned: [at(2, 20), at(3, 30)] })).toEqual({ learn: true, slot: 3 })
  })

  test('with the margin that was not clamped: two people of whom it is entirely sure are not told apart', () => {
    const both = { admin: { confidence: 1, minusLog10Fmr: 12 }, second: { minusLog10Fmr: 11.5 } }
    expect(ask(both)).toMatchObject({ learn: false, why: expect.stringContaining('second person') })
    expect(ask({ ...both, second: { minusLog10Fmr: 11 } }).learn).toBe(true)
  })

  test('never for less: whatever is learned from stays so when anything gets better', () => {
    const evidence = fc.record({
      quality: fc.double({ min: 0, max: 1, noNaN: true }),
      own: fc.double({ min: 0, max: 15, noNaN: true }),
      other: fc.double({ min: 0, max: 15, noNaN: true }),
      days: fc.integer({ min: 0, max: 30 }),
    })
    fc.assert(
      fc.property(
        evidence,
        fc.double({ min: 0, max: 3, noNaN: true }),
        ({ quality, own, other, days }, more) => {
          const made = (by: number) =>
            ask({
              quality: Math.min(1, quality + by),
              admin: sure(own + by),
              second: { minusLog10Fmr: other },
              lastLearnedAt: daysAgo(days + by),
            })
          if (made(0).learn) expect(made(more).learn).toBe(true)
        },
      ),
    )
  })
})

describe('what is learned of a face', () => {
  const part = { squareRoot: false, centred: false, weight: 1 }
  const specs = [
    { ...part, dimension: 2 },
    { ...part, dimension: 2 },
  ] as unknown as EmbedderSpec[]

  test('is a quarter of it, of each network alike, and as long as a vector must be', () => {
    const learned = learnedVector(specs, Float32Array.of(1, 0, 0, 1), Float32Array.of(0, 1, 0, 1))
    // (3, 1) and (0, 4), scaled to 1.
    const expected = [3 / Math.sqrt(10), 1 / Math.sqrt(10), 0, 1]
    for (const [i, value] of expected.entries()) expect(learned[i]).toBeCloseTo(value, 6)
  })
})

describe('a learned template is adrift', () => {
  test.each<[string, number, number | undefined, string | undefined]>([
    ['not where nobody else is enrolled', 7, undefined, undefined],
    ['not where it is nearest to its own person', 7, 6.9, undefined],
    ['where somebody else is as near', 7, 7, 'somebody else'],
    ['where somebody else is nearer', 7, 8, 'somebody else'],
    ["where its own person's photos would not be recognised", 3.9, undefined, 'no longer recognise'],
    ['not where they just would', 4, undefined, undefined],
  ])('%s', (_what, own, other, why) => {
    const nearest = other === undefined ? undefined : { minusLog10Fmr: other }
    const said = adrift(sure(own), nearest, 0.65)
    if (why === undefined) expect(said).toBeUndefined()
    else expect(said).toContain(why)
  })
})
