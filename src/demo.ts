import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import type { Permission } from './access/permissions.ts'
import { packageFolder } from './face/packs/locate.ts'
import { type RunningServer, startServer } from './main.ts'
import { type Credentials, call, makeApiKey, makeOwner, pairKiosk, signIn } from './onboarding.ts'
import { loadConfig } from './shared/config.ts'
import { createLogger } from './shared/log.ts'

/** A face in one of the group photos that @vladmandic/face-api ships: the square around it, in the photo's pixels. */
interface Cut {
  photo: number
  left: number
  top: number
  side: number
}

/** The names are invented; the photos are published group photos of strangers to us. */
const staff: { id: string; name: string; enrolled: Cut; otherPhoto?: Cut }[] = [
  { id: 'DEMO_01', name: 'Nguyễn Thị An', enrolled: { photo: 2, left: 1361, top: 100, side: 388 } },
  { id: 'DEMO_02', name: 'Trần Thu Bình', enrolled: { photo: 3, left: 487, top: 280, side: 409 } },
  {
    id: 'DEMO_03',
    name: 'Lê Mỹ Châu',
    enrolled: { photo: 3, left: 944, top: 137, side: 491 },
    otherPhoto: { photo: 1, left: 1421, top: 192, side: 295 },
  },
  { id: 'DEMO_04', name: 'Phạm Ngọc Dung', enrolled: { photo: 3, left: 1368, top: 253, side: 408 } },
  { id: 'DEMO_05', name: 'Hoàng Thị Giang', enrolled: { photo: 5, left: 696, top: 80, side: 327 } },
  { id: 'DEMO_06', name: 'Võ Thanh Hà', enrolled: { photo: 5, left: 1025, top: 175, side: 353 } },
  { id: 'DEMO_07', name: 'Đặng Kim Khánh', enrolled: { photo: 6, left: 1338, top: 188, side: 499 } },
  { id: 'DEMO_08', name: 'Bùi Phương Linh', enrolled: { photo: 6, left: 1038, top: 239, side: 457 } },
  { id: 'DEMO_09', name: 'Đỗ Tuyết Mai', enrolled: { photo: 6, left: 533, top: 252, side: 485 } },
  { id: 'DEMO_10', name: 'Hồ Bích Ngân', enrolled: { photo: 6, left: 115, top: 418, side: 462 } },
]

/** People in the same photos whom nobody enrolled. */
const strangers: Cut[] = [
  { photo: 1, left: 323, top: 313, side: 380 },
  { photo: 1, left: 761, top: 380, side: 350 },
  { photo: 2, left: 764, top: 142, side: 427 },
  { photo: 4, left: 870, top: 126, side: 403 },
  { photo: 4, left: 592, top: 45, side: 332 },
  { photo: 4, left: 1184, top: 103, side: 377 },
  { photo: 5, left: 468, top: 357, side: 401 },
  { photo: 5, left: 1310, top: 333, side: 425 },
]

type Change = { name: string; apply: (picture: Sharp) => Sharp }

/** What happens to a picture between an office and a door. */
const changes: Change[] = [
  { name: 'darker, JPEG 60', apply: (p) => p.linear(0.6, 0).jpeg({ quality: 60 }) },
  { name: 'turned by 8 degrees', apply: (p) => p.rotate(8, { background: '#556' }).jpeg({ quality: 85 }) },
  { name: 'half the size', apply: (p) => p.resize(200, 200).jpeg({ quality: 80 }) },
  { name: 'brighter, warm light', apply: (p) => p.linear([1.35, 1.2, 1.0], [8, 8, 8]).jpeg({ quality: 75 }) },
]
const asItIs: Change = { name: 'another photo', apply: (p) => p.jpeg({ quality: 90 }) }

const DEVICE_ID = 'DEMO_KIOSK'

/** What the demo's program does, and what somebody who tries the API will want to. */
const scopes: Permission[] = [
  'employees:read',
  'employees:write',
  'biometrics:read',
  'biometrics:write',
  'recognition:run',
  'attendance:read',
  'attendance:write',
  'devices:read',
  'devices:write',
  'sites:read',
  'system:read',
]

/** Kept in the demo's folder, so that a second run finds them again. */
interface DemoKeys extends Credentials {
  apiKey?: string
  deviceKey?: string
}

interface DemoOptions {
  version: string
  /** Stop after the last line instead of staying up. */
  once: boolean
  stopSignal: () => Promise<void>
}

/**
 * Runs the demo: its own server on its own embedded database in `demo-data`, staff enrolled over HTTP, check-ins with
 * other pictures of them and of strangers. Resolves to whether everybody was recognised and no stranger was named.
 */
export async function runDemo({ version, once, stopSignal }: DemoOptions): Promise<boolean> {
  const started = performance.now()
  // Never a company's own database, address or folder, whatever its settings say.
  const own = {
    DB_URL: '',
    UPLOAD_DIR: '',
    KEY_DIR: '',
    MASTER_KEY: '',
    MASTER_KEY_FILE: '',
    HOST: '127.0.0.1',
    DATA_DIR: 'demo-data',
    WORKERS: '1',
    TLS_CERT: '',
    TLS_KEY: '',
  }
  const config = loadConfig(own)
  const port = (await isFree(config.PORT)) ? config.PORT : 0
  const step = (text: string) =>
    console.log(`[${((performance.now() - started) / 1000).toFixed(1)} s] ${text}`)
  const server = await startServer({ ...config, PORT: port }, createLogger({ level: 'warn' }), version, step)
  const api = `${server.base}/api/v1`
  try {
    step('making the keys of the demo')
    const keys = await demoKeys(server, join(config.DATA_DIR, 'demo-keys.json'))
    step('enrolling the demo staff')
    const enrolled = await enrolStaff(api, keys)
    step(`${staff.length} people are enrolled (${enrolled} of them new)`)
    const passed = await sendCheckIns(api, keys)
    if (!once)
      console.log(`
The demo is up:
  API, to try out     ${server.base}/docs
  health              ${server.base}/health
  its owner           ${keys.username}, password ${keys.password}
  the staff           curl -H 'X-API-Key: ${keys.apiKey}' ${api}/employees
  their punches       curl -H 'X-API-Key: ${keys.apiKey}' ${api}/attendance
Stop the demo with Ctrl+C.`)
    console.log('\nIts data lives in ./demo-data; delete the folder to start afresh.\n')
    const { base } = server
    const line = { base, device_id: DEVICE_ID, device_key: keys.deviceKey, api_key: keys.apiKey }
    console.log(`ROLLCALL_DEMO ${JSON.stringify(line)}`)
    if (!once) await stopSignal()
    return passed
  } finally {
    await server.close()
  }
}

/** The owner, the key of a program and that of the kiosk, made where they are missing. */
async function demoKeys(server: RunningServer, file: string): Promise<Required<DemoKeys>> {
  const kept = await readKeys(file)
  const keys: DemoKeys = kept ?? { username: 'demo', password: randomBytes(9).toString('base64url') }
  // Before they are used: whatever ends the demo now, the next run can go on.
  const keep = () => writeFile(file, JSON.stringify(keys), { mode: 0o600 })
  await keep()
  if (keys.apiKey === undefined || keys.deviceKey === undefined) {
    const { base, setupPath } = server
    const token = setupPath ? await makeOwner(base, setupPath, keys) : await signIn(base, keys)
    keys.apiKey = await makeApiKey(base, token, 'Demo', scopes)
    await keep()
    const headers = { 'x-api-key': keys.apiKey }
    const kiosk = { device_id: DEVICE_ID, name: 'Demo kiosk', location: 'Front door' }
    await post(`${base}/api/v1/devices/register`, kiosk, headers)
    keys.deviceKey = await pairKiosk(base, headers, DEVICE_ID)
    await keep()
  }
  return keys as Required<DemoKeys>
}

async function readKeys(file: string): Promise<DemoKeys | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as DemoKeys
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`${file} cannot be read. Delete the folder to start the demo afresh.`, { cause: error })
  }
}

/** Enrols the staff where they are missing. Returns how many people were new. */
async function enrolStaff(api: string, { apiKey }: DemoKeys): Promise<number> {
  const headers = { 'x-api-key': apiKey! }
  let fresh = 0
  for (const [index, { id, name, enrolled }] of staff.entries()) {
    await post(`${api}/employees`, { employee_id: id, name, department: 'Demo' }, headers)
    const photos = await call<unknown[]>('GET', `${api}/employees/${id}/photos`, { headers })
    if (photos.length > 0) continue
    const body = new FormData()
    body.append('photo', new Blob([await cutOut(enrolled).jpeg({ quality: 95 }).toBuffer()]), `${id}.jpg`)
    body.append('consent', 'demo: nobody real')
    await call('POST', `${api}/employees/${id}/upload-photo`, { body, headers })
    fresh++
    console.log(`  ${String(index + 1).padStart(2)} of ${staff.length}  ${name}`)
  }
  return fresh
}

interface Check {
  who: string
  expected: string | null
  cut: Cut
  change: Change
}

/** Sends the check-ins and prints each answer. True when everybody was recognised and no stranger was named. */
async function sendCheckIns(api: string, keys: Required<DemoKeys>): Promise<boolean> {
  const checks: Check[] = [
    ...staff.map(({ id, name, enrolled, otherPhoto }, index) => ({
      who: name,
      expected: id,
      cut: otherPhoto ?? enrolled,
      change: otherPhoto ? asItIs : changes[index % changes.length],
    })),
    ...strangers.map((cut, index) => ({
      who: `stranger ${index + 1}`,
      expected: null,
      cut,
      change: index % 2 === 0 ? asItIs : changes[index % changes.length],
    })),
  ]
  console.log(
    `\n  ${'at the door'.padEnd(18)} ${'picture'.padEnd(22)} ${'answer'.padEnd(34)} confidence    ms`,
  )
  let wrong = 0
  for (const { who, expected, cut, change } of checks) {
    const image = await change.apply(cutOut(cut)).toBuffer()
    const { answer, ms, replayed } = await checkIn(api, keys.deviceKey, image)
    const named = answer.recognized ? answer.employee_id : null
    // An answer that is only repeated shows nothing of today's engine: then the face is compared once more.
    const again = replayed && expected ? await comparedAgain(api, keys.apiKey, expected, image) : undefined
    const right = named === expected && (again === undefined || again.matched)
    if (!right) wrong++
    const said = answer.recognized ? `${answer.employee_name} ${answer.attendance_type}` : answer.code
    const confidence = answer.confidence?.toFixed(2) ?? ''
    const picture = expected === null && change === asItIs ? 'as it is' : change.name
    const note = replayed
      ? `  (sent before: the first answer${again ? `; compared again: ${again.confidence.toFixed(2)}` : ''})`
      : ''
    console.log(
      `${right ? ' ' : '!'} ${who.padEnd(18)} ${picture.padEnd(22)} ${said.padEnd(34)} ${confidence.padStart(10)} ${ms.toFixed(0).padStart(5)}${note}`,
    )
  }
  console.log(
    wrong === 0
      ? `\nAll ${staff.length} people were recognised, none of the ${strangers.length} strangers was named.`
      : `\n${wrong} of ${checks.length} answers are wrong; they are marked with "!".`,
  )
  return wrong === 0
}

interface Answer {
  recognized?: boolean
  code: string
  employee_id?: string
  employee_name?: string
  attendance_type?: string
  confidence?: number
}

/** A day's check-in with the same picture is the same event: a second run of the demo adds no second punch. */
async function checkIn(
  api: string,
  deviceKey: string,
  image: Buffer,
): Promise<{ answer: Answer; ms: number; replayed: boolean }> {
  const form = new FormData()
  form.append('device_id', DEVICE_ID)
  form.append('attendance_type', 'IN')
  form.append('image', new Blob([image]), 'camera.jpg')
  const day = new Date().toISOString().slice(0, 10)
  const key = `demo-${day}-${createHash('sha256').update(image).digest('hex').slice(0, 16)}`
  const start = performance.now()
  const response = await fetch(`${api}/attendance/check`, {
    method: 'POST',
    body: form,
    headers: { 'idempotency-key': key, 'x-device-key': deviceKey },
  })
  const answer = (await response.json()) as Answer
  const ms = performance.now() - start
  if (response.status >= 500) throw new Error(`the check-in failed: ${JSON.stringify(answer)}`)
  return { answer, ms, replayed: response.headers.get('idempotent-replayed') === 'true' }
}

/** Compares a picture with one person without keeping anything. */
async function comparedAgain(api: string, apiKey: string, employeeId: string, image: Buffer) {
  const form = new FormData()
  form.append('employee_id', employeeId)
  form.append('image', new Blob([new Uint8Array(image)]), 'camera.jpg')
  const headers = { 'x-api-key': apiKey }
  const response = await fetch(`${api}/recognition/process`, { method: 'POST', body: form, headers })
  if (!response.ok) return { matched: false, confidence: 0 }
  const { match_result } = (await response.json()) as {
    match_result: { matched: boolean; confidence: number }
  }
  return match_result
}

/** Makes something that may be there already. */
async function post(url: string, body: object, headers: Record<string, string>): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
  if (response.status !== 201 && response.status !== 409) throw new Error(`${url}: ${await response.text()}`)
}

function cutOut({ photo, left, top, side }: Cut): Sharp {
  return sharp(join(packageFolder('@vladmandic/face-api'), `demo/sample${photo}.jpg`)).extract({
    left,
    top,
    width: side,
    height: side,
  })
}

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
