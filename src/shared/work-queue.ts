import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from './errors.ts'

/** Bounded work: so much at once, so many waiting, none waiting for too long. */
export interface WorkQueue {
  /**
   * Runs `work` when a place is free. Work of one key runs one after the other, first come first served, so that one
   * kiosk cannot take every place. Rejects with `overloaded` when the queue is full or the wait too long.
   */
  run<T>(key: string, work: () => Promise<T>): Promise<T>
  /**
   * Resolves when there is room, or rejects with `overloaded` after a moment without: asked before a body is read into
   * memory. The moment costs nothing and keeps clients that come back at once from taking the processor by their number.
   */
  room(): Promise<void>
  readonly running: number
  readonly waiting: number
}

export interface WorkQueueLimits {
  /** Pieces of work at once; the number of cores, because the networks take one each. */
  atOnce: number
  /** Pieces of work that may wait. */
  maxWaiting: number
  /** How many of them may be of one key. */
  maxWaitingPerKey: number
  /** The longest wait in milliseconds: an answer that comes later finds nobody at the door. */
  maxWaitMs: number
}

const MOMENT_MS = 250

interface Waiting {
  key: string
  start: () => void
}

export function createWorkQueue(limits: WorkQueueLimits): WorkQueue {
  const waiting: Waiting[] = []
  const runningKeys = new Set<string>()

  const isFull = () => waiting.length >= limits.maxWaiting

  async function room(): Promise<void> {
    if (isFull()) await sleep(MOMENT_MS)
    if (isFull()) throw overloaded()
  }

  function startNext(): void {
    while (runningKeys.size < limits.atOnce) {
      const index = waiting.findIndex(({ key }) => !runningKeys.has(key))
      if (index < 0) return
      waiting.splice(index, 1)[0].start()
    }
  }

  function place(key: string): Promise<void> {
    const ofKey = waiting.filter((item) => item.key === key).length
    if (isFull() || ofKey >= limits.maxWaitingPerKey) return Promise.reject(overloaded())
    return new Promise((resolve, reject) => {
      const item: Waiting = {
        key,
        start: () => {
          clearTimeout(timer)
          runningKeys.add(key)
          resolve()
        },
      }
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(item), 1)
        reject(overloaded())
      }, limits.maxWaitMs)
      waiting.push(item)
      startNext()
    })
  }

  return {
    async run(key, work) {
      await place(key)
      try {
        return await work()
      } finally {
        runningKeys.delete(key)
        startNext()
      }
    },
    room,
    get running() {
      return runningKeys.size
    },
    get waiting() {
      return waiting.length
    },
  }
}

function overloaded(): AppError {
  return new AppError('overloaded', 'Too many pictures at once. Try again in a moment.', {
    retry_after_seconds: 1,
  })
}
