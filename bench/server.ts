/**
 * The server under test, as `npm start` runs it (from dist/), in a process of its own, so that the CPU time of its
 * clients does not count. It talks with its parent by messages and ends with it.
 */
import type * as Main from '../src/main.ts'
import type * as ConfigModule from '../src/shared/config.ts'
import type * as Log from '../src/shared/log.ts'

/** What the parent asks for. */
export type Question = 'usage' | 'stop'
/** What it is told unasked, once. */
export interface Started {
  base: string
  setupPath: string | undefined
  /** From the loading of the program to listening. */
  startMs: number
}
export interface Usage {
  /** CPU time of all threads since the process began. */
  cpuMs: number
  rssMiB: number
}

const built = async <T>(path: string) => (await import(new URL(`../dist/${path}`, import.meta.url).href)) as T

const start = performance.now()
const { startServer } = await built<typeof Main>('main.js')
const { loadConfig } = await built<typeof ConfigModule>('shared/config.js')
const { createLogger } = await built<typeof Log>('shared/log.js')

const folder = process.argv[2]
// Without a window for duplicates the same few people write a new punch with every check, which is the whole way.
const settings = {
  DATA_DIR: folder,
  HOST: '127.0.0.1',
  PORT: '0',
  DUPLICATE_WINDOW_S: '0',
  RATE_LIMIT: '1000000',
}
const config = loadConfig(settings, folder)
const server = await startServer(config, createLogger({ level: 'info' }), '0.0.0-bench')

process.on('message', async (question: Question) => {
  if (question === 'usage') return tell(usage())
  await server.close()
  process.disconnect()
})
process.on('disconnect', () => process.exit())
tell({ base: server.base, setupPath: server.setupPath, startMs: performance.now() - start })

function tell(message: Started | Usage): void {
  process.send?.(message)
}

function usage(): Usage {
  const { user, system } = process.cpuUsage()
  return { cpuMs: (user + system) / 1000, rssMiB: process.memoryUsage.rss() / 1024 ** 2 }
}
