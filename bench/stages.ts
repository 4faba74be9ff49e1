/** What looking at one picture costs, stage by stage, held against the same networks with nothing around them. */
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { decode } from '../src/face/decode.ts'
import { embedFace } from '../src/face/embed.ts'
import { openNetworks, startEngine } from '../src/face/engine.ts'
import { fitMesh, fivePoints, poseOf } from '../src/face/mesh.ts'
import { openNetwork, sessionOptions } from '../src/face/onnx/session.ts'
import { humanV1 } from '../src/face/packs/human-v1.ts'
import { findFaces, rivalsOf } from '../src/face/pipeline.ts'
import { assessQuality } from '../src/face/quality.ts'
import { kioskPicture } from './people.ts'
import { type Timing, timeInTurn } from './timing.ts'

export interface StagesResult {
  pictureBytes: number
  engineStartMs: number
  stages: Record<'decode' | 'detect' | 'mesh' | 'quality' | 'align+embed', Timing>
  analyse: Timing
  /** One `session.run` each on tensors made before: blazeface, facemesh, and two crops for faceres and the ResNet. */
  bareNetworks: Timing
  bareNetwork: Record<string, Timing>
  /** CPU time of `analyse` over that of the bare networks. */
  ratio: number
  overheadCpuMs: number
}

/** A session as the engine's, and the first input that the engine gave it. */
interface Bare {
  name: string
  run(): Promise<unknown>
  feed(input: Float32Array, shape: number[]): void
  close(): Promise<void>
}

/** The bare networks, one run each: the reference of everything that looks at a picture. */
export interface Reference {
  run(): Promise<void>
  close(): Promise<void>
}

/** Measures the stages. The caller closes the reference, which it may go on using. */
export async function benchStages(rounds = 101): Promise<{ stages: StagesResult; reference: Reference }> {
  const start = performance.now()
  const engine = await startEngine()
  const engineStartMs = performance.now() - start

  const bare: Bare[] = []
  const networks = await openNetworks(humanV1, undefined, async (name, model, outputs) => {
    const network = await openNetwork(name, model, outputs)
    const alone = await openBare(name, model, outputs)
    bare.push(alone)
    return {
      ...network,
      run: (input, shape) => {
        alone.feed(input, shape)
        return network.run(input, shape)
      },
    }
  })

  const bytes = await kioskPicture('frontal')
  const picture = await decode(bytes)
  const [detection] = rivalsOf(await findFaces(humanV1.detector, networks.detector, picture))
  const mesh = await fitMesh(networks.mesh, picture, detection)
  const points = fivePoints(mesh)
  const embed = async () => {
    for (const [index, spec] of humanV1.embedders.entries())
      await embedFace(networks.embedders[index], spec, picture, points)
  }
  await embed()

  const reference: Reference = {
    run: async () => {
      for (const network of bare) await network.run()
    },
    close: async () => {
      for (const network of bare) await network.close()
    },
  }
  const options = { rounds, warmUpRounds: 10 }
  const { analyse, bareNetworks, ...stages } = await timeInTurn(
    {
      decode: () => decode(bytes),
      detect: () => findFaces(humanV1.detector, networks.detector, picture),
      mesh: () => fitMesh(networks.mesh, picture, detection),
      quality: () => assessQuality(picture, detection, mesh, poseOf(mesh)),
      'align+embed': embed,
      analyse: () => engine.analyse(bytes),
      bareNetworks: reference.run,
    },
    options,
  )
  const bareNetwork = await timeInTurn(Object.fromEntries(bare.map(({ name, run }) => [name, run])), options)

  await engine.close()
  for (const network of [networks.detector, networks.mesh, ...networks.embedders]) await network.close()
  const result = {
    pictureBytes: bytes.length,
    engineStartMs,
    stages,
    analyse,
    bareNetworks,
    bareNetwork,
    ratio: analyse.cpuMs / bareNetworks.cpuMs,
    overheadCpuMs: analyse.cpuMs - bareNetworks.cpuMs,
  }
  return { stages: result, reference }
}

async function openBare(name: string, model: Uint8Array, outputs?: string[]): Promise<Bare> {
  const session = await InferenceSession.create(model, sessionOptions)
  let input: Record<string, Tensor> | undefined
  return {
    name,
    run: () => session.run(input!, outputs ?? session.outputNames),
    feed: (values, shape) => {
      input ??= { [session.inputNames[0]]: new Tensor('float32', values, shape) }
    },
    close: () => session.release(),
  }
}
