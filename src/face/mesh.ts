import { applyTo, type Point, type Similarity, warp } from './align.ts'
import type { Picture } from './decode.ts'
import type { Box, Detection } from './detect/detection.ts'
import type { Network } from './onnx/session.ts'

const INPUT_SIDE_PX = 192
const POINTS = 468
/** How much wider than the detector's box the crop is, and how far it lies below, in sides of the crop. */
const blazefaceBox = { scale: 1.5, down: 0 }
/**
 * The detectors that were trained on WIDER FACE all draw the same box, from the hairline to the chin, where BlazeFace's
 * ends at the brow: medians over 551 published photos, with SCRFD, YuNet and YOLOv8-face.
 */
const widerFaceBox = { scale: 1.215, down: 0.07 }
const WIDER = 1.25
/** The network was trained on level faces: one that lies further askew than this in its crop, in radians, is turned. */
const ASKEW = (10 * Math.PI) / 180
/** Where the network is less sure than this that there is a face, there is none. */
export const MIN_PRESENCE = 0.5
/** BlazeFace's key points; all the others have five. */
const BLAZEFACE_POINTS = 6

export const meshOutputs = { mesh: 'Identity_2', presence: 'Identity_1' }

/** The 468 points of MediaPipe's face mesh in picture pixels (z: depth on the same scale, towards the camera negative). */
export interface Mesh {
  points: Float32Array
  /** How sure the network is that there is a whole face, 0..1. */
  presence: number
}

/** Angles of the head in degrees. Yaw is positive when the nose points to the picture's right, pitch when it points down. */
export interface Pose {
  yaw: number
  pitch: number
  roll: number
}

/**
 * Lays the mesh on a detected face. It looks once more where it is not sure of a face, with a wider crop: a turned head in
 * a narrow box is seen then; and where the face lies askew in the crop, with a level one: small detectors put the eyes of a
 * head that lies on its side roughly. Rejects with `model_failure`.
 */
export async function fitMesh(network: Network, picture: Picture, face: Detection): Promise<Mesh> {
  const [rightEye, leftEye] = face.points
  const angle = Math.atan2(leftEye[1] - rightEye[1], leftEye[0] - rightEye[0])
  const mesh = await fitInto(meshCrop(face, angle, 1), network, picture)
  if (mesh.presence < MIN_PRESENCE)
    return surer(mesh, await fitInto(meshCrop(face, angle, WIDER), network, picture))
  const roll = (poseOf(mesh).roll * Math.PI) / 180
  if (Math.abs(Math.atan2(Math.sin(roll - angle), Math.cos(roll - angle))) < ASKEW) return mesh
  return surer(mesh, await fitInto(meshCrop(face, roll, 1), network, picture))
}

/** The second look, unless the first was surer. */
const surer = (first: Mesh, second: Mesh): Mesh => (second.presence >= first.presence - 0.01 ? second : first)

async function fitInto(toPicture: Similarity, network: Network, picture: Picture): Promise<Mesh> {
  const input = new Float32Array(3 * INPUT_SIDE_PX * INPUT_SIDE_PX)
  warp(picture, toPicture, INPUT_SIDE_PX, { order: 'RGB', mean: [0, 0, 0], deviation: 255 }, input)
  const { mesh, presence } = await network.run(input, [1, 3, INPUT_SIDE_PX, INPUT_SIDE_PX])

  const scale = Math.hypot(toPicture.a, toPicture.b)
  const points = new Float32Array(POINTS * 3)
  for (let i = 0; i < points.length; i += 3) {
    const [x, y] = applyTo(toPicture, [mesh[i], mesh[i + 1]])
    points[i] = x
    points[i + 1] = y
    points[i + 2] = mesh[i + 2] * scale
  }
  return { points, presence: presence[0] }
}

/** The square that BlazeFace's box would make, for which the mesh was trained, turned by `angle` to be level. */
function meshCrop({ box, points }: Detection, angle: number, wider: number): Similarity {
  const { scale, down } = points.length === BLAZEFACE_POINTS ? blazefaceBox : widerFaceBox
  const side = Math.max(box.width, box.height) * scale * wider
  const centre: Point = [
    box.x + box.width / 2 - down * side * Math.sin(angle),
    box.y + box.height / 2 + down * side * Math.cos(angle),
  ]
  return cropToPicture(centre, side, angle)
}

function cropToPicture([x, y]: Point, side: number, angle: number): Similarity {
  const scale = side / INPUT_SIDE_PX
  const [a, b] = [scale * Math.cos(angle), scale * Math.sin(angle)]
  const half = INPUT_SIDE_PX / 2
  return { a, b, tx: x - a * half + b * half, ty: y - b * half - a * half }
}

/**
 * The whole face, from the hairline to the chin: the detector's box, but for BlazeFace's, which ends at the brow. There it
 * is the mesh's extent and as much above it as the others' boxes reach (median 15% of its height, 551 published photos).
 */
export function wholeFace({ box, points }: Detection, mesh: Mesh): Box {
  if (points.length !== BLAZEFACE_POINTS) return box
  let [left, top, right, bottom] = [mesh.points[0], mesh.points[1], mesh.points[0], mesh.points[1]]
  for (let i = 0; i < mesh.points.length; i += 3) {
    left = Math.min(left, mesh.points[i])
    right = Math.max(right, mesh.points[i])
    top = Math.min(top, mesh.points[i + 1])
    bottom = Math.max(bottom, mesh.points[i + 1])
  }
  const height = (bottom - top) * 1.15
  return { x: left, y: bottom - height, width: right - left, height }
}

/** The five points that faces are aligned by: the eyes' centres, the nose tip, the mouth's corners, picture-left first. */
export function fivePoints(mesh: Mesh): Point[] {
  const mean = (indices: number[]): Point => {
    const sum = (axis: number) => indices.reduce((total, index) => total + mesh.points[index * 3 + axis], 0)
    return [sum(0) / indices.length, sum(1) / indices.length]
  }
  return [mean([33, 133, 159, 145]), mean([362, 263, 386, 374]), mean([1]), mean([61]), mean([291])]
}

/** The head's pose, from the line through the outer eye corners (33, 263) and the one from forehead to chin (10, 152). */
export function poseOf({ points }: Mesh): Pose {
  const between = (from: number, to: number, axis: number) => points[to * 3 + axis] - points[from * 3 + axis]
  const degrees = (radians: number) => (radians * 180) / Math.PI
  const [acrossX, acrossY, acrossZ] = [0, 1, 2].map((axis) => between(33, 263, axis))
  const [downX, downY, downZ] = [0, 1, 2].map((axis) => between(10, 152, axis))
  return {
    yaw: degrees(Math.atan2(acrossZ, Math.hypot(acrossX, acrossY))),
    pitch: degrees(Math.atan2(downZ, Math.hypot(downX, downY))),
    roll: degrees(Math.atan2(acrossY, acrossX)),
  }
}
