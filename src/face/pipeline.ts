import { decode, type Picture } from './decode.ts'
import { detectFaces } from './detect/detect.ts'
import type { Detection } from './detect/detection.ts'
import { embedFace } from './embed.ts'
import { fitMesh, fivePoints, type Mesh, MIN_PRESENCE, type Pose, poseOf, wholeFace } from './mesh.ts'
import { type PadNetwork, scoreBonaFide } from './minifasnet.ts'
import type { Network } from './onnx/session.ts'
import type { DetectorSpec, Pack } from './packs/pack.ts'
import { assessQuality, type Quality } from './quality.ts'

/** The networks of a pack, loaded. `embedders` stand in the order of the pack's specifications. */
export interface Networks {
  detector: Network
  mesh: Network
  embedders: Network[]
  /** Those that look for presentation attacks; none where none are installed. */
  pad: PadNetwork[]
}

/** One face, measured: everything in it comes from the same detection. */
export interface Look {
  detection: Detection
  mesh: Mesh
  pose: Pose
  quality: Quality
  /** What the installed networks say of a presentation attack, 0 (attack) to 1 (bona fide); null where there is none. */
  padScore: number | null
}

/** One face, measured and embedded. */
export interface Face extends Look {
  /** The pack whose networks made the vector: those of others are never compared with it. */
  pack: string
  /** As stored: the pack's `dimension` floats, not centred. */
  vector: Float32Array
}

interface Seen {
  picture: { widthPx: number; heightPx: number }
}

/** What a picture shows. */
export type Analysis = Seen & {
  /** Wall time of each stage in milliseconds. */
  timings: Record<Stage, number>
} & (
    | { kind: 'no_face' }
    | { kind: 'several_faces'; count: number }
    /** `rivals`: how many faces were large enough to be meant; more than 1 only where the middle one was asked for. */
    | { kind: 'face'; face: Face; rivals: number }
  )

/** One picture of several: everybody's faces are measured, few are embedded. */
export type Frame = Seen &
  ({ kind: 'no_face' } | { kind: 'several_faces'; count: number } | { kind: 'face'; face: Look })

/** What several pictures show, in the order in which they were taken. */
export interface Burst {
  frames: Frame[]
  /** The faces that were embedded, best quality first. */
  embedded: EmbeddedFace[]
  /** Wall time of each stage in milliseconds, over all frames. */
  timings: Record<Stage, number>
}

export interface EmbeddedFace {
  /** The place of its frame. */
  frame: number
  face: Face
  /** Whether it is among the best, which say who it is; the others show that it is the same face that moves. */
  votes: boolean
}

export type Stage = 'decode' | 'detect' | 'mesh' | 'quality' | 'pad' | 'embed'

/** More pictures of one check are refused. */
export const MAX_FRAMES = 12
/** More votes cost time and bring nothing. */
const VOTING_FRAMES = 3

/** A face whose side is at least this share of the largest one's may as well be the person meant. */
const RIVAL_SHARE = 0.6
/** ... unless the detector is not sure that it is a face. */
const MIN_RIVAL_SCORE = 0.5
/** A face of this share of the picture's longer side is looked at once more, with a margin. */
const CLOSE_UP_SHARE = 0.5

/**
 * Looks at a picture: decode, detect, choose the one face, lay the mesh, assess, align and embed.
 * Rejects with the codes of `decode` and with `model_failure`.
 */
export async function analysePicture(
  pack: Pack,
  networks: Networks,
  bytes: Uint8Array,
  choice: Choice,
): Promise<Analysis> {
  const { timings, timed } = stopwatch()
  const seen = await lookAt(pack, networks, bytes, choice, timed)
  const { frame, picture, rivals } = seen
  if (frame.kind !== 'face') return { ...frame, timings }
  const vector = await timed('embed', () => embed(pack, networks.embedders, picture, frame.face))
  return { ...frame, face: { ...frame.face, pack: pack.name, vector }, rivals, timings }
}

/**
 * Looks at 1 to MAX_FRAMES pictures of one check: every one is measured, the three best are embedded and say who it is.
 * With `throughout` every face is embedded, because whoever is recognised must be the one who moves; those that say who it
 * is are the best of the first, the middle and the last third then.
 * Rejects as `analysePicture` does, whichever picture it is.
 */
export async function analyseFrames(
  pack: Pack,
  networks: Networks,
  pictures: readonly Uint8Array[],
  throughout: boolean,
): Promise<Burst> {
  if (pictures.length < 1 || pictures.length > MAX_FRAMES)
    throw new RangeError(`a check has 1 to ${MAX_FRAMES} pictures, not ${pictures.length}`)
  const { timings, timed } = stopwatch()
  const frames: Frame[] = []
  // Decoded pictures are large: only those that may still be embedded are held.
  let held: { frame: number; look: Look; picture: Picture }[] = []
  for (const [index, bytes] of pictures.entries()) {
    const { frame, picture } = await lookAt(pack, networks, bytes, 'only', timed)
    frames.push(frame)
    if (frame.kind !== 'face') continue
    held.push({ frame: index, look: frame.face, picture })
    held.sort((one, other) => other.look.quality.score - one.look.quality.score)
    if (!throughout) held = held.slice(0, VOTING_FRAMES)
  }
  const embedded: EmbeddedFace[] = []
  for (const { frame, look, picture } of held) {
    const vector = await timed('embed', () => embed(pack, networks.embedders, picture, look))
    const third = thirdOf(frame, pictures.length)
    const votes = !throughout || embedded.every((better) => thirdOf(better.frame, pictures.length) !== third)
    embedded.push({ frame, face: { ...look, pack: pack.name, vector }, votes })
  }
  return { frames, embedded, timings }
}

/** Which third of so many frames one is in, 0 to 2. */
export const thirdOf = (frame: number, frames: number) => Math.floor((frame * VOTING_FRAMES) / frames)

type Timed = <T>(stage: Stage, work: () => Promise<T> | T) => Promise<T>

function stopwatch(): { timings: Record<Stage, number>; timed: Timed } {
  const timings = { decode: 0, detect: 0, mesh: 0, quality: 0, pad: 0, embed: 0 }
  const timed: Timed = async (stage, work) => {
    const start = performance.now()
    try {
      return await work()
    } finally {
      timings[stage] += performance.now() - start
    }
  }
  return { timings, timed }
}

async function lookAt(
  pack: Pack,
  networks: Networks,
  bytes: Uint8Array,
  choice: Choice,
  timed: Timed,
): Promise<{ frame: Frame; picture: Picture; rivals: number }> {
  const picture = await timed('decode', () => decode(bytes))
  const seen = { picture: { widthPx: picture.width, heightPx: picture.height } }
  const detections = await timed('detect', () => findFaces(pack.detector, networks.detector, picture))
  const rivals = rivalsOf(detections)
  const answer = (frame: Frame) => ({ frame, picture, rivals: rivals.length })
  if (rivals.length === 0) return answer({ ...seen, kind: 'no_face' })
  if (rivals.length > 1 && choice === 'only')
    return answer({ ...seen, kind: 'several_faces', count: rivals.length })

  const detection = choice === 'only' ? rivals[0] : mostCentral(detections, picture)
  const mesh = await timed('mesh', () => fitMesh(networks.mesh, picture, detection))
  // The detector was wrong.
  if (mesh.presence < MIN_PRESENCE) return answer({ ...seen, kind: 'no_face' })
  const pose = poseOf(mesh)
  const quality = await timed('quality', () =>
    assessQuality(picture, detection, mesh, pose, pack.detector.clearScore),
  )
  const padScore =
    networks.pad.length === 0
      ? null
      : await timed('pad', () => scoreBonaFide(networks.pad, picture, wholeFace(detection, mesh)))
  return answer({ ...seen, kind: 'face', face: { detection, mesh, pose, quality, padScore } })
}

/** Which face of several is meant: none, because there must be only one large face, or the one in the middle. */
export type Choice = 'only' | 'central'

/**
 * All faces, best score first. A face that fills the frame is missed or falls into parts, so that nothing or something
 * very large calls for a second look with a margin around the picture.
 */
export async function findFaces(
  spec: DetectorSpec,
  detector: Network,
  picture: Picture,
): Promise<Detection[]> {
  const faces = await detectFaces(spec, detector, picture)
  const closeUpPx = CLOSE_UP_SHARE * Math.max(picture.width, picture.height)
  if (faces.length > 0 && faces.every((face) => sideOf(face) < closeUpPx)) return faces
  const withMargin = await detectFaces(spec, detector, picture, 0.5)
  return withMargin.length > 0 ? withMargin : faces
}

/**
 * The largest face and those that rival it in size, largest first. A doubtful detection is no rival; where there are
 * only doubtful ones, the best of them is the face.
 */
export function rivalsOf(detections: readonly Detection[]): Detection[] {
  const sure = detections.filter(({ score }) => score >= MIN_RIVAL_SCORE)
  if (sure.length === 0) return detections.slice(0, 1)
  const largestFirst = sure.sort((one, other) => sideOf(other) - sideOf(one))
  return largestFirst.filter((face) => sideOf(face) >= RIVAL_SHARE * sideOf(largestFirst[0]))
}

/** The one face that is large and near the middle: its side less its centre's distance from the picture's centre. */
function mostCentral(detections: readonly Detection[], { width, height }: Picture): Detection {
  const merit = (detection: Detection) => {
    const { box } = detection
    const away = Math.hypot(box.x + (box.width - width) / 2, box.y + (box.height - height) / 2)
    return sideOf(detection) - away
  }
  return [...detections].sort((one, other) => merit(other) - merit(one))[0]
}

const sideOf = ({ box }: Detection) => Math.sqrt(box.width * box.height)

async function embed(
  pack: Pack,
  embedders: Network[],
  picture: Picture,
  { detection, mesh }: Look,
): Promise<Float32Array> {
  const points = pack.points === 'mesh' ? fivePoints(mesh) : detection.points
  const vector = new Float32Array(pack.dimension)
  let at = 0
  for (const [index, spec] of pack.embedders.entries()) {
    vector.set(await embedFace(embedders[index], spec, picture, points), at)
    at += spec.dimension
  }
  return vector
}
