import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Question, Started, Usage } from './server.ts'

export interface ServerProcess extends Started {
  usage(): Promise<Usage>
  stop(): Promise<void>
}

/** Starts the server on a free port of 127.0.0.1 with its data in `folder`. Its log goes to nobody. */
export async function startServerProcess(folder: string, execArgv = process.execArgv): Promise<ServerProcess> {
  const child = fork(fileURLToPath(new URL('server.ts', import.meta.url)), [folder], {
    execArgv,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const answer = async () => {
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the server ended with exit code ${code}`)
    })
    const [message] = await Promise.race([once(child, 'message'), ended])
    return message
  }
  const ask = (question: Question) => child.send(question)
  const started = (await answer()) as Started
  return {
    ...started,
    usage: () => {
      ask('usage')
      return answer() as Promise<Usage>
    },
    stop: async () => {
      const ended = once(child, 'exit')
      ask('stop')
      await ended
    },
  }
}
