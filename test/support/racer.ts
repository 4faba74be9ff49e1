/**
 * The application in a process of its own, for races: node --import tsx racer.ts <database url> <data folder>
 * It is what the server runs, from the route to the commit, but for the clock, which is told what time it is. The
 * networks look at each picture once only, so that the races are about the database.
 */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { loadSecret } from '../../src/access/secret.ts'
import { buildApp } from '../../src/app.ts'
import { openDatabase } from '../../src/database/connect.ts'
import { CACHED_PICTURES, cached } from '../../src/face/cache.ts'
import { startEngine } from '../../src/face/engine.ts'
import { openGallery } from '../../src/gallery/gallery.ts'
import { createLearner } from '../../src/gallery/learn.ts'
import { openPhotoStore } from '../../src/gallery/photo-store.ts'
import { openKeys } from '../../src/keys.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { loadConfig } from '../../src/shared/config.ts'
import { createLogger } from '../../src/shared/log.ts'
import { createWorkQueue } from '../../src/shared/work-queue.ts'
import { testSwitch } from './models.ts'

/** Checks of one picture that arrive at once, one for each kiosk key. */
export interface Race {
  image: string
  deviceKeys: string[]
  deviceIds: string[]
  time: string
}
/** What each of them was answered. */
export type Finish = { status: number; duplicate?: boolean; attendance_id?: number }[]

const [url, dataDir] = process.argv.slice(2) as [string, string]
let now = new Date()
const clock = { now: () => now }
const config = loadConfig({ DB_URL: url, DATA_DIR: dataDir, RATE_LIMIT: '10000000' }, dataDir)
const log = createLogger({ level: 'silent' })
const { db, close } = await openDatabase({ url, dataDir })
const { vault, ledger } = await openKeys(config, db, clock, log)
const engine = await startEngine()
const gallery = await openGallery({
  db,
  vault,
  change: ledger.by(serverAuthor),
  pack: engine.pack,
  clock,
  log,
  threshold: config.FACE_RECOGNITION_THRESHOLD,
})
const photos = await openPhotoStore(join(dataDir, 'racer-photos'))
const queue = createWorkQueue({ atOnce: 16, maxWaiting: 64, maxWaitingPerKey: 64, maxWaitMs: 30_000 })
const change = ledger.by(serverAuthor)
const learner = createLearner({ db, vault, photos, gallery, change, engine, clock, log })
const app = await buildApp({
  config,
  db,
  log,
  clock,
  version: '0.0.0-test',
  engine: cached(engine, CACHED_PICTURES),
  gallery,
  learner,
  photos,
  modelSwitch: testSwitch({ db, vault, photos, ledger, clock, log, queue, models: undefined }),
  vault,
  ledger,
  secret: await loadSecret(undefined, dataDir),
  queue,
})
process.on('message', async (race: Race | 'stop') => {
  if (race !== 'stop') return process.send!(await run(race))
  await app.close()
  await learner.close()
  await gallery.close()
  await ledger.close()
  await close()
  process.disconnect()
})
process.on('disconnect', () => process.exit())
process.send!('ready')

async function run({ image, deviceKeys, deviceIds, time }: Race): Promise<Finish> {
  now = new Date(time)
  const bytes = Buffer.from(image, 'base64')
  return Promise.all(
    deviceKeys.map(async (key, index) => {
      const headers = { 'x-device-key': key, 'idempotency-key': randomUUID() }
      for (let tries = 1; ; tries++) {
        const payload = new FormData()
        payload.append('device_id', deviceIds[index]!)
        payload.append('attendance_type', 'IN')
        payload.append('image', new Blob([new Uint8Array(bytes)]), 'door.jpg')
        const answer = await app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload, headers })
        const { duplicate, attendance_id } = answer.json()
        // A slow machine may refuse for want of time; a kiosk then sends the same event again.
        if (answer.statusCode !== 503 || tries === 20)
          return { status: answer.statusCode, duplicate, attendance_id }
      }
    }),
  )
}
