import { existsSync } from 'node:fs'
import type { Database } from '../database/tables.ts'
import type { FaceEngine } from '../face/engine.ts'
import { startEnginePool } from '../face/engine-pool.ts'
import { findPack, packs } from '../face/packs/catalogue.ts'
import { humanV1 } from '../face/packs/human-v1.ts'
import { licenceRecord, placeOf } from '../face/packs/locate.ts'
import { measuredOf } from '../face/packs/measured.ts'
import { type Ledger, serverAuthor } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { Vault } from '../vault/vault.ts'
import { activePack } from './active-pack.ts'
import { type Gallery, openGallery } from './gallery.ts'
import type { Models } from './models.ts'

/** Loads the models of any pack that is on this machine. */
export interface ModelLoader {
  /**
   * What is missing for a pack, with what to do about it: `pack_unknown`, `pack_not_installed`,
   * `pack_licence_not_accepted`, `pack_not_measured`; undefined
   * where nothing is. A file that is there but altered is found when it is loaded.
   */
  unusable(pack: string): AppError | undefined
  /** Its networks in so many threads, and its gallery. Rejects when something of it is missing or altered. */
  open(pack: string, threads: number): Promise<Models>
  /**
   * The networks of the pack in use. Rejects with an Error that tells the operator how to install the pack and how to go
   * back from it: no other one ever takes its place by itself.
   */
  openInUse(threads: number): Promise<FaceEngine>
  /** The people, as an engine sees them. */
  openGallery(engine: FaceEngine): Promise<Gallery>
}

interface LoaderDeps {
  db: Database
  vault: Vault
  ledger: Ledger
  clock: Clock
  log: Logger
  /** MODEL_PATH. */
  modelPath: string
  /** FACE_RECOGNITION_THRESHOLD. */
  threshold: number
}

export function modelLoader(deps: LoaderDeps): ModelLoader {
  const { db, vault, ledger, clock, log, modelPath, threshold } = deps

  function unusable(name: string): AppError | undefined {
    const pack = findPack(name)
    if (!pack)
      return new AppError(
        'pack_unknown',
        `There is no model pack ${name}. There are: ${packs.map((one) => one.name).join(', ')}.`,
      )
    const missing = Object.values(pack.files).find((file) => !existsSync(placeOf(file, modelPath)))
    if (missing)
      return new AppError(
        'pack_not_installed',
        `The model pack ${name} is not installed: its file ${missing.path} is missing. Install it on the server's ` +
          `machine: rollcall models install ${name}`,
      )
    // Files that were put there by hand have asked nobody.
    if (pack.licence.mustBeAccepted && !existsSync(licenceRecord(name, modelPath)))
      return new AppError(
        'pack_licence_not_accepted',
        `The weights of the model pack ${name} are under this licence: ${pack.licence.name}. If your use is one that it ` +
          `allows, say so on the server's machine: rollcall models install ${name} --accept-licence`,
      )
    if (!measuredOf(pack, modelPath))
      return new AppError(
        'pack_not_measured',
        `Nobody has measured what a score of the model pack ${name} means. Measure it on the server's machine: ` +
          `rollcall models measure ${name} --faces DIR`,
      )
    return undefined
  }

  async function openEngine(name: string, threads: number): Promise<FaceEngine> {
    const refused = unusable(name)
    if (refused) throw refused
    return startEnginePool(threads, { pack: findPack(name), modelPath }, clock)
  }

  const openItsGallery = ({ pack }: FaceEngine) =>
    openGallery({ db, vault, change: ledger.by(serverAuthor), pack, clock, log, threshold })

  return {
    unusable,
    async open(name, threads) {
      const engine = await openEngine(name, threads)
      try {
        return { engine, gallery: await openItsGallery(engine) }
      } catch (error) {
        await engine.close()
        throw error
      }
    },
    async openInUse(threads) {
      const name = await activePack(db)
      try {
        return await openEngine(name, threads)
      } catch (cause) {
        if (name === humanV1.name) throw cause
        throw new Error(
          `The model pack in use, ${name}, cannot be loaded. ${(cause as Error).message}\n` +
            `Install it again with: rollcall models install ${name}\n` +
            `Or go back to the embedded pack with: rollcall models use ${humanV1.name}`,
          { cause },
        )
      }
    },
    openGallery: openItsGallery,
  }
}
