import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises'
import { Agent, type IncomingMessage, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { call, makeApiKey, makeOwner, pairKiosk } from '../src/onboarding.ts'
import { portrait } from './face/portraits.ts'

/** As `npm start` runs it; `npm test` builds it first. */
const cli = resolve('dist/cli.js')
let folder: string
const running: ChildProcess[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-cli-'))
})
afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await rm(folder, { recursive: true, force: true })
})

const environment = (env: Record<string, string>) => ({
  ...process.env,
  DATA_DIR: folder,
  PORT: '0',
  DB_URL: '',
  ...env,
})

function run(words: string[], env: Record<string, string> = {}, cwd = '.') {
  return new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
    const child = execFile(
      process.execPath,
      [cli, ...words],
      { env: environment(env), cwd },
      (_error, stdout, stderr) => done({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}

interface Started {
  base: string
  /** Where the first owner is made. */
  setupPath: string
  child: ChildProcess
}

/** Starts a server and waits until it answers. */
async function start(env: Record<string, string> = {}): Promise<Started> {
  const child = spawn(process.execPath, [cli, 'start'], { env: environment(env) })
  running.push(child)
  let said = ''
  return new Promise((done, fail) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk
      const base = /answers at (\S+)/.exec(said)?.[1]
      // The line before it, where there is no owner yet.
      const setupPath = /works once, .*: http:\/\/[^/]+(\S+)/.exec(said)?.[1] ?? ''
      if (base) done({ base, setupPath, child })
    })
    child.once('exit', (code) => fail(new Error(`ended with ${code}: ${said}`)))
  })
}

describe('migrate', () => {
  test.runIf(process.platform === 'linux')('says that its folder cannot be made', async () => {
    const { code, stderr } = await run(['migrate', 'status'], { DATA_DIR: '/proc/rollcall' })
    expect([code, stderr]).toEqual([1, expect.stringContaining('The folder /proc/rollcall cannot be made')])
  })

  test('down takes the schema back, up makes it again, status shows it', async () => {
    expect((await run(['migrate', 'up'])).stdout).toMatch(/^applied .*0001-initial/m)
    expect((await run(['migrate', 'down'])).stdout).toMatch(/^not applied .*[0-9]{4}-[\w-]+$/m)
    expect((await run(['migrate', 'status'])).stdout).toMatch(/^not applied .*[0-9]{4}-[\w-]+$/m)
    const again = await run(['migrate', 'up'])
    expect(again.stdout).not.toContain('not applied')
    expect(again.code).toBe(0)
  })
})

describe('start', () => {
  test('refuses wrong settings with a sentence for each, and no stack', async () => {
    const { code, stderr } = await run(['start'], { PORT: 'eighty', TIME_ZONE: 'Mars/Olympus' })
    expect(code).toBe(1)
    expect(stderr).toMatch(/PORT: .*number/)
    expect(stderr).toMatch(/TIME_ZONE: not an IANA time zone/)
    expect(stderr).not.toMatch(/\bat .*\.ts:/)
  })

  test.runIf(process.platform === 'linux').each([
    ['DATA_DIR', '/proc/rollcall/data'],
    ['UPLOAD_DIR', '/proc/rollcall'],
    ['KEY_DIR', '/proc/rollcall/keys'],
    ['DATA_DIR', '/dev/null'],
    ['DATA_DIR', '/dev/null/data'],
  ])('says that the folder %s=%s cannot be made', async (setting, path) => {
    const { code, stderr } = await run(['start'], { [setting]: path })
    expect(code).toBe(1)
    expect(stderr).toContain(`The folder ${path} cannot be made or written`)
    expect(stderr).toContain(`set ${setting} to another one`)
  })

  test('makes its folders, and those above them', async () => {
    const { child } = await start({ DATA_DIR: join(folder, 'a/b'), UPLOAD_DIR: join(folder, 'c/d/e') })
    child.kill('SIGTERM')
    await once(child, 'exit')
    expect(await readdir(join(folder, 'a/b'))).toContain('postgres')
    expect((await stat(join(folder, 'c/d/e'))).mode & 0o777).toBe(0o700)
  })

  test('says which port is in use, and leaves its folder unlocked', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const { code, stderr } = await run(['start'], { PORT: String(port) })
    other.close()
    expect(code).toBe(1)
    expect(stderr).toContain(`Port ${port} is in use`)
    expect((await run(['migrate', 'status'])).code).toBe(0)
  })

  test('ends in order when it is asked to', async () => {
    const { base, child } = await start()
    expect((await fetch(`${base}/health`)).status).toBe(200)
    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    expect(code).toBe(0)
  })

  test('answers what it took before it ends, and ends although a client keeps its connection', async () => {
    const { base, setupPath, child } = await start()
    const { deviceKey } = await enrol(base, setupPath)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const { taken, answered } = await checkOver(agent, base, deviceKey)
    await taken
    child.kill('SIGTERM')
    expect(await answered).toEqual({ status: 200, connection: 'close' })
    const [code] = await once(child, 'exit')
    agent.destroy()
    expect(code).toBe(0)
  }, 180_000)

  test('never sweeps away the photos of another database', async () => {
    const UPLOAD_DIR = join(folder, 'shared-uploads')
    const first = await start({ UPLOAD_DIR, DATA_DIR: join(folder, 'one') })
    await enrol(first.base, first.setupPath)
    first.child.kill('SIGTERM')
    await once(first.child, 'exit')
    const [own] = await readdir(UPLOAD_DIR)
    const [photo] = await readdir(join(UPLOAD_DIR, own))
    const path = join(UPLOAD_DIR, own, photo)
    await utimes(path, new Date(0), new Date(0))
    const second = await start({ UPLOAD_DIR, DATA_DIR: join(folder, 'two') })
    // Answered in order: the sweep has ended when the server has.
    second.child.kill('SIGTERM')
    await once(second.child, 'exit')
    expect((await stat(path)).size).toBeGreaterThan(0)
    expect(await readdir(UPLOAD_DIR)).toHaveLength(2)
  })

  test('keeps every punch that it acknowledged when it is killed at work', async () => {
    // Without a window in which a second punch would be the first one again.
    const first = await start({ DUPLICATE_WINDOW_S: '0' })
    const { apiKey, deviceKey } = await enrol(first.base, first.setupPath)
    const acknowledged: number[] = []
    const sending = sendUntilItFails(first.base, deviceKey, acknowledged)
    while (acknowledged.length < 5) await new Promise((wake) => setTimeout(wake, 20))
    first.child.kill('SIGKILL')
    await sending

    const second = await start()
    // The owner is there, and so nobody else can become one.
    expect(second.setupPath).toBe('')
    const headers = { 'x-api-key': apiKey }
    const punches = `${second.base}/api/v1/attendance?limit=1000`
    const kept = (await call<{ id: number }[]>('GET', punches, { headers })).map(({ id }) => id)
    expect(kept).toEqual(expect.arrayContaining(acknowledged))
    // At most the one that was on its way may be there without its answer.
    expect(kept.length - acknowledged.length).toBeLessThanOrEqual(1)
    const answer = await check(second.base, deviceKey, 'OUT')
    expect(answer.recognized).toBe(true)
  })
})

describe('demo', () => {
  test('--once recognises everybody, and does not say that it stays up', async () => {
    const { code, stdout } = await run(['demo', '--once'], {}, folder)
    expect(stdout).toMatch(/All 10 people were recognised, none of the 8 strangers was named\./)
    expect(stdout).toMatch(/^ROLLCALL_DEMO \{/m)
    expect(stdout).not.toMatch(/is up|Ctrl\+C/)
    expect(code).toBe(0)
    const last = stdout.trimEnd().split('\n').at(-1)!
    const keys = JSON.parse(last.replace(/^ROLLCALL_DEMO /, ''))
    expect(Object.keys(keys)).toEqual(['base', 'device_id', 'device_key', 'api_key'])
    expect([keys.device_id, keys.device_key, keys.api_key]).toEqual([
      'DEMO_KIOSK',
      expect.stringMatching(/^rollcall_device_/),
      expect.stringMatching(/^rollcall_api_/),
    ])

    const again = await run(['demo', '--once'], {}, folder)
    expect(again.code).toBe(0)
    expect(again.stdout).toContain('10 people are enrolled (0 of them new)')
    expect(again.stdout.trimEnd().split('\n').at(-1)).toContain(keys.api_key)
    // Every check is answered as it was before: no second punch.
    expect(again.stdout.match(/sent before: the first answer/g)).toHaveLength(18)
  })
})

/** Makes the owner, keys for a program and for the kiosk GATE, and enrols Ann. */
async function enrol(base: string, setupPath: string) {
  const owner = await makeOwner(base, setupPath, { username: 'owner', password: 'correct horse battery' })
  const apiKey = await makeApiKey(base, owner, 'Test', [
    'employees:write',
    'biometrics:write',
    'devices:write',
    'attendance:read',
  ])
  const headers = { 'x-api-key': apiKey }
  const api = `${base}/api/v1`
  await call('POST', `${api}/devices/register`, { body: { device_id: 'GATE' }, headers })
  await call('POST', `${api}/employees`, { body: { name: 'Ann', employee_id: 'ANN' }, headers })
  const body = new FormData()
  body.append('photo', new Blob([new Uint8Array(await portrait('blonde'))]), 'ann.png')
  body.append('consent', '2025-03')
  await call('POST', `${api}/employees/ANN/upload-photo`, { body, headers })
  return { apiKey, deviceKey: await pairKiosk(base, headers, 'GATE') }
}

/** A check over a connection of the agent's. `taken` is fulfilled as soon as the server has begun to work on it. */
async function checkOver(agent: Agent, base: string, deviceKey: string) {
  const body = new Response(await checkForm('IN'))
  const bytes = Buffer.from(await body.arrayBuffer())
  const sending = request(`${base}/api/v1/attendance/check`, {
    agent,
    method: 'POST',
    headers: {
      'content-type': body.headers.get('content-type')!,
      'content-length': bytes.length,
      'x-device-key': deviceKey,
      // The server says that it has read the headers, and handles the request in the same turn.
      expect: '100-continue',
    },
  })
  const response = once(sending, 'response') as Promise<[IncomingMessage]>
  const taken = once(sending, 'continue').then(() => sending.end(bytes))
  sending.flushHeaders()
  const answered = response.then(([answer]) => {
    answer.resume()
    return { status: answer.statusCode, connection: answer.headers.connection }
  })
  return { taken, answered }
}

async function checkForm(type: string): Promise<FormData> {
  const form = new FormData()
  form.append('device_id', 'GATE')
  form.append('attendance_type', type)
  form.append('image', new Blob([new Uint8Array(await portrait('blonde'))]), 'door.png')
  return form
}

async function check(base: string, deviceKey: string, type: string) {
  const form = await checkForm(type)
  const response = await fetch(`${base}/api/v1/attendance/check`, {
    method: 'POST',
    body: form,
    headers: { 'x-device-key': deviceKey },
  })
  return (await response.json()) as { recognized: boolean; duplicate: boolean; attendance_id: number }
}

/** IN and OUT in turn, so that each is a punch of its own. */
async function sendUntilItFails(base: string, deviceKey: string, acknowledged: number[]): Promise<void> {
  try {
    for (let count = 0; ; count++) {
      const { attendance_id, duplicate } = await check(base, deviceKey, count % 2 === 0 ? 'IN' : 'OUT')
      expect(duplicate).toBe(false)
      acknowledged.push(attendance_id)
    }
  } catch (error) {
    // The server is gone; anything else is a failure of the test.
    if (!(error instanceof TypeError)) throw error
  }
}
