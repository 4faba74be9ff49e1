import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Question, Started, Usage } from './server.ts'

export interface ServerProcess extends Started {
  usage(): Promise<Usage>
  stop(): Promise<void>
}

/** Starts the server on a free port of 127.0.0.1 with its data in `folder`. Its log goes to nobody. */
export async function startServerProcess(folder: string): Promise<ServerProcess> {
  const child = fork(fileURLToPath(new URL('server.ts', import.meta.url)), [folder], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit')
  const failed = ended.then(([code]) => {
    throw new Error(`the server ended with exit code ${code}`)
  })
  // Looked at only while an answer is awaited.
  failed.catch(() => {})
  const ask = async <A>(question?: Question): Promise<A> => {
    const answer = new Promise<A>((resolve) => {
      child.once('message', (message) => resolve(message as A))
    })
    if (question) child.send(question)
    return Promise.race([answer, failed])
  }
  const started = await ask<Started>()
  return {
    ...started,
    usage: () => ask<Usage>('usage'),
    stop: async () => {
      child.send('stop' satisfies Question)
      await ended
    },
  }
}
