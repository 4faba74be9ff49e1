import { extname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import '../shared/no-telemetry.ts'
import { type Clock, systemClock } from '../shared/clock.ts'
import { AppError, type ErrorCode } from '../shared/errors.ts'
import { counted, type EngineChoice, type FaceEngine, padOf } from './engine.ts'
import { humanV1 } from './packs/human-v1.ts'
import { measuredOf } from './packs/measured.ts'
import type { Analysis, Burst, Choice } from './pipeline.ts'

/** What a worker is asked. */
export type Job =
  | { kind: 'picture'; bytes: Uint8Array; choice: Choice }
  | { kind: 'frames'; pictures: readonly Uint8Array[]; throughout: boolean }

export type Task = Job & { id: number }

/** What a worker is started with; the pack goes by its name, because a manifest cannot be sent to a thread. */
export interface WorkerChoice {
  pack: string
  modelPath: string | undefined
}

/** What it says: once that it is ready, then one answer to each task. */
export type Answer =
  | 'ready'
  | { id: number; result: Analysis | Burst }
  | {
      id: number
      error: { code: ErrorCode; message: string; details: Record<string, unknown>; cause: string }
    }

interface Pending {
  resolve: (result: Analysis | Burst) => void
  reject: (error: unknown) => void
  worker: Worker
}

/** Between two attempts to replace a worker. */
const PAUSE_MS = 1000

/**
 * The face engine in `size` threads of its own. ONNX Runtime's `run` for Node computes on the thread that calls it, so
 * that an engine on the main thread would hold up every other request for as long as a network runs.
 *
 * The pack must be one of the catalogue. Rejects when a worker cannot start; none is left then. A worker that dies later fails what it was doing with
 * `model_failure` and is replaced, however many attempts that takes. From a failure on, `ready()` is false until an
 * analysis works again or, if nobody asks for one, until a replacement is up. `close` fails what is still under way.
 */
export async function startEnginePool(
  size: number,
  { pack = humanV1, modelPath }: EngineChoice = {},
  clock: Clock = systemClock,
): Promise<FaceEngine> {
  const workerData: WorkerChoice = { pack: pack.name, modelPath }
  const pending = new Map<number, Pending>()
  /** All threads, with those that are still starting. */
  const threads = new Set<Worker>()
  /** Those that can be asked. */
  const workers = new Set<Worker>()
  const work = counted(
    {
      analyse: (bytes, choice) => ask({ kind: 'picture', bytes, choice }) as Promise<Analysis>,
      analyseFrames: (pictures, throughout) =>
        ask({ kind: 'frames', pictures, throughout }) as Promise<Burst>,
    },
    clock,
  )
  let nextId = 0
  let closed = false

  /** Resolves when the worker can be asked, rejects when it dies before that. */
  function addWorker(): Promise<void> {
    const script = new URL(`./engine-worker${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(script, { workerData })
    threads.add(worker)
    return new Promise((resolve, reject) => {
      let cause: unknown
      worker.on('message', (answer: Answer) => {
        if (answer !== 'ready') return settle(answer)
        workers.add(worker)
        resolve()
      })
      worker.on('error', (error) => {
        cause = error
      })
      // Always the last event, and the only one of a worker that is terminated.
      worker.on('exit', () => {
        threads.delete(worker)
        reject(cause ?? new Error('the face engine ended while it was starting'))
        if (workers.delete(worker)) bury(worker, cause)
      })
    })
  }

  /** Fails what the dead worker was doing and sees to its replacement. */
  function bury(worker: Worker, cause: unknown): void {
    work.setReady(false)
    for (const [id, task] of pending) {
      if (task.worker !== worker) continue
      pending.delete(id)
      task.reject(
        closed ? stopping() : new AppError('model_failure', 'The face engine failed; try again.', {}, cause),
      )
    }
    void replaceWorker()
  }

  async function replaceWorker(): Promise<void> {
    while (!closed) {
      try {
        await addWorker()
        work.setReady(true)
        return
      } catch {
        await setTimeout(PAUSE_MS, undefined, { ref: false })
      }
    }
  }

  function settle(answer: Exclude<Answer, 'ready'>): void {
    const task = pending.get(answer.id)
    if (!task) return
    pending.delete(answer.id)
    if ('result' in answer) {
      task.resolve(answer.result)
      return
    }
    const { code, message, details, cause } = answer.error
    task.reject(
      code === 'internal'
        ? new Error(message)
        : new AppError(code, message, details, cause && new Error(cause)),
    )
  }

  async function ask(job: Job): Promise<Analysis | Burst> {
    if (closed) throw stopping()
    const worker = idlest()
    const id = nextId++
    return new Promise((resolve, reject) => {
      // First, so that nothing is pending when it throws.
      worker.postMessage({ ...job, id } satisfies Task)
      pending.set(id, { resolve, reject, worker })
    })
  }

  /** The worker with the least to do. */
  function idlest(): Worker {
    const load = (worker: Worker) => [...pending.values()].filter((task) => task.worker === worker).length
    const [first] = [...workers].sort((one, other) => load(one) - load(other))
    if (!first)
      throw new AppError('model_failure', 'The face engine is starting again; try again in a moment.')
    return first
  }

  async function close(): Promise<void> {
    closed = true
    await Promise.all([...threads].map((worker) => worker.terminate()))
  }

  try {
    await Promise.all(Array.from({ length: size }, addWorker))
  } catch (error) {
    await close()
    throw error
  }
  return {
    pack: { ...pack, measured: measuredOf(pack, modelPath) ?? null },
    looksForAttacks: padOf(pack, modelPath) !== undefined,
    ...work,
    close,
  }
}

const stopping = () => new AppError('stopping', 'The face engine is stopping; try again in a moment.')
