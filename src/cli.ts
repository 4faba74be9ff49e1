#!/usr/bin/env node
import cluster from 'node:cluster'
import { readFile } from 'node:fs/promises'
import { Command, InvalidArgumentError } from 'commander'
import { recoverOwner } from './access/users.ts'
import { openDatabase } from './database/connect.ts'
import { FolderInUse } from './database/folder-lock.ts'
import { migrateDown, migrateToLatest, migrationStatus } from './database/migrate.ts'
import { claimDatabase } from './database/serving.ts'
import type { Database } from './database/tables.ts'
import { runDemo } from './demo.ts'
import { findPack, minifasnet, packs } from './face/packs/catalogue.ts'
import { humanV1 } from './face/packs/human-v1.ts'
import { measuredOf } from './face/packs/measured.ts'
import type { Installable } from './face/packs/pack.ts'
import { activePack } from './gallery/active-pack.ts'
import { describeCalibration, viewCalibration } from './gallery/calibration-view.ts'
import { openGallery } from './gallery/gallery.ts'
import { openKeys } from './keys.ts'
import { cliAuthor, type Ledger } from './ledger/ledger.ts'
import { makeFolder, startServer } from './main.ts'
import { installGuide, makeCertificate } from './operations/certificates.ts'
import { describeFindings, examine } from './operations/doctor.ts'
import { envExample } from './operations/env-example.ts'
import { backUpBeforeMigration, backupsOf, makeBackup } from './operations/keeping.ts'
import { describeReport, runLegacyImport } from './operations/legacy.ts'
import { installModels, measureModels, stateOf, verifyModels } from './operations/models.ts'
import { progressBar } from './operations/progress-bar.ts'
import { type RestoreOptions, restore } from './operations/restore.ts'
import { usePack } from './operations/use-pack.ts'
import { runWorkers } from './operations/workers.ts'
import { systemClock } from './shared/clock.ts'
import { type Config, loadConfig, workerNumber } from './shared/config.ts'
import { createLogger } from './shared/log.ts'
import { timeZone } from './shared/places.ts'
import { rotateKeys } from './vault/rotate.ts'
import type { Vault } from './vault/vault.ts'

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
      if (config.WORKERS > 1 && cluster.isPrimary) return startWorkers(config)
      // What is done once for all of them is the first one's.
      const first = workerNumber() === 1
      const say = first ? tell : () => {}
      const backups = backupsOf(config, version, first)
      const server = await startServer(config, loggerFor(config), version, say, backups, first)
      if (config.DEVICE_AUTH === 'open')
        say('WARNING: DEVICE_AUTH=open. Whoever reaches this address can punch as any registered kiosk.')
      if (server.setupPath)
        say(
          'Nobody owns this server yet. Open this link, which works once, for a day or until the next start: ' +
            server.base +
            server.setupPath,
        )
      if (server.tls?.local)
        say(`Serving the certificate that "rollcall tls init" made: ${server.tls.certFile}`)
      // Before it says so: whoever reads that may stop it at once.
      const stopped = stopSignal()
      say(`Rollcall answers at ${server.base} (API: ${server.base}/docs). Stop it with Ctrl+C.`)
      await stopped
      say('stopping: answering what has arrived')
      await server.close()
      // Without that a worker stays for as long as the process that started it.
    }).finally(() => cluster.worker?.disconnect()),
  )

program
  .command('demo')
  .description(
    'start a server with demo staff in ./demo-data (DATA_DIR is not read) and send it real check-ins',
  )
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
  .action(() =>
    migrating(async (db) => {
      await backUpBeforeMigration(loadConfig(), db, version, systemClock, tell)
      await migrateToLatest(db)
    }),
  )
migrate
  .command('down')
  .description('take back the last migration; what it made is lost')
  .action(() => migrating(migrateDown))
migrate
  .command('status')
  .description('show the migrations')
  .action(() => migrating(async () => {}))

program
  .command('backup [file]')
  .description('write database and photos into one file, and the keys into FILE.keys; the server may run')
  .action((file: string | undefined) =>
    attempt(async () => {
      const config = loadConfig()
      await makeFolder(config.DATA_DIR, 'DATA_DIR')
      const path = await makeBackup(config, version, file, systemClock, tell)
      tell(`Backed up into ${path} and ${path}.keys. Keep them apart, and the master key apart from both.`)
    }),
  )

program
  .command('restore <file>')
  .description('put a backup into the database, DATA_DIR and KEY_DIR; stop the server first')
  .option('--keys <file>', "the file of the backup's keys, where it is not beside it")
  .option('--replace', 'replace what the database holds')
  .option(
    '--tombstones <file>',
    'the folder KEY_DIR/…/erased, or ids of keys, a line each: what was dropped after the backup',
  )
  .action((file: string, options: RestoreOptions) =>
    attempt(async () => {
      const config = loadConfig()
      await makeFolder(config.DATA_DIR, 'DATA_DIR')
      await makeFolder(config.UPLOAD_DIR, 'UPLOAD_DIR')
      await restore(config, file, options, systemClock, tell)
      tell('Restored. Start the server.')
    }),
  )

program
  .command('recover-owner <username>')
  .description('make a user an owner again and print the link with which they choose a password')
  .action((username: string) =>
    withLedger(async (_db, ledger) => {
      const token = await recoverOwner(ledger.by(cliAuthor), username, systemClock.now())
      tell(`Start the server, then open this link on it, which works once: /reset?token=${token}`)
    }),
  )

program
  .command('tls')
  .description('HTTPS without a certificate that was bought')
  .command('init')
  .description(
    'make a CA and a certificate in DATA_DIR/tls, or renew the certificate; prints how devices trust it',
  )
  .option('--host <name...>', "names and addresses that browsers open; this machine's own by default")
  .action((options: { host?: string[] }) =>
    attempt(async () => {
      const config = loadConfig()
      await makeFolder(config.DATA_DIR, 'DATA_DIR')
      const made = await makeCertificate(config.DATA_DIR, options.host ?? [], systemClock.now())
      console.log(installGuide(made, config.PORT))
      if (config.TLS_CERT)
        tell('TLS_CERT is set: this certificate is not used until that setting is removed.')
    }),
  )

program
  .command('doctor')
  .description('look for what is wrong with this installation; changes nothing. Exit code 1 with a fault')
  .option('--json', 'print the findings as JSON')
  .action((options: { json?: boolean }) =>
    attempt(async () => {
      const findings = await examine(loadConfig(), systemClock.now())
      console.log(options.json ? JSON.stringify({ version, findings }, null, 2) : describeFindings(findings))
      if (findings.some(({ state }) => state === 'fault')) process.exitCode = 1
    }),
  )

program
  .command('import-legacy')
  .description('bring people, devices, punches and photos of the old system over; stop the server first')
  .requiredOption('--db <url>', "the old system's PostgreSQL, postgresql://user:password@host:5432/name")
  .requiredOption('--photos <folder>', 'the folder with its pictures')
  .option('--time-zone <zone>', 'of the times in its tables, which name none', timeZoneOption, 'UTC')
  .option('--consent <text version>', 'record that everybody with a photo has agreed to this text')
  .option('--dry-run', 'only tell what would happen')
  .action((options: { db: string; photos: string; timeZone: string; consent?: string; dryRun?: boolean }) =>
    attempt(async () => {
      const { db: url, photos, timeZone, consent, dryRun = false } = options
      const source = { url, photos, timeZone, consent, dryRun }
      console.log(describeReport(await runLegacyImport(loadConfig(), source, tell)))
    }),
  )

program
  .command('settings')
  .description('print a .env file with every setting, its meaning and its default')
  .action(() => console.log(envExample().trimEnd()))

program
  .command('verify')
  .description(
    'compare every punch and audit row with the ledger; exit code 1 when something was changed past it',
  )
  .option('--accept <reason>', 'after an older database was put back by other means: go on from it')
  .action((options: { accept?: string }) =>
    withLedger(async (_db, ledger) => {
      if (options.accept) await ledger.accept(cliAuthor, options.accept)
      const { entries, head, faults } = await ledger.verify()
      for (const { message } of faults) console.log(message)
      const result = faults.length === 0 ? 'The ledger is whole' : 'The ledger is NOT whole'
      console.log(`${result}: ${entries} entries, head ${head.seq} ${head.mac}`)
      if (faults.length > 0) process.exitCode = 1
    }),
  )

const models = program.command('models').description('the model packs: networks that find and compare faces')
models
  .command('list')
  .description('show the packs, and which of them are installed')
  .action(() =>
    attempt(async () => {
      const { MODEL_PATH } = loadConfig()
      for (const what of [...packs, minifasnet])
        console.log(
          `${what.name.padEnd(20)}${stateOf(what, MODEL_PATH).padEnd(15)}${what.description} ${what.licence.name}.`,
        )
    }),
  )
models
  .command('verify [pack]')
  .description(
    'compare the files of a pack, or of all that are installed, with their hashes; exit code 1 with a fault',
  )
  .action((name: string | undefined) =>
    attempt(async () => {
      const { MODEL_PATH } = loadConfig()
      const installed = () =>
        [...packs, minifasnet].filter((what) => ['installed', 'damaged'].includes(stateOf(what, MODEL_PATH)))
      for (const what of name === undefined ? installed() : [installable(name)])
        for (const { path, fault } of verifyModels(what, MODEL_PATH)) {
          console.log(`${fault ? 'FAULT' : 'OK   '} ${what.name} ${path}${fault ? ` ${fault}` : ''}`)
          if (fault) process.exitCode = 1
        }
    }),
  )
models
  .command('install <pack>')
  .description('bring the files of a pack into MODEL_PATH; a download that was cut goes on')
  .option('--accept-licence', 'agree to a licence that restricts the use')
  .option('--from <folder>', 'take the files from a folder instead of the internet')
  .action((name: string, options: { acceptLicence?: boolean; from?: string }) =>
    attempt(async () => {
      const { MODEL_PATH } = loadConfig()
      const bar = progressBar(process.stderr)
      try {
        await installModels(installable(name), {
          modelPath: MODEL_PATH,
          from: options.from,
          acceptLicence: options.acceptLicence ?? false,
          now: systemClock.now(),
          progress: bar.begin,
        })
      } finally {
        bar.end()
      }
      tell(`${name} is installed in ${MODEL_PATH}.`)
    }),
  )
models
  .command('measure <pack>')
  .description('measure what the scores of a pack mean that carries no such table; takes minutes')
  .requiredOption('--faces <folder>', 'photos as PERSON/*.jpg: 50 people or more, several photos of some')
  .action((name: string, options: { faces: string }) =>
    attempt(async () => {
      const { MODEL_PATH } = loadConfig()
      const pack = findPack(name)
      if (!pack) throw new Error(`There is no pack ${name}. See "rollcall models list".`)
      if (pack.measured) throw new Error(`${name} carries what was measured of it.`)
      const bar = progressBar(process.stderr)
      const measured = await measureModels(pack, MODEL_PATH, options.faces, bar.begin('photos')).finally(
        bar.end,
      )
      const { photos, people, missed, path } = measured
      tell(`Measured ${photos} photos of ${people} people (${missed} without a face) and wrote ${path}.`)
    }),
  )
models
  .command('use <pack>')
  .description(
    'change to another model pack: embeds everybody anew, reports and asks. Killed half-way, run it again',
  )
  .option('-y, --yes', 'take it into use without asking')
  .action((pack: string, options: { yes?: boolean }) =>
    attempt(async () => {
      const config = loadConfig()
      await makeFolder(config.DATA_DIR, 'DATA_DIR')
      await makeFolder(config.UPLOAD_DIR, 'UPLOAD_DIR')
      await usePack(config, version, pack, options.yes ?? false, tell)
    }),
  )

program
  .command('calibrate')
  .description(
    'compare the people of this site with each other and set the threshold by that; prints what it found',
  )
  .action(() =>
    withLedger(async (db, ledger, vault) => {
      const { FACE_RECOGNITION_THRESHOLD: configured, MODEL_PATH } = loadConfig()
      const log = createLogger({ level: 'error' })
      const change = ledger.by(cliAuthor)
      const inUse = findPack(await activePack(db)) ?? humanV1
      const pack = { ...inUse, measured: measuredOf(inUse, MODEL_PATH) ?? null }
      const deps = { db, vault, pack, clock: systemClock, log, threshold: configured }
      const gallery = await openGallery({ ...deps, change })
      try {
        tell(`comparing ${gallery.people} people`)
        await gallery.calibrate(change)
        const at = { configured, people: gallery.people }
        const calibration = await viewCalibration(db, pack.name, at, () => true)
        if (calibration) console.log(describeCalibration(calibration))
      } finally {
        await gallery.close()
      }
    }, 'A running server calibrates each night, and at once on POST /api/v1/recognition/calibration.'),
  )

const keys = program.command('keys').description('the keys that photos and templates are sealed with')
keys
  .command('rotate')
  .description('change the master key; stop all servers first. Killed half-way, run it again')
  .option(
    '--new-key-file <path>',
    'file of the new master key (64 hexadecimal digits), where MASTER_KEY is set',
  )
  .action((options: { newKeyFile?: string }) =>
    withDatabase((db) =>
      db.transaction().execute(async (trx) => {
        await claimDatabase(trx)
        const config = loadConfig()
        const count = await rotateKeys(config, options.newKeyFile)
        tell(
          `${count} keys are under the new master key. Backups that were made before open with the old one only.`,
        )
        if (config.MASTER_KEY) tell('Set MASTER_KEY to the new one before a server starts.')
        else tell(`Keep a copy of ${config.MASTER_KEY_FILE} apart from the backups, and make a new backup.`)
      }),
    ),
  )

await program.parseAsync()

async function startWorkers(config: Config): Promise<void> {
  if (config.DB_URL === undefined)
    throw new Error(
      'WORKERS needs a PostgreSQL server: the embedded database serves one process only. Set DB_URL, or WORKERS=1.',
    )
  if (!(await runWorkers(config.WORKERS, loggerFor(config), stopSignal()))) process.exitCode = 1
}

/** Changes the schema, then shows where the migrations stand. */
function migrating(work: (db: Database) => Promise<void>): Promise<void> {
  return withDatabase(async (db) => {
    await work(db)
    for (const { name, appliedAt } of await migrationStatus(db))
      console.log(`${appliedAt ? `applied ${appliedAt.toISOString()}` : 'not applied'.padEnd(32)}  ${name}`)
  })
}

/** `instead` tells what to do where a running server holds the embedded database. */
function withDatabase(work: (db: Database) => Promise<void>, instead = ''): Promise<void> {
  return attempt(async () => {
    const config = loadConfig()
    await makeFolder(config.DATA_DIR, 'DATA_DIR')
    const database = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR }).catch((error) => {
      throw instead && error instanceof FolderInUse ? new Error(`${error.message}\n${instead}`) : error
    })
    try {
      await work(database.db)
    } finally {
      await database.close()
    }
  })
}

/** A migrated database, and the keys that its changes are entered with. */
function withLedger(
  work: (db: Database, ledger: Ledger, vault: Vault) => Promise<void>,
  instead?: string,
): Promise<void> {
  return withDatabase(async (db) => {
    await backUpBeforeMigration(loadConfig(), db, version, systemClock, tell)
    await migrateToLatest(db)
    const log = createLogger({ level: 'error' })
    const { ledger, vault } = await openKeys(loadConfig(), db, systemClock, log)
    try {
      await work(db, ledger, vault)
    } finally {
      await ledger.close()
    }
  }, instead)
}

/** A pack or the add-on. */
function installable(name: string): Installable {
  const what = [...packs, minifasnet].find((one) => one.name === name)
  if (!what) throw new Error(`There is no pack ${name}. See "rollcall models list".`)
  return what
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

function timeZoneOption(zone: string): string {
  const parsed = timeZone.safeParse(zone)
  if (!parsed.success) throw new InvalidArgumentError('It is no IANA time zone, such as Asia/Ho_Chi_Minh.')
  return parsed.data
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
