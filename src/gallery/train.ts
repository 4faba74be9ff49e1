import { AppError } from '../shared/errors.ts'
import { type EnrolDeps, enrollableFace, rebuildTemplate } from './enrol.ts'
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
export async function train(deps: EnrolDeps, employeeIds?: readonly string[]): Promise<Trained> {
  const people = new Set(employeeIds ?? (await peopleWithPhotos(deps.db)))
  const result: Trained = { trained: 0, skipped: [] }
  for (const employee_id of people) {
    const reason = await trainPerson(deps, employee_id)
    if (reason === undefined) result.trained++
    else result.skipped.push({ employee_id, reason })
  }
  return result
}

/** Resolves to why the person was skipped, if they were. */
async function trainPerson(deps: EnrolDeps, employeeId: string): Promise<string | undefined> {
  const { db, engine, gallery } = deps
  if (!(await findPerson(db, employeeId))) return 'employee_not_found'
  const uploaded = (await listSamples(db, employeeId)).filter(
    ({ created_from }) => created_from === 'ADMIN_UPLOAD',
  )
  const seen = new Map<number, Float32Array>()
  let reason = 'no_photos'
  for (const sample of uploaded) {
    const look = await lookAgain(deps, sample)
    if (typeof look === 'string') reason = look
    else seen.set(sample.id, look)
  }
  if (seen.size === 0) return reason

  const templateId = await db.transaction().execute(async (trx) => {
    if (!(await findPerson(trx, employeeId, true))) return undefined
    // Photos may have been deleted while the networks ran.
    for (const { id } of await listSamples(trx, employeeId)) {
      const vector = seen.get(id)
      if (vector) await upsertSampleVector(trx, id, engine.pack.name, vector)
    }
    return rebuildTemplate(trx, deps, employeeId)
  })
  await gallery.refresh(employeeId)
  return templateId === undefined ? 'no_photos' : undefined
}

/** What the networks see in a stored photo now, or why they see nothing that can be used. */
async function lookAgain(
  { engine, photos, queue }: EnrolDeps,
  { file_path }: Sample,
): Promise<Float32Array | string> {
  const jpeg = await photos.read(file_path)
  if (!jpeg) return 'photo_missing'
  try {
    // One at a time: those who stand at a kiosk come first.
    return (await queue.run('train', () => enrollableFace(engine, jpeg))).vector
  } catch (error) {
    if (error instanceof AppError) return error.code
    throw error
  }
}
