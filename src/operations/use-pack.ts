import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { pastChecks } from '../attendance/past-checks.ts'
import { openDatabase } from '../database/connect.ts'
import { migrateToLatest } from '../database/migrate.ts'
import { announceServer } from '../database/serving.ts'
import { modelLoader } from '../gallery/model-loader.ts'
import { createModelSwitch, type ModelSwitch, type SwitchRow } from '../gallery/model-switch.ts'
import { type ModelsInUse, useModels } from '../gallery/models.ts'
import { openPhotoStore } from '../gallery/photo-store.ts'
import { openKeys } from '../keys.ts'
import { cliAuthor } from '../ledger/ledger.ts'
import { type Clock, systemClock } from '../shared/clock.ts'
import type { Config } from '../shared/config.ts'
import { AppError } from '../shared/errors.ts'
import { createLogger } from '../shared/log.ts'
import { createWorkQueue } from '../shared/work-queue.ts'
import { backUpBeforeMigration } from './keeping.ts'
import { progressBar } from './progress-bar.ts'

const LOOK_MS = 300

/**
 * Changes the model pack from the command line: embeds everybody anew, prints the report, asks, and takes the pack into
 * use. Killed at any point, it goes on where it was when it is run again. Rejects with an Error for the operator.
 */
export async function usePack(
  config: Config,
  version: string,
  pack: string,
  yes: boolean,
  tell: (line: string) => void,
): Promise<void> {
  const log = createLogger({ level: 'error' })
  const clock: Clock = systemClock
  const database = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR }).catch(
    (error: Error) => {
      throw / is in use by /.test(error.message) ? heldByServer(error, pack) : error
    },
  )
  const undo = [() => database.close()]
  try {
    const { db } = database
    // Keeps a restore away until it is done.
    undo.push(await announceServer(config.DB_URL, log))
    await backUpBeforeMigration(config, db, version, clock, tell)
    await migrateToLatest(db)
    const { vault, ledger } = await openKeys(config, db, clock, log)
    undo.push(() => ledger.close())
    const { MODEL_PATH: modelPath, FACE_RECOGNITION_THRESHOLD: threshold } = config
    const loader = modelLoader({ db, vault, ledger, clock, log, modelPath, threshold })
    let models: ModelsInUse | undefined
    try {
      const engine = await loader.openInUse(1)
      models = useModels({ engine, gallery: await loader.openGallery(engine) }, log)
      undo.push(() => models!.close())
    } catch (error) {
      tell((error as Error).message)
      tell('Without it nothing can be compared; going on.')
    }
    const { id } = await db.selectFrom('instance').select('id').executeTakeFirstOrThrow()
    const photos = await openPhotoStore(join(config.UPLOAD_DIR, id))
    const modelSwitch = createModelSwitch({
      ...loader,
      db,
      vault,
      photos,
      ledger,
      clock,
      log,
      // Nobody stands at a kiosk here.
      queue: createWorkQueue({ atOnce: 1, maxWaiting: 1, maxWaitingPerKey: 1, maxWaitMs: 60_000 }),
      models,
      threads: 1,
      shared: database.kind === 'postgresql',
      checks: pastChecks({ db, photos, vault, clock }),
    })
    const change = ledger.by(cliAuthor)
    const [newest] = await modelSwitch.list()
    if (newest?.finished_at !== null) await modelSwitch.start(change, cliAuthor.by, pack)
    else if (newest.to_pack !== pack)
      throw new AppError('switch_running', `A change to ${newest.to_pack} is under way. End that one first.`)
    const ready = await embed(modelSwitch)
    console.log(describe(ready))
    if (!(await mayGoOn(yes))) {
      await modelSwitch.cancel(change)
      return tell('Nothing was changed. What was embedded is kept for another time.')
    }
    await modelSwitch.confirm(change)
    tell(`The model pack in use is ${pack}. The way back: rollcall models use ${ready.from_pack}`)
  } finally {
    for (const step of undo.reverse()) await step()
  }
}

const heldByServer = (cause: Error, pack: string) =>
  new Error(
    'A running server has the embedded database. Stop it and run this again, or change the models there: ' +
      `POST /api/v1/recognition/models/switch with {"pack": "${pack}"}.`,
    { cause },
  )

/** Embeds everybody, or watches a server that does. Resolves to the switch once it is ready. */
async function embed(modelSwitch: ModelSwitch): Promise<SwitchRow> {
  const stop = modelSwitch.run()
  const bar = progressBar(process.stderr)
  const show = bar.begin('photos')
  try {
    for (;;) {
      const [row] = await modelSwitch.list()
      if (row!.state === 'ready') return row!
      if (row!.state !== 'embedding') throw new Error(row!.error ?? 'The change of the models was cancelled.')
      // Before somebody has counted them there is nothing to show.
      if (row!.total > 0) show(row!.done, row!.total)
      await sleep(LOOK_MS)
    }
  } finally {
    bar.end()
    await stop()
  }
}

/** The report, for a person. */
function describe({ from_pack, to_pack, total, report }: SwitchRow): string {
  const { skipped, unrecognisable, comparison, thresholds } = report
  const ms = (value: number | null) => (value === null ? 'not measured' : `${value.toFixed(0)} ms a picture`)
  const some = (ids: readonly number[]) =>
    ids.length === 0 ? '0' : `${ids.length} (${ids.slice(0, 10).join(', ')}${ids.length > 10 ? ', …' : ''})`
  const lines = [
    `${from_pack} -> ${to_pack}: ${total} photos embedded, ${skipped.length} of them cannot be used.`,
    ...skipped.map(
      ({ employee_id, sample_id, reason }) =>
        `  ${employee_id}, ${sample_id === null ? 'all photos' : `photo ${sample_id}`}: ${reason}`,
    ),
    `People who would not be recognised any more: ${unrecognisable.length}.`,
    ...unrecognisable.map(({ employee_id, reason }) => `  ${employee_id}: ${reason}`),
  ]
  if (thresholds)
    lines.push(
      `A person is recognised from a confidence of ${thresholds.from?.toFixed(2) ?? '?'} -> ${thresholds.to.toFixed(2)}.`,
    )
  if (!comparison) return [...lines, `Nothing was compared: ${from_pack} cannot be loaded.`].join('\n')
  const kept = comparison.basis === 'kept_pictures'
  lines.push(
    kept
      ? `Compared on ${comparison.compared} kept pictures of check-ins of the last 7 days, by the numbers of their decisions:`
      : `No site keeps pictures of check-ins: compared on ${comparison.compared} stored photos, each left out of its person:`,
    `  decided alike ${comparison.same}`,
    `  newly recognised ${some(comparison.newly_recognised)}`,
    `  no longer recognised ${some(comparison.no_longer_recognised)}`,
    `  taken for another person ${some(comparison.different_person)}`,
    `  not readable ${comparison.unreadable}`,
    `Speed: ${ms(comparison.from_ms)} -> ${ms(comparison.to_ms)}.`,
  )
  return lines.join('\n')
}

async function mayGoOn(yes: boolean): Promise<boolean> {
  if (yes) return true
  if (!process.stdin.isTTY)
    throw new Error('Nobody is here to be asked. To take the new pack into use run it again with --yes.')
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await asking.question('Take the new pack into use? [y/N] ')).trim())
  } finally {
    asking.close()
  }
}
