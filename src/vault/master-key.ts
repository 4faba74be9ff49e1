import { createHash, randomBytes } from 'node:crypto'
import { chmod, readFile } from 'node:fs/promises'
import { isMissing, writeFirst } from '../shared/files.ts'
import { KEY_BYTES } from './seal.ts'

/** Where the master key comes from: two of the settings. */
export interface MasterKeySettings {
  MASTER_KEY?: string | undefined
  MASTER_KEY_FILE: string
}

/**
 * The key under which all others are wrapped: MASTER_KEY, or what MASTER_KEY_FILE holds. Where there is neither, and
 * `make` says that nothing is sealed yet, one is made and kept in that file (0600).
 * Throws an Error for the operator where it is missing or not a key.
 */
export async function loadMasterKey(settings: MasterKeySettings, make: boolean): Promise<Buffer> {
  if (settings.MASTER_KEY !== undefined)
    return parseMasterKey(settings.MASTER_KEY) ?? refuse('MASTER_KEY is no key')
  const path = settings.MASTER_KEY_FILE
  if (make) await writeFirst(path, `${randomBytes(KEY_BYTES).toString('hex')}\n`)
  try {
    // One that was restored may be open to others; one that is mounted for us to read is not ours to change.
    await chmod(path, 0o600).catch((error: NodeJS.ErrnoException) => {
      if (!['EPERM', 'EROFS'].includes(error.code ?? '')) throw error
    })
    return parseMasterKey(await readFile(path, 'utf8')) ?? refuse(`The file ${path} holds no key`)
  } catch (error) {
    if (!isMissing(error)) throw error
    throw new Error(
      `The master key is missing: ${path} is not there, and faces are sealed with it already. Nothing was changed. ` +
        'Put the file back from where its copy is kept, or set MASTER_KEY. Without it photos and templates cannot be read again.',
      { cause: error },
    )
  }
}

function refuse(what: string): never {
  throw new Error(
    `${what}: a master key is 64 hexadecimal digits. Restore it from its copy; a new server makes one with: openssl rand -hex 32`,
  )
}

/** A master key as it is written down, or undefined when it is none. */
export function parseMasterKey(text: string): Buffer | undefined {
  return /^[0-9a-f]{64}$/i.test(text.trim()) ? Buffer.from(text.trim(), 'hex') : undefined
}

/** Tells one master key from another, and nothing else about it: 8 bytes. */
export function masterKeyId(masterKey: Buffer): Buffer {
  return createHash('sha256').update('rollcall master key id').update(masterKey).digest().subarray(0, 8)
}
