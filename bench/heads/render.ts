import type { Picture } from '../../src/face/decode.ts'

/** A textured surface of triangles, in millimetres about its own origin: x to the picture's right, y down, z away. */
export interface Surface {
  /** Three numbers a corner. */
  positions: Float32Array
  /** Where the corner lies in the texture, in its pixels: two numbers a corner. */
  uv: Float32Array
  /** How much of it is seen before what is behind it, 0..1. */
  alpha: Float32Array
  /** What the texture's brightness is multiplied by. */
  light: Float32Array
  /** Three corners each. */
  triangles: Uint16Array
  texture: Picture
}

/** Where a surface's origin is and how it is turned; angles in degrees as in `Pose`, the others in millimetres. */
export interface Placement {
  yaw: number
  pitch: number
  roll: number
  /** From the camera's axis. */
  x: number
  y: number
  /** From the camera. */
  distance: number
}

/** A pinhole camera. */
export interface Camera {
  widthPx: number
  heightPx: number
  focalPx: number
}

/** About what the front camera of a tablet sees: 56 degrees across. */
export const camera: Camera = { widthPx: 640, heightPx: 480, focalPx: 600 }

/** Draws surfaces before a background of the camera's size, each pixel from the nearest one. */
export function render(
  scene: readonly { surface: Surface; placement: Placement }[],
  background: Picture,
  { widthPx, heightPx, focalPx }: Camera = camera,
): Picture {
  const picture = { data: new Uint8Array(background.data), width: widthPx, height: heightPx }
  const nearest = new Float32Array(widthPx * heightPx)
  for (const { surface, placement } of scene) {
    const corners = project(surface.positions, placement, { widthPx, heightPx, focalPx })
    for (let at = 0; at < surface.triangles.length; at += 3)
      fill(surface, corners, surface.triangles.subarray(at, at + 3), picture, nearest)
  }
  return picture
}

/** Turns positions by yaw, then pitch, then roll. */
export function turn(
  positions: Float32Array,
  { yaw, pitch, roll }: Pick<Placement, 'yaw' | 'pitch' | 'roll'>,
) {
  const [a, p, r] = [yaw, pitch, roll].map((degrees) => (degrees * Math.PI) / 180)
  const turned = new Float32Array(positions.length)
  for (let i = 0; i < positions.length; i += 3) {
    const [x, y, z] = positions.subarray(i, i + 3)
    const [x1, z1] = [x * Math.cos(a) - z * Math.sin(a), x * Math.sin(a) + z * Math.cos(a)]
    const [y2, z2] = [y * Math.cos(p) - z1 * Math.sin(p), y * Math.sin(p) + z1 * Math.cos(p)]
    turned[i] = x1 * Math.cos(r) - y2 * Math.sin(r)
    turned[i + 1] = x1 * Math.sin(r) + y2 * Math.cos(r)
    turned[i + 2] = z2
  }
  return turned
}

/** Picture pixels and the reciprocal of the distance, three numbers a corner. */
function project(positions: Float32Array, placement: Placement, { widthPx, heightPx, focalPx }: Camera) {
  const corners = turn(positions, placement)
  for (let i = 0; i < corners.length; i += 3) {
    const near = 1 / (corners[i + 2] + placement.distance)
    corners[i] = widthPx / 2 + focalPx * (corners[i] + placement.x) * near
    corners[i + 1] = heightPx / 2 + focalPx * (corners[i + 1] + placement.y) * near
    corners[i + 2] = near
  }
  return corners
}

/** One triangle, with the texture as perspective has it (interpolated over the reciprocal of the distance). */
function fill(
  { uv, alpha, light, texture }: Surface,
  corners: Float32Array,
  [a, b, c]: Uint16Array,
  { data, width, height }: Picture,
  nearest: Float32Array,
): void {
  const [ax, ay, an] = [corners[3 * a], corners[3 * a + 1], corners[3 * a + 2]]
  const [bx, by, bn] = [corners[3 * b], corners[3 * b + 1], corners[3 * b + 2]]
  const [cx, cy, cn] = [corners[3 * c], corners[3 * c + 1], corners[3 * c + 2]]
  const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
  if (area === 0 || Math.min(an, bn, cn) <= 0) return
  const left = Math.max(0, Math.ceil(Math.min(ax, bx, cx)))
  const right = Math.min(width - 1, Math.max(ax, bx, cx))
  const top = Math.max(0, Math.ceil(Math.min(ay, by, cy)))
  const bottom = Math.min(height - 1, Math.max(ay, by, cy))
  // The weights of b and c grow by the same from one pixel of a row to the next.
  const stepB = (cy - ay) / area
  const stepC = (ay - by) / area
  for (let y = top; y <= bottom; y++) {
    let wb = (left - 1 - ax) * stepB - ((y - ay) * (cx - ax)) / area
    let wc = (left - 1 - ax) * stepC + ((bx - ax) * (y - ay)) / area
    for (let x = left; x <= right; x++) {
      wb += stepB
      wc += stepC
      const wa = 1 - wb - wc
      if (wa < 0 || wb < 0 || wc < 0) continue
      const near = wa * an + wb * bn + wc * cn
      const at = y * width + x
      if (near <= nearest[at]) continue
      const pa = (wa * an) / near
      const pb = (wb * bn) / near
      const pc = (wc * cn) / near
      const cover = pa * alpha[a] + pb * alpha[b] + pc * alpha[c]
      if (cover > 0.5) nearest[at] = near
      const shade = pa * light[a] + pb * light[b] + pc * light[c]
      const u = pa * uv[2 * a] + pb * uv[2 * b] + pc * uv[2 * c]
      const v = pa * uv[2 * a + 1] + pb * uv[2 * b + 1] + pc * uv[2 * c + 1]
      blend(texture, u, v, cover, shade, data, 3 * at)
    }
  }
}

/** Lays the texture's colour at (u, v), bilinear, its edge repeated, over a pixel. */
function blend(
  texture: Picture,
  u: number,
  v: number,
  cover: number,
  shade: number,
  to: Uint8Array,
  at: number,
): void {
  const { data: from, width, height } = texture
  const x = Math.min(Math.max(u, 0), width - 1.001)
  const y = Math.min(Math.max(v, 0), height - 1.001)
  const column = Math.floor(x)
  const row = Math.floor(y)
  const fx = x - column
  const fy = y - row
  const first = 3 * (row * width + column)
  const below = first + 3 * width
  for (let channel = 0; channel < 3; channel++) {
    const upper = from[first + channel] * (1 - fx) + from[first + 3 + channel] * fx
    const lower = from[below + channel] * (1 - fx) + from[below + 3 + channel] * fx
    const value = shade * (upper * (1 - fy) + lower * fy)
    to[at + channel] = Math.min(255, Math.round(value * cover + to[at + channel] * (1 - cover)))
  }
}
