import { statfs } from 'node:fs/promises'
import { cpus, freemem, totalmem } from 'node:os'
import { sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import type { FaceEngine } from '../face/engine.ts'

/** What was last known; reading it costs nothing and never waits. */
export interface HealthState {
  databaseConnected: boolean
  /** How long its last answer took. */
  databaseMs: number
  activeDevices: number
  cpuPercent: number
  memoryPercent: number
  diskPercent: number | null
}

export interface HealthProbe {
  state: () => HealthState
  /** Asks the database now. False when it fails, or does not answer within a second. */
  databaseAnswers: () => Promise<boolean>
  /** Settles once the first look at the database ended, or after a second. */
  firstResult: Promise<void>
  stop: () => void
}

/**
 * Looks at the database and the machine every second, in the background, one look at a time.
 * A database that hangs counts as disconnected once its last answer is `staleMs` old.
 */
export function startHealthProbe(
  db: Database,
  dataFolder: string,
  { intervalMs = 1000, staleMs = 5000 } = {},
): HealthProbe {
  let activeDevices = 0
  let databaseMs = 0
  let answeredAtMs = Number.NEGATIVE_INFINITY
  let failed = false
  let asking: Promise<boolean> | undefined
  let diskPercent: number | null = null
  let cpuPercent = 0
  let cpuBefore = cpuTicks()

  /** One question at a time, however many wait for its answer. */
  function askDatabase(): Promise<boolean> {
    const start = performance.now()
    asking ??= countActiveDevices(db)
      .then(
        (count) => {
          activeDevices = count
          answeredAtMs = performance.now()
          databaseMs = answeredAtMs - start
          failed = false
          return true
        },
        () => {
          failed = true
          return false
        },
      )
      .finally(() => {
        asking = undefined
      })
    return asking
  }

  async function lookAtMachine(): Promise<void> {
    const cpuNow = cpuTicks()
    const total = cpuNow.total - cpuBefore.total
    if (total > 0) cpuPercent = percent(1 - (cpuNow.idle - cpuBefore.idle) / total)
    cpuBefore = cpuNow
    diskPercent = await usedDiskPercent(dataFolder)
  }

  const timer = setInterval(() => {
    void askDatabase()
    void lookAtMachine()
  }, intervalMs)
  timer.unref()
  void lookAtMachine()

  return {
    state: () => ({
      databaseConnected: !failed && performance.now() - answeredAtMs < staleMs,
      databaseMs,
      activeDevices,
      cpuPercent,
      memoryPercent: percent(1 - availableMemory() / totalmem()),
      diskPercent,
    }),
    databaseAnswers: () => Promise.race([askDatabase(), falseAfter(1000)]),
    firstResult: Promise.race([askDatabase(), falseAfter(1000)]).then(() => {}),
    stop: () => clearInterval(timer),
  }
}

/** How long the networks' last answer holds: anybody may ask, and each answer costs as much as a check-in. */
const TRIED_MS = 5000

/**
 * Returns a function that tells whether a real inference works: tried at that moment, unless it was within the last
 * seconds, once at a time. False as well when there is no answer for as long.
 */
export function inferenceProbe(engine: Pick<FaceEngine, 'works'>): () => Promise<boolean> {
  let works = false
  let triedAtMs = Number.NEGATIVE_INFINITY
  let trying: Promise<boolean> | undefined

  function tryNow(): Promise<boolean> {
    trying ??= engine
      .works()
      .then((answer) => {
        triedAtMs = performance.now()
        works = answer
        return answer
      })
      .finally(() => {
        trying = undefined
      })
    return trying
  }

  return async () =>
    performance.now() - triedAtMs < TRIED_MS ? works : Promise.race([tryNow(), falseAfter(TRIED_MS)])
}

async function countActiveDevices(db: Database): Promise<number> {
  const row = await db
    .selectFrom('devices')
    .select(sql<number>`count(*)::int`.as('count'))
    .where('is_active', '=', true)
    .executeTakeFirstOrThrow()
  return row.count
}

function falseAfter(milliseconds: number): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds, false as const).unref()
  })
}

function cpuTicks(): { idle: number; total: number } {
  let idle = 0
  let total = 0
  for (const { times } of cpus()) {
    idle += times.idle
    total += times.user + times.nice + times.sys + times.idle + times.irq
  }
  return { idle, total }
}

function availableMemory(): number {
  // Unlike os.freemem() it counts what the page cache would give back.
  return process.availableMemory?.() ?? freemem()
}

async function usedDiskPercent(folder: string): Promise<number | null> {
  try {
    const { blocks, bavail } = await statfs(folder)
    return blocks === 0 ? null : percent(1 - bavail / blocks)
  } catch {
    return null
  }
}

function percent(share: number): number {
  return Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10
}
