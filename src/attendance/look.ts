import { createHash } from 'node:crypto'
import type { FaceEngine } from '../face/engine.ts'
import type { TimedLook } from '../face/pad/burst.ts'
import type { Face, Frame, Stage } from '../face/pipeline.ts'
import { MIN_COMPARED_QUALITY } from '../gallery/faults.ts'

/** What the pictures of one check show, in the order in which they were taken. */
export interface Looked {
  frames: Frame[]
  /** When each picture was taken, in milliseconds since the first. */
  atMs: number[]
  sha256: string[]
  /** The faces that were embedded, best quality first, each with the place of its frame. */
  embedded: { frame: number; face: Face }[]
  timings: Record<Stage, number>
}

/** How long after one another pictures were taken of which the client does not say it. */
const FRAME_MS = 100

/** Has the engine look at the pictures of a check; with `spread` it embeds a face of each third of them. */
export async function lookAt(
  engine: FaceEngine,
  pictures: readonly Uint8Array[],
  frameMs: readonly number[] | undefined,
  spread: boolean,
): Promise<Looked> {
  const taken = {
    atMs: pictures.map((_, index) => frameMs?.[index] ?? index * FRAME_MS),
    sha256: pictures.map((picture) => createHash('sha256').update(picture).digest('hex')),
  }
  if (pictures.length > 1) return { ...taken, ...(await engine.analyseFrames(pictures, spread)) }
  const { timings, ...frame } = await engine.analyse(pictures[0])
  const embedded = frame.kind === 'face' ? [{ frame: 0, face: frame.face }] : []
  return { ...taken, frames: [frame], embedded, timings }
}

/** The face of a check: the best of the embedded ones. Undefined where there is none. */
export function bestFace({ embedded }: Looked): Face | undefined {
  return embedded[0]?.face
}

/** What the check is taken to show: one face where any picture shows one, else why there is none to compare. */
export function kindOf({ frames }: Looked): Frame['kind'] {
  const kinds = frames.map(({ kind }) => kind)
  if (kinds.includes('face')) return 'face'
  return kinds.includes('several_faces') ? 'several_faces' : 'no_face'
}

/** Who votes: the embedded faces that are good enough to be compared, weighted by their quality. */
export function votesOf({ embedded }: Looked) {
  return embedded
    .filter(({ face }) => face.quality.score >= MIN_COMPARED_QUALITY)
    .map(({ frame, face }) => ({
      frame,
      vote: { pack: face.pack, vector: face.vector, weight: face.quality.score },
    }))
}

/** The faces of all pictures, for presentation attack detection. */
export function timedLooks({ frames, atMs, sha256 }: Looked): TimedLook[] {
  return frames.flatMap((frame, index) =>
    frame.kind === 'face' ? [{ look: frame.face, atMs: atMs[index], sha256: sha256[index] }] : [],
  )
}
