/**
 * The Delaunay triangles of points in the plane, as indices, three by three (Bowyer 1981, Watson 1981). `points` holds
 * x and y in turn; no two points may coincide.
 */
export function triangulate(points: Float64Array): Uint16Array {
  const n = points.length / 2
  // Three more points, far outside, whose triangle holds all others.
  const far = 1e3 * points.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
  const all = new Float64Array([...points, -far, -far, far, -far, 0, far])
  let triangles: Triangle[] = [circled(all, n, n + 1, n + 2)]
  for (let index = 0; index < n; index++) {
    const [x, y] = [all[2 * index], all[2 * index + 1]]
    const kept: Triangle[] = []
    const edges = new Map<number, [number, number]>()
    for (const triangle of triangles) {
      if ((x - triangle.x) ** 2 + (y - triangle.y) ** 2 >= triangle.square) {
        kept.push(triangle)
        continue
      }
      const { a, b, c } = triangle
      for (const [from, to] of [
        [a, b],
        [b, c],
        [c, a],
      ]) {
        const key = Math.min(from, to) * 65_536 + Math.max(from, to)
        // An edge between two triangles that go is no edge of the hole.
        if (!edges.delete(key)) edges.set(key, [from, to])
      }
    }
    for (const [from, to] of edges.values()) kept.push(circled(all, from, to, index))
    triangles = kept
  }
  return Uint16Array.from(
    triangles.filter(({ a, b, c }) => a < n && b < n && c < n).flatMap(({ a, b, c }) => [a, b, c]),
  )
}

/** A triangle with its circumcircle: the centre and the square of the radius. */
interface Triangle {
  a: number
  b: number
  c: number
  x: number
  y: number
  square: number
}

function circled(points: Float64Array, a: number, b: number, c: number): Triangle {
  const [ax, ay] = [points[2 * a], points[2 * a + 1]]
  const [bx, by] = [points[2 * b] - ax, points[2 * b + 1] - ay]
  const [cx, cy] = [points[2 * c] - ax, points[2 * c + 1] - ay]
  const twice = 2 * (bx * cy - by * cx)
  const [b2, c2] = [bx * bx + by * by, cx * cx + cy * cy]
  const [ux, uy] = [(cy * b2 - by * c2) / twice, (bx * c2 - cx * b2) / twice]
  return { a, b, c, x: ax + ux, y: ay + uy, square: ux * ux + uy * uy }
}

/** The corners of the convex hull, as indices, in order (Andrew 1979). */
export function convexHull(points: Float64Array): number[] {
  const order = Array.from({ length: points.length / 2 }, (_, index) => index).sort(
    (one, other) => points[2 * one] - points[2 * other] || points[2 * one + 1] - points[2 * other + 1],
  )
  const turn = (a: number, b: number, c: number) =>
    (points[2 * b] - points[2 * a]) * (points[2 * c + 1] - points[2 * a + 1]) -
    (points[2 * b + 1] - points[2 * a + 1]) * (points[2 * c] - points[2 * a])
  const chain = (indices: number[]) => {
    const hull: number[] = []
    for (const index of indices) {
      while (hull.length > 1 && turn(hull.at(-2)!, hull.at(-1)!, index) <= 0) hull.pop()
      hull.push(index)
    }
    return hull.slice(0, -1)
  }
  return [...chain(order), ...chain(order.reverse())]
}
