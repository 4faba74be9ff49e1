import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { type Clock, systemClock } from '../shared/clock.ts'
import { AppError, type ErrorCode } from '../shared/errors.ts'
import type { FaceEngine } from './engine.ts'
import { humanV1 } from './packs/human-v1.ts'
import type { Analysis, Choice } from './pipeline.ts'

/** What a worker is asked. */
export interface Task {
  id: number
  bytes: Uint8Array
  choice: Choice
}

/** What it says: once that it is ready, then one answer to each task. */
export type Answer =
  | 'ready'
  | { id: number; analysis: Analysis }
  | {
      id: number
      error: { code: ErrorCode; message: string; details: Record<string, unknown>; cause: string }
    }

interface Pending {
  resolve: (analysis: Analysis) => void
  reject: (error: unknown) => void
  worker: Worker
}

/**
 * The face engine in `size` threads of its own. ONNX Runtime's `run` for Node computes on the thread that calls it, so
 * that an engine on the main thread would hold up every other request for as long as a network runs.
 *
 * Rejects when a worker cannot start. A worker that dies later fails what it was doing with `model_failure` and is
 * replaced; until then `ready()` is false.
 */
export async function startEnginePool(size: number, clock: Clock = systemClock): Promise<FaceEngine> {
  const pending = new Map<number, Pending>()
  const load = new Map<Worker, number>()
  const since = clock.now()
  let nextId = 0
  let analyses = 0
  let totalMs = 0
  let failing = false
  let closed = false

  async function addWorker(): Promise<void> {
    const worker = new Worker(new URL(`./engine-worker${extname(import.meta.url)}`, import.meta.url))
    await new Promise<void>((resolve, reject) => {
      worker.once('error', reject)
      worker.once('message', () => resolve())
    })
    worker.removeAllListeners('error')
    worker.on('message', settle)
    worker.on('error', () => {})
    worker.on('exit', () => replace(worker))
    load.set(worker, 0)
  }

  function settle(answer: Answer): void {
    if (answer === 'ready') return
    const task = pending.get(answer.id)
    if (!task) return
    pending.delete(answer.id)
    load.set(task.worker, (load.get(task.worker) ?? 1) - 1)
    if ('analysis' in answer) {
      task.resolve(answer.analysis)
      return
    }
    const { code, message, details, cause } = answer.error
    task.reject(
      code === 'internal'
        ? new Error(message)
        : new AppError(code, message, details, cause && new Error(cause)),
    )
  }

  function replace(worker: Worker): void {
    load.delete(worker)
    if (closed) return
    failing = true
    for (const [id, task] of pending) {
      if (task.worker !== worker) continue
      pending.delete(id)
      task.reject(new AppError('model_failure', 'The face engine failed; try again.'))
    }
    addWorker().catch(() => setTimeout(() => replace(worker), 1000).unref())
  }

  /** The worker with the least to do. */
  function idlest(): Worker {
    const [first] = [...load].sort(([, one], [, other]) => one - other)
    if (!first)
      throw new AppError('model_failure', 'The face engine is starting again; try again in a moment.')
    return first[0]
  }

  await Promise.all(Array.from({ length: size }, addWorker))

  return {
    pack: humanV1,
    async analyse(bytes, choice = 'only') {
      const start = performance.now()
      const worker = idlest()
      const id = nextId++
      load.set(worker, (load.get(worker) ?? 0) + 1)
      try {
        const analysis = await new Promise<Analysis>((resolve, reject) => {
          pending.set(id, { resolve, reject, worker })
          worker.postMessage({ id, bytes, choice } satisfies Task)
        })
        failing = false
        analyses++
        totalMs += performance.now() - start
        return analysis
      } catch (error) {
        failing ||= error instanceof AppError && error.code === 'model_failure'
        throw error
      }
    },
    ready: () => !failing,
    performance: () => ({ analyses, meanMs: analyses === 0 ? 0 : totalMs / analyses, since }),
    async close() {
      closed = true
      for (const worker of load.keys()) await worker.terminate()
    },
  }
}
