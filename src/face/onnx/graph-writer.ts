import { bytes, float, integer, message, text } from './protobuf.ts'

/**
 * Writes an ONNX model as protobuf bytes. Field numbers are those of onnx.proto3 (IR version 8, opset 13);
 * only the dozen messages that the embedded pack needs.
 */

type Attribute = number | string | number[] | { float: number }

export interface GraphWriter {
  /** Adds a node with one output and returns the output's name. */
  node(operator: string, inputs: string[], attributes?: Record<string, Attribute>): string
  /** Adds a float32 constant of the given shape and returns its name. */
  floats(values: Float32Array, shape: number[]): string
  /** Adds a one-dimensional int64 constant and returns its name. */
  integers(values: number[]): string
  /** Declares a float32 input; a dimension of -1 is free. Returns its name. */
  input(name: string, shape: number[]): string
  /** Gives the value `from` the output name `name`. */
  output(name: string, from: string): void
  /** The finished model. */
  toBytes(): Uint8Array
}

export function createGraphWriter(graphName: string): GraphWriter {
  const nodes: Uint8Array[] = []
  const initializers: Uint8Array[] = []
  const inputs: Uint8Array[] = []
  const outputs: Uint8Array[] = []
  let count = 0
  const nextName = (kind: string) => `${kind}_${count++}`

  const writeNode = (operator: string, from: string[], to: string, attributes: Record<string, Attribute>) =>
    nodes.push(
      message([
        ...from.map((name) => text(1, name)),
        text(2, to),
        text(3, to),
        text(4, operator),
        ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
      ]),
    )

  return {
    node(operator, from, attributes = {}) {
      const name = nextName(operator)
      writeNode(operator, from, name, attributes)
      return name
    },
    floats(values, shape) {
      const size = shape.reduce((product, side) => product * side, 1)
      if (size !== values.length) throw new Error(`${values.length} values do not fill the shape [${shape}]`)
      const name = nextName('floats')
      initializers.push(
        tensor(name, 1, shape, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
      )
      return name
    },
    integers(values) {
      const name = nextName('integers')
      initializers.push(
        tensor(name, 7, [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer)),
      )
      return name
    },
    input(name, shape) {
      inputs.push(valueInfo(name, shape))
      return name
    },
    output(name, from) {
      writeNode('Identity', [from], name, {})
      outputs.push(valueInfo(name, null))
    },
    toBytes() {
      const graph = message([
        ...nodes.map((node) => bytes(1, node)),
        text(2, graphName),
        ...initializers.map((initializer) => bytes(5, initializer)),
        ...inputs.map((input) => bytes(11, input)),
        ...outputs.map((output) => bytes(12, output)),
      ])
      return message([integer(1, 8), bytes(8, message([text(1, ''), integer(2, 13)])), bytes(7, graph)])
    },
  }
}

function attribute(name: string, value: Attribute): Uint8Array {
  const kind = (type: number) => integer(20, type)
  if (typeof value === 'number') return message([text(1, name), integer(3, value), kind(2)])
  if (typeof value === 'string') return message([text(1, name), text(4, value), kind(3)])
  if (Array.isArray(value)) return message([text(1, name), ...value.map((i) => integer(8, i)), kind(7)])
  return message([text(1, name), float(2, value.float), kind(1)])
}

function tensor(name: string, type: number, shape: number[], raw: Uint8Array): Uint8Array {
  return message([...shape.map((side) => integer(1, side)), integer(2, type), text(8, name), bytes(9, raw)])
}

function valueInfo(name: string, shape: number[] | null): Uint8Array {
  const dimension = (side: number) => (side < 0 ? text(2, 'batch') : integer(1, side))
  const shapeField = shape ? [bytes(2, message(shape.map((side) => bytes(1, dimension(side)))))] : []
  return message([text(1, name), bytes(2, message([bytes(1, message([integer(1, 1), ...shapeField]))]))])
}
