import { randomBytes } from 'node:crypto'
import { link, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isMissing, readIfThere, syncFolder, writeFirst } from '../shared/files.ts'
import { loadMasterKey, type MasterKeySettings, parseMasterKey } from './master-key.ts'
import { KEY_BYTES } from './seal.ts'
import { finishRotation, rotateMasterKey } from './vault.ts'

/**
 * Changes the master key of every folder of keys below `keyDir`; no server may run. With MASTER_KEY_FILE a new key is made,
 * and the file is replaced when all keys are under it; with MASTER_KEY in the environment the new one is what `newKeyFile`
 * holds. It may be killed at any point and run again. Returns how many keys there are.
 * Throws an Error for the operator.
 */
export async function rotateKeys(
  settings: MasterKeySettings & { KEY_DIR: string },
  newKeyFile: string | undefined,
): Promise<number> {
  const folders = await vaultFolders(settings.KEY_DIR)
  const current = await loadMasterKey(settings, false)
  if (settings.MASTER_KEY !== undefined) {
    const given = newKeyFile && parseMasterKey(await readKeyFile(newKeyFile))
    if (!given)
      throw new Error(
        'With MASTER_KEY in the environment the new master key comes from a file: make it with ' +
          '"openssl rand -hex 32 > new-key" and name it with --new-key-file new-key.',
      )
    const keys = await rewrap(folders, current, given)
    for (const dir of folders) await finishRotation(dir, given)
    return keys
  }
  if (newKeyFile !== undefined)
    throw new Error('--new-key-file is for MASTER_KEY. With MASTER_KEY_FILE the new key is made here.')
  return rotateFile(folders, settings.MASTER_KEY_FILE, current)
}

async function rotateFile(folders: string[], path: string, current: Buffer): Promise<number> {
  const [next, previous] = [`${path}.next`, `${path}.previous`]
  const old = (await readIfThere(previous))?.toString()
  // Killed after the file was replaced: what is left is to say so, and to forget the old key.
  if (old !== undefined && !(parseMasterKey(old)?.equals(current) ?? false)) {
    const keys = await rewrap(folders, parseMasterKey(old) ?? current, current)
    for (const dir of folders) await finishRotation(dir, current)
    await forget(next)
    await forget(previous)
    return keys
  }
  await writeFirst(next, `${randomBytes(KEY_BYTES).toString('hex')}\n`)
  const fresh = parseMasterKey(await readKeyFile(next))
  if (!fresh) throw new Error(`The file ${next} holds no key. Delete it, then run this again.`)
  const keys = await rewrap(folders, current, fresh)
  if (old === undefined) await link(path, previous)
  await rename(next, path)
  await syncFolder(dirname(path))
  for (const dir of folders) await finishRotation(dir, fresh)
  await forget(next)
  await forget(previous)
  return keys
}

async function rewrap(folders: string[], from: Buffer, to: Buffer): Promise<number> {
  let keys = 0
  for (const dir of folders) keys += await rotateMasterKey({ dir, from, to })
  return keys
}

/** The folders of all databases that this data folder served: each has keys of its own under the one master key. */
async function vaultFolders(keyDir: string): Promise<string[]> {
  try {
    const entries = await readdir(keyDir, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(keyDir, name))
  } catch (error) {
    if (!isMissing(error)) throw error
    throw new Error(
      `There are no keys in ${keyDir}. Start the server once, or set KEY_DIR to where they are.`,
    )
  }
}

async function readKeyFile(path: string): Promise<string> {
  const text = await readIfThere(path)
  if (text === undefined) throw new Error(`The file ${path} is not there.`)
  return text.toString()
}

/** Forgets a key file that is no longer needed, and what a crash left half made of it. */
async function forget(path: string): Promise<void> {
  await rm(path, { force: true })
  for (const name of await readdir(dirname(path)))
    if (name.startsWith(`${basename(path)}.`) && name.endsWith('.part'))
      await rm(join(dirname(path), name), { force: true })
  await syncFolder(dirname(path))
}
