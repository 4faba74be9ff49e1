import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { openDatabase } from '../../src/database/connect.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The PostgreSQL server of this run, as a superuser; undefined where tests use the embedded database. */
    databaseUrl?: string
  }
}

/** The migrated database that test databases are copies of. */
export const templateName = 'rollcall_test_template'

/**
 * Gives the tests a PostgreSQL server: the one at TEST_DB_URL, or a throwaway one on loopback that is stopped
 * and removed afterwards. Throws when PostgreSQL is not on this machine.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DB_URL
  const cluster = given
    ? { url: given, stop: async () => {} }
    : await startCluster(tmpdir(), { fsync: 'off' })
  try {
    await makeTemplate(cluster.url)
  } catch (error) {
    await cluster.stop()
    throw error
  }
  project.provide('databaseUrl', cluster.url)
  return cluster.stop
}

async function makeTemplate(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`DROP DATABASE IF EXISTS ${templateName}`)
  await client.query(`CREATE DATABASE ${templateName} TEMPLATE template0`)
  await client.end()
  const template = Object.assign(new URL(url), { pathname: `/${templateName}` }).href
  const { db, close } = await openDatabase({ url: template, dataDir: '' })
  await migrateToLatest(db)
  await close()
}

export interface Cluster {
  url: string
  /** Where its files are. */
  folder: string
  /** Makes an empty database of this name. Resolves to its URL. */
  makeDatabase(name: string): Promise<string>
  /** Stops the server and keeps its data. */
  halt(): Promise<void>
  /** Ends the server and all its sessions as a power failure would. */
  kill(): Promise<void>
  /** Whether it has not ended by itself. */
  runs(): boolean
  /** Lets the server and all its sessions stand still, or go on. */
  freeze(): void
  thaw(): void
  /** Starts it and waits until it answers. */
  start(): Promise<void>
  /** Stops the server and removes its folder. */
  stop(): Promise<void>
}

/** Starts a new PostgreSQL server in a temporary folder below `parent`. */
export async function startCluster(
  parent = tmpdir(),
  { fsync = 'on' }: { fsync?: 'on' | 'off' } = {},
): Promise<Cluster> {
  const programs = findPrograms()
  const user = serverUser()
  const folder = mkdtempSync(join(parent, 'rollcall-postgres-'))
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  const password = randomBytes(16).toString('hex')
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (user) for (const path of [folder, passwordFile]) chownSync(path, user.uid, user.gid)

  const options = { ...user, cwd: folder, env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' } }
  const initdb = [
    '-D',
    data,
    '-U',
    'rollcall',
    '-E',
    'UTF8',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
  ]
  execFileSync(join(programs, 'initdb'), initdb, { ...options, stdio: ['ignore', 'ignore', 'inherit'] })

  const port = await freePort()
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: folder,
    fsync,
    // After a kill it would otherwise open each file of each database, for minutes on a slow disk.
    recovery_init_sync_method: 'syncfs',
    max_connections: 200,
  }
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const url = `postgresql://rollcall:${password}@127.0.0.1:${port}/postgres`

  let server: ChildProcess | undefined
  const killServer = () => server?.kill('SIGQUIT')
  process.once('exit', killServer)
  /** The server's own process and those of its sessions, or none once it is gone. */
  const runs = () => server !== undefined && server.exitCode === null && server.signalCode === null
  const signal = (name: NodeJS.Signals) => {
    if (!server || !runs()) return
    const children = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')
    for (const pid of [server.pid!, ...children.split(' ').filter(Boolean).map(Number)])
      process.kill(pid, name)
  }
  const cluster: Cluster = {
    url,
    folder,
    makeDatabase: async (name) => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      await client.query(`CREATE DATABASE ${name}`).finally(() => client.end())
      return Object.assign(new URL(url), { pathname: `/${name}` }).href
    },
    start: async () => {
      server = spawn(join(programs, 'postgres'), ['-D', data, ...parameters], { ...options, stdio: 'ignore' })
      await answering(url)
    },
    halt: async () => {
      if (server) await stopServer(server)
    },
    kill: async () => {
      const ended = server && once(server, 'exit')
      signal('SIGKILL')
      await ended
    },
    runs,
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    stop: async () => {
      await cluster.halt()
      process.off('exit', killServer)
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await cluster.start()
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return cluster
}

/** A recovery may take longer than the product waits for a server when it starts. */
async function answering(url: string): Promise<void> {
  const deadline = Date.now() + 120_000
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
    try {
      await client.connect()
      return await client.end()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(100)
    }
  }
}

async function stopServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = once(server, 'exit')
  server.kill('SIGINT')
  await ended
}

/** The folder of PostgreSQL's programs: the newest in Debian's place, or the one in PATH. Throws without one. */
export function findPrograms(): string {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  const found = folders.find(
    (folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
  )
  if (found !== undefined) return found
  throw new Error(
    'These tests need PostgreSQL on this machine: apt-get install postgresql (Debian, Ubuntu) or brew install ' +
      'postgresql (macOS); or set TEST_DB_URL to a server on which a superuser may make databases.',
  )
}

/** PostgreSQL refuses to run as root, so root runs it as the user that its package made. */
function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'))
  if (line === undefined)
    throw new Error('PostgreSQL does not run as root, and there is no user postgres to run it as.')
  const [, , uid, gid] = line.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
