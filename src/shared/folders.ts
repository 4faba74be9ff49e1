import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'

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
