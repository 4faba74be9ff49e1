import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Another process has the embedded database. */
export class FolderInUse extends Error {}

/**
 * Takes the folder for this process alone and returns the function that gives it back.
 * The kernel holds the lock, so it ends with the process however that dies, and no pid has to be judged.
 * Throws a `FolderInUse` that names the folder and its holder when another process has it.
 */
export async function lockFolder(folder: string): Promise<() => void> {
  const path = resolve(folder)
  mkdirSync(path, { recursive: true })
  const ownerFile = join(path, 'postgres.lock-owner')
  // The lock file is never removed: whoever removed it could remove the one that a third process just locked.
  const lockFile = join(path, 'postgres.lock')
  let held = tryLock(lockFile)
  if (held === undefined) {
    // A holder that was told to stop may just be leaving, and a new one may not have signed yet.
    await sleep(250)
    held = tryLock(lockFile)
  }
  if (held === undefined) {
    throw new FolderInUse(
      `The folder ${path} is in use by ${readOwner(ownerFile)}, and an embedded database serves one process ` +
        'only. Stop that process first, choose another DATA_DIR, or set DB_URL to a PostgreSQL server, which ' +
        'any number of processes can share.',
    )
  }
  writeFileSync(ownerFile, `process ${process.pid} on ${hostname()}`)
  return () => {
    writeFileSync(ownerFile, '')
    closeSync(held)
  }
}

/** The descriptor that holds the lock, or undefined when another process holds it. */
function tryLock(file: string): number | undefined {
  return process.platform === 'linux' ? lockByFlock(file) : lockByOpening(file)
}

/**
 * Node cannot call flock(2), but the lock belongs to the open file, which a child inherits:
 * the flock program locks our descriptor and leaves, and the lock stays for as long as we keep it open.
 */
function lockByFlock(file: string): number | undefined {
  const descriptor = openSync(file, 'a')
  const run = spawnSync('flock', ['-x', '-n', '3'], { stdio: ['ignore', 'ignore', 'pipe', descriptor] })
  if (run.status === 0) return descriptor
  closeSync(descriptor)
  if (run.status === 1) return undefined
  const reason = run.error ? run.error.message : String(run.stderr).trim()
  throw new Error(
    `The folder of ${file} could not be locked (${reason}). The embedded database needs the program flock ` +
      '(package util-linux) and a file system with locks; or set DB_URL to a PostgreSQL server.',
  )
}

// Neither is in fs.constants. macOS: O_EXLOCK | O_NONBLOCK. Windows: libuv's UV_FS_O_EXLOCK, "share with nobody".
const exclusiveFlags = process.platform === 'win32' ? 0x10000000 : 0x20 | 0x4
const O_RDWR_CREAT = process.platform === 'win32' ? 0x2 | 0x100 : 0x2 | 0x200

/** macOS, the BSDs and Windows lock at opening. */
function lockByOpening(file: string): number | undefined {
  try {
    return openSync(file, O_RDWR_CREAT | exclusiveFlags)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EAGAIN' || code === 'EWOULDBLOCK' || code === 'EBUSY') return undefined
    throw error
  }
}

function readOwner(ownerFile: string): string {
  try {
    return readFileSync(ownerFile, 'utf8') || 'another process'
  } catch {
    return 'another process'
  }
}
