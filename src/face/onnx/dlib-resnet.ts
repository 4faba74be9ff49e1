import { readFileSync } from 'node:fs'
import { createGraphWriter } from './graph-writer.ts'
import { outputChannelsFirst } from './tfjs-graph.ts'
import { readWeights, type WeightsManifestGroup } from './tfjs-weights.ts'

/**
 * Builds the dlib-style face ResNet (150x150 RGB -> 128) as an ONNX model from the weights that face-api ships.
 * Those weights come without a graph; the layers are dlib's `anet_type` (dlib, dnn_face_recognition_ex.cpp).
 * Each convolution's scale layer is folded into its filters and bias.
 */
export function buildDlibResnet(manifestPath: string): Uint8Array {
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as WeightsManifestGroup[]
  const weights = readWeights(manifest, manifestPath)
  const graph = createGraphWriter('dlib-resnet')

  interface Value {
    name: string
    channels: number
    /** Height and width in pixels. */
    side: number
  }

  function convolution(x: Value, layer: string, stride: 1 | 2): Value {
    const filters = weight(`${layer}/conv/filters`)
    const scale = weight(`${layer}/scale/weights`).values
    const offset = weight(`${layer}/scale/biases`).values
    const bias = weight(`${layer}/conv/bias`).values.map((b, o) => b * scale[o] + offset[o])
    const scaled = filters.values.map((w, index) => w * scale[index % scale.length])
    const [values, shape] = outputChannelsFirst({ shape: filters.shape, values: scaled })
    const name = graph.node(
      'Conv',
      [x.name, graph.floats(values, shape), graph.floats(bias, [bias.length])],
      {
        strides: [stride, stride],
        auto_pad: stride === 2 ? 'VALID' : 'SAME_UPPER',
      },
    )
    const side = stride === 2 ? Math.floor((x.side - shape[2]) / 2) + 1 : x.side
    return { name, channels: shape[0], side }
  }

  const relu = (x: Value): Value => ({ ...x, name: graph.node('Relu', [x.name]) })
  const add = (x: Value, name: string): Value => ({ ...x, name: graph.node('Add', [x.name, name]) })

  function residual(x: Value, layer: string): Value {
    const inner = relu(convolution(x, `${layer}/conv1`, 1))
    return relu(add(convolution(inner, `${layer}/conv2`, 1), x.name))
  }

  /** Halves the side; the shortcut is averaged, and whichever of the two is smaller is filled up with zeros. */
  function residualDown(x: Value, layer: string): Value {
    const inner = relu(convolution(x, `${layer}/conv1`, 2))
    const out = convolution(inner, `${layer}/conv2`, 1)
    const pooledSide = Math.floor(x.side / 2)
    const pooled = graph.node('AveragePool', [x.name], { kernel_shape: [2, 2], strides: [2, 2] })
    const shortcut = padEnd(pooled, out.channels - x.channels, 0)
    const main = padEnd(out.name, 0, pooledSide - out.side)
    return relu(add({ name: main, channels: out.channels, side: pooledSide }, shortcut))
  }

  function padEnd(name: string, channels: number, pixels: number): string {
    if (channels === 0 && pixels === 0) return name
    return graph.node('Pad', [name, graph.integers([0, 0, 0, 0, 0, channels, pixels, pixels])])
  }

  function weight(name: string): { shape: number[]; values: Float32Array } {
    const tensor = weights.get(name)
    if (!(tensor?.values instanceof Float32Array)) throw new Error(`${manifestPath}: no float weight ${name}`)
    return { shape: tensor.shape, values: tensor.values }
  }

  const input = { name: graph.input('input', [-1, 3, 150, 150]), channels: 3, side: 150 }
  const stem = relu(convolution(input, 'conv32_down', 2))
  const pooled = graph.node('MaxPool', [stem.name], { kernel_shape: [3, 3], strides: [2, 2] })
  let x: Value = { ...stem, name: pooled, side: Math.floor((stem.side - 3) / 2) + 1 }
  for (const layer of ['conv32_1', 'conv32_2', 'conv32_3']) x = residual(x, layer)
  x = residualDown(x, 'conv64_down')
  for (const layer of ['conv64_1', 'conv64_2', 'conv64_3']) x = residual(x, layer)
  x = residualDown(x, 'conv128_down')
  for (const layer of ['conv128_1', 'conv128_2']) x = residual(x, layer)
  x = residualDown(x, 'conv256_down')
  for (const layer of ['conv256_1', 'conv256_2']) x = residual(x, layer)
  x = residualDown(x, 'conv256_down_out')
  const average = graph.node('ReduceMean', [x.name], { axes: [2, 3], keepdims: 0 })
  const { values, shape } = weight('fc')
  graph.output('embedding', graph.node('MatMul', [average, graph.floats(values, shape)]))
  return graph.toBytes()
}
