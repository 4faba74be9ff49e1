import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { compileFunction } from 'node:vm'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { type GraphModel, loadGraphModel } from '@tensorflow/tfjs-converter'
import * as tf from '@tensorflow/tfjs-core'

/**
 * What the networks must agree with: the TensorFlow.js library on the models' own files, and face-api's own code for
 * the ResNet that has no graph. Nothing in here comes from src/.
 */

const require = createRequire(import.meta.url)

export async function startTensorFlow(): Promise<void> {
  setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`)
  if (!(await tf.setBackend('wasm'))) throw new Error('the WASM backend of TensorFlow.js does not start')
}

/** An image or a batch of them as [batch, height, width, 3]. */
export type Images = tf.Tensor4D

export const images = (values: Float32Array, batch: number, side: number): Images =>
  tf.tensor4d(values, [batch, side, side, 3])

/** A graph model from its .json; runs it for the named nodes. */
export async function loadGraph(path: string): Promise<(input: Images, nodes: string[]) => Float32Array[]> {
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(path, 'utf8'))
  const model: GraphModel = await loadGraphModel({
    load: async () => ({ modelTopology, ...weightsOf(weightsManifest, path) }),
  })
  return (input, nodes) =>
    tf.tidy(() => {
      const outputs = model.execute({ [model.inputs[0].name]: input }, nodes)
      return (Array.isArray(outputs) ? outputs : [outputs]).map((output) => output.dataSync() as Float32Array)
    })
}

function weightsOf(manifest: tf.io.WeightsManifestConfig, path: string) {
  const files = manifest.flatMap((group) => group.paths)
  const bytes = Uint8Array.from(Buffer.concat(files.map((file) => readFileSync(join(dirname(path), file)))))
  return { weightSpecs: manifest.flatMap((group) => group.weights), weightData: bytes.buffer }
}

/** face-api's FaceRecognitionNet: takes RGB 0..255, 150 x 150, and subtracts the mean itself. */
export function loadFaceApi(path: string): (input: Images) => Promise<Float32Array[]> {
  chainWhatFaceApiChains()
  const library = require.resolve('@vladmandic/face-api').replace('face-api.node.js', 'face-api.node-wasm.js')
  const compiled = compileFunction(readFileSync(library, 'utf8'), ['module', 'exports', 'require'])
  const module: { exports: FaceApi } = { exports: {} as FaceApi }
  // The bundle asks for the union package of TensorFlow.js; its core is all that this network needs.
  compiled(module, module.exports, (id: string) => (id === '@tensorflow/tfjs' ? tf : require(id)))
  const network = new module.exports.FaceRecognitionNet()
  const { weightSpecs, weightData } = weightsOf(JSON.parse(readFileSync(path, 'utf8')), path)
  network.loadFromWeightMap(tf.io.decodeWeights(weightData, weightSpecs))
  return async (input) => {
    const output = await network.forward(tf.unstack(input))
    return tf.unstack(output).map((one) => one.dataSync() as Float32Array)
  }
}

interface FaceApi {
  FaceRecognitionNet: new () => {
    loadFromWeightMap(weights: tf.NamedTensorMap): void
    forward(input: tf.Tensor[]): Promise<tf.Tensor2D>
  }
}

/** The union package hangs the operations on the tensors, the core does not: those that the network calls. */
function chainWhatFaceApiChains(): void {
  Object.assign(tf.Tensor.prototype, {
    div(this: tf.Tensor, by: tf.TensorLike) {
      return tf.div(this, by)
    },
    mean(this: tf.Tensor, axes: number[]) {
      return tf.mean(this, axes)
    },
    as3D(this: tf.Tensor, ...sides: [number, number, number]) {
      return tf.reshape(this, sides)
    },
    as4D(this: tf.Tensor, ...sides: [number, number, number, number]) {
      return tf.reshape(this, sides)
    },
  })
}
