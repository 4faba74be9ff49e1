import { type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import type { Database, DatabaseTransaction, Tables } from '../database/tables.ts'
import type { Page } from '../shared/paging.ts'
import { type Device, type DeviceChanges, deletedMark, type NewDevice } from './schema.ts'

const columns = [
  'id',
  'device_id',
  'name',
  'location',
  'ip_address',
  'is_active',
  'created_at',
  'last_heartbeat',
  'config',
] as const

const isDeleted = sql<SqlBool>`(NOT devices.is_active AND right(devices.name, ${deletedMark.length}) = ${deletedMark})`

/** Registers a device, or a deleted one again. Undefined when the id is in use. */
export async function registerDevice(
  db: Database,
  device: NewDevice,
  now: Date,
): Promise<Device | undefined> {
  const { device_id, name = device_id, location = null, ip_address = null } = device
  return db
    .insertInto('devices')
    .values({ device_id, name, location, ip_address, created_at: now })
    .onConflict((conflict) =>
      conflict
        .column('device_id')
        .doUpdateSet({ name, location, ip_address, is_active: true })
        .where(isDeleted),
    )
    .returning(columns)
    .executeTakeFirst()
}

/** The devices of one page, deleted ones included, and how many there are in all. */
export async function listDevices(db: Database, page: Page): Promise<{ devices: Device[]; total: number }> {
  const devices = await db
    .selectFrom('devices')
    .select(columns)
    .orderBy('id')
    .limit(page.limit)
    .offset(page.skip)
    .execute()
  const { total } = await db
    .selectFrom('devices')
    .select(sql<number>`count(*)::int`.as('total'))
    .executeTakeFirstOrThrow()
  return { devices, total }
}

/** One device by its number or by its own id. */
export async function findDevice(db: Database, device: string): Promise<Device | undefined> {
  return db.selectFrom('devices').select(columns).where(isNamed(device)).executeTakeFirst()
}

/** An id of digits alone is refused at registration, so that a number can only mean the row. */
function isNamed(device: string) {
  const largestNumber = 2 ** 31 - 1
  return (eb: ExpressionBuilder<Tables, 'devices'>) => {
    if (!/^[0-9]+$/.test(device)) return eb('device_id', '=', device)
    return eb('id', '=', Number(device) <= largestNumber ? Number(device) : 0)
  }
}

/** Changes only the given fields of a device that is not deleted; null clears one. */
export async function updateDevice(
  db: Database,
  device: string,
  changes: DeviceChanges,
): Promise<Device | undefined> {
  const { config, ...columnsToSet } = changes
  return db
    .updateTable('devices')
    .set({
      ...columnsToSet,
      ...(config === undefined ? {} : { config: config === null ? null : JSON.stringify(config) }),
    })
    .where(isNamed(device))
    .where(({ not }) => not(isDeleted))
    .returning(columns)
    .executeTakeFirst()
}

/** Notes that a device is alive. */
export async function recordHeartbeat(
  db: Database,
  deviceId: string,
  now: Date,
): Promise<'recorded' | 'unknown' | 'inactive'> {
  const updated = await db
    .updateTable('devices')
    .set({ last_heartbeat: now })
    .where('device_id', '=', deviceId)
    .where('is_active', '=', true)
    .returning('id')
    .executeTakeFirst()
  if (updated !== undefined) return 'recorded'
  const known = await db
    .selectFrom('devices')
    .select('id')
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  return known === undefined ? 'unknown' : 'inactive'
}

/** Deletes a device, or deactivates it where punches or decisions refer to it. */
export async function deleteDevice(
  db: Database,
  device: string,
): Promise<'deleted' | 'deactivated' | 'not_found'> {
  return db.transaction().execute(async (trx) => {
    // Locked before the question is asked: a check-in at this moment either is seen, or finds no device.
    const found = await trx
      .selectFrom('devices')
      .select('id')
      .where(isNamed(device))
      .forUpdate()
      .executeTakeFirst()
    if (found === undefined) return 'not_found'
    const { referred_to } = await trx
      .selectFrom('devices')
      .select(isReferredTo.as('referred_to'))
      .where('id', '=', found.id)
      .executeTakeFirstOrThrow()
    if (referred_to) {
      await deactivate(trx, found.id)
      return 'deactivated'
    }
    await trx.deleteFrom('devices').where('id', '=', found.id).execute()
    return 'deleted'
  })
}

const isReferredTo = sql<boolean>`(
  EXISTS (SELECT FROM attendance WHERE attendance.device_id = devices.device_id)
  OR EXISTS (SELECT FROM decisions WHERE decisions.device_id = devices.device_id))`

async function deactivate(trx: DatabaseTransaction, id: number): Promise<void> {
  await trx
    .updateTable('devices')
    .set({ is_active: false, name: sql`name || ${deletedMark}` })
    .where('id', '=', id)
    .where(({ not }) => not(isDeleted))
    .execute()
}

/** Removes the deleted devices that nothing refers to any more. */
export async function removeDeletedDevices(db: Database): Promise<number> {
  const removed = await db
    .deleteFrom('devices')
    .where(isDeleted)
    .where(({ not }) => not(isReferredTo))
    .returning('id')
    .execute()
  return removed.length
}
