import { setTimeout as sleep } from 'node:timers/promises'
import { type Selectable, sql } from 'kysely'
import { isConnectionError } from '../database/errors.ts'
import type { Database, DatabaseTransaction, ModelSwitchesTable } from '../database/tables.ts'
import { packs } from '../face/packs/catalogue.ts'
import type { Pack } from '../face/packs/pack.ts'
import type { Analysis } from '../face/pipeline.ts'
import { type Change, type Ledger, serverAuthor } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { WorkQueue } from '../shared/work-queue.ts'
import type { Vault } from '../vault/vault.ts'
import { activePack, holdPack, holdPackAlone } from './active-pack.ts'
import { closeModels, type Models, type ModelsInUse } from './models.ts'
import { type Checks, type Comparison, comparePacks, unrecognisable } from './pack-comparison.ts'
import type { PhotoStore } from './photo-store.ts'
import { embedPerson, lagOf, type Skipped } from './re-embed.ts'

// A change of the model pack: everybody is embedded anew beside the pack in use, then all processes change over.

export interface SwitchDeps {
  db: Database
  vault: Vault
  photos: PhotoStore
  ledger: Ledger
  clock: Clock
  log: Logger
  /** Where pictures wait for the networks in use: those at the kiosks go first. */
  queue: WorkQueue
  /** Undefined where the pack in use cannot be loaded: then nothing is compared with it. */
  models: ModelsInUse | undefined
  /** What of a pack is missing on this machine; undefined where it can be used. */
  unusable(pack: string): AppError | undefined
  /** Loads a pack's networks in so many threads, and its gallery. */
  open(pack: string, threads: number): Promise<Models>
  /** How many threads the networks in use have. */
  threads: number
  /** Whether other processes work on the same database. */
  shared: boolean
  checks: Checks
}

/** What the row of a switch tells beside its columns. */
export interface SwitchReport {
  /** Photos of which the new pack can make nothing. */
  skipped: Skipped[]
  /** When the embedding was taken up last, and how far it was then. */
  resumed: { at: string; done: number } | null
  /** People who would not be recognised any more, and why. */
  unrecognisable: { employee_id: string; reason: string }[]
  /** Null until the switch is ready, and where the pack in use cannot be loaded. */
  comparison: Comparison | null
  /** The confidence from which a person is recognised, at the present number of people. */
  thresholds: { from: number | null; to: number } | null
}

export type SwitchRow = Omit<Selectable<ModelSwitchesTable>, 'report'> & { report: SwitchReport }

/** A pack, and whether this machine can use it. */
export interface PackState {
  pack: Pack
  inUse: boolean
  /** What is missing for it, and what to do about it. */
  unusable: AppError | undefined
}

export interface ModelSwitch {
  /**
   * Begins a change to another pack. Rejects with `pack_unknown`, `pack_not_installed`,
   * `pack_licence_not_accepted`, `pack_not_measured`, `pack_in_use` or `switch_running`.
   */
  start(change: Change, by: string, pack: string): Promise<SwitchRow>
  /** Gives it up. What is embedded stays. Rejects with `switch_not_found` when none is open. */
  cancel(change: Change): Promise<SwitchRow>
  /**
   * Takes the new pack into use. Rejects with `switch_not_found` or `switch_not_ready`, or with `model_failure` when its
   * networks fail: then the old one stays.
   */
  confirm(change: Change): Promise<SwitchRow>
  /** Every pack that there is, the one in use first. */
  packs(): Promise<PackState[]>
  /** All of them, newest first: where one is open it is the first. */
  list(): Promise<SwitchRow[]>
  /** Does what there is to do now, unless another process does it. */
  work(): Promise<void>
  /** Takes the pack into use that the database says is in use. */
  follow(): Promise<void>
  /** Goes on with an open switch, and looks for one from time to time. Returns the function that ends it. */
  run(): () => Promise<void>
}

/** The key of the advisory lock of the process that embeds; any fixed number would do. */
const workLock = 7_265_557
/** How often a process looks whether there is something to do that another one has left. */
const POLL_MS = 5_000
/** So few people may be embedded while all enrolments wait. */
const FEW = 2
/** The longest that a photo waits while kiosks are busy: otherwise it would never end on a busy day. */
const PATIENCE_MS = 2_000
const PAUSE_MS = 50

const noReport: SwitchReport = {
  skipped: [],
  resumed: null,
  unrecognisable: [],
  comparison: null,
  thresholds: null,
}

/** The work was to end, or the switch was cancelled. */
class Ended extends Error {}

export function createModelSwitch(deps: SwitchDeps): ModelSwitch {
  const { db, clock, log, queue, models } = deps
  const server = deps.ledger.by(serverAuthor)
  const closing = new AbortController()
  let wake = () => {}
  /** One change of the models in use after the other. */
  let changing: Promise<unknown> = Promise.resolve()

  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = changing.then(work)
    changing = result.catch(() => {})
    return result
  }

  const pause = (ms: number) => sleep(ms, undefined, { ref: false, signal: closing.signal }).catch(() => {})

  async function turn(): Promise<void> {
    for (let waited = 0; waited < PATIENCE_MS && queue.running + queue.waiting > 0; waited += PAUSE_MS)
      await pause(PAUSE_MS)
    if (closing.signal.aborted) throw new Ended()
  }

  // ---------------------------------------------------------------- the work in the background

  /** One process at a time. */
  async function alone(work: () => Promise<void>): Promise<void> {
    if (!deps.shared) return work()
    // The lock ends with its connection, and so with a process that dies.
    await db.connection().execute(async (connection) => {
      const { rows } = await sql<{ held: boolean }>`
        SELECT pg_try_advisory_lock(${workLock}) AS held`.execute(connection)
      if (!rows[0]!.held) return
      try {
        await work()
      } finally {
        await sql`SELECT pg_advisory_unlock(${workLock})`.execute(connection)
      }
    })
  }

  async function work(): Promise<void> {
    if ((await findOpen(db))?.state !== 'embedding') return
    await alone(async () => {
      const row = await findOpen(db)
      if (row?.state !== 'embedding') return
      const next = await deps.open(row.to_pack, 1).catch((error: unknown) => {
        // That is not the pack's fault.
        if (isConnectionError(error)) throw error
        return fail(row, error)
      })
      if (!next) return
      try {
        await prepare(row, next)
      } catch (error) {
        if (!(error instanceof Ended)) throw error
      } finally {
        await closeModels(next)
      }
    })
  }

  async function fail(row: SwitchRow, error: unknown): Promise<undefined> {
    log.error({ err: error, pack: row.to_pack }, 'the model pack cannot be loaded; it is not switched to')
    await server(async (trx) => {
      await trx
        .updateTable('model_switches')
        .set({
          state: 'failed',
          finished_at: clock.now(),
          error: `The model pack ${row.to_pack} cannot be loaded. Look at its files: rollcall models verify ${row.to_pack}`,
        })
        .where('id', '=', row.id)
        .where('state', '=', 'embedding')
        .execute()
    })
  }

  /** Embeds everybody, and compares the packs. */
  async function prepare(row: SwitchRow, next: Models): Promise<void> {
    const skipped = [...row.report.skipped]
    const change = { ...deps, engine: next.engine }
    let resumed: SwitchReport['resumed'] = null
    for (;;) {
      const lag = await lagOf(db, row, skipped)
      let { done } = lag
      resumed ??= { at: clock.now().toISOString(), done }
      await saveProgress(row.id, lag.total, done, { ...noReport, skipped, resumed })
      if (lag.people.length === 0) break
      for (const person of lag.people) {
        skipped.push(...(await embedPerson(change, server, row, person, turn)))
        done += person.samples.length
        await saveProgress(row.id, lag.total, done, { ...noReport, skipped, resumed })
      }
    }
    await next.gallery.reload()
    await next.gallery.settled()
    const report = { skipped, resumed, ...(await judge(row, next, skipped)) }
    await server(async (trx) => {
      await trx
        .updateTable('model_switches')
        .set({ state: 'ready', report: JSON.stringify(report) })
        .where('id', '=', row.id)
        .where('state', '=', 'embedding')
        .execute()
    })
  }

  /** Rejects when the switch is not under way any more. */
  async function saveProgress(id: number, total: number, done: number, report: SwitchReport): Promise<void> {
    if (closing.signal.aborted) throw new Ended()
    const { numUpdatedRows } = await db
      .updateTable('model_switches')
      .set({ total, done: Math.min(done, total), report: JSON.stringify(report) })
      .where('id', '=', id)
      .where('state', '=', 'embedding')
      .executeTakeFirst()
    if (numUpdatedRows === 0n) throw new Ended()
  }

  async function judge(
    row: SwitchRow,
    next: Models,
    skipped: readonly Skipped[],
  ): Promise<Omit<SwitchReport, 'skipped' | 'resumed'>> {
    const reasonOf = (employeeId: string) =>
      skipped.find(({ employee_id }) => employee_id === employeeId)?.reason ?? 'no_photos'
    const comparison =
      models &&
      (await comparePacks({ ...deps, from: models, to: next, look: lookWithOld, turn }, clock.now()))
    return {
      unrecognisable: (await unrecognisable(db, row)).map((employee_id) => ({
        employee_id,
        reason: reasonOf(employee_id),
      })),
      comparison: comparison ?? null,
      thresholds: { from: models?.gallery.limits.threshold ?? null, to: next.gallery.limits.threshold },
    }
  }

  async function lookWithOld(jpeg: Uint8Array): Promise<Analysis> {
    for (;;) {
      await turn()
      try {
        return await queue.run('model switch', () => models!.engine.analyse(jpeg))
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'overloaded') throw error
      }
    }
  }

  // ---------------------------------------------------------------- the change itself

  /** Makes the new pack the one in use, once nobody lacks anything in it. */
  async function commit(row: SwitchRow, next: Models, change: Change): Promise<void> {
    const skipped = [...row.report.skipped]
    const within = { ...deps, engine: next.engine }
    const atOnce = async () => {}
    for (;;) {
      const left = await change(async (trx) => {
        await holdPackAlone(trx)
        const { total, done, people } = await lagOf(trx, row, skipped)
        if (people.length > FEW) return people
        // Those who were enrolled in the last moment, while the next ones wait.
        const inside = { ...within, db: trx }
        for (const person of people)
          skipped.push(...(await embedPerson(inside, (work) => work(trx), row, person, atOnce)))
        await switchTo(trx, row, { total, done, report: { ...row.report, skipped } })
        return people
      })
      if (left.length <= FEW) {
        for (const { employeeId } of left) await next.gallery.refresh(employeeId)
        return
      }
      for (const person of left) {
        skipped.push(...(await embedPerson(within, change, row, person, atOnce)))
        await next.gallery.refresh(person.employeeId)
      }
    }
  }

  async function switchTo(
    trx: DatabaseTransaction,
    row: SwitchRow,
    { total, report }: { total: number; done: number; report: SwitchReport },
  ): Promise<void> {
    const { numUpdatedRows } = await trx
      .updateTable('model_switches')
      .set({
        state: 'switched',
        finished_at: clock.now(),
        total,
        done: total,
        report: JSON.stringify(report),
      })
      .where('id', '=', row.id)
      .where('state', '=', 'ready')
      .executeTakeFirst()
    if (numUpdatedRows === 0n) throw notReady()
  }

  const modelSwitch: ModelSwitch = {
    async packs() {
      const active = await activePack(db)
      return packs
        .map((pack) => ({ pack, inUse: pack.name === active, unusable: deps.unusable(pack.name) }))
        .sort((one, other) => Number(other.inUse) - Number(one.inUse))
    },

    async start(change, by, pack) {
      const refused = deps.unusable(pack)
      if (refused) throw refused
      const row = await change(async (trx) => {
        const from_pack = await activePack(trx)
        await holdPack(trx, from_pack)
        if (pack === from_pack) throw new AppError('pack_in_use', `The model pack ${pack} is in use already.`)
        const inserted = await trx
          .insertInto('model_switches')
          .values({
            from_pack,
            to_pack: pack,
            state: 'embedding',
            report: JSON.stringify(noReport),
            started_at: clock.now(),
            started_by: by,
          })
          .onConflict((conflict) => conflict.doNothing())
          .returning('id')
          .executeTakeFirst()
        if (!inserted) throw running()
        return findSwitch(trx, inserted.id)
      })
      wake()
      return row
    },

    async cancel(change) {
      return change(async (trx) => {
        const row = await findOpen(trx)
        if (!row) throw noSwitch()
        await trx
          .updateTable('model_switches')
          .set({ state: 'cancelled', finished_at: clock.now() })
          .where('id', '=', row.id)
          .where('finished_at', 'is', null)
          .execute()
        return findSwitch(trx, row.id)
      })
    },

    confirm: (change) =>
      inTurn(async () => {
        const row = await findOpen(db)
        if (!row) throw noSwitch()
        if (row.state !== 'ready') throw notReady()
        const refused = deps.unusable(row.to_pack)
        if (refused) throw refused
        const next = await deps.open(row.to_pack, deps.threads)
        if (models) await models.replace(next, () => commit(row, next, change))
        else await commit(row, next, change).finally(() => closeModels(next))
        log.info({ pack: row.to_pack, before: row.from_pack }, 'the face models were changed')
        return findSwitch(db, row.id)
      }),

    list: () => listSwitches(db),
    work,

    follow: () =>
      inTurn(async () => {
        const pack = await activePack(db)
        if (!models || pack === models.engine.pack.name) return
        const next = await deps.open(pack, deps.threads)
        await models.replace(next, async () => {})
        log.info({ pack }, 'the face models were changed by another process')
      }),

    run() {
      async function loop(): Promise<void> {
        while (!closing.signal.aborted) {
          try {
            await modelSwitch.follow()
            await work()
          } catch (error) {
            log.error({ err: error }, 'the change of the face models does not go on; trying again')
          }
          await Promise.race([
            pause(POLL_MS),
            new Promise<void>((resolve) => {
              wake = resolve
            }),
          ])
        }
      }
      const looping = loop()
      return async () => {
        closing.abort()
        await looping
        await changing
      }
    },
  }
  return modelSwitch
}

type Row = Selectable<ModelSwitchesTable>
const withReport = (row: Row) => ({ ...row, report: { ...noReport, ...row.report } }) as SwitchRow

/** All switches, newest first. */
async function listSwitches(db: Database): Promise<SwitchRow[]> {
  return (await db.selectFrom('model_switches').selectAll().orderBy('id', 'desc').execute()).map(withReport)
}

async function findSwitch(db: Database | DatabaseTransaction, id: number): Promise<SwitchRow> {
  const query = db.selectFrom('model_switches').selectAll().where('id', '=', id)
  return withReport(await query.executeTakeFirstOrThrow())
}

/** The switch that is under way, if there is one. */
async function findOpen(db: Database | DatabaseTransaction): Promise<SwitchRow | undefined> {
  const query = db.selectFrom('model_switches').selectAll().where('finished_at', 'is', null)
  const row = await query.executeTakeFirst()
  return row && withReport(row)
}

/** How long the embedding takes at its present pace; null while it has none. */
export function secondsLeft({ state, total, done, report }: SwitchRow, now: Date): number | null {
  const { resumed } = report
  if (state !== 'embedding' || !resumed || done <= resumed.done) return null
  const seconds = (now.getTime() - new Date(resumed.at).getTime()) / 1000
  return (seconds / (done - resumed.done)) * (total - done)
}

const running = () =>
  new AppError('switch_running', 'The models are being changed already. Confirm or cancel that first.')

const noSwitch = () => new AppError('switch_not_found', 'No change of the models is under way.')

const notReady = () =>
  new AppError('switch_not_ready', 'Not everybody is embedded yet, or it was cancelled. Look at its state.')
