import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { call } from '../../src/onboarding.ts'
import { createArchive, openArchive } from '../../src/operations/archive.ts'
import { type Cluster, startCluster } from '../support/postgres-cluster.ts'
import { check, endServers, foundCompany, runProgram, startServer } from '../support/server-process.ts'

let cluster: Cluster
let folder: string

beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-moved-'))
})
afterEach(async () => {
  await endServers()
  await rm(folder, { recursive: true, force: true })
})

const people = ['frontal', 'bun'] as const

test('a running server on the embedded database is backed up and moved to PostgreSQL: it knows everybody', async () => {
  const old = { DATA_DIR: join(folder, 'old'), MASTER_KEY: 'c5'.repeat(32) }
  const server = await startServer(old)
  const company = await foundCompany(server, { people: [...people], kiosks: 1 })
  const [kiosk] = company.kiosks
  const first = await check(server.base, kiosk!, people[0], { key: 'event-1' })
  expect(first.body).toMatchObject({ recognized: true, employee_id: people[0] })

  const file = join(folder, 'backup.zip')
  const made = await runProgram(['backup', file], old)
  expect(made.said).toMatch(/attendance: 1 rows[\s\S]*photos: 2[\s\S]*Backed up into .*backup\.zip/)
  expect(made.code).toBe(0)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  // The embedded database serves one process: a restore has to wait for it to end.
  const early = await runProgram(['restore', file, '--replace'], old)
  expect([early.code, early.said]).toEqual([1, expect.stringContaining('is in use by process')])
  expect(await server.end()).toBe(0)

  const fresh = { DATA_DIR: join(folder, 'new'), MASTER_KEY: old.MASTER_KEY, DB_URL: cluster.url }
  await mkdir(fresh.DATA_DIR)
  const restored = await runProgram(['restore', file], fresh)
  expect([restored.code, restored.said]).toEqual([0, expect.stringContaining('Restored. Start the server.')])
  const moved = await startServer(fresh)
  expect(moved.setupPath).toBe('')
  // The event that was answered before is the same one still; a new one is a new punch.
  const again = await check(moved.base, kiosk!, people[0], { key: 'event-1' })
  expect(again.body.attendance_id).toBe(first.body.attendance_id)
  const next = await check(moved.base, kiosk!, people[1], { key: 'event-2' })
  expect(next.body).toMatchObject({ recognized: true, employee_id: people[1] })
  expect(next.body.attendance_id).toBeGreaterThan(first.body.attendance_id!)
  expect(await moved.end()).toBe(0)
  expect(await runProgram(['verify'], fresh)).toMatchObject({ code: 0 })
}, 240_000)

test('a running server on the embedded database says why it can make no backup, and makes the next one', async () => {
  const settings = { DATA_DIR: join(folder, 'data'), BACKUP_DIR: join(folder, 'backups') }
  await startServer(settings)
  await writeFile(settings.BACKUP_DIR, 'no folder')
  const failed = await runProgram(['backup'], settings)
  expect([failed.code, failed.said]).toEqual([
    1,
    expect.stringMatching(/rollcall-\S+Z\.zip cannot be written, and no backup was made\. Choose a folder/),
  ])
  const nowhere = await runProgram(['backup', '/proc/x/a.zip'], settings)
  expect([nowhere.code, nowhere.said]).toEqual([
    1,
    expect.stringContaining('/proc/x/a.zip cannot be written'),
  ])
  await rm(settings.BACKUP_DIR)
  const made = await runProgram(['backup'], settings)
  const [name] = await readdir(settings.BACKUP_DIR)
  expect(made).toMatchObject({
    code: 0,
    said: expect.stringContaining(`Backed up into ${join(settings.BACKUP_DIR, name!)} and `),
  })

  // Elsewhere it is brought by the command itself, even to another disk, and nothing of it is left behind.
  const disks = [folder, ...['/dev/shm'].filter((disk) => existsSync(disk))]
  for (const disk of disks) {
    const elsewhere = await mkdtemp(join(disk, 'rollcall-elsewhere-'))
    try {
      const file = join(elsewhere, 'new', 'backup.zip')
      expect(await runProgram(['backup', file], settings)).toMatchObject({ code: 0 })
      expect((await readdir(join(elsewhere, 'new'))).sort()).toEqual(['backup.zip', 'backup.zip.keys'])
      expect((await stat(file)).mode & 0o777).toBe(0o600)
      const again = await runProgram(['backup', file], settings)
      expect([again.code, again.said]).toEqual([1, expect.stringContaining('is there already')])
    } finally {
      await rm(elsewhere, { recursive: true })
    }
  }
  expect((await readdir(settings.BACKUP_DIR)).sort()).toEqual([name, `${name}.keys`])
}, 240_000)

test.skipIf(!existsSync('/proc'))('a file below /proc is refused at once', async () => {
  await expect(createArchive('/proc/x/a.zip')).rejects.toThrow(/ENOENT/)
})

test('who was erased after the backup stays erased when it is restored', async () => {
  const settings = { DATA_DIR: join(folder, 'data'), BACKUP_DIR: folder, MASTER_KEY: 'c5'.repeat(32) }
  const server = await startServer(settings)
  const company = await foundCompany(server, { people: [...people], kiosks: 1 })
  const file = join(folder, 'backup.zip')
  expect((await runProgram(['backup', file], settings)).code).toBe(0)
  const [uploads] = await readdir(join(settings.DATA_DIR, 'uploads'))
  const person = `/api/v1/employees/${people[0]}`
  const headers = company.program
  await call('POST', `${server.base}${person}/erase`, { headers })
  await server.end()
  // The server's own backups open that person no more.
  const kept = await openArchive(`${file}.keys`)
  kept.close()
  expect(kept.names.filter((name) => /^[0-9a-f-]{36}\.key$/.test(name))).toHaveLength(1)
  expect(kept.names.filter((name) => name.startsWith('erased/'))).toHaveLength(1)

  // Without the machine, too: the tombstones are what is carried from it.
  const elsewhere = { ...settings, DATA_DIR: join(folder, 'elsewhere') }
  await mkdir(elsewhere.DATA_DIR)
  const tombstones = await readdir(join(settings.DATA_DIR, 'keys', uploads!, 'erased'))
  expect(tombstones).toHaveLength(1)
  const list = join(folder, 'tombstones')
  await writeFile(list, tombstones.join('\n'))
  for (const [place, words] of [
    [settings, ['restore', file, '--replace']],
    [elsewhere, ['restore', file, '--tombstones', list]],
  ] as const) {
    const { code, said } = await runProgram([...words], place)
    expect([code, said]).toEqual([0, expect.stringContaining('erased again, because they were erased after')])
    // As of one that was killed: copies of keys.
    const scratch = join(place.DATA_DIR, 'restoring')
    await mkdir(scratch)
    await writeFile(join(scratch, 'ledger.key'), '')
    const restored = await startServer(place)
    expect(await readdir(place.DATA_DIR)).not.toContain('restoring')
    const photos = await call<unknown[]>('GET', `${restored.base}${person}/photos`, { headers })
    const templates = await call<unknown[]>('GET', `${restored.base}${person}/templates`, { headers })
    const erasures = await call<{ key_erased: boolean }[]>('GET', `${restored.base}${person}/erasures`, {
      headers,
    })
    expect([photos, templates, erasures.map((row) => row.key_erased)]).toEqual([[], [], [true]])
    expect(await readdir(join(place.DATA_DIR, 'keys', uploads!))).not.toContain(`${tombstones[0]}.key`)
    expect(await readdir(join(place.DATA_DIR, 'uploads', uploads!))).toHaveLength(1)
    const answer = await check(restored.base, company.kiosks[0]!, people[0])
    expect(answer.body.recognized).toBe(false)
    // Nobody else is forgotten, and who was erased may enrol anew.
    const other = await check(restored.base, company.kiosks[0]!, people[1])
    expect(other.body).toMatchObject({ recognized: true, employee_id: people[1] })
    await restored.end()
  }
}, 240_000)
