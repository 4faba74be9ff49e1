import { randomUUID } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes a file (0600) as a whole and on disk, in place of what was there. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const half = await writeHalf(path, content)
  await rename(half, path)
  await syncFolder(dirname(path))
}

/** The same, but the first one stays: false where a file was there. */
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

async function writeHalf(path: string, content: string | Uint8Array): Promise<string> {
  const half = `${path}.${randomUUID()}.part`
  try {
    const file = await open(half, 'wx', 0o600)
    try {
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
