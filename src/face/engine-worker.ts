import { parentPort, workerData } from 'node:worker_threads'
import { AppError } from '../shared/errors.ts'
import { openNetworks } from './engine.ts'
import type { Answer, Job, Task, WorkerChoice } from './engine-pool.ts'
import { findPack } from './packs/catalogue.ts'
import { analyseFrames, analysePicture } from './pipeline.ts'

// The networks in a thread of their own: see engine-pool.ts.

const choice = workerData as WorkerChoice
const pack = findPack(choice.pack)
if (!pack) throw new Error(`There is no model pack ${choice.pack}.`)
const networks = await openNetworks(pack, choice.modelPath)
const tell = (answer: Answer) => parentPort?.postMessage(answer)

const work = (job: Job) =>
  job.kind === 'picture'
    ? analysePicture(pack, networks, job.bytes, job.choice)
    : analyseFrames(pack, networks, job.pictures, job.throughout)

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
