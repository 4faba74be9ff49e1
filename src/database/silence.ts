import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresPool } from 'kysely'
import pg from 'pg'
import type { Logger } from '../shared/log.ts'

const INTERVAL_MS = 300
/** A server that has not answered the shortest question by then is frozen, cut off or gone. */
const SILENT_AFTER_MS = 1_200
/** Where this process itself was busy, answers may be here and not yet read: a long wait counts as a short one. */
const TICK_MS = 100

/**
 * A pool whose callers do not wait for a server that says nothing any more. A statement that takes long cannot be told
 * from a server that hangs, but a connection of its own is asked all the time, and once that gets no answer, every
 * other one is cut: who waits for an answer is told at once, and so is whoever comes until the server answers again.
 * What was under way is undone by the server, or was committed: then a retry finds it.
 */
export function withoutSilence(pool: pg.Pool, config: pg.ClientConfig, log?: Logger): PostgresPool {
  const connections = new Set<Cuttable>()
  /** Those who wait for a connection. */
  const waiting = new Set<(reason: Error) => void>()
  const ending = new AbortController()
  let silent = false
  let own: pg.Client | undefined

  pool.on('connect', (client) => connections.add(client as unknown as Cuttable))
  pool.on('remove', (client) => connections.delete(client as unknown as Cuttable))

  /** Resolves to whether the connection may be asked again. A refusal is an answer, too: who refuses is there. */
  async function ask(client: pg.Client): Promise<boolean> {
    try {
      if (client !== own) await client.connect()
      own = client
      await client.query('SELECT 1')
      return true
    } catch {
      return false
    }
  }

  /** False after a while without an answer. */
  async function answers(): Promise<boolean> {
    // Its own limit would look like a refusal.
    const client = own ?? new pg.Client({ ...config, connectionTimeoutMillis: 0 })
    // What fails is told to who asked; without a listener the process would end.
    if (client !== own) client.on('error', () => {})
    let good: boolean | undefined
    const answer = ask(client).then((usable) => {
      good = usable
    })
    for (let waited = 0; waited < SILENT_AFTER_MS && good === undefined; waited += TICK_MS)
      await Promise.race([answer, sleep(TICK_MS, undefined, { ref: false })])
    if (good !== true) {
      own = undefined
      cut(client as unknown as Cuttable)
    }
    return good !== undefined
  }

  function fallSilent(): void {
    log?.error('the database says nothing any more: its connections are cut')
    for (const connection of connections) cut(connection)
    for (const refuse of waiting) refuse(silence())
    waiting.clear()
  }

  async function watch(): Promise<void> {
    while (!ending.signal.aborted) {
      const heard = await answers()
      if (!heard && !silent && !ending.signal.aborted) fallSilent()
      if (heard && silent) log?.info('the database answers again')
      silent = !heard
      await sleep(INTERVAL_MS, undefined, { ref: false, signal: ending.signal }).catch(() => {})
    }
  }
  let watching = Promise.resolve()
  // A server that has never been there is waited for, and not missed.
  pool.once('connect', () => {
    watching = watch()
  })

  return {
    connect: () =>
      new Promise((resolve, reject) => {
        if (silent) return reject(silence())
        waiting.add(reject)
        pool.connect().then(
          (client) => {
            if (waiting.delete(reject)) resolve(client)
            else client.release()
          },
          (error) => {
            waiting.delete(reject)
            reject(error)
          },
        )
      }),
    end: async () => {
      ending.abort()
      await pool.end()
      await watching
      await own?.end()
    },
  }
}

/** pg keeps the socket to itself. */
interface Cuttable {
  connection: { stream: import('node:net').Socket }
}

function cut({ connection }: Cuttable): void {
  connection.stream.destroy(silence())
}

function silence(): Error {
  return Object.assign(new Error('the database says nothing any more'), { code: 'ETIMEDOUT' })
}
