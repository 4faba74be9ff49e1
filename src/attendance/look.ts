import { createHash } from 'node:crypto'
import type { FaceEngine } from '../face/engine.ts'
import type { TimedLook } from '../face/pad/burst.ts'
import type { EmbeddedFace, Face, Frame, Stage } from '../face/pipeline.ts'
import { MIN_COMPARED_QUALITY } from '../gallery/faults.ts'

/** What the pictures of one check show, in the order in which they were taken. */
export interface Looked {
  frames: Frame[]
  /** When each picture was taken, in milliseconds since the first. */
  atMs: number[]
  sha256: string[]
  /** The faces that were embedded, best quality first. */
  embedded: EmbeddedFace[]
  timings: Record<Stage, number>
}

/** How long after one another pictures were taken of which the client does not say it. */
const FRAME_MS = 100

/** Has the engine look at the pictures of a check; with `throughout` every face is embedded. */
export async function lookAt(
  engine: FaceEngine,
  pictures: readonly Uint8Array[],
  frameMs: readonly number[] | undefined,
  throughout: boolean,
): Promise<Looked> {
  const taken = {
    atMs: pictures.map((_, index) => frameMs?.[index] ?? index * FRAME_MS),
    sha256: pictures.map((picture) => createHash('sha256').update(picture).digest('hex')),
  }
  if (pictures.length > 1) return { ...taken, ...(await engine.analyseFrames(pictures, throughout)) }
  const { timings, ...frame } = await engine.analyse(pictures[0])
  const embedded = frame.kind === 'face' ? [{ frame: 0, face: frame.face, votes: true }] : []
  return { ...taken, frames: [frame], embedded, timings }
}

/** The face of a check: the best of the embedded ones. Undefined where there is none. */
export function bestFace({ embedded }: Looked): Face | undefined {
  return embedded[0]?.face
}

/**
 * What the check is taken to show: one face where pictures show one, unless more of them show several; else why there is
 * none to compare.
 */
export function kindOf({ frames }: Looked): Frame['kind'] {
  const count = (kind: Frame['kind']) => frames.filter((frame) => frame.kind === kind).length
  const [faces, several] = [count('face'), count('several_faces')]
  if (several > faces) return 'several_faces'
  return faces > 0 ? 'face' : 'no_face'
}

/** Who votes: the best embedded faces, if they are good enough to be compared, weighted by their quality. */
export function votesOf({ embedded }: Looked) {
  return embedded
    .filter(({ face, votes }) => votes && face.quality.score >= MIN_COMPARED_QUALITY)
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
