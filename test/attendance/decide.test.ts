import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide, type Evidence, type Rival, type Rules } from '../../src/attendance/decide.ts'

const rules: Rules = {
  threshold: 0.65,
  minQuality: 0.2,
  padPolicy: 'flag',
  duplicateWindowMs: 60_000,
}
const now = new Date('2025-03-03T01:00:00Z')
const ordinary = { margin: 0.05, lookAlike: false }
const ann: Rival = { ...ordinary, employeeId: 'ANN', confidence: 0.9, minusLog10Fmr: 6.5 }
const bob: Rival = { ...ordinary, employeeId: 'BOB', confidence: 0.5, minusLog10Fmr: 2.5 }

const evidence = (changes: Partial<Evidence> = {}): Evidence => ({
  picture: { kind: 'face', quality: 0.9 },
  liveness: 'unavailable',
  candidates: [ann, bob],
  dissent: false,
  claimed: undefined,
  candidateIsActive: true,
  requested: 'IN',
  now,
  ...changes,
})
const punchedAgo = (milliseconds: number, type: 'IN' | 'OUT' = 'IN', sameDay = true) => ({
  lastPunch: { id: 7, type, at: new Date(now.getTime() - milliseconds), sameDay },
})
const outcomeOf = (changes: Partial<Evidence>, changedRules: Partial<Rules> = {}) =>
  decide(evidence(changes), { ...rules, ...changedRules }).outcome

describe('the outcomes', () => {
  test.each(['IN', 'OUT'] as const)(
    'a face above the threshold is identified, and punches the %s that was asked for',
    (requested) => {
      expect(decide(evidence({ requested }), rules)).toEqual({
        outcome: 'identified',
        employeeId: 'ANN',
        type: requested,
        rule: 'above the threshold',
      })
    },
  )

  test.each<[string, Partial<Evidence>, Partial<Rules>, string, RegExp]>([
    ['no face', { picture: { kind: 'no_face' } }, {}, 'no_face', /one large face/],
    ['several faces', { picture: { kind: 'several_faces' } }, {}, 'several_faces', /one large face/],
    [
      'a poor picture',
      { picture: { kind: 'face', quality: 0.19 } },
      {},
      'poor_quality',
      /0\.190 is below 0\.200/,
    ],
    ['an empty gallery', { candidates: [] }, {}, 'not_identified', /nobody is enrolled/],
    ['a stranger', { candidates: [bob] }, {}, 'not_identified', /0\.500 is below the threshold 0\.650/],
    [
      'a person deactivated meanwhile',
      { candidateIsActive: false },
      {},
      'not_identified',
      /no longer active/,
    ],
    [
      'two people alike',
      { candidates: [ann, { ...bob, minusLog10Fmr: 6.1 }] },
      {},
      'ambiguous',
      /margin of 0\.050/,
    ],
    ['pictures of different people', { dissent: true }, {}, 'ambiguous', /show different people/],
    [
      'an attack under enforce',
      { liveness: 'attack' },
      { padPolicy: 'enforce' },
      'attack',
      /attack detected/,
    ],
    [
      'doubt under enforce',
      { liveness: 'undecided' },
      { padPolicy: 'enforce' },
      'undecided',
      /says undecided/,
    ],
    [
      'no PAD under enforce',
      { liveness: 'unavailable' },
      { padPolicy: 'enforce' },
      'undecided',
      /says unavailable/,
    ],
    ['a second check', punchedAgo(1000), {}, 'duplicate', /within the last 60 s/],
  ])('%s is told apart, with the rule that said so', (_what, changes, changedRules, outcome, rule) => {
    const decision = decide(evidence(changes), { ...rules, ...changedRules })
    expect(decision.outcome).toBe(outcome)
    expect(decision.rule).toMatch(rule)
  })

  test('a duplicate names the person and the first punch', () => {
    expect(decide(evidence(punchedAgo(0)), rules)).toMatchObject({ employeeId: 'ANN', punchId: 7 })
  })

  test('only an identification or a duplicate names a person', () => {
    fc.assert(
      fc.property(anyEvidence, anyRules, (anything, someRules) => {
        const decision = decide(anything, someRules)
        expect('employeeId' in decision).toBe(['identified', 'duplicate'].includes(decision.outcome))
        if (!('employeeId' in decision)) return
        const named = anything.candidates.find(({ employeeId }) => employeeId === decision.employeeId)!
        expect(named.confidence).toBeGreaterThanOrEqual(someRules.threshold)
        if (named.employeeId !== anything.candidates[0].employeeId)
          expect(named).toMatchObject({ lookAlike: true, employeeId: anything.claimed })
      }),
    )
  })
})

describe('the limits', () => {
  test.each([
    ['confidence', { candidates: [{ ...ann, confidence: 0.65 }] }, 'identified'],
    ['confidence', { candidates: [{ ...ann, confidence: 0.65 - 1e-9 }] }, 'not_identified'],
    ['quality', { picture: { kind: 'face' as const, quality: 0.2 } }, 'identified'],
    ['quality', { picture: { kind: 'face' as const, quality: 0.2 - 1e-9 } }, 'poor_quality'],
    ['margin', { candidates: [ann, { ...bob, minusLog10Fmr: 6 }] }, 'identified'],
    ['margin', { candidates: [ann, { ...bob, minusLog10Fmr: 6 + 1e-9 }] }, 'ambiguous'],
  ])('of %s pass what lies on them and nothing worse', (_what, changes, outcome) => {
    expect(outcomeOf(changes)).toBe(outcome)
  })

  test('the margin tells two very sure people apart by what the clamped confidence no longer shows', () => {
    const sure = { ...ann, confidence: 1, minusLog10Fmr: 12 }
    expect(outcomeOf({ candidates: [sure, { ...bob, confidence: 1, minusLog10Fmr: 8 }] })).toBe('identified')
    expect(outcomeOf({ candidates: [sure, { ...bob, confidence: 1, minusLog10Fmr: 12 }] })).toBe('ambiguous')
  })
})

test('the rules are asked in one order', () => {
  const strict: Partial<Rules> = { padPolicy: 'enforce' }
  const worst: Partial<Evidence> = {
    picture: { kind: 'no_face' },
    liveness: 'attack',
    candidates: [],
    candidateIsActive: false,
    ...punchedAgo(0),
  }
  const alike = [ann, { ...bob, minusLog10Fmr: 6.5 }]
  const steps: [Partial<Evidence>, string][] = [
    [{}, 'no_face'],
    [{ picture: { kind: 'face', quality: 0.1 } }, 'poor_quality'],
    [{ picture: { kind: 'face', quality: 0.9 } }, 'attack'],
    [{ liveness: 'undecided' }, 'undecided'],
    [{ liveness: 'bona_fide' }, 'not_identified'],
    [{ candidates: [bob], dissent: true }, 'ambiguous'],
    [{ dissent: false }, 'not_identified'],
    [{ candidates: alike }, 'ambiguous'],
    [{ candidates: [ann] }, 'not_identified'],
    [{ candidateIsActive: true }, 'duplicate'],
    [{ lastPunch: undefined }, 'identified'],
  ]
  let present = worst
  for (const [repaired, outcome] of steps) {
    present = { ...present, ...repaired }
    expect(outcomeOf(present, strict)).toBe(outcome)
  }
})

describe('look-alikes', () => {
  const twin: Rival = { ...bob, confidence: 0.85, minusLog10Fmr: 5.5, margin: 0.15, lookAlike: true }

  test('need a wider lead over each other', () => {
    expect(outcomeOf({ candidates: [ann, { ...twin, margin: 0.05, lookAlike: false }] })).toBe('identified')
    expect(outcomeOf({ candidates: [ann, { ...twin, minusLog10Fmr: 5 }] })).toBe('identified')
    expect(decide(evidence({ candidates: [ann, twin] }), rules)).toEqual({
      outcome: 'ambiguous',
      rule: 'a look-alike is closer than the margin of 0.150',
      lookAlikes: ['ANN', 'BOB'],
    })
  })

  test.each(['ANN', 'BOB'])('are told apart by the employee code %s', (claimed) => {
    const decision = decide(evidence({ candidates: [ann, twin], claimed }), rules)
    expect(decision).toMatchObject({ outcome: 'identified', employeeId: claimed })
    expect(decision.rule).toMatch(/told from a look-alike by the employee code/)
  })

  test('are not told apart by the code of somebody else, of one below the threshold, or where a third is close', () => {
    expect(outcomeOf({ candidates: [ann, twin], claimed: 'CAT' })).toBe('ambiguous')
    const below = { ...twin, confidence: 0.64, minusLog10Fmr: 3.9, margin: 0.3 }
    expect(outcomeOf({ candidates: [ann, below], claimed: 'BOB' })).toBe('ambiguous')
    const third = { ...ann, employeeId: 'CAT', minusLog10Fmr: 6.4 }
    expect(outcomeOf({ candidates: [ann, third, twin], claimed: 'ANN' })).toBe('ambiguous')
  })

  test('an employee code recognises nobody', () => {
    expect(outcomeOf({ candidates: [bob], claimed: 'BOB' })).toBe('not_identified')
    expect(decide(evidence({ claimed: 'BOB' }), rules)).toMatchObject({ employeeId: 'ANN' })
  })
})

describe('presentation attack detection', () => {
  test('enforced, lets nothing pass but a bona fide face, whatever else is known', () => {
    fc.assert(
      fc.property(anyEvidence, anyRules, (anything, someRules) => {
        const { outcome } = decide(anything, { ...someRules, padPolicy: 'enforce' })
        if (anything.liveness !== 'bona_fide') expect(['identified', 'duplicate']).not.toContain(outcome)
      }),
      { numRuns: 1000 },
    )
  })

  test.each(['flag', 'off'] as const)('%s decides the same whatever the state', (padPolicy) => {
    fc.assert(
      fc.property(anyEvidence, anyRules, (anything, someRules) => {
        const given = decide(anything, { ...someRules, padPolicy })
        expect(given).toEqual(decide({ ...anything, liveness: 'bona_fide' }, { ...someRules, padPolicy }))
      }),
    )
  })
})

describe('the duplicate window', () => {
  test.each([
    ['IN', 'IN', 'duplicate'],
    ['OUT', 'OUT', 'duplicate'],
    ['IN', 'OUT', 'identified'],
    ['OUT', 'IN', 'identified'],
    ['IN', 'AUTO', 'duplicate'],
    ['OUT', 'AUTO', 'duplicate'],
  ] as const)('after an %s, an %s within it is: %s', (type, requested, outcome) => {
    expect(outcomeOf({ ...punchedAgo(1000, type), requested })).toBe(outcome)
  })

  test.each([
    [60_000, 'duplicate'],
    [60_001, 'identified'],
    [-60_000, 'duplicate'],
    [-60_001, 'identified'],
  ])('a punch %d ms ago makes the next one: %s', (ago, outcome) => {
    expect(outcomeOf(punchedAgo(ago))).toBe(outcome)
  })

  test('reaches across midnight', () => {
    expect(outcomeOf({ ...punchedAgo(30_000, 'IN', false), requested: 'AUTO' })).toBe('duplicate')
  })

  test('of no length still joins two checks of the same moment', () => {
    expect(outcomeOf(punchedAgo(0), { duplicateWindowMs: 0 })).toBe('duplicate')
    expect(outcomeOf(punchedAgo(1), { duplicateWindowMs: 0 })).toBe('identified')
  })
})

describe('AUTO', () => {
  const hour = 3_600_000
  test.each([
    ['the first punch ever', {}, 'IN'],
    ['after an IN of the same day', punchedAgo(hour, 'IN'), 'OUT'],
    ['after an OUT of the same day', punchedAgo(hour, 'OUT'), 'IN'],
    ["after yesterday's open IN", punchedAgo(hour, 'IN', false), 'IN'],
    ["after yesterday's OUT", punchedAgo(hour, 'OUT', false), 'IN'],
  ] as const)('%s is an %s, and says why', (_what, last, type) => {
    const decision = decide(evidence({ ...last, requested: 'AUTO' }), rules)
    expect(decision).toMatchObject({ outcome: 'identified', type })
    expect(decision.rule).toContain('AUTO: ')
  })
})

test('the same evidence gives the same decision, and is left as it was', () => {
  fc.assert(
    fc.property(anyEvidence, anyRules, (anything, someRules) => {
      const frozen = deepFreeze(anything)
      const first = decide(frozen, deepFreeze(someRules))
      expect(decide(frozen, someRules)).toEqual(first)
      expect(decide(structuredClone(anything), structuredClone(someRules))).toEqual(first)
    }),
  )
})

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner)
  return Object.freeze(value)
}

const share = fc.double({ min: 0, max: 1, noNaN: true })
const anyCandidate = fc
  .record({
    employeeId: fc.constantFrom('ANN', 'BOB', 'CAT'),
    minusLog10Fmr: fc.double({ min: 0, max: 20, noNaN: true }),
    margin: fc.double({ min: 0, max: 0.2, noNaN: true }),
    lookAlike: fc.boolean(),
  })
  .map((one) => ({ ...one, confidence: Math.min(1, 0.25 + 0.1 * one.minusLog10Fmr) }))
const anyEvidence: fc.Arbitrary<Evidence> = fc.record({
  picture: fc.oneof(
    fc.constantFrom({ kind: 'no_face' as const }, { kind: 'several_faces' as const }),
    fc.record({ kind: fc.constant('face' as const), quality: share }),
  ),
  liveness: fc.constantFrom('bona_fide', 'attack', 'undecided', 'unavailable'),
  candidates: fc
    .uniqueArray(anyCandidate, { maxLength: 3, selector: ({ employeeId }) => employeeId })
    .map((all) => all.sort((one, other) => other.minusLog10Fmr - one.minusLog10Fmr)),
  lastPunch: fc.option(
    fc.record({
      id: fc.nat(),
      type: fc.constantFrom('IN', 'OUT'),
      at: fc.integer({ min: -120_000, max: 120_000 }).map((away) => new Date(now.getTime() + away)),
      sameDay: fc.boolean(),
    }),
    { nil: undefined },
  ),
  dissent: fc.boolean(),
  claimed: fc.option(fc.constantFrom('ANN', 'BOB', 'CAT'), { nil: undefined }),
  candidateIsActive: fc.boolean(),
  requested: fc.constantFrom('IN', 'OUT', 'AUTO'),
  now: fc.constant(now),
})
const anyRules: fc.Arbitrary<Rules> = fc.record({
  threshold: share,
  minQuality: share,
  padPolicy: fc.constantFrom('off', 'flag', 'enforce'),
  duplicateWindowMs: fc.nat({ max: 120_000 }),
})
