import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fitSimilarity, invert, type Point, warp } from '../../src/face/align.ts'
import { decode } from '../../src/face/decode.ts'
import { blazefaceOutputs } from '../../src/face/detect/blazeface.ts'
import { startEngine } from '../../src/face/engine.ts'
import { fivePoints, meshOutputs } from '../../src/face/mesh.ts'
import { buildDlibResnet } from '../../src/face/onnx/dlib-resnet.ts'
import { openNetwork } from '../../src/face/onnx/session.ts'
import { translateGraphModel } from '../../src/face/onnx/tfjs-graph.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { placeOf } from '../../src/face/packs/locate.ts'
import { images, loadFaceApi, loadGraph, startTensorFlow } from './oracle.ts'
import { portrait } from './portraits.ts'

const { files } = humanV1

beforeAll(startTensorFlow)

describe.each([
  // The tolerance is the largest difference of any value; beside it the range that the values take.
  {
    model: 'blazeface',
    path: placeOf(files.blazeface),
    input: 'input',
    side: 256,
    range: [-1, 1],
    outputs: blazefaceOutputs,
    // Logits reach about 400, boxes are in pixels.
    tolerance: 2e-3,
  },
  {
    model: 'facemesh',
    path: placeOf(files.facemesh),
    input: 'input_1',
    side: 192,
    range: [0, 1],
    outputs: meshOutputs,
    // Pixels of the crop.
    tolerance: 1e-3,
  },
  {
    model: 'faceres',
    path: placeOf(files.faceres),
    input: 'input_1',
    side: 224,
    range: [-110, 140],
    outputs: { embedding: 'global_pooling/Mean' },
    tolerance: 2e-5,
  },
])('the translated $model', ({ model, path, input, side, range, outputs, tolerance }) => {
  const names = Object.keys(outputs)

  test.each([
    ['a face', faceValues],
    ['noise', noiseValues],
  ])('answers what TensorFlow.js answers to %s', async (_, valuesOf) => {
    const source = { path, input: { name: input, shape: [3, side, side] as [3, number, number] }, outputs }
    const network = await openNetwork(model, translateGraphModel({ ...source, batch: 1 }), names)
    const reference = await loadGraph(path)
    const values = scaled(await valuesOf(side), range)

    const expected = reference(images(values, 1, side), Object.values(outputs))
    const actual = await network.run(channelsFirst(values), [1, 3, side, side])

    for (const [i, name] of names.entries())
      expect(largestDifference(actual[name], expected[i]), name).toBeLessThan(tolerance)
    await network.close()
  })
})

describe('the rebuilt ResNet', () => {
  test.each([
    ['a face', faceValues],
    ['noise', noiseValues],
  ])("answers what face-api's own code answers to %s", async (_, valuesOf) => {
    const network = await openNetwork('resnet', buildDlibResnet(placeOf(files.resnet)), ['embedding'])
    const pixels = scaled(await valuesOf(150), [0, 255])

    const [expected] = await loadFaceApi(placeOf(files.resnet))(images(pixels, 1, 150))
    const { embedding } = await network.run(resnetInput(pixels), [1, 3, 150, 150])

    expect(embedding).toHaveLength(128)
    expect(largestDifference(embedding, expected)).toBeLessThan(2e-6)
    await network.close()
  })

  test('answers each picture of a batch as if it were alone', async () => {
    const network = await openNetwork('resnet', buildDlibResnet(placeOf(files.resnet)), ['embedding'])
    const one = resnetInput(scaled(await faceValues(150), [0, 255]))
    const other = resnetInput(scaled(await noiseValues(150), [0, 255]))

    const alone = [await network.run(one, [1, 3, 150, 150]), await network.run(other, [1, 3, 150, 150])]
    const { embedding } = await network.run(
      new Float32Array([one, other].flatMap((values) => [...values])),
      [2, 3, 150, 150],
    )

    expect(largestDifference(embedding.slice(0, 128), alone[0].embedding)).toBeLessThan(1e-6)
    expect(largestDifference(embedding.slice(128), alone[1].embedding)).toBeLessThan(1e-6)
    await network.close()
  })
})

describe('the stored vector', () => {
  let engine: Awaited<ReturnType<typeof startEngine>>
  beforeAll(async () => {
    engine = await startEngine()
  })
  afterAll(() => engine.close())

  // ArcFace's five points in its 112 x 112 crop, as models.md gives them, and where they lie in each network's crop.
  const template: Point[] = [
    [38.2946, 51.6963],
    [73.5318, 51.5014],
    [56.0252, 71.7366],
    [41.5493, 92.3655],
    [70.7299, 92.2041],
  ]
  const inFaceres = ([x, y]: Point): Point => [112 + (2 * x - 112) * 0.9, 112 + (2 * y - 112) * 0.9]
  const inResnet = ([x, y]: Point): Point => [
    75 + ((x * 150) / 112 - 75) * 1.12,
    75 + ((y * 150) / 112 - 75) * 1.12 - 19,
  ]

  /** The aligned crop and its mirror image, [2, side, side, 3], 0..255. */
  async function alignedPair(
    bytes: Buffer,
    side: number,
    place: (point: Point) => Point,
  ): Promise<Float32Array> {
    const analysis = await engine.analyse(bytes)
    if (analysis.kind !== 'face') throw new Error(analysis.kind)
    const toPicture = invert(fitSimilarity(fivePoints(analysis.face.mesh), template.map(place)))
    const crop = new Float32Array(3 * side * side)
    warp(await decode(bytes), toPicture, side, { order: 'RGB', mean: [0, 0, 0], deviation: 1 }, crop)
    return Float32Array.from({ length: 6 * side * side }, (_, i) => {
      const [image, y, x, channel] = [
        i / (3 * side * side),
        (i / (3 * side)) % side,
        (i / 3) % side,
        i % 3,
      ].map(Math.floor)
      return crop[channel * side * side + y * side + (image === 1 ? side - 1 - x : x)]
    })
  }

  async function storedVector(bytes: Buffer): Promise<Float32Array> {
    const analysis = await engine.analyse(bytes)
    if (analysis.kind !== 'face') throw new Error(analysis.kind)
    return analysis.face.vector
  }

  test.each(['frontal', 'blueLight'] as const)(
    'of %s begins with what faceres answers in TensorFlow.js',
    async (name) => {
      const bytes = await portrait(name)
      const caffeMean = [103.939, 116.779, 123.68]
      const rgb = await alignedPair(bytes, 224, inFaceres)
      const bgr = rgb.map((_, i) => rgb[i - (i % 3) + 2 - (i % 3)] - caffeMean[i % 3])

      const [both] = (await loadGraph(placeOf(files.faceres)))(images(bgr, 2, 224), ['global_pooling/Mean'])
      const sum = toUnit(added(toUnit(both.slice(0, 1024)), toUnit(both.slice(1024))))
      const expected = toUnit(sum.map((value) => Math.sqrt(Math.max(0, value))))

      expect(largestDifference((await storedVector(bytes)).slice(0, 1024), expected)).toBeLessThan(2e-6)
    },
  )

  test.each(['frontal', 'blueLight'] as const)(
    "of %s ends with what face-api's ResNet answers",
    async (name) => {
      const bytes = await portrait(name)
      const pair = images(await alignedPair(bytes, 150, inResnet), 2, 150)

      const [straight, mirrored] = await loadFaceApi(placeOf(files.resnet))(pair)
      const expected = toUnit(added(toUnit(straight), toUnit(mirrored)))

      expect(largestDifference((await storedVector(bytes)).slice(1024), expected)).toBeLessThan(1e-6)
    },
  )
})

/** The pixels of a face, [side, side, 3], 0..1. */
async function faceValues(side: number): Promise<Float32Array> {
  const pixels = await sharp(await portrait('frontal'))
    .resize(side, side)
    .removeAlpha()
    .raw()
    .toBuffer()
  return Float32Array.from(pixels, (value) => value / 255)
}

/** Even noise, 0..1, the same each time (mulberry32). */
async function noiseValues(side: number): Promise<Float32Array> {
  let state = 20
  return Float32Array.from({ length: side * side * 3 }, () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  })
}

const scaled = (values: Float32Array, [low, high]: number[]) =>
  values.map((value) => low + value * (high - low))

/** From [side, side, 3] to [3, side, side]. */
function channelsFirst(values: Float32Array): Float32Array {
  const area = values.length / 3
  return values.map((_, i) => values[(i % area) * 3 + Math.floor(i / area)])
}

function resnetInput(pixels: Float32Array): Float32Array {
  const mean = [122.782, 117.001, 104.298]
  return channelsFirst(pixels.map((value, i) => (value - mean[i % 3]) / 255))
}

const added = (one: Float32Array, other: Float32Array) => one.map((value, i) => value + other[i])
const toUnit = (vector: Float32Array) => {
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

function largestDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length)
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i])), 0)
}
