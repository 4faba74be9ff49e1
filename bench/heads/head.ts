import type { Picture } from '../../src/face/decode.ts'
import { convexHull, triangulate } from './delaunay.ts'
import type { Surface } from './render.ts'

/** A head as a textured surface, with the eyes open and with a way to close them. */
export interface Head {
  surface: Surface
}

const MESH_POINTS = 468
/** Between the eyes' centres, of most adults between 55 and 70. */
const EYE_DISTANCE_MM = 63
/** The axis about which a head turns and nods lies in the neck: behind the face and below the eyes. */
const PIVOT_MM = { y: 60, z: 90 }
/** Around the face, hair, ears and neck fall back as a head does: how far out each ring lies, and how far behind. */
const rings = [
  { outMm: 10, backMm: 8 },
  { outMm: 22, backMm: 24 },
  { outMm: 36, backMm: 48 },
  { outMm: 52, backMm: 78 },
  { outMm: 66, backMm: 110 },
]
/** Points of the upper lids: on the crease, on the edge below it, and on the lower lid's edge, where the upper one closes. */
const lids = [
  ...[
    [247, 246, 7],
    [30, 161, 163],
    [29, 160, 144],
    [27, 159, 145],
    [28, 158, 153],
    [56, 157, 154],
    [190, 173, 155],
  ],
  ...[
    [467, 466, 249],
    [260, 388, 390],
    [259, 387, 373],
    [257, 386, 374],
    [258, 385, 380],
    [286, 384, 381],
    [414, 398, 382],
  ],
]
/** The share of an open lid, from its edge, that is lashes; on a closed one they are a thin line. */
const LASHES = 0.4
const CLOSED_LASHES = 0.15
/** Photos of this size hardly show lashes; where the lids meet they make a dark line. */
const LASHES_DARKNESS = 0.6

/**
 * Makes a head of a portrait and the face mesh that was laid on it (468 points, in the portrait's pixels). The face is as
 * the mesh has it, turned to look straight ahead; the rest falls back behind it, and fades out at its edge.
 */
export function makeHead(texture: Picture, mesh: Float32Array): Head {
  const frame = frameOf(mesh)
  const face = Array.from({ length: MESH_POINTS }, (_, index) =>
    frame.toHead(mesh.subarray(3 * index, 3 * index + 3)),
  )
  const flat = Float64Array.from(face.flatMap((corner) => corner.slice(0, 2)))
  const hull = convexHull(flat)
  const centre = [0, 1].map((axis) => hull.reduce((sum, index) => sum + face[index][axis], 0) / hull.length)
  const around = rings.flatMap(({ outMm, backMm }) =>
    hull.map((index): Vector => {
      const [x, y, z] = face[index]
      const away = Math.hypot(x - centre[0], y - centre[1])
      return [x + (outMm * (x - centre[0])) / away, y + (outMm * (y - centre[1])) / away, z + backMm]
    }),
  )
  // Skin just above the lashes: without it the lashes would stretch with the lid.
  const skin = lids.map(([crease, upper]) => between(face[upper], face[crease], LASHES))
  const corners = [...face, ...skin, ...around]
  const outermost = corners.length - hull.length
  return {
    surface: {
      positions: Float32Array.from(corners.flatMap(([x, y, z]) => [x, y - PIVOT_MM.y, z - PIVOT_MM.z])),
      uv: Float32Array.from(corners.flatMap((corner) => frame.toPicture(corner).slice(0, 2))),
      alpha: Float32Array.from(corners, (_, index) => (index < outermost ? 1 : 0)),
      light: new Float32Array(corners.length).fill(1),
      triangles: triangulate(Float64Array.from(corners.flatMap((corner) => corner.slice(0, 2)))),
      texture,
    },
  }
}

/** The head's surface with its eyes closed by a share of 0 to 1: the upper lids come down, and their skin stretches. */
export function closeEyes({ surface }: Head, share: number): Surface {
  if (share === 0) return surface
  const positions = Float32Array.from(surface.positions)
  const light = Float32Array.from(surface.light)
  const at = (index: number) => surface.positions.slice(3 * index, 3 * index + 3)
  for (const [index, [crease, upper, lower]] of lids.entries()) {
    const skin = MESH_POINTS + index
    positions.set(between(at(upper), at(lower), share), 3 * upper)
    positions.set(between(at(skin), between(at(lower), at(crease), CLOSED_LASHES), share), 3 * skin)
    light[upper] = light[lower] = 1 - share * LASHES_DARKNESS
  }
  return { ...surface, positions, light }
}

type Vector = [number, number, number]

const between = (a: ArrayLike<number>, b: ArrayLike<number>, share: number): Vector => [
  a[0] + share * (b[0] - a[0]),
  a[1] + share * (b[1] - a[1]),
  a[2] + share * (b[2] - a[2]),
]

/** Between the portrait's pixels and millimetres in the head's own frame, its origin between the eyes. */
function frameOf(mesh: Float32Array) {
  const at = (index: number): Vector => [mesh[3 * index], mesh[3 * index + 1], mesh[3 * index + 2]]
  const middle = (indices: number[]) =>
    indices
      .map(at)
      .reduce(
        (sum, point) => sum.map((value, axis) => value + point[axis] / indices.length) as Vector,
        [0, 0, 0],
      )
  const [right, left] = [middle([33, 133]), middle([362, 263])]
  const across = unit(minus(at(263), at(33)))
  const forward = unit(cross(across, minus(at(152), at(10))))
  const axes = [across, cross(forward, across), forward]
  const origin = middle([33, 133, 362, 263])
  const mmPerPx = EYE_DISTANCE_MM / Math.hypot(...minus(left, right))
  return {
    toHead: (point: ArrayLike<number>): Vector => {
      const offset = minus([point[0], point[1], point[2]], origin)
      return axes.map((axis) => mmPerPx * dot(axis, offset)) as Vector
    },
    toPicture: (point: Vector): Vector =>
      origin.map(
        (value, k) =>
          value + (axes[0][k] * point[0] + axes[1][k] * point[1] + axes[2][k] * point[2]) / mmPerPx,
      ) as Vector,
  }
}

const minus = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
const unit = (a: Vector): Vector => a.map((value) => value / Math.hypot(...a)) as Vector
const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
]
