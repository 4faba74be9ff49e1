import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { link, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** What a file holds; undefined when it is not there. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** The names in a folder; none where there is no folder. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Writes a file as a whole and on disk, in place of what was there. */
export async function writeWhole(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const half = await writeHalf(path, content, mode)
  await rename(half, path)
  await syncFolder(dirname(path))
}

/** The same (0600), but the first one stays: false where a file was there. */
export async function writeFirst(path: string, content: string | Uint8Array): Promise<boolean> {
  const half = await writeHalf(path, content)
  try {
    // Unlike a rename it fails when the name is taken.
    await link(half, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    await rm(half, { force: true })
    await syncFolder(dirname(path))
  }
}

async function writeHalf(path: string, content: string | Uint8Array, mode = 0o600): Promise<string> {
  const half = `${path}.${randomUUID()}.part`
  try {
    const file = await open(half, 'wx', mode)
    try {
      // Whatever the process may usually give away.
      await file.chmod(mode)
      await file.writeFile(content)
      await file.datasync()
    } finally {
      await file.close()
    }
  } catch (error) {
    await rm(half, { force: true }).catch(() => {})
    throw error
  }
  return half
}

/** Gives a file that was written beside its place its name, once it is on disk as a whole. */
export async function moveIntoPlace(half: string, path: string): Promise<void> {
  const file = await open(half, 'r+')
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
  await rename(half, path)
  await syncFolder(dirname(path))
}

/** A name is on disk, or gone from it, only when its folder is written. */
export async function syncFolder(path: string): Promise<void> {
  // Windows cannot open a folder; NTFS keeps names in its journal.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}

/**
 * Makes a folder (0700) and those above it; `path` is absolute. Rejects with the file system's error. Not Node's own
 * `recursive`: below /proc, where nothing can be made, it tries without end.
 */
export async function makeWithParents(path: string): Promise<void> {
  if (existsSync(path)) return
  if (dirname(path) !== path) await makeWithParents(dirname(path))
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    // Another process may have made it in between.
    if (error.code !== 'EEXIST') throw error
  })
}
