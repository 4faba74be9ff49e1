import type { Database } from '../database/tables.ts'
import { type Ledger, serverAuthor } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import type { App } from '../shared/http.ts'
import type { Logger } from '../shared/log.ts'

const MINUTE_MS = 60 * 1000
const DAY_MS = 24 * 60 * 60 * 1000
const COMMAND_DAYS = 7

interface CleanUpDeps {
  db: Database
  ledger: Ledger
  /** How long kiosks' requests are kept. */
  logDays: number
}

/** Forgets what is past its time: the network log, commands and pairing codes. Returns how many of each. */
export async function cleanUpDevices(
  { db, ledger, logDays }: CleanUpDeps,
  now: Date,
): Promise<{ logs: number; commands: number; codes: number }> {
  const daysAgo = (days: number) => new Date(now.getTime() - days * DAY_MS)
  const logs = await db
    .deleteFrom('network_logs')
    .where('created_at', '<', daysAgo(logDays))
    .executeTakeFirst()
  const commands = await db
    .deleteFrom('device_commands')
    .where('created_at', '<', daysAgo(COMMAND_DAYS))
    .executeTakeFirst()
  const codes = await ledger.by(serverAuthor)((trx) =>
    trx.deleteFrom('pairing_codes').where('expires_at', '<=', now).executeTakeFirst(),
  )
  return {
    logs: Number(logs.numDeletedRows),
    commands: Number(commands.numDeletedRows),
    codes: Number(codes.numDeletedRows),
  }
}

/** Cleans up each minute for as long as the application is open. */
export function cleanUpEachMinute(app: App, deps: CleanUpDeps & { clock: Clock; log: Logger }): void {
  const { clock, log } = deps
  let running = Promise.resolve()
  const cleanUp = async () => {
    try {
      const removed = await cleanUpDevices(deps, clock.now())
      if (Object.values(removed).some((count) => count > 0)) log.info(removed, 'cleaned up after devices')
    } catch (error) {
      log.error({ err: error }, 'cleaning up after devices failed')
    }
  }
  const timer = setInterval(() => {
    running = running.then(cleanUp)
  }, MINUTE_MS).unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    await running
  })
}
