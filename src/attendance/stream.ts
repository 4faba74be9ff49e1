import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import type { Database } from '../database/tables.ts'
import { AppError } from '../shared/errors.ts'
import { newestPunch, punchesAfter, type View } from './punches.ts'

export interface Listener {
  /** Whose stream it is. */
  caller: string
  view: View
  /** Whether they are still who they were, with the same rights; asked before each look at the punches. */
  mayGoOn(): Promise<boolean>
}

export interface PunchStreams {
  /**
   * Answers with server-sent events: the punches after number `after`, or from now on. Resolves when the stream ends,
   * which is as soon as `mayGoOn` says no; rejects with `too_many_requests` when the caller has too many, `overloaded`
   * when all together have.
   */
  send(reply: FastifyReply, listener: Listener, after: number | undefined): Promise<void>
  /** Ends them all. */
  close(): void
}

const MAX_STREAMS = 100
/** A person has a page open here and there; whoever has more must not take those of everybody else. */
const MAX_STREAMS_PER_CALLER = 5
const POLL_MS = 2000
/** Proxies cut off what is silent for long. */
const POLLS_PER_HEARTBEAT = 7
/** Then the client comes back with Last-Event-ID. */
const POLLS_PER_STREAM = 30
const PAGE = 100

/** The streams of one process. They ask the database, because another process may have written the punch. */
export function openStreams(db: Database): PunchStreams {
  /** Each with whose it is. */
  const streams = new Map<AbortController, string>()
  return {
    async send(reply, listener, after) {
      const { caller } = listener
      const theirs = [...streams.values()].filter((one) => one === caller).length
      if (theirs >= MAX_STREAMS_PER_CALLER)
        throw new AppError(
          'too_many_requests',
          `You have ${MAX_STREAMS_PER_CALLER} streams already. Close one of them first.`,
        )
      if (streams.size >= MAX_STREAMS)
        throw new AppError('overloaded', `There are ${MAX_STREAMS} streams already. Try again later.`)
      const ending = new AbortController()
      streams.set(ending, caller)
      try {
        const newest = await newestPunch(db)
        // A number that is not there yet is of before a restore: what comes now must not wait until it is reached.
        const start = Math.min(after ?? newest, newest)
        const { raw } = reply
        raw.once('close', () => ending.abort())
        beginEvents(reply, start)
        try {
          await follow(db, raw, listener, start, ending.signal)
        } catch (error) {
          // The answer has begun; all that can be told is that it ends. The client comes back and hears why.
          if (!ending.signal.aborted) reply.log.warn({ err: error }, 'a stream of punches broke off')
        }
        raw.end()
      } finally {
        streams.delete(ending)
      }
    },
    close() {
      for (const stream of streams.keys()) stream.abort()
    },
  }
}

function beginEvents(reply: FastifyReply, start: number): void {
  reply.hijack()
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    connection: 'close',
  })
  // The number at once: a client that heard of no punch until it was cut off must come back for those after this one.
  reply.raw.write(`retry: 1000\nid: ${start}\n\n`)
}

async function follow(
  db: Database,
  raw: ServerResponse,
  { view, mayGoOn }: Listener,
  start: number,
  signal: AbortSignal,
): Promise<void> {
  const read = punchReader(db, view, start)
  for (let poll = 1; poll <= POLLS_PER_STREAM && !signal.aborted; poll++) {
    // Who was signed out, or may see others now, is not told of one more punch.
    if (!(await mayGoOn())) return
    for (let more = true; more && !signal.aborted; ) {
      const page = await read()
      const events = page.punches.map(
        (punch) => `id: ${punch.id}\nevent: punch\ndata: ${JSON.stringify(punch)}\n\n`,
      )
      if (events.length > 0 && !raw.write(events.join(''))) await once(raw, 'drain', { signal })
      more = page.full
    }
    if (poll % POLLS_PER_HEARTBEAT === 0) raw.write(': heartbeat\n\n')
    await sleep(POLL_MS, undefined, { signal })
  }
}

/**
 * Reads on from a punch's number, each time the punches that are new since, and leaves none out: where a number is missing,
 * its transaction may still be under way, and what comes after it waits until that has ended.
 */
export function punchReader(db: Database, view: View, start: number) {
  let cursor = start
  /** Numbers up to `upTo` are there or will never be, once all transactions before `next` have ended. */
  let settling: { upTo: number; next: bigint } | undefined
  return async () => {
    const rows = await punchesAfter(db, cursor, PAGE, view)
    const [first] = rows
    if (!first) return { punches: [], full: false }
    const settled =
      first.oldest === first.next
        ? Number.POSITIVE_INFINITY
        : settling && first.oldest >= settling.next
          ? settling.upTo
          : 0
    const punches = []
    for (const { punch, visible } of rows) {
      if (punch.id !== cursor + 1 && punch.id > settled) break
      cursor = punch.id
      if (visible) punches.push(punch)
    }
    const last = rows.at(-1)!.punch.id
    if (cursor === last) settling = undefined
    else if (!settling || settling.upTo <= settled) settling = { upTo: last, next: first.next }
    return { punches, full: rows.length === PAGE && cursor === last }
  }
}
