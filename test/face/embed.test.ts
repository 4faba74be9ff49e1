import { describe, expect, test } from 'vitest'
import {
  averageVectors,
  centredLength,
  centringMean,
  type EmbedderSpec,
  fuse,
  unit,
} from '../../src/face/embed.ts'

const spec = (dimension: number, weight: number, centred: boolean): EmbedderSpec => ({
  network: { file: 'none', format: 'onnx' },
  sidePx: 8,
  normalization: { order: 'RGB', mean: [0, 0, 0], deviation: 1 },
  place: (point) => point,
  dimension,
  squareRoot: false,
  centred,
  weight,
})

/** Two components that are centred, then three that are not; one part in five and four in five of the score. */
const specs = [spec(2, 1, true), spec(3, 4, false)]

const dot = (one: Float32Array, other: Float32Array) =>
  one.reduce((sum, value, i) => sum + value * other[i], 0)
const floats = (...values: number[]) => Float32Array.from(values)

function expectClose(actual: Float32Array, expected: number[]) {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(actual[i], `component ${i}`).toBeCloseTo(value, 6)
}

describe('a unit vector', () => {
  test('has the direction of the vector and length 1', () => {
    expectClose(unit(floats(3, 0, -4)), [0.6, 0, -0.8])
  })

  test('is a new vector', () => {
    const vector = floats(3, 4)
    unit(vector)
    expect(vector).toEqual(floats(3, 4))
  })

  test.each([
    ['zeros', floats(0, 0)],
    ['nothing', floats()],
    ['something that is not a number', floats(1, Number.NaN)],
  ])('of %s is refused', (_, vector) => {
    expect(() => unit(vector)).toThrow(RangeError)
  })
})

describe('the fused vector', () => {
  const none = floats(0, 0)

  test('scales each part to the root of its share', () => {
    // Roots of 1/5 and 4/5: 0.4472 and 0.8944.
    expectClose(fuse(specs, floats(0.6, 0.8, 0, 0, 1), none), [0.268328, 0.357771, 0, 0, 0.894427])
  })

  test("has the weighted mean of the networks' cosines as its dot product", () => {
    const one = fuse(specs, floats(1, 0, 1, 0, 0), none)
    const other = fuse(specs, floats(0.6, 0.8, 0, 1, 0), none)
    // (1 x 0.6 + 4 x 0) / 5
    expect(dot(one, other)).toBeCloseTo(0.12, 6)
    expect(dot(one, one)).toBeCloseTo(1, 6)
  })

  test('subtracts the mean from the centred part only, and scales that part to 1 again', () => {
    // (0.6, 0.8) - (0.6, 0.3) = (0, 0.5), of direction (0, 1).
    expectClose(fuse(specs, floats(0.6, 0.8, 1, 0, 0), floats(0.6, 0.3)), [0, 0.447214, 0.894427, 0, 0])
  })

  test('takes the mean of each centred part from its own place', () => {
    const three = [spec(2, 1, true), spec(1, 1, false), spec(2, 2, true)]
    const fused = fuse(three, floats(1, 0, 1, 0, 1), floats(0.5, 0, 0, -1))
    // (0.5, 0) -> (1, 0) x 0.5; 1 x 0.5; (0, 2) -> (0, 1) x 0.7071
    expectClose(fused, [0.5, 0, 0.5, 0, Math.SQRT1_2])
  })

  test('of a face that is the mean itself is refused: it has no direction', () => {
    expect(() => fuse(specs, floats(0.6, 0.8, 1, 0, 0), floats(0.6, 0.8))).toThrow(RangeError)
  })

  test.each([4, 6])('of a vector of %i values instead of 5 is refused', (length) => {
    expect(() => fuse(specs, new Float32Array(length).fill(0.5), none)).toThrow(/instead of 5/)
  })

  test('with a mean that is too short is refused', () => {
    expect(() => fuse(specs, floats(0.6, 0.8, 1, 0, 0), floats(0.1))).toThrow(RangeError)
  })
})

describe('the average of several vectors of a person', () => {
  test('is that of each part, scaled to 1', () => {
    const half = Math.SQRT1_2
    const average = averageVectors(specs, [floats(1, 0, 1, 0, 0), floats(0, 1, 0, 0, 1)])
    expectClose(average, [half, half, half, 0, half])
  })

  test('weighs the vectors alike', () => {
    const average = averageVectors(specs, [
      floats(1, 0, 1, 0, 0),
      floats(1, 0, 1, 0, 0),
      floats(0, 1, 1, 0, 0),
    ])
    // (2, 1) / sqrt(5)
    expectClose(average, [0.894427, 0.447214, 1, 0, 0])
  })

  test('of one is that one', () => {
    expect(averageVectors(specs, [floats(0.6, 0.8, 0, 0, 1)])).toEqual(floats(0.6, 0.8, 0, 0, 1))
  })

  test('of opposite ones is refused', () => {
    expect(() => averageVectors(specs, [floats(1, 0, 1, 0, 0), floats(-1, 0, 1, 0, 0)])).toThrow(RangeError)
  })
})

describe('the centring mean', () => {
  test('is the mean of the centred parts', () => {
    expectClose(centringMean(specs, [floats(1, 0, 9, 9, 9), floats(0, 0.5, 9, 9, 9)]), [0.5, 0.25])
  })

  test('puts the centred parts one after the other', () => {
    const three = [spec(1, 1, true), spec(2, 1, false), spec(2, 1, true)]
    expect(centredLength(three)).toBe(3)
    expectClose(centringMean(three, [floats(1, 7, 7, 2, 3)]), [1, 2, 3])
  })

  test('of a great many vectors loses nothing to rounding', () => {
    const vectors = Array.from({ length: 30_000 }, () => floats(0.1, 0.3, 0, 0, 1))
    const [first, second] = centringMean(specs, vectors)
    expect([first, second]).toEqual([Math.fround(0.1), Math.fround(0.3)])
  })

  test('of nobody is refused', () => {
    expect(() => centringMean(specs, [])).toThrow(RangeError)
  })
})
