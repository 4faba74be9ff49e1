import { parentPort } from 'node:worker_threads'
import { AppError } from '../shared/errors.ts'
import { openHumanV1 } from './engine.ts'
import type { Answer, Task } from './engine-pool.ts'
import { humanV1 } from './packs/human-v1.ts'
import { analysePicture } from './pipeline.ts'

// The networks in a thread of their own: see engine-pool.ts.

const networks = await openHumanV1()
const tell = (answer: Answer) => parentPort?.postMessage(answer)

parentPort?.on('message', async ({ id, bytes, choice }: Task) => {
  try {
    tell({ id, analysis: await analysePicture(humanV1, networks, bytes, choice) })
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
