import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createGraphWriter } from '../../src/face/onnx/graph-writer.ts'
import { replacePrelu } from '../../src/face/onnx/prelu.ts'
import { readFields, textsOf } from '../../src/face/onnx/protobuf.ts'
import { openNetwork } from '../../src/face/onnx/session.ts'
import { seededRandom } from '../../src/shared/seeded-random.ts'

const data = process.env.EVAL_DATA

async function answer(model: Uint8Array, input: Float32Array, shape: number[]): Promise<Float32Array> {
  const network = await openNetwork('model', model)
  const outputs = await network.run(input, shape)
  await network.close()
  return outputs[network.outputs[0]]
}

/** Field 7 of a model is its graph, whose field 1 are its nodes; their field 4 is the operator. */
function operators(model: Uint8Array): string[] {
  const graph = readFields(model).find(({ number }) => number === 7)!.value as Uint8Array
  const nodes = readFields(graph).filter(({ number }) => number === 1)
  return nodes.flatMap(({ value }) => textsOf(readFields(value as Uint8Array), 4))
}

/** Two channels, each with a slope of its own, twice in a row. */
function twice(slopes: number[]): Uint8Array {
  const graph = createGraphWriter('twice')
  const slope = graph.floats(Float32Array.from(slopes), [2, 1, 1])
  const once = graph.node('PRelu', [graph.input('x', [-1, 2, 1, 2]), slope])
  graph.output('y', graph.node('PRelu', [once, slope]))
  return graph.toBytes()
}

describe('a model without PRelu', () => {
  test('answers what the one with it does, by hand', async () => {
    const input = Float32Array.of(-4, 3, -4, 3)
    const rewritten = replacePrelu(twice([0.5, -0.25]))
    expect(operators(rewritten)).not.toContain('PRelu')
    // -4 * .5 * .5; 3; -4 * -.25 = 1, which is positive; 3.
    expect(await answer(rewritten, input, [1, 2, 1, 2])).toEqual(Float32Array.of(-1, 3, 1, 3))
    expect(await answer(twice([0.5, -0.25]), input, [1, 2, 1, 2])).toEqual(Float32Array.of(-1, 3, 1, 3))
  })

  test('is the model itself where there was none', () => {
    const graph = createGraphWriter('relu')
    graph.output('y', graph.node('Relu', [graph.input('x', [1])]))
    const model = graph.toBytes()
    expect(replacePrelu(model)).toBe(model)
  })

  test('is not made of what is cut off', () => {
    const model = twice([1, 1])
    expect(() => replacePrelu(model.subarray(0, model.length - 3))).toThrow(/ends in the middle/)
  })
})

test.runIf(data).each(['minifasnet_v2_2.7', 'minifasnet_v1se_4.0'])(
  'the real %s answers the same without PRelu',
  async (name) => {
    const model = readFileSync(join(data!, 'models', `${name}.onnx`))
    const random = seededRandom(1)
    const input = Float32Array.from({ length: 3 * 80 * 80 }, () => 255 * random())
    const rewritten = replacePrelu(model)
    expect(rewritten).not.toBe(model)
    const [before, after] = [
      await answer(model, input, [1, 3, 80, 80]),
      await answer(rewritten, input, [1, 3, 80, 80]),
    ]
    for (const [i, value] of before.entries()) expect(Math.abs(after[i] - value)).toBeLessThan(1e-4)
  },
)
