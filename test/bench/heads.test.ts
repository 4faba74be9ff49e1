import { describe, expect, test } from 'vitest'
import { convexHull, triangulate } from '../../bench/heads/delaunay.ts'
import { sheet } from '../../bench/heads/presentation.ts'
import { agreement, rateOf } from '../../bench/heads/rates.ts'
import { type Camera, render } from '../../bench/heads/render.ts'

const camera: Camera = { widthPx: 41, heightPx: 41, focalPx: 100 }
const plain = (width: number, height: number, value: number) => ({
  data: new Uint8Array(3 * width * height).fill(value),
  width,
  height,
})
const straight = { yaw: 0, pitch: 0, roll: 0, x: 0, y: 0, distance: 1000 }
const background = plain(41, 41, 0)

/** The columns and rows that are not background: first and last of each. */
function extent({ data, width }: { data: Uint8Array; width: number }) {
  const columns: number[] = []
  const rows: number[] = []
  for (let at = 0; at < data.length; at += 3)
    if (data[at] > 0) {
      columns.push((at / 3) % width)
      rows.push(Math.floor(at / 3 / width))
    }
  return [Math.min(...columns), Math.max(...columns), Math.min(...rows), Math.max(...rows)]
}

describe('triangles', () => {
  test('of a square and its middle are four', () => {
    const triangles = triangulate(Float64Array.from([0, 0, 2, 0, 2, 2, 0, 2, 1.01, 1]))
    expect(triangles).toHaveLength(12)
    for (let at = 0; at < 12; at += 3) expect([...triangles.subarray(at, at + 3)]).toContain(4)
  })

  test('have no other point in their circles', () => {
    const points = Float64Array.from({ length: 60 }, (_, i) => Math.sin(i * 12.9898) * 50)
    const triangles = triangulate(points)
    for (let at = 0; at < triangles.length; at += 3) {
      const [a, b, c] = [...triangles.subarray(at, at + 3)].map((i) => [points[2 * i], points[2 * i + 1]])
      const inside = ([x, y]: number[]) => {
        const rows = [a, b, c].map(([px, py]) => [px - x, py - y, (px - x) ** 2 + (py - y) ** 2])
        const [[d, e, f], [g, h, i], [j, k, l]] = rows
        const determinant = d * (h * l - i * k) - e * (g * l - i * j) + f * (g * k - h * j)
        const turn = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        return determinant * Math.sign(turn) > 1e-3
      }
      for (let point = 0; point < points.length; point += 2)
        expect(inside([points[point], points[point + 1]])).toBe(false)
    }
  })

  test('have as their outline the corners of the hull', () => {
    expect(convexHull(Float64Array.from([0, 0, 4, 0, 2, 1, 4, 4, 0, 4])).sort()).toEqual([0, 1, 3, 4])
  })
})

describe('a sheet before the camera', () => {
  // 200 mm at 1 m through a lens of 100 pixels are 20 pixels, from 10.5 to 30.5 of 41.
  const paper = sheet(plain(50, 50, 200), 200)

  test('is as large as a pinhole makes it', () => {
    expect(extent(render([{ surface: paper, placement: straight }], background, camera))).toEqual([
      11, 30, 11, 30,
    ])
  })

  test('gets narrower by the cosine of a turn, and its nearer side higher', () => {
    const turned = { ...straight, yaw: 60, distance: 100_000 }
    const far = { ...camera, focalPx: 10_000 }
    const [left, right, top, bottom] = extent(
      render([{ surface: paper, placement: turned }], background, far),
    )
    // 20 pixels high and 10 wide.
    expect([left, right, top, bottom]).toEqual([16, 25, 11, 30])
  })

  test('hides what is behind it, in whatever order they are drawn', () => {
    const behind = { surface: sheet(plain(50, 50, 90), 400), placement: { ...straight, distance: 1500 } }
    const before = { surface: paper, placement: straight }
    for (const scene of [
      [behind, before],
      [before, behind],
    ]) {
      const { data } = render(scene, background, camera)
      expect(data[3 * (20 * 41 + 20)]).toBe(200)
      expect(data[3 * (20 * 41 + 9)]).toBe(90)
    }
  })

  test('that is bent to a half cylinder is narrower by 2 / pi', () => {
    const bent = sheet(plain(50, 50, 200), 200, { axis: 'upright', radiusMm: 200 / Math.PI })
    const { positions } = bent
    const across = Array.from({ length: positions.length / 3 }, (_, corner) => positions[3 * corner])
    expect(Math.max(...across)).toBeCloseTo(200 / Math.PI, 3)
  })
})

describe('a rate', () => {
  // Wilson's intervals of Brown, Cai & DasGupta's formula, worked by hand: z = 1.96, z squared = 3.8415.
  test('of none of 20 goes up to 3.84 / 23.84', () => {
    expect(rateOf(0, 20).interval[0]).toBe(0)
    expect(rateOf(0, 20).interval[1]).toBeCloseTo(3.8415 / 23.8415, 4)
  })

  test('of one half lies in the middle of its interval', () => {
    const [low, high] = rateOf(10, 20).interval
    expect(low + high).toBeCloseTo(1, 9)
    expect(low).toBeCloseTo(0.2993, 3)
  })

  test('of nothing is unknown', () => {
    expect(rateOf(0, 0).interval).toEqual([0, 1])
  })
})

test('angles that are seen at half their size agree but for the slope', () => {
  const { correlation, slope, meanError } = agreement([
    [-10, -5],
    [0, 0],
    [10, 5],
  ])
  expect(correlation).toBeCloseTo(1, 9)
  expect(slope).toBeCloseTo(0.5, 9)
  expect(meanError).toBeCloseTo(10 / 3, 9)
})
