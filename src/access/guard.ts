import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import type { FastifyRequest } from 'fastify'
import type { Database } from '../database/tables.ts'
import type { Author } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { App } from '../shared/http.ts'
import { isInNetworks } from '../shared/networks.ts'
import { findKey } from './api-keys.ts'
import { type Access, authorOf, type Caller } from './caller.ts'
import { type Permission, permissionsOfKiosk, permissionsOfRole } from './permissions.ts'
import { hashToken, verifyAccessToken } from './tokens.ts'

export interface GuardDeps {
  db: Database
  clock: Clock
  /** Key of the access tokens. */
  tokenKey: Uint8Array
  /** `open` lets kiosks in without a key, for a closed network. */
  deviceAuth: 'paired' | 'open'
  /** Web origins besides the server's own that may send requests which change something. */
  origins: readonly string[]
  /** The active kiosk that a key (its hash) belongs to; devices/ knows. */
  kioskOfKey(
    keyHash: string,
    author: Author,
  ): Promise<{ deviceId: string; allowedNetworks: readonly string[] } | undefined>
}

/**
 * Lets nobody in who does not belong: every route names what it asks for (`config: { access }`), and a route that names
 * nothing stops the server from starting. Register it before any route.
 */
export function registerGuard(app: App, deps: GuardDeps): void {
  app.decorateRequest('caller')
  app.addHook('onRoute', ({ url, method, config }) => {
    if (config?.access === undefined && !isOpenPage(url) && method !== 'OPTIONS')
      throw new Error(`The route ${method} ${url} does not say who may call it (config.access).`)
  })
  app.addHook('onRequest', async (request, reply) => {
    refuseForeignOrigin(request, deps.origins)
    const access = request.routeOptions.config.access ?? 'public'
    try {
      request.caller = access === 'public' ? { kind: 'nobody' } : await identify(request, access, deps)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (!(await wasSigned(request, deps))) await request.countWrongKey()
      if (error.status === 401) reply.header('www-authenticate', 'Bearer')
      throw error
    }
    requirePermission(request.caller, access)
  })
}

/** The pages of @fastify/swagger-ui, which registers them itself. */
const isOpenPage = (url: string) => url === '/docs' || url.startsWith('/docs/')

/**
 * A page of another site must not make a browser change anything here. Bearer tokens are not sent by themselves and
 * the cookie is SameSite=Strict; this holds where a browser gets either wrong. Programs send no Origin.
 */
function refuseForeignOrigin(request: FastifyRequest, origins: readonly string[]): void {
  const { origin } = request.headers
  if (origin === undefined || ['GET', 'HEAD', 'OPTIONS'].includes(request.method)) return
  if (origins.includes(origin) || origin === `${request.protocol}://${request.host}`) return
  throw new AppError('forbidden', 'This origin may not send requests. Add it to CORS_ORIGINS if it is yours.')
}

/**
 * Where no key is asked for, a page on the internet could punch through the browser of whoever is in the closed network:
 * it has its own name lead to this server's address, and then is of the same origin. So this server is called by
 * address, or by a name that its operator gave it.
 */
function refuseReboundName(request: FastifyRequest, origins: readonly string[]): void {
  const name = request.hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  const machine = hostname().toLowerCase()
  const own = ['localhost', machine, `${machine}.local`, ...origins.map((origin) => new URL(origin).hostname)]
  const from = request.headers['sec-fetch-site']
  const elsewhere = from === 'cross-site' && !origins.includes(String(request.headers.origin))
  if (!elsewhere && (isIP(name) !== 0 || own.includes(name))) return
  throw new AppError(
    'forbidden',
    'With DEVICE_AUTH=open kiosks call the server by its address or by the name of its machine, and not from a page ' +
      'of another site. Add http://<name> to CORS_ORIGINS for any other name.',
  )
}

/**
 * Whether whoever sent a request is still let in and has the same rights: for an answer that takes long. Rejects when
 * the database cannot be asked.
 */
export async function isStill(request: FastifyRequest, deps: GuardDeps): Promise<boolean> {
  try {
    const caller = await identify(request, request.routeOptions.config.access ?? 'public', deps)
    return isDeepStrictEqual(caller, request.caller)
  } catch (error) {
    if (error instanceof AppError && [401, 403].includes(error.status)) return false
    throw error
  }
}

async function identify(request: FastifyRequest, access: Access, deps: GuardDeps): Promise<Caller> {
  const { authorization, 'x-api-key': apiKey, 'x-device-key': deviceKey } = request.headers
  const given = [authorization, apiKey, deviceKey].filter((header) => header !== undefined && header !== '')
  if (given.length > 1)
    throw notSignedIn('Send one of Authorization, X-API-Key and X-Device-Key, not several.')
  if (authorization) return userOf(authorization, deps)
  if (apiKey) return programOf(String(apiKey), deps)
  if (deviceKey) return kioskOf(String(deviceKey), request, deps)
  if (deps.deviceAuth === 'open' && (permissionsOfKiosk as ReadonlySet<string>).has(access)) {
    refuseReboundName(request, deps.origins)
    return { kind: 'kiosk', deviceId: undefined }
  }
  throw notSignedIn('Sign in, or send a key: Authorization: Bearer, X-API-Key or X-Device-Key.')
}

async function userOf(authorization: string, { db, clock, tokenKey }: GuardDeps): Promise<Caller> {
  const token = bearerOf(authorization)
  const claims = token && (await verifyAccessToken(tokenKey, token, clock.now()))
  // The session is looked up each time, so that whoever is signed out is out at once.
  const user =
    claims &&
    (await db
      .selectFrom('sessions')
      .innerJoin('users', 'users.id', 'sessions.user_id')
      .select(['users.id', 'username', 'role', 'departments'])
      .where('sessions.id', '=', claims.sessionId)
      .where('users.id', '=', claims.userId)
      .where('users.is_active', '=', true)
      .where('sessions.expires_at', '>', clock.now())
      .executeTakeFirst())
  if (!user) throw notSignedIn('The access token is not valid or has expired. Sign in again.')
  return {
    kind: 'user',
    userId: user.id,
    username: user.username,
    role: user.role,
    departments: user.departments ?? undefined,
    sessionId: claims.sessionId,
  }
}

/** Whether this server signed the token once: whoever has such a one is told to renew it, however many others guess. */
async function wasSigned({ headers }: FastifyRequest, { tokenKey }: GuardDeps): Promise<boolean> {
  const token = bearerOf(headers.authorization ?? '')
  return token !== undefined && (await verifyAccessToken(tokenKey, token, new Date(0))) !== undefined
}

const bearerOf = (authorization: string) => /^Bearer ([\w.-]+)$/i.exec(authorization)?.[1]

async function programOf(key: string, { db, clock }: GuardDeps): Promise<Caller> {
  const found = await findKey(db, hashToken(key), clock.now())
  if (!found) throw notSignedIn('The API key is not valid, has expired or was revoked.')
  return { kind: 'program', keyId: found.id, name: found.name, scopes: new Set(found.scopes) }
}

async function kioskOf(key: string, request: FastifyRequest, { kioskOfKey }: GuardDeps): Promise<Caller> {
  const kiosk = await kioskOfKey(hashToken(key), authorOf(request))
  if (!kiosk)
    throw new AppError('unknown_device', 'The device key is not valid or was revoked. Pair the kiosk again.')
  requireNetwork(request.ip, kiosk.allowedNetworks)
  return { kind: 'kiosk', deviceId: kiosk.deviceId }
}

/** The kiosks of a site call from its networks (CIDR blocks), where it names any. */
export function requireNetwork(address: string, allowedNetworks: readonly string[]): void {
  if (isInNetworks(address, allowedNetworks)) return
  throw new AppError(
    'network_not_allowed',
    "Kiosks of this site may not call from this address. An administrator can add it to the site's networks.",
  )
}

function requirePermission(caller: Caller, access: Access): void {
  if (access === 'public') return
  if (access === 'signed-in' ? caller.kind === 'user' : hasPermission(caller, access)) return
  throw new AppError('forbidden', `This needs the permission ${access}, which you do not have.`)
}

/** Whether a caller may do this: for what a route does only for some of those who may call it. */
export function hasPermission(caller: Caller, permission: Permission): boolean {
  return (
    (caller.kind === 'user' && permissionsOfRole[caller.role].has(permission)) ||
    (caller.kind === 'program' && caller.scopes.has(permission)) ||
    (caller.kind === 'kiosk' && permissionsOfKiosk.has(permission))
  )
}

/** A kiosk speaks for itself alone. */
export function requireOwnDevice(caller: Caller, deviceId: string): void {
  if (caller.kind === 'kiosk' && caller.deviceId !== undefined && caller.deviceId !== deviceId)
    throw new AppError('wrong_device', `This key belongs to another device than ${deviceId}.`)
}

function notSignedIn(message: string): AppError {
  return new AppError('not_signed_in', message)
}
