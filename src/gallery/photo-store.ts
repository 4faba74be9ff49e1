import { randomUUID } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { AppError } from '../shared/errors.ts'
import { isMissing, makeWithParents, readIfThere, writeWhole } from '../shared/files.ts'
import { open as openSealed, seal } from '../vault/seal.ts'

/** Where photos are kept as sealed files. Names are made here; nothing that a client sent is ever part of a path. */
export interface PhotoStore {
  /** Seals a photo and writes it, wholly on disk when it resolves. Returns the name it is kept under. */
  save(jpeg: Uint8Array, key: Buffer): Promise<string>
  /** The photo, or undefined when the file is gone. Rejects with `SealBroken` when it does not open. */
  read(name: string, key: Buffer): Promise<Buffer | undefined>
  /** The file as it is on disk: what an older version wrote is a plain picture. */
  readFile(name: string): Promise<Buffer | undefined>
  /** Removes photos; one that is gone already is no error. */
  remove(names: readonly string[]): Promise<void>
  /** Removes what no row names: left by a crash between the file and the row. Returns how many. */
  sweep(known: ReadonlySet<string>): Promise<number>
}

/** No photo opens in another one's place. */
const contextOf = (name: string) => `photo ${name}`

const photoName = /^[0-9a-f-]{36}\.jpg$/
/** What a crash leaves of one that was being written. */
const halfPhoto = /^[0-9a-f-]{36}\.jpg(\.[0-9a-f-]{36})?\.part$/
/** Younger strays may belong to an upload that is not committed yet. */
const STRAY_AGE_MS = 60 * 60 * 1000

export async function openPhotoStore(folder: string): Promise<PhotoStore> {
  await makeWithParents(resolve(folder))
  const pathOf = (name: string) => {
    if (!photoName.test(name)) throw new Error('this is not the name of a stored photo')
    return join(folder, name)
  }

  const readStored = async (name: string) => readIfThere(pathOf(name))

  return {
    async save(jpeg, key) {
      const name = `${randomUUID()}.jpg`
      try {
        await writeWhole(pathOf(name), seal(key, jpeg, contextOf(name)))
      } catch (cause) {
        throw new AppError(
          isFull(cause) ? 'storage_full' : 'storage_unavailable',
          'The photo could not be stored: the disk is full or cannot be written. Tell the administrator.',
          {},
          cause,
        )
      }
      return name
    },

    async read(name, key) {
      const sealed = await readStored(name)
      return sealed && openSealed(key, sealed, contextOf(name))
    },

    readFile: readStored,

    async remove(names) {
      for (const name of names) await rm(pathOf(name), { force: true })
    },

    async sweep(known) {
      let removed = 0
      for (const name of await readdir(folder)) {
        // Only names that were made here: a folder may hold other things.
        if (!(photoName.test(name) || halfPhoto.test(name)) || known.has(name)) continue
        if (!(await isOld(join(folder, name)))) continue
        await rm(join(folder, name), { force: true })
        removed++
      }
      return removed
    },
  }
}

/** False also for a file that was removed meanwhile. */
async function isOld(path: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path)
    return Date.now() - mtimeMs >= STRAY_AGE_MS
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

const isFull = (cause: unknown) => ['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '')
