import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GalleryMatrix } from '../../src/face/search.ts'

/** What the matrix must agree with: people and vectors in a Map, searched with a plain loop. */
type Model = Map<string, Float32Array[]>

function plainSearch(model: Model, query: Float32Array, k: number) {
  return [...model]
    .map(([key, vectors]) => {
      const scores = vectors.map((vector) => dot(vector, query))
      const score = Math.max(...scores)
      return { key, score, templateIndex: scores.indexOf(score) }
    })
    .sort((a, b) => b.score - a.score || (a.key < b.key ? -1 : 1))
    .slice(0, k)
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0)

/** A pseudo-random vector of length 1; the same seed gives the same vector. */
function unitVector(dimension: number, seed: number): Float32Array {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0
  const vector = Float32Array.from({ length: dimension }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x6d2b79f5) >>> 0
    return (state >>> 8) / 2 ** 24 - 0.5
  })
  const length = Math.sqrt(dot(vector, vector))
  return vector.map((value) => value / length)
}

/** Short vectors of small whole numbers: scores are exact, so ties are real and the order can be compared. */
const wholeVector = (dimension: number) =>
  fc
    .array(fc.integer({ min: -2, max: 2 }), { minLength: dimension, maxLength: dimension })
    .map((values) => Float32Array.from(values))

const key = fc.constantFrom('an', 'binh', 'chi', 'dung', 'em', 'giang', 'hoa', 'A', 'é')

const operations = <T>(vector: fc.Arbitrary<T>) =>
  fc.array(fc.tuple(key, fc.array(vector, { maxLength: 7 })), { maxLength: 30 })

/** Applies operations to a new matrix with very small segments, and to the model. */
function apply(dimension: number, sets: [string, Float32Array[]][]) {
  const gallery = new GalleryMatrix(dimension, 4)
  const model: Model = new Map()
  for (const [person, vectors] of sets) {
    gallery.set(person, vectors)
    if (vectors.length > 0) model.set(person, vectors)
    else model.delete(person)
  }
  return { gallery, model }
}

/** Everything that can be asked but a search: the matrix holds exactly what the model holds. */
function expectSameContent(gallery: GalleryMatrix, model: Model) {
  expect(gallery.people).toBe(model.size)
  expect(gallery.rows).toBe([...model.values()].flat().length)
  for (const [person, vectors] of model) expect(gallery.vectorsOf(person)).toEqual(vectors)
  const owners = Array.from({ length: gallery.rows }, (_, row) => gallery.ownerOf(row)).sort()
  expect(owners).toEqual([...model].flatMap(([person, vectors]) => vectors.map(() => person)).sort())
}

/** Every row's score is that of one of its owner's vectors, each of them once. */
function expectScores(gallery: GalleryMatrix, model: Model, query: Float32Array) {
  const scored = [...gallery.scores(query)].map((score, row) => `${gallery.ownerOf(row)} ${score}`)
  const expected = [...model].flatMap(([key, vectors]) =>
    vectors.map((vector) => `${key} ${dot(vector, query)}`),
  )
  expect(scored.sort()).toEqual(expected.sort())
}

describe('a search', () => {
  test.each([1, 3, 16, 100])(
    'after any changes agrees exactly with a plain loop, ties too, at dimension %i',
    (d) => {
      fc.assert(
        fc.property(
          operations(wholeVector(d)),
          wholeVector(d),
          fc.integer({ min: 1, max: 12 }),
          (sets, query, k) => {
            const { gallery, model } = apply(d, sets)
            expectSameContent(gallery, model)
            expect(gallery.search(query, k)).toEqual(plainSearch(model, query, k))
            expectScores(gallery, model, query)
          },
        ),
        { numRuns: 150 },
      )
    },
  )

  test.each([1, 3, 16, 100, 128, 1152])(
    'of unit vectors has the plain scores within 1e-5 at dimension %i',
    (d) => {
      const seed = fc.integer({ min: 0, max: 1e6 }).map((value) => unitVector(d, value))
      fc.assert(
        fc.property(operations(seed), seed, fc.integer({ min: 1, max: 12 }), (sets, query, k) => {
          const { gallery, model } = apply(d, sets)
          const found = gallery.search(query, k)
          const expected = plainSearch(model, query, k)
          expect(found.length).toBe(expected.length)
          const scoreOf = new Map(
            plainSearch(model, query, model.size).map((match) => [match.key, match.score]),
          )
          found.forEach((match, i) => {
            expect(Math.abs(match.score - expected[i].score)).toBeLessThan(1e-5)
            expect(Math.abs(match.score - scoreOf.get(match.key)!)).toBeLessThan(1e-5)
          })
          // Where the plain scores are further apart than the tolerance, the order of the people is the same.
          const apart = expected.every((match, i) => i === 0 || expected[i - 1].score - match.score > 2e-5)
          const cut = plainSearch(model, query, k + 1)
          const cleanCut = cut.length <= k || cut[k - 1].score - cut[k].score > 2e-5
          if (apart && cleanCut)
            expect(found.map((match) => match.key)).toEqual(expected.map((match) => match.key))
        }),
        { numRuns: 60 },
      )
    },
  )

  test('of thousands of rows over several segments finds the same people as a plain loop', () => {
    const gallery = new GalleryMatrix(128, 700)
    const model: Model = new Map()
    for (let i = 0; i < 2_500; i++) {
      const vectors = [unitVector(128, 2 * i), unitVector(128, 2 * i + 1)].slice(i % 2)
      gallery.set(`person ${i}`, vectors)
      model.set(`person ${i}`, vectors)
    }
    expect(gallery.segments.length).toBe(6)
    for (const k of [1, 2, 10, 2_500]) {
      const query = unitVector(128, 1e6 + k)
      const found = gallery.search(query, k).map((match) => match.score)
      const expected = plainSearch(model, query, k).map((match) => match.score)
      expect(found.length).toBe(expected.length)
      expect(Math.max(...found.map((score, i) => Math.abs(score - expected[i])))).toBeLessThan(1e-5)
    }
  })

  test('puts equal scores in the order of the keys, whatever the order and the number of the rows', () => {
    const same = unitVector(1152, 7)
    const keys = Array.from({ length: 301 }, (_, i) => `employee ${(i * 97) % 301}`)
    const gallery = new GalleryMatrix(1152, 64)
    for (const person of keys) gallery.set(person, [same, same])
    gallery.remove(keys[0])
    const expected = keys.slice(1).sort().slice(0, 5)
    const found = gallery.search(same, 5)
    expect(found.map((match) => match.key)).toEqual(expected)
    expect(found.map((match) => match.templateIndex)).toEqual([0, 0, 0, 0, 0])
  })

  test('never lets one person with many near rows push the others out', () => {
    const gallery = new GalleryMatrix(3)
    gallery.set(
      'many',
      Array.from({ length: 500 }, () => Float32Array.of(1, 0, 0)),
    )
    gallery.set('far', [Float32Array.of(-1, 0, 0)])
    expect(gallery.search(Float32Array.of(1, 0, 0), 2).map((match) => match.key)).toEqual(['many', 'far'])
  })

  test('of an empty gallery finds nobody', () => {
    const gallery = new GalleryMatrix(3)
    expect(gallery.search(Float32Array.of(1, 0, 0), 5)).toEqual([])
    expect(gallery.scores(Float32Array.of(1, 0, 0))).toEqual(new Float32Array(0))
    gallery.set('an', [Float32Array.of(1, 0, 0)])
    gallery.remove('an')
    expect(gallery.search(Float32Array.of(1, 0, 0), 5)).toEqual([])
  })

  test('for more people than there are returns them all', () => {
    const { gallery } = apply(1, [
      ['an', [Float32Array.of(0.5)]],
      ['binh', [Float32Array.of(1)]],
    ])
    expect(gallery.search(Float32Array.of(1), 1e9)).toEqual([
      { key: 'binh', score: 1, templateIndex: 0 },
      { key: 'an', score: 0.5, templateIndex: 0 },
    ])
  })

  test('leaves the query as it was', () => {
    const gallery = new GalleryMatrix(100)
    gallery.set('an', [unitVector(100, 1)])
    const query = unitVector(100, 2)
    gallery.search(query, 1)
    expect(query).toEqual(unitVector(100, 2))
  })
})

describe('a person', () => {
  test('who is removed is never found again, and the freed rows hold no template', () => {
    const oneOf = <T>(values: T[]) => fc.constantFrom(...values)
    fc.assert(
      fc.property(operations(wholeVector(3)), oneOf(['an', 'binh', 'chi']), (sets, gone) => {
        const { gallery, model } = apply(3, sets)
        expect(gallery.remove(gone)).toBe(model.delete(gone))
        expect(gallery.has(gone)).toBe(false)
        expect(gallery.vectorsOf(gone)).toEqual([])
        expectSameContent(gallery, model)
        const found = gallery.search(Float32Array.of(1, 1, 1), 100)
        expect(found.map((match) => match.key).sort()).toEqual([...model.keys()].sort())
      }),
    )
  })

  test('is erased from memory when removed', () => {
    const gallery = new GalleryMatrix(16, 8)
    for (const person of ['an', 'binh', 'chi']) gallery.set(person, [unitVector(16, person.length)])
    for (const person of ['an', 'binh', 'chi']) gallery.remove(person)
    expect(gallery.segments[0].read(0)).toEqual(new Float32Array(16))
    expect(gallery.segments[0].read(1)).toEqual(new Float32Array(16))
    expect(gallery.segments[0].read(2)).toEqual(new Float32Array(16))
  })

  test('can be replaced with more and with fewer vectors', () => {
    const gallery = new GalleryMatrix(3, 4)
    const [a, b, c, d, e] = [1, 2, 3, 4, 5].map((seed) => unitVector(3, seed))
    gallery.set('an', [a])
    gallery.set('binh', [b])
    gallery.set('an', [c, d, e, a, b, c])
    expect(gallery.vectorsOf('an')).toEqual([c, d, e, a, b, c])
    gallery.set('an', [e])
    expect(gallery.vectorsOf('an')).toEqual([e])
    expect(gallery.vectorsOf('binh')).toEqual([b])
    expect([gallery.rows, gallery.people]).toEqual([2, 2])
  })

  test('keeps copies: what the caller does to its vectors afterwards does not matter', () => {
    const gallery = new GalleryMatrix(3)
    const vector = Float32Array.of(1, 2, 3)
    gallery.set('an', [vector])
    vector.fill(9)
    gallery.vectorsOf('an')[0].fill(8)
    expect(gallery.vectorsOf('an')).toEqual([Float32Array.of(1, 2, 3)])
  })

  test('keeps their templates when the matrix grows', () => {
    const gallery = new GalleryMatrix(100, 1_000)
    for (let i = 0; i < 1_500; i++) gallery.set(`${i}`, [unitVector(100, i)])
    for (let i = 0; i < 1_500; i++) expect(gallery.vectorsOf(`${i}`)).toEqual([unitVector(100, i)])
  })
})

describe('what makes no sense is a RangeError, and changes nothing', () => {
  const gallery = new GalleryMatrix(3)
  gallery.set('an', [Float32Array.of(1, 0, 0)])

  test.each([
    ['too short', Float32Array.of(1, 0)],
    ['too long', Float32Array.of(1, 0, 0, 0)],
    ['NaN', Float32Array.of(1, Number.NaN, 0)],
    ['infinite', Float32Array.of(1, 0, Number.NEGATIVE_INFINITY)],
    ['so large that a score would be infinite', Float32Array.of(3e38, 3e38, 0)],
  ])('a vector that is %s', (_, vector) => {
    expect(() => gallery.set('an', [Float32Array.of(0, 1, 0), vector])).toThrow(RangeError)
    expect(() => gallery.set('binh', [vector])).toThrow(RangeError)
    expect(() => gallery.search(vector, 1)).toThrow(RangeError)
    expect(() => gallery.scores(vector)).toThrow(RangeError)
    expect(gallery.vectorsOf('an')).toEqual([Float32Array.of(1, 0, 0)])
    expect(gallery.has('binh')).toBe(false)
  })

  test.each([0, -1, 1.5, Number.NaN])('k = %d', (k) => {
    expect(() => gallery.search(Float32Array.of(1, 0, 0), k)).toThrow(RangeError)
  })

  test.each([-1, 1, 0.5])('the owner of row %d', (row) => {
    expect(() => gallery.ownerOf(row)).toThrow(RangeError)
  })

  test.each([0, 1.5, 65_537])('a gallery of dimension %d', (dimension) => {
    expect(() => new GalleryMatrix(dimension)).toThrow(RangeError)
  })

  test('a segment of no rows', () => {
    expect(() => new GalleryMatrix(3, 0)).toThrow(RangeError)
  })
})
