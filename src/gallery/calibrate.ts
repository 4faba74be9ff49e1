import type { Database } from '../database/tables.ts'
import { centredLength, centringMean, fuse } from '../face/embed.ts'
import type { Pack } from '../face/packs/pack.ts'
import type { Change } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { Vault } from '../vault/vault.ts'
import {
  drawCohort,
  drawCompared,
  insertCalibration,
  MIN_PEOPLE_FOR_MEAN,
  newestId,
  thresholdsOf,
} from './calibration.ts'
import { type Enrolled, measureSite } from './calibration-scores.ts'
import { lookAlikesAmong } from './look-alikes.ts'
import { ADMIN_SLOT, byPerson, everybodysTemplates } from './templates.ts'

export interface CalibrateDeps {
  db: Database
  vault: Vault
  change: Change
  pack: Pack
  clock: Clock
  log: Logger
  /** FACE_RECOGNITION_THRESHOLD. */
  threshold: number
  stopping: AbortSignal
}

/**
 * Makes a calibration of the gallery as it is now: mean and cohort, how its people are taken for each other, and who is
 * too alike. It is written as one row at the end, so that one that was broken off leaves the one before in force; where
 * another process was faster nothing is written. Rejects with `too_few_people` below ten, and when `stopping` is aborted.
 */
export async function calibrateGallery(deps: CalibrateDeps): Promise<void> {
  const { pack, clock, log } = deps
  const after = await newestId(deps.db, pack.name)
  const { employeeIds, mean } = await meanOfEverybody(deps)
  const people = employeeIds.length
  if (people < MIN_PEOPLE_FOR_MEAN)
    throw new AppError(
      'too_few_people',
      `A calibration takes ${MIN_PEOPLE_FOR_MEAN} active people with a template, and there are ${people}.`,
    )
  const cohort = drawCohort(employeeIds)
  const enrolled = await fusedTemplates(deps, drawCompared(employeeIds), mean)
  const scores = await measureSite(deps, enrolled, mean, cohort)
  const { tail, curves, comparisons, highest } = scores
  const { threshold } = thresholdsOf(deps.threshold, people, { tail, lowered: false })
  const id = await insertCalibration(
    deps,
    pack.name,
    {
      people,
      mean,
      cohort,
      report: {
        scale: cohort ? 'normalised' : 'raw',
        compared: enrolled.length,
        comparisons,
        tail,
        curves,
      },
      lookAlikes: lookAlikesAmong(scores.people, highest, threshold),
    },
    after,
    clock.now(),
  )
  if (id !== undefined)
    log.info({ calibration: id, people, comparisons, normalised: cohort !== null }, 'gallery calibrated')
}

/** The mean over one stored vector a person. */
async function meanOfEverybody(
  deps: CalibrateDeps,
): Promise<{ mean: Float32Array<ArrayBuffer>; employeeIds: string[] }> {
  const sum = new Float64Array(centredLength(deps.pack.embedders))
  const employeeIds: string[] = []
  for await (const page of everybodysTemplates(deps, deps.pack.name))
    for (const [first] of byPerson(page.templates)) {
      employeeIds.push(first.employeeId)
      const own = centringMean(deps.pack.embedders, [first.vector])
      for (let i = 0; i < sum.length; i++) sum[i] += own[i]
    }
  return { mean: Float32Array.from(sum, (value) => value / employeeIds.length), employeeIds }
}

/** The templates of some people as they are compared, in the order of their ids; who has left meanwhile is left out. */
async function fusedTemplates(
  deps: CalibrateDeps,
  employeeIds: readonly string[],
  mean: Float32Array,
): Promise<Enrolled[]> {
  const { embedders, name } = deps.pack
  const wanted = new Map<string, Enrolled | undefined>(employeeIds.map((id) => [id, undefined]))
  for await (const page of everybodysTemplates(deps, name))
    for (const own of byPerson(page.templates)) {
      const { employeeId } = own[0]
      if (!wanted.has(employeeId)) continue
      const templates = own.map(({ vector }) => fuse(embedders, vector, mean))
      const admin = templates[own.findIndex(({ slot }) => slot === ADMIN_SLOT)]
      wanted.set(employeeId, { employeeId, templates, admin })
    }
  return [...wanted.values()].filter((one) => one !== undefined)
}
