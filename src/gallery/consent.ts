import type { Selectable } from 'kysely'
import type { ConsentsTable, Database, DatabaseTransaction } from '../database/tables.ts'
import { AppError } from '../shared/errors.ts'

export type Consent = Selectable<ConsentsTable>

/** What a person agreed to, and what they withdrew, oldest first. */
export async function listConsents(
  db: Database | DatabaseTransaction,
  employeeId: string,
): Promise<Consent[]> {
  return db.selectFrom('consents').selectAll().where('employee_id', '=', employeeId).orderBy('id').execute()
}

/** Writes down a consent; one to the same text that holds already stays the one. Lock the person first. */
export async function giveConsent(
  trx: DatabaseTransaction,
  consent: { employeeId: string; textVersion: string; by: string; now: Date },
): Promise<Consent> {
  const { employeeId, textVersion, by, now } = consent
  const holding = (await listConsents(trx, employeeId)).find(
    ({ withdrawn_at, text_version }) => withdrawn_at === null && text_version === textVersion,
  )
  return (
    holding ??
    trx
      .insertInto('consents')
      .values({ employee_id: employeeId, text_version: textVersion, given_at: now, given_by: by })
      .returningAll()
      .executeTakeFirstOrThrow()
  )
}

/** Withdraws every consent that holds. Returns how many. */
export async function withdrawConsents(
  trx: DatabaseTransaction,
  employeeId: string,
  now: Date,
): Promise<number> {
  const { numUpdatedRows } = await trx
    .updateTable('consents')
    .set({ withdrawn_at: now })
    .where('employee_id', '=', employeeId)
    .where('withdrawn_at', 'is', null)
    .executeTakeFirst()
  return Number(numUpdatedRows)
}

/** Rejects with `consent_missing` unless a consent of the person holds, or their site asks for none. */
export async function requireConsent(trx: Database | DatabaseTransaction, employeeId: string): Promise<void> {
  const site = await trx
    .selectFrom('employees')
    .innerJoin('sites', 'sites.id', 'employees.site_id')
    .select('require_consent')
    .where('employee_id', '=', employeeId)
    .executeTakeFirst()
  if (site?.require_consent === false) return
  const consents = await listConsents(trx, employeeId)
  if (!consents.some(({ withdrawn_at }) => withdrawn_at === null))
    throw new AppError(
      'consent_missing',
      'There is no consent of this person to be recognised by face. Record it before a photo is added, or send the ' +
        'text version that they agreed to with it, in the field consent.',
    )
}
