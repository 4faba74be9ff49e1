import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cached } from '../../src/face/cache.ts'
import { type FaceEngine, startEngine } from '../../src/face/engine.ts'
import { portrait } from './portraits.ts'

let engine: FaceEngine
let red: Buffer
let green: Buffer
let blue: Buffer

beforeAll(async () => {
  engine = await startEngine()
  ;[red, green, blue] = await Promise.all(['red', 'green', 'blue'].map(plain))
})
afterAll(() => engine.close())

const plain = (background: string) =>
  sharp({ create: { width: 32, height: 32, channels: 3, background } })
    .png()
    .toBuffer()

/** How many pictures the networks looked at meanwhile. */
async function analysed(work: () => Promise<unknown>): Promise<number> {
  const before = engine.performance().analyses
  await work()
  return engine.performance().analyses - before
}

describe('an engine with a cache', () => {
  test('answers a picture that it knows as before, without a network and in no time', async () => {
    const { analyse, cache } = cached(engine, 10)
    const bytes = await portrait('frontal')
    const first = await analyse(bytes)
    expect(first.timings.embed).toBeGreaterThan(0)
    expect(
      await analysed(async () => {
        const again = await analyse(new Uint8Array(bytes))
        expect(again).toEqual({ ...first, timings: expect.anything() })
        expect(new Set(Object.values(again.timings))).toEqual(new Set([0]))
      }),
    ).toBe(0)
    expect([cache.hits(), cache.size()]).toEqual([1, 1])
  })

  test('looks at a picture once, however many ask for it at the same time', async () => {
    const { analyse, cache } = cached(engine, 10)
    expect(await analysed(() => Promise.all([analyse(red), analyse(red), analyse(red)]))).toBe(1)
    expect([cache.hits(), cache.size()]).toEqual([2, 1])
  })

  test('tells one picture from another, and one choice of the face from another', async () => {
    const { analyse, cache } = cached(engine, 10)
    const asked = async () => {
      for (const choice of ['only', 'central'] as const)
        for (const one of [red, blue]) await analyse(one, choice)
    }
    expect(await analysed(asked)).toBe(4)
    expect([cache.hits(), cache.size()]).toEqual([0, 4])
  })

  test('tells one pack from another', async () => {
    let name = 'one'
    const pack = new Proxy(engine.pack, { get: (of, key) => (key === 'name' ? name : Reflect.get(of, key)) })
    const { analyse } = cached({ ...engine, pack }, 10)
    await analyse(red)
    name = 'another'
    expect(await analysed(() => analyse(red))).toBe(1)
  })

  test('drops the picture that was not asked for the longest', async () => {
    const { analyse, cache } = cached(engine, 2)
    for (const one of [red, green, red, blue]) await analyse(one)
    expect([cache.hits(), cache.size()]).toEqual([1, 2])
    expect(await analysed(() => analyse(red))).toBe(0)
    expect(await analysed(() => analyse(green))).toBe(1)
  })

  test('keeps no failure', async () => {
    const { analyse, cache } = cached(engine, 10)
    const damaged = red.subarray(0, 50)
    const both = await Promise.allSettled([analyse(damaged), analyse(damaged)])
    for (const one of both)
      expect(one).toMatchObject({ status: 'rejected', reason: { code: 'invalid_image' } })
    expect([cache.hits(), cache.size()]).toEqual([0, 0])
    await expect(analyse(damaged)).rejects.toMatchObject({ code: 'invalid_image' })
  })

  test('forgets everything, and what is under way as well', async () => {
    const { analyse, cache } = cached(engine, 10)
    await analyse(red)
    const underWay = analyse(blue)
    cache.forget()
    await underWay
    expect(cache.size()).toBe(0)
    expect(await analysed(() => analyse(red))).toBe(1)
    expect(await analysed(() => analyse(blue))).toBe(1)
  })

  test('asks the networks as long as they are known to be broken', async () => {
    let ready = true
    const { analyse } = cached({ ...engine, ready: () => ready }, 10)
    await analyse(red)
    ready = false
    expect(await analysed(() => analyse(red))).toBe(1)
  })

  test('of nothing keeps nothing', async () => {
    const { analyse, cache } = cached(engine, 0)
    expect(await analysed(async () => [await analyse(red), await analyse(red)])).toBe(2)
    expect([cache.hits(), cache.size()]).toEqual([0, 0])
  })

  test('looks at every picture of a burst', async () => {
    const { analyse, analyseFrames, cache } = cached(engine, 10)
    await analyse(red)
    const { frames } = await analyseFrames([red, red])
    expect(frames.map(({ kind }) => kind)).toEqual(['no_face', 'no_face'])
    expect([cache.hits(), cache.size()]).toEqual([0, 1])
  })
})
