import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Detection } from '../../src/face/detect/detection.ts'
import { centringMean, fuse } from '../../src/face/embed.ts'
import { type FaceEngine, startEngine } from '../../src/face/engine.ts'
import { type Face, rivalsOf } from '../../src/face/pipeline.ts'
import { closeUp, cuts, groupPhoto, type PortraitName, portrait } from './portraits.ts'

let engine: FaceEngine
/** The centring mean of the portraits, one of each woman. */
let mean: Float32Array
const vectors = new Map<PortraitName, Float32Array>()
const names = (Object.keys(cuts) as PortraitName[]).filter((name) => name !== 'profile')

beforeAll(async () => {
  engine = await startEngine()
  for (const name of names) vectors.set(name, (await faceIn(await portrait(name))).vector)
  const people = names.filter((name) => name !== 'laughing')
  mean = centringMean(
    engine.pack.embedders,
    people.map((name) => vectors.get(name)!),
  )
})
afterAll(() => engine.close())

async function faceIn(bytes: Uint8Array): Promise<Face> {
  const analysis = await engine.analyse(bytes)
  if (analysis.kind !== 'face') throw new Error(`${analysis.kind} instead of a face`)
  return analysis.face
}

/** The comparison score of two stored vectors. */
function score(one: Float32Array, other: Float32Array): number {
  const [left, right] = [one, other].map((vector) => fuse(engine.pack.embedders, vector, mean))
  return left.reduce((sum, value, i) => sum + value * right[i], 0)
}

/** The highest score of two different women. */
function highestOfStrangers(): number {
  const scores = names.flatMap((one, i) =>
    names
      .slice(i + 1)
      .filter((other) => !(one === 'laughing' && other === 'blueLight'))
      .map((other) => score(vectors.get(one)!, vectors.get(other)!)),
  )
  return Math.max(...scores)
}

describe('a face', () => {
  test('has a vector of the length that the pack says, each part of length 1', async () => {
    const { vector } = await faceIn(await portrait('frontal'))
    expect(vector).toHaveLength(engine.pack.dimension)
    expect(engine.pack.dimension).toBe(1152)
    expect(Math.hypot(...vector.subarray(0, 1024))).toBeCloseTo(1, 5)
    expect(Math.hypot(...vector.subarray(1024))).toBeCloseTo(1, 5)
  })

  test('has the same vector each time', async () => {
    const bytes = await portrait('frontal')
    expect((await faceIn(bytes)).vector).toEqual((await faceIn(bytes)).vector)
  })

  test('has the same vector when others are analysed at the same time', async () => {
    const some = ['frontal', 'blueLight', 'redLips', 'bun', 'frontal', 'pouting'] as const
    const faces = await Promise.all(some.map(async (name) => faceIn(await portrait(name))))
    for (const [i, name] of some.entries()) expect(faces[i].vector, name).toEqual(vectors.get(name))
  })

  test('lies where the portrait has it, in the pixels of the picture', async () => {
    const { detection, mesh } = await faceIn(await portrait('frontal'))
    const side = cuts.frontal.side
    expect(detection.box.x + detection.box.width / 2).toBeCloseTo(side / 2, -1.5)
    expect(detection.box.width / side).toBeGreaterThan(0.35)
    expect(detection.box.width / side).toBeLessThan(0.55)
    // The nose tip lies in the box, between the eyes and the mouth.
    const [noseX, noseY] = mesh.points.subarray(3, 5)
    expect(noseX).toBeGreaterThan(detection.box.x)
    expect(noseX).toBeLessThan(detection.box.x + detection.box.width)
    expect(noseY).toBeGreaterThan(detection.points[0][1])
  })

  test('comes with the size of the picture and the time of each stage', async () => {
    const { picture, timings } = await engine.analyse(await portrait('frontal'))
    expect(picture).toEqual({ widthPx: cuts.frontal.side, heightPx: cuts.frontal.side })
    const { pad, ...always } = timings
    expect(Object.keys(always)).toEqual(['decode', 'detect', 'mesh', 'quality', 'embed'])
    for (const time of Object.values(always)) expect(time).toBeGreaterThan(0)
    // The embedded pack has no networks for it.
    expect(pad).toBe(0)
  })
})

describe('the score', () => {
  test.each(['frontal', 'blueLight', 'redLips'] as const)(
    'of %s with its mirror image is near 1',
    async (name) => {
      const mirrored = await sharp(await portrait(name))
        .flop()
        .png()
        .toBuffer()
      expect(score(vectors.get(name)!, (await faceIn(mirrored)).vector)).toBeGreaterThan(0.99)
    },
  )

  test.each(
    (['frontal', 'blueLight', 'redLips'] as const).flatMap((name) =>
      [-20, -10, 10, 20].map((degrees) => ({ name, degrees })),
    ),
  )(
    'of $name with itself turned by $degrees degrees is far above that of strangers',
    async ({ name, degrees }) => {
      const turned = await sharp(await portrait(name))
        .rotate(degrees)
        .png()
        .toBuffer()
      const turnedScore = score(vectors.get(name)!, (await faceIn(turned)).vector)
      expect(turnedScore).toBeGreaterThan(0.98)
      expect(turnedScore).toBeGreaterThan(highestOfStrangers() + 0.15)
    },
  )

  test('of one woman in two photos is above that of any two women', () => {
    const same = score(vectors.get('laughing')!, vectors.get('blueLight')!)
    expect(same).toBeGreaterThan(highestOfStrangers() + 0.05)
  })

  test('hardly depends on the format and the size of the picture', async () => {
    const bytes = await portrait('frontal')
    const variants = [
      await sharp(bytes).jpeg({ quality: 80 }).toBuffer(),
      await sharp(bytes).webp({ quality: 80 }).toBuffer(),
      await sharp(bytes).resize(300, 300).png().toBuffer(),
      await sharp(bytes).resize(1000, 1000).png().toBuffer(),
    ]
    for (const variant of variants)
      expect(score(vectors.get('frontal')!, (await faceIn(variant)).vector)).toBeGreaterThan(0.97)
  })

  test('does not depend on how the camera was held', async () => {
    const sideways = await sharp(await portrait('frontal'))
      .rotate(-90)
      .jpeg({ quality: 95 })
      .withMetadata({ orientation: 6 })
      .toBuffer()
    expect(score(vectors.get('frontal')!, (await faceIn(sideways)).vector)).toBeGreaterThan(0.98)
  })
})

describe('a picture without a face', () => {
  const raw = { width: 320, height: 240, channels: 3 as const }

  test.each([
    ['gray', () => 128],
    ['black', () => 0],
    ['noise', (i: number) => Math.imul(i ^ (i >>> 7), 0x9e3779b1) >>> 24],
    [
      'a landscape of sky and meadow',
      (i: number) => (i < 320 * 120 * 3 ? [120, 170, 230][i % 3] : [60, 140, 50][i % 3]),
    ],
    ['stripes', (i: number) => (Math.floor(i / 30) % 2) * 255],
  ])('(%s) has none', async (_, value) => {
    const pixels = Buffer.from(Array.from({ length: 320 * 240 * 3 }, (_, i) => value(i)))
    const analysis = await engine.analyse(await sharp(pixels, { raw }).png().toBuffer())
    expect(analysis.kind).toBe('no_face')
  })

  test('(one pixel) has none', async () => {
    const pixel = await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
      .png()
      .toBuffer()
    expect((await engine.analyse(pixel)).kind).toBe('no_face')
  })

  test('(a shoulder and a collar of a group photo) has none', async () => {
    const corner = sharp(groupPhoto(6)).extract({ left: 900, top: 1200, width: 400, height: 300 })
    expect((await engine.analyse(await corner.png().toBuffer())).kind).toBe('no_face')
  })
})

describe('several faces', () => {
  /** The portraits side by side, each `heights[i]` pixels high. */
  async function sideBySide(who: PortraitName[], heights: number[]): Promise<Buffer> {
    const parts = await Promise.all(
      who.map(async (name, i) =>
        sharp(await portrait(name))
          .resize(heights[i], heights[i])
          .png()
          .toBuffer(),
      ),
    )
    const [width, height] = [heights.reduce((sum, side) => sum + side, 0), Math.max(...heights)]
    return sharp({ create: { width, height, channels: 3, background: '#888' } })
      .composite(
        parts.map((input, i) => ({
          input,
          top: 0,
          left: heights.slice(0, i).reduce((sum, side) => sum + side, 0),
        })),
      )
      .png()
      .toBuffer()
  }

  test('of about one size are counted', async () => {
    const two = await engine.analyse(await sideBySide(['frontal', 'blueLight'], [400, 400]))
    expect(two).toMatchObject({ kind: 'several_faces', count: 2 })
    const three = await engine.analyse(await sideBySide(['frontal', 'blueLight', 'redLips'], [400, 400, 350]))
    expect(three).toMatchObject({ kind: 'several_faces', count: 3 })
  })

  test('come with no vector', async () => {
    expect(await engine.analyse(await sideBySide(['frontal', 'blueLight'], [400, 400]))).not.toHaveProperty(
      'face',
    )
  })

  test('are not seen where the second is small in the background', async () => {
    const bytes = await sideBySide(['frontal', 'blueLight'], [600, 200])
    const { vector } = await faceIn(bytes)
    expect(score(vectors.get('frontal')!, vector)).toBeGreaterThan(0.97)
  })

  test.each([1, 2, 3, 4, 5, 6])('are seen in group photo %i', async (number) => {
    expect((await engine.analyse(groupPhoto(number))).kind).toBe('several_faces')
  })

  test('of which the middle one is asked for give that one', async () => {
    const bytes = await sideBySide(['blueLight', 'frontal', 'redLips'], [400, 400, 400])
    const analysis = await engine.analyse(bytes, 'central')
    if (analysis.kind !== 'face') throw new Error(analysis.kind)
    expect(score(vectors.get('frontal')!, analysis.face.vector)).toBeGreaterThan(0.97)
  })
})

describe('the rivals', () => {
  const detection = (side: number, score: number): Detection => ({
    box: { x: 0, y: 0, width: side, height: side },
    score,
    points: [],
  })
  const sizes = (detections: Detection[]) => rivalsOf(detections).map(({ box }) => box.width)

  test('are the faces of at least 0.6 of the largest one, largest first', () => {
    expect(sizes([detection(59, 0.9), detection(60, 0.9), detection(100, 0.9)])).toEqual([100, 60])
  })

  test('are no doubtful detections', () => {
    expect(sizes([detection(100, 0.9), detection(90, 0.49)])).toEqual([100])
  })

  test('are none among none', () => {
    expect(sizes([])).toEqual([])
  })

  test('are one doubtful face when there is nothing else', () => {
    expect(sizes([detection(100, 0.35)])).toEqual([100])
  })

  // Today the larger detection is taken though the detector doubts it: "several faces", or "no face" by the mesh.
  test('do not include a doubtful detection that is larger than the sure face', () => {
    expect(sizes([detection(110, 0.44), detection(100, 0.8)])).toEqual([100])
    expect(sizes([detection(200, 0.35), detection(100, 0.95)])).toEqual([100])
  })
})

describe('a face that fills the frame', () => {
  test.each(['painted', 'frontal', 'longHair', 'pouting', 'tilted', 'sunlit'] as const)(
    'is found with a margin of a tenth (%s)',
    async (name) => {
      expect(score(vectors.get(name)!, (await faceIn(await closeUp(name, 0.1))).vector)).toBeGreaterThan(0.9)
    },
  )

  // Today a first look at such a face finds it two or three times over, in parts: "several faces", or "no face".
  test.each([0.2, 0.1, 0, -0.05])(
    'is one face with any margin (%f of the box), whoever it is',
    async (margin) => {
      const kinds = await Promise.all(
        names.map(async (name) => (await engine.analyse(await closeUp(name, margin))).kind),
      )
      expect(kinds).toEqual(names.map(() => 'face'))
    },
  )
})

describe('what is no picture', () => {
  test.each([
    ['text', Buffer.from('Good morning'), 'unsupported_media_type'],
    ['nothing', new Uint8Array(), 'invalid_image'],
    ['half a JPEG', groupPhoto(1).subarray(0, 50_000), 'invalid_image'],
  ])('(%s) is refused with its code', async (_, bytes, code) => {
    await expect(engine.analyse(bytes)).rejects.toMatchObject({ name: 'AppError', code })
  })

  test('does not keep the next picture from being analysed', async () => {
    await expect(engine.analyse(Buffer.from('rubbish'))).rejects.toThrow()
    expect((await engine.analyse(await portrait('frontal'))).kind).toBe('face')
  })
})
