#!/usr/bin/env node
import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { recoverOwner } from './access/users.ts'
import { openDatabase } from './database/connect.ts'
import { migrateDown, migrateToLatest, migrationStatus } from './database/migrate.ts'
import type { Database } from './database/tables.ts'
import { runDemo } from './demo.ts'
import { makeFolder, startServer } from './main.ts'
import { systemClock } from './shared/clock.ts'
import { type Config, loadConfig } from './shared/config.ts'
import { createLogger } from './shared/log.ts'

const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const program = new Command('rollcall')
  .description('Time attendance with face recognition. Settings come from the environment or .env.')
  .version(version)

program
  .command('start')
  .description('start the server')
  .action(() =>
    attempt(async () => {
      const config = loadConfig()
      const server = await startServer(config, loggerFor(config), version, tell)
      if (config.DEVICE_AUTH === 'open')
        tell('WARNING: DEVICE_AUTH=open. Whoever reaches this address can punch as any registered kiosk.')
      if (server.setupPath)
        tell(
          'Nobody owns this server yet. Open this link, which works once, for a day or until the next start: ' +
            server.base +
            server.setupPath,
        )
      tell(`Rollcall answers at ${server.base} (API: ${server.base}/docs). Stop it with Ctrl+C.`)
      await stopSignal()
      tell('stopping: answering what has arrived')
      await server.close()
    }),
  )

program
  .command('demo')
  .description('start a server with demo staff and send it real check-ins')
  .option(
    '--once',
    'stop after the last line; exit code 0 when everybody was recognised and no stranger was named',
  )
  .action((options: { once?: boolean }) =>
    attempt(async () => {
      const passed = await runDemo({ version, once: options.once ?? false, stopSignal })
      if (options.once) process.exitCode = passed ? 0 : 1
    }),
  )

const migrate = program.command('migrate').description('change the database schema; stop the server first')
migrate
  .command('up')
  .description('apply all migrations')
  .action(() => migrating(migrateToLatest))
migrate
  .command('down')
  .description('take back the last migration; what it made is lost')
  .action(() => migrating(migrateDown))
migrate
  .command('status')
  .description('show the migrations')
  .action(() => migrating(async () => {}))

program
  .command('recover-owner <username>')
  .description('make a user an owner again and print the link with which they choose a password')
  .action((username: string) =>
    withDatabase(async (db) => {
      const token = await recoverOwner(db, username, systemClock.now())
      tell(`Start the server, then open this link on it, which works once: /reset?token=${token}`)
    }),
  )

await program.parseAsync()

/** Changes the schema, then shows where the migrations stand. */
function migrating(work: (db: Database) => Promise<void>): Promise<void> {
  return withDatabase(async (db) => {
    await work(db)
    for (const { name, appliedAt } of await migrationStatus(db))
      console.log(`${appliedAt ? `applied ${appliedAt.toISOString()}` : 'not applied'.padEnd(32)}  ${name}`)
  })
}

function withDatabase(work: (db: Database) => Promise<void>): Promise<void> {
  return attempt(async () => {
    const config = loadConfig()
    await makeFolder(config.DATA_DIR, 'DATA_DIR')
    const database = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR })
    try {
      await work(database.db)
    } finally {
      await database.close()
    }
  })
}

/** An operator gets a sentence, and what lies behind it, but no stack. */
async function attempt(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const { message, cause } = error as Error
    console.error(cause instanceof Error ? `${message}\n(${cause.message})` : message)
    process.exitCode = 1
  }
}

function tell(line: string): void {
  console.error(line)
}

function loggerFor(config: Config) {
  return createLogger({ level: config.DEBUG ? 'debug' : 'info' })
}

/** Resolves at Ctrl+C or a service manager's stop; a second one ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.once('SIGINT', () => process.exit(130))
      resolve()
    }
    process.once('SIGINT', stop)
    process.once('SIGTERM', stop)
  })
}
