import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { note } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { type App, invalidField, problems } from '../shared/http.ts'
import { pageQuery, setPageHeaders } from '../shared/paging.ts'
import { expectedVersions, ifMatch, sendVersioned } from '../shared/version.ts'
import { createKey, deleteKey, listKeys } from './api-keys.ts'
import { authorOf } from './caller.ts'
import { type Permission, permissionsOfRole, type Role } from './permissions.ts'
import { type AuthDeps, noUser, personOf, requireUser } from './person.ts'
import * as schema from './schema.ts'
import { endSessions } from './sessions.ts'
import {
  deleteUser,
  inviteUser,
  type LockedUser,
  listUsers,
  lockUser,
  passwordToken,
  type UserChanges,
  updateUser,
} from './users.ts'

const tags = ['Users and keys']
const DAY_S = 24 * 60 * 60

/** Who may use the system. */
export function userRoutes(app: App, { db, clock, ledger }: AuthDeps): void {
  app.get(
    '/auth/users',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary:
          'Who may use the system: list, filter, search and sort; X-Total-Count and Link tell of the other pages',
        querystring: schema.userQuery,
        response: { 200: z.array(schema.userSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { users, total } = await listUsers(db, request.query)
      setPageHeaders(request, reply, request.query, total)
      return users
    },
  )

  app.post(
    '/auth/users',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'Add a user; the answer holds the link with which they choose their password',
        body: schema.newUserSchema,
        response: { 201: schema.invitedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { username, name = username, role, departments = null } = request.body
      requireRankOver(request, role)
      const change = ledger.by(authorOf(request))
      const invited = await inviteUser(change, { username, name, role, departments }, clock.now())
      if (!invited) throw new AppError('username_taken', `The name ${username} is taken.`)
      return reply.code(201).send({ user: sendVersioned(reply, invited.user), link: linkOf(invited.token) })
    },
  )

  app.get(
    '/auth/users/:id',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'One user',
        params: schema.userPath,
        response: { 200: schema.userSchema, ...problems },
      },
    },
    async (request, reply) => sendVersioned(reply, await requireUser(db, request.params.id)),
  )

  app.patch(
    '/auth/users/:id',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'Change a user; a change of what they may do ends their sessions',
        params: schema.userPath,
        headers: ifMatch,
        body: schema.userChangesSchema,
        response: { 200: schema.userSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      if (Object.values(request.body).every((value) => value === undefined))
        throw new AppError('invalid_request', 'The request changes nothing: send at least one field.')
      const expected = expectedVersions(request.headers['if-match'])
      const decide = (current: LockedUser) => decideChanges(request, current, request.body)
      const changed = await updateUser(ledger.by(authorOf(request)), id, decide, expected, clock.now())
      return sendVersioned(reply, changed ?? noUser(id))
    },
  )

  app.delete(
    '/auth/users/:id',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'Remove a user and end their sessions',
        params: schema.userPath,
        headers: ifMatch,
        response: { 200: schema.done, ...problems },
      },
    },
    async (request) => {
      const { id } = request.params
      const expected = expectedVersions(request.headers['if-match'])
      const permit = ({ role }: LockedUser) => requireRankOver(request, role)
      if (!(await deleteUser(ledger.by(authorOf(request)), id, permit, expected))) noUser(id)
      return { message: 'The user is removed' }
    },
  )

  app.post(
    '/auth/users/:id/reset-link',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'A one-time link with which a user chooses a new password; their second factor ends with it',
        params: schema.userPath,
        response: { 201: schema.linkSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const permit = ({ role }: LockedUser) => requireRankOver(request, role)
      const token = await passwordToken(ledger.by(authorOf(request)), id, permit, clock.now())
      return reply.code(201).send(linkOf(token ?? noUser(id)))
    },
  )

  app.delete(
    '/auth/users/:id/sessions',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'Sign a user out everywhere, at once',
        params: schema.userPath,
        response: { 200: schema.done.extend({ ended: z.number() }), ...problems },
      },
    },
    async (request) => {
      const { id } = request.params
      const ended = await ledger.by(authorOf(request))(async (trx) => {
        requireRankOver(request, ((await lockUser(trx, id)) ?? noUser(id)).role)
        await note(trx, { action: 'end_sessions', subject_kind: 'users', subject: String(id) })
        return endSessions(trx, id)
      })
      return { message: 'The user is signed out', ended }
    },
  )
}

/** Of what was sent, and of what the user may do now. */
function decideChanges(request: FastifyRequest, user: LockedUser, sent: schema.SentUserChanges): UserChanges {
  const { role = user.role, departments, ...others } = sent
  requireRankOver(request, user.role)
  requireRankOver(request, role)
  const theirs = role === 'manager' ? (departments ?? user.departments) : null
  if (role === 'manager' && !theirs) throw invalidField('departments', 'must be given for a manager')
  if (role !== 'manager' && departments) throw invalidField('departments', 'is for managers alone')
  return sent.role || departments ? { ...others, role, departments: theirs } : others
}

function linkOf(token: string) {
  return { token, path: `/reset?token=${token}`, expires_in: DAY_S }
}

/** The keys of programs. */
export function keyRoutes(app: App, { db, clock, ledger }: AuthDeps): void {
  app.get(
    '/auth/api-keys',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'The keys of programs, without the keys themselves',
        querystring: pageQuery,
        response: { 200: z.array(schema.keySchema), ...problems },
      },
    },
    async (request, reply) => {
      const { keys, total } = await listKeys(db, request.query)
      setPageHeaders(request, reply, request.query, total)
      return keys
    },
  )

  app.post(
    '/auth/api-keys',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'Make a key for a program; it is shown in this answer and never again',
        body: schema.newKeySchema,
        response: { 201: schema.newKeyAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const { userId, role } = personOf(request)
      const { expires_at } = request.body
      if (expires_at !== undefined && new Date(expires_at) <= clock.now())
        throw invalidField('expires_at', 'must lie in the future: a key that has expired opens nothing')
      const missing = request.body.scopes.filter((scope: Permission) => !permissionsOfRole[role].has(scope))
      if (missing.length > 0)
        throw new AppError('forbidden', `You cannot give what you do not have: ${missing.join(', ')}.`)
      const change = ledger.by(authorOf(request))
      return reply.code(201).send(await createKey(change, request.body, userId, clock.now()))
    },
  )

  app.delete(
    '/auth/api-keys/:id',
    {
      config: { access: 'users:manage' },
      schema: {
        tags,
        summary: 'Revoke a key, at once',
        params: schema.keyPath,
        response: { 200: schema.done, ...problems },
      },
    },
    async (request) => {
      const { id } = request.params
      if (!(await deleteKey(ledger.by(authorOf(request)), id)))
        throw new AppError('key_not_found', `There is no key ${id}.`)
      return { message: 'The key is revoked' }
    },
  )
}

/** Only an owner makes, changes or removes owners. */
function requireRankOver(request: FastifyRequest, role: Role): void {
  if (role === 'owner' && personOf(request).role !== 'owner')
    throw new AppError('forbidden', 'Only an owner can do that to an owner.')
}
