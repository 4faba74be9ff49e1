import { sql } from 'kysely'
import { hasWords, plain, sortedBy } from '../database/lists.ts'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { type Change, note } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { versionMismatch } from '../shared/version.ts'
import type { Role } from './permissions.ts'
import type { UserQuery } from './schema.ts'
import { endSessions } from './sessions.ts'
import { hashToken, newToken } from './tokens.ts'

const columns = [
  'id',
  'username',
  'name',
  'role',
  'departments',
  'is_active',
  'totp_confirmed as totp_enabled',
  'created_at',
  'last_login_at',
  'version',
] as const

/** A day: whoever is sent a link may be away. */
const LINK_MS = 24 * 60 * 60 * 1000
/** Held while the number of owners is looked at and changed; any fixed number would do. */
const OWNERS_LOCK = 7_265_552

export interface NewUser {
  username: string
  name: string
  role: Role
  /** What a manager sees; null for every other role. */
  departments: string[] | null
}

/**
 * Adds a user without a password. Returns the user and the token with which they choose one; undefined when the name is
 * taken.
 */
export async function inviteUser(change: Change, user: NewUser, now: Date) {
  return change(async (trx) => {
    const added = await insertUser(trx, user, now)
    return added && { user: added, token: await newLink(trx, 'password', added.id, now) }
  })
}

async function insertUser(trx: DatabaseTransaction, user: NewUser, now: Date) {
  return trx
    .insertInto('users')
    .values({ ...user, created_at: now, updated_at: now, password_hash: null })
    .onConflict((conflict) => conflict.expression(sql`lower(username)`).doNothing())
    .returning(columns)
    .executeTakeFirst()
}

/** The users of one page, and how many there are in all. */
export async function listUsers(db: Database, { limit, skip, role, is_active, search, sort }: UserQuery) {
  const wanted = db
    .selectFrom('users')
    .where(hasWords(sql`concat_ws(' ', name, username)`, search ?? ''))
    .$if(role !== undefined, (query) => query.where('role', '=', role!))
    .$if(is_active !== undefined, (query) => query.where('is_active', '=', is_active!))
  const order = sortedBy(sort, {
    name: sql`name_order(name) COLLATE "C"`,
    username: sql`lower(${plain(sql`username`)}) COLLATE "C"`,
    created_at: sql`created_at`,
    // Who never signed in comes before everybody who did.
    last_login_at: sql`coalesce(last_login_at, '-infinity')`,
  })
  const users = await wanted.select(columns).orderBy(order).limit(limit).offset(skip).execute()
  const { total } = await wanted.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { users, total }
}

export async function findUser(db: Database | DatabaseTransaction, id: number) {
  return db.selectFrom('users').select(columns).where('id', '=', id).executeTakeFirst()
}

/** With what proves who they are; by name, in any case of its letters. */
export async function findCredentials(db: Database | DatabaseTransaction, username: string) {
  return db
    .selectFrom('users')
    .select([...columns, 'password_hash', 'totp_secret', 'totp_last_step'])
    .where(sql`lower(username)`, '=', username.toLowerCase())
    .executeTakeFirst()
}

export interface UserChanges {
  name?: string | undefined
  role?: Role | undefined
  departments?: string[] | null | undefined
  is_active?: boolean | undefined
}

/** What a user may do at this moment; nobody else changes it before the transaction ends. */
export type LockedUser = Pick<NewUser, 'role' | 'departments'> & { version: number }

/**
 * Changes a user who still is one of the `expected` versions; undefined expects none. `decide` says, of what they may do
 * now, what becomes of them, or throws. A change of what they may do ends their sessions and voids their links. Throws
 * `version_mismatch`, or `last_owner` when nobody could run the place any more. Undefined when there is no such user.
 */
export async function updateUser(
  change: Change,
  id: number,
  decide: (current: LockedUser) => UserChanges,
  expected: readonly number[] | undefined,
  now: Date,
) {
  return change(async (trx) => {
    await lockOwners(trx)
    const current = await lockUser(trx, id)
    if (!current) return undefined
    const changes = decide(current)
    requireVersion(current, expected)
    return writeChanges(trx, id, changes, now)
  })
}

/** A user, whom nobody else changes before the transaction ends. Undefined when there is none. */
export async function lockUser(trx: DatabaseTransaction, id: number): Promise<LockedUser | undefined> {
  return trx
    .selectFrom('users')
    .select(['role', 'departments', 'version'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
}

function requireVersion({ version }: LockedUser, expected: readonly number[] | undefined): void {
  if (expected && !expected.includes(version)) throw versionMismatch()
}

async function writeChanges(trx: DatabaseTransaction, id: number, changes: UserChanges, now: Date) {
  const user = await trx
    .updateTable('users')
    .set({ ...changes, version: sql`version + 1`, updated_at: now })
    .where('id', '=', id)
    .returning(columns)
    .executeTakeFirstOrThrow()
  await requireOwner(trx)
  if (changes.role !== undefined || changes.departments !== undefined || changes.is_active === false) {
    await endSessions(trx, id)
    // Whoever made a link for them might not be allowed to any more.
    await voidLinks(trx, id)
  }
  return user
}

/**
 * Removes a user with their sessions, one of the `expected` versions. `permit` throws for whom the caller may not remove.
 * Throws `version_mismatch` and `last_owner`; false when there is no such user.
 */
export async function deleteUser(
  change: Change,
  id: number,
  permit: (current: LockedUser) => void,
  expected: readonly number[] | undefined,
): Promise<boolean> {
  return change(async (trx) => {
    await lockOwners(trx)
    const current = await lockUser(trx, id)
    if (!current) return false
    permit(current)
    requireVersion(current, expected)
    await trx.deleteFrom('users').where('id', '=', id).execute()
    await requireOwner(trx)
    return true
  })
}

async function lockOwners(trx: DatabaseTransaction): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${OWNERS_LOCK})`.execute(trx)
}

async function requireOwner(trx: DatabaseTransaction): Promise<void> {
  if (await ownerExists(trx)) return
  throw new AppError('last_owner', 'This is the only active owner. Make somebody else an owner first.')
}

/** Whether somebody runs the place; without, the one-time setup link makes the first owner. */
export async function ownerExists(db: Database | DatabaseTransaction): Promise<boolean> {
  const owner = await db
    .selectFrom('users')
    .select('id')
    .where('role', '=', 'owner')
    .where('is_active', '=', true)
    .executeTakeFirst()
  return owner !== undefined
}

/** Sets a password, ends all sessions but `exceptSession` and voids the links to choose another. */
export async function setPassword(
  trx: DatabaseTransaction,
  userId: number,
  passwordHash: string,
  now: Date,
  exceptSession?: string,
): Promise<void> {
  await trx
    .updateTable('users')
    .set({ password_hash: passwordHash, updated_at: now })
    .where('id', '=', userId)
    .execute()
  await endSessions(trx, userId, exceptSession)
  await voidLinks(trx, userId)
}

/** A one-time token that makes the first owner; an earlier one is void. */
export async function setupToken(db: Database, now: Date): Promise<string> {
  await db.deleteFrom('one_time_links').where('purpose', '=', 'setup').execute()
  return newLink(db, 'setup', null, now)
}

/**
 * Makes a user an active owner, for whoever can reach the database itself. Returns a token to choose a password with.
 * Throws an Error that lists the users when there is none of that name.
 */
export async function recoverOwner(change: Change, username: string, now: Date): Promise<string> {
  return change(async (trx) => {
    const user = await findCredentials(trx, username)
    if (!user) {
      const users = await trx.selectFrom('users').select('username').orderBy('id').execute()
      const names = users.map((other) => other.username)
      throw new Error(
        names.length > 0
          ? `There is no user ${username}. There are: ${names.join(', ')}.`
          : 'There are no users yet. Start the server: it prints the link that makes the first owner.',
      )
    }
    await writeChanges(trx, user.id, { role: 'owner', departments: null, is_active: true }, now)
    return resetLink(trx, user.id, now)
  })
}

/**
 * A one-time token with which a user chooses a password; earlier ones are void. `permit` throws for whom the caller may
 * not make one. Undefined when there is no such user.
 */
export async function passwordToken(
  change: Change,
  userId: number,
  permit: (current: LockedUser) => void,
  now: Date,
): Promise<string | undefined> {
  return change(async (trx) => {
    const current = await lockUser(trx, userId)
    if (!current) return undefined
    permit(current)
    return resetLink(trx, userId, now)
  })
}

async function resetLink(trx: DatabaseTransaction, userId: number, now: Date): Promise<string> {
  await note(trx, { action: 'reset_link', subject_kind: 'users', subject: String(userId) })
  await voidLinks(trx, userId)
  return newLink(trx, 'password', userId, now)
}

async function voidLinks(db: Database | DatabaseTransaction, userId: number): Promise<void> {
  await db.deleteFrom('one_time_links').where('user_id', '=', userId).execute()
}

async function newLink(
  db: Database | DatabaseTransaction,
  purpose: 'setup' | 'password',
  userId: number | null,
  now: Date,
): Promise<string> {
  const token = newToken('link')
  await db
    .insertInto('one_time_links')
    .values({
      token_hash: hashToken(token),
      purpose,
      user_id: userId,
      created_at: now,
      expires_at: new Date(now.getTime() + LINK_MS),
    })
    .execute()
  return token
}

/** Makes the first owner. Throws `link_not_valid` for a wrong, used or old token, and when there is an owner. */
export async function setUpOwner(
  change: Change,
  token: string,
  user: { username: string; name: string },
  passwordHash: string,
  now: Date,
): Promise<number> {
  return change(async (trx) => {
    await lockOwners(trx)
    await takeLink(trx, token, 'setup', now)
    if (await ownerExists(trx)) throw linkNotValid()
    const owner = await insertUser(trx, { ...user, role: 'owner', departments: null }, now)
    if (!owner) throw new AppError('username_taken', `The name ${user.username} is taken.`)
    await setPassword(trx, owner.id, passwordHash, now)
    return owner.id
  })
}

/** Sets the password that somebody chose by a link; their sessions and their second factor end. */
export async function resetPassword(
  change: Change,
  token: string,
  passwordHash: string,
  now: Date,
): Promise<number> {
  return change(async (trx) => {
    const userId = (await takeLink(trx, token, 'password', now))!
    await setPassword(trx, userId, passwordHash, now)
    await removeTotp(trx, userId)
    return userId
  })
}

async function takeLink(
  trx: DatabaseTransaction,
  token: string,
  purpose: 'setup' | 'password',
  now: Date,
): Promise<number | null> {
  const link = await trx
    .deleteFrom('one_time_links')
    .where('token_hash', '=', hashToken(token))
    .where('purpose', '=', purpose)
    .where('expires_at', '>', now)
    .returning('user_id')
    .executeTakeFirst()
  if (!link) throw linkNotValid()
  return link.user_id
}

function linkNotValid(): AppError {
  return new AppError('link_not_valid', 'This link was used before or has expired. Ask for a new one.')
}

/** Keeps a second factor that its owner has yet to confirm with a code. */
export async function proposeTotp(
  trx: DatabaseTransaction,
  userId: number,
  sealedSecret: Buffer,
): Promise<void> {
  await trx
    .updateTable('users')
    .set({ totp_secret: sealedSecret, totp_confirmed: false, totp_last_step: null })
    .where('id', '=', userId)
    .execute()
}

/** Notes the time step of a code that was taken, and with it that the factor works. False when a later one was. */
export async function takeTotpStep(trx: DatabaseTransaction, userId: number, step: number): Promise<boolean> {
  const taken = await trx
    .updateTable('users')
    .set({ totp_last_step: String(step), totp_confirmed: true })
    .where('id', '=', userId)
    // Not where it was removed while this request was under way.
    .where('totp_secret', 'is not', null)
    .where(({ or, eb }) => or([eb('totp_last_step', 'is', null), eb('totp_last_step', '<', String(step))]))
    .returning('id')
    .executeTakeFirst()
  return taken !== undefined
}

export async function removeTotp(trx: DatabaseTransaction, userId: number): Promise<void> {
  await trx
    .updateTable('users')
    .set({ totp_confirmed: false, totp_secret: null, totp_last_step: null })
    .where('id', '=', userId)
    .execute()
}
