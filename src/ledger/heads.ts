import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, writeWhole } from '../shared/files.ts'
import type { Logger } from '../shared/log.ts'

/** The last entry of the chain: its number and its mac in hexadecimal. */
export interface Head {
  seq: number
  mac: string
}

/**
 * The ledger's head outside the database. Without it nobody could tell that the last entries were cut off: what is left
 * is a whole chain. Written at most half a second after a commit, so that a check-in does not wait for one more file.
 */
export interface HeadStore {
  /** Undefined before the first one. Rejects with a sentence when its file is damaged. */
  read(): Promise<Head | undefined>
  /** The heads that were exported day by day. Rejects with a sentence when their file is damaged. */
  exported(): Promise<(Head & { date: string })[]>
  moved(head: Head): void
  /** From now on the head of the database is not believed, and not written. */
  distrust(): void
  accept(head: Head): Promise<void>
  exportDaily(head: Head, now: Date): Promise<void>
  close(): Promise<void>
}

const WRITE_AFTER_MS = 500

/** Where the newest head is, beside the keys. */
export const headFile = (keyFolder: string) => join(keyFolder, 'ledger-head.json')

/** `holds` tells whether the database's ledger has this very entry. */
export function openHeadStore(
  keyFolder: string,
  headsFile: string,
  log: Logger,
  holds: (head: Head) => Promise<boolean>,
): HeadStore {
  const path = headFile(keyFolder)
  let newest: Head | undefined
  let timer: NodeJS.Timeout | undefined
  let trusted = true
  let writing: Promise<void> = Promise.resolve()

  async function read(): Promise<Head | undefined> {
    try {
      const text = await readIfThere(path)
      return text && (JSON.parse(text.toString()) as Head)
    } catch (error) {
      throw new Error(
        `The file ${path}, which tells where the ledger ends, is damaged. What was cut off the end since the last head of ` +
          `${headsFile} cannot be told.`,
        { cause: error },
      )
    }
  }

  const write = (head: Head) => writeWhole(path, JSON.stringify(head))

  function writeSoon(): void {
    timer ??= setTimeout(() => void flush(), WRITE_AFTER_MS)
    timer.unref()
  }

  function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    writing = writing.then(async () => {
      const head = newest
      if (!head || !trusted) return
      try {
        // Another process of the server may have entered more.
        const known = await read()
        // The end may have been cut off under this very server: then what it entered since must not cover it up.
        if (known && !(await holds(known))) {
          trusted = false
          log.error(
            { outside: known.seq },
            'the ledger no longer holds its last known entry. Run: rollcall verify',
          )
          return
        }
        if (!known || known.seq < head.seq) await write(head)
        if (newest === head) newest = undefined
      } catch (error) {
        log.error({ err: error }, "the ledger's head could not be written outside the database")
      }
    })
    return writing
  }

  return {
    read,
    async exported() {
      const text = (await readIfThere(headsFile))?.toString() ?? ''
      const lines = text.split('\n').filter(Boolean)
      return lines.map((line, index) => {
        try {
          return JSON.parse(line)
        } catch (error) {
          throw new Error(
            `Line ${index + 1} of ${headsFile} is damaged. Put back the file's copy, or take that line out.`,
            { cause: error },
          )
        }
      })
    },
    moved(head) {
      if (!newest || newest.seq < head.seq) newest = head
      writeSoon()
    },
    distrust() {
      trusted = false
    },
    async accept(head) {
      await writing
      await write(head)
      newest = undefined
      trusted = true
    },
    async exportDaily(head, now) {
      const date = now.toISOString().slice(0, 10)
      if (head.seq === 0 || !trusted || (await this.exported()).some((line) => line.date === date)) return
      await appendFile(headsFile, `${JSON.stringify({ date, ...head })}\n`, { mode: 0o600, flush: true })
      // A log that is collected elsewhere is one more place that the database's owner does not reach.
      log.info({ date, ...head }, "head of the ledger, to be kept outside this machine's reach")
    },
    close: () => flush(),
  }
}
