import { createHash, randomUUID, webcrypto } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { blankPicture, changed, openCompany } from '../attendance/company.ts'
import { form, signIn, type TestApp, testApp } from '../support/app.ts'

const { subtle } = webcrypto
type Bytes = Uint8Array<ArrayBuffer>

let running: TestApp
let ann: Bytes
let stranger: Bytes
let wall: Bytes
beforeAll(async () => {
  running = await testApp({}, { DUPLICATE_WINDOW_S: '60' })
  ann = Uint8Array.from(await changed('blonde'))
  stranger = Uint8Array.from(await changed('bun'))
  wall = Uint8Array.from(await blankPicture())
})
afterAll(() => running.close())

let kiosk: Awaited<ReturnType<typeof pairedKiosk>>
beforeEach(async () => {
  await running.clear()
  running.clock.set('2025-03-03T08:00:00Z')
  await openCompany(running)
  kiosk = await pairedKiosk('GATE')
})

/** What a kiosk's page does, by the standard's own words and nothing of the program's. */
async function pairedKiosk(deviceId: string) {
  const keys = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  const raw = await subtle.exportKey('raw', keys.publicKey)
  const signing_key = Buffer.from(raw).toString('base64url')
  const { code } = (
    await running.app.inject({ method: 'POST', url: `/api/v1/devices/${deviceId}/pair` })
  ).json()
  const payload = { code, signing_key }
  const paired = await running.app.inject({ method: 'POST', url: '/api/v1/devices/pair', payload })
  const { device_key, sealing_key } = paired.json()
  const headers = { 'x-device-key': device_key }
  const boot_id = randomUUID()
  let last = { seq: 0, hash: '0'.repeat(64), capturedAt: 0 }

  /** An event of the chain; `change` alters what is signed. */
  async function event(pictures: Bytes[], time: string, change: Record<string, unknown> = {}) {
    const event_id = randomUUID()
    const sealed = await seal(sealing_key, event_id, pictures)
    const text = JSON.stringify({
      device_id: deviceId,
      event_id,
      seq: last.seq + 1,
      previous_hash: last.hash,
      captured_at: time,
      monotonic_ms: Date.parse(time) - Date.parse('2025-03-03T00:00:00Z'),
      boot_id,
      attendance_type: 'IN',
      frame_ms: pictures.map((_, index) => index * 250),
      payload_sha256: sha256(sealed),
      ...change,
    })
    const signed = await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, keys.privateKey, Buffer.from(text))
    last = { seq: last.seq + 1, hash: sha256(Buffer.from(text)), capturedAt: Date.parse(time) }
    return { event: text, signature: Buffer.from(signed).toString('base64url'), payload: sealed }
  }

  async function send(parts: { event: string; signature: string; payload: Uint8Array }) {
    const payload = form(parts)
    return running.app.inject({ method: 'POST', url: '/api/v1/attendance/sync', headers, payload })
  }
  return { headers, event, send }
}

async function seal(sealingKey: string, eventId: string, pictures: Bytes[]): Promise<Bytes> {
  const curve = { name: 'ECDH', namedCurve: 'P-256' }
  const own = await subtle.generateKey(curve, false, ['deriveBits'])
  const theirs = await subtle.importKey('raw', Buffer.from(sealingKey, 'base64url'), curve, false, [])
  const shared = await subtle.deriveBits({ name: 'ECDH', public: theirs }, own.privateKey, 256)
  const salt = new Uint8Array(await subtle.exportKey('raw', own.publicKey))
  const key = await subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt, info: Buffer.from('rollcall kiosk-queue') },
    await subtle.importKey('raw', shared, 'HKDF', false, ['deriveKey']),
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt'],
  )
  const iv = webcrypto.getRandomValues(new Uint8Array(12))
  const packed = Buffer.concat(
    pictures.flatMap((picture) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(picture.length)
      return [length, picture]
    }),
  )
  const algorithm = { name: 'AES-GCM', iv, additionalData: Buffer.from(eventId) }
  return Uint8Array.from(Buffer.concat([salt, iv, Buffer.from(await subtle.encrypt(algorithm, key, packed))]))
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const punches = async () => (await running.app.inject('/api/v1/attendance')).json()
const pending = async () => (await running.app.inject('/api/v1/attendance/pending')).json()
const resolve = (id: number, payload: object) =>
  running.app.inject({ method: 'POST', url: `/api/v1/attendance/pending/${id}/resolve`, payload })

describe('what a kiosk kept while it was off line', () => {
  test('becomes a punch at the time when it was taken', async () => {
    const answer = await kiosk.send(await kiosk.event([ann, ann], '2025-03-03T07:30:00.000Z'))
    expect(answer.json()).toEqual({ event_id: expect.any(String), outcome: 'punched', flags: [] })
    expect(await punches()).toMatchObject([
      { employee_id: 'ANN', device_id: 'GATE', timestamp: '2025-03-03T07:30:00.000Z', kind: 'face' },
    ])
    expect(await pending()).toEqual([])
  })

  test('stands once, however often it is sent', async () => {
    const event = await kiosk.event([ann], '2025-03-03T07:30:00.000Z')
    const answers = [await kiosk.send(event), await kiosk.send(event)]
    const [first, second] = answers.map((answer) => answer.json())
    expect(second).toEqual(first)
    const atOnce = await kiosk.event([ann], '2025-03-03T07:40:00.000Z')
    const both = await Promise.all([kiosk.send(atOnce), kiosk.send(atOnce)])
    expect(both.map(({ statusCode }) => statusCode)).toEqual([200, 200])
    expect(await punches()).toHaveLength(2)
  })

  test('waits for somebody where nobody is recognised, with its picture, and is entered by hand', async () => {
    const answer = await kiosk.send(await kiosk.event([stranger], '2025-03-03T07:30:00.000Z'))
    expect(answer.json()).toMatchObject({ outcome: 'pending', flags: [] })
    const [item] = await pending()
    expect(item).toMatchObject({ device_id: 'GATE', reason: 'not_identified', has_picture: true })
    const picture = await running.app.inject(`/api/v1/attendance/pending/${item.id}/image`)
    expect([picture.statusCode, picture.headers['content-type']]).toEqual([200, 'image/jpeg'])

    const given = { employee_id: 'BOB', attendance_type: 'IN', notes: 'It is Bob with a new beard' }
    expect((await resolve(item.id, given)).json().punch).toMatchObject({
      employee_id: 'BOB',
      kind: 'manual',
      timestamp: '2025-03-03T07:30:00.000Z',
    })
    expect(await pending()).toEqual([])
    expect((await running.app.inject(`/api/v1/attendance/pending/${item.id}/image`)).statusCode).toBe(404)
    expect((await resolve(item.id, given)).statusCode).toBe(404)
  })

  test('waits where no face is to be seen, or it is too old; and may be let go', async () => {
    await kiosk.send(await kiosk.event([wall], '2025-02-20T07:30:00.000Z', { monotonic_ms: 1000 }))
    await kiosk.send(await kiosk.event([wall], '2025-03-03T07:30:00.000Z'))
    const items = await pending()
    expect(items.map(({ reason }: { reason: string }) => reason)).toEqual(['invalid_request', 'no_face'])
    for (const { id } of items)
      expect((await resolve(id, { dismiss: true, notes: 'A wall' })).json().punch).toBeNull()
    expect([await pending(), await punches()]).toEqual([[], []])
  })

  test('waits where the site enforces that a live person is there, and nothing shows one', async () => {
    await running.db.updateTable('devices').set({ pad_policy: 'enforce' }).execute()
    const answer = await kiosk.send(await kiosk.event([ann], '2025-03-03T07:30:00.000Z'))
    expect(answer.json().outcome).toBe('pending')
    expect(await pending()).toMatchObject([{ reason: 'undecided' }])
  })
})

describe('what is wrong with the chain of events is flagged, and nothing is lost', () => {
  const flagsOf = async (sent: Parameters<typeof kiosk.send>[0]) => (await kiosk.send(sent)).json().flags

  test('a gap', async () => {
    await kiosk.event([ann], '2025-03-03T07:00:00.000Z')
    expect(await flagsOf(await kiosk.event([ann], '2025-03-03T07:10:00.000Z'))).toEqual(['gap'])
    expect(await punches()).toHaveLength(1)
    expect(await pending()).toMatchObject([{ flags: ['gap'], punch_id: expect.any(Number) }])
  })

  test('a fork', async () => {
    await kiosk.send(await kiosk.event([ann], '2025-03-03T07:00:00.000Z'))
    const other = await kiosk.event([ann], '2025-03-03T07:10:00.000Z', { seq: 1 })
    expect(await flagsOf(other)).toEqual(['fork'])
    const past = await kiosk.event([ann], '2025-03-03T07:20:00.000Z', {
      seq: 2,
      previous_hash: 'a'.repeat(64),
    })
    expect(await flagsOf(past)).toEqual(['fork'])
    expect(await punches()).toHaveLength(3)
  })

  test('a clock that was set', async () => {
    await kiosk.send(await kiosk.event([ann], '2025-03-03T07:00:00.000Z'))
    // An hour by the clock on the wall, a minute by the one that nobody can set.
    const moved = await kiosk.event([ann], '2025-03-03T08:00:00.000Z', {
      monotonic_ms: 7 * 3_600_000 + 60_000,
    })
    expect(await flagsOf(moved)).toEqual(['clock_jump'])
    expect(await punches()).toHaveLength(2)
  })

  test('a signature that does not hold, and pictures that do not open', async () => {
    const event = await kiosk.event([ann], '2025-03-03T07:00:00.000Z')
    const forged = { ...event, event: event.event.replace('07:00', '06:00') }
    expect(await flagsOf(forged)).toEqual(['bad_signature'])
    const sealed = await seal((await pairedKey()) as string, randomUUID(), [ann])
    const foreign = await kiosk.event([ann], '2025-03-03T07:30:00.000Z', { payload_sha256: sha256(sealed) })
    expect((await kiosk.send({ ...foreign, payload: sealed })).json()).toMatchObject({
      outcome: 'pending',
      flags: expect.arrayContaining(['unreadable']),
    })
    expect(await punches()).toEqual([])
    expect(await pending()).toHaveLength(2)
  })

  /** The key that a kiosk seals to. */
  async function pairedKey() {
    await running.app.inject({
      method: 'POST',
      url: '/api/v1/devices/register',
      payload: { device_id: 'K2' },
    })
    const { code } = (await running.app.inject({ method: 'POST', url: '/api/v1/devices/K2/pair' })).json()
    const paired = await running.app.inject({
      method: 'POST',
      url: '/api/v1/devices/pair',
      payload: { code },
    })
    return paired.json().sealing_key
  }
})

describe('an event', () => {
  test('that the tablet kept as another kiosk is left to HR, with its picture, and is no part of the chain', async () => {
    const event = await kiosk.event([ann], '2025-03-03T07:00:00.000Z', { device_id: 'OTHER' })
    expect((await kiosk.send(event)).json()).toMatchObject({ outcome: 'pending', flags: ['other_device'] })
    expect((await kiosk.send(event)).json()).toMatchObject({ outcome: 'pending', flags: ['other_device'] })
    expect(await punches()).toEqual([])
    expect(await pending()).toMatchObject([{ has_picture: true, flags: ['other_device'] }])
    const rows = await running.db.selectFrom('kiosk_events').select(['signing_key', 'device_id']).execute()
    expect(rows).toEqual([{ signing_key: null, device_id: expect.not.stringMatching('OTHER') }])
  })

  test('that is none is refused', async () => {
    const event = await kiosk.event([ann], '2025-03-03T07:00:00.000Z')
    expect((await kiosk.send({ ...event, event: '{' })).json().code).toBe('invalid_request')
    expect((await kiosk.send({ ...event, event: '{}' })).statusCode).toBe(422)
    expect(await running.db.selectFrom('kiosk_events').selectAll().execute()).toEqual([])
  })

  test('a viewer decides nothing', async () => {
    const headers = await signIn(running.db, 'viewer')
    expect((await running.app.inject({ url: '/api/v1/attendance/pending', headers })).statusCode).toBe(403)
  })
})
