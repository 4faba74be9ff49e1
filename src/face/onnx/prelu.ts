import { bytes, type Field, heading, integer, message, readFields, text, textsOf } from './protobuf.ts'

// Field numbers of onnx.proto3.
const MODEL = { graph: 7, opset: 8 }
const OPSET = { domain: 1, version: 2 }
const GRAPH = { node: 1, initializer: 5 }
const NODE = { input: 1, output: 2, operator: 4 }
const TENSOR = { type: 2, name: 8, raw: 9 }
const FLOAT = 1

/** From this version of the operators on, PRelu and Mul broadcast alike. */
const MIN_OPSET = 9
/** Name of the constant 1. */
const ONE = 'prelu/one'

/**
 * Writes each PRelu of an ONNX model as a*x + (1-a)*relu(x), which is the same for any slope a and which ONNX Runtime
 * computes faster (docs/decisions/0011). Everything else stays as it is, byte by byte; a model without one is returned
 * itself. Throws an Error when the bytes are no model.
 */
export function replacePrelu(model: Uint8Array): Uint8Array {
  const fields = readFields(model)
  const graph = fields.find(({ number }) => number === MODEL.graph)
  if (!(graph?.value instanceof Uint8Array) || opsetOf(fields) < MIN_OPSET) return model
  const parts = readFields(graph.value)
  if (!parts.some(readPrelu)) return model
  const rewritten = parts.flatMap((part) => {
    const prelu = readPrelu(part)
    return prelu ? nodesFor(prelu) : [part.bytes]
  })
  rewritten.push(bytes(GRAPH.initializer, one))
  const length = rewritten.reduce((sum, part) => sum + part.length, 0)
  // In one go: a model has hundreds of megabytes, and each step less is a copy of them less.
  return message(
    fields.flatMap((field) =>
      field === graph ? [heading(MODEL.graph, length), ...rewritten] : [field.bytes],
    ),
  )
}

function opsetOf(model: Field[]): number {
  for (const { number, value } of model) {
    if (number !== MODEL.opset || typeof value === 'number') continue
    const opset = readFields(value)
    const version = opset.find((field) => field.number === OPSET.version)?.value
    if ((textsOf(opset, OPSET.domain)[0] ?? '') === '' && typeof version === 'number') return version
  }
  return 0
}

interface Prelu {
  input: string
  slope: string
  output: string
}

function readPrelu({ number, value }: Field): Prelu | undefined {
  if (number !== GRAPH.node || typeof value === 'number') return undefined
  const fields = readFields(value)
  if (textsOf(fields, NODE.operator)[0] !== 'PRelu') return undefined
  const [input, slope] = textsOf(fields, NODE.input)
  return { input, slope, output: textsOf(fields, NODE.output)[0] }
}

/** What hangs on the slope alone is folded into a constant when the model is loaded. */
function nodesFor({ input, slope, output }: Prelu): Uint8Array[] {
  const name = (part: string) => `${output}/prelu/${part}`
  return [
    node('Relu', [input], name('positive')),
    node('Sub', [ONE, slope], name('rest')),
    node('Mul', [slope, input], name('all')),
    node('Mul', [name('rest'), name('positive')], name('more')),
    node('Add', [name('all'), name('more')], output),
  ]
}

function node(operator: string, inputs: string[], output: string): Uint8Array {
  const fields = [
    ...inputs.map((input) => text(NODE.input, input)),
    text(NODE.output, output),
    text(NODE.operator, operator),
  ]
  return bytes(GRAPH.node, message(fields))
}

const one = message([
  integer(TENSOR.type, FLOAT),
  text(TENSOR.name, ONE),
  bytes(TENSOR.raw, new Uint8Array(Float32Array.of(1).buffer)),
])
