import sharp, { type Sharp } from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FaceEngine, startEngine } from '../../src/face/engine.ts'
import { fivePoints } from '../../src/face/mesh.ts'
import type { Face } from '../../src/face/pipeline.ts'
import { judgeQuality, MIN_QUALITY_SCORE, type QualityMeasures } from '../../src/face/quality.ts'
import { cuts, type PortraitName, portrait } from './portraits.ts'

let engine: FaceEngine
beforeAll(async () => {
  engine = await startEngine()
})
afterAll(() => engine.close())

async function faceIn(bytes: Buffer): Promise<Face> {
  const analysis = await engine.analyse(bytes)
  if (analysis.kind !== 'face') throw new Error(`${analysis.kind} instead of a face`)
  return analysis.face
}

const qualityOf = async (bytes: Buffer) => (await faceIn(bytes)).quality
const edit = async (name: PortraitName, change: (image: Sharp) => Sharp) =>
  change(sharp(await portrait(name)))
    .png()
    .toBuffer()

/** Good portraits, of which each kind of damage is worse. */
const good = ['frontal', 'blueLight', 'redLips'] as const

describe('a good portrait', () => {
  test.each(good)('(%s) has nothing to complain of', async (name) => {
    const quality = await qualityOf(await portrait(name))
    expect(quality.score).toBeGreaterThan(0.95)
    expect(quality.reasons).toEqual([])
  })

  test('keeps its score as a JPEG of everyday compression', async () => {
    const jpeg = await sharp(await portrait('frontal'))
      .jpeg({ quality: 75 })
      .toBuffer()
    expect((await qualityOf(jpeg)).score).toBeGreaterThan(0.95)
  })

  test('keeps its score in a mirror', async () => {
    expect((await qualityOf(await edit('frontal', (image) => image.flop()))).score).toBeGreaterThan(0.95)
  })
})

describe.each(good)('the quality of %s', (name) => {
  test('falls with each blur, which is the reason', async () => {
    const scores = [1]
    for (const sigma of [2, 3, 4, 8]) {
      const quality = await qualityOf(await edit(name, (image) => image.blur(sigma)))
      scores.push(quality.parts.sharpness)
      expect(quality.score).toBeLessThanOrEqual(quality.parts.sharpness)
      if (sigma >= 3) expect(quality.reasons[0]).toBe('sharpness')
    }
    for (let i = 1; i < scores.length; i++) expect(scores[i]).toBeLessThan(scores[i - 1])
    expect(scores.at(-1)).toBeLessThan(0.1)
  })

  test('falls with each loss of light, which is the reason', async () => {
    const scores: number[] = []
    for (const light of [0.3, 0.2, 0.15]) {
      const quality = await qualityOf(await edit(name, (image) => image.linear(light, 0)))
      expect(quality.reasons[0]).toBe('exposure')
      scores.push(quality.score)
    }
    expect(scores[0]).toBeLessThan(0.7)
    expect(scores[1]).toBeLessThan(scores[0])
    expect(scores[2]).toBeLessThan(scores[1])
  })

  test('is spoilt by glaring light', async () => {
    const quality = await qualityOf(await edit(name, (image) => image.linear(2, 40)))
    expect(quality.reasons).toContain('exposure')
    expect(quality.score).toBeLessThan(0.1)
  })

  test('falls with each reduction, because the face is small', async () => {
    const scores: number[] = []
    for (const side of [120, 90, 70, 50]) {
      const quality = await qualityOf(await edit(name, (image) => image.resize(side, side)))
      expect(quality.reasons[0]).toBe('size')
      scores.push(quality.score)
    }
    expect(scores).toEqual([...scores].sort((one, other) => other - one))
    expect(scores[0]).toBeLessThan(MIN_QUALITY_SCORE)
    expect(scores.at(-1)).toBeLessThan(0.15)
  })

  test('tells that the mouth is covered', async () => {
    const whole = await faceIn(await portrait(name))
    const covered = await qualityOf(await coverMouth(name, whole))
    expect(covered.parts.occlusion).toBeLessThan(whole.quality.parts.occlusion)
    expect(covered.reasons[0]).toBe('occlusion')
    expect(covered.score).toBeLessThan(0.5)
  })

  test.each(['left', 'right', 'top', 'bottom'] as const)(
    'tells that a third of the face is beyond the %s edge',
    async (edge) => {
      const { mesh } = await faceIn(await portrait(name))
      const analysis = await engine.analyse(await cutAt(name, mesh, edge))
      if (analysis.kind === 'no_face') return
      if (analysis.kind !== 'face') throw new Error(analysis.kind)
      expect(analysis.face.quality.reasons).toContain('occlusion')
      expect(analysis.face.quality.score).toBeLessThan(MIN_QUALITY_SCORE)
    },
  )

  test('tells that the head is tilted', async () => {
    const quality = await qualityOf(await edit(name, (image) => image.rotate(45)))
    expect(quality.reasons).toEqual(['pose'])
    expect(Math.abs(quality.measures.roll)).toBeGreaterThan(35)
  })
})

test('a face in profile is told by its pose', async () => {
  const quality = await qualityOf(await portrait('profile'))
  expect(quality.reasons[0]).toBe('pose')
  expect(quality.measures.yaw).toBeLessThan(-35)
})

test('yaw changes its sign in a mirror, and pitch does not', async () => {
  const { pose } = await faceIn(await portrait('painted'))
  const mirrored = (await faceIn(await edit('painted', (image) => image.flop()))).pose
  expect(pose.yaw).toBeLessThan(-20)
  expect(mirrored.yaw).toBeGreaterThan(20)
  expect(Math.abs(mirrored.pitch - pose.pitch)).toBeLessThan(5)
})

test('roll follows the turn of the picture', async () => {
  const upright = (await faceIn(await portrait('redLips'))).pose.roll
  const turned = (await faceIn(await edit('redLips', (image) => image.rotate(15)))).pose.roll
  expect(turned - upright).toBeGreaterThan(12)
  expect(turned - upright).toBeLessThan(18)
})

test('the score is the worst part, and the reasons are the parts below the limit, worst first', async () => {
  for (const name of Object.keys(cuts) as PortraitName[]) {
    const { score, parts, reasons } = await qualityOf(await portrait(name))
    expect(score).toBe(Math.min(...Object.values(parts)))
    expect(reasons.map((reason) => parts[reason])).toEqual(
      Object.values(parts)
        .filter((part) => part < MIN_QUALITY_SCORE)
        .sort((one, other) => one - other),
    )
  }
})

describe('judging measures', () => {
  const perfect: QualityMeasures = {
    eyeDistancePx: 60,
    sharpness: 0.4,
    brightness: 130,
    contrast: 40,
    clipped: 0,
    yaw: 0,
    pitch: 5,
    roll: 0,
    presence: 1,
    detection: 0.9,
    flattest: 0.5,
    inside: 1,
  }

  test('finds nothing wrong with a perfect picture', () => {
    expect(judgeQuality(perfect)).toMatchObject({ score: 1, reasons: [] })
  })

  test.each([
    ['eyeDistancePx', 10, 'size'],
    ['sharpness', 0.08, 'sharpness'],
    ['brightness', 30, 'exposure'],
    ['brightness', 245, 'exposure'],
    ['contrast', 6, 'exposure'],
    ['clipped', 0.4, 'exposure'],
    ['yaw', 40, 'pose'],
    ['yaw', -40, 'pose'],
    ['pitch', 45, 'pose'],
    ['pitch', -35, 'pose'],
    ['roll', 50, 'pose'],
    ['roll', -50, 'pose'],
    ['presence', 0.6, 'occlusion'],
    ['detection', 0.5, 'occlusion'],
    ['flattest', 0.15, 'occlusion'],
    ['inside', 0.7, 'occlusion'],
  ] as const)('with %s at %f gives one reason: %s', (measure, value, reason) => {
    const quality = judgeQuality({ ...perfect, [measure]: value })
    expect(quality.reasons).toEqual([reason])
    expect(quality.score).toBeLessThan(0.5)
    expect(quality.score).toBeGreaterThan(0)
  })

  test.each(Object.keys(perfect) as (keyof QualityMeasures)[])('stays within 0..1 for any %s', (measure) => {
    for (const value of [-1e9, -1, 0, 0.5, 1, 100, 1e9]) {
      const { score } = judgeQuality({ ...perfect, [measure]: value })
      expect(score).toBeGreaterThanOrEqual(0)
      expect(score).toBeLessThanOrEqual(1)
    }
  })
})

async function coverMouth(name: PortraitName, { mesh }: Face): Promise<Buffer> {
  const [, , , left, right] = fivePoints(mesh)
  const mouth = right[0] - left[0]
  const width = Math.round(mouth * 2)
  const height = Math.round(mouth * 1.2)
  const patch = { create: { width, height, channels: 3 as const, background: '#7090b0' } }
  const at = {
    left: Math.round((left[0] + right[0] - width) / 2),
    top: Math.round((left[1] + right[1] - height) / 2),
  }
  return edit(name, (image) => image.composite([{ input: patch, ...at }]))
}

/** The portrait, cut so that a third of the mesh's extent lies beyond one edge. */
async function cutAt(
  name: PortraitName,
  mesh: Face['mesh'],
  edge: 'left' | 'right' | 'top' | 'bottom',
): Promise<Buffer> {
  const { side } = cuts[name]
  const axis = edge === 'left' || edge === 'right' ? 0 : 1
  const along = mesh.points.filter((_, i) => i % 3 === axis)
  const [low, high] = [Math.min(...along), Math.max(...along)]
  const first = edge === 'left' || edge === 'top'
  const limit = Math.round(first ? low + (high - low) / 3 : high - (high - low) / 3)
  const [start, length] = first ? [limit, side - limit] : [0, limit]
  const area =
    axis === 0
      ? { left: start, top: 0, width: length, height: side }
      : { left: 0, top: start, width: side, height: length }
  return edit(name, (image) => image.extract(area))
}
