import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type FaceEngine, startEngine } from '../../src/face/engine.ts'
import type * as EnginePool from '../../src/face/engine-pool.ts'
import type { AppError } from '../../src/shared/errors.ts'
import { portrait } from './portraits.ts'

// From what the compiler made, as `npm start` runs it (`npm test` builds it first): Node 20 starts no thread from
// TypeScript. Its AppError is therefore another class than that of src/, and errors are told by their code.
const built = pathToFileURL(resolve('dist/face/engine-pool.js')).href
const { startEnginePool } = (await import(built)) as typeof EnginePool

let pool: FaceEngine
/** Every thread that was started, and how many of them have ended. */
let threads: Worker[]
let ended: number

function note(thread: Worker): void {
  threads.push(thread)
  thread.once('exit', () => ended++)
}

beforeEach(() => {
  threads = []
  ended = 0
  process.on('worker', note)
})
afterEach(async () => {
  await pool.close()
  process.off('worker', note)
  expect(ended).toBe(threads.length)
})

const bytes = await portrait('frontal')
const patience = { timeout: 30_000, interval: 100 }
const failure = (code: string) => expect.objectContaining({ name: 'AppError', code })

describe('a pool of threads', () => {
  test('answers what the engine answers', async () => {
    pool = await startEnginePool(1)
    const engine = await startEngine()
    const [answer, expected] = [await pool.analyse(bytes), await engine.analyse(bytes)]
    await engine.close()
    if (answer.kind !== 'face' || expected.kind !== 'face')
      throw new Error(`${answer.kind}, ${expected.kind}`)
    expect(answer.picture).toEqual(expected.picture)
    expect(answer.face.detection).toEqual(expected.face.detection)
    const away = answer.face.vector.map((value, i) => Math.abs(value - expected.face.vector[i]))
    expect(away).toHaveLength(pool.pack.dimension)
    expect(Math.max(...away)).toBeLessThan(1e-6)
    expect(pool.performance().analyses).toBe(1)
  })

  test('refuses a damaged picture as the engine does, and remains ready', async () => {
    pool = await startEnginePool(1)
    const engine = await startEngine()
    const damaged = bytes.subarray(0, 5000)
    const expected = (await engine.analyse(damaged).catch((error: unknown) => error)) as AppError
    await engine.close()
    const { name, message, details, cause } = expected
    const refusal = { name, code: 'invalid_image', message, details, cause: { message: String(cause) } }
    await expect(pool.analyse(damaged)).rejects.toMatchObject(refusal)
    expect(pool.ready()).toBe(true)
    expect(pool.performance().analyses).toBe(0)
  })
})

describe('a thread', () => {
  test.each([
    ['is ended', (thread: Worker) => void thread.terminate()],
    ['throws', (thread: Worker) => thread.postMessage(null)],
  ])('that %s fails what it was doing, and is replaced', async (_, kill) => {
    pool = await startEnginePool(1)
    const two = Promise.allSettled([pool.analyse(bytes), pool.analyse(bytes)])
    kill(threads[0])
    const failed = { status: 'rejected', reason: failure('model_failure') }
    expect(await two).toEqual([failed, failed])
    expect(pool.ready()).toBe(false)

    const answer = await vi.waitFor(() => pool.analyse(bytes), patience)
    expect(answer.kind).toBe('face')
    expect(pool.ready()).toBe(true)
    expect(threads).toHaveLength(2)
    expect(pool.performance().analyses).toBe(1)
  })

  test('that dies leaves the work to the others', async () => {
    pool = await startEnginePool(2)
    const two = Promise.allSettled([pool.analyse(bytes), pool.analyse(bytes)])
    void threads[0].terminate()
    expect((await two).map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect((await pool.analyse(bytes)).kind).toBe('face')
    expect(pool.ready()).toBe(true)
  })

  test('that dies with nothing to do is replaced, though nobody asks', async () => {
    pool = await startEnginePool(1)
    await threads[0].terminate()
    expect(pool.ready()).toBe(false)
    await vi.waitFor(() => expect(pool.ready()).toBe(true), patience)
  })

  test('that dies while it replaces another is replaced in its turn', async () => {
    pool = await startEnginePool(1)
    await threads[0].terminate()
    await vi.waitFor(() => threads[1].terminate())
    expect(pool.ready()).toBe(false)
    await vi.waitFor(() => expect(pool.ready()).toBe(true), patience)
    expect(threads).toHaveLength(3)
  })
})

describe('a pool', () => {
  test('that is closed fails what is under way and what comes later', async () => {
    pool = await startEnginePool(1)
    const underWay = expect(pool.analyse(bytes)).rejects.toEqual(failure('stopping'))
    await pool.close()
    await underWay
    await expect(pool.analyse(bytes)).rejects.toEqual(failure('stopping'))
  })

  test('that is closed ends a replacement that is still starting, and starts no other', async () => {
    pool = await startEnginePool(1)
    await threads[0].terminate()
    await pool.close()
    expect(pool.ready()).toBe(false)
    expect([threads.length, ended]).toEqual([2, 2])
  })

  test('of which a thread does not start does not start, and leaves none', async () => {
    const starting = startEnginePool(2)
    await vi.waitFor(() => threads[1].terminate())
    await expect(starting).rejects.toThrow('ended while it was starting')
    expect([threads.length, ended]).toEqual([2, 2])
  })
})
