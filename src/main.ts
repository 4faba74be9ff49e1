import { access, constants, stat } from 'node:fs/promises'
import type { Server as HttpsServer } from 'node:https'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { loadSecret } from './access/secret.ts'
import { forgetExpired } from './access/sessions.ts'
import { forgetFailures } from './access/throttle.ts'
import { ownerExists, setupToken } from './access/users.ts'
import { buildApp } from './app.ts'
import { pastChecks } from './attendance/past-checks.ts'
import { knownPictures } from './attendance/pictures.ts'
import { forgetKeys } from './attendance/records.ts'
import { applyRetention } from './attendance/retention.ts'
import { openDatabase } from './database/connect.ts'
import { migrateToLatest } from './database/migrate.ts'
import { announceServer } from './database/serving.ts'
import type { Database } from './database/tables.ts'
import { CACHED_PICTURES, cached } from './face/cache.ts'
import { nightlyDue } from './gallery/calibration.ts'
import { guardTemplates } from './gallery/drift.ts'
import { applyTombstones, finishErasures } from './gallery/erase.ts'
import { followLedger, ledgerSeq } from './gallery/follow.ts'
import { createLearner, releaseQuarantine } from './gallery/learn.ts'
import { forgetChallenges } from './gallery/liveness-challenge.ts'
import { modelLoader } from './gallery/model-loader.ts'
import { createModelSwitch } from './gallery/model-switch.ts'
import { useModels } from './gallery/models.ts'
import { openPhotoStore } from './gallery/photo-store.ts'
import { sealOlder } from './gallery/seal-older.ts'
import { knownFiles } from './gallery/templates.ts'
import { openKeys } from './keys.ts'
import { type Author, serverAuthor } from './ledger/ledger.ts'
import { noteSettings } from './settings-note.ts'
import { type Clock, systemClock } from './shared/clock.ts'
import type { Config } from './shared/config.ts'
import { makeWithParents } from './shared/files.ts'
import type { Logger } from './shared/log.ts'
import { followTls, hostOfAddress, loadTls, type Tls } from './shared/tls.ts'
import { createWorkQueue } from './shared/work-queue.ts'
import type { Vault } from './vault/vault.ts'

export interface RunningServer {
  /** Where it answers, such as http://127.0.0.1:8000. */
  base: string
  /** What it serves HTTPS with. */
  tls: Tls | undefined
  /** Where the first owner is made, as long as there is none; with a token that is good once. */
  setupPath: string | undefined
  /** Answers what it took, then gives everything back. */
  close(): Promise<void>
}

/** What the floor above does for a server. */
export interface Operations {
  /** Before the schema may change; a rejection leaves it as it is. */
  beforeMigration(db: Database, clock: Clock, progress: (step: string) => void): Promise<void>
  /** As long as the server runs. */
  beside(deps: { db: Database; vault: Vault; clock: Clock; log: Logger }): Promise<Beside>
}

export interface Beside {
  /** Makes a backup and resolves to its file. */
  backUp(author: Author): Promise<string>
  /** Ends it all; waits for a backup that is being made. */
  close(): Promise<void>
}

const HOUR_MS = 60 * 60 * 1000
/** How long an Idempotency-Key is kept. */
const KEY_AGE_MS = 7 * 24 * HOUR_MS

/**
 * Starts the server: database and migrations, face engine, gallery, HTTP. `progress` is told what it is doing.
 * Rejects with an Error whose message tells the operator what to do; nothing is left open then.
 */
export async function startServer(
  config: Config,
  log: Logger,
  version: string,
  progress: (step: string) => void = () => {},
  operations?: Operations,
  /** Whether it is the first of the processes that share the port: it alone offers the link for the first owner. */
  first = true,
): Promise<RunningServer> {
  const clock = systemClock
  const undo: (() => Promise<void>)[] = []
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    await makeFolder(config.DATA_DIR, 'DATA_DIR')
    await makeFolder(config.UPLOAD_DIR, 'UPLOAD_DIR')
    await makeFolder(config.KEY_DIR, 'KEY_DIR')
    const secret = await loadSecret(config.SECRET_KEY, config.DATA_DIR)
    const tls = await loadTls(config, clock.now())
    progress(config.DB_URL ? 'connecting to PostgreSQL' : 'starting the embedded PostgreSQL')
    const database = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR, log })
    undo.push(() => database.close())
    const { db } = database
    undo.push(await announceServer(config.DB_URL, log))
    await operations?.beforeMigration(db, clock, progress)
    await migrateToLatest(db)
    const { vault, ledger } = await openKeys(config, db, clock, log)
    undo.push(() => ledger.close())
    if (first) await noteSettings(db, ledger, config)

    progress('loading the face models')
    // A thread for each core: each network takes one, and more at once would only make everybody wait longer.
    const cores = Math.max(1, Math.floor(availableParallelism() / config.WORKERS))
    const { MODEL_PATH: modelPath, FACE_RECOGNITION_THRESHOLD: threshold } = config
    const loader = modelLoader({ db, vault, ledger, clock, log, modelPath, threshold })
    const firstEngine = await loader.openInUse(cores)
    undo.push(() => firstEngine.close())

    progress('loading the gallery')
    // Of its own for each database, because what no row names is swept away there.
    const { id } = await db.selectFrom('instance').select('id').executeTakeFirstOrThrow()
    const photos = await openPhotoStore(join(config.UPLOAD_DIR, id))
    const entered = await ledgerSeq(db)
    const biometrics = { db, vault, photos, clock, log, change: ledger.by(serverAuthor) }
    await applyTombstones(biometrics)
    await finishErasures(biometrics)
    await sealOlder(biometrics, progress)
    // The gallery holds what had waited out its quarantine by then.
    let released = clock.now()
    const models = useModels({ engine: firstEngine, gallery: await loader.openGallery(firstEngine) }, log)
    undo.push(() => models.close())
    const { gallery } = models
    const engine = cached(models.engine, CACHED_PICTURES)
    const drift = { ...biometrics, gallery, engine }
    const learner = createLearner(drift)
    undo.push(() => learner.close())
    const queue = createWorkQueue({
      atOnce: cores,
      maxWaiting: Math.ceil(64 / config.WORKERS),
      maxWaitingPerKey: 16,
      maxWaitMs: 3000,
    })
    // Nobody else changes the embedded database.
    const shared = database.kind === 'postgresql'
    const modelSwitch = createModelSwitch({
      ...loader,
      db,
      vault,
      photos,
      ledger,
      clock,
      log,
      queue,
      models,
      threads: cores,
      shared,
      checks: pastChecks({ db, photos, vault, clock }),
    })
    if (shared) {
      const onSwitch = () =>
        void modelSwitch.follow().catch((err) => log.error({ err }, 'the new face models cannot be used'))
      undo.push(followLedger({ db, gallery, log, onSwitch, forgetPictures: engine.cache.forget }, entered))
    }
    undo.push(modelSwitch.run())

    const beside = await operations?.beside({ db, vault, clock, log })
    if (beside) undo.push(() => beside.close())
    const app = await buildApp({
      config,
      db,
      log,
      clock,
      version,
      engine,
      gallery,
      learner,
      photos,
      modelSwitch,
      vault,
      ledger,
      queue,
      secret,
      tls,
      backUp: beside?.backUp,
    })
    undo.push(() => app.close())

    await listen(app, config)
    if (tls) {
      const stopFollowing = followTls(app.server as unknown as HttpsServer, tls, config, log)
      undo.push(async () => stopFollowing())
    }
    const retention = {
      decisionDays: config.RETENTION_DECISIONS_DAYS,
      leaverDays: config.RETENTION_LEAVERS_DAYS,
    }
    let guarded = new Date(0)
    const tidy = async () => {
      const now = clock.now()
      await releaseQuarantine(drift, released)
      // Once a day, by one of the processes that share the port.
      if (first && now.getTime() - guarded.getTime() >= 24 * HOUR_MS) {
        await guardTemplates(drift)
        guarded = now
      }
      released = now
      const keys = await forgetKeys(db, new Date(clock.now().getTime() - KEY_AGE_MS))
      await forgetExpired(db, clock.now())
      await forgetChallenges(db, clock.now())
      await forgetFailures(db, clock.now())
      const forgotten = await applyRetention(db, ledger.by(serverAuthor), retention, clock.now())
      const erasures = await finishErasures(biometrics)
      const pictures = await knownPictures(db, clock.now())
      const strays = await photos.sweep(new Set([...(await knownFiles(db)), ...pictures]))
      await ledger.exportHead()
      if (first && (await nightlyDue(db, engine.pack.name, clock.now(), config.TIME_ZONE)))
        await gallery.calibrate(ledger.by(serverAuthor))
      log.info({ keys, ...forgotten, erasures, strays }, 'tidied up')
    }
    const tidyUp = () => tidy().catch((error: unknown) => log.error({ err: error }, 'tidying up failed'))
    const timer = setInterval(tidyUp, HOUR_MS)
    timer.unref()
    let tidying = tidyUp()
    undo.push(async () => {
      clearInterval(timer)
      await tidying
      tidying = Promise.resolve()
    })

    const { port } = app.server.address() as { port: number }
    const base = `${tls ? 'https' : 'http'}://${hostOfAddress(config.HOST, tls)}:${port}`
    log.info(
      {
        base,
        database: database.kind,
        postgresql: database.version,
        people: gallery.people,
        pack: engine.pack.name,
      },
      'listening',
    )
    if (config.DEVICE_AUTH === 'open')
      log.warn('DEVICE_AUTH=open: whoever reaches this address can punch as any registered kiosk.')
    const setupPath =
      !first || (await ownerExists(db)) ? undefined : `/setup?token=${await setupToken(db, clock.now())}`
    return { base, tls, setupPath, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Makes a folder that the server may write to, or rejects with a sentence that names its setting. */
export async function makeFolder(path: string, setting: string): Promise<void> {
  try {
    await makeWithParents(resolve(path))
    await access(path, constants.W_OK)
    if (!(await stat(path)).isDirectory()) throw new Error('it is a file')
  } catch (cause) {
    throw new Error(
      `The folder ${path} cannot be made or written. Mend that, or set ${setting} to another one.`,
      {
        cause,
      },
    )
  }
}

async function listen(app: Awaited<ReturnType<typeof buildApp>>, { HOST, PORT }: Config): Promise<void> {
  try {
    await app.listen({ host: HOST, port: PORT })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EADDRINUSE')
      throw new Error(`Port ${PORT} is in use. Stop what uses it, or choose another one with PORT=…`, {
        cause,
      })
    if (code === 'EACCES')
      throw new Error(`Port ${PORT} may not be used. Choose one above 1023 with PORT=…`, { cause })
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new Error(`${HOST} is no address of this machine. Set HOST to one that is.`, { cause })
    throw cause
  }
}
