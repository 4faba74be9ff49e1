import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { decode, type Picture } from '../../src/face/decode.ts'
import { detectFaces } from '../../src/face/detect/detect.ts'
import { type Detection, intersectionOverUnion } from '../../src/face/detect/detection.ts'
import { decodeScrfd } from '../../src/face/detect/scrfd.ts'
import { decodeYolov8Face } from '../../src/face/detect/yolov8-face.ts'
import { decodeYunet } from '../../src/face/detect/yunet.ts'
import { openNetworks } from '../../src/face/engine.ts'
import { fitMesh, fivePoints, poseOf } from '../../src/face/mesh.ts'
import { createGraphWriter } from '../../src/face/onnx/graph-writer.ts'
import { type Network, openNetwork } from '../../src/face/onnx/session.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import type { DetectorSpec } from '../../src/face/packs/pack.ts'
import { findFaces, rivalsOf } from '../../src/face/pipeline.ts'
import { closeUp, cuts, type PortraitName, portrait } from './portraits.ts'

/** A folder of measuring data with weights, which is never part of the project. */
const data = process.env.EVAL_DATA

const spec = (kind: DetectorSpec['kind'], sidePx: number): DetectorSpec => ({
  kind,
  network: { file: 'detector', format: 'onnx' },
  sidePx,
  clearScore: 1,
})

/** Zeros but for `values` from a place on. */
function filled(length: number, at = 0, values: number[] = []): Float32Array {
  const out = new Float32Array(length)
  out.set(values, at)
  return out
}

const fivePairs = [1, 1, 2, 1, 1.5, 2, 1, 3, 2, 3]

/** What SCRFD answers to 64 x 64 pixels: 8, 4 and 2 cells a side, two anchors each. One face, at stride 16. */
function scrfdOutputs(): Float32Array[] {
  // Column 2, row 1: anchor (1 * 4 + 2) * 2, and the second of the cell.
  const anchor = 13
  return [
    filled(128),
    filled(32, anchor, [0.75]),
    filled(8),
    filled(512),
    filled(128, 4 * anchor, [1, 0.5, 2, 3]),
    filled(32),
    filled(1280),
    filled(320, 10 * anchor, fivePairs),
    filled(80),
  ]
}

describe('decoding', () => {
  test("SCRFD takes boxes as distances from the cell's corner, in strides", () => {
    // The corner of column 2, row 1 at stride 16 is (32, 16).
    expect(decodeScrfd(scrfdOutputs(), 64)).toEqual([
      {
        score: 0.75,
        box: { x: 16, y: 8, width: 48, height: 56 },
        points: [
          [48, 32],
          [64, 32],
          [56, 48],
          [48, 64],
          [64, 64],
        ],
      },
    ])
  })

  test('YuNet takes the root of class and objectness, and sizes as logarithms', () => {
    // At stride 8 of 64 pixels: cell 19 is column 3, row 2. The class is beyond 1 and counts as 1.
    const cell = 19
    const outputs = [
      filled(64, cell, [1.5]),
      filled(16),
      filled(4),
      filled(64, cell, [0.64]),
      filled(16),
      filled(4),
      filled(256, 4 * cell, [0.5, 0.25, Math.log(4), Math.log(2)]),
      filled(64),
      filled(16),
      filled(640, 10 * cell, fivePairs),
      filled(160),
      filled(40),
    ]
    const [face, ...others] = decodeYunet(outputs, 64)
    expect(others).toEqual([])
    expect(face.score).toBeCloseTo(0.8, 6)
    // Centre (3.5, 2.25) x 8, size 32 x 16.
    expect(face.box.x).toBeCloseTo(12, 5)
    expect(face.box.y).toBeCloseTo(10, 5)
    expect(face.box.width).toBeCloseTo(32, 5)
    expect(face.box.height).toBeCloseTo(16, 5)
    expect(face.points[0]).toEqual([32, 24])
    expect(face.points[4]).toEqual([40, 40])
  })

  test('YOLOv8-face reads a row for each value and a column for each candidate', () => {
    const candidates = [
      [10, 10, 4, 4, 0.44, ...Array.from({ length: 15 }, () => 0)],
      [100, 60, 40, 50, 0.9, ...[1, 2, 3, 4, 5].flatMap((k) => [80 + k, 50 + k, 0.5])],
    ]
    const output = Float32Array.from({ length: 40 }, (_, i) => candidates[i % 2][Math.floor(i / 2)])
    expect(decodeYolov8Face(output)).toEqual([
      {
        score: Math.fround(0.9),
        box: { x: 80, y: 35, width: 40, height: 50 },
        points: [
          [81, 51],
          [82, 52],
          [83, 53],
          [84, 54],
          [85, 55],
        ],
      },
    ])
  })
})

describe('a network that always sees the same face', () => {
  const gray: Picture = { data: new Uint8Array(256 * 128 * 3).fill(128), width: 256, height: 128 }

  /** A model whose outputs are constants; `batched` adds a batch dimension, as some exports do. */
  function constant(outputs: Float32Array[], values: number[], batched: boolean): Uint8Array {
    const graph = createGraphWriter('constant')
    graph.input('picture', [1, 3, 64, 64])
    for (const [index, output] of outputs.entries()) {
      const each = values[Math.floor(index / 3)]
      const shape = [...(batched ? [1] : []), output.length / each, each]
      // A letter after the number: the names are no order.
      graph.output(`${99 - index}a`, graph.floats(notZero(output), shape))
    }
    return graph.toBytes()
  }

  /** An output of zeros alone is a failure of the network. */
  const notZero = (values: Float32Array) => values.map((value) => value || 1e-9)

  test.each([false, true])('is read by the place of its outputs (batched: %s)', async (batched) => {
    const model = constant(scrfdOutputs(), [1, 4, 10], batched)
    const network = await openNetwork('scrfd', model)
    const [face] = await detectFaces(spec('scrfd', 64), network, gray)
    // 256 pixels on 64: four times as large, from the top left corner.
    expect(face.box.x).toBeCloseTo(64, 3)
    expect(face.box.y).toBeCloseTo(32, 3)
    expect(face.box.width).toBeCloseTo(192, 3)
    expect(face.points[2][0]).toBeCloseTo(224, 3)
    await network.close()
  })

  test('has its face elsewhere where the picture has a margin', async () => {
    const network = await openNetwork('scrfd', constant(scrfdOutputs(), [1, 4, 10], false))
    const [face] = await detectFaces(spec('scrfd', 64), network, gray, 0.5)
    // The picture takes half the input, 16 pixels from its edges: eight times as large, and (16 - 16) * 8 from the left.
    expect(face.box.x).toBeCloseTo(0, 3)
    expect(face.box.y).toBeCloseTo(-64, 3)
    expect(face.box.width).toBeCloseTo(384, 3)
    await network.close()
  })
})

describe.runIf(data)('with real weights', () => {
  const detectors: [name: string, spec: DetectorSpec, file: string][] = [
    ['SCRFD', spec('scrfd', 320), 'det_500m.onnx'],
    ['YuNet', spec('yunet', 640), 'yunet_2023mar_640.onnx'],
    ['YuNet of any size', spec('yunet', 320), 'yunet_s_dynamic.onnx'],
    ['YOLOv8-face', spec('yolov8-face', 640), 'yolov8-lite-t-face_1x20x8400.onnx'],
  ]
  const networks = new Map<string, Network>()
  let blazeface: Network
  let mesh: Network
  beforeAll(async () => {
    const opened = await openNetworks(humanV1)
    blazeface = opened.detector
    mesh = opened.mesh
    for (const [name, , file] of detectors)
      networks.set(name, await openNetwork(name, readFileSync(join(data!, 'models', file))))
  })

  const people = (Object.keys(cuts) as PortraitName[]).filter((name) => name !== 'profile')
  const theOnly = (faces: Detection[]): Detection => {
    expect(rivalsOf(faces)).toHaveLength(1)
    return rivalsOf(faces)[0]
  }

  test.each(detectors)(
    '%s sees the faces that BlazeFace sees, and the mesh fits them alike',
    async (name, its) => {
      for (const person of people) {
        const picture = await decode(await portrait(person))
        const one = theOnly(await findFaces(its, networks.get(name)!, picture))
        const other = theOnly(await findFaces(humanV1.detector, blazeface, picture))
        expect(intersectionOverUnion(one.box, other.box), person).toBeGreaterThan(0.5)
        const [mine, its5] = [await fitMesh(mesh, picture, one), await fitMesh(mesh, picture, other)]
        expect(mine.presence, person).toBeGreaterThan(0.95)
        const [pose, expected] = [poseOf(mine), poseOf(its5)]
        // The eyes of a head that lies on its side are rough; the mesh looks again there.
        const lies = Math.abs(expected.roll) > 30
        for (const angle of ['yaw', 'pitch', 'roll'] as const)
          expect(Math.abs(pose[angle] - expected[angle]), `${angle} of ${person}`).toBeLessThan(lies ? 8 : 6)
        if (lies) continue
        // YuNet's 75,000 weights put them roughly, which is why the mesh, and not they, aligns the face.
        const near = its.kind === 'yunet' ? 0.35 : 0.25
        const points = fivePoints(its5)
        const eyes = Math.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1])
        for (const [i, [x, y]] of one.points.entries())
          expect(
            Math.hypot(x - points[i][0], y - points[i][1]) / eyes,
            `point ${i} of ${person}`,
          ).toBeLessThan(near)
      }
    },
  )

  test.each(detectors)('%s finds one face where it fills the frame', async (name, its) => {
    for (const person of people)
      for (const margin of [0.1, 0.25])
        theOnly(await findFaces(its, networks.get(name)!, await decode(await closeUp(person, margin))))
  })

  test.each(detectors)('%s misses none of twenty photos that were cut to the face', async (name, its) => {
    const network = networks.get(name)!
    const folder = join(data!, 'faces')
    const identities = readdirSync(folder).filter((entry) =>
      existsSync(join(folder, entry, `${entry}_0001.jpg`)),
    )
    for (const identity of identities.slice(0, 20)) {
      const bytes = readFileSync(join(folder, identity, `${identity}_0001.jpg`))
      const [whole] = rivalsOf(
        await findFaces(spec('scrfd', 320), networks.get('SCRFD')!, await decode(bytes)),
      )
      const [left, top] = [Math.max(0, Math.floor(whole.box.x)), Math.max(0, Math.floor(whole.box.y))]
      const width = Math.min(250 - left, Math.ceil(whole.box.width))
      const height = Math.min(250 - top, Math.ceil(whole.box.height))
      const tight = await sharp(bytes).extract({ left, top, width, height }).resize(480).png().toBuffer()
      const face = theOnly(await findFaces(its, network, await decode(tight)))
      const [right, leftEye] = face.points.map(([x]) => (x * width) / 480 + left)
      expect(Math.abs(right - whole.points[0][0]), identity).toBeLessThan(10)
      expect(Math.abs(leftEye - whole.points[1][0]), identity).toBeLessThan(10)
    }
  })

  test.each(detectors)('%s sees no face in black, gray and stripes', async (name, its) => {
    for (const value of [() => 0, () => 128, (i: number) => (Math.floor(i / 30) % 2) * 255]) {
      const pixels = Uint8Array.from({ length: 320 * 240 * 3 }, (_, i) => value(i))
      expect(await findFaces(its, networks.get(name)!, { data: pixels, width: 320, height: 240 })).toEqual([])
    }
  })
})
