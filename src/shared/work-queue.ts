import { AppError } from './errors.ts'

/** Bounded work: so much at once, so many waiting, none waiting for too long. */
export interface WorkQueue {
  /**
   * Runs `work` when a place is free. Work of one key runs one after the other, first come first served, so that one
   * kiosk cannot take every place. Rejects with `overloaded` when the queue is full or the wait too long.
   */
  run<T>(key: string, work: () => Promise<T>): Promise<T>
  /** Throws `overloaded` when nothing more would be taken for the key: asked before a body is read into memory. */
  refuseWhenFull(key?: string): void
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

interface Waiting {
  key: string
  start: () => void
}

export function createWorkQueue(limits: WorkQueueLimits): WorkQueue {
  const waiting: Waiting[] = []
  const runningKeys = new Set<string>()

  function refuseWhenFull(key?: string): void {
    const ofKey = key === undefined ? 0 : waiting.filter((item) => item.key === key).length
    if (waiting.length >= limits.maxWaiting || ofKey >= limits.maxWaitingPerKey) throw overloaded()
  }

  function startNext(): void {
    while (runningKeys.size < limits.atOnce) {
      const index = waiting.findIndex(({ key }) => !runningKeys.has(key))
      if (index < 0) return
      waiting.splice(index, 1)[0].start()
    }
  }

  function place(key: string): Promise<void> {
    refuseWhenFull(key)
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
    refuseWhenFull,
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
