import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import yazl from 'yazl'
import { makeWithParents, syncFolder } from '../shared/files.ts'

/** A ZIP that is being written beside its place, an entry at a time. */
export interface ArchiveWriter {
  /** Adds an entry as its content comes. Resolves to the SHA-256 of the content, in hexadecimal. */
  add(name: string, content: AsyncIterable<Uint8Array>, options?: { compress: boolean }): Promise<string>
  /** Ends the ZIP and writes it to disk, still beside its place. */
  end(): Promise<void>
  /** Gives it its name. From then on it is there, whole. */
  publish(): Promise<void>
  /** Removes what was written, unless it was published. */
  discard(): Promise<void>
}

/** Begins `path`.part (0600), and the folders above it (0700). Rejects with the file system's error. */
export async function createArchive(path: string): Promise<ArchiveWriter> {
  const half = `${path}.part`
  await makeWithParents(resolve(dirname(path)))
  await rm(half, { force: true })
  const zip = new yazl.ZipFile()
  const file = createWriteStream(half, { flags: 'wx', mode: 0o600, flush: true })
  const written = pipeline(zip.outputStream, file)
  // Whoever adds or ends is told; it must not end the process where nobody does at the moment.
  written.catch(() => {})

  return {
    async add(name, content, { compress } = { compress: true }) {
      const hash = createHash('sha256')
      const source = Readable.from(hashed(content, hash), { objectMode: false })
      zip.addReadStream(source, name, { compress, mode: 0o600 })
      // A full disk stops the output, and then nobody reads the source to its end.
      await Promise.race([finished(source, { writable: false }), written])
      return hash.digest('hex')
    },
    async end() {
      zip.end()
      await written
    },
    async publish() {
      await rename(half, path)
      await syncFolder(dirname(path))
    },
    async discard() {
      file.destroy()
      await written.catch(() => {})
      await rm(half, { force: true })
    },
  }
}

async function* hashed(content: AsyncIterable<Uint8Array>, hash: ReturnType<typeof createHash>) {
  for await (const chunk of content) {
    hash.update(chunk)
    yield chunk
  }
}

/** A ZIP as it is read. */
export interface ArchiveReader {
  /** Names of the entries. */
  names: string[]
  /** The content of an entry; undefined where there is none of this name. */
  read(name: string): Promise<Readable | undefined>
  close(): void
}

/** Opens a ZIP. Rejects when it is none, or was cut. */
export async function openArchive(path: string): Promise<ArchiveReader> {
  const zip: ZipFile = await openPromise(path, { autoClose: false, lazyEntries: true })
  try {
    const entries = new Map<string, Entry>()
    for await (const entry of zip.eachEntry()) {
      if (entries.has(entry.fileName)) throw new Error(`it holds ${entry.fileName} twice`)
      entries.set(entry.fileName, entry)
    }
    return {
      names: [...entries.keys()],
      read: async (name) => {
        const entry = entries.get(name)
        return entry && zip.openReadStreamPromise(entry)
      },
      close: () => zip.close(),
    }
  } catch (error) {
    zip.close()
    throw error
  }
}

/** The lines of a stream, without their ends. Not Node's readline: that also ends lines where Unicode would. */
export async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer[] = []
  for await (const chunk of stream) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, end)]).toString('utf8')
      rest = []
      start = end + 1
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
  }
  if (rest.length > 0) yield Buffer.concat(rest).toString('utf8')
}
