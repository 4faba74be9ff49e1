import { existsSync } from 'node:fs'
import { access, constants, mkdir, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { loadSecret } from './access/secret.ts'
import { forgetExpired } from './access/sessions.ts'
import { forgetFailures } from './access/throttle.ts'
import { ownerExists, setupToken } from './access/users.ts'
import { buildApp } from './app.ts'
import { forgetKeys } from './attendance/records.ts'
import { openDatabase } from './database/connect.ts'
import { migrateToLatest } from './database/migrate.ts'
import { startEnginePool } from './face/engine-pool.ts'
import { openGallery } from './gallery/gallery.ts'
import { openPhotoStore } from './gallery/photo-store.ts'
import { knownFiles } from './gallery/templates.ts'
import { systemClock } from './shared/clock.ts'
import type { Config } from './shared/config.ts'
import type { Logger } from './shared/log.ts'
import { createWorkQueue } from './shared/work-queue.ts'

export interface RunningServer {
  /** Where it answers, such as http://127.0.0.1:8000. */
  base: string
  /** Where the first owner is made, as long as there is none; with a token that is good once. */
  setupPath: string | undefined
  /** Answers what it took, then gives everything back. */
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
): Promise<RunningServer> {
  const clock = systemClock
  const undo: (() => Promise<void>)[] = []
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    await makeFolder(config.DATA_DIR, 'DATA_DIR')
    await makeFolder(config.UPLOAD_DIR, 'UPLOAD_DIR')
    const secret = await loadSecret(config.SECRET_KEY, config.DATA_DIR)
    progress(config.DB_URL ? 'connecting to PostgreSQL' : 'starting the embedded PostgreSQL')
    const database = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR, log })
    undo.push(() => database.close())
    const { db } = database
    await migrateToLatest(db)

    progress('loading the face models')
    // A thread for each core: each network takes one, and more at once would only make everybody wait longer.
    const cores = availableParallelism()
    const engine = await startEnginePool(cores, clock)
    undo.push(() => engine.close())

    progress('loading the gallery')
    // Of its own for each database, because what no row names is swept away there.
    const { id } = await db.selectFrom('instance').select('id').executeTakeFirstOrThrow()
    const photos = await openPhotoStore(join(config.UPLOAD_DIR, id))
    const gallery = await openGallery({
      db,
      pack: engine.pack,
      clock,
      log,
      threshold: config.FACE_RECOGNITION_THRESHOLD,
    })
    undo.push(() => gallery.close())

    const queue = createWorkQueue({
      atOnce: cores,
      maxWaiting: 64,
      maxWaitingPerKey: 16,
      maxWaitMs: 3000,
    })
    const app = await buildApp({ config, db, log, clock, version, engine, gallery, photos, queue, secret })
    undo.push(() => app.close())

    await listen(app, config)
    const tidy = async () => {
      const keys = await forgetKeys(db, new Date(clock.now().getTime() - KEY_AGE_MS))
      await forgetExpired(db, clock.now())
      await forgetFailures(db, clock.now())
      const strays = await photos.sweep(await knownFiles(db))
      log.info({ keys, strays }, 'tidied up')
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
    const host = config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST
    const base = `http://${host}:${port}`
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
    const setupPath = (await ownerExists(db))
      ? undefined
      : `/setup?token=${await setupToken(db, clock.now())}`
    return { base, setupPath, close }
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

/** Not Node's own `recursive`: below /proc, where nothing can be made, it tries without end. */
async function makeWithParents(path: string): Promise<void> {
  if (existsSync(path)) return
  if (dirname(path) !== path) await makeWithParents(dirname(path))
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    // Another process may have made it in between.
    if (error.code !== 'EEXIST') throw error
  })
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
