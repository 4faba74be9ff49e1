import { join } from 'node:path'
import { pastChecks } from '../../src/attendance/past-checks.ts'
import type { Database } from '../../src/database/tables.ts'
import { type FaceEngine, startEngine } from '../../src/face/engine.ts'
import { findPack } from '../../src/face/packs/catalogue.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { openGallery } from '../../src/gallery/gallery.ts'
import { createModelSwitch, type ModelSwitch, type SwitchDeps } from '../../src/gallery/model-switch.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { AppError } from '../../src/shared/errors.ts'

/** The embedded pack's networks under another name: to everything but the networks it is another pack. */
export const secondPack = { ...humanV1, name: 'second' }

/** Real networks of another kind, where there is measuring data; a folder that is never part of the project. */
const weights = process.env.EVAL_DATA && join(process.env.EVAL_DATA, 'models')
export const otherPack = findPack('test-mobilefacenet')!

/** Loaded once for all applications of a test file. */
const engines: Record<string, Promise<FaceEngine>> = {}

/**
 * The change of models of an application under test, with two packs: the embedded one and the second;
 * and where there is measuring data with the other one.
 */
export function testSwitch(
  given: Omit<SwitchDeps, 'unusable' | 'open' | 'threads' | 'shared' | 'checks'> & Partial<SwitchDeps>,
): ModelSwitch {
  const { db, vault, photos, ledger, clock, log } = given
  const packs = weights ? [humanV1, secondPack, otherPack] : [humanV1, secondPack]
  return createModelSwitch({
    unusable: (name) =>
      packs.some((pack) => pack.name === name) ? undefined : new AppError('pack_unknown', 'No such pack.'),
    open: async (name) => {
      const modelPath = name === otherPack.name ? weights : undefined
      engines[name] ??= startEngine({ pack: packs.find((pack) => pack.name === name), modelPath })
      const engine = { ...(await engines[name]), close: async () => {} }
      const change = ledger.by(serverAuthor)
      const gallery = await openGallery({ db, vault, change, pack: engine.pack, clock, log, threshold: 0.65 })
      return { engine, gallery }
    },
    threads: 1,
    shared: false,
    checks: pastChecks({ db, photos, vault, clock }),
    ...given,
  })
}

/** How many vectors of stored photos there are of a pack. */
export async function embedded(db: Database, pack: string): Promise<number> {
  const rows = await db.selectFrom('sample_embeddings').select('sample_id').where('pack', '=', pack).execute()
  return rows.length
}
