import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./database-process.ts', import.meta.url))

export interface DatabaseProcess {
  pid: number
  /** What it has said so far, a line each. */
  lines: string[]
  /** Resolves with the first line that satisfies `wanted`; rejects when the process ends without one. */
  line(wanted?: (line: string) => boolean): Promise<string>
  /** Tells a process that waits for it to go on. */
  go(): void
  /** Resolves with the exit code, null after a signal. */
  ended: Promise<number | null>
  kill(signal: NodeJS.Signals): Promise<void>
}

/** Starts database-process.ts on a folder or a URL, `under` another program if given. */
export function databaseProcess(task: string, place: string, under: string[] = []): DatabaseProcess {
  const command = [...under, process.execPath, '--import', 'tsx', program, task, place]
  const child: ChildProcess = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout! })
  reader.on('line', (line) => lines.push(line))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return {
    pid: child.pid!,
    lines,
    ended,
    go: () => child.stdin!.write('go\n'),
    line: (wanted = () => true) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find(wanted)
          if (found !== undefined) resolve(found)
        }
        look()
        reader.on('line', look)
        ended.then(() => reject(new Error(`the process ended and had said: ${lines.slice(-3).join(' | ')}`)))
      }),
    kill: async (signal) => {
      child.kill(signal)
      await ended
    },
  }
}
