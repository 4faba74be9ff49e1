import type { FastifyRequest } from 'fastify'
import type { Author } from '../ledger/ledger.ts'
import type { Permission, Role } from './permissions.ts'

/** Who sends a request. */
export type Caller =
  | { kind: 'nobody' }
  | {
      kind: 'user'
      userId: number
      username: string
      role: Role
      /** The departments that they may see; undefined means all. */
      departments: readonly string[] | undefined
      sessionId: string
    }
  | { kind: 'program'; keyId: number; name: string; scopes: ReadonlySet<Permission> }
  /** `deviceId` is undefined for the unpaired kiosks of DEVICE_AUTH=open, which say who they are in the request. */
  | { kind: 'kiosk'; deviceId: string | undefined }

/** What a route asks for: a permission, a signed-in person, or nothing. */
export type Access = Permission | 'signed-in' | 'public'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route. A route without it is not registered: the server refuses to start. */
    access?: Access
  }
  interface FastifyRequest {
    caller: Caller
  }
}

/** The departments that a list must be limited to; undefined means all. */
export function visibleDepartments(caller: Caller): readonly string[] | undefined {
  return caller.kind === 'user' ? caller.departments : undefined
}

/** How a caller is named in logs and records: a number or a kiosk's id, never a person's name. */
export function callerId(caller: Caller | undefined): string {
  if (caller === undefined) return 'nobody'
  if (caller.kind === 'user') return `user:${caller.userId}`
  if (caller.kind === 'program') return `key:${caller.keyId}`
  if (caller.kind === 'kiosk') return `kiosk:${caller.deviceId ?? 'open'}`
  return 'nobody'
}

/** Who makes the changes of a request, as the ledger keeps it. */
export function authorOf(request: FastifyRequest): Author {
  const { method, routeOptions, ip, id } = request
  return { by: callerId(request.caller), from: ip, route: `${method} ${routeOptions.url}`, request_id: id }
}
