import fastifyRateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import { AppError } from '../shared/errors.ts'
import type { App } from '../shared/http.ts'
import { type Caller, callerId } from './caller.ts'

/** Whether a limit lets a request through, and what it has left. */
type Verdict = Awaited<ReturnType<ReturnType<App['createRateLimit']>>>

declare module 'fastify' {
  interface FastifyRequest {
    /** Counts credentials that were judged to be worth nothing. Throws `too_many_requests` once too many came. */
    countWrongKey(): Promise<void>
  }
}

const MINUTE_MS = 60_000
/** A kiosk's part of what a person or a program may send. */
const KIOSK_SHARE = 5

/**
 * Limits how often each caller and each address may ask, in this process. Whoever has shown who they are is counted
 * as themselves; everybody else, wrong keys and unknown routes included, by their address. Register it before the
 * guard and the error handling; `limitCallers` after the guard. `config: { rateLimit: false }` exempts a route.
 *
 * Credentials are always judged, which costs a hash and a look into an index: many share an address, and what others
 * send from it must keep nobody out whose key is good.
 */
export async function limitAddresses(app: App, perMinute: number): Promise<void> {
  await app.register(fastifyRateLimit, { global: false, cache: 20_000 })
  const ofAddress = app.createRateLimit({ max: perMinute, timeWindow: MINUTE_MS })
  // Of its own, so that who asks without a key does not change what becomes of a wrong one.
  const ofWrongKeys = app.createRateLimit({ max: perMinute, timeWindow: MINUTE_MS })

  app.decorateRequest('countWrongKey', async function countWrongKey(this: FastifyRequest) {
    // Who sends no key was counted when the request came in.
    if (!isExempt(this) && !willBeJudged(this)) return
    await ofAddress(this)
    refuseExcess(await ofWrongKeys(this))
  })
  app.addHook('onRequest', async (request) => {
    if (!isExempt(request) && !willBeJudged(request)) refuseExcess(await ofAddress(request))
  })
}

/** The second half of `limitAddresses`: what each user, program and kiosk may ask. */
export function limitCallers(app: App, perMinute: number): void {
  const ofCaller = app.createRateLimit({
    max: ({ caller }) => (caller.kind === 'kiosk' ? Math.ceil(perMinute / KIOSK_SHARE) : perMinute),
    timeWindow: MINUTE_MS,
    keyGenerator: ({ caller }) => callerId(caller),
  })
  app.addHook('onRequest', async (request) => {
    if (!isExempt(request) && isKnown(request.caller)) refuseExcess(await ofCaller(request))
  })
}

function isExempt(request: FastifyRequest): boolean {
  return request.routeOptions.config?.rateLimit === false
}

/** Nobody looks at the credentials for a route that is public or not there: they are worth nothing. */
function willBeJudged({ headers, routeOptions }: FastifyRequest): boolean {
  const access = routeOptions.config?.access ?? 'public'
  const given = [headers.authorization, headers['x-api-key'], headers['x-device-key']]
  return access !== 'public' && given.some(Boolean)
}

/** Not the unpaired kiosks of DEVICE_AUTH=open: any caller may say that they are one. */
function isKnown(caller: Caller | undefined): boolean {
  if (caller === undefined || caller.kind === 'nobody') return false
  return caller.kind !== 'kiosk' || caller.deviceId !== undefined
}

function refuseExcess(verdict: Verdict): void {
  if (verdict.isAllowed || !verdict.isExceeded) return
  throw new AppError('too_many_requests', 'Too many requests. Slow down, and try again in a moment.', {
    retry_after_seconds: Math.max(1, verdict.ttlInSeconds),
  })
}
