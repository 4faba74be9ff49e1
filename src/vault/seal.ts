import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** How long a key is. */
export const KEY_BYTES = 32

const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** What was sealed does not open: it was altered or cut, belongs elsewhere, or the key is another one. */
export class SealBroken extends Error {
  constructor(context: string, cause?: unknown) {
    super(`what was sealed as "${context}" does not open`, { cause })
    this.name = 'SealBroken'
  }
}

/**
 * Seals bytes with AES-256-GCM: a version byte, a nonce of 12 bytes, the ciphertext, a tag of 16 bytes.
 * `context` says what the bytes are and where they belong: they open under the very same context only.
 */
export function seal(key: Buffer, bytes: Uint8Array, context: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
  return Buffer.concat([Buffer.of(VERSION), nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
}

/** The bytes that `seal` was given. Throws `SealBroken`. */
export function open(key: Buffer, sealed: Uint8Array, context: string): Buffer {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  if (bytes.length < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] !== VERSION) throw new SealBroken(context)
  const nonce = bytes.subarray(1, 1 + NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (cause) {
    throw new SealBroken(context, cause)
  }
}
