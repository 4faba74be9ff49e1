import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import wasmUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url'
import { loadGraphModel } from '@tensorflow/tfjs-converter'
import * as tf from '@tensorflow/tfjs-core'
import weightsUrl from '../../node_modules/@vladmandic/human/models/blazeface.bin?url'
import model from '../../node_modules/@vladmandic/human/models/blazeface.json'
import { decodeBoxes, INPUT_SIDE_PX, MAX_OVERLAP } from '../../src/face/detect/blazeface-boxes.ts'
import { suppressOverlaps } from '../../src/face/detect/detection.ts'
import type { FaceBox } from './walk-up.ts'

/** Finds the faces in what the camera shows now, in its pixels. */
export type Detector = (video: HTMLVideoElement) => FaceBox[]

/** The network's outputs by the names that the decoding has for them. */
const outputs = { scores16: 'Identity', scores32: 'Identity_1', boxes16: 'Identity_2', boxes32: 'Identity_3' }
const names = Object.keys(outputs)

/** Loads the very network that the server finds faces with; it runs in the page, off line too. */
export async function loadDetector(): Promise<Detector> {
  setWasmPaths({
    'tfjs-backend-wasm.wasm': wasmUrl,
    'tfjs-backend-wasm-simd.wasm': wasmUrl,
    'tfjs-backend-wasm-threaded-simd.wasm': wasmUrl,
  })
  if (!(await tf.setBackend('wasm'))) throw new Error('this browser runs no WebAssembly')
  const weights = await fetch(weightsUrl)
  if (!weights.ok) throw new Error('the detector of faces could not be loaded')
  const network = await loadGraphModel({
    load: async () => ({
      modelTopology: model.modelTopology,
      weightSpecs: model.weightsManifest.flatMap((group) => group.weights) as tf.io.WeightsManifestEntry[],
      weightData: await weights.arrayBuffer(),
    }),
  })
  const canvas = new OffscreenCanvas(INPUT_SIDE_PX, INPUT_SIDE_PX)
  const context = canvas.getContext('2d', { willReadFrequently: true })!

  return (video) => {
    const [width, height] = [video.videoWidth, video.videoHeight]
    // The whole picture in the middle of the input, black around it, as the server has it.
    const scale = Math.max(width, height) / INPUT_SIDE_PX
    const [left, top] = [(INPUT_SIDE_PX - width / scale) / 2, (INPUT_SIDE_PX - height / scale) / 2]
    context.fillRect(0, 0, INPUT_SIDE_PX, INPUT_SIDE_PX)
    context.drawImage(video, left, top, width / scale, height / scale)
    const { data } = context.getImageData(0, 0, INPUT_SIDE_PX, INPUT_SIDE_PX)
    const arrays = tf.tidy(() => {
      const input = tf.tensor4d(valuesOf(data), [1, INPUT_SIDE_PX, INPUT_SIDE_PX, 3])
      const results = network.execute(input, Object.values(outputs)) as tf.Tensor[]
      return results.map((result) => result.dataSync()) as unknown as tf.TensorContainer
    }) as unknown as Float32Array[]
    const found = decodeBoxes(Object.fromEntries(names.map((name, index) => [name, arrays[index]])))
    return suppressOverlaps(found, MAX_OVERLAP).map(({ box, score }) => ({
      x: (box.x - left) * scale,
      y: (box.y - top) * scale,
      width: box.width * scale,
      height: box.height * scale,
      score,
    }))
  }
}

/** RGB from -1 to 1, without the canvas's alpha. */
function valuesOf(rgba: Uint8ClampedArray): Float32Array {
  const values = new Float32Array((rgba.length / 4) * 3)
  for (let pixel = 0, at = 0; pixel < rgba.length; pixel += 4)
    for (let channel = 0; channel < 3; channel++) values[at++] = rgba[pixel + channel] / 127.5 - 1
  return values
}
