import { randomBytes, randomUUID } from 'node:crypto'
import { access, readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  isMissing,
  makeWithParents,
  namesIn,
  readIfThere,
  syncFolder,
  writeFirst,
  writeWhole,
} from '../shared/files.ts'
import { masterKeyId } from './master-key.ts'
import { KEY_BYTES, open, SealBroken, seal } from './seal.ts'

/** What is kept of a key that was dropped. */
export interface Tombstone {
  reason?: string | undefined
  /** Whose it was, as a keyed hash: it names nobody to whoever finds it. */
  person?: string | undefined
  /** When it was dropped, in ISO 8601. */
  at?: string | undefined
  by?: string | undefined
}

/** Keys as files, each wrapped under the master key. It knows nothing of what they seal. */
export interface Vault {
  /** Makes a key, on disk when it resolves to the key's id. */
  newKey(): Promise<string>
  /** The key of this id; undefined: it was erased. Rejects with `KeyLost`. */
  key(id: string): Promise<Buffer | undefined>
  /** The key of the whole place for one purpose, made when it is first asked for. Rejects with `KeyLost`. */
  named(name: string): Promise<Buffer>
  /** Drops a key for ever: what it sealed never opens again, also where an older copy of the key comes back. */
  destroy(id: string, tombstone?: Tombstone): Promise<void>
  /** The ids of the keys that were dropped. */
  erased(): Promise<string[]>
  /** Whether this key was dropped, and its file is gone. */
  isErased(id: string): Promise<boolean>
  /** What was said when this key was dropped; undefined: it was not. */
  tombstone(id: string): Promise<Tombstone | undefined>
  /** `listener` is called after each key that this process drops. */
  onDestroyed(listener: () => void): void
  /** The ids and names of the keys that are there. */
  keys(): Promise<string[]>
}

/** A key that was not erased, and is not there or cannot be unwrapped. */
export class KeyLost extends Error {
  constructor(id: string, what: string, cause?: unknown) {
    super(`the key ${id} ${what}`, { cause })
    this.name = 'KeyLost'
  }
}

const FORMAT = 1
const MASTER_ID_BYTES = 8
/** Which master key the folder's keys are wrapped under; two while it is being changed. */
const MASTER_FILE = 'master-key-id'
const ERASED = 'erased'
const keyFile = /^([0-9a-f-]{36}|[a-z][a-z-]{0,31})\.key$/
const keyId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const keyName = /^[a-z][a-z-]{0,31}$/

/**
 * Opens the folder of keys, and makes it where there is none.
 * Throws an Error for the operator, and touches nothing, when the folder's keys are under another master key or the
 * change of the master key was not finished.
 */
export async function openVault({ dir, masterKey }: { dir: string; masterKey: Buffer }): Promise<Vault> {
  const named = new Map<string, Promise<Buffer>>()
  const listeners: (() => void)[] = []
  const pathOf = (id: string) => join(dir, `${id}.key`)
  const tombstoneOf = (id: string) => join(dir, ERASED, id)
  await makeWithParents(resolve(dir, ERASED))
  await requireMasterKey(dir, masterKey)
  await bury()

  /** A key that came back with an older copy of the folder is dropped again. */
  async function bury(): Promise<void> {
    const dropped = new Set(await erased())
    await remove((id) => dropped.has(id))
  }

  /** Removes files of keys, and what a crash left half made of them. */
  async function remove(isMeant: (id: string) => boolean): Promise<void> {
    for (const name of await readdir(dir))
      if (name.includes('.key') && isMeant(name.slice(0, name.indexOf('.key'))))
        await rm(join(dir, name), { force: true })
    await syncFolder(dir)
  }

  async function erased(): Promise<string[]> {
    return (await readdir(join(dir, ERASED))).filter((name) => isKeyId(name))
  }

  async function make(id: string): Promise<Buffer> {
    const key = randomBytes(KEY_BYTES)
    await requireMasterKey(dir, masterKey)
    const isFirst = await writeFirst(pathOf(id), wrap(masterKey, id, key))
    try {
      // Once more: a change of the master key that began in between may have passed this file by.
      await requireMasterKey(dir, masterKey)
    } catch (error) {
      if (isFirst) await rm(pathOf(id), { force: true })
      throw error
    }
    // Another process was first: what it made is the key.
    return isFirst ? key : unwrap(masterKey, id, await readFile(pathOf(id)))
  }

  async function read(id: string): Promise<Buffer | undefined> {
    const file = await readIfThere(pathOf(id))
    return file && unwrap(masterKey, id, file)
  }

  return {
    keys: () => keysIn(dir),
    erased,
    async newKey() {
      const id = randomUUID()
      await make(id)
      return id
    },
    async key(id) {
      if (!isKeyId(id)) throw new KeyLost('of a person', 'has no proper id')
      // The tombstone counts, whatever file came back beside it.
      if (await exists(tombstoneOf(id))) return undefined
      const key = await read(id)
      if (key) return key
      // Erased while it was looked for?
      if (await exists(tombstoneOf(id))) return undefined
      throw new KeyLost(id, 'is not in the folder of keys')
    },
    named(name) {
      if (!keyName.test(name)) throw new Error('this is not the name of a key')
      let key = named.get(name)
      if (!key) {
        key = read(name).then((found) => found ?? make(name))
        named.set(name, key)
        key.catch(() => named.delete(name))
      }
      return key
    },
    async destroy(id, tombstone = {}) {
      if (!isKeyId(id)) throw new Error('this is not the id of a key')
      // First the tombstone: from now on the key counts as dropped, whatever happens to its file.
      await writeFirst(tombstoneOf(id), `${JSON.stringify(tombstone)}\n`)
      await remove((other) => other === id)
      for (const listener of listeners) listener()
    },
    async isErased(id) {
      return (await exists(tombstoneOf(id))) && !(await exists(pathOf(id)))
    },
    tombstone: (id) => readTombstone(join(dir, ERASED), id),
    onDestroyed(listener) {
      listeners.push(listener)
    },
  }
}

export function isKeyId(id: string): boolean {
  return keyId.test(id)
}

/** Whether a path below a folder of keys is one of its files: a wrapped key, a tombstone, or which master key it is. */
export function isVaultFile(path: string): boolean {
  const [folder, id, ...deeper] = path.split('/')
  if (id === undefined) return keyFile.test(path) || path === MASTER_FILE
  return folder === ERASED && isKeyId(id) && deeper.length === 0
}

/** What a folder of tombstones says of a key; undefined where it has none of it. */
export async function readTombstone(folder: string, id: string): Promise<Tombstone | undefined> {
  if (!isKeyId(id)) return undefined
  const text = await readIfThere(join(folder, id))
  return text && parseTombstone(text.toString())
}

/** One that cannot be read still says that the key was dropped. */
function parseTombstone(text: string): Tombstone {
  try {
    const told = JSON.parse(text) as Record<string, unknown>
    const textOf = (name: string) => (typeof told[name] === 'string' ? (told[name] as string) : undefined)
    return { reason: textOf('reason'), person: textOf('person'), at: textOf('at'), by: textOf('by') }
  } catch {
    return { reason: text.trim() || undefined }
  }
}

/** The ids and names of the keys in a folder, without opening it; none where there is no folder. */
export async function keysIn(dir: string): Promise<string[]> {
  return (await namesIn(dir)).flatMap((name) => keyFile.exec(name)?.[1] ?? [])
}

/**
 * Wraps every key anew under another master key. It may be killed at any point and run again with the same keys: what is
 * wrapped anew already is passed by. Until it is done no server opens the folder. Returns how many keys there are.
 * Throws an Error for the operator when a key opens under neither; nothing else was changed then.
 */
export async function rotateMasterKey(vault: { dir: string; from: Buffer; to: Buffer }): Promise<number> {
  const { dir, from, to } = vault
  const [old, fresh] = [masterKeyId(from).toString('hex'), masterKeyId(to).toString('hex')]
  const named = (await readMasterIds(dir)) ?? [old]
  if (named.some((id) => id !== old && id !== fresh)) throw wrongMasterKey(dir)
  // All are looked at before the first is written.
  for (const id of await keysIn(dir)) await unwrapEither(id)
  if (old !== fresh) await writeWhole(join(dir, MASTER_FILE), `${old} ${fresh}\n`)
  // Listed again: from now on nobody adds a key under the old one.
  const all = await keysIn(dir)
  for (const id of all) {
    const { key, isDone } = await unwrapEither(id)
    if (!isDone) await writeWhole(join(dir, `${id}.key`), wrap(to, id, key))
  }
  return all.length

  async function unwrapEither(id: string): Promise<{ key: Buffer; isDone: boolean }> {
    const file = await readFile(join(dir, `${id}.key`))
    const isDone = file.subarray(1, 1 + MASTER_ID_BYTES).equals(masterKeyId(to))
    try {
      return { key: unwrap(isDone ? to : from, id, file), isDone }
    } catch (cause) {
      throw new Error(
        `The key file ${id}.key in ${dir} opens neither under the old master key nor under the new one. ` +
          'Restore it from a copy of the folder, then run this again.',
        { cause },
      )
    }
  }
}

/** The last step of a change of the master key: from now on the new one opens the folder, and it alone. */
export async function finishRotation(dir: string, to: Buffer): Promise<void> {
  await writeWhole(join(dir, MASTER_FILE), `${masterKeyId(to).toString('hex')}\n`)
}

/** Whether a change of the master key was begun in this folder and not finished. */
export async function isRotating(dir: string): Promise<boolean> {
  return ((await readMasterIds(dir))?.length ?? 0) > 1
}

async function requireMasterKey(dir: string, masterKey: Buffer): Promise<void> {
  const id = masterKeyId(masterKey)
  const ids = await readMasterIds(dir)
  if (ids !== undefined && ids.length > 1)
    throw new Error(
      `The master key of ${dir} is being changed, and that was not finished. Run "rollcall keys rotate" again, ` +
        'then start the server.',
    )
  if (ids !== undefined) {
    if (ids[0] !== id.toString('hex')) throw wrongMasterKey(dir)
    return
  }
  // A folder that is new, or whose note of the master key was not restored: then the keys themselves tell.
  for (const name of await readdir(dir)) {
    if (!keyFile.test(name)) continue
    const file = await readFile(join(dir, name))
    if (!file.subarray(1, 1 + MASTER_ID_BYTES).equals(id)) throw wrongMasterKey(dir)
  }
  await writeWhole(join(dir, MASTER_FILE), `${id.toString('hex')}\n`)
}

async function readMasterIds(dir: string): Promise<string[] | undefined> {
  return (await readIfThere(join(dir, MASTER_FILE)))?.toString().trim().split(' ')
}

function wrongMasterKey(dir: string): Error {
  return new Error(
    `This is not the master key of ${dir}: what is kept there was sealed under another one. Nothing was changed. ` +
      'Set MASTER_KEY or MASTER_KEY_FILE to the right one, or restore the folder that belongs to this one.',
  )
}

/** A key as its file holds it: the format, which master key, and the key itself, sealed. */
function wrap(masterKey: Buffer, id: string, key: Buffer): Buffer {
  return Buffer.concat([Buffer.of(FORMAT), masterKeyId(masterKey), seal(masterKey, key, `key ${id}`)])
}

/** The key in such a file. Throws `KeyLost`. */
export function unwrap(masterKey: Buffer, id: string, file: Buffer): Buffer {
  if (file[0] !== FORMAT) throw new KeyLost(id, 'is damaged: its file is of no known format')
  if (!file.subarray(1, 1 + MASTER_ID_BYTES).equals(masterKeyId(masterKey)))
    throw new KeyLost(id, 'is wrapped under another master key')
  try {
    return open(masterKey, file.subarray(1 + MASTER_ID_BYTES), `key ${id}`)
  } catch (cause) {
    if (!(cause instanceof SealBroken)) throw cause
    throw new KeyLost(id, 'is damaged: its file was altered or cut', cause)
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}
