import { type ExpressionBuilder, type RawBuilder, type SqlBool, sql } from 'kysely'
import { codeOf } from '../database/errors.ts'
import { hasWords, plain, sortedBy } from '../database/lists.ts'
import type { Database, DatabaseTransaction, Tables } from '../database/tables.ts'
import type { Change } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { invalidField } from '../shared/http.ts'
import { versionMismatch } from '../shared/version.ts'
import { type Device, type DeviceChanges, type DeviceQuery, deletedMark, type NewDevice } from './schema.ts'

/** A device as it is stored; its state also depends on the time, see `describeDevice`. */
export type DeviceRow = Omit<Device, 'state'>

const isPaired = sql<boolean>`(key_hash IS NOT NULL OR next_key_hash IS NOT NULL)`

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
  'config_version',
  'direction',
  'pad_policy',
  'site_id',
  isPaired.as('paired'),
  'clock_skew_ms',
  'last_status',
  'app_version',
  'version',
] as const

/** Kiosks are told to send a heartbeat so often; after two that are missing they are late, after nine offline. */
export const HEARTBEAT_S = 30
const LATE_MS = 90_000
const OFFLINE_MS = 300_000

/** A device with the state that its last heartbeat gives it now; one that is deactivated is offline. */
export function describeDevice(row: DeviceRow, now: Date): Device {
  return { ...row, state: stateOf(row, now) }
}

function stateOf({ is_active, last_heartbeat: lastHeartbeat }: DeviceRow, now: Date): Device['state'] {
  if (!is_active || lastHeartbeat === null) return 'offline'
  const silentMs = now.getTime() - lastHeartbeat.getTime()
  if (silentMs <= LATE_MS) return 'online'
  return silentMs <= OFFLINE_MS ? 'late' : 'offline'
}

export const isDeleted = sql<SqlBool>`(NOT devices.is_active AND right(devices.name, ${deletedMark.length}) = ${deletedMark})`

/** Registers a device, or a deleted one again. Undefined when the id is in use. Throws when there is no such site. */
export async function registerDevice(
  change: Change,
  device: NewDevice,
  now: Date,
): Promise<DeviceRow | undefined> {
  return change((trx) => insertDevice(trx, device, now)).catch(refuseUnknownSite)
}

async function insertDevice(
  trx: DatabaseTransaction,
  device: NewDevice,
  now: Date,
): Promise<DeviceRow | undefined> {
  const {
    device_id,
    name = device_id,
    location = null,
    ip_address = null,
    direction,
    pad_policy = null,
    site_id,
  } = device
  return trx
    .insertInto('devices')
    .values({
      device_id,
      name,
      location,
      ip_address,
      created_at: now,
      pad_policy,
      // Undefined leaves it to the column's default.
      ...(direction && { direction }),
      ...(site_id && { site_id }),
    })
    .onConflict((conflict) =>
      conflict
        .column('device_id')
        .doUpdateSet(({ ref }) => ({
          name,
          location,
          ip_address,
          is_active: true,
          direction: ref('excluded.direction'),
          pad_policy,
          site_id: ref('excluded.site_id'),
          // Another machine: what the old one was told and said is none of its business.
          config: null,
          config_version: sql`devices.config_version + 1`,
          last_heartbeat: null,
          last_status: null,
          clock_skew_ms: null,
          app_version: null,
          version: sql`devices.version + 1`,
        }))
        .where(isDeleted),
    )
    .returning(columns)
    .executeTakeFirst()
}

/** The only row that a device refers to is its site. */
function refuseUnknownSite(error: unknown): never {
  if (codeOf(error) === '23503') throw invalidField('site_id', 'there is no such site')
  throw error
}

/** The devices of one page, deleted ones included, and how many there are in all; `now` decides on their states. */
export async function listDevices(
  db: Database,
  { limit, skip, is_active, paired, state, direction, site_id, search, sort }: DeviceQuery,
  now: Date,
): Promise<{ devices: DeviceRow[]; total: number }> {
  const wanted = db
    .selectFrom('devices')
    .where(hasWords(sql`concat_ws(' ', name, device_id, location)`, search ?? ''))
    .$if(is_active !== undefined, (query) => query.where('is_active', '=', is_active!))
    .$if(paired !== undefined, (query) => query.where(isPaired, '=', paired!))
    .$if(state !== undefined, (query) => query.where(isInState(state!, now)))
    .$if(direction !== undefined, (query) => query.where('direction', '=', direction!))
    .$if(site_id !== undefined, (query) => query.where('site_id', '=', site_id!))
  const order = sortedBy(sort, {
    name: sql`lower(${plain(sql`name`)}) COLLATE "C"`,
    device_id: sql`device_id COLLATE "C"`,
    created_at: sql`created_at`,
    last_heartbeat: sql`coalesce(last_heartbeat, '-infinity')`,
  })
  const devices = await wanted.select(columns).orderBy(order).limit(limit).offset(skip).execute()
  const { total } = await wanted.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { devices, total }
}

/** What `stateOf` says, for the database. */
function isInState(state: Device['state'], now: Date): RawBuilder<SqlBool> {
  const ago = (ms: number) => new Date(now.getTime() - ms)
  return {
    online: sql<SqlBool>`(is_active AND last_heartbeat >= ${ago(LATE_MS)})`,
    late: sql<SqlBool>`(is_active AND last_heartbeat >= ${ago(OFFLINE_MS)} AND last_heartbeat < ${ago(LATE_MS)})`,
    offline: sql<SqlBool>`(NOT is_active OR last_heartbeat IS NULL OR last_heartbeat < ${ago(OFFLINE_MS)})`,
  }[state]
}

/** One device by its number or by its own id. */
export async function findDevice(db: Database, device: string): Promise<DeviceRow | undefined> {
  return db.selectFrom('devices').select(columns).where(isNamed(device)).executeTakeFirst()
}

/** Throws `device_not_found` where there is none. */
export async function requireDevice(db: Database, device: string): Promise<DeviceRow> {
  return (await findDevice(db, device)) ?? unknownDevice(device)
}

/**
 * Throws `device_inactive` for one that is deactivated, because it would not hear of what is meant for it, and
 * `device_not_found` for one that is deleted.
 */
export async function requireActiveDevice(db: Database, device: string): Promise<DeviceRow> {
  const row = await requireDevice(db, device)
  if (row.is_active) return row
  if (row.name.endsWith(deletedMark))
    throw new AppError(
      'device_not_found',
      `The device ${row.device_id} was deleted. Register it again first.`,
    )
  throw new AppError('device_inactive', `The device ${row.device_id} is deactivated. Activate it first.`)
}

export function unknownDevice(device: string): never {
  throw new AppError('device_not_found', `There is no device ${device}.`)
}

/** An id of digits alone is refused at registration, so that a number can only mean the row. */
export function isNamed(device: string) {
  const largestNumber = 2 ** 31 - 1
  return (eb: ExpressionBuilder<Tables, 'devices'>) => {
    if (!/^[1-9][0-9]*$/.test(device)) return eb('device_id', '=', device)
    return eb('id', '=', Number(device) <= largestNumber ? Number(device) : 0)
  }
}

/**
 * Changes only the given fields of a device that is not deleted; null clears one. `expected`: only one of these
 * versions, undefined means any. Throws when there is no such device or site, or it has another version.
 */
export async function updateDevice(
  change: Change,
  device: string,
  changes: Partial<DeviceChanges>,
  expected?: readonly number[],
): Promise<DeviceRow> {
  return change((trx) => writeChanges(trx, device, changes, expected)).catch(refuseUnknownSite)
}

async function writeChanges(
  trx: DatabaseTransaction,
  device: string,
  { config, ...columnsToSet }: Partial<DeviceChanges>,
  expected: readonly number[] | undefined,
): Promise<DeviceRow> {
  const updated = await trx
    .updateTable('devices')
    .set({
      ...columnsToSet,
      version: sql`version + 1`,
      ...(config !== undefined && {
        config: config === null ? null : JSON.stringify(config),
        config_version: sql`config_version + 1`,
      }),
    })
    .where(isNamed(device))
    .where(({ not }) => not(isDeleted))
    .$if(expected !== undefined, (query) => query.where(sql<SqlBool>`version = any(${expected}::integer[])`))
    .returning(columns)
    .executeTakeFirst()
  if (updated) return updated
  const found = await trx
    .selectFrom('devices')
    .select('id')
    .where(isNamed(device))
    .where(({ not }) => not(isDeleted))
    .executeTakeFirst()
  if (found) throw versionMismatch()
  return unknownDevice(device)
}

export interface Heartbeat {
  /** null when the kiosk did not tell its time. */
  clockSkewMs: number | null
  status: string | null
  appVersion: string | undefined
}

/** Notes that a device is alive. Returns it, or throws `unknown_device` or `device_inactive`. */
export async function recordHeartbeat(
  db: Database,
  deviceId: string,
  { clockSkewMs, status, appVersion }: Heartbeat,
  now: Date,
): Promise<DeviceRow> {
  const updated = await db
    .updateTable('devices')
    .set({
      last_heartbeat: now,
      clock_skew_ms: clockSkewMs,
      last_status: status,
      ...(appVersion !== undefined && { app_version: appVersion }),
    })
    .where('device_id', '=', deviceId)
    .where('is_active', '=', true)
    .returning(columns)
    .executeTakeFirst()
  if (updated !== undefined) return updated
  const known = await db
    .selectFrom('devices')
    .select('id')
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  throw known
    ? new AppError('device_inactive', `The device ${deviceId} is deactivated.`)
    : new AppError('unknown_device', `The device ${deviceId} is not registered.`)
}

/**
 * Deletes a device, or deactivates it where punches or decisions refer to it. `expected`: only one of these versions,
 * undefined means any. Throws `version_mismatch`.
 */
export async function deleteDevice(
  change: Change,
  device: string,
  expected: readonly number[] | undefined,
): Promise<'deleted' | 'deactivated' | 'not_found'> {
  return change(async (trx) => {
    // Locked before the question is asked: a check-in at this moment either is seen, or finds no device.
    const found = await trx
      .selectFrom('devices')
      .select(['id', 'device_id', 'version'])
      .where(isNamed(device))
      .forUpdate()
      .executeTakeFirst()
    if (found === undefined) return 'not_found'
    if (expected && !expected.includes(found.version)) throw versionMismatch()
    const { referred_to } = await trx
      .selectFrom('devices')
      .select(isReferredTo.as('referred_to'))
      .where('id', '=', found.id)
      .executeTakeFirstOrThrow()
    if (referred_to) {
      await deactivate(trx, found.id, found.device_id)
      return 'deactivated'
    }
    await trx.deleteFrom('devices').where('id', '=', found.id).execute()
    return 'deleted'
  })
}

const isReferredTo = sql<boolean>`(
  EXISTS (SELECT FROM attendance WHERE attendance.device_id = devices.device_id)
  OR EXISTS (SELECT FROM decisions WHERE decisions.device_id = devices.device_id)
  OR EXISTS (SELECT FROM disputes WHERE disputes.device_id = devices.device_id)
  OR EXISTS (SELECT FROM kiosk_events WHERE kiosk_events.device_id = devices.device_id))`

/** What it had to do and whatever opened a door for it ends with it: it may be registered again, as another machine. */
async function deactivate(trx: DatabaseTransaction, id: number, deviceId: string): Promise<void> {
  await trx
    .updateTable('devices')
    .set({
      is_active: false,
      name: sql`name || ${deletedMark}`,
      version: sql`version + 1`,
      key_hash: null,
      next_key_hash: null,
    })
    .where('id', '=', id)
    .where(({ not }) => not(isDeleted))
    .execute()
  await trx.deleteFrom('pairing_codes').where('device_id', '=', deviceId).execute()
  await trx.deleteFrom('device_commands').where('device_id', '=', deviceId).execute()
}

/** Removes the deleted devices that nothing refers to any more. */
export async function removeDeletedDevices(change: Change): Promise<number> {
  const removed = await change((trx) =>
    trx
      .deleteFrom('devices')
      .where(isDeleted)
      .where(({ not }) => not(isReferredTo))
      .returning('id')
      .execute(),
  )
  return removed.length
}
