import { readFileSync } from 'node:fs'
import { createGraphWriter } from './graph-writer.ts'
import { readWeights, type WeightsManifestGroup } from './tfjs-weights.ts'

interface TfjsNode {
  name: string
  op: string
  input?: string[]
  attr?: Record<string, TfjsAttribute>
}

interface TfjsAttribute {
  s?: string
  b?: boolean
  list?: { s?: string[]; i?: string[] }
}

interface TfjsModel {
  modelTopology: { node: TfjsNode[] }
  weightsManifest: WeightsManifestGroup[]
}

export interface GraphModelSource {
  /** The model's .json; its weight files lie beside it. */
  path: string
  /** Name and shape of the input, as channels x height x width. */
  input: { name: string; shape: [number, number, number] }
  /** Name of each wanted output in the new model -> name of the node that makes it. The rest is left out. */
  outputs: Record<string, string>
  /** The number of images in a run: 1 where the graph's own reshapes fix it, else -1 for any. */
  batch: 1 | -1
}

/**
 * Translates a TensorFlow.js graph model into an ONNX model, in memory.
 *
 * Runs channels first (NCHW) inside, because that is what ONNX convolutions take: the input is
 * [batch, channels, height, width], and a 4-D value is turned back to NHWC before it is reshaped.
 * Throws for an operator that it does not know, naming the operator, the node and the model.
 */
export function translateGraphModel(source: GraphModelSource): Uint8Array {
  const model = JSON.parse(readFileSync(source.path, 'utf8')) as TfjsModel
  const weights = readWeights(model.weightsManifest, source.path)
  const nodes = new Map(model.modelTopology.node.map((node) => [node.name, node]))
  const graph = createGraphWriter(source.path.split('/').at(-1) ?? 'model')
  const translated = new Map<string, string>()

  const input = graph.input('input', [source.batch, ...source.input.shape])

  /** The ONNX name of a node's output; translates the node and what it needs at the first call. */
  function value(reference: string): string {
    const name = reference.split(':')[0]
    let output = translated.get(name)
    if (output === undefined) {
      output = translate(nodeOf(name))
      translated.set(name, output)
    }
    return output
  }

  function translate(node: TfjsNode): string {
    const from = (node.input ?? []).filter((name) => !name.startsWith('^'))
    switch (node.op) {
      case 'Placeholder':
        if (node.name !== source.input.name) throw new Error(`${source.path}: unexpected input ${node.name}`)
        return input
      case 'Identity':
        return value(from[0])
      case 'Const':
        return channelConstant(node.name)
      case 'Conv2D':
      case '_FusedConv2D':
        return convolution(node, from)
      case 'DepthwiseConv2dNative':
        return depthwiseConvolution(node, from)
      case 'Add':
      case 'AddV2':
        return graph.node('Add', [value(from[0]), value(from[1])])
      case 'Mul':
        return graph.node('Mul', [value(from[0]), value(from[1])])
      case 'Relu':
        return graph.node('Relu', [value(from[0])])
      case 'Minimum':
        return graph.node('Min', [value(from[0]), value(from[1])])
      case 'Maximum':
        return maximum(from)
      case 'Prelu':
        return prelu(value(from[0]), from[1])
      case 'Sigmoid':
        return graph.node('Sigmoid', [value(from[0])])
      case 'MaxPool':
        return graph.node('MaxPool', [value(from[0])], {
          kernel_shape: spatial(node, 'ksize'),
          strides: spatial(node, 'strides'),
          auto_pad: padding(node),
        })
      case 'Pad':
        return pad(from)
      case 'Mean':
        return mean(node, from)
      case 'Reshape': {
        const channelsLast = graph.node('Transpose', [value(from[0])], { perm: [0, 2, 3, 1] })
        return graph.node('Reshape', [channelsLast, graph.integers(integers(from[1]))])
      }
      default:
        throw new Error(`${source.path}: cannot translate the operator ${node.op} of ${node.name}`)
    }
  }

  function convolution(node: TfjsNode, from: string[]): string {
    const fused = (node.attr?.fused_ops?.list?.s ?? []).map(decodeText)
    const inputs = [value(from[0]), graph.floats(...outputChannelsFirst(weight(from[1])))]
    if (fused.includes('BiasAdd')) {
      const bias = weight(from[2])
      inputs.push(graph.floats(bias.values, [bias.values.length]))
    }
    const out = graph.node('Conv', inputs, {
      strides: spatial(node, 'strides'),
      dilations: spatial(node, 'dilations'),
      auto_pad: padding(node),
    })
    const activation = fused.find((name) => name !== 'BiasAdd')
    switch (activation) {
      case undefined:
        return out
      case 'Relu':
        return graph.node('Relu', [out])
      case 'Relu6':
        return clip(out, 0, 6)
      case 'Prelu':
        return prelu(out, from[3])
      default:
        throw new Error(`${source.path}: cannot translate the activation ${activation} of ${node.name}`)
    }
  }

  function depthwiseConvolution(node: TfjsNode, from: string[]): string {
    const { values, shape } = weight(from[1])
    const [height, width, channels, multiplier] = shape
    const filters = new Float32Array(values.length)
    const area = height * width
    const maps = channels * multiplier
    for (let position = 0; position < area; position++)
      for (let map = 0; map < maps; map++) filters[map * area + position] = values[position * maps + map]
    return graph.node('Conv', [value(from[0]), graph.floats(filters, [maps, 1, height, width])], {
      strides: spatial(node, 'strides'),
      dilations: spatial(node, 'dilations'),
      auto_pad: padding(node),
      group: channels,
    })
  }

  /** max(min(relu(x), 6), 0) is one Clip, which ONNX Runtime fuses into the convolution before it. */
  function maximum(from: string[]): string {
    const inner = nodeOf(from[0])
    const innermost = inner.op === 'Minimum' ? nodeOf(inner.input![0]) : undefined
    if (innermost?.op === 'Relu' && scalar(from[1]) === 0)
      return clip(value(innermost.input![0]), 0, scalar(inner.input![1]))
    return graph.node('Max', [value(from[0]), value(from[1])])
  }

  function clip(x: string, low: number, high: number): string {
    return graph.node('Clip', [
      x,
      graph.floats(Float32Array.of(low), []),
      graph.floats(Float32Array.of(high), []),
    ])
  }

  /** a*x + (1-a)*relu(x): the same as PRelu for every slope a, and several times faster in ONNX Runtime's CPU kernels. */
  function prelu(x: string, slopeName: string): string {
    const slope = weight(slopeName).values
    const shape = [slope.length, 1, 1]
    const rest = slope.map((a) => 1 - a)
    const linear = graph.node('Mul', [x, graph.floats(slope, shape)])
    const positive = graph.node('Mul', [graph.node('Relu', [x]), graph.floats(rest, shape)])
    return graph.node('Add', [linear, positive])
  }

  function pad(from: string[]): string {
    const [n0, n1, h0, h1, w0, w1, c0, c1] = integers(from[1])
    return graph.node('Pad', [value(from[0]), graph.integers([n0, c0, h0, w0, n1, c1, h1, w1])])
  }

  function mean(node: TfjsNode, from: string[]): string {
    if (integers(from[1]).join() !== '1,2' || node.attr?.keep_dims?.b)
      throw new Error(`${source.path}: cannot translate the mean ${node.name}: only over height and width`)
    return graph.node('ReduceMean', [value(from[0])], { axes: [2, 3], keepdims: 0 })
  }

  /** A constant that meets an NCHW value: a scalar as it is, one value per channel as [channels, 1, 1]. */
  function channelConstant(name: string): string {
    const { values, shape } = weight(name)
    const channels = shape.at(-1) ?? 1
    if (values.length !== channels) throw new Error(`${source.path}: ${name} is not one value per channel`)
    return graph.floats(values, channels === 1 ? [] : [channels, 1, 1])
  }

  function nodeOf(reference: string): TfjsNode {
    const node = nodes.get(reference.split(':')[0])
    if (!node) throw new Error(`${source.path}: there is no node ${reference}`)
    return node
  }

  function weight(name: string): { shape: number[]; values: Float32Array } {
    const tensor = weights.get(name)
    if (!(tensor?.values instanceof Float32Array)) throw new Error(`${source.path}: no float weight ${name}`)
    return { shape: tensor.shape, values: tensor.values }
  }

  function integers(name: string): number[] {
    const tensor = weights.get(name)
    if (!(tensor?.values instanceof Int32Array))
      throw new Error(`${source.path}: no integer constant ${name}`)
    return Array.from(tensor.values)
  }

  function scalar(name: string): number {
    const { values } = weight(name)
    if (values.length !== 1) throw new Error(`${source.path}: ${name} is not a scalar`)
    return values[0]
  }

  for (const [name, node] of Object.entries(source.outputs)) graph.output(name, value(node))
  return graph.toBytes()
}

/** Convolution filters from [height, width, in, out] to [out, in, height, width]. */
export function outputChannelsFirst(filters: {
  shape: number[]
  values: Float32Array
}): [Float32Array, number[]] {
  const [height, width, input, output] = filters.shape
  const area = height * width
  const out = new Float32Array(filters.values.length)
  for (let position = 0; position < area; position++)
    for (let i = 0; i < input; i++)
      for (let o = 0; o < output; o++)
        out[(o * input + i) * area + position] = filters.values[(position * input + i) * output + o]
  return [out, [output, input, height, width]]
}

const decodeText = (base64: string) => Buffer.from(base64, 'base64').toString()

function padding(node: TfjsNode): string {
  const kind = decodeText(node.attr?.padding?.s ?? '')
  if (kind === 'SAME') return 'SAME_UPPER'
  if (kind === 'VALID') return 'VALID'
  throw new Error(`cannot translate the padding ${kind} of ${node.name} (${node.op})`)
}

/** The height and width entries of an NHWC list attribute. */
function spatial(node: TfjsNode, attribute: string): number[] {
  const list = node.attr?.[attribute]?.list?.i ?? ['1', '1', '1', '1']
  return [Number(list[1]), Number(list[2])]
}
