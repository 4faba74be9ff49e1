import fastifyRateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import { AppError } from '../shared/errors.ts'
import type { App } from '../shared/http.ts'
import { type Caller, callerId } from './caller.ts'

type Limiter = ReturnType<App['createRateLimit']>
/** Whether a limit lets a request through, and what it has left. */
type Verdict = Awaited<ReturnType<Limiter>>

const MINUTE_MS = 60_000
/** A kiosk's part of what a person or a program may send. */
const KIOSK_SHARE = 5

/**
 * Limits how often each caller and each address may ask, in this process. Whoever has shown who they are is counted
 * as themselves; everybody else, wrong keys and unknown routes included, by their address. Register it before the
 * guard and the error handling; `limitCallers` after the guard. `config: { rateLimit: false }` exempts a route.
 */
export async function limitAddresses(app: App, perMinute: number): Promise<void> {
  await app.register(fastifyRateLimit, { global: false, cache: 20_000 })
  const ofAddress = app.createRateLimit({ max: perMinute, timeWindow: MINUTE_MS })
  // Of its own, so that nobody without a key can use up what the people and kiosks of an address may ask.
  const ofWrongKeys = app.createRateLimit({ max: perMinute, timeWindow: MINUTE_MS })
  const counted = new WeakSet<FastifyRequest>()

  app.addHook('onRequest', async (request) => {
    if (isExempt(request)) return
    // Who shows credentials is counted once they are judged: as themselves, or below when they are worth nothing.
    if (showsCredentials(request))
      return refuseExcess(await ofWrongKeys(request, { increment: false }), false)
    counted.add(request)
    refuseExcess(await ofAddress(request))
  })
  app.addHook('onResponse', async (request) => {
    if (isExempt(request) || counted.has(request) || isKnown(request.caller)) return
    await ofAddress(request)
    if (showsCredentials(request)) await ofWrongKeys(request)
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

function showsCredentials({ headers }: FastifyRequest): boolean {
  return [headers.authorization, headers['x-api-key'], headers['x-device-key']].some(Boolean)
}

/** Not the unpaired kiosks of DEVICE_AUTH=open: any caller may say that they are one. */
function isKnown(caller: Caller | undefined): boolean {
  if (caller === undefined || caller.kind === 'nobody') return false
  return caller.kind !== 'kiosk' || caller.deviceId !== undefined
}

/** `counted` says whether this request is among what the verdict has seen. */
function refuseExcess(verdict: Verdict, counted = true): void {
  if (verdict.isAllowed || (counted ? !verdict.isExceeded : verdict.remaining > 0)) return
  throw new AppError('too_many_requests', 'Too many requests. Slow down, and try again in a moment.', {
    retry_after_seconds: Math.max(1, verdict.ttlInSeconds),
  })
}
