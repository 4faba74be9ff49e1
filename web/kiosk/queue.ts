import { ApiError } from '../shared/api.ts'
import { concat, fromBase64Url, sha256Hex, toBase64Url, utf8 } from './bytes.ts'
import type { CheckIn } from './check.ts'
import { append, count, firstAfter, read, remove } from './database.ts'
import { type Kiosk, sendAs } from './pairing.ts'

/** How far the chain of events has come. */
interface Chain {
  seq: number
  hash: string
}

/** An event as it waits: what is signed is the very text that is sent. */
interface Sealed {
  event: string
  signature: string
  payload: Blob
}

export interface Queue {
  /** Keeps a check for later; on disk once it resolves. Rejects where there is no room, or nothing to seal it to. */
  add(checkIn: CheckIn & { capturedAt: Date }): Promise<void>
  /**
   * Sends what waits, the oldest first. What the server refuses is passed over, stays, and is tried again after the next
   * start. Rejects where the server takes nothing now.
   */
  send(): Promise<void>
  waiting(): Promise<number>
}

/** The clock that nobody can set runs since this page was opened; the id says which time that was. */
const bootId = crypto.randomUUID()
const NOTHING = '0'.repeat(64)
/** More pictures of a check bring little, and the room on a tablet is not endless. */
const KEPT_PICTURES = 3
/** Of sealed payloads; the server opens them under the same name. */
const SEAL_NAME = 'rollcall kiosk-queue'

export function openQueue(kiosk: Kiosk, onChange: () => void): Queue {
  let adding: Promise<unknown> = Promise.resolve()
  let sending: Promise<void> | undefined
  const refused = new Set<number>()

  async function addNow({ eventId, direction, pictures, capturedAt }: CheckIn & { capturedAt: Date }) {
    if (kiosk.sealingKey === undefined) throw new ApiError(0, 'unreachable', 'The server does not answer.')
    const chain = (await read<Chain>('kiosk', 'chain')) ?? { seq: 0, hash: NOTHING }
    const kept = pictures.slice(0, KEPT_PICTURES)
    const payload = await seal(kiosk.sealingKey, eventId, await pack(kept.map(({ jpeg }) => jpeg)))
    const seq = chain.seq + 1
    const event = JSON.stringify({
      device_id: kiosk.deviceId,
      event_id: eventId,
      seq,
      previous_hash: chain.hash,
      captured_at: capturedAt.toISOString(),
      monotonic_ms: Math.round(performance.now() - (Date.now() - capturedAt.getTime())),
      boot_id: bootId,
      attendance_type: direction,
      frame_ms: kept.map(({ atMs }) => atMs - kept[0].atMs),
      payload_sha256: await sha256Hex(payload),
    })
    const algorithm = { name: 'ECDSA', hash: 'SHA-256' }
    const signature = toBase64Url(await crypto.subtle.sign(algorithm, kiosk.signingKey, utf8(event)))
    const sealed: Sealed = { event, signature, payload: new Blob([payload]) }
    await append(sealed, { seq, hash: await sha256Hex(utf8(event)) } satisfies Chain)
    onChange()
  }

  async function sendAll(): Promise<void> {
    let place = 0
    for (let next = await firstAfter<Sealed>(place); next; next = await firstAfter<Sealed>(place)) {
      place = next.place
      if (refused.has(place)) continue
      try {
        await sendOne(next)
      } catch (error) {
        if (!isRefusal(error)) throw error
        if (!kioskIsRefused(error)) refused.add(place)
        continue
      }
      // Only now: sent twice it stands once, but removed before it could be lost.
      await remove('queue', place)
      onChange()
    }
  }

  async function sendOne({ event, signature, payload }: Sealed): Promise<void> {
    const form = new FormData()
    form.set('event', event)
    form.set('signature', signature)
    form.set('payload', payload, 'sealed')
    await sendAs(kiosk, '/attendance/sync', { method: 'POST', body: form })
  }

  return {
    add(checkIn) {
      // One after the other, for each names the one before it.
      const added = adding.then(() => addNow(checkIn))
      adding = added.catch(() => {})
      return added
    },
    send() {
      sending ??= sendAll().finally(() => {
        sending = undefined
      })
      return sending
    },
    waiting: () => count('queue'),
  }
}

/** Whether the next event may fare better: 401 is of the key, 408 and 429 pass. */
function isRefusal(error: unknown): error is ApiError {
  return (
    error instanceof ApiError &&
    error.status >= 400 &&
    error.status < 500 &&
    ![401, 408, 429].includes(error.status)
  )
}

/** What an administrator changes without a new start of the kiosk. */
const kioskIsRefused = ({ code }: ApiError) => code === 'device_inactive' || code === 'network_not_allowed'

/** The pictures one after the other, each behind its length as 4 bytes, big-endian. */
async function pack(pictures: Blob[]): Promise<Uint8Array<ArrayBuffer>> {
  const parts = await Promise.all(
    pictures.map(async (picture) => {
      const length = new Uint8Array(4)
      new DataView(length.buffer).setUint32(0, picture.size)
      return [length, new Uint8Array(await picture.arrayBuffer())]
    }),
  )
  return concat(parts.flat())
}

/**
 * Seals bytes so that the server alone opens them: ECDH on P-256 with a key of this one event, HKDF-SHA-256, AES-256-GCM
 * with the event's id as further data. The result: public key (65 bytes), nonce (12), ciphertext and tag.
 */
async function seal(
  sealingKey: string,
  eventId: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const curve = { name: 'ECDH', namedCurve: 'P-256' }
  const own = await crypto.subtle.generateKey(curve, false, ['deriveBits'])
  const theirs = await crypto.subtle.importKey('raw', fromBase64Url(sealingKey), curve, false, [])
  const shared = await crypto.subtle.deriveBits({ name: 'ECDH', public: theirs }, own.privateKey, 256)
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', own.publicKey))
  const key = await crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: publicKey, info: utf8(SEAL_NAME) },
    await crypto.subtle.importKey('raw', shared, 'HKDF', false, ['deriveKey']),
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt'],
  )
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const algorithm = { name: 'AES-GCM', iv, additionalData: utf8(eventId) }
  return concat([publicKey, iv, new Uint8Array(await crypto.subtle.encrypt(algorithm, key, bytes))])
}
