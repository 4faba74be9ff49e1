import { sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Change } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import type { Vault } from '../vault/vault.ts'
import { listConsents, withdrawConsents } from './consent.ts'
import type { EnrolDeps } from './enrol.ts'
import { eraseBiometrics, listErasures } from './erase.ts'
import { findKey, opening } from './person-key.ts'
import { listSamples, listTemplates, openSample, openTemplate } from './templates.ts'

/** A person, also one who has left: what is kept of them is theirs still. Rejects with `employee_not_found`. */
export async function requireAnybody(db: Database, employeeId: string) {
  const person = await db
    .selectFrom('employees')
    .selectAll()
    .where('employee_id', '=', employeeId)
    .executeTakeFirst()
  return person ?? notFound(employeeId)
}

/** The same, kept as they are until the transaction ends. */
export async function lockAnybody(trx: DatabaseTransaction, employeeId: string): Promise<void> {
  const person = await trx
    .selectFrom('employees')
    .select('id')
    .where('employee_id', '=', employeeId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  if (!person) notFound(employeeId)
}

function notFound(employeeId: string): never {
  throw new AppError('employee_not_found', `There is no employee ${employeeId}.`)
}

/**
 * Erases a person's photos and templates and, with `withdraw`, ends their consent; punches stay.
 * Rejects with `employee_not_found`, and with `consent_missing` where there is no consent to withdraw.
 */
export async function erasePerson(deps: EnrolDeps, change: Change, employeeId: string, withdraw: boolean) {
  const { gallery, clock } = deps
  const { afterCommit, ...counts } = await change(async (trx) => {
    await lockAnybody(trx, employeeId)
    const withdrawn = withdraw ? await withdrawConsents(trx, employeeId, clock.now()) : 0
    if (withdraw && withdrawn === 0)
      throw new AppError('consent_missing', 'There is no consent to withdraw. To erase photos, use erase.')
    const { templates, photos, afterCommit } = await eraseBiometrics(
      deps,
      trx,
      employeeId,
      withdraw ? 'consent_withdrawn' : 'erase',
    )
    const { punches } = await trx
      .selectFrom('attendance')
      .select(sql<number>`count(*)::int`.as('punches'))
      .where('employee_id', '=', employeeId)
      .executeTakeFirstOrThrow()
    return { withdrawn, templates, photos, punches, afterCommit }
  })
  // First of all the person must no longer be recognised; the files follow.
  await gallery.refresh(employeeId)
  await afterCommit()
  return { ...counts, erasure: (await listErasures(deps, employeeId)).at(-1) ?? null }
}

/** Everything that is kept about one person. Other people whom a comparison named are left out of it. */
export async function personalData(
  { db, vault }: { db: Database; vault: Vault },
  employeeId: string,
  withEmbeddings: boolean,
) {
  const { key_id: _, ...employee } = await requireAnybody(db, employeeId)
  const vectors = withEmbeddings ? await vectorsOf(db, vault, employeeId) : { samples: [], templates: [] }
  const ofPerson = <T extends { id: number }>(rows: T[], embeddings: { id: number; embedding: number[] }[]) =>
    rows.map((row) => {
      const own = embeddings.filter(({ id }) => id === row.id).map(({ embedding }) => embedding)
      return withEmbeddings ? { ...row, embeddings: own } : row
    })
  const photos = (await listSamples(db, employeeId)).map(({ file_path: _, ...photo }) => photo)
  const templates = (await listTemplates(db, employeeId)).map(({ file_path: _, ...template }) => template)
  const punches = await db
    .selectFrom('attendance')
    .selectAll()
    .where('employee_id', '=', employeeId)
    .orderBy('id')
    .execute()
  const decisions = await db
    .selectFrom('decisions')
    .selectAll()
    .where('employee_id', '=', employeeId)
    .orderBy('id')
    .execute()
  return {
    employee,
    photos: ofPerson(photos, vectors.samples),
    templates: ofPerson(templates, vectors.templates),
    consents: await listConsents(db, employeeId),
    erasures: await listErasures({ db, vault }, employeeId),
    punches: punches.map(({ image_path, salt: _, ...punch }) => ({
      ...punch,
      has_image: image_path !== null,
    })),
    decisions: decisions.map(({ record, image_path, ...decision }) => ({
      ...decision,
      has_image: image_path !== null,
      record: {
        ...ownClaim(record, employeeId),
        ...ownCandidates(record.candidates, employeeId),
        ...ownVotes(record.frames, employeeId),
      },
    })),
  }
}

/** The vectors of a person, opened. Rejects with `biometrics_unreadable`. */
async function vectorsOf(db: Database, vault: Vault, employeeId: string) {
  const key = await findKey(vault, db, employeeId)
  if (!key) return { samples: [], templates: [] }
  const samples = await db
    .selectFrom('sample_embeddings')
    .innerJoin('samples', 'samples.id', 'sample_embeddings.sample_id')
    .select(['samples.id', 'pack', 'embedding_vector'])
    .where('employee_id', '=', employeeId)
    .execute()
  const templates = await db
    .selectFrom('face_templates')
    .select(['id', 'image_id', 'pack', 'embedding_vector'])
    .where('employee_id', '=', employeeId)
    .execute()
  return opening(employeeId, () => ({
    samples: samples.map(({ id, pack, embedding_vector }) => ({
      id,
      embedding: [...openSample(key, embedding_vector, { employeeId, sampleId: id, pack })],
    })),
    templates: templates.map(({ id, image_id, pack, embedding_vector }) => ({
      id,
      embedding: [...openTemplate(key, embedding_vector, { employeeId, slot: image_id, pack })],
    })),
  }))
}

/** A record without the code that came with the check, unless that is the person's own. */
function ownClaim({ claimed, ...rest }: Record<string, unknown>, employeeId: string) {
  return claimed === employeeId ? { claimed, ...rest } : rest
}

function ownCandidates(candidates: unknown, employeeId: string): { candidates?: unknown[] } {
  if (!Array.isArray(candidates)) return {}
  return { candidates: candidates.filter((candidate) => candidate?.employee_id === employeeId) }
}

/** What each picture of a check showed, and its vote where that is for the person. */
function ownVotes(frames: unknown, employeeId: string): { frames?: unknown[] } {
  if (!Array.isArray(frames)) return {}
  return {
    frames: frames.map((frame) => ({
      ...frame,
      votes: frame?.votes?.employee_id === employeeId ? frame.votes : null,
    })),
  }
}
