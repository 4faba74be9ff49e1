import { execFile, spawnSync } from 'node:child_process'
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { createServer, request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeCertificate } from '../../src/operations/certificates.ts'
import { hostOfAddress, loadTls } from '../../src/shared/tls.ts'
import { type TestApp, testApp } from '../support/app.ts'
import { endServers, type ServerProcess, startServer } from '../support/server-process.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const run = promisify(execFile)
const cli = resolve('dist/cli.js')
const password = 'correct horse battery'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-tls-'))
})
afterEach(async () => {
  await endServers()
  await rm(folder, { recursive: true, force: true })
})

const read = (name: string) => readFile(join(folder, 'tls', name))
const certificate = async (name: string) => new X509Certificate(await read(name))

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Buffer
  /** SHA-256 of the certificate that was shown. */
  fingerprint: string
}

/** Asks over HTTPS as somebody does who trusts `ca` alone. */
function ask(url: string, ca: Buffer, json?: object, servername = 'localhost'): Promise<Answer> {
  const { port, pathname } = new URL(url)
  return new Promise((done, fail) => {
    const asking = httpsRequest(
      {
        host: '127.0.0.1',
        port,
        path: pathname,
        servername,
        ca,
        agent: false,
        method: json ? 'POST' : 'GET',
        headers: json ? { 'content-type': 'application/json' } : {},
      },
      (answer) => {
        const { fingerprint256 } = (answer.socket as TLSSocket).getPeerCertificate()
        const chunks: Buffer[] = []
        answer.on('data', (chunk) => chunks.push(chunk))
        answer.on('end', () =>
          done({
            status: answer.statusCode!,
            headers: answer.headers,
            body: Buffer.concat(chunks),
            fingerprint: fingerprint256,
          }),
        )
      },
    )
    asking.on('error', fail)
    asking.end(json && JSON.stringify(json))
  })
}

describe('the certificate that is made', () => {
  const now = new Date()

  test('is signed by a CA of its own, for the names that were asked for and for this machine', async () => {
    const made = await makeCertificate(folder, ['Kiosk.Example.test', '192.168.7.9'], now)
    expect(made.names).toEqual(['kiosk.example.test', '192.168.7.9', 'localhost', '127.0.0.1', '::1'])
    const [ca, server] = [await certificate('ca.crt'), await certificate('server.crt')]
    expect(server.verify(ca.publicKey)).toBe(true)
    expect(server.checkHost('kiosk.example.test')).toBeDefined()
    expect(server.checkHost('other.example.test')).toBeUndefined()
    expect(server.checkIP('192.168.7.9')).toBeDefined()
    expect([ca.ca, server.ca]).toEqual([true, false])
    expect(made.caFingerprint).toBe(ca.fingerprint256)
  })

  test('is short-lived enough for an iPad, and good at once although a tablet is slow', async () => {
    await makeCertificate(folder, ['kiosk.example.test'], now)
    const { validFrom, validTo } = await certificate('server.crt')
    expect(Date.parse(validTo) - Date.parse(validFrom)).toBeLessThanOrEqual(825 * DAY_MS)
    expect(Date.parse(validTo) - now.getTime()).toBeGreaterThan(800 * DAY_MS)
    expect(Date.parse(validFrom)).toBeLessThanOrEqual(now.getTime() - DAY_MS)
  })

  test.skipIf(process.platform === 'win32')('keeps its keys to the user who made them', async () => {
    await makeCertificate(folder, [], now)
    for (const name of ['ca.key', 'server.key'])
      expect((await stat(join(folder, 'tls', name))).mode & 0o777).toBe(0o600)
    expect((await stat(join(folder, 'tls'))).mode & 0o777).toBe(0o700)
  })

  test('is renewed for the same names with the same CA and another key', async () => {
    const first = await makeCertificate(folder, ['kiosk.example.test', 'fd00::7'], now)
    const [ca, key] = [await read('ca.crt'), await read('server.key')]
    const later = new Date(now.getTime() + 500 * DAY_MS)
    const second = await makeCertificate(folder, [], later)
    expect(second).toMatchObject({ newCa: false, names: first.names, caFingerprint: first.caFingerprint })
    expect(second.expiresAt.getTime()).toBeGreaterThan(first.expiresAt.getTime() + 499 * DAY_MS)
    expect((await read('ca.crt')).equals(ca)).toBe(true)
    expect((await read('server.key')).equals(key)).toBe(false)
  })

  test('may be for a name below one of the CA or any private address, and for nothing else', async () => {
    await makeCertificate(folder, ['example.test'], now)
    await makeCertificate(folder, ['kiosk.example.test', '10.1.2.3', '172.31.0.1', 'fd12::1'], now)
    const before = await read('server.crt')
    for (const host of ['bank.example.com', 'notexample.test', '8.8.8.8', '172.32.0.1', '2001:db8::1'])
      await expect(makeCertificate(folder, [host], now)).rejects.toThrow(
        /may not vouch for .*Move the folder .* away/,
      )
    expect((await read('server.crt')).equals(before)).toBe(true)
  })

  test.each(['two words', 'under_score', '-dash', 'a..b', '', '*', 'kiosk.example.test/x'])(
    'refuses %j as a host, and makes nothing',
    async (host) => {
      await expect(makeCertificate(folder, [host], now)).rejects.toThrow(/neither a host name nor an address/)
      expect(existsSync(join(folder, 'tls'))).toBe(false)
    },
  )

  test('of a stolen CA key is worth nothing for another site', async () => {
    await makeCertificate(folder, ['kiosk.example.test'], now)
    const openssl = (...words: string[]) => run('openssl', words, { cwd: join(folder, 'tls') })
    await openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'evil.key')
    await openssl('req', '-new', '-key', 'evil.key', '-subj', '/CN=bank.example.com', '-out', 'evil.csr')
    await writeFile(join(folder, 'tls', 'evil.cnf'), 'subjectAltName=DNS:bank.example.com\n')
    const files = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-extfile', 'evil.cnf', '-out', 'evil.crt']
    await openssl('x509', '-req', '-in', 'evil.csr', '-days', '90', '-CAcreateserial', ...files)
    const server = createServer({ key: await read('evil.key'), cert: await read('evil.crt') }, (_, answer) =>
      answer.end(),
    ).listen(0, '127.0.0.1')
    await new Promise((listening) => server.once('listening', listening))
    const { port } = server.address() as AddressInfo
    const asked = ask(`https://x:${port}/`, await read('ca.crt'), undefined, 'bank.example.com')
    await expect(asked).rejects.toThrow(/permitted subtree violation/)
    server.close()
  })
})

describe('a certificate that may not be served', () => {
  const now = new Date()
  const file = (name: string) => join(folder, 'tls', name)
  const load = (TLS_CERT?: string, TLS_KEY?: string) => loadTls({ TLS_CERT, TLS_KEY, DATA_DIR: folder }, now)

  test('is told of in a sentence that says what to do', async () => {
    await makeCertificate(folder, [], now)
    await mkdir(join(folder, 'other'))
    await makeCertificate(join(folder, 'other'), [], now)
    const foreignKey = join(folder, 'other/tls/server.key')
    const [cert, key] = [file('server.crt'), file('server.key')]
    await expect(load(cert)).rejects.toThrow('TLS_CERT is set without TLS_KEY. Set both, or neither.')
    await expect(load(undefined, key)).rejects.toThrow('TLS_KEY is set without TLS_CERT.')
    await expect(load('/nowhere.crt', key)).rejects.toThrow('/nowhere.crt for TLS cannot be read (ENOENT)')
    await expect(load(folder, key)).rejects.toThrow('cannot be read (EISDIR)')
    await expect(load(key, key)).rejects.toThrow(`${key} is no certificate in PEM`)
    await expect(load(cert, cert)).rejects.toThrow(`${cert} is no private key in PEM`)
    await expect(load(cert, foreignKey)).rejects.toThrow(
      `The key ${foreignKey} does not belong to the certificate ${cert}. Correct TLS_CERT and TLS_KEY.`,
    )
    const sealed = createPrivateKey(await read('server.key')).export({
      format: 'pem',
      type: 'pkcs8',
      cipher: 'aes-256-cbc',
      passphrase: 'secret',
    })
    await writeFile(file('sealed.key'), sealed)
    await expect(load(cert, file('sealed.key'))).rejects.toThrow('no private key in PEM without a passphrase')
    expect(await load(cert, key)).toMatchObject({
      local: false,
      names: expect.arrayContaining(['localhost']),
    })
  })

  test('has expired, or is not valid yet', async () => {
    await makeCertificate(folder, [], new Date(now.getTime() - 1000 * DAY_MS))
    await expect(load()).rejects.toThrow(/expired at 20.*rollcall tls init/)
    await rm(join(folder, 'tls'), { recursive: true })
    await makeCertificate(folder, [], new Date(now.getTime() + 10 * DAY_MS))
    await expect(load()).rejects.toThrow(/valid from .* only. Check this machine's clock/)
  })

  test('keeps the server from starting', async () => {
    await makeCertificate(folder, [], new Date(now.getTime() - 1000 * DAY_MS))
    await expect(startServer({ DATA_DIR: folder })).rejects.toThrow(
      /ended with 1, and said: The certificate .* expired/,
    )
    await expect(startServer({ DATA_DIR: folder, TLS_KEY: '/nowhere.key' })).rejects.toThrow(
      /TLS_KEY is set without TLS_CERT/,
    )
  })

  test('is not looked for where there is none: that is plain HTTP', async () => {
    expect(await load()).toBeUndefined()
    expect(hostOfAddress('0.0.0.0', undefined)).toBe('0.0.0.0')
    expect(hostOfAddress('::1', undefined)).toBe('[::1]')
  })
})

describe('a server with a CA of its own', () => {
  const init = async (...words: string[]) =>
    (
      await run(process.execPath, [cli, 'tls', 'init', ...words], {
        env: { ...process.env, DATA_DIR: folder },
      })
    ).stdout

  test('serves HTTPS, hands out its CA, and takes a renewed certificate while it runs', async () => {
    const guide = await init('--host', 'kiosk.example.test', '192.168.7.9')
    const ca = await read('ca.crt')
    expect(guide).toContain(new X509Certificate(ca).fingerprint256)
    for (const device of ['Android', 'iPad', 'Windows', 'macOS']) expect(guide).toContain(`\n${device}`)

    const server = await startServer({ DATA_DIR: folder })
    expect(server.base).toMatch(/^https:\/\/127\.0\.0\.1:/)
    expect(server.said()).toContain('Serving the certificate that "rollcall tls init" made')
    const live = await ask(`${server.base}/health/live`, ca)
    expect(live.status).toBe(200)
    // A day: a CA that was made anew must not lock everybody out for half a year.
    expect(live.headers['strict-transport-security']).toBe('max-age=86400')
    expect(await plain(server)).toBe('refused')

    const handed = await ask(`${server.base}/ca.crt`, ca)
    expect(handed.headers['content-type']).toBe('application/x-x509-ca-cert')
    expect(handed.body.equals(ca)).toBe(true)

    const before = live.fingerprint
    expect(await init()).toContain('The CA is the same as before')
    await expect
      .poll(async () => (await ask(`${server.base}/health/live`, ca)).fingerprint, { timeout: 20_000 })
      .toBe((await certificate('server.crt')).fingerprint256)
    expect((await certificate('server.crt')).fingerprint256).not.toBe(before)

    // One that may not be served changes nothing.
    await writeFile(join(folder, 'tls', 'server.crt'), randomBytes(100))
    await new Promise((wake) => setTimeout(wake, 6000))
    expect((await ask(`${server.base}/health/live`, ca)).status).toBe(200)
    expect(await server.end()).toBe(0)
  }, 120_000)

  /** What somebody gets who speaks plain HTTP to it. */
  function plain({ base }: ServerProcess): Promise<string> {
    return new Promise((done) => {
      const asking = httpRequest(base.replace('https', 'http'), (answer) => done(String(answer.statusCode)))
      asking.on('error', () => done('refused'))
      asking.end()
    })
  }
})

describe('what came by HTTPS', () => {
  let direct: TestApp
  let proxied: TestApp
  beforeAll(async () => {
    direct = await testApp()
    proxied = await testApp({}, { TRUST_PROXY: '10.0.0.1' })
  })
  afterAll(async () => {
    await direct.close()
    await proxied.close()
  })

  const headersOf = async ({ app }: TestApp, remoteAddress: string, forwarded: string) =>
    (
      await app.inject({
        url: '/health/live',
        remoteAddress,
        headers: { 'x-forwarded-proto': forwarded, authorization: '' },
      })
    ).headers

  test('is what a trusted proxy says that it was, and nobody else', async () => {
    const hsts = 'strict-transport-security'
    expect((await headersOf(proxied, '10.0.0.1', 'https'))[hsts]).toBe('max-age=15552000')
    expect((await headersOf(proxied, '10.0.0.1', 'http'))[hsts]).toBeUndefined()
    expect((await headersOf(proxied, '10.0.0.2', 'https'))[hsts]).toBeUndefined()
    expect((await headersOf(direct, '10.0.0.1', 'https'))[hsts]).toBeUndefined()
  })

  test('gets a cookie that is Secure', async () => {
    const { hashPassword } = await import('../../src/access/passwords.ts')
    const password_hash = await hashPassword(password)
    const cookie = async ({ app, db }: TestApp, remoteAddress: string) => {
      await db
        .insertInto('users')
        .values({ username: 'ann', name: 'Ann', role: 'viewer', password_hash })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
      const answer = await app.inject({
        method: 'POST',
        url: '/api/v1/auth/login',
        remoteAddress,
        headers: { authorization: '', 'x-forwarded-proto': 'https', 'x-forwarded-for': '10.7.7.7' },
        payload: { username: 'ann', password },
      })
      const session = await db
        .selectFrom('sessions')
        .innerJoin('users', 'users.id', 'user_id')
        .select('ip_address as ip')
        .where('username', '=', 'ann')
        .orderBy('sessions.created_at', 'desc')
        .executeTakeFirstOrThrow()
      return { secure: answer.cookies[0]?.secure ?? false, ...session }
    }
    expect(await cookie(proxied, '10.0.0.1')).toEqual({ secure: true, ip: '10.7.7.7' })
    expect(await cookie(direct, '10.0.0.1')).toEqual({ secure: false, ip: '10.0.0.1' })
  })

  test('a server without a CA of its own has none to hand out', async () => {
    expect((await direct.app.inject('/ca.crt')).statusCode).toBe(404)
  })
})

const missing = ['chromium', 'certutil'].filter((program) => spawnSync('which', [program]).status !== 0)

describe.skipIf(missing.length > 0)('a kiosk on another host', () => {
  const host = 'kiosk.example.test'
  let browser: Browser | undefined
  afterEach(() => browser?.close())

  /** A browser with a store of certificates of its own, for which `host` is this machine. */
  async function launch(trusted: string | undefined): Promise<Browser> {
    const home = await mkdtemp(join(folder, 'home-'))
    const store = `sql:${join(home, '.pki/nssdb')}`
    await mkdir(join(home, '.pki/nssdb'), { recursive: true })
    await run('certutil', ['-d', store, '-N', '--empty-password'])
    if (trusted) await run('certutil', ['-d', store, '-A', '-n', 'Rollcall', '-t', 'C,,', '-i', trusted])
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      env: { ...process.env, HOME: home },
      args: [
        `--host-resolver-rules=MAP ${host} 127.0.0.1`,
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--use-fake-ui-for-media-stream',
        '--use-fake-device-for-media-stream',
      ],
    })
    return browser
  }

  test('gets the page, the camera and a Secure cookie once the tablet trusts the CA, and nothing before', async () => {
    await makeCertificate(folder, [host], new Date())
    const server = await startServer({ DATA_DIR: folder })
    const url = (path: string) => `https://${host}:${new URL(server.base).port}${path}`

    const stranger = await (await launch(undefined)).newPage()
    await expect(stranger.goto(url('/setup'))).rejects.toThrow(/ERR_CERT_AUTHORITY_INVALID/)
    await browser!.close()

    const context = await (await launch(join(folder, 'tls/ca.crt'))).newContext()
    const page = await context.newPage()
    await page.goto(url(server.setupPath))
    await page.getByRole('heading', { name: 'Make the owner' }).waitFor()
    // What runs in the page is text: the types here are those of Node.
    expect(await page.evaluate('isSecureContext')).toBe(true)
    const camera =
      await page.evaluate(`navigator.mediaDevices.getUserMedia({ video: true }).then((stream) => {
      const [track] = stream.getVideoTracks()
      const { width } = track.getSettings()
      track.stop()
      return { state: track.readyState, width }
    })`)
    expect(camera).toEqual({ state: 'ended', width: expect.any(Number) })

    await page.fill('[name=username]', 'owner')
    await page.fill('[name=password]', password)
    await page.fill('[name=again]', password)
    await page.click('button')
    await page.waitForURL(url('/admin/start'))
    const [cookie] = await context.cookies(url('/api/v1/auth/refresh'))
    expect(cookie).toMatchObject({ domain: host, secure: true, httpOnly: true, sameSite: 'Strict' })
    const renewed = await page.evaluate(
      "fetch('/api/v1/auth/refresh', { method: 'POST' }).then((answer) => answer.status)",
    )
    expect(renewed).toBe(200)
    await page.goto(url('/docs'))
    await page.waitForSelector('.swagger-ui .info')
    expect(await server.end()).toBe(0)
  }, 180_000)
})
