import { randomInt } from 'node:crypto'
import { hashToken } from '../access/tokens.ts'
import type { Change } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { replaceKey } from './keys.ts'

/** Without what is read as something else: 0 and O, 1, I and L. */
const alphabet = 'ABCDEFGHJKMNPQRSTUVWXYZ23456789'
const CODE_LENGTH = 8
export const CODE_S = 15 * 60

/** A one-time code for a device, XXXX-XXXX; an earlier one is void. */
export async function newPairingCode(
  change: Change,
  deviceId: string,
  createdBy: number | null,
  now: Date,
): Promise<{ code: string; expires_at: Date }> {
  const letters = Array.from({ length: CODE_LENGTH }, () => alphabet[randomInt(alphabet.length)]).join('')
  const row = {
    code_hash: hashToken(letters),
    expires_at: new Date(now.getTime() + CODE_S * 1000),
    created_by: createdBy,
    created_at: now,
  }
  await change((trx) =>
    trx
      .insertInto('pairing_codes')
      .values({ ...row, device_id: deviceId })
      .onConflict((conflict) => conflict.column('device_id').doUpdateSet(row))
      .execute(),
  )
  return { code: `${letters.slice(0, 4)}-${letters.slice(4)}`, expires_at: row.expires_at }
}

/**
 * Exchanges a code for the device's key, once; the device's earlier key is dead.
 * Throws `link_not_valid` for a wrong, used or expired code, and for one of a device that is deactivated.
 */
export async function exchangeCode(
  change: Change,
  { code, signing_key = null }: { code: string; signing_key?: string | null },
  now: Date,
) {
  return change(async (trx) => {
    const codeHash = hashToken(lettersOf(code))
    // The device before its code, as whoever revokes or deletes locks them. Of several exchanges at once the first one
    // deletes the code, and the others find nothing.
    await trx
      .selectFrom('devices')
      .select('id')
      .where('device_id', 'in', (eb) =>
        eb.selectFrom('pairing_codes').select('device_id').where('code_hash', '=', codeHash),
      )
      .forUpdate()
      .execute()
    const taken = await trx
      .deleteFrom('pairing_codes')
      .where('code_hash', '=', codeHash)
      .where('expires_at', '>', now)
      .returning('device_id')
      .executeTakeFirst()
    const key = taken && (await replaceKey(trx, taken.device_id, now))
    if (key)
      await trx.updateTable('devices').set({ signing_key }).where('device_id', '=', key.device_id).execute()
    const device =
      key &&
      (await trx
        .selectFrom('devices')
        .innerJoin('sites', 'sites.id', 'devices.site_id')
        .select([
          'devices.name',
          'config',
          'config_version',
          'direction',
          'sites.id as site_id',
          'sites.name as site_name',
          'time_zone',
        ])
        .where('device_id', '=', key.device_id)
        .where('is_active', '=', true)
        .executeTakeFirst())
    if (!device)
      throw new AppError(
        'link_not_valid',
        'This code is wrong, was used before or has expired. Ask for a new one.',
      )
    const { site_id, site_name, time_zone, ...rest } = device
    return { ...key!, ...rest, site: { id: site_id, name: site_name, time_zone } }
  })
}

function lettersOf(code: string): string {
  return code.replace(/[\s-]/g, '').toUpperCase()
}
