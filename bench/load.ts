/** What a check costs over HTTP, and what becomes of many at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openClient } from './client.ts'
import { type Company, foundCompany } from './company.ts'
import type { ServerProcess } from './server-process.ts'
import type { Reference } from './stages.ts'
import { cpuMsSince, medianTiming, quantile, type Timing } from './timing.ts'

export interface CheckResult {
  /** One check of a person who punches; CPU of the server's process only. */
  check: Timing
  /** The same with an Idempotency-Key. */
  checkWithKey: Timing
  /** GET /health, for comparison: HTTP without the picture, the networks and the database. */
  health: Timing
  /** The reference, run by the benchmark itself between the checks. */
  bareNetworks: Timing
  /** Answers other than a new punch of the right person. */
  notIdentified: number
}

export interface LoadResult {
  connections: number
  /** Whether a client that got 503 waits as long as Retry-After says, or sends the next check at once. */
  waitsAfter503: boolean
  seconds: number
  checksPerSecond: number
  right: number
  wrong: number
  later: number
  unexpected: number
  /** Requests without a whole answer. */
  lost: number
  checkMs: Latencies
  health: Latencies & { samples: number; lost: number }
  cpuMsPerCheck: number
}

interface Latencies {
  medianMs: number
  p99Ms: number
  maxMs: number
}

const LOADS = [
  { connections: 1, waitsAfter503: true },
  { connections: 10, waitsAfter503: true },
  { connections: 100, waitsAfter503: true },
  { connections: 100, waitsAfter503: false },
]
const HEALTH_EVERY_MS = 100

export interface LoadOptions {
  checks: number
  loadMs: number
  reference: Reference
  progress: (line: string) => void
}

export async function benchServer(
  server: ServerProcess,
  { checks, loadMs, reference, progress }: LoadOptions,
) {
  const client = openClient(server.base, 1)
  try {
    progress('enrolling')
    const company = await foundCompany(client, server)
    progress('checks, one after the other')
    const check = await benchChecks(server, company, checks, reference)
    const loads: LoadResult[] = []
    for (const load of LOADS) {
      progress(
        `load: ${load.connections} connections${load.waitsAfter503 ? '' : ' that do not wait after a 503'}`,
      )
      loads.push(await benchLoad(server, company, { ...load, loadMs }))
    }
    return { check, loads }
  } finally {
    client.close()
  }
}

async function benchChecks(
  server: ServerProcess,
  company: Company,
  checks: number,
  reference: Reference,
): Promise<CheckResult> {
  const client = openClient(server.base, 1)
  let next = 0
  let notIdentified = 0
  const one = async (headers?: Record<string, string>) => {
    const { kind, code } = await company.check(client, 0, next++, headers)
    if (kind !== 'right' || code !== 'identified') notIdentified++
  }
  const serverCpuMs = async () => (await server.usage()).cpuMs
  const ownCpuMs = async () => cpuMsSince({ user: 0, system: 0 })
  const timings = await timeBatches(checks, {
    check: { cpuMs: serverCpuMs, work: () => one() },
    checkWithKey: { cpuMs: serverCpuMs, work: () => one({ 'idempotency-key': `check-${next}` }) },
    health: { cpuMs: serverCpuMs, work: () => client.get('/health') },
    bareNetworks: { cpuMs: ownCpuMs, work: reference.run },
  })
  client.close()
  return { ...timings, notIdentified }
}

const BATCH = 10
const WARM_UP_BATCHES = 3

/** Times batches of each kind in turn: what a process does by the clock would blur the CPU time of a single piece. */
async function timeBatches<K extends string>(
  pieces: number,
  kinds: Record<K, { cpuMs: () => Promise<number>; work: () => Promise<unknown> }>,
): Promise<Record<K, Timing>> {
  const names = Object.keys(kinds) as K[]
  const taken = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<K, Timing[]>
  for (let batch = -WARM_UP_BATCHES; batch < pieces / BATCH; batch++)
    for (const name of names) {
      const { cpuMs, work } = kinds[name]
      const before = await cpuMs()
      const start = performance.now()
      for (let i = 0; i < BATCH; i++) await work()
      const wallMs = (performance.now() - start) / BATCH
      const timing = { wallMs, cpuMs: ((await cpuMs()) - before) / BATCH }
      if (batch >= 0) taken[name].push(timing)
    }
  return Object.fromEntries(names.map((name) => [name, medianTiming(taken[name])])) as Record<K, Timing>
}

async function benchLoad(
  server: ServerProcess,
  company: Company,
  { connections, waitsAfter503, loadMs }: { connections: number; waitsAfter503: boolean; loadMs: number },
): Promise<LoadResult> {
  const client = openClient(server.base, connections)
  const counts = { right: 0, wrong: 0, later: 0, unexpected: 0, lost: 0 }
  const checkMs: number[] = []
  const health = watchHealth(server.base)
  const before = await server.usage()
  const start = performance.now()
  const endsAt = start + loadMs

  // Each connection belongs to one kiosk and sends the next check when the last one is answered.
  const kiosk = async (connection: number) => {
    for (let number = connection; performance.now() < endsAt; number++) {
      const sent = performance.now()
      const verdict = await company.check(client, connection % company.kiosks, number).catch(() => undefined)
      counts[verdict?.kind ?? 'lost']++
      if (verdict?.kind === 'right') checkMs.push(performance.now() - sent)
      if (verdict?.kind === 'later' && waitsAfter503) await sleep(verdict.retryAfterMs)
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, connection) => kiosk(connection)))

  const seconds = (performance.now() - start) / 1000
  const after = await server.usage()
  client.close()
  const done = counts.right + counts.wrong
  return {
    connections,
    waitsAfter503,
    seconds,
    checksPerSecond: done / seconds,
    ...counts,
    checkMs: latencies(checkMs),
    health: await health.stop(),
    cpuMsPerCheck: (after.cpuMs - before.cpuMs) / done,
  }
}

/** Asks GET /health again and again without waiting for the answers, as a monitor would. */
function watchHealth(base: string) {
  const client = openClient(base, Number.POSITIVE_INFINITY)
  const answers: Promise<number | undefined>[] = []
  const ask = async () => {
    const sent = performance.now()
    const reply = await client.get('/health').catch(() => undefined)
    return reply?.status === 200 ? performance.now() - sent : undefined
  }
  const timer = setInterval(() => answers.push(ask()), HEALTH_EVERY_MS)
  return {
    stop: async () => {
      clearInterval(timer)
      const all = await Promise.all(answers)
      client.close()
      const answered = all.filter((ms) => ms !== undefined)
      return { ...latencies(answered), samples: all.length, lost: all.length - answered.length }
    },
  }
}

function latencies(values: number[]): Latencies {
  return { medianMs: quantile(values, 0.5), p99Ms: quantile(values, 0.99), maxMs: quantile(values, 1) }
}
