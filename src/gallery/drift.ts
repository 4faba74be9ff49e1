import { setImmediate as turn } from 'node:timers/promises'
import type { Database } from '../database/tables.ts'
import type { Pack } from '../face/packs/pack.ts'
import { type Change, note } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import type { Logger } from '../shared/log.ts'
import type { Vault } from '../vault/vault.ts'
import { adrift } from './adapt.ts'
import type { Candidate, Gallery, Vote } from './gallery.ts'
import type { PhotoStore } from './photo-store.ts'
import {
  type ActiveTemplate,
  ADMIN_SLOT,
  activeTemplates,
  deleteTemplate,
  deleteUnusedPhotos,
  findPerson,
  learnedTemplates,
  peopleWithLearned,
} from './templates.ts'

export interface DriftDeps {
  db: Database
  /** By the server itself. */
  change: Change
  vault: Vault
  photos: PhotoStore
  gallery: Gallery
  engine: { pack: Pack }
  clock: Clock
  log: Logger
}

/** So many people's templates are in memory at once. */
const PEOPLE_AT_ONCE = 100
/** How many people are asked for at first; whose template has drifted resembles hardly more than one. */
const NEAREST = 8

/**
 * Removes the learned templates that have drifted, of the people given or of all: see `adrift`. Each removal leaves an
 * audit row that says why. Resolves to how many it removed.
 */
export async function guardTemplates(deps: DriftDeps, employeeIds?: readonly string[]): Promise<number> {
  const { db, engine } = deps
  const people = employeeIds ?? (await peopleWithLearned(db, engine.pack.name))
  let removed = 0
  for (let i = 0; i < people.length; i += PEOPLE_AT_ONCE) {
    const page = people.slice(i, i + PEOPLE_AT_ONCE)
    for (const template of await learnedTemplates(deps, engine.pack.name, page)) {
      if (await guardTemplate(deps, template)) removed++
      // Each is a search of the whole gallery: those who stand at a kiosk come first.
      await turn()
    }
  }
  return removed
}

/**
 * The same after the photos of one person have changed: for their own templates, and for those of people whom they are
 * now taken for. A learned template that is nearer to the new photos than to those of its person is as sure of them as it
 * was of that person, and so is found by a search for them. Faults are logged: what was changed stands.
 */
export async function guardAround(deps: Omit<DriftDeps, 'change'>, change: Change, employeeId: string) {
  const { gallery, engine, log } = deps
  try {
    const { templates } = await activeTemplates(deps, engine.pack.name, { employeeId })
    const own = templates.find(({ slot }) => slot === ADMIN_SLOT)
    if (!own) return
    const { threshold } = gallery.limits
    const around = gallery
      .nearest(voteOf(deps, own.vector), NEAREST)
      .filter(({ confidence }) => confidence >= threshold)
    const people = new Set([employeeId, ...around.map((other) => other.employeeId)])
    await guardTemplates({ ...deps, change }, [...people])
  } catch (error) {
    log.error(
      { err: error },
      'learned templates could not be compared with a new photo; the nightly run does it',
    )
  }
}

const voteOf = ({ engine }: Pick<DriftDeps, 'engine'>, vector: Float32Array): Vote => ({
  pack: engine.pack.name,
  vector,
  weight: 1,
})

/** Removes a learned template if it has drifted. Resolves to whether it did. */
async function guardTemplate(deps: DriftDeps, template: ActiveTemplate): Promise<boolean> {
  const { gallery, change, photos, log } = deps
  const { id, employeeId, slot } = template
  const vote = voteOf(deps, template.vector)
  const own = byPhotos(gallery, vote, employeeId)
  // Somebody whom this process has not read yet is none of its business.
  if (!own) return false
  const { other, threshold } = nearestOther(gallery, vote, own)
  const why = adrift(own, other, threshold)
  if (why === undefined) return false
  const files = await change(async (trx) => {
    await findPerson(trx, employeeId, true)
    if (!(await deleteTemplate(trx, employeeId, id))) return undefined
    await note(trx, {
      action: 'drift',
      subject_kind: 'face_templates',
      subject: employeeId,
      details: {
        template: id,
        slot,
        why,
        own_confidence: own.confidence,
        // Not who: a purge of that person must find their number nowhere else.
        nearest_confidence: other?.confidence ?? null,
      },
    })
    return deleteUnusedPhotos(trx, employeeId)
  })
  if (files === undefined) return false
  await gallery.refresh(employeeId)
  await photos.remove(files)
  log.warn({ template: id, why }, 'a learned template was removed')
  return true
}

/** What an administrator's template alone says of a face. */
export function byPhotos(gallery: Gallery, vote: Vote, employeeId: string): Candidate | undefined {
  return gallery.templatesOf(vote, employeeId).find(({ slot }) => slot === ADMIN_SLOT)
}

/**
 * Who else's administrator's template is nearest to a face, of those who are at least as near as its own; exact. Whoever
 * is further with the best of all their templates is so with that one too.
 */
function nearestOther(
  gallery: Gallery,
  vote: Vote,
  own: Candidate,
): { other: Candidate | undefined; threshold: number } {
  const isNear = ({ minusLog10Fmr }: Candidate) => minusLog10Fmr >= own.minusLog10Fmr
  for (let top = NEAREST; ; top *= 4) {
    const { candidates, threshold } = gallery.identify([vote], top)
    const near = candidates.filter(isNear)
    if (near.length === top) continue
    const [other] = near
      .filter(({ employeeId }) => employeeId !== own.employeeId)
      .flatMap(({ employeeId }) => byPhotos(gallery, vote, employeeId) ?? [])
      .filter(isNear)
      .sort((one, two) => two.minusLog10Fmr - one.minusLog10Fmr)
    return { other, threshold }
  }
}
