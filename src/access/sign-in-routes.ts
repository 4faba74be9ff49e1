import type { FastifyReply, FastifyRequest } from 'fastify'
import QRCode from 'qrcode'
import { z } from 'zod'
import type { DatabaseTransaction } from '../database/tables.ts'
import { note } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { type App, invalidField, problems } from '../shared/http.ts'
import { pageQuery, setPageHeaders } from '../shared/paging.ts'
import { authorOf } from './caller.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { permissionsOfRole } from './permissions.ts'
import { type AuthDeps, confirmPassword, personOf, requireUser } from './person.ts'
import * as schema from './schema.ts'
import {
  endSession,
  endSessionOf,
  listSessions,
  renewSession,
  SESSION_DAYS,
  startSession,
} from './sessions.ts'
import { countAttempt } from './throttle.ts'
import { seal, signAccessToken, unseal, verifyAccessToken } from './tokens.ts'
import { checkTotp, newTotpSecret, totpUri } from './totp.ts'
import {
  findCredentials,
  ownerExists,
  proposeTotp,
  removeTotp,
  resetPassword,
  setPassword,
  setUpOwner,
  takeTotpStep,
} from './users.ts'

const tags = ['Sign-in']
const cookie = 'rollcall_refresh'
const cookiePath = '/api/v1/auth'
const DAY_S = 24 * 60 * 60

/** Signing in and out, and the first owner. */
export function signInRoutes(app: App, deps: AuthDeps): void {
  const { db, clock, ledger } = deps

  app.get(
    '/auth/setup',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: 'Whether the first owner is still to be made',
        response: { 200: schema.setupStateSchema, ...problems },
      },
    },
    async () => ({ needed: !(await ownerExists(db)) }),
  )

  app.post(
    '/auth/setup',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: 'Make the first owner, with the one-time token that the server printed at its start',
        body: schema.setupSchema,
        response: { 201: schema.signedInSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { token, username, name = username, password } = request.body
      const { forgive } = await countAttempt(db, undefined, request.ip, clock.now())
      const userId = await setUpOwner(
        ledger.by(authorOf(request)),
        token,
        { username, name },
        await hashPassword(password),
        clock.now(),
      )
      await forgive()
      return reply.code(201).send(await signIn(request, reply, userId))
    },
  )

  app.post(
    '/auth/login',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: 'Sign in',
        description:
          'Answers an access token and sets the refresh token as a cookie. 401 `code_required` asks for the code of the second factor.',
        body: schema.credentialsSchema,
        response: { 200: schema.signedInSchema, ...problems },
      },
    },
    async (request, reply) => {
      const userId = await authenticate(request, request.body)
      return signIn(request, reply, userId)
    },
  )

  app.post(
    '/auth/refresh',
    {
      // The cookie is judged as a key is: a good one passes, whatever others of its address send.
      config: { access: 'public', rateLimit: false },
      schema: {
        tags,
        summary: 'A new access token for the refresh token in the cookie, which is exchanged as well',
        response: { 200: schema.signedInSchema, ...problems },
      },
    },
    async (request, reply) => {
      const token = request.cookies[cookie]
      const renewal =
        token === undefined
          ? ({ outcome: 'refused' } as const)
          : await renewSession(db, token, whereOf(request), clock.now())
      if (renewal.outcome === 'reused')
        request.log.warn({ user: renewal.userId }, 'a refresh token was used twice: its session was ended')
      if (renewal.outcome !== 'renewed') {
        await request.countWrongKey()
        throw new AppError('not_signed_in', 'There is no session to renew. Sign in again.')
      }
      setCookie(request, reply, renewal.refreshToken)
      return answerOf(renewal.userId, renewal.sessionId)
    },
  )

  app.post(
    '/auth/logout',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: 'End the session of the cookie, and that of the access token where one is sent',
        response: { 200: schema.done, ...problems },
      },
    },
    async (request, reply) => {
      const token = request.cookies[cookie]
      if (token !== undefined) await endSessionOf(db, token)
      const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
      const claims = bearer && (await verifyAccessToken(deps.tokenKey, bearer, clock.now()))
      if (claims) await endSession(db, claims.userId, claims.sessionId)
      reply.clearCookie(cookie, { path: cookiePath })
      return { message: 'Signed out' }
    },
  )

  app.get(
    '/auth/me',
    {
      config: { access: 'signed-in' },
      schema: {
        tags,
        summary: 'Who is signed in, and what they may do',
        response: { 200: schema.meSchema, ...problems },
      },
    },
    async (request) => {
      const { userId, sessionId } = personOf(request)
      const user = await requireUser(db, userId)
      return { ...user, permissions: [...permissionsOfRole[user.role]], session_id: sessionId }
    },
  )

  /** Name, password and, where one is set up, second factor. Each failure costs the same time and says the same. */
  async function authenticate(
    request: FastifyRequest,
    { username, password, code }: z.output<typeof schema.credentialsSchema>,
  ): Promise<number> {
    const { forgive } = await countAttempt(db, username, request.ip, clock.now())
    const user = await findCredentials(db, username)
    const right = await verifyPassword(user?.password_hash, password)
    if (!user || !right || !user.is_active) throw wrongCredentials()
    if (user.totp_enabled) {
      // Not forgiven yet: or the password would buy any number of guesses at the code.
      if (code === undefined)
        throw new AppError('code_required', 'Send the code that your authenticator app shows.')
      const secret = openSecret(deps.sealingKey, user.totp_secret!)
      const step = checkTotp(secret, code, clock.now(), Number(user.totp_last_step ?? -1))
      const take = (trx: DatabaseTransaction) => takeTotpStep(trx, user.id, step!)
      if (step === undefined || !(await ledger.by(authorOf(request))(take))) throw wrongCredentials()
    }
    await forgive()
    return user.id
  }

  async function signIn(request: FastifyRequest, reply: FastifyReply, userId: number) {
    // Refused attempts are not noted: whoever floods the server with them must not fill the ledger.
    const author = { ...authorOf(request), by: `user:${userId}` }
    const { sessionId, refreshToken } = await ledger.by(author)(async (trx) => {
      await note(trx, { action: 'sign_in', subject_kind: 'users', subject: String(userId) })
      await trx.updateTable('users').set({ last_login_at: clock.now() }).where('id', '=', userId).execute()
      return startSession(trx, userId, whereOf(request), clock.now())
    })
    setCookie(request, reply, refreshToken)
    return answerOf(userId, sessionId)
  }

  async function answerOf(userId: number, sessionId: string) {
    const now = clock.now()
    const expiresAt = new Date(now.getTime() + deps.accessTokenMs)
    return {
      access_token: await signAccessToken(deps.tokenKey, { userId, sessionId }, now, expiresAt),
      token_type: 'bearer' as const,
      expires_in: deps.accessTokenMs / 1000,
      user: await requireUser(db, userId),
    }
  }
}

/** A person's own password. */
export function passwordRoutes(app: App, { db, clock, ledger }: AuthDeps): void {
  app.post(
    '/auth/password',
    {
      config: { access: 'signed-in' },
      schema: {
        tags,
        summary: 'Change your own password; your other sessions end',
        body: schema.passwordChangeSchema,
        response: { 200: schema.done, ...problems },
      },
    },
    async (request) => {
      const { userId, sessionId } = personOf(request)
      const { current_password, new_password } = request.body
      await confirmPassword(db, request, current_password, clock.now())
      const hash = await hashPassword(new_password)
      await ledger.by(authorOf(request))((trx) => setPassword(trx, userId, hash, clock.now(), sessionId))
      return { message: 'The password is changed, and all other sessions have ended' }
    },
  )

  app.post(
    '/auth/reset',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: 'Choose a password with the one-time token of an invitation or a reset',
        body: schema.resetSchema,
        response: { 200: schema.done, ...problems },
      },
    },
    async (request) => {
      const { token, password } = request.body
      const { forgive } = await countAttempt(db, undefined, request.ip, clock.now())
      const change = ledger.by(authorOf(request))
      await resetPassword(change, token, await hashPassword(password), clock.now())
      await forgive()
      return { message: 'The password is set. Sign in with it.' }
    },
  )
}

/** A person's second factor. */
export function secondFactorRoutes(app: App, { db, clock, ledger, sealingKey }: AuthDeps): void {
  app.post(
    '/auth/totp',
    {
      config: { access: 'signed-in' },
      schema: {
        tags,
        summary: 'Begin to set up a second factor: a secret for an authenticator app',
        body: schema.passwordSchema,
        response: { 200: schema.totpSchema, ...problems },
      },
    },
    async (request) => {
      const { userId, username } = personOf(request)
      await confirmPassword(db, request, request.body.password, clock.now())
      if ((await requireUser(db, userId)).totp_enabled)
        throw new AppError(
          'invalid_request',
          'A second factor is set up. Remove it before you set up another.',
        )
      const secret = newTotpSecret()
      const sealed = seal(sealingKey, secret)
      await ledger.by(authorOf(request))((trx) => proposeTotp(trx, userId, sealed))
      const { uri, secret: text } = totpUri(secret, username)
      return { secret: text, uri, qr_svg: await QRCode.toString(uri, { type: 'svg' }) }
    },
  )

  app.post(
    '/auth/totp/confirm',
    {
      config: { access: 'signed-in' },
      schema: {
        tags,
        summary: 'Show by a code that the app has the secret; from now on signing in asks for one',
        body: schema.codeSchema,
        response: { 200: schema.done, ...problems },
      },
    },
    async (request) => {
      const { userId, username } = personOf(request)
      const { forgive } = await countAttempt(db, username, request.ip, clock.now())
      const user = await findCredentials(db, username)
      if (!user?.totp_secret) throw new AppError('invalid_request', 'Begin with POST /auth/totp.')
      const secret = openSecret(sealingKey, user.totp_secret)
      const step = checkTotp(secret, request.body.code, clock.now(), Number(user.totp_last_step ?? -1))
      const take = (trx: DatabaseTransaction) => takeTotpStep(trx, userId, step!)
      if (step === undefined || !(await ledger.by(authorOf(request))(take)))
        throw invalidField('code', 'is not the one that the app shows now')
      await forgive()
      return { message: 'The second factor is set up' }
    },
  )

  app.delete(
    '/auth/totp',
    {
      config: { access: 'signed-in' },
      schema: {
        tags,
        summary: 'Remove your second factor',
        body: schema.passwordSchema,
        response: { 200: schema.done, ...problems },
      },
    },
    async (request) => {
      await confirmPassword(db, request, request.body.password, clock.now())
      await ledger.by(authorOf(request))((trx) => removeTotp(trx, personOf(request).userId))
      return { message: 'The second factor is removed' }
    },
  )
}

/** Where a person is signed in. */
export function sessionRoutes(app: App, { db, clock }: AuthDeps): void {
  app.get(
    '/auth/sessions',
    {
      config: { access: 'signed-in' },
      schema: {
        tags,
        summary: 'Where you are signed in',
        querystring: pageQuery,
        response: { 200: z.array(schema.sessionSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { userId, sessionId } = personOf(request)
      const { sessions, total } = await listSessions(db, userId, request.query, clock.now())
      setPageHeaders(request, reply, request.query, total)
      return sessions.map(({ rotated_at, ...session }) => ({
        ...session,
        last_used_at: rotated_at,
        current: session.id === sessionId,
      }))
    },
  )

  app.delete(
    '/auth/sessions/:session_id',
    {
      config: { access: 'signed-in' },
      schema: {
        tags,
        summary: 'End one of your sessions, at once',
        params: schema.sessionPath,
        response: { 200: schema.done, ...problems },
      },
    },
    async (request) => {
      const { session_id } = request.params
      if (!(await endSession(db, personOf(request).userId, session_id)))
        throw new AppError('session_not_found', 'You have no such session.')
      return { message: 'The session has ended' }
    },
  )
}

function openSecret(key: Uint8Array, sealed: Uint8Array): Buffer {
  try {
    return unseal(key, sealed)
  } catch (cause) {
    throw new AppError(
      'forbidden',
      "Your second factor cannot be read, because the server's secret is another one now. Ask an administrator for a " +
        'reset link; an owner is recovered on the command line.',
      {},
      cause,
    )
  }
}

function wrongCredentials(): AppError {
  return new AppError('invalid_credentials', 'The name, the password or the code is not right.')
}

function whereOf(request: FastifyRequest) {
  return { ip: request.ip, userAgent: request.headers['user-agent'] }
}

function setCookie(request: FastifyRequest, reply: FastifyReply, token: string): void {
  reply.setCookie(cookie, token, {
    path: cookiePath,
    httpOnly: true,
    sameSite: 'strict',
    secure: request.protocol === 'https',
    maxAge: SESSION_DAYS * DAY_S,
  })
}
