import { type Clock, systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { blazefaceOutputs } from './detect/blazeface.ts'
import { meshOutputs } from './mesh.ts'
import { buildDlibResnet } from './onnx/dlib-resnet.ts'
import { openNetwork } from './onnx/session.ts'
import { translateGraphModel } from './onnx/tfjs-graph.ts'
import { humanV1 } from './packs/human-v1.ts'
import { locate } from './packs/locate.ts'
import type { Pack } from './packs/pack.ts'
import {
  type Analysis,
  analyseFrames,
  analysePicture,
  type Burst,
  type Choice,
  type Networks,
} from './pipeline.ts'
import { testPicture } from './test-picture.ts'

/** The face engine: pictures in, measured faces out. It knows no people, no database and no HTTP. */
export interface FaceEngine {
  pack: Pack
  /**
   * Looks at a JPEG, PNG or WebP. Rejects with an AppError when the picture or a network fails.
   * Several large faces are refused; `choice` 'central' takes the middle one, for data sets that are labelled so.
   */
  analyse(bytes: Uint8Array, choice?: Choice): Promise<Analysis>
  /**
   * Looks at the 1 to MAX_FRAMES pictures of one check, in the order in which they were taken; see `analyseFrames` in
   * pipeline.ts. Rejects with an AppError when a picture or a network fails.
   */
  analyseFrames(pictures: readonly Uint8Array[], spread?: boolean): Promise<Burst>
  /** False from the failure of a network until one works again. */
  ready(): boolean
  /** Whether all networks work at this moment: has them find and embed a face in a picture of ours. Not counted as work. */
  works(): Promise<boolean>
  /** What it has done since it started. */
  performance(): EnginePerformance
  close(): Promise<void>
}

export interface EnginePerformance {
  analyses: number
  /** Mean wall time of an analysis in milliseconds. */
  meanMs: number
  since: Date
}

/**
 * Starts the engine with the embedded pack: checks the weights against the pack's manifest, translates them to
 * ONNX in memory and loads them. Throws when a file is missing or altered; there is no lesser engine to fall back to.
 */
export async function startEngine(clock: Clock = systemClock): Promise<FaceEngine> {
  const networks = await openHumanV1()
  const all = [networks.detector, networks.mesh, ...networks.embedders]
  return {
    pack: humanV1,
    ...counted(
      {
        analyse: (bytes, choice) => analysePicture(humanV1, networks, bytes, choice),
        analyseFrames: (pictures, spread) => analyseFrames(humanV1, networks, pictures, spread),
      },
      clock,
    ),
    close: async () => {
      for (const network of all) await network.close()
    },
  }
}

/** What an engine is asked, without the counting. */
export interface Work {
  analyse(bytes: Uint8Array, choice: Choice): Promise<Analysis>
  analyseFrames(pictures: readonly Uint8Array[], spread: boolean): Promise<Burst>
}

/**
 * The work of an engine with what it tells of it: whether the networks work, how many checks it has analysed and how long
 * they took. `setReady` is for what is known without an analysis.
 */
export function counted({ analyse, analyseFrames }: Work, clock: Clock) {
  const since = clock.now()
  let analyses = 0
  let totalMs = 0
  let working = true

  async function count<Result>(work: () => Promise<Result>): Promise<Result> {
    const start = performance.now()
    try {
      const result = await work()
      working = true
      analyses++
      totalMs += performance.now() - start
      return result
    } catch (error) {
      if (error instanceof AppError && error.code === 'model_failure') working = false
      throw error
    }
  }

  return {
    analyse: (bytes: Uint8Array, choice: Choice = 'only') => count(() => analyse(bytes, choice)),
    analyseFrames: (pictures: readonly Uint8Array[], spread = false) =>
      count(() => analyseFrames(pictures, spread)),
    async works(): Promise<boolean> {
      try {
        const { kind } = await analyse(await testPicture(), 'only')
        working = kind === 'face'
      } catch {
        // Whatever it was: a picture that is known to be good was not analysed.
        working = false
      }
      return working
    },
    ready: () => working,
    performance: (): EnginePerformance => ({
      analyses,
      meanMs: analyses === 0 ? 0 : totalMs / analyses,
      since,
    }),
    setReady(ready: boolean): void {
      working = ready
    },
  }
}

/** Loads the networks of the embedded pack. `open` is another way of opening them, for the benchmark. */
export async function openHumanV1(open = openNetwork): Promise<Networks> {
  const { files } = humanV1
  const [blazeface, , facemesh, , faceres, , resnet] = Object.values(files).map(locate)
  const swap = (outputs: Record<string, string>) => Object.keys(outputs)
  const detector = translateGraphModel({
    path: blazeface,
    input: { name: 'input', shape: [3, 256, 256] },
    outputs: blazefaceOutputs,
    batch: 1,
  })
  const mesh = translateGraphModel({
    path: facemesh,
    input: { name: 'input_1', shape: [3, 192, 192] },
    outputs: meshOutputs,
    batch: 1,
  })
  const features = translateGraphModel({
    path: faceres,
    input: { name: 'input_1', shape: [3, 224, 224] },
    outputs: { embedding: 'global_pooling/Mean' },
    batch: -1,
  })
  return {
    detector: await open('blazeface', detector, swap(blazefaceOutputs)),
    mesh: await open('facemesh', mesh, swap(meshOutputs)),
    embedders: [
      await open('faceres', features, ['embedding']),
      await open('resnet', buildDlibResnet(resnet), ['embedding']),
    ],
  }
}
