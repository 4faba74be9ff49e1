import { Secret, TOTP } from 'otpauth'

const PERIOD_S = 30

/** A new secret for an authenticator app: 160 random bits, as RFC 4226 recommends. */
export function newTotpSecret(): Buffer {
  return Buffer.from(new Secret({ size: 20 }).bytes)
}

/** The address that an authenticator app reads from a QR code, with the secret in base32. */
export function totpUri(secret: Uint8Array, username: string): { uri: string; secret: string } {
  const totp = totpOf(secret, username)
  return { uri: totp.toString(), secret: totp.secret.base32 }
}

/**
 * The time step of a right code (RFC 6238; one step early or late is taken), or undefined for a wrong one and for one
 * at or before `lastStep`: a code that was seen over a shoulder must not work again.
 */
export function checkTotp(
  secret: Uint8Array,
  code: string,
  now: Date,
  lastStep: number | undefined,
): number | undefined {
  const delta = totpOf(secret, '').validate({ token: code, timestamp: now.getTime(), window: 1 })
  if (delta === null) return undefined
  const step = Math.floor(now.getTime() / 1000 / PERIOD_S) + delta
  return lastStep !== undefined && step <= lastStep ? undefined : step
}

function totpOf(secret: Uint8Array, label: string): TOTP {
  const { buffer, byteOffset, byteLength } = secret
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer
  return new TOTP({ issuer: 'Rollcall', label, period: PERIOD_S, secret: new Secret({ buffer: bytes }) })
}
