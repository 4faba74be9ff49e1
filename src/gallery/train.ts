import type { Face } from '../face/pipeline.ts'
import type { Change } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { holdPack } from './active-pack.ts'
import { guardAround } from './drift.ts'
import { type EnrolDeps, enrollableFace, rebuildTemplate } from './enrol.ts'
import { keyOf, readPhoto } from './person-key.ts'
import { findPerson, listSamples, peopleWithPhotos, type Sample, upsertSampleVector } from './templates.ts'

export interface Trained {
  trained: number
  skipped: { employee_id: string; reason: string }[]
}

/**
 * Looks at the stored photos again and makes the templates from what the networks see now: of the people given, or of all
 * who have photos. A photo that can no longer be read or used keeps what it gave before; a person of whom no photo can be
 * used is skipped.
 */
export async function train(
  deps: EnrolDeps,
  change: Change,
  employeeIds?: readonly string[],
): Promise<Trained> {
  const people = new Set(employeeIds ?? (await peopleWithPhotos(deps.db)))
  const result: Trained = { trained: 0, skipped: [] }
  for (const employee_id of people) {
    const reason = await trainPerson(deps, change, employee_id)
    if (reason === undefined) result.trained++
    else result.skipped.push({ employee_id, reason })
  }
  return result
}

/** Resolves to why the person was skipped, if they were. */
async function trainPerson(deps: EnrolDeps, change: Change, employeeId: string): Promise<string | undefined> {
  const { db, gallery } = deps
  if (!(await findPerson(db, employeeId))) return 'employee_not_found'
  const uploaded = (await listSamples(db, employeeId)).filter(
    ({ created_from }) => created_from === 'ADMIN_UPLOAD',
  )
  const seen = new Map<number, Face>()
  let reason = 'no_photos'
  for (const sample of uploaded) {
    const look = await lookAgain(deps, sample)
    if (typeof look === 'string') reason = look
    else seen.set(sample.id, look)
  }
  if (seen.size === 0) return reason

  const templateId = await change(async (trx) => {
    for (const { pack } of seen.values()) await holdPack(trx, pack)
    const person = await findPerson(trx, employeeId, true)
    if (!person || person.key_id === null) return undefined
    const key = await keyOf(deps.vault, person)
    // Photos may have been deleted while the networks ran.
    for (const { id } of await listSamples(trx, employeeId)) {
      const face = seen.get(id)
      if (face) await upsertSampleVector(trx, key, { ...face, employeeId, sampleId: id })
    }
    return rebuildTemplate(trx, deps, employeeId)
  })
  await gallery.refresh(employeeId)
  await guardAround(deps, change, employeeId)
  return templateId === undefined ? 'no_photos' : undefined
}

/** What the networks see in a stored photo now, or why they see nothing that can be used. */
async function lookAgain(deps: EnrolDeps, sample: Sample): Promise<Face | string> {
  try {
    const jpeg = await readPhoto(deps, sample)
    if (!jpeg) return 'photo_missing'
    // One at a time: those who stand at a kiosk come first.
    return await deps.queue.run('train', () => enrollableFace(deps.engine, jpeg))
  } catch (error) {
    if (error instanceof AppError) return error.code
    throw error
  }
}
