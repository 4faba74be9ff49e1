import { sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import { type Change, note } from '../ledger/ledger.ts'
import type { Page } from '../shared/paging.ts'
import type { Acknowledgement, Command, CommandName } from './schema.ts'

const columns = [
  'id',
  'device_id',
  'command',
  'state',
  'created_at',
  'sent_at',
  'finished_at',
  'result',
] as const

/** Queues a command; the device hears of it with its next heartbeat. */
export async function queueCommand(
  change: Change,
  deviceId: string,
  command: CommandName,
  now: Date,
): Promise<Command> {
  return change(async (trx) => {
    await note(trx, { action: 'command', subject_kind: 'devices', subject: deviceId, details: { command } })
    return trx
      .insertInto('device_commands')
      .values({ device_id: deviceId, command, created_at: now })
      .returning(columns)
      .executeTakeFirstOrThrow()
  })
}

/** The commands that wait for a device, in the order in which they were given; from now on they count as sent. */
export async function takeCommands(
  db: Database,
  deviceId: string,
  now: Date,
): Promise<Pick<Command, 'id' | 'command'>[]> {
  const taken = await db
    .updateTable('device_commands')
    .set({ state: 'sent', sent_at: now })
    .where('device_id', '=', deviceId)
    .where('state', '=', 'queued')
    .returning(['id', 'command'])
    .execute()
  return taken.sort((a, b) => a.id - b.id)
}

/**
 * Notes how a command ended; what is noted already stays. `deviceId` is who says so, undefined for any device.
 * Undefined when that device was sent no such command.
 */
export async function finishCommand(
  db: Database,
  id: number,
  deviceId: string | undefined,
  { state, result = null }: Acknowledgement,
  now: Date,
): Promise<Command | undefined> {
  await db
    .updateTable('device_commands')
    .set({ state, result, finished_at: now })
    .where('id', '=', id)
    .where('state', '=', 'sent')
    .$if(deviceId !== undefined, (query) => query.where('device_id', '=', deviceId!))
    .execute()
  return db
    .selectFrom('device_commands')
    .select(columns)
    .where('id', '=', id)
    .where('state', '!=', 'queued')
    .$if(deviceId !== undefined, (query) => query.where('device_id', '=', deviceId!))
    .executeTakeFirst()
}

/** A device's commands, the newest first, and how many there are in all. */
export async function listCommands(
  db: Database,
  deviceId: string,
  page: Page,
): Promise<{ commands: Command[]; total: number }> {
  const ofDevice = db.selectFrom('device_commands').where('device_id', '=', deviceId)
  const commands = await ofDevice
    .select(columns)
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.skip)
    .execute()
  const { total } = await ofDevice.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { commands, total }
}
