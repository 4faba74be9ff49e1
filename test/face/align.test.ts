import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  applyTo,
  arcFaceTemplate,
  fitSimilarity,
  invert,
  mirror,
  type Normalization,
  type Point,
  type Similarity,
  warp,
} from '../../src/face/align.ts'
import type { Picture } from '../../src/face/decode.ts'

const similarity = fc
  .record({
    scale: fc.double({ min: 0.05, max: 20, noNaN: true }),
    angle: fc.double({ min: -Math.PI, max: Math.PI, noNaN: true }),
    tx: fc.double({ min: -2000, max: 2000, noNaN: true }),
    ty: fc.double({ min: -2000, max: 2000, noNaN: true }),
  })
  .map(
    ({ scale, angle, tx, ty }): Similarity => ({
      a: scale * Math.cos(angle),
      b: scale * Math.sin(angle),
      tx,
      ty,
    }),
  )

const identity: Similarity = { a: 1, b: 0, tx: 0, ty: 0 }

describe('fitting a similarity', () => {
  test('recovers the one that the points were moved by', () => {
    fc.assert(
      fc.property(similarity, (map) => {
        const fitted = fitSimilarity(
          arcFaceTemplate,
          arcFaceTemplate.map((point) => applyTo(map, point)),
        )
        for (const key of ['a', 'b', 'tx', 'ty'] as const) expect(fitted[key]).toBeCloseTo(map[key], 6)
      }),
    )
  })

  test('finds a quarter turn, doubled and shifted', () => {
    const from: Point[] = [
      [0, 0],
      [1, 0],
      [0, 1],
    ]
    // Doubled and turned from the x axis to the y axis: (x, y) -> (5 - 2y, 7 + 2x).
    const to: Point[] = [
      [5, 7],
      [5, 9],
      [3, 7],
    ]
    const { a, b, tx, ty } = fitSimilarity(from, to)
    expect([a, b, tx, ty].map((value) => Math.round(value * 1e9) / 1e9 + 0)).toEqual([0, 2, 5, 7])
  })

  test('comes closest in the least-squares sense where no similarity fits', () => {
    // A square stretched to twice its width: the best scale is 1.5, about the same centre.
    const square: Point[] = [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ]
    const fitted = fitSimilarity(
      square,
      square.map(([x, y]) => [2 * x, y]),
    )
    expect(fitted).toEqual({ a: 1.5, b: 0, tx: 0, ty: 0 })
  })

  test('never mirrors', () => {
    const mirrored = arcFaceTemplate.map(([x, y]): Point => [-x, y])
    const { a, b } = fitSimilarity(arcFaceTemplate, mirrored)
    // A mirror image is a bad match, so the best similarity shrinks it.
    expect(Math.hypot(a, b)).toBeLessThan(0.9)
  })
})

test('inverting a similarity undoes it', () => {
  const point = fc.tuple(
    fc.double({ min: -500, max: 500, noNaN: true }),
    fc.double({ min: -500, max: 500, noNaN: true }),
  )
  fc.assert(
    fc.property(similarity, point, (map, [x, y]) => {
      const [backX, backY] = applyTo(invert(map), applyTo(map, [x, y]))
      expect(backX).toBeCloseTo(x, 6)
      expect(backY).toBeCloseTo(y, 6)
    }),
  )
})

describe('warping', () => {
  const plain: Normalization = { order: 'RGB', mean: [0, 0, 0], deviation: 1 }

  /** A picture whose red is `value(x, y)`, green 1 more and blue 2 more. */
  function pictureOf(width: number, height: number, value: (x: number, y: number) => number): Picture {
    const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3)
      return value(pixel % width, Math.floor(pixel / width)) + (i % 3)
    })
    return { data, width, height }
  }

  function warped(
    picture: Picture,
    toPicture: Similarity,
    size: number,
    normalization = plain,
  ): Float32Array {
    const out = new Float32Array(3 * size * size)
    warp(picture, toPicture, size, normalization, out)
    return out
  }

  /** By the definition: halved to the nearest resolution, then each pixel the mean of its four neighbours by nearness. */
  function plainWarp(picture: Picture, map: Similarity, size: number): number[] {
    const scale = Math.hypot(map.a, map.b)
    if (scale > Math.SQRT2)
      return plainWarp(
        halved(picture),
        { a: map.a / 2, b: map.b / 2, tx: (map.tx - 0.5) / 2, ty: (map.ty - 0.5) / 2 },
        size,
      )
    const { data, width, height } = picture
    const at = (x: number, y: number, colour: number) =>
      x < 0 || y < 0 || x >= width || y >= height ? 0 : data[(y * width + x) * 3 + colour]
    return Array.from({ length: 3 * size * size }, (_, i) => {
      const [colour, row, column] = [Math.floor(i / size ** 2), Math.floor((i % size ** 2) / size), i % size]
      const [x, y] = applyTo(map, [column, row])
      const [left, top] = [Math.floor(x), Math.floor(y)]
      const upper = (1 - (x - left)) * at(left, top, colour) + (x - left) * at(left + 1, top, colour)
      const lower = (1 - (x - left)) * at(left, top + 1, colour) + (x - left) * at(left + 1, top + 1, colour)
      return (1 - (y - top)) * upper + (y - top) * lower
    })
  }

  function halved({ data, width, height }: Picture): Picture {
    const [halfWidth, halfHeight] = [Math.floor(width / 2), Math.floor(height / 2)]
    const half = Uint8Array.from({ length: halfWidth * halfHeight * 3 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % halfWidth, Math.floor(i / 3 / halfWidth)]
      const from = (2 * y * width + 2 * x) * 3 + (i % 3)
      const below = from + width * 3
      return Math.floor((data[from] + data[from + 3] + data[below] + data[below + 3] + 2) / 4)
    })
    return { data: half, width: halfWidth, height: halfHeight }
  }

  const ramp = pictureOf(4, 4, (x, y) => 10 * x + 50 * y)

  test('by the identity reproduces the pixels, one plane per colour', () => {
    const out = warped(ramp, identity, 4)
    for (let plane = 0; plane < 3; plane++)
      for (let i = 0; i < 16; i++) expect(out[plane * 16 + i]).toBe(ramp.data[i * 3 + plane])
  })

  test('by half a pixel gives the means of neighbours', () => {
    const out = warped(ramp, { ...identity, tx: 0.5, ty: 0.5 }, 3)
    // The mean of (x, y), (x+1, y), (x, y+1), (x+1, y+1) is 30 more than (x, y).
    expect(Array.from(out.subarray(0, 9))).toEqual([30, 40, 50, 80, 90, 100, 130, 140, 150])
  })

  test('fades to black within a pixel of the edge', () => {
    const white = pictureOf(2, 2, () => 200)
    const red = warped(white, { ...identity, tx: -0.5 }, 3).subarray(0, 9)
    expect(Array.from(red)).toEqual([100, 200, 100, 100, 200, 100, 0, 0, 0])
  })

  test('is black outside the picture', () => {
    const elsewhere = [-10, 10].flatMap((far) => [
      { ...identity, tx: far },
      { ...identity, ty: far },
    ])
    for (const map of elsewhere) expect(warped(ramp, map, 4).every((value) => value === 0)).toBe(true)
  })

  test('turns by a quarter', () => {
    // Crop (column, row) is picture (3 - row, column).
    const out = warped(ramp, { a: 0, b: 1, tx: 3, ty: 0 }, 4)
    for (let row = 0; row < 4; row++)
      for (let column = 0; column < 4; column++)
        expect(out[row * 4 + column]).toBe(10 * (3 - row) + 50 * column)
  })

  test.each([2, 4, 8])('to a %i times coarser crop averages: a checkerboard becomes gray', (scale) => {
    const board = pictureOf(64, 64, (x, y) => ((x + y) % 2 === 0 ? 0 : 200))
    const size = 64 / scale - 1
    // The crop's pixel centres lie on pixel centres of one colour: a single sample would see nothing but black.
    const out = warped(board, { a: scale, b: 0, tx: scale / 2, ty: scale / 2 }, size)
    for (const value of out.subarray(0, size * size)) expect(value).toBeCloseTo(100, 3)
  })

  test('takes the mean of its colour from each plane and divides by the deviation', () => {
    const one = pictureOf(1, 1, () => 100)
    const out = warped(one, identity, 1, { order: 'RGB', mean: [90, 80, 70], deviation: 2 })
    // (100 - 90) / 2, (101 - 80) / 2, (102 - 70) / 2
    expect(Array.from(out)).toEqual([5, 10.5, 16])
  })

  test('in BGR order swaps the planes, and each mean stays with its colour', () => {
    const one = pictureOf(1, 1, () => 100)
    const out = warped(one, identity, 1, { order: 'BGR', mean: [90, 80, 70], deviation: 2 })
    expect(Array.from(out)).toEqual([16, 10.5, 5])
  })

  test('makes the outside black before it is normalised', () => {
    const out = warped(ramp, { ...identity, tx: 100 }, 1, { order: 'RGB', mean: [50, 60, 70], deviation: 10 })
    expect(Array.from(out)).toEqual([-5, -6, -7])
  })

  test('writes at its offset and nowhere else', () => {
    const out = new Float32Array(7).fill(-1)
    warp(ramp, identity, 1, plain, out, 2)
    expect(Array.from(out)).toEqual([-1, -1, 0, 1, 2, -1, -1])
  })

  test('agrees with a plain loop, at the edges and beyond, finer and coarser', () => {
    const noise = pictureOf(37, 23, (x, y) => (x * 7919 + y * 104729) % 254)
    const near = fc
      .record({
        scale: fc.double({ min: 0.2, max: 6, noNaN: true }),
        angle: fc.double({ min: -Math.PI, max: Math.PI, noNaN: true }),
        tx: fc.double({ min: -20, max: 40, noNaN: true }),
        ty: fc.double({ min: -20, max: 30, noNaN: true }),
      })
      .map(({ scale, angle, tx, ty }) => ({
        ...{ a: scale * Math.cos(angle), b: scale * Math.sin(angle) },
        ...{ tx, ty },
      }))
    fc.assert(
      fc.property(near, (map) => {
        const out = warped(noise, map, 12)
        const expected = plainWarp(noise, map, 12)
        for (let i = 0; i < out.length; i++) expect(Math.abs(out[i] - expected[i])).toBeLessThan(0.05)
      }),
    )
  })

  test('sees another picture after the first', () => {
    const [black, white] = [0, 200].map((value) => pictureOf(5, 5, () => value))
    for (const picture of [black, white, black])
      expect(warped(picture, identity, 5)[12]).toBe(picture.data[12 * 3])
  })

  test('takes a picture of one pixel', () => {
    const one = pictureOf(1, 1, () => 80)
    expect(Array.from(warped(one, { ...identity, tx: 0.25 }, 1))).toEqual([60, 60.75, 61.5])
  })
})

describe('the mirror image', () => {
  test('reverses each row of each plane', () => {
    const crops = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, ...new Array(12).fill(0))
    mirror(crops, 2, 0, 12)
    expect(Array.from(crops.subarray(12))).toEqual([2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11])
  })

  test('of the mirror image is the original', () => {
    const size = 5
    const length = 3 * size * size
    const values = fc.float32Array({ minLength: length, maxLength: length, noNaN: true })
    fc.assert(
      fc.property(values, (crop) => {
        const crops = new Float32Array(3 * length)
        crops.set(crop)
        mirror(crops, size, 0, length)
        mirror(crops, size, length, 2 * length)
        expect(crops.slice(2 * length)).toEqual(crop)
      }),
    )
  })
})
