import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Picture } from '../../src/face/decode.ts'
import { type EmbedderSpec, embedFace } from '../../src/face/embed.ts'
import { type FaceEngine, openNetworks, startEngine } from '../../src/face/engine.ts'
import { openNetwork } from '../../src/face/onnx/session.ts'
import { findPack, minifasnet, packs } from '../../src/face/packs/catalogue.ts'
import { measuredOf, measuredPath } from '../../src/face/packs/measured.ts'
import type { Measured, Pack } from '../../src/face/packs/pack.ts'
import { portrait } from './portraits.ts'
import { tinyEmbedder, tinyPad, writeTinyPack } from './tiny-pack.ts'

const data = process.env.EVAL_DATA

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rollcall-packs-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function withEngine<Result>(
  pack: Pack,
  work: (engine: FaceEngine) => Promise<Result>,
): Promise<Result> {
  const engine = await startEngine({ pack, modelPath: folder })
  try {
    return await work(engine)
  } finally {
    await engine.close()
  }
}

describe('the catalogue', () => {
  test.each(packs.map((pack) => [pack.name, pack] as const))('declares all of %s', (name, pack) => {
    expect(findPack(name)).toBe(pack)
    const networks = [pack.detector, ...pack.embedders, ...pack.pad].map(({ network }) => network)
    for (const { file } of [...networks, { file: 'facemesh' }]) expect(pack.files).toHaveProperty(file)
    expect(pack.embedders.reduce((sum, { dimension }) => sum + dimension, 0)).toBe(pack.dimension)
  })

  test('pins each file by a hash, and gives it a name of its own', () => {
    const files = [...packs, minifasnet].flatMap((pack) => Object.values(pack.files))
    for (const { sha256 } of files) expect(sha256).toMatch(/^[0-9a-f]{64}$/)
    const hashesOf = (path: string) =>
      new Set(files.filter((file) => file.path === path).map((file) => file.sha256))
    for (const { path } of files) expect(hashesOf(path).size, path).toBe(1)
    expect(new Set(packs.map(({ name }) => name)).size).toBe(packs.length)
  })

  test('asks for agreement wherever a licence restricts the use', () => {
    const restricted = packs.filter(({ licence }) => licence.mustBeAccepted).map(({ name }) => name)
    expect(restricted).toEqual(['buffalo_l', 'buffalo_s', 'yolov8n-face', 'test-mobilefacenet'])
  })

  test('knows no other pack', () => {
    expect(findPack('buffalo_xl')).toBeUndefined()
  })
})

describe('an embedder', () => {
  const orange: Picture = { data: new Uint8Array(200 * 200 * 3), width: 200, height: 200 }
  for (let i = 0; i < orange.data.length; i += 3) orange.data.set([255, 153, 51], i)
  const points = [
    [80, 80],
    [120, 80],
    [100, 100],
    [85, 120],
    [115, 120],
  ] as const
  const embed = async (model: Uint8Array, more: Partial<EmbedderSpec> = {}) => {
    const network = await openNetwork('tiny', model)
    const [spec] = writeTinyPack(folder).embedders
    const vector = await embedFace(network, { ...spec, ...more }, orange, points)
    await network.close()
    return Array.from(vector, (value) => Math.round(value * 1e4) / 1e4)
  }
  const unit = (values: number[]) =>
    values.map((value) => Math.round((value / Math.hypot(...values)) * 1e4) / 1e4)

  test.each([-1, 1] as const)(
    'sees its own normalisation, whether it takes two crops or one (%i)',
    async (batch) => {
      // (255, 153, 51) less 127.5, over 127.5.
      expect(await embed(tinyEmbedder(batch))).toEqual(unit([1, 0.2, -0.6]))
    },
  )

  test('may want blue first', async () => {
    const normalization = { order: 'BGR', mean: [0, 0, 0], deviation: 1 } as const
    expect(await embed(tinyEmbedder(-1), { normalization })).toEqual(unit([51, 153, 255]))
  })

  test('may divide each colour by a number of its own', async () => {
    const normalization = { order: 'RGB', mean: [0, 0, 0], deviation: 1 } as const
    expect(await embed(tinyEmbedder(1), { normalization, colourDeviations: [5, 3, 1] })).toEqual(
      unit([51, 51, 51]),
    )
  })

  test.each([
    ['no number', Number.NaN],
    ['zeros', 0],
  ])('that answers %s has failed', async (_, times) => {
    await expect(embed(tinyEmbedder(-1, times))).rejects.toMatchObject({ code: 'model_failure' })
  })

  test('that answers another length has failed', async () => {
    await expect(embed(tinyEmbedder(-1), { dimension: 4 })).rejects.toMatchObject({ code: 'model_failure' })
  })
})

describe('a pack in a folder', () => {
  test('makes faces that are its own, with its vector and what its networks say of an attack', async () => {
    // Softmax of 0, ln 6, ln 3 is .1, .6, .3; of 0, 0, ln 2: .25, .25, .5.
    const pad = [tinyPad([1e-9, Math.log(6), Math.log(3)]), tinyPad([1e-9, 1e-9, Math.log(2)])]
    const pack = writeTinyPack(folder, { pad })
    const analysis = await withEngine(pack, async (engine) => {
      expect(engine.looksForAttacks).toBe(true)
      return engine.analyse(await portrait('frontal'))
    })
    if (analysis.kind !== 'face') throw new Error(analysis.kind)
    expect(analysis.face.pack).toBe('tiny')
    expect(analysis.face.vector).toHaveLength(3)
    expect(Math.hypot(...analysis.face.vector)).toBeCloseTo(1, 5)
    expect(analysis.face.padScore).toBeCloseTo((0.6 + 0.25) / 2, 5)
  })

  test('says nothing of attacks where no network for them is installed', async () => {
    const analysis = await withEngine(writeTinyPack(folder), async (engine) => {
      expect(engine.looksForAttacks).toBe(false)
      return engine.analyse(await portrait('frontal'))
    })
    expect(analysis).toMatchObject({ kind: 'face', face: { padScore: null } })
  })

  test.each([
    ['an embedder that answers no number', { embedder: tinyEmbedder(-1, Number.NaN) }],
    ['an embedder that answers zeros', { embedder: tinyEmbedder(1, 0) }],
    ['an attack network that answers no number', { pad: [tinyPad([0, Number.NaN, 0])] }],
    ['an attack network that answers zeros', { pad: [tinyPad([0, 0, 0])] }],
    ['an attack network with two classes', { pad: [twoClasses()] }],
  ])('with %s gives no face but model_failure, and is not ready', async (_, models) => {
    await withEngine(writeTinyPack(folder, models), async (engine) => {
      await expect(engine.analyse(await portrait('frontal'))).rejects.toMatchObject({ code: 'model_failure' })
      expect(engine.ready()).toBe(false)
    })
  })

  function twoClasses(): Uint8Array {
    return tinyEmbedder(-1)
  }

  const refusal = (file: string, fault: string) =>
    new RegExp(`${file}\\.onnx of the model pack tiny ${fault}.*Run "rollcall models install tiny"`)

  test.each(['detector', 'embedder', 'pad0'])('does not start without its %s', async (file) => {
    const pack = writeTinyPack(folder, { pad: [tinyPad([0, 1, 0])] })
    unlinkSync(join(folder, `${file}.onnx`))
    await expect(openNetworks(pack, folder)).rejects.toThrow(refusal(file, 'is missing'))
  })

  test.each(['detector', 'embedder', 'pad0'])('does not start when its %s was cut off', async (file) => {
    const pack = writeTinyPack(folder, { pad: [tinyPad([0, 1, 0])] })
    truncateSync(join(folder, `${file}.onnx`), 100)
    await expect(openNetworks(pack, folder)).rejects.toThrow(refusal(file, 'has 100 bytes instead of \\d+'))
  })

  test.each(['detector', 'embedder', 'pad0'])(
    'does not start when a bit of its %s is flipped',
    async (file) => {
      const pack = writeTinyPack(folder, { pad: [tinyPad([0, 1, 0])] })
      const path = join(folder, `${file}.onnx`)
      const bytes = readFileSync(path)
      bytes[bytes.length >> 1] ^= 4
      writeFileSync(path, bytes)
      await expect(openNetworks(pack, folder)).rejects.toThrow(
        refusal(file, 'is not the one that was measured'),
      )
    },
  )

  test('does not start with a file of another pack in its place', async () => {
    const pack = writeTinyPack(folder)
    writeFileSync(join(folder, 'embedder.onnx'), tinyEmbedder(1, 2))
    await expect(startEngine({ pack, modelPath: folder })).rejects.toThrow(
      /embedder\.onnx of the model pack tiny/,
    )
  })

  test('does not start beside an add-on that is not the pinned one', async () => {
    const pack = writeTinyPack(folder)
    writeFileSync(join(folder, minifasnet.files.pad27.path), tinyPad([0, 1, 0]))
    await expect(openNetworks(pack, folder)).rejects.toThrow(
      /MiniFASNetV2\.onnx of the model pack minifasnet is not the one.*Run "rollcall models install minifasnet"/,
    )
  })

  test('that is not installed names the first file and the command', async () => {
    await expect(startEngine({ pack: findPack('auraface'), modelPath: folder })).rejects.toThrow(
      /face_detection_yunet_2023mar\.onnx of the model pack auraface is missing.*"rollcall models install auraface"/,
    )
  })
})

describe('what was measured of a pack', () => {
  const table = { points: [[0, 0] as const, [1, 10] as const], countedTo: 3 }
  const measured: Measured = { defaultMean: '', raw: table, normalised: table }

  function writeMeasured(pack: Pack, files: Record<string, string>): void {
    mkdirSync(join(folder, pack.name))
    writeFileSync(measuredPath(pack.name, folder), JSON.stringify({ pack: pack.name, files, measured }))
  }
  const hashes = (pack: Pack) =>
    Object.fromEntries(Object.entries(pack.files).map(([name, { sha256 }]) => [name, sha256]))

  test('is unknown of new weights', () => {
    expect(measuredOf(writeTinyPack(folder), folder)).toBeUndefined()
  })

  test('is taken from beside the weights', async () => {
    const pack = writeTinyPack(folder)
    writeMeasured(pack, hashes(pack))
    expect(measuredOf(pack, folder)).toEqual(measured)
    await withEngine(pack, async (engine) => expect(engine.pack.measured).toEqual(measured))
  })

  test('is not taken when it is of other weights', () => {
    const pack = writeTinyPack(folder)
    writeMeasured(pack, { ...hashes(pack), embedder: hashes(pack).detector })
    expect(measuredOf(pack, folder)).toBeUndefined()
  })

  test('of the embedded pack is what it carries', () => {
    const pack = findPack('human-v1')!
    expect(measuredOf(pack, folder)).toBe(pack.measured)
  })
})

describe.runIf(data)('the pack of test weights', () => {
  const pack = findPack('test-mobilefacenet')!
  const start = () => startEngine({ pack, modelPath: join(data!, 'models') })

  test('finds and embeds a face, alike in two photos of a woman and unlike in those of others', async () => {
    const engine = await start()
    const vectors = new Map<string, Float32Array>()
    for (const name of ['laughing', 'blueLight', 'redLips', 'frontal'] as const) {
      const analysis = await engine.analyse(await portrait(name))
      if (analysis.kind !== 'face') throw new Error(analysis.kind)
      expect(analysis.face.padScore).toBeGreaterThan(0)
      expect(analysis.face.pack).toBe('test-mobilefacenet')
      vectors.set(name, analysis.face.vector)
    }
    const cosine = (one: string, other: string) =>
      vectors.get(one)!.reduce((sum, value, i) => sum + value * vectors.get(other)![i], 0)
    const same = cosine('laughing', 'blueLight')
    for (const other of ['redLips', 'frontal']) expect(cosine('blueLight', other)).toBeLessThan(same - 0.05)
    await engine.close()
  })

  test('tells a face from its picture on a screen with a dark bezel', async () => {
    const engine = await start()
    const scoreOf = async (bytes: Buffer) => {
      const analysis = await engine.analyse(bytes)
      if (analysis.kind !== 'face') throw new Error(analysis.kind)
      return analysis.face.padScore!
    }
    for (const name of ['frontal', 'longHair'] as const) {
      const live = await sharp(await portrait(name))
        .resize(480, 480)
        .png()
        .toBuffer()
      const screen = await sharp(live)
        .resize(210, 210)
        .extend({ top: 18, bottom: 18, left: 18, right: 18, background: '#101010' })
        .png()
        .toBuffer()
      const shown = await sharp(live)
        .blur(20)
        .composite([{ input: screen }])
        .png()
        .toBuffer()
      expect(await scoreOf(live), name).toBeGreaterThan(await scoreOf(shown))
    }
    await engine.close()
  })
})
