import { createDecipheriv, createECDH, createHash, hkdfSync } from 'node:crypto'
import { KEY_BYTES, SealBroken } from './seal.ts'
import type { Vault } from './vault.ts'

/** A key pair of which everybody may have the public half, to seal what the vault alone opens. */
export interface Box {
  /** A point of P-256, uncompressed, in base64url. */
  publicKey: string
  /** The bytes that were sealed for this box with `context`. Throws `SealBroken`. */
  open(sealed: Uint8Array, context: string): Buffer
}

const CURVE = 'prime256v1'
const POINT_BYTES = 65
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * The box of the whole place for one purpose; its private half is made of the vault's key of that name.
 * What it opens: a public key of this one message (65 bytes), a nonce (12), ciphertext and tag (16) of AES-256-GCM with
 * the context as further data; the key is HKDF-SHA-256 of the ECDH secret, salted with that public key, for `name`.
 */
export async function openBox(vault: Vault, name: string): Promise<Box> {
  const own = createECDH(CURVE)
  own.setPrivateKey(scalarOf(await vault.named(name)))
  return {
    publicKey: own.getPublicKey('base64url'),
    open(sealed, context) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
      if (bytes.length < POINT_BYTES + NONCE_BYTES + TAG_BYTES) throw new SealBroken(context)
      const theirs = bytes.subarray(0, POINT_BYTES)
      try {
        const key = hkdfSync('sha256', own.computeSecret(theirs), theirs, `rollcall ${name}`, KEY_BYTES)
        const nonce = bytes.subarray(POINT_BYTES, POINT_BYTES + NONCE_BYTES)
        const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key), nonce, {
          authTagLength: TAG_BYTES,
        })
        decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES))
        const sealedBytes = bytes.subarray(POINT_BYTES + NONCE_BYTES, -TAG_BYTES)
        return Buffer.concat([decipher.update(sealedBytes), decipher.final()])
      } catch (cause) {
        throw new SealBroken(context, cause)
      }
    },
  }
}

/** A private key of the curve is below its order, as all but one in four thousand million random keys are. */
function scalarOf(key: Buffer): Buffer {
  let scalar = key
  while (scalar.readUInt32BE() === 0xffffffff || scalar.every((byte) => byte === 0))
    scalar = createHash('sha256').update(scalar).digest()
  return scalar
}
