import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { createGraphWriter } from '../../src/face/onnx/graph-writer.ts'
import { openNetwork } from '../../src/face/onnx/session.ts'
import { translateGraphModel } from '../../src/face/onnx/tfjs-graph.ts'
import { readWeights } from '../../src/face/onnx/tfjs-weights.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { locate } from '../../src/face/packs/locate.ts'

const folder = mkdtempSync(join(tmpdir(), 'rollcall-onnx-'))
afterAll(() => rmSync(folder, { recursive: true }))

interface Weight {
  name: string
  shape: number[]
  values: Float32Array | Int32Array
}

/** Writes a TensorFlow.js graph model whose input is the placeholder `x`; returns the path of its .json. */
function writeGraph(node: object[], weights: Weight[] = []): string {
  const path = join(folder, 'tiny.json')
  const constants = weights.map(({ name }) => ({ name, op: 'Const' }))
  const entries = weights.map(({ name, shape, values }) => ({
    name,
    shape,
    dtype: values instanceof Int32Array ? 'int32' : 'float32',
  }))
  const modelTopology = { node: [{ name: 'x', op: 'Placeholder' }, ...constants, ...node] }
  writeFileSync(
    path,
    JSON.stringify({ modelTopology, weightsManifest: [{ paths: ['tiny.bin'], weights: entries }] }),
  )
  writeFileSync(
    join(folder, 'tiny.bin'),
    Buffer.concat(weights.map(({ values }) => Buffer.from(values.buffer))),
  )
  return path
}

const translate = (path: string, shape: [number, number, number]) =>
  translateGraphModel({ path, input: { name: 'x', shape }, outputs: { out: 'y' }, batch: 1 })

/** Runs a tiny graph's node `y` on an input of [channels, height, width]. */
async function run(path: string, shape: [number, number, number], input: number[]): Promise<number[]> {
  const network = await openNetwork('tiny', translate(path, shape), ['out'])
  const { out } = await network.run(Float32Array.from(input), [1, ...shape])
  await network.close()
  return Array.from(out)
}

describe('translating a TensorFlow.js graph', () => {
  test('refuses an unknown operator and names it, its node and the model', () => {
    const path = writeGraph([{ name: 'y', op: 'Rotate', input: ['x'] }])
    const message = expect.stringMatching(/tiny\.json.*Rotate.*\by\b/)
    expect(() => translate(path, [1, 1, 1])).toThrow(expect.objectContaining({ message }))
  })

  test('refuses an unknown activation of a fused convolution', () => {
    const weights = [{ name: 'w', shape: [1, 1, 1, 1], values: Float32Array.of(1) }]
    const attr = { fused_ops: { list: { s: [base64('Swish')] } }, padding: { s: base64('SAME') } }
    const path = writeGraph([{ name: 'y', op: '_FusedConv2D', input: ['x', 'w'], attr }], weights)
    expect(() => translate(path, [1, 1, 1])).toThrow(/tiny\.json.*Swish.*\by\b/)
  })

  test('refuses an output that no node makes', () => {
    expect(() => translate(writeGraph([]), [1, 1, 1])).toThrow(/tiny\.json.*\by\b/)
  })

  test('refuses an input by another name', () => {
    const source = {
      input: { name: 'z', shape: [1, 1, 1] as [number, number, number] },
      outputs: { out: 'x' },
    }
    expect(() => translateGraphModel({ ...source, path: writeGraph([]), batch: 1 })).toThrow(/input x/)
  })

  test('keeps the definition of PRelu for slopes of every sign', async () => {
    const slopes = [0.25, -1.5, 0, 1, 3]
    const path = writeGraph(
      [{ name: 'y', op: 'Prelu', input: ['x', 'slope'] }],
      [{ name: 'slope', shape: [1, 1, 5], values: Float32Array.from(slopes) }],
    )
    const values = [-2, -0.5, 0, 7]
    const out = await run(
      path,
      [5, 2, 2],
      slopes.flatMap(() => values),
    )
    expect(out).toEqual(slopes.flatMap((slope) => values.map((x) => (x > 0 ? x : slope * x + 0))))
  })

  test('reshapes in the order that TensorFlow has: channels last', async () => {
    const path = writeGraph(
      [{ name: 'y', op: 'Reshape', input: ['x', 'shape'] }],
      [{ name: 'shape', shape: [2], values: Int32Array.of(1, 8) }],
    )
    // Channel 0 is 1..4, channel 1 is 11..14.
    expect(await run(path, [2, 2, 2], [1, 2, 3, 4, 11, 12, 13, 14])).toEqual([1, 11, 2, 12, 3, 13, 4, 14])
  })

  test('pads an even kernel as TensorFlow does: more at the end', async () => {
    const attr = { padding: { s: base64('SAME') }, strides: { list: { i: ['1', '1', '1', '1'] } } }
    const path = writeGraph(
      [{ name: 'y', op: 'Conv2D', input: ['x', 'w'], attr }],
      [{ name: 'w', shape: [1, 2, 1, 1], values: Float32Array.of(1, 10) }],
    )
    expect(await run(path, [1, 1, 3], [1, 2, 3])).toEqual([21, 32, 3])
  })

  test('adds a constant per channel to its channel', async () => {
    const path = writeGraph(
      [{ name: 'y', op: 'AddV2', input: ['x', 'c'] }],
      [{ name: 'c', shape: [2], values: Float32Array.of(10, 20) }],
    )
    expect(await run(path, [2, 1, 2], [1, 2, 3, 4])).toEqual([11, 12, 23, 24])
  })

  test('turns max(min(relu(x), 6), 0) into the same numbers', async () => {
    const path = writeGraph(
      [
        { name: 'r', op: 'Relu', input: ['x'] },
        { name: 'm', op: 'Minimum', input: ['r', 'six'] },
        { name: 'y', op: 'Maximum', input: ['m', 'zero'] },
      ],
      [
        { name: 'six', shape: [], values: Float32Array.of(6) },
        { name: 'zero', shape: [], values: Float32Array.of(0) },
      ],
    )
    expect(await run(path, [1, 1, 4], [-3, 0.5, 6, 9])).toEqual([0, 0.5, 6, 6])
  })
})

describe('reading weights', () => {
  const manifestPath = join(folder, 'weights.json')
  const read = (bytes: Uint8Array, entry: object) => {
    writeFileSync(join(folder, 'weights.bin'), bytes)
    const weights = [{ name: 'w', dtype: 'float32', shape: [bytes.length], ...entry }]
    return readWeights([{ paths: ['weights.bin'], weights }], manifestPath).get('w')?.values
  }
  const bytesOf = (values: Uint16Array | Float32Array) => new Uint8Array(values.buffer)

  test('widens half precision: one, a third, the largest, the smallest, negative and infinite', () => {
    const halves = Uint16Array.of(0x3c00, 0x3555, 0x7bff, 0x0001, 0xc000, 0x7c00, 0x8000)
    const expected = [1, 0.333251953125, 65504, 2 ** -24, -2, Number.POSITIVE_INFINITY, -0]
    const entry = { shape: [7], quantization: { dtype: 'float16' } }
    expect(read(bytesOf(halves), entry)).toEqual(Float32Array.from(expected))
  })

  test('scales bytes', () => {
    const quantization = { dtype: 'uint8', scale: 0.5, min: -1 }
    expect(read(Uint8Array.of(0, 1, 255), { quantization })).toEqual(Float32Array.of(-1, -0.5, 126.5))
  })

  test('scales 16-bit numbers', () => {
    const quantization = { dtype: 'uint16', scale: 0.25, min: 10 }
    const values = read(bytesOf(Uint16Array.of(0, 4, 65535)), { shape: [3], quantization })
    expect(values).toEqual(Float32Array.of(10, 11, 16393.75))
  })

  test('refuses a scaled weight without its scale', () => {
    expect(() => read(Uint8Array.of(1), { quantization: { dtype: 'uint8' } })).toThrow(/scale/)
  })

  test('refuses a type that it does not know', () => {
    expect(() => read(Uint8Array.of(1), { dtype: 'complex64' })).toThrow(/weights\.json.*complex64/)
  })

  test.each([1, 4, 7])('refuses a file that lacks its last %i bytes', (lacking) => {
    const bytes = bytesOf(Float32Array.of(1, 2, 3)).subarray(0, 12 - lacking)
    expect(() => read(bytes, { shape: [3] })).toThrow(/weights\.json.*end before w/)
  })

  test('refuses a file with bytes left over', () => {
    expect(() => read(new Uint8Array(13), { shape: [3] })).toThrow(/1 bytes of weights are left over/)
  })

  test('refuses a file that is not there', () => {
    expect(() => readWeights([{ paths: ['none.bin'], weights: [] }], manifestPath)).toThrow(/none\.bin/)
  })
})

describe('a network', () => {
  /** out = x / x: 1, and not a number where x is 0. */
  function quotient(): Uint8Array {
    const graph = createGraphWriter('quotient')
    const x = graph.input('x', [-1, 2])
    graph.output('out', graph.node('Div', [x, x]))
    return graph.toBytes()
  }

  test('answers for whole batches', async () => {
    const network = await openNetwork('quotient', quotient(), ['out'])
    const { out } = await network.run(Float32Array.of(1, 2, -3, 4), [2, 2])
    expect(out).toEqual(Float32Array.of(1, 1, 1, 1))
  })

  test('that answers something that is not a number has failed', async () => {
    const network = await openNetwork('quotient', quotient(), ['out'])
    const failure = expect.objectContaining({ name: 'AppError', code: 'model_failure', status: 503 })
    await expect(network.run(Float32Array.of(1, 0), [1, 2])).rejects.toEqual(failure)
  })

  test('that answers infinity has failed', async () => {
    const graph = createGraphWriter('reciprocal')
    graph.output('out', graph.node('Reciprocal', [graph.input('x', [1])]))
    const network = await openNetwork('reciprocal', graph.toBytes(), ['out'])
    await expect(network.run(Float32Array.of(0), [1])).rejects.toMatchObject({ code: 'model_failure' })
  })

  test('works again after a failure', async () => {
    const network = await openNetwork('quotient', quotient(), ['out'])
    await expect(network.run(Float32Array.of(0, 0), [1, 2])).rejects.toMatchObject({ code: 'model_failure' })
    await expect(network.run(Float32Array.of(5, 6), [1, 2])).resolves.toEqual({ out: Float32Array.of(1, 1) })
  })

  test('given an input of the wrong shape has failed, and says nothing of its inside', async () => {
    const network = await openNetwork('quotient', quotient(), ['out'])
    const failure = network.run(Float32Array.of(1, 2, 3), [1, 3])
    await expect(failure).rejects.toMatchObject({ code: 'model_failure', details: {} })
    await expect(failure).rejects.toThrow('The face model quotient failed; try again.')
  })

  test('without the outputs that it should have is refused by their names', async () => {
    await expect(openNetwork('quotient', quotient(), ['out', 'rest'])).rejects.toThrow(/quotient.*rest/)
  })

  test('whose bytes are no model is refused', async () => {
    await expect(openNetwork('rubbish', Uint8Array.of(1, 2, 3), ['out'])).rejects.toThrow()
  })

  test('cut off in the middle is refused', async () => {
    const bytes = quotient()
    await expect(openNetwork('half', bytes.subarray(0, bytes.length / 2), ['out'])).rejects.toThrow()
  })
})

describe('locating a file of the pack', () => {
  const { blazeface } = humanV1.files

  test.each(Object.entries(humanV1.files))('finds %s as it was measured', (_, file) => {
    expect(locate(file, 'human-v1')).toContain(join('node_modules', '@vladmandic'))
    expect(locate(file, 'human-v1')).toContain(file.path)
  })

  test('refuses a file whose hash differs, and names it', () => {
    const altered = { ...blazeface, sha256: blazeface.sha256.replace(/^../, '00') }
    expect(() => locate(altered, 'human-v1')).toThrow(/blazeface\.json.*SHA-256/)
  })

  test('refuses a file whose size differs', () => {
    expect(() => locate({ ...blazeface, sizeBytes: 79039 }, 'human-v1')).toThrow(
      /blazeface\.json of the model pack human-v1 has 79038 bytes instead of 79039/,
    )
  })

  test('refuses a file that is missing, and says what to do', () => {
    expect(() => locate({ ...blazeface, path: 'models/none.json' }, 'human-v1')).toThrow(
      /none\.json of the model pack human-v1 is missing.*npm install/,
    )
  })
})

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
