import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { createWorkQueue, type WorkQueueLimits } from '../../src/shared/work-queue.ts'

const makeQueue = (limits: Partial<WorkQueueLimits> = {}) =>
  createWorkQueue({ atOnce: 2, maxWaiting: 100, maxWaitingPerKey: 100, maxWaitMs: 10_000, ...limits })

/** Work that ends when it is told to. */
function piece(name: string, started: string[] = []) {
  let finish = () => {}
  let fail = () => {}
  const end = new Promise<string>((resolve, reject) => {
    finish = () => resolve(name)
    fail = () => reject(new Error(name))
  })
  const work = () => {
    started.push(name)
    return end
  }
  return { work, finish, fail }
}

/** Lets everything run that can. */
const turn = () => sleep(0)
const overloaded = { code: 'overloaded', status: 503, details: { retry_after_seconds: 1 } }

describe('order', () => {
  test('no more runs at once than allowed, no key twice at once, and each key in the order it came', async () => {
    const task = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      turns: fc.nat({ max: 3 }),
      fails: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(task, { maxLength: 20 }),
        fc.integer({ min: 1, max: 4 }),
        async (tasks, atOnce) => {
          const queue = makeQueue({ atOnce })
          const running: string[] = []
          const started: Record<string, number[]> = {}
          const run = ({ key, turns, fails }: (typeof tasks)[number], number: number) =>
            queue.run(key, async () => {
              expect(running).not.toContain(key)
              running.push(key)
              expect(running.length).toBeLessThanOrEqual(atOnce)
              expect(queue.running).toBeGreaterThanOrEqual(running.length)
              expect(queue.running).toBeLessThanOrEqual(atOnce)
              started[key] = [...(started[key] ?? []), number]
              for (let i = 0; i < turns; i++) await turn()
              running.splice(running.indexOf(key), 1)
              if (fails) throw new Error('failed')
              return number
            })
          const ends = await Promise.allSettled(tasks.map(run))
          for (const [number, end] of ends.entries())
            expect(end).toMatchObject(tasks[number].fails ? { status: 'rejected' } : { value: number })
          for (const numbers of Object.values(started))
            expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
          expect([queue.running, queue.waiting]).toEqual([0, 0])
        },
      ),
      { numRuns: 60 },
    )
  })

  test('a busy key does not hold another one up', async () => {
    const queue = makeQueue()
    const started: string[] = []
    const [first, second, other] = ['first', 'second', 'other'].map((name) => piece(name, started))
    const ends = [queue.run('a', first.work), queue.run('a', second.work), queue.run('b', other.work)]
    await turn()
    expect(started).toEqual(['first', 'other'])
    expect([queue.running, queue.waiting]).toEqual([2, 1])
    other.finish()
    await turn()
    expect(started).toEqual(['first', 'other'])
    first.finish()
    await turn()
    expect(started).toEqual(['first', 'other', 'second'])
    second.finish()
    expect(await Promise.all(ends)).toEqual(['first', 'second', 'other'])
  })

  test('who has waited longest is next, whatever the key', async () => {
    const queue = makeQueue({ atOnce: 1 })
    const started: string[] = []
    const pieces = ['a1', 'a2', 'b1', 'c1'].map((name) => piece(name, started))
    const ends = pieces.map(({ work }, index) => queue.run('aabc'[index], work))
    for (const { finish } of pieces) finish()
    await Promise.all(ends)
    expect(started).toEqual(['a1', 'a2', 'b1', 'c1'])
  })
})

describe('limits', () => {
  test('a full queue refuses at once, and those inside go on', async () => {
    const queue = makeQueue({ atOnce: 1, maxWaiting: 2 })
    const pieces = ['a', 'b', 'c'].map((name) => piece(name))
    const ends = pieces.map(({ work }, index) => queue.run('abc'[index], work))
    const refused = vi.fn()
    await expect(queue.run('d', refused)).rejects.toMatchObject(overloaded)
    await expect(queue.room()).rejects.toMatchObject(overloaded)
    expect(refused).not.toHaveBeenCalled()
    for (const { finish } of pieces) finish()
    expect(await Promise.all(ends)).toEqual(['a', 'b', 'c'])
    await queue.room()
    expect(await queue.run('d', async () => 'd')).toBe('d')
  })

  test('who asks for room waits a moment for it', async () => {
    const queue = makeQueue({ atOnce: 1, maxWaiting: 1 })
    const [running, waiting] = [piece('running'), piece('waiting')]
    const ends = [queue.run('a', running.work), queue.run('b', waiting.work)]
    const asked = queue.room()
    running.finish()
    await asked
    waiting.finish()
    expect(await Promise.all(ends)).toEqual(['running', 'waiting'])
  })

  test('a full key refuses only itself', async () => {
    const queue = makeQueue({ maxWaitingPerKey: 1 })
    const [running, waiting] = [piece('running'), piece('waiting')]
    const ends = [queue.run('a', running.work), queue.run('a', waiting.work)]
    await expect(queue.run('a', async () => 'no')).rejects.toMatchObject(overloaded)
    await queue.room()
    expect(await queue.run('b', async () => 'yes')).toBe('yes')
    running.finish()
    waiting.finish()
    expect(await Promise.all(ends)).toEqual(['running', 'waiting'])
  })

  test('who waits too long is refused and never run, and the next one still is', async () => {
    const queue = makeQueue({ atOnce: 1, maxWaitMs: 30 })
    const slow = piece('slow')
    const late = vi.fn()
    const first = queue.run('a', slow.work)
    await expect(queue.run('b', late)).rejects.toMatchObject(overloaded)
    expect(queue.waiting).toBe(0)
    const next = queue.run('c', async () => 'next')
    slow.finish()
    expect(await Promise.all([first, next])).toEqual(['slow', 'next'])
    await sleep(40)
    expect(late).not.toHaveBeenCalled()
  })

  test('work that runs longer than the longest wait is left alone', async () => {
    const queue = makeQueue({ maxWaitMs: 10 })
    expect(await queue.run('a', () => sleep(40, 'done'))).toBe('done')
  })
})

describe('failing work', () => {
  test('is told to its caller alone and frees the place', async () => {
    const queue = makeQueue({ atOnce: 1 })
    const failing = piece('broken')
    const first = queue.run('a', failing.work)
    const [same, other] = [queue.run('a', async () => 'same'), queue.run('b', async () => 'other')]
    failing.fail()
    await expect(first).rejects.toThrow('broken')
    expect(await Promise.all([same, other])).toEqual(['same', 'other'])
  })

  test('may even throw before it gives a promise', async () => {
    const queue = makeQueue({ atOnce: 1 })
    const broken = (): Promise<string> => {
      throw new Error('at once')
    }
    await expect(queue.run('a', broken)).rejects.toThrow('at once')
    expect(await queue.run('a', async () => 'next')).toBe('next')
  })
})
