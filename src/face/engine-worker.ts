import { parentPort } from 'node:worker_threads'
import { AppError } from '../shared/errors.ts'
import { openHumanV1 } from './engine.ts'
import type { Answer, Job, Task } from './engine-pool.ts'
import { humanV1 } from './packs/human-v1.ts'
import { analyseFrames, analysePicture } from './pipeline.ts'

// The networks in a thread of their own: see engine-pool.ts.

const networks = await openHumanV1()
const tell = (answer: Answer) => parentPort?.postMessage(answer)

const work = (job: Job) =>
  job.kind === 'picture'
    ? analysePicture(humanV1, networks, job.bytes, job.choice)
    : analyseFrames(humanV1, networks, job.pictures, job.spread)

parentPort?.on('message', async ({ id, ...job }: Task) => {
  try {
    tell({ id, result: await work(job) })
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
