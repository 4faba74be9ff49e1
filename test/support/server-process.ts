import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import sharp from 'sharp'
import { call, makeApiKey, makeOwner, pairKiosk } from '../../src/onboarding.ts'
import { type PortraitName, portrait } from '../face/portraits.ts'

/** As `npm start` runs it; `npm test` builds it first. */
const cli = resolve('dist/cli.js')
const START_PATIENCE_MS = 240_000

/** A server in a process of its own. */
export interface ServerProcess {
  /** Where it answers. */
  base: string
  /** Where the first owner is made; empty when there is one. */
  setupPath: string
  child: ChildProcess
  /** From the start of the process until it answered. */
  startMs: number
  /** All that it has said to its operator. */
  said(): string
  /** Sends the signal and waits for the end. Resolves with the exit code, null after a signal. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

const running = new Set<ChildProcess>()

/** Ends what a failed test left behind. */
export async function endServers(): Promise<void> {
  for (const child of running) {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
}

/** Starts a server with these settings and waits until it answers; rejects with what it said when it ends before. */
export async function startServer(settings: Record<string, string>): Promise<ServerProcess> {
  const started = performance.now()
  const env = {
    ...process.env,
    DB_URL: '',
    PORT: '0',
    // Each check is a punch, and no kiosk is too fast.
    DUPLICATE_WINDOW_S: '0',
    RATE_LIMIT: '10000000',
    ...settings,
  }
  const child = spawn(process.execPath, [cli, 'start'], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  running.add(child)
  const exited = once(child, 'exit').finally(() => running.delete(child))
  let said = ''
  const found = await new Promise<{ base: string; setupPath: string }>((done, fail) => {
    const late = setTimeout(
      () => fail(new Error(`the server did not answer, and said: ${said}`)),
      START_PATIENCE_MS,
    )
    child.stderr!.on('data', (chunk: Buffer) => {
      said += chunk
      const base = /answers at (\S+)/.exec(said)?.[1]
      // The line before it, where there is no owner yet.
      const setupPath = /works once, .*: https?:\/\/[^/]+(\S+)/.exec(said)?.[1] ?? ''
      if (!base) return
      clearTimeout(late)
      done({ base, setupPath })
    })
    child.once('exit', (code, signal) => {
      clearTimeout(late)
      fail(new Error(`the server ended with ${code ?? signal}, and said: ${said}`))
    })
  })
  return {
    ...found,
    child,
    startMs: performance.now() - started,
    said: () => said,
    end: async (signal = 'SIGTERM') => {
      child.kill(signal)
      const [code] = await exited
      return code
    },
  }
}

/** Runs a command of the program to its end. */
export async function runProgram(
  words: string[],
  settings: Record<string, string>,
): Promise<{ code: number | null; said: string }> {
  const env = { ...process.env, DB_URL: '', ...settings }
  const child = spawn(process.execPath, [cli, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk
    })
  const [code] = await once(child, 'close')
  return { code, said }
}

/** An owner, people whose faces are enrolled, and paired kiosks. */
export interface Company {
  /** Headers of the owner, who is signed in, and of a program that may do most things. */
  owner: { authorization: string }
  program: { 'x-api-key': string }
  people: readonly PortraitName[]
  kiosks: Kiosk[]
}

export interface Kiosk {
  deviceId: string
  headers: { 'x-device-key': string }
}

export interface CompanyOptions {
  people: readonly PortraitName[]
  kiosks: number
}

/** Founds a company on a server that nobody owns yet. */
export async function foundCompany(
  { base, setupPath }: Pick<ServerProcess, 'base' | 'setupPath'>,
  { people, kiosks }: CompanyOptions,
): Promise<Company> {
  const token = await makeOwner(base, setupPath, { username: 'owner', password: 'correct horse battery' })
  const key = await makeApiKey(base, token, 'Test', [
    'employees:read',
    'employees:write',
    'biometrics:read',
    'biometrics:write',
    'devices:read',
    'devices:write',
    'attendance:read',
  ])
  const company: Company = {
    owner: { authorization: `Bearer ${token}` },
    program: { 'x-api-key': key },
    people,
    kiosks: [],
  }
  for (const name of people) {
    await addPerson(base, company, name)
    await addPhoto(base, company, name, name)
  }
  for (let number = 1; number <= kiosks; number++)
    company.kiosks.push(await addKiosk(base, company, `GATE${number}`))
  return company
}

export async function addPerson(base: string, { program }: Company, employeeId: string): Promise<void> {
  const body = { employee_id: employeeId, name: employeeId }
  await call('POST', `${base}/api/v1/employees`, { body, headers: program })
}

/** Enrols a portrait; the person consents. */
export async function addPhoto(
  base: string,
  { program }: Company,
  employeeId: string,
  name: PortraitName,
): Promise<void> {
  const body = new FormData()
  body.append('consent', 'test-1')
  body.append('photo', new Blob([new Uint8Array(await portrait(name))]), 'photo.png')
  await call('POST', `${base}/api/v1/employees/${employeeId}/upload-photo`, { body, headers: program })
}

export async function addKiosk(base: string, { program }: Company, deviceId: string): Promise<Kiosk> {
  const body = { device_id: deviceId }
  await call('POST', `${base}/api/v1/devices/register`, { body, headers: program })
  return { deviceId, headers: { 'x-device-key': await pairKiosk(base, program, deviceId) } }
}

export interface CheckAnswer {
  status: number
  /** How long it took to come. */
  ms: number
  body: {
    code: string
    recognized?: boolean
    employee_id?: string
    attendance_id?: number
    duplicate?: boolean
  }
}

/**
 * Sends a check with a portrait. Resolves with whatever the server answers; rejects (TypeError) when it answers
 * nothing.
 */
export async function check(
  base: string,
  { deviceId, headers }: Kiosk,
  name: PortraitName,
  { type = 'IN', key }: { type?: 'IN' | 'OUT'; key?: string } = {},
): Promise<CheckAnswer> {
  const form = new FormData()
  form.append('device_id', deviceId)
  form.append('attendance_type', type)
  form.append('image', new Blob([new Uint8Array(await kioskPicture(name))]), 'door.jpg')
  const started = performance.now()
  const response = await fetch(`${base}/api/v1/attendance/check`, {
    method: 'POST',
    body: form,
    headers: { ...headers, ...(key && { 'idempotency-key': key }) },
  })
  const body = (await response.json()) as CheckAnswer['body']
  return { status: response.status, ms: performance.now() - started, body }
}

const pictures = new Map<PortraitName, Promise<Uint8Array>>()

/** The same bytes each time: a retry must be the same request. */
function kioskPicture(name: PortraitName): Promise<Uint8Array> {
  const made =
    pictures.get(name) ?? portrait(name).then((png) => sharp(png).resize(240, 240).jpeg().toBuffer())
  pictures.set(name, made)
  return made
}

/** The status of a GET, and how long it took. */
export async function ask(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; ms: number }> {
  const started = performance.now()
  const response = await fetch(url, { headers })
  await response.arrayBuffer()
  return { status: response.status, ms: performance.now() - started }
}
