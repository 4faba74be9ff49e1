import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Insertable, sql } from 'kysely'
import { hasWords, sortedBy } from '../database/lists.ts'
import type { Database, NetworkLogsTable } from '../database/tables.ts'
import type { Clock } from '../shared/clock.ts'
import type { App } from '../shared/http.ts'
import type { Logger } from '../shared/log.ts'
import type { LogQuery, NetworkLog } from './schema.ts'

type Entry = Insertable<NetworkLogsTable>

const FLUSH_MS = 1000
/** More than this between two writes is dropped: the log must not become a burden of its own. */
const MAX_WAITING = 1000
/** Whoever has no key must not fill the disk either. */
const MAX_REFUSALS_A_MINUTE = 60

/**
 * Notes every request of a kiosk, and refused attempts to be one: who, from where, what, with which result, how long,
 * when. Written together once a second, after the answers; a failure costs entries, never a request.
 */
export function registerNetworkLog(app: App, deps: { db: Database; clock: Clock; log: Logger }): void {
  const { db, clock, log } = deps
  const waiting: Entry[] = []
  let minute = 0
  let refusals = 0
  let writing = Promise.resolve()

  app.addHook('onResponse', async (request, reply) => {
    const deviceId = deviceOf(request, reply)
    if (deviceId === undefined || waiting.length >= MAX_WAITING) return
    const now = clock.now()
    if (deviceId === null && tooManyRefusals(now)) return
    waiting.push({
      created_at: now,
      device_id: deviceId,
      ip_address: request.ip,
      // The route's pattern: addresses hold people's ids.
      action: `${request.method} ${request.routeOptions.url}`,
      result: String(reply.statusCode),
      latency_ms: Math.round(reply.elapsedTime * 10) / 10,
    })
  })

  function tooManyRefusals(now: Date): boolean {
    const thisMinute = Math.floor(now.getTime() / 60_000)
    if (thisMinute !== minute) refusals = 0
    minute = thisMinute
    return ++refusals > MAX_REFUSALS_A_MINUTE
  }

  async function write(): Promise<void> {
    const entries = waiting.splice(0)
    if (entries.length === 0) return
    await db
      .insertInto('network_logs')
      .values(entries)
      .execute()
      .catch((error: unknown) =>
        log.warn({ err: error, entries: entries.length }, 'the network log was not written'),
      )
  }

  const flush = () => {
    writing = writing.then(write)
    return writing
  }
  const timer = setInterval(flush, FLUSH_MS).unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    await flush()
  })
}

/** The device that a request came from; null for one that wanted to pass for a device; undefined for anybody else. */
function deviceOf(request: FastifyRequest, reply: FastifyReply): string | null | undefined {
  // Undefined where the guard refused it.
  const caller = request.caller as FastifyRequest['caller'] | undefined
  const refused = reply.statusCode >= 400
  if (caller?.kind === 'kiosk') {
    if (caller.deviceId !== undefined) return caller.deviceId
    // Without keys a kiosk says who it is; what was refused may be anything.
    const { device_id } = (request.body ?? {}) as { device_id?: unknown }
    return typeof device_id === 'string' && !refused ? device_id : null
  }
  const presentedKey = caller === undefined && Boolean(request.headers['x-device-key'])
  const triedToPair = refused && request.routeOptions.url?.endsWith('/devices/pair') === true
  return presentedKey || triedToPair ? null : undefined
}

/** The entries of one page, and how many there are in all; of one device, or of everything. */
export async function listNetworkLogs(
  db: Database,
  deviceId: string | undefined,
  { limit, skip, from, to, action, result, ip_address, sort = '-created_at' }: LogQuery,
): Promise<{ logs: NetworkLog[]; total: number }> {
  const wanted = db
    .selectFrom('network_logs')
    .where(hasWords(sql`action`, action ?? ''))
    .$if(deviceId !== undefined, (query) => query.where('device_id', '=', deviceId!))
    .$if(from !== undefined, (query) => query.where('created_at', '>=', new Date(from!)))
    .$if(to !== undefined, (query) => query.where('created_at', '<', new Date(to!)))
    .$if(result !== undefined, (query) => query.where('result', '=', result!))
    .$if(ip_address != null, (query) => query.where('ip_address', '=', ip_address!))
  const order = sortedBy(sort, {
    created_at: sql`created_at`,
    latency_ms: sql`coalesce(latency_ms, 0)`,
  })
  const logs = await wanted.selectAll().orderBy(order).limit(limit).offset(skip).execute()
  const { total } = await wanted.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { logs, total }
}
