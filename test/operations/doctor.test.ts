import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connect.ts'
import { makeCertificate } from '../../src/operations/certificates.ts'
import { examine, type Finding } from '../../src/operations/doctor.ts'
import { loadConfig } from '../../src/shared/config.ts'
import { type Cluster, startCluster } from '../support/postgres-cluster.ts'
import {
  endServers,
  foundCompany,
  runProgram,
  type ServerProcess,
  startServer,
} from '../support/server-process.ts'

const DAY_MS = 24 * 60 * 60 * 1000

let folder: string
/** A free port, which the server of these tests takes and gives back. */
let port: number
let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
  folder = await mkdtemp(join(tmpdir(), 'rollcall-doctor-'))
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((listening) => probe.once('listening', listening))
  port = (probe.address() as AddressInfo).port
  await new Promise((closed) => probe.close(closed))
})
afterAll(async () => {
  await endServers()
  await cluster.stop()
  await rm(folder, { recursive: true, force: true })
})

const settings = (more: Record<string, string> = {}) => ({ DATA_DIR: folder, PORT: String(port), ...more })

const look = (more: Record<string, string> = {}, now = new Date()) =>
  examine(loadConfig(settings(more), folder, {}), now)

const of = (findings: Finding[], name: string) => findings.filter(({ check }) => check === name)
const one = (findings: Finding[], name: string) => {
  expect(of(findings, name)).toHaveLength(1)
  return of(findings, name)[0]!
}
const faults = (findings: Finding[]) => findings.filter(({ state }) => state === 'fault')

/** Every file below the folder with its size and time of change. */
async function files(): Promise<string[]> {
  const names = await readdir(folder, { recursive: true })
  const listed = names.map(async (name) => {
    const { size, mtimeMs, mode } = await stat(join(folder, String(name)))
    return `${name} ${size} ${mtimeMs} ${mode}`
  })
  return (await Promise.all(listed)).sort()
}

describe('before the first start', () => {
  test('finds nothing wrong, and makes nothing', async () => {
    const findings = await look()
    expect(faults(findings)).toEqual([])
    expect(one(findings, 'database').message).toMatch(/first start makes the embedded one/)
    expect(one(findings, 'port').message).toBe(`Port ${port} is free; no server is running.`)
    expect(one(findings, 'models')).toMatchObject({
      state: 'ok',
      message: expect.stringMatching(/in \d+ ms/),
    })
    expect(one(findings, 'backup')).toMatchObject({ state: 'warning' })
    expect(await readdir(folder)).toEqual([])
  })
})

describe('beside a server that runs', () => {
  let server: ServerProcess
  beforeAll(async () => {
    server = await startServer(settings())
    await foundCompany(server, { people: ['blonde'], kiosks: 1 })
  })
  afterAll(() => server.end())

  test('asks the server what it cannot see itself, and finds no fault', async () => {
    const findings = await look()
    expect(faults(findings)).toEqual([])
    expect(one(findings, 'port').message).toMatch(/^Rollcall .* answers on port .* healthy\.$/)
    expect(one(findings, 'database')).toMatchObject({
      state: 'ok',
      message: expect.stringMatching(/running server has the embedded database/),
    })
    expect((await fetch(`${server.base}/health/ready`)).status).toBe(200)
  })

  test('of another installation tells that it is that one', async () => {
    const url = cluster.url
    const other = await startServer(settings({ DATA_DIR: join(folder, 'other'), PORT: '0', DB_URL: url }))
    const { port: otherPort } = new URL(other.base)
    const own = await look({ DATA_DIR: join(folder, 'other'), PORT: otherPort, DB_URL: url })
    expect(faults(own)).toEqual([])
    expect(one(own, 'port').message).toMatch(/^Rollcall .* healthy\.$/)
    await other.end()
    // The database of the one, at the port of the other.
    const findings = await look({ DATA_DIR: join(folder, 'other'), DB_URL: url })
    expect(of(findings, 'port')[1]).toMatchObject({
      state: 'fault',
      message: expect.stringMatching(/is of another installation: .* Stop it, or set PORT\.$/),
    })
    await rm(join(folder, 'other'), { recursive: true })
  })

  test('is a command with lines for people, JSON for programs, and an exit code', async () => {
    const text = await runProgram(['doctor'], settings())
    expect(text.said).toMatch(/^OK {6}models {6}human-v1: whole/m)
    expect(text.said).toMatch(/No fault, \d+ warnings\./)
    expect(text.code).toBe(0)
    const json = await runProgram(['doctor', '--json'], settings({ DATA_DIR: '/dev/null' }))
    const { findings } = JSON.parse(json.said)
    expect(one(of(findings, 'folders').slice(0, 1), 'folders')).toMatchObject({ state: 'fault' })
    expect(json.code).toBe(1)
    const wrong = await runProgram(['doctor'], settings({ TIME_ZONE: 'Mars/Olympus' }))
    expect([wrong.code, wrong.said]).toEqual([1, expect.stringContaining('TIME_ZONE: not an IANA time zone')])
  })
})

describe('with the server stopped', () => {
  test('looks into the database itself, and changes no file of keys, photos or settings', async () => {
    const apart = (names: string[]) => names.filter((name) => !/^postgres/.test(name))
    const before = apart(await files())
    const findings = await look()
    expect(faults(findings)).toEqual([])
    expect(one(findings, 'database').message).toMatch(/^The embedded PostgreSQL \d+\.\d+ answers\.$/)
    expect(one(findings, 'migrations').message).toMatch(/^All \d+ are applied\.$/)
    expect(one(findings, 'clock').state).toBe('ok')
    expect(one(findings, 'keys').message).toMatch(/^\d+ keys open under the master key/)
    expect(one(findings, 'ledger').message).toMatch(/^[1-9]\d* entries; the last one .* is there/)
    expect(before.length).toBeGreaterThan(5)
    expect(apart(await files())).toEqual(before)
  })

  test('tells of another master key, of keys that are missing, and of none', async () => {
    const findings = await look({ MASTER_KEY: 'ab'.repeat(32) })
    expect(one(findings, 'keys')).toMatchObject({
      state: 'fault',
      message: expect.stringMatching(/do not open under this master key .*MASTER_KEY_FILE/),
    })
    await rename(join(folder, 'master-key'), join(folder, 'master-key.away'))
    expect(one(await look(), 'keys').message).toMatch(/^The master key is missing/)
    await rename(join(folder, 'master-key.away'), join(folder, 'master-key'))
    const [instance] = await readdir(join(folder, 'keys'))
    const keys = join(folder, 'keys', instance!)
    const person = (await readdir(keys)).find((name) => /^[0-9a-f-]{36}\.key$/.test(name))!
    await rename(join(keys, person), join(folder, person))
    expect(one(await look(), 'keys').message).toMatch(/^The keys of 1 people are missing/)
    await rename(join(folder, person), join(keys, person))
  })

  test('tells of a ledger that was cut, and of a database of a newer version', async () => {
    const { db, close } = await openDatabase({ dataDir: folder })
    const [instance] = await readdir(join(folder, 'keys'))
    const head = join(folder, 'keys', instance!, 'ledger-head.json')
    const text = await readFile(head, 'utf8')
    const { seq, mac } = JSON.parse(text)
    await writeFile(head, JSON.stringify({ seq: seq + 1, mac }))
    const migrations = db as unknown as import('kysely').Kysely<{
      kysely_migration: { name: string; timestamp: string }
    }>
    const newer = { name: '9999-future', timestamp: new Date().toISOString() }
    await migrations.insertInto('kysely_migration').values(newer).execute()
    await close()
    const findings = await look()
    expect(one(findings, 'ledger')).toMatchObject({
      state: 'fault',
      message: expect.stringMatching(/it was cut/),
    })
    expect(one(findings, 'migrations')).toMatchObject({
      state: 'fault',
      message: expect.stringMatching(/newer version of this program \(9999-future\)/),
    })
    await writeFile(head, text)
    const again = await openDatabase({ dataDir: folder })
    await (again.db as unknown as typeof migrations)
      .deleteFrom('kysely_migration')
      .where('name', '=', newer.name)
      .execute()
    await again.close()
    expect(faults(await look())).toEqual([])
  })
})

describe('without a database', () => {
  let whole: string
  beforeAll(async () => {
    whole = folder
    folder = await mkdtemp(join(tmpdir(), 'rollcall-doctor-'))
  })
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
    folder = whole
  })

  test('tells of the database when it does not answer, without its password', async () => {
    const url = 'postgresql://rollcall:geheim@127.0.0.1:1/rollcall'
    const finding = one(await look({ DB_URL: url }), 'database')
    expect(finding.state).toBe('fault')
    expect(finding.message).toMatch(/127\.0\.0\.1:1 .*did not answer/)
    expect(finding.message).not.toContain('geheim')
  })

  test('tells of a port that another program has', async () => {
    const other = createServer((_, answer) => answer.end('hello')).listen(port, '127.0.0.1')
    await new Promise((listening) => other.once('listening', listening))
    expect(one(await look(), 'port')).toMatchObject({
      state: 'fault',
      message: expect.stringMatching(/used by another program/),
    })
    await new Promise((closed) => other.close(closed))
    expect(one(await look({ HOST: '192.0.2.1' }), 'port').message).toMatch(/could not listen on 192\.0\.2\.1/)
  })

  test('tells of a certificate that ends soon, of one that has ended, and of none where there should be one', async () => {
    await makeCertificate(folder, [], new Date(Date.now() - 800 * DAY_MS))
    expect(one(await look(), 'tls')).toMatchObject({
      state: 'warning',
      message: expect.stringMatching(/localhost.* good for (19|20) days\. Renew it with: rollcall tls init/),
    })
    expect(one(await look({}, new Date(Date.now() + 30 * DAY_MS)), 'tls')).toMatchObject({ state: 'fault' })
    await rm(join(folder, 'tls'), { recursive: true })
    expect(one(await look({ HOST: '0.0.0.0' }), 'tls').message).toMatch(
      /^Plain HTTP on 0\.0\.0\.0.*no camera/,
    )
    expect(one(await look({ HOST: '0.0.0.0', TRUST_PROXY: '127.0.0.1' }), 'tls').state).toBe('ok')
  })

  test.skipIf(process.platform === 'win32')('tells of a secret that others can read', async () => {
    await writeFile(join(folder, 'master-key'), 'ab'.repeat(32))
    await chmod(join(folder, 'master-key'), 0o644)
    expect(one(await look(), 'settings')).toMatchObject({
      state: 'fault',
      message: `Others can read ${join(folder, 'master-key')}. Run: chmod 600 ${join(folder, 'master-key')}`,
    })
    await chmod(join(folder, 'master-key'), 0o600)
    expect(one(await look({ SECRET_KEY: 'password' }), 'settings').message).toMatch(/^SECRET_KEY is too weak/)
  })

  test('tells how old the newest backup is', async () => {
    const backups = join(folder, 'elsewhere')
    await mkdir(backups)
    const file = join(backups, 'rollcall.zip')
    await writeFile(file, '')
    expect(one(await look({ BACKUP_DIR: backups }), 'backup').state).toBe('ok')
    const then = new Date(Date.now() - 10.5 * DAY_MS)
    await utimes(file, then, then)
    expect(one(await look({ BACKUP_DIR: backups }), 'backup')).toMatchObject({
      state: 'warning',
      message: expect.stringMatching(/10 days old \(rollcall\.zip\)/),
    })
  })
})
