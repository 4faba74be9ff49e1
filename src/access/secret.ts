import { hkdfSync, randomBytes } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Secrets that stand in manuals and examples, and what is as easily guessed. */
const known = /secret|password|change.?me|example|default|1234567|qwerty|^(.{1,4})\1+$/i
/** Fewer different characters than 32 random hexadecimal digits ever have. */
const MIN_DIFFERENT = 8
const MIN_LENGTH = 32

/**
 * The server's secret: SECRET_KEY, or a random one that is made once and kept in `dataDir`/secret-key (0600).
 * Throws an Error for the operator when SECRET_KEY is short or well known, or the file cannot be read.
 */
export async function loadSecret(secretKey: string | undefined, dataDir: string): Promise<Buffer> {
  if (secretKey !== undefined) {
    const different = new Set(secretKey).size
    if (secretKey.length < MIN_LENGTH || different < MIN_DIFFERENT || known.test(secretKey))
      throw new Error(
        `SECRET_KEY is too weak: it must be at least ${MIN_LENGTH} random characters, and none that stand in a manual. ` +
          'Make one with: openssl rand -hex 32. Or leave it out, and one is made and kept in DATA_DIR.',
      )
    return Buffer.from(secretKey)
  }
  const path = join(dataDir, 'secret-key')
  try {
    // Fails when it is there: two servers that start at once must end up with one secret.
    await writeFile(path, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx', flush: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  // One that was restored may be open to others.
  await chmod(path, 0o600)
  const secret = (await readFile(path, 'utf8')).trim()
  if (secret.length < MIN_LENGTH)
    throw new Error(
      `The file ${path} is damaged. Restore it from a backup; without one, delete it: everybody signs in anew.`,
    )
  return Buffer.from(secret)
}

/** A key of 32 bytes for one purpose (HKDF, RFC 5869), so that no two uses share one. */
export function deriveKey(secret: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `rollcall ${purpose}`, 32))
}
