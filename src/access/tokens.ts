import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'

/** 256 random bits behind a prefix that tells a lost one's kind: rollcall_KIND_… */
export function newToken(kind: 'api' | 'device' | 'refresh' | 'link'): string {
  return `rollcall_${kind}_${randomBytes(32).toString('base64url')}`
}

/** What is stored of a token. It is random, so that a fast hash is enough. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

const uuid = z.uuid()
const issuer = 'rollcall'
const audience = 'rollcall-api'

export interface AccessClaims {
  userId: number
  sessionId: string
}

/** A signed access token (JWT, HS256) for a session, good until `expiresAt`. */
export async function signAccessToken(
  key: Uint8Array,
  { userId, sessionId }: AccessClaims,
  now: Date,
  expiresAt: Date,
): Promise<string> {
  return new SignJWT({ sid: sessionId })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(String(userId))
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(now)
    .setExpirationTime(expiresAt)
    .sign(key)
}

/** The claims of a token that this server signed and that has not expired, or undefined for any other text. */
export async function verifyAccessToken(
  key: Uint8Array,
  token: string,
  now: Date,
): Promise<AccessClaims | undefined> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['HS256'],
      issuer,
      audience,
      currentDate: now,
      requiredClaims: ['sub', 'sid', 'exp'],
    })
    const userId = Number(payload.sub)
    const sessionId = uuid.safeParse(payload.sid)
    if (!Number.isInteger(userId) || !sessionId.success) return undefined
    return { userId, sessionId: sessionId.data }
  } catch {
    return undefined
  }
}

/** Seals a small secret (AES-256-GCM): nonce, tag, ciphertext. */
export function seal(key: Uint8Array, plain: Uint8Array): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed])
}

/** Opens what `seal` made. Throws when the key is another one or a byte was changed. */
export function unseal(key: Uint8Array, sealed: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
  decipher.setAuthTag(sealed.subarray(12, 28))
  return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()])
}
