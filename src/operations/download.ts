import { createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { isMissing } from '../shared/files.ts'

/** How many bytes are there, of how many; undefined where the server does not say. */
export type Progress = (done: number, total: number | undefined) => void

/**
 * Downloads `url` into the file `part`, going on from what it holds already where the server can do that (RFC 9110,
 * section 14). Nothing vouches for the content: the caller compares its hash.
 * Rejects with a sentence when the server cannot be reached, refuses, or the connection is cut; `part` stays then.
 */
export async function download(url: string, part: string, progress: Progress): Promise<void> {
  const held = await sizeOf(part)
  const response = await ask(url, held)
  if (response.status === 416) {
    await response.body?.cancel()
    // What is there is all there is; or it is more than that, which its hash will tell.
    return
  }
  if (!response.ok || !response.body) {
    await response.body?.cancel()
    throw new Error(`${url} answers ${response.status} instead of the file.`)
  }
  // A server that ignores the range sends everything from the start.
  const goesOn = response.status === 206 && startOf(response) === held
  if (response.status === 206 && !goesOn) {
    await response.body.cancel()
    await rm(part, { force: true })
    throw new Error(`${url} answers with another part of the file than was asked for. Try again.`)
  }
  let done = goesOn ? held : 0
  const length = response.headers.get('content-length')
  const total = length === null ? undefined : done + Number(length)
  progress(done, total)
  try {
    await pipeline(
      response.body,
      async function* count(chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          done += chunk.length
          progress(done, total)
          yield chunk
        }
      },
      createWriteStream(part, { flags: goesOn ? 'a' : 'w' }),
    )
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall) throw cause
    throw new Error(
      `The download of ${url} was cut off after ${done} bytes. Run the same command again: it goes on from there.`,
      { cause },
    )
  }
}

async function ask(url: string, held: number): Promise<Response> {
  try {
    // Compressed on the way, a part of it could not be counted in bytes of the file.
    return await fetch(url, {
      headers: { 'accept-encoding': 'identity', ...(held > 0 && { range: `bytes=${held}-` }) },
    })
  } catch (cause) {
    throw new Error(`${new URL(url).host} cannot be reached.`, {
      cause: (cause as Error).cause ?? cause,
    })
  }
}

function startOf(response: Response): number | undefined {
  const [, start] = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '') ?? []
  return start === undefined ? undefined : Number(start)
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return 0
    throw error
  }
}
