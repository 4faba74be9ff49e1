import { makeApiKey, makeOwner, pairKiosk } from '../src/onboarding.ts'
import { portrait } from '../test/face/portraits.ts'
import { type Client, makeForm, type Reply } from './client.ts'
import { kioskPicture, people } from './people.ts'

const KIOSKS = 10
const TAKES = 3
const CHECK = '/api/v1/attendance/check'

/** What a kiosk may send, and whose picture it is. */
interface Check {
  employeeId: string
  jpeg: Buffer
}

/** People and kiosks that the server knows. */
export interface Company {
  kiosks: number
  /** Sends the check of the given number: another person or picture each time. */
  check(client: Client, kiosk: number, number: number, headers?: Record<string, string>): Promise<Verdict>
}

/** What became of a check. `later`: 503 that says when to try again. `wrong`: another person, or nobody. */
export interface Verdict {
  kind: 'right' | 'wrong' | 'later' | 'unexpected'
  code: string
  retryAfterMs: number
}

/** Where a new server answers, and where its first owner is made. */
export interface NewServer {
  base: string
  setupPath: string | undefined
}

const scopes = ['employees:write', 'biometrics:write', 'devices:write'] as const

/** Enrols the people over HTTP, pairs the kiosks and makes the pictures. Throws when the server refuses any. */
export async function foundCompany(client: Client, { base, setupPath }: NewServer): Promise<Company> {
  if (setupPath === undefined) throw new Error('the benchmark needs a server that nobody owns yet')
  const owner = await makeOwner(base, setupPath, {
    username: 'bench',
    password: 'a benchmark has no secrets',
  })
  const headers = { 'x-api-key': await makeApiKey(base, owner, 'Benchmark', scopes) }
  for (const name of people) {
    succeed(await client.postJson('/api/v1/employees', { employee_id: name, name }, headers))
    const photo = { field: 'photo', name: 'photo.png', bytes: await portrait(name) }
    succeed(
      await client.postForm(
        `/api/v1/employees/${name}/upload-photo`,
        makeForm({ consent: 'benchmark' }, photo),
        headers,
      ),
    )
  }
  const keys: string[] = []
  for (let kiosk = 0; kiosk < KIOSKS; kiosk++) {
    const device_id = `KIOSK_${kiosk}`
    succeed(await client.postJson('/api/v1/devices/register', { device_id }, headers))
    keys.push(await pairKiosk(base, headers, device_id))
  }
  const checks: Check[] = []
  for (let take = 0; take < TAKES; take++)
    for (const name of people) checks.push({ employeeId: name, jpeg: await kioskPicture(name, take) })
  let sent = 0
  return {
    kiosks: KIOSKS,
    check: async (client, kiosk, number, more) => {
      const { employeeId, jpeg } = checks[number % checks.length]
      const image = { field: 'image', name: 'face.jpg', bytes: withComment(jpeg, `picture ${sent++}`) }
      const form = makeForm({ device_id: `KIOSK_${kiosk}` }, image)
      return judge(await client.postForm(CHECK, form, { 'x-device-key': keys[kiosk], ...more }), employeeId)
    },
  }
}

/** The same JPEG in other bytes: a server that keeps analyses by a picture's hash must not find it. */
function withComment(jpeg: Buffer, text: string): Buffer {
  const head = Buffer.from([0xff, 0xfe, 0, text.length + 2])
  return Buffer.concat([jpeg.subarray(0, 2), head, Buffer.from(text), jpeg.subarray(2)])
}

function judge({ status, headers, body }: Reply, employeeId: string): Verdict {
  const retryAfterMs = Number(headers['retry-after']) * 1000
  const answer = { code: String(body.code), retryAfterMs }
  if (status === 200) return { ...answer, kind: body.employee_id === employeeId ? 'right' : 'wrong' }
  return { ...answer, kind: status === 503 && retryAfterMs > 0 ? 'later' : 'unexpected' }
}

function succeed({ status, body }: Reply): void {
  if (status >= 300) throw new Error(`the server answered ${status}: ${body.message}`)
}
