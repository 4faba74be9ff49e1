import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { AppError } from '../shared/errors.ts'
import { SealBroken } from '../vault/seal.ts'
import { KeyLost, type Vault } from '../vault/vault.ts'
import type { PhotoStore } from './photo-store.ts'

/** Of whom the key is asked for, and what the database says it is called. */
interface KeyOwner {
  employee_id: string
  key_id: string | null
}

/** The key that a person's photos and templates are sealed with. Rejects with `biometrics_unreadable`. */
export async function keyOf(vault: Vault, { employee_id, key_id }: KeyOwner): Promise<Buffer> {
  if (key_id === null) throw unreadable(employee_id, new Error('nothing of theirs is sealed'))
  const key = await vault.key(key_id).catch((error: unknown) => {
    throw error instanceof KeyLost ? unreadable(employee_id, error) : error
  })
  if (!key) throw unreadable(employee_id, new Error(`the key ${key_id} was erased`))
  return key
}

/** The same, by the person's id; undefined for one who has no key: there is nothing of theirs to open. */
export async function findKey(
  vault: Vault,
  db: Database | DatabaseTransaction,
  employeeId: string,
): Promise<Buffer | undefined> {
  const person = await db
    .selectFrom('employees')
    .select(['employee_id', 'key_id'])
    .where('employee_id', '=', employeeId)
    .executeTakeFirst()
  return person && person.key_id !== null ? keyOf(vault, person) : undefined
}

/** The same, made with the first photo. Lock the person first. */
export async function keyForEnrolment(
  vault: Vault,
  trx: DatabaseTransaction,
  employeeId: string,
): Promise<Buffer> {
  const present = await findKey(vault, trx, employeeId)
  if (present) return present
  const key_id = await vault.newKey()
  await trx.updateTable('employees').set({ key_id }).where('employee_id', '=', employeeId).execute()
  return keyOf(vault, { employee_id: employeeId, key_id })
}

/** A stored photo, or undefined when its file is gone. Rejects with `biometrics_unreadable`. */
export async function readPhoto(
  { db, vault, photos }: { db: Database; vault: Vault; photos: PhotoStore },
  { employee_id, file_path }: { employee_id: string; file_path: string },
): Promise<Buffer | undefined> {
  const key = await findKey(vault, db, employee_id)
  try {
    return key && (await photos.read(file_path, key))
  } catch (error) {
    throw error instanceof SealBroken ? unreadable(employee_id, error) : error
  }
}

/** What cannot be opened is nobody's face: an error, never a score. */
export function unreadable(employeeId: string, cause: unknown): AppError {
  return new AppError(
    'biometrics_unreadable',
    `What is stored of the face of ${employeeId} cannot be opened: it was altered, or its key is lost. ` +
      'Restore it from a backup, or erase it and enrol the person anew.',
    { employee_id: employeeId },
    cause,
  )
}

/** Runs what opens something of a person's. Throws `biometrics_unreadable` where it does not open. */
export function opening<T>(employeeId: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof SealBroken ? unreadable(employeeId, error) : error
  }
}
