import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connect.ts'
import { findPack } from '../../src/face/packs/catalogue.ts'
import { call } from '../../src/onboarding.ts'
import type { PortraitName } from '../face/portraits.ts'
import { type Cluster, startCluster } from '../support/postgres-cluster.ts'
import {
  addPerson,
  addPhoto,
  type Company,
  check,
  endServers,
  foundCompany,
  runProgram,
  type ServerProcess,
  startServer,
} from '../support/server-process.ts'

const weights = process.env.EVAL_DATA && join(process.env.EVAL_DATA, 'models')
const pack = 'test-mobilefacenet'
const people: PortraitName[] = ['frontal', 'longHair', 'blonde', 'bun']

let folder: string
let MODEL_PATH: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-switch-'))
  MODEL_PATH = join(folder, 'models')
  await mkdir(MODEL_PATH)
  if (weights) await install()
})
afterAll(async () => {
  await endServers()
  await rm(folder, { recursive: true, force: true })
})

const files = Object.values(findPack(pack)!.files).filter(({ source }) => source.kind === 'hand')

/** As somebody does who brings the files by hand, and agrees to their licence. */
async function install(): Promise<void> {
  for (const { path } of files) await copyFile(join(weights!, path), join(MODEL_PATH, path))
  const { code, said } = await runProgram(['models', 'install', pack, '--accept-licence'], { MODEL_PATH })
  expect({ code, said }).toMatchObject({ code: 0 })
}

interface Switch {
  state: string
  total: number
  done: number
  to_pack: string
  comparison: { basis: string; compared: number; same: number }
}

const models = (server: ServerProcess, path: string) => `${server.base}/api/v1/recognition/models${path}`
const look = (server: ServerProcess, { owner }: Company) =>
  call<Switch>('GET', models(server, '/switch'), { headers: owner })
const begin = (server: ServerProcess, { owner }: Company, to: string) =>
  call<Switch>('POST', models(server, '/switch'), { headers: owner, body: { pack: to } })
const confirm = (server: ServerProcess, { owner }: Company) =>
  call<Switch>('POST', models(server, '/switch/confirm'), { headers: owner })
const packOf = async (server: ServerProcess, { owner }: Company) =>
  (await call<{ pack: string }>('GET', models(server, '/status'), { headers: owner })).pack

/** Looks until it is ready; somebody checks in all along, and is recognised each time. */
async function untilReady(server: ServerProcess, company: Company): Promise<Switch> {
  for (;;) {
    const now = await look(server, company)
    if (now.state !== 'embedding') return now
    await expectRecognised(server, company, 'frontal')
  }
}

async function expectRecognised(server: ServerProcess, company: Company, name: PortraitName): Promise<void> {
  const { status, body } = await check(server.base, company.kiosks[0]!, name)
  expect({ status, ...body }).toMatchObject({ status: 200, recognized: true, employee_id: name })
}

/** The packs of all decisions, in their order, each as often as it begins anew. */
async function packsInTurn(settings: Record<string, string>): Promise<(string | null)[]> {
  const { db, close } = await openDatabase({ url: settings.DB_URL, dataDir: settings.DATA_DIR! })
  try {
    const rows = await db.selectFrom('decisions').select('pack').orderBy('id').execute()
    return rows.map((row) => row.pack).filter((name, at, all) => name !== all[at - 1])
  } finally {
    await close()
  }
}

describe.skipIf(!weights)('a server that changes to a pack with other networks', () => {
  let settings: Record<string, string>
  let server: ServerProcess
  let company: Company

  beforeAll(async () => {
    settings = { DATA_DIR: join(folder, 'data'), MODEL_PATH }
    server = await startServer(settings)
    company = await foundCompany(server, { people, kiosks: 1 })
  }, 600_000)

  test('asks for the agreement to the licence of files that were put there by hand', async () => {
    await rm(join(MODEL_PATH, pack, 'licence-accepted.json'))
    await expect(begin(server, company, pack)).rejects.toThrow('--accept-licence')
    await install()
  })

  test('and is killed half-way answers with the old one and goes on where it was', async () => {
    await begin(server, company, pack)
    for (;;) {
      // A kiosk that is in use holds the embedding up, so that it can be met half-way.
      await expectRecognised(server, company, 'frontal')
      const { state, done } = await look(server, company)
      expect(state).toBe('embedding')
      if (done > 0) break
    }
    await server.end('SIGKILL')
    server = await startServer(settings)
    const resumed = await look(server, company)
    expect(resumed.done).toBeGreaterThan(0)
    expect(await packOf(server, company)).toBe('human-v1')
    expect(await untilReady(server, company)).toMatchObject({
      state: 'ready',
      total: people.length,
      done: people.length,
      comparison: { basis: 'stored_photos', compared: people.length },
    })
    expect(await packOf(server, company)).toBe('human-v1')
  }, 600_000)

  test('takes along who is enrolled meanwhile, and changes over without a check that fails', async () => {
    await addPerson(server.base, company, 'redLips')
    await addPhoto(server.base, company, 'redLips', 'redLips')
    let changing = true
    const changed = confirm(server, company).finally(() => {
      changing = false
    })
    while (changing) await expectRecognised(server, company, 'longHair')
    expect(await changed).toMatchObject({ state: 'switched', total: 5, done: 5 })
    expect(await packOf(server, company)).toBe(pack)
    for (const name of [...people, 'redLips'] as const) await expectRecognised(server, company, name)
    expect(await server.end()).toBe(0)
    expect(await packsInTurn(settings)).toEqual(['human-v1', pack])
  }, 600_000)

  test('does not start without a file of it, nor with an altered one, and says what helps', async () => {
    const path = join(MODEL_PATH, files[0]!.path)
    const whole = await readFile(path)
    const flipped = Buffer.from(whole)
    flipped[1000]! ^= 1
    for (const spoil of [() => rm(path), () => writeFile(path, flipped)]) {
      await spoil()
      const { code, said } = await runProgram(['start'], { ...settings, PORT: '0' })
      expect(code).toBe(1)
      expect(said).toContain(`The model pack in use, ${pack}, cannot be loaded.`)
      expect(said).toContain(files[0]!.path)
      expect(said).toContain(`rollcall models install ${pack}`)
      expect(said).toContain('rollcall models use human-v1')
    }
    await writeFile(path, whole)
  }, 600_000)

  test('goes back by the command line, whatever became of the files of the former pack', async () => {
    await rm(join(MODEL_PATH, files[0]!.path))
    const { code, said } = await runProgram(['models', 'use', 'human-v1', '--yes'], settings)
    expect({ code, said }).toMatchObject({ code: 0 })
    expect(said).toContain('The model pack in use is human-v1.')
    server = await startServer(settings)
    for (const name of [...people, 'redLips'] as const) await expectRecognised(server, company, name)
    const held = await runProgram(['models', 'use', pack, '--yes'], settings)
    expect(held.code).toBe(1)
    expect(held.said).toContain('POST /api/v1/recognition/models/switch')
    expect(await server.end()).toBe(0)
    await install()
  }, 600_000)
})

describe.skipIf(!weights)('two servers on one PostgreSQL', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  test('change over together: one embeds, whichever is asked confirms, and both use the new pack', async () => {
    const settings = {
      DATA_DIR: join(folder, 'two'),
      MODEL_PATH,
      DB_URL: await cluster.makeDatabase('switch'),
    }
    const one = await startServer(settings)
    const company = await foundCompany(one, { people: ['frontal', 'longHair'], kiosks: 1 })
    const other = await startServer(settings)
    await begin(one, company, pack)
    expect(await untilReady(other, company)).toMatchObject({ state: 'ready', done: 2 })
    await confirm(other, company)
    for (const [server, name] of [
      [one, 'bun'],
      [other, 'blonde'],
    ] as const) {
      for (let tries = 0; (await packOf(server, company)) !== pack; tries++) {
        expect(tries, 'a process does not change over').toBeLessThan(600)
        await expectRecognised(server, company, 'frontal')
        await sleep(100)
      }
      await expectRecognised(server, company, 'longHair')
      await addPerson(server.base, company, name)
      await addPhoto(server.base, company, name, name)
    }
    expect([await one.end(), await other.end()]).toEqual([0, 0])
    const { db, close } = await openDatabase({ url: settings.DB_URL, dataDir: '' })
    const templates = await db
      .selectFrom('face_templates')
      .select(({ fn }) => ['pack', fn.countAll<string>().as('n')])
      .groupBy('pack')
      .orderBy('pack')
      .execute()
    expect(templates).toEqual([
      { pack: 'human-v1', n: '2' },
      { pack, n: '4' },
    ])
    await close()
  }, 600_000)
})
