/** What looking at pictures costs, stage by stage, held against the same networks with nothing around them. */
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { decode } from '../src/face/decode.ts'
import { embedFace } from '../src/face/embed.ts'
import { openNetworks, startEngine } from '../src/face/engine.ts'
import { fitMesh, fivePoints, poseOf, wholeFace } from '../src/face/mesh.ts'
import { scoreBonaFide } from '../src/face/minifasnet.ts'
import { type Network, openNetwork, sessionOptions } from '../src/face/onnx/session.ts'
import { humanV1 } from '../src/face/packs/human-v1.ts'
import type { Pack } from '../src/face/packs/pack.ts'
import { analyseFrames, analysePicture, findFaces, rivalsOf } from '../src/face/pipeline.ts'
import { assessQuality } from '../src/face/quality.ts'
import { kioskPicture } from './people.ts'
import { type Timing, timeInTurn } from './timing.ts'

export interface StagesResult {
  pack: string
  pictureBytes: number
  engineStartMs: number
  stages: Record<string, Timing>
  /** One picture, whole. */
  picture: Whole
  /** One run of each network alone, on what the picture gave it. */
  bareNetwork: Record<string, Timing>
  /** One check of BURST_FRAMES pictures, whole: all are measured, three are embedded. */
  burst: Whole
}

/** An analysis, and the runs of the networks that it made, again, on the same inputs. */
export interface Whole {
  analyse: Timing
  bareNetworks: Timing
  /** CPU time of the analysis over that of the bare networks. */
  ratio: number
  overheadCpuMs: number
}

/** The bare networks of one picture: the reference of everything that looks at one. */
export interface Reference {
  run(): Promise<void>
  close(): Promise<void>
}

/** One run of a network on an input that an analysis gave it. */
interface Run {
  network: string
  again(): Promise<unknown>
}

export const BURST_FRAMES = 5

/** Measures a pack; `modelPath` is where its files are. The caller closes the reference, which it may go on using. */
export async function benchStages(
  pack: Pack = humanV1,
  modelPath?: string,
  rounds = 101,
): Promise<{ stages: StagesResult; reference: Reference }> {
  const start = performance.now()
  const engine = await startEngine({ pack, modelPath })
  const engineStartMs = performance.now() - start
  await engine.close()

  const runs: Run[] = []
  const opened: { close(): Promise<void> }[] = []
  const bare: { close(): Promise<void> }[] = []
  const networks = await openNetworks(pack, modelPath, async (name, model, wanted) => {
    const network = await openNetwork(name, model, wanted)
    const session = await InferenceSession.create(model, sessionOptions)
    opened.push(network)
    bare.push({ close: () => session.release() })
    const run: Network['run'] = (input, shape) => {
      const feeds = { [session.inputNames[0]]: new Tensor('float32', input, shape) }
      runs.push({ network: name, again: () => session.run(feeds, network.outputs) })
      return network.run(input, shape)
    }
    return { ...network, run }
  })
  /** The runs of the networks that some work makes. */
  const runsOf = async (work: () => Promise<unknown>): Promise<Run[]> => {
    runs.length = 0
    await work()
    return [...runs]
  }
  const again = async (some: Run[]) => {
    for (const one of some) await one.again()
  }

  const bytes = await kioskPicture('frontal')
  const burst = await Promise.all(
    Array.from({ length: BURST_FRAMES }, (_, take) => kioskPicture('frontal', take)),
  )
  const onePicture = () => analysePicture(pack, networks, bytes, 'only')
  const wholeBurst = () => analyseFrames(pack, networks, burst, false)
  const runsOfPicture = await runsOf(onePicture)
  const runsOfBurst = await runsOf(wholeBurst)

  const picture = await decode(bytes)
  const [detection] = rivalsOf(await findFaces(pack.detector, networks.detector, picture))
  const mesh = await fitMesh(networks.mesh, picture, detection)
  const points = pack.points === 'mesh' ? fivePoints(mesh) : detection.points
  const options = { rounds, warmUpRounds: 10 }
  const { analyse, bareNetworks, ...stages } = await timeInTurn<string>(
    {
      decode: () => decode(bytes),
      detect: () => findFaces(pack.detector, networks.detector, picture),
      mesh: () => fitMesh(networks.mesh, picture, detection),
      quality: () => assessQuality(picture, detection, mesh, poseOf(mesh)),
      ...(networks.pad.length > 0 && {
        pad: () => scoreBonaFide(networks.pad, picture, wholeFace(detection, mesh)),
      }),
      'align+embed': async () => {
        for (const [index, spec] of pack.embedders.entries())
          await embedFace(networks.embedders[index], spec, picture, points)
      },
      analyse: onePicture,
      bareNetworks: () => again(runsOfPicture),
    },
    options,
  )
  const names = [...new Set(runsOfPicture.map(({ network }) => network))]
  const bareNetwork = await timeInTurn(
    Object.fromEntries(
      names.map((name) => [name, () => again(runsOfPicture.filter(({ network }) => network === name))]),
    ),
    options,
  )
  const ofBurst = await timeInTurn(
    { analyse: wholeBurst, bareNetworks: () => again(runsOfBurst) },
    { rounds: Math.ceil(rounds / 5), warmUpRounds: 2 },
  )

  for (const network of opened) await network.close()
  const result = {
    pack: pack.name,
    pictureBytes: bytes.length,
    engineStartMs,
    stages,
    picture: wholeOf(analyse, bareNetworks),
    bareNetwork,
    burst: wholeOf(ofBurst.analyse, ofBurst.bareNetworks),
  }
  const reference: Reference = {
    run: () => again(runsOfPicture),
    close: async () => {
      for (const network of bare) await network.close()
    },
  }
  return { stages: result, reference }
}

function wholeOf(analyse: Timing, bareNetworks: Timing): Whole {
  return {
    analyse,
    bareNetworks,
    ratio: analyse.cpuMs / bareNetworks.cpuMs,
    overheadCpuMs: analyse.cpuMs - bareNetworks.cpuMs,
  }
}
