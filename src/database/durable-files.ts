import fs from 'node:fs'
import { join } from 'node:path'
import { NodeFS } from '@electric-sql/pglite/nodefs'

/** The parts of Emscripten's file system that are needed here. */
interface NodeFileModule {
  FS: { isFile(mode: number): boolean }
  NODEFS: {
    realPath(node: object): string
    /** Turns a Node error into the errno that PostgreSQL reads. */
    tryFSOperation<T>(operation: () => T): T
    stream_ops: { fsync?: (stream: { nfd: number; node: { mode: number } }) => number }
  }
}

/**
 * PGlite's file system on a folder, but one whose fsync reaches the disk: PGlite's own does nothing.
 * When the disk refuses, PostgreSQL learns of it and stops, as nothing that it wrote may be called safe.
 */
export function durableFileSystem(folder: string): NodeFS {
  const fileSystem = new NodeFS(folder)
  const init = fileSystem.init.bind(fileSystem)
  fileSystem.init = async (pg, options) => {
    const { emscriptenOpts } = await init(pg, options)
    const makeDurable = (module: NodeFileModule) => {
      module.NODEFS.stream_ops.fsync = (stream) => {
        return module.NODEFS.tryFSOperation(() => {
          if (module.FS.isFile(stream.node.mode)) fs.fdatasyncSync(stream.nfd)
          else syncFolder(module.NODEFS.realPath(stream.node))
          return 0
        })
      }
    }
    const preRun = [...(emscriptenOpts.preRun ?? []), makeDurable as (module: unknown) => void]
    return { emscriptenOpts: { ...emscriptenOpts, preRun } as typeof emscriptenOpts }
  }
  return fileSystem
}

/** Makes the names in a folder durable: a file whose name is lost is lost with it. */
export function syncFolder(path: string): void {
  // Windows cannot open a folder; NTFS keeps names in its journal.
  if (process.platform === 'win32') return
  const descriptor = fs.openSync(path, 'r')
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Makes every file and folder below `path` durable. */
export function syncTree(path: string): void {
  for (const entry of fs.readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) syncTree(child)
    else if (entry.isFile()) syncFile(child)
  }
  syncFolder(path)
}

function syncFile(path: string): void {
  const descriptor = fs.openSync(path, 'r+')
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}
