import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCertificate } from '../../src/operations/certificates.ts'
import { envExample } from '../../src/operations/env-example.ts'
import { STOP_PATIENCE_MS } from '../../src/operations/workers.ts'
import { configSchema, loadConfig } from '../../src/shared/config.ts'
import { loadTls } from '../../src/shared/tls.ts'
import { testApp } from '../support/app.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-deploy-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const text = (path: string) => readFileSync(path, 'utf8')

describe('.env.example', () => {
  test('is what "rollcall settings" prints; UPDATE_DOCS=1 writes it', async () => {
    if (process.env.UPDATE_DOCS) await writeFile('.env.example', envExample())
    expect(text('.env.example')).toBe(envExample())
  })

  test('names every setting once, commented out', () => {
    const names = [...text('.env.example').matchAll(/^#([A-Z_]+)=/gm)].map(([, name]) => name)
    expect(names).toEqual(Object.keys(configSchema.shape))
    expect(parseEnv(text('.env.example'))).toEqual({})
  })

  test('changes nothing when its defaults are taken as they stand', () => {
    const taken = parseEnv(text('.env.example').replace(/^#(?=[A-Z_]+=)/gm, ''))
    expect(Object.values(taken).filter((value) => value !== '').length).toBeGreaterThan(10)
    expect(loadConfig(taken, folder, {})).toEqual(loadConfig({}, folder, {}))
  })
})

describe('the container', () => {
  const ignored = text('.dockerignore').split('\n')
  const lines = text('Dockerfile')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [word, ...rest] = line.trim().split(/\s+/)
      return { word: word!, rest }
    })
  const lastStage = lines.slice(lines.findLastIndex(({ word }) => word === 'FROM'))
  const of = (word: string) =>
    lastStage.filter((line) => line.word === word).map(({ rest }) => rest.join(' '))

  test('is built from what is there and what .dockerignore lets in, and from nothing else', () => {
    const copied = lines
      .filter(({ word, rest }) => word === 'COPY' && !rest[0]!.startsWith('--from'))
      .flatMap(({ rest }) => rest.slice(0, -1))
    expect(copied).toContain('.npmrc')
    expect(copied.filter((path) => !existsSync(path))).toEqual([])
    expect(ignored).toContain('*')
    expect(copied.filter((path) => !ignored.includes(`!${path}`))).toEqual([])
    expect(ignored.filter((line) => line.startsWith('!') && !copied.includes(line.slice(1)))).toEqual([])
  })

  test('runs on a Node that is supported and that package.json allows, the same in every stage', () => {
    const images = lines.filter(({ word }) => word === 'FROM').map(({ rest }) => rest[0])
    const bases = new Set(images.filter((image) => image !== 'base'))
    expect([...bases]).toEqual([expect.stringMatching(/^node:(24|26)-bookworm-slim$/)])
  })

  test('is not root, keeps its data in volumes of its own, and says whether it lives', () => {
    expect(of('USER')).toEqual(['node'])
    expect(lastStage.findIndex(({ word }) => word === 'USER')).toBeLessThan(
      lastStage.findIndex(({ word }) => word === 'CMD'),
    )
    expect(JSON.parse(of('VOLUME')[0]!)).toEqual(['/data', '/keys'])
    expect(of('ENV')[0]).toMatch(/HOST=0\.0\.0\.0 .*DATA_DIR=\/data KEY_DIR=\/keys/)
    expect(of('STOPSIGNAL')).toEqual(['SIGTERM'])
    expect(of('HEALTHCHECK')[0]).toMatch(/CMD \["node", "healthcheck.mjs"\]$/)
    // Node itself is process 1: a shell there would keep the signal to itself.
    expect(JSON.parse(of('CMD')[0]!)).toEqual(['node', '--enable-source-maps', 'dist/cli.js', 'start'])
    // No development packages in it.
    expect(lines.some(({ rest }) => rest.includes('--omit=dev'))).toBe(true)
    expect(of('COPY').some((words) => words.startsWith('--from=modules /app/node_modules'))).toBe(true)
  })

  const healthcheck = (port: number) =>
    new Promise<number>((done) => {
      const env = { ...process.env, PORT: String(port) }
      const child = execFile(process.execPath, ['deploy/healthcheck.mjs'], { env }, () =>
        done(child.exitCode ?? -1),
      )
    })

  test('is healthy while the server answers, over HTTP as over HTTPS, and not when it is gone', async () => {
    await makeCertificate(folder, [], new Date())
    const tls = await loadTls({ DATA_DIR: folder }, new Date())
    for (const server of [await testApp(), await testApp({ tls })]) {
      await server.app.listen({ host: '127.0.0.1', port: 0 })
      const { port } = server.app.server.address() as { port: number }
      expect(await healthcheck(port)).toBe(0)
      await server.close()
      expect(await healthcheck(port)).toBe(1)
    }
  })
})

interface Compose {
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean } | null>
  volumes: Record<string, null>
  secrets: Record<string, { file: string }>
}

interface Service {
  restart: string
  environment: Record<string, string>
  depends_on?: Record<string, { condition: string }>
  ports?: string[]
  networks: string[]
  volumes: string[]
  secrets?: string[]
  healthcheck?: { test: string[] }
  cap_drop?: string[]
  stop_grace_period: string
}

describe('docker-compose.yml', () => {
  // The YAML reader that the OpenAPI page brings along.
  const { parse } = createRequire(createRequire(import.meta.url).resolve('@fastify/swagger'))('yaml') as {
    parse(text: string): Compose
  }
  const { services, networks, volumes, secrets } = parse(text('docker-compose.yml'))
  const { rollcall, postgres } = services as { rollcall: Service; postgres: Service }

  test('lets nobody but the server reach the database', () => {
    expect(postgres.ports).toBeUndefined()
    expect(postgres.networks).toEqual(['database'])
    expect(networks.database?.internal).toBe(true)
    expect(rollcall.networks).toContain('database')
    expect(rollcall.ports).toEqual([expect.stringMatching(/^\$\{ROLLCALL_ADDRESS:-127\.0\.0\.1\}:/)])
  })

  test('has no password of its own: without one it does not start', () => {
    for (const value of [postgres.environment.POSTGRES_PASSWORD, rollcall.environment.DB_URL]) {
      expect(value).toMatch(/\$\{POSTGRES_PASSWORD:\?/)
      expect(value).not.toMatch(/POSTGRES_PASSWORD:?-/)
    }
    expect(rollcall.environment).not.toHaveProperty('MASTER_KEY')
    expect(rollcall.environment.MASTER_KEY_FILE).toBe('/run/secrets/master-key')
    expect(rollcall.secrets).toEqual(['master-key'])
    expect(text('.gitignore').split('\n')).toContain(`${secrets['master-key']!.file.split('/')[1]}/`)
  })

  test('starts the server when the database answers, and both again after a crash', () => {
    expect(rollcall.depends_on).toEqual({ postgres: { condition: 'service_healthy' } })
    // Not over the socket, on which the server that initdb starts answers as well.
    expect(postgres.healthcheck?.test).toEqual(expect.arrayContaining(['pg_isready', '--host=127.0.0.1']))
    expect([rollcall.restart, postgres.restart]).toEqual(['unless-stopped', 'unless-stopped'])
  })

  test('keeps data, keys and database in three volumes', () => {
    const mounted = [...rollcall.volumes, ...postgres.volumes].map((volume) => volume.split(':')[0])
    expect(mounted).toEqual(Object.keys(volumes))
    expect(rollcall.volumes).toEqual(['data:/data', 'keys:/keys'])
  })

  test('gives the workers longer than they give themselves, as the systemd unit does', () => {
    const unit = /^TimeoutStopSec=(\d+)$/m.exec(text('deploy/rollcall.service'))![1]!
    expect(rollcall.stop_grace_period).toMatch(/^\d+s$/)
    for (const seconds of [unit, rollcall.stop_grace_period])
      expect(1000 * Number.parseInt(seconds, 10)).toBeGreaterThan(STOP_PATIENCE_MS)
  })

  test('sets what is a setting', () => {
    const names = Object.keys(rollcall.environment)
    expect(names.filter((name) => !(name in configSchema.shape))).toEqual([])
  })
})

describe('the systemd unit', () => {
  const unit = text('deploy/rollcall.service')

  test('gives the server no more than it needs', () => {
    const wanted = ['NoNewPrivileges=yes', 'ProtectSystem=strict', 'StateDirectory=rollcall', 'User=rollcall']
    const lines = unit.split('\n')
    expect(wanted.filter((line) => !lines.includes(line))).toEqual([])
    expect(unit).toContain('DATA_DIR=/var/lib/rollcall')
    expect(unit).toMatch(/^ExecStart=\/usr\/bin\/node --enable-source-maps dist\/cli\.js start$/m)
  })

  test.skipIf(spawnSync('systemd-analyze', ['--version']).status !== 0)(
    'is one that systemd takes',
    async () => {
      const path = join(folder, 'rollcall.service')
      // Where Node and the documents are here: verify looks for both.
      await writeFile(
        path,
        unit.replace('/usr/bin/node', process.execPath).replaceAll('/opt/rollcall', process.cwd()),
      )
      const verified = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' })
      // Other units of the machine may have their own complaints.
      expect(verified.stderr.split('\n').filter((line) => line.includes('rollcall'))).toEqual([])
      expect(verified.status).toBe(0)
    },
  )
})
