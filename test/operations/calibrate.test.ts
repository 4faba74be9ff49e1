import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connect.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { openKeys } from '../../src/keys.ts'
import { systemClock } from '../../src/shared/clock.ts'
import { loadConfig } from '../../src/shared/config.ts'
import { createLogger } from '../../src/shared/log.ts'
import { storePeople, stranger } from '../gallery/synthetic.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-calibrate-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs `rollcall calibrate` in a folder without a .env. Resolves to how it ended, and what it printed. */
async function calibrate(): Promise<[number, string]> {
  const env = { PATH: process.env.PATH, DATA_DIR: join(folder, 'data') }
  try {
    const cli = resolve('dist/cli.js')
    const run = promisify(execFile)(process.execPath, [cli, 'calibrate'], { cwd: folder, env })
    return [0, (await run).stdout]
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string }
    return [code, stderr]
  }
}

test('the command line calibrates and tells what it found; while a server runs it names the route', async () => {
  const config = loadConfig({ DATA_DIR: join(folder, 'data') }, folder)
  const log = createLogger({ level: 'silent' })
  const { db, close } = await openDatabase({ dataDir: config.DATA_DIR, log })
  await migrateToLatest(db)
  const { vault, ledger } = await openKeys(config, db, systemClock, log)
  expect(await calibrate()).toEqual([1, expect.stringContaining('POST /api/v1/recognition/calibration')])
  const people = Array.from({ length: 25 }, (_, i) => ({
    employeeId: `P${i + 1}`,
    photos: [Float32Array.from([...stranger(i, 3, 1024), ...stranger(1000 + i, 3, 128)])],
  }))
  await storePeople({ db, vault, pack: humanV1 }, people)
  await ledger.close()
  await close()

  const [code, said] = await calibrate()
  expect(code).toBe(0)
  expect(said).toMatch(
    /^Calibration \d+ of human-v1, from 25 people \(25 of them compared: 600 comparisons\)/,
  )
  expect(said).toContain('The threshold is 0.65: FACE_RECOGNITION_THRESHOLD.')
  expect(said).toMatch(/threshold in force +0\.65\n/)
}, 240_000)
