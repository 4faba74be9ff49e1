import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../shared/log.ts'

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000
/** Who lived for so long has not died of its start. */
const SETTLED_MS = 60_000
/** Longer than a server takes to answer what it took; service managers must wait for longer still. */
export const STOP_PATIENCE_MS = 30_000

/**
 * Runs so many processes of this program, which share its port, until `stopSignal` resolves; then every one answers what
 * it took. One that dies is started again, after a pause that grows while it goes on dying. The first is waited for
 * before there are others. Resolves to false when that one does not start: it has said why.
 */
export async function runWorkers(count: number, log: Logger, stopSignal: Promise<void>): Promise<boolean> {
  const stopping = new AbortController()
  const first = fork(1)
  const started = await Promise.race([
    once(first, 'listening').then(() => true),
    once(first, 'exit').then(() => false),
    stopSignal.then(() => 'stopped' as const),
  ])
  if (started === false) return false
  const up = new Set([1])
  const listening = (number: number) => {
    if (up.size < count && up.add(number).size === count)
      log.info({ workers: count }, 'all workers are started')
  }
  const places = [keepAlive(1, first, log, stopping.signal, listening)]
  if (started === true) {
    for (let number = 2; number <= count; number++)
      places.push(keepAlive(number, fork(number), log, stopping.signal, listening))
    await stopSignal
  }
  stopping.abort()
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM')
  const late = setTimeout(() => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL')
  }, STOP_PATIENCE_MS)
  await Promise.all(places)
  clearTimeout(late)
  return true
}

/** The first of them does what is done once: it migrates, offers the setup link, makes the backups. */
function fork(number: number): Worker {
  return cluster.fork({ ROLLCALL_WORKER: String(number) })
}

/** Resolves when the last worker of this number has ended after the stop. */
async function keepAlive(
  number: number,
  worker: Worker,
  log: Logger,
  stop: AbortSignal,
  listening: (number: number) => void,
): Promise<void> {
  let pauseMs = FIRST_PAUSE_MS
  for (let current = worker; ; current = fork(number)) {
    const born = performance.now()
    current.once('listening', () => listening(number))
    const [code, signal] = await once(current, 'exit')
    if (stop.aborted) return
    if (performance.now() - born > SETTLED_MS) pauseMs = FIRST_PAUSE_MS
    log.error(
      { worker: number, pid: current.process.pid, code, signal, pause_ms: pauseMs },
      'a worker ended; starting another one',
    )
    await sleep(pauseMs, undefined, { signal: stop }).catch(() => {})
    if (stop.aborted) return
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
  }
}
