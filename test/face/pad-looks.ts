import type { TimedLook } from '../../src/face/pad/burst.ts'
import type { Look } from '../../src/face/pipeline.ts'
import { judgeQuality } from '../../src/face/quality.ts'

/** A head in distances between the eyes: x to the picture's right, y down, z away from the camera. */
const rigid: Record<number, [number, number, number]> = {
  33: [-0.7, 0, 0.12],
  133: [-0.3, 0.02, 0],
  362: [0.3, 0.02, 0],
  263: [0.7, 0, 0.12],
  168: [0, -0.02, -0.15],
  6: [0, 0.15, -0.22],
  197: [0, 0.3, -0.3],
  195: [0, 0.45, -0.38],
  5: [0, 0.58, -0.46],
  4: [0, 0.7, -0.52],
  1: [0, 0.78, -0.5],
  2: [0, 0.92, -0.32],
  98: [-0.2, 0.86, -0.22],
  327: [0.2, 0.86, -0.22],
  129: [-0.28, 0.76, -0.14],
  358: [0.28, 0.76, -0.14],
  164: [0, 1.05, -0.28],
  61: [-0.42, 1.3, -0.05],
  291: [0.42, 1.3, -0.05],
  13: [0, 1.28, -0.15],
  14: [0, 1.3, -0.15],
  234: [-1.2, 0.3, 1],
  454: [1.2, 0.3, 1],
  10: [0, -1.1, 0],
  152: [0, 2, 0.05],
}
/** Points of a crease, an upper and a lower lid, three by three. */
const lids = {
  right: [29, 160, 144, 27, 159, 145, 28, 158, 153],
  left: [259, 387, 373, 257, 386, 374, 258, 385, 380],
}

export interface Moment {
  yaw?: number
  pitch?: number
  roll?: number
  /** How far the eyes are open, 1 being wide. */
  open?: number
  /** Of the head's middle, in pixels. */
  x?: number
  y?: number
  eyeDistancePx?: number
  /** In distances between the eyes. */
  distance?: number
}

/** The face at a moment, as a perfect mesh network sees it through a pinhole; `flat` is a print of the same head. */
export function lookAt(moment: Moment, flat = false): Look {
  const {
    yaw = 0,
    pitch = 0,
    roll = 0,
    open = 1,
    x = 320,
    y = 240,
    eyeDistancePx = 80,
    distance = 10,
  } = moment
  const [ay, ap, ar] = [yaw, pitch, roll].map((degrees) => (degrees * Math.PI) / 180)
  const points = new Float32Array(468 * 3)
  for (let index = 0; index < 468; index++) {
    const [px, py, depth] = pointAt(index, open)
    const pz = flat ? 0 : depth
    // About the vertical axis: a positive yaw takes the nose (negative z) to the picture's right.
    const [x1, z1] = [px * Math.cos(ay) - pz * Math.sin(ay), px * Math.sin(ay) + pz * Math.cos(ay)]
    const [y2, z2] = [py * Math.cos(ap) - z1 * Math.sin(ap), py * Math.sin(ap) + z1 * Math.cos(ap)]
    const scale = (eyeDistancePx * distance) / (distance + z2)
    points[index * 3] = x + scale * (x1 * Math.cos(ar) - y2 * Math.sin(ar))
    points[index * 3 + 1] = y + scale * (x1 * Math.sin(ar) + y2 * Math.cos(ar))
    points[index * 3 + 2] = z2 * eyeDistancePx
  }
  const side = 2.4 * eyeDistancePx
  const detection = {
    box: { x: x - side / 2, y: y - side / 3, width: side, height: side },
    score: 0.9,
    points: [],
  }
  const pose = { yaw, pitch, roll }
  return { detection, mesh: { points, presence: 1 }, pose, quality, padScore: null }
}

/** The rigid points as they are, the lids by how far they are open, and the others on an ellipsoid behind them. */
function pointAt(index: number, open: number): [number, number, number] {
  if (rigid[index]) return rigid[index]
  for (const [side, indices] of Object.entries(lids)) {
    const place = indices.indexOf(index)
    if (place < 0) continue
    const across = (side === 'right' ? -0.5 : 0.5) + 0.08 * (Math.floor(place / 3) - 1)
    return [across, [-0.16, 0.07 - 0.14 * open, 0.07][place % 3], -0.05]
  }
  const angle = index * 2.4
  const radius = Math.sqrt(index / 468)
  return [radius * Math.cos(angle), 0.5 + 1.4 * radius * Math.sin(angle), 0.8 * radius * radius]
}

/** The moments as pictures `everyMs` apart, each one another. */
export function sequence(moments: readonly Moment[], { everyMs = 300, flat = false } = {}): TimedLook[] {
  return moments.map((moment, index) => ({
    look: lookAt(moment, flat),
    atMs: 1000 + index * everyMs,
    sha256: `picture ${index}`,
  }))
}

const quality = judgeQuality({
  eyeDistancePx: 80,
  sharpness: 0.5,
  brightness: 128,
  contrast: 40,
  clipped: 0,
  yaw: 0,
  pitch: 0,
  roll: 0,
  presence: 1,
  detection: 0.9,
  flattest: 0.5,
  inside: 1,
})
