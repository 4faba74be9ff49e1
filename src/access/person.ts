import type { FastifyRequest } from 'fastify'
import type { Database } from '../database/tables.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Caller } from './caller.ts'
import { verifyPassword } from './passwords.ts'
import { countAttempt } from './throttle.ts'
import { findCredentials, findUser } from './users.ts'

export interface AuthDeps {
  db: Database
  clock: Clock
  ledger: Ledger
  /** Key of the access tokens, and the one that seals second factors. */
  tokenKey: Uint8Array
  sealingKey: Uint8Array
  accessTokenMs: number
}

type Person = Extract<Caller, { kind: 'user' }>

/** Routes of `signed-in` and `users:manage` are for people: no program's key has that scope. */
export function personOf({ caller }: FastifyRequest): Person {
  if (caller.kind !== 'user') throw new AppError('forbidden', 'This is for people who sign in.')
  return caller
}

/** Before what a stolen access token must not be enough for. */
export async function confirmPassword(
  db: Database,
  request: FastifyRequest,
  password: string,
  now: Date,
): Promise<void> {
  const { username } = personOf(request)
  const { forgive } = await countAttempt(db, username, request.ip, now)
  const user = await findCredentials(db, username)
  if (!(await verifyPassword(user?.password_hash, password)))
    throw new AppError('invalid_credentials', 'The password is not right.')
  await forgive()
}

/** A user by number. Throws `user_not_found`. */
export async function requireUser(db: Database, id: number) {
  return (await findUser(db, id)) ?? noUser(id)
}

export function noUser(id: number): never {
  throw new AppError('user_not_found', `There is no user ${id}.`)
}
