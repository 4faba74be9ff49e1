import type { pairedAnswer } from '../../src/devices/schema.ts'
import { type Answer, type Call, send } from '../shared/api.ts'
import { toBase64Url } from './bytes.ts'
import { read, remove, write } from './database.ts'

/** Who this kiosk is, as its browser keeps it. */
export interface Kiosk {
  deviceId: string
  deviceKey: string
  name: string
  siteName: string
  /** Of the site; null with a kiosk that an older server paired, until its next heartbeat. */
  timeZone: string | null
  direction: 'IN' | 'OUT' | 'AUTO'
  /** Whether the site takes an employee code with its PIN; unknown before the first heartbeat. */
  pinAllowed?: boolean
  /** Signs what happens off line; nothing can read it out of the browser. */
  signingKey: CryptoKey
  /** What is kept off line is sealed to it; undefined where the server gave none. */
  sealingKey: string | undefined
}

export const loadKiosk = (): Promise<Kiosk | undefined> => read('kiosk', 'self')
export const keepKiosk = (kiosk: Kiosk) => write('kiosk', 'self', kiosk)
export const forgetKiosk = () => remove('kiosk', 'self')

/** Exchanges a code for the kiosk's key. Rejects with `link_not_valid` for one that is wrong, used or expired. */
export async function pairKiosk(code: string): Promise<Kiosk> {
  const curve = { name: 'ECDSA', namedCurve: 'P-256' }
  const keys = await crypto.subtle.generateKey(curve, false, ['sign', 'verify'])
  const signing_key = toBase64Url(await crypto.subtle.exportKey('raw', keys.publicKey))
  const response = await send('/devices/pair', { method: 'POST', body: { code, signing_key } })
  const paired: Answer<typeof pairedAnswer> = await response.json()
  const kiosk: Kiosk = {
    deviceId: paired.device_id,
    deviceKey: paired.device_key,
    name: paired.name,
    siteName: paired.site.name,
    timeZone: paired.site.time_zone,
    direction: paired.direction,
    signingKey: keys.privateKey,
    sealingKey: paired.sealing_key ?? undefined,
  }
  await keepKiosk(kiosk)
  // A new key begins a new chain of events.
  await remove('kiosk', 'chain')
  return kiosk
}

/** Sends a request as this kiosk. */
export function sendAs({ deviceKey }: Kiosk, path: string, call: Call = {}): Promise<Response> {
  return send(path, { ...call, headers: { ...call.headers, 'x-device-key': deviceKey } })
}
