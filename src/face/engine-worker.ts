import { parentPort } from 'node:worker_threads'
import { AppError } from '../shared/errors.ts'
import { startEngine } from './engine.ts'
import type { Answer, Task } from './engine-pool.ts'

// One engine in a thread of its own: see engine-pool.ts.

const engine = await startEngine()
const tell = (answer: Answer) => parentPort?.postMessage(answer)

parentPort?.on('message', async ({ id, bytes, choice }: Task) => {
  try {
    tell({ id, analysis: await engine.analyse(bytes, choice) })
  } catch (error) {
    const refused = error instanceof AppError
    const { message, stack } = error as Error
    tell({
      id,
      error: refused
        ? { code: error.code, message, details: error.details, cause: String(error.cause ?? '') }
        : { code: 'internal', message: stack ?? message, details: {}, cause: '' },
    })
  }
})
tell('ready')
