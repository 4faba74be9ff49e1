import { existsSync } from 'node:fs'
import { type Clock, systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { openNetwork } from './onnx/session.ts'
import { type NetworkSource, readModel } from './onnx/source.ts'
import { minifasnet } from './packs/catalogue.ts'
import { humanV1, meshNetwork } from './packs/human-v1.ts'
import { locate, placeOf } from './packs/locate.ts'
import { measuredOf } from './packs/measured.ts'
import type { AddOn, Installable, Pack } from './packs/pack.ts'
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
  /** With what was measured of it, wherever that stands. */
  pack: Pack
  /** Whether networks against presentation attacks are loaded. */
  looksForAttacks: boolean
  /**
   * Looks at a JPEG, PNG or WebP. Rejects with an AppError when the picture or a network fails.
   * Several large faces are refused; `choice` 'central' takes the middle one, for data sets that are labelled so.
   */
  analyse(bytes: Uint8Array, choice?: Choice): Promise<Analysis>
  /**
   * Looks at the 1 to MAX_FRAMES pictures of one check, in the order in which they were taken; see `analyseFrames` in
   * pipeline.ts. Rejects with an AppError when a picture or a network fails.
   */
  analyseFrames(pictures: readonly Uint8Array[], throughout?: boolean): Promise<Burst>
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
 * Starts the engine: checks the weights against the pack's manifest and loads them.
 * Throws when a file is missing or altered; there is no lesser engine to fall back to.
 */
export async function startEngine({
  pack = humanV1,
  modelPath,
  clock = systemClock,
}: EngineChoice & { clock?: Clock } = {}): Promise<FaceEngine> {
  const networks = await openNetworks(pack, modelPath)
  const pads = networks.pad.map(({ network }) => network)
  const all = [networks.detector, networks.mesh, ...networks.embedders, ...pads]
  return {
    pack: { ...pack, measured: measuredOf(pack, modelPath) ?? null },
    looksForAttacks: pads.length > 0,
    ...counted(
      {
        analyse: (bytes, choice) => analysePicture(pack, networks, bytes, choice),
        analyseFrames: (pictures, throughout) => analyseFrames(pack, networks, pictures, throughout),
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
  analyseFrames(pictures: readonly Uint8Array[], throughout: boolean): Promise<Burst>
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
    analyseFrames: (pictures: readonly Uint8Array[], throughout = false) =>
      count(() => analyseFrames(pictures, throughout)),
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

/** Which engine: the embedded pack by default. Without `modelPath`, the folder of installed weights, no add-on is looked for. */
export interface EngineChoice {
  pack?: Pack
  modelPath?: string
}

/**
 * Loads the networks of a pack, and those against presentation attacks. Throws an Error that names the file, the pack and
 * what to do when a file is missing or altered. `open` is another way of opening a network, for the benchmark.
 */
export async function openNetworks(
  pack: Pack,
  modelPath?: string,
  open: typeof openNetwork = openNetwork,
): Promise<Networks> {
  const attacks = padOf(pack, modelPath)
  // All files before the first network: a fault is told at once, not after seconds of loading.
  for (const { name, files } of new Set([pack, attacks ?? pack]))
    for (const file of Object.values(files)) locate(file, name, modelPath)
  const load = ({ files }: Installable, source: NetworkSource) =>
    open(
      source.file,
      readModel(source, placeOf(files[source.file], modelPath)),
      source.format === 'tfjs' ? Object.keys(source.outputs) : undefined,
    )
  const networks: Networks = {
    detector: await load(pack, pack.detector.network),
    mesh: await load(pack, meshNetwork),
    embedders: [],
    pad: [],
  }
  for (const { network } of pack.embedders) networks.embedders.push(await load(pack, network))
  for (const { network, scale } of attacks?.pad ?? [])
    networks.pad.push({ network: await load(attacks!, network), scale })
  return networks
}

/**
 * Whose networks look for presentation attacks: the pack's own, else the add-on's where at least one of its files is
 * there (a wrong one must be told, not passed over), else nobody's.
 */
export function padOf(pack: Pack, modelPath?: string): Pack | AddOn | undefined {
  if (pack.pad.length > 0) return pack
  if (modelPath === undefined) return undefined
  const there = Object.values(minifasnet.files).some((file) => existsSync(placeOf(file, modelPath)))
  return there ? minifasnet : undefined
}
