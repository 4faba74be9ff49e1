import { hashToken, newToken } from '../access/tokens.ts'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Author, Change, Ledger } from '../ledger/ledger.ts'
import { isDeleted, isNamed } from './records.ts'

/**
 * The active device that a key (its hash) belongs to, and the networks that its site's kiosks call from. The first use of
 * a device's next key ends the one before.
 */
export async function kioskOfKey(
  { db, ledger }: { db: Database; ledger: Ledger },
  keyHash: string,
  author: Author,
): Promise<{ deviceId: string; allowedNetworks: string[] } | undefined> {
  const device = await db
    .selectFrom('devices')
    .innerJoin('sites', 'sites.id', 'devices.site_id')
    .select(['device_id', 'next_key_hash', 'allowed_networks'])
    .where(({ or, eb }) => or([eb('key_hash', '=', keyHash), eb('next_key_hash', '=', keyHash)]))
    .where('is_active', '=', true)
    .executeTakeFirst()
  if (device?.next_key_hash === keyHash) {
    // Only while it still is the next one: a revocation or another rotation at this moment wins.
    await ledger.by({ ...author, by: `kiosk:${device.device_id}` })((trx) =>
      trx
        .updateTable('devices')
        .set({ key_hash: keyHash, next_key_hash: null })
        .where('next_key_hash', '=', keyHash)
        .execute(),
    )
  }
  return device && { deviceId: device.device_id, allowedNetworks: device.allowed_networks }
}

export interface DeviceKey {
  device_id: string
  device_key: string
}

/** Gives a device a key that is good at once; the one before is dead. Undefined when there is no such active device. */
export async function replaceKey(
  trx: DatabaseTransaction,
  device: string,
  now: Date,
): Promise<DeviceKey | undefined> {
  const device_key = newToken('device')
  const updated = await trx
    .updateTable('devices')
    .set({ key_hash: hashToken(device_key), next_key_hash: null, key_created_at: now })
    .where(isNamed(device))
    .where('is_active', '=', true)
    .returning('device_id')
    .executeTakeFirst()
  return updated && { device_id: updated.device_id, device_key }
}

/** A new key beside the old one, which is good until the new one is used: the answer may be lost on its way. */
export async function offerKey(
  trx: DatabaseTransaction,
  deviceId: string,
  now: Date,
): Promise<DeviceKey | undefined> {
  const device_key = newToken('device')
  const updated = await trx
    .updateTable('devices')
    .set({ next_key_hash: hashToken(device_key), key_created_at: now })
    .where('device_id', '=', deviceId)
    .where('is_active', '=', true)
    // Not where it was revoked while this request was under way.
    .where(({ or, eb }) => or([eb('key_hash', 'is not', null), eb('next_key_hash', 'is not', null)]))
    .returning('device_id')
    .executeTakeFirst()
  return updated && { device_id: deviceId, device_key }
}

/** Makes a device's keys and its pairing code worthless. False when there is no such device, or it is deleted. */
export async function revokeKey(change: Change, device: string): Promise<boolean> {
  return change(async (trx) => {
    const updated = await trx
      .updateTable('devices')
      .set({ key_hash: null, next_key_hash: null, key_created_at: null })
      .where(isNamed(device))
      .where(({ not }) => not(isDeleted))
      .returning('device_id')
      .executeTakeFirst()
    if (updated === undefined) return false
    await trx.deleteFrom('pairing_codes').where('device_id', '=', updated.device_id).execute()
    return true
  })
}
