import { createHmac } from 'node:crypto'
import { type Selectable, type SqlBool, sql } from 'kysely'
import type { Database, DatabaseTransaction, FaceTemplatesTable, SamplesTable } from '../database/tables.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { open, seal } from '../vault/seal.ts'
import type { Vault } from '../vault/vault.ts'
import { keyOf, opening } from './person-key.ts'

// The one place where photos' rows and templates are read and written, and sealed on the way with the person's key.

export type Sample = Selectable<SamplesTable>
export type TemplateRow = Omit<Selectable<FaceTemplatesTable>, 'embedding_vector'>

/** The administrator's slot: made of all photos that were uploaded. */
export const ADMIN_SLOT = 1

const templateColumns = [
  'id',
  'employee_id',
  'image_id',
  'pack',
  'filename',
  'file_path',
  'is_primary',
  'created_at',
  'updated_at',
  'created_from',
  'quality_score',
  'confidence_score',
  'match_count',
  'last_matched',
  'avg_match_confidence',
  'active_from',
  'is_suspended',
  'parent_id',
  'learned_from',
  'sample_id',
] as const

/** The bytes that a vector is stored as: Float32, little-endian. */
export function toBytes(vector: Float32Array): Uint8Array {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes
}

export function toVector(bytes: Uint8Array): Float32Array {
  // A copy: what the driver hands out may start at an address that is not a multiple of four.
  const copy = Uint8Array.from(bytes)
  const view = new DataView(copy.buffer)
  return Float32Array.from({ length: copy.length / 4 }, (_, index) => view.getFloat32(index * 4, true))
}

/** Where a vector belongs: it opens there alone. */
const sampleContext = (employeeId: string, sampleId: number, pack: string) =>
  `sample ${employeeId} ${sampleId} ${pack}`
const templateContext = (employeeId: string, slot: number, pack: string) =>
  `template ${employeeId} ${slot} ${pack}`

export function sealTemplate(
  key: Buffer,
  vector: Float32Array,
  { employeeId, slot, pack }: { employeeId: string; slot: number; pack: string },
): Buffer {
  return seal(key, toBytes(vector), templateContext(employeeId, slot, pack))
}

/** Throws `SealBroken`. */
export function openTemplate(
  key: Buffer,
  sealed: Uint8Array,
  { employeeId, slot, pack }: { employeeId: string; slot: number; pack: string },
): Float32Array {
  return toVector(open(key, sealed, templateContext(employeeId, slot, pack)))
}

export function sealSample(
  key: Buffer,
  vector: Float32Array,
  { employeeId, sampleId, pack }: { employeeId: string; sampleId: number; pack: string },
): Buffer {
  return seal(key, toBytes(vector), sampleContext(employeeId, sampleId, pack))
}

/** Throws `SealBroken`. */
export function openSample(
  key: Buffer,
  sealed: Uint8Array,
  { employeeId, sampleId, pack }: { employeeId: string; sampleId: number; pack: string },
): Float32Array {
  return toVector(open(key, sealed, sampleContext(employeeId, sampleId, pack)))
}

/** By what an uploaded picture is known again, from its SHA-256. */
export function fingerprint(key: Buffer, sha256: string): string {
  return createHmac('sha256', key).update(sha256).digest('hex')
}

export interface PersonState {
  employee_id: string
  name: string
  is_active: boolean
  department: string | null
  key_id: string | null
}

/** A person whose employment has not ended, and, with `lock`, kept as they are until the transaction ends. */
export async function findPerson(
  db: Database | DatabaseTransaction,
  employeeId: string,
  lock = false,
): Promise<PersonState | undefined> {
  const query = db
    .selectFrom('employees')
    .select(['employee_id', 'name', 'is_active', 'department', 'key_id'])
    .where('employee_id', '=', employeeId)
    .where('ended_at', 'is', null)
  return (lock ? query.forNoKeyUpdate() : query).executeTakeFirst()
}

export async function listSamples(db: Database | DatabaseTransaction, employeeId: string): Promise<Sample[]> {
  return db.selectFrom('samples').selectAll().where('employee_id', '=', employeeId).orderBy('id').execute()
}

export interface NewSample {
  employeeId: string
  filePath: string
  filename: string
  sizeBytes: number
  widthPx: number
  heightPx: number
  sha256: string
  quality: number
  createdFrom: Sample['created_from']
  isAvatar: boolean
  pack: string
  vector: Float32Array
  now: Date
}

export async function insertSample(
  trx: DatabaseTransaction,
  key: Buffer,
  sample: NewSample,
): Promise<number> {
  const { id } = await trx
    .insertInto('samples')
    .values({
      employee_id: sample.employeeId,
      file_path: sample.filePath,
      filename: sample.filename,
      content_type: 'image/jpeg',
      size_bytes: sample.sizeBytes,
      width_px: sample.widthPx,
      height_px: sample.heightPx,
      sha256: sample.sha256,
      quality_score: sample.quality,
      created_from: sample.createdFrom,
      is_avatar: sample.isAvatar,
      created_at: sample.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  await upsertSampleVector(trx, key, { ...sample, sampleId: id })
  return id
}

/** Gives a photo whose file was lost another file of the same picture. */
export async function replaceSampleFile(
  trx: DatabaseTransaction,
  sample: Sample,
  filePath: string,
): Promise<void> {
  await trx.updateTable('samples').set({ file_path: filePath }).where('id', '=', sample.id).execute()
  await trx
    .updateTable('face_templates')
    .set({ file_path: filePath })
    .where('employee_id', '=', sample.employee_id)
    .where('file_path', '=', sample.file_path)
    .execute()
}

/**
 * Deletes a photo's row and vectors, and what was learned from it; where it was the avatar, the oldest uploaded photo left
 * becomes it.
 */
export async function deleteSample(trx: DatabaseTransaction, sample: Sample): Promise<void> {
  await trx.deleteFrom('samples').where('id', '=', sample.id).execute()
  if (!sample.is_avatar) return
  const oldest = trx
    .selectFrom('samples')
    .select(sql<number>`min(id)`.as('id'))
    .where('employee_id', '=', sample.employee_id)
    .where('created_from', '=', 'ADMIN_UPLOAD')
  await trx.updateTable('samples').set({ is_avatar: true }).where('id', '=', oldest).execute()
}

/** Makes one of a person's photos their avatar. */
export async function chooseAvatar(trx: DatabaseTransaction, sample: Sample): Promise<void> {
  // One after the other: at no moment may there be two.
  await trx
    .updateTable('samples')
    .set({ is_avatar: false })
    .where('employee_id', '=', sample.employee_id)
    .where('is_avatar', '=', true)
    .execute()
  await trx.updateTable('samples').set({ is_avatar: true }).where('id', '=', sample.id).execute()
}

/** The vectors of a person's uploaded photos, with each photo's quality. Rejects with `biometrics_unreadable`. */
export async function sampleVectors(
  db: Database | DatabaseTransaction,
  key: Buffer,
  employeeId: string,
  pack: string,
): Promise<{ id: number; vector: Float32Array; quality: number; filePath: string; filename: string }[]> {
  const rows = await db
    .selectFrom('samples')
    .innerJoin('sample_embeddings', 'sample_embeddings.sample_id', 'samples.id')
    .select(['samples.id', 'embedding_vector', 'quality_score', 'file_path', 'filename'])
    .where('employee_id', '=', employeeId)
    .where('created_from', '=', 'ADMIN_UPLOAD')
    .where('pack', '=', pack)
    .orderBy('samples.id')
    .execute()
  return rows.map((row) => ({
    id: row.id,
    vector: opening(employeeId, () =>
      openSample(key, row.embedding_vector, { employeeId, sampleId: row.id, pack }),
    ),
    quality: row.quality_score,
    filePath: row.file_path,
    filename: row.filename,
  }))
}

/** Puts what a pack's networks see in a photo in place of what they saw before. */
export async function upsertSampleVector(
  trx: DatabaseTransaction,
  key: Buffer,
  sample: { employeeId: string; sampleId: number; pack: string; vector: Float32Array },
): Promise<void> {
  const embedding_vector = sealSample(key, sample.vector, sample)
  await trx
    .insertInto('sample_embeddings')
    .values({ sample_id: sample.sampleId, pack: sample.pack, embedding_vector })
    .onConflict((conflict) => conflict.columns(['sample_id', 'pack']).doUpdateSet({ embedding_vector }))
    .execute()
}

/** The ids of all people who have photos. */
export async function peopleWithPhotos(db: Database): Promise<string[]> {
  const rows = await db
    .selectFrom('samples')
    .select('employee_id')
    .distinct()
    .orderBy('employee_id')
    .execute()
  return rows.map(({ employee_id }) => employee_id)
}

export interface NewTemplate {
  employeeId: string
  pack: string
  vector: Float32Array
  quality: number
  filePath: string
  filename: string
  now: Date
}

/** Puts a person's administrator template in place of the one before it. Returns its id. */
export async function upsertAdminTemplate(
  trx: DatabaseTransaction,
  key: Buffer,
  template: NewTemplate,
): Promise<number> {
  const values = {
    filename: template.filename,
    file_path: template.filePath,
    embedding_vector: sealTemplate(key, template.vector, { ...template, slot: ADMIN_SLOT }),
    quality_score: template.quality,
    updated_at: template.now,
  }
  const { id } = await trx
    .insertInto('face_templates')
    .values({
      ...values,
      employee_id: template.employeeId,
      image_id: ADMIN_SLOT,
      pack: template.pack,
      is_primary: true,
      created_from: 'ADMIN_UPLOAD',
      // An administrator vouches for it; nothing was compared.
      confidence_score: 1,
      created_at: template.now,
    })
    .onConflict((conflict) => conflict.columns(['employee_id', 'image_id', 'pack']).doUpdateSet(values))
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

export interface NewLearnedTemplate extends NewTemplate {
  slot: number
  /** How sure the parent was of the face. */
  confidence: number
  /** The template that recognised the face, the punch that it led to, and the photo. */
  parentId: number
  punchId: number
  sampleId: number
  /** Not searched before. */
  activeFrom: Date
}

/** Puts a learned template into its slot, which must be empty; undefined, and nothing written, where it is not. */
export async function insertLearnedTemplate(
  trx: DatabaseTransaction,
  key: Buffer,
  template: NewLearnedTemplate,
): Promise<number | undefined> {
  const row = await trx
    .insertInto('face_templates')
    .values({
      employee_id: template.employeeId,
      image_id: template.slot,
      pack: template.pack,
      filename: template.filename,
      file_path: template.filePath,
      embedding_vector: sealTemplate(key, template.vector, template),
      created_from: 'ATTENDANCE',
      quality_score: template.quality,
      confidence_score: template.confidence,
      created_at: template.now,
      updated_at: template.now,
      active_from: template.activeFrom,
      parent_id: template.parentId,
      learned_from: template.punchId,
      sample_id: template.sampleId,
    })
    .onConflict((conflict) => conflict.columns(['employee_id', 'image_id', 'pack']).doNothing())
    .returning('id')
    .executeTakeFirst()
  return row?.id
}

/** Lets the templates that were learned from a punch be searched no longer, or again. Returns their numbers. */
export async function suspendLearned(
  trx: DatabaseTransaction,
  punchId: number,
  isSuspended: boolean,
): Promise<number[]> {
  const rows = await trx
    .updateTable('face_templates')
    .set({ is_suspended: isSuspended })
    .where('learned_from', '=', punchId)
    .where('is_suspended', '=', !isSuspended)
    .returning('id')
    .execute()
  return rows.map(({ id }) => id)
}

/** Deletes the templates that were learned from a punch, in all packs. Returns how many. */
async function deleteLearned(trx: DatabaseTransaction, punchId: number): Promise<number> {
  const { numDeletedRows } = await trx
    .deleteFrom('face_templates')
    .where('learned_from', '=', punchId)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/**
 * Deletes the photos of a person that were kept for learned templates which are gone. Returns their files, to be removed
 * after the commit.
 */
export async function deleteUnusedPhotos(trx: DatabaseTransaction, employeeId: string): Promise<string[]> {
  const rows = await trx
    .deleteFrom('samples')
    .where('employee_id', '=', employeeId)
    .where('created_from', '=', 'ATTENDANCE')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('face_templates')
            .select('face_templates.id')
            .whereRef('face_templates.sample_id', '=', 'samples.id'),
        ),
      ),
    )
    .returning('file_path')
    .execute()
  return rows.map(({ file_path }) => file_path)
}

/** What a punch taught, undone: how many templates were deleted, and the files of photos to be removed after the commit. */
export interface Unlearned {
  templates: number
  files: string[]
}

/** Deletes what was learned from a punch of this person, with the photos that were kept for it. */
export async function unlearn(
  trx: DatabaseTransaction,
  punchId: number,
  employeeId: string,
): Promise<Unlearned> {
  const templates = await deleteLearned(trx, punchId)
  return { templates, files: await deleteUnusedPhotos(trx, employeeId) }
}

/** The id of a person's administrator template, if there is one. */
export async function findAdminTemplate(
  trx: DatabaseTransaction,
  employeeId: string,
  pack: string,
): Promise<number | undefined> {
  const row = await trx
    .selectFrom('face_templates')
    .select('id')
    .where('employee_id', '=', employeeId)
    .where('image_id', '=', ADMIN_SLOT)
    .where('pack', '=', pack)
    .executeTakeFirst()
  return row?.id
}

/** Deletes templates of a person; what was learned from checks goes with the administrator's of its pack. */
export async function deleteTemplates(
  trx: DatabaseTransaction,
  employeeId: string,
  only: { pack: string; slot: number } | 'all',
): Promise<number> {
  let query = trx.deleteFrom('face_templates').where('employee_id', '=', employeeId)
  if (only !== 'all') query = query.where('pack', '=', only.pack).where('image_id', '=', only.slot)
  const { numDeletedRows } = await query.executeTakeFirst()
  return Number(numDeletedRows)
}

/** Deletes one template of a person, and with the administrator's what descends from it; false when they have none of that number. */
export async function deleteTemplate(
  trx: DatabaseTransaction,
  employeeId: string,
  templateId: number,
): Promise<boolean> {
  const { numDeletedRows } = await trx
    .deleteFrom('face_templates')
    .where('employee_id', '=', employeeId)
    .where('id', '=', templateId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

export async function listTemplates(
  db: Database | DatabaseTransaction,
  employeeId: string,
): Promise<TemplateRow[]> {
  return db
    .selectFrom('face_templates')
    .select(templateColumns)
    .where('employee_id', '=', employeeId)
    .orderBy('image_id')
    .orderBy('pack')
    .execute()
}

/** A template as it is searched. */
export interface ActiveTemplate {
  id: number
  employeeId: string
  name: string
  slot: number
  vector: Float32Array
}

/** Templates as they are searched, and who is left out because theirs do not open, with why. */
export interface ActiveTemplates {
  templates: ActiveTemplate[]
  unreadable: { employeeId: string; error: AppError }[]
  /** The number of the last person that was read; 0 when there was none. */
  lastId: number
}

/**
 * The templates of active people that are searched now, ordered by person and slot: those of one person, or of the next
 * `limit` people who have any, after the person numbered `after`. Neither those that wait out their quarantine nor those
 * that are suspended.
 */
export async function activeTemplates(
  { db, vault, clock }: { db: Database; vault: Vault; clock: Clock },
  pack: string,
  which: { employeeId: string } | { after: number; limit: number },
): Promise<ActiveTemplates> {
  let query = templatesOfActive(db, pack)
    .where('face_templates.is_suspended', '=', false)
    .where(({ or, eb }) =>
      or([eb('face_templates.active_from', 'is', null), eb('face_templates.active_from', '<=', clock.now())]),
    )
  if ('employeeId' in which) query = query.where('employees.employee_id', '=', which.employeeId)
  else
    query = query.where('employees.id', 'in', (eb) =>
      eb
        .selectFrom('employees as page')
        .select('page.id')
        .where('page.id', '>', which.after)
        .where('page.is_active', '=', true)
        // A page of people without templates would look like the end. Who has a learned one has one that it descends from.
        .where((page) =>
          page.exists(
            page
              .selectFrom('face_templates as theirs')
              .select('theirs.id')
              .whereRef('theirs.employee_id', '=', 'page.employee_id')
              .where('theirs.pack', '=', pack),
          ),
        )
        .orderBy('page.id')
        .limit(which.limit),
    )
  return openTemplates(vault, pack, await query.execute())
}

/** The learned templates of some active people, also those that are not searched. */
export async function learnedTemplates(
  { db, vault }: { db: Database; vault: Vault },
  pack: string,
  employeeIds: readonly string[],
): Promise<ActiveTemplate[]> {
  const rows = await templatesOfActive(db, pack)
    .where('face_templates.created_from', '=', 'ATTENDANCE')
    .where(sql<SqlBool>`employees.employee_id = ANY(${employeeIds}::text[])`)
    .execute()
  return (await openTemplates(vault, pack, rows)).templates
}

/** The ids of all people who have learned templates, of those alone whose quarantine ended within a time. */
export async function peopleWithLearned(
  db: Database,
  pack: string,
  ended?: { after: Date; upTo: Date },
): Promise<string[]> {
  let query = db
    .selectFrom('face_templates')
    .select('employee_id')
    .distinct()
    .where('pack', '=', pack)
    .where('created_from', '=', 'ATTENDANCE')
  if (ended) query = query.where('active_from', '>', ended.after).where('active_from', '<=', ended.upTo)
  return (await query.orderBy('employee_id').execute()).map(({ employee_id }) => employee_id)
}

function templatesOfActive(db: Database, pack: string) {
  return db
    .selectFrom('face_templates')
    .innerJoin('employees', 'employees.employee_id', 'face_templates.employee_id')
    .select([
      'face_templates.id as id',
      'employees.id as person',
      'employees.employee_id as employeeId',
      'employees.name as name',
      'employees.key_id as key_id',
      'face_templates.image_id as slot',
      'face_templates.embedding_vector as embedding_vector',
    ])
    .where('face_templates.pack', '=', pack)
    .where('employees.is_active', '=', true)
    .orderBy('employees.id')
    .orderBy('face_templates.image_id')
}

type SealedTemplate = Awaited<ReturnType<ReturnType<typeof templatesOfActive>['execute']>>[number]

async function openTemplates(
  vault: Vault,
  pack: string,
  rows: readonly SealedTemplate[],
): Promise<ActiveTemplates> {
  // All keys of the page at once: one after the other they would be what a start waits for.
  const owners = new Map(rows.map((row) => [row.employeeId, row]))
  const keys = new Map<string, Buffer>()
  const unreadable = new Map<string, AppError>()
  const leaveOut = (employeeId: string, error: unknown) => {
    if (!(error instanceof AppError)) throw error
    unreadable.set(employeeId, error)
  }
  await Promise.all(
    [...owners].map(([employeeId, { key_id }]) =>
      keyOf(vault, { employee_id: employeeId, key_id }).then(
        (key) => keys.set(employeeId, key),
        (error) => leaveOut(employeeId, error),
      ),
    ),
  )
  const templates: ActiveTemplate[] = []
  for (const { embedding_vector, person: _, key_id: __, ...row } of rows) {
    const { employeeId, slot } = row
    const key = keys.get(employeeId)
    if (!key) continue
    try {
      const vector = opening(employeeId, () =>
        openTemplate(key, embedding_vector, { employeeId, slot, pack }),
      )
      templates.push({ ...row, vector })
    } catch (error) {
      leaveOut(employeeId, error)
    }
  }
  return {
    // A person of whom anything does not open is left out as a whole: what is left of them may have been chosen.
    templates: templates.filter(({ employeeId }) => !unreadable.has(employeeId)),
    unreadable: [...unreadable].map(([employeeId, error]) => ({ employeeId, error })),
    lastId: rows.at(-1)?.person ?? 0,
  }
}

/** So many people are read at once. */
const PAGE = 500

/** The templates of all active people, a page at a time. */
export async function* everybodysTemplates(
  deps: { db: Database; vault: Vault; clock: Clock },
  pack: string,
): AsyncGenerator<ActiveTemplates> {
  for (let after = 0; ; ) {
    const page = await activeTemplates(deps, pack, { after, limit: PAGE })
    if (page.lastId === 0) return
    yield page
    after = page.lastId
  }
}

/** Splits templates that are ordered by person. */
export function byPerson(templates: ActiveTemplate[]): ActiveTemplate[][] {
  const groups: ActiveTemplate[][] = []
  for (const template of templates) {
    const group = groups.at(-1)
    if (group?.[0].employeeId === template.employeeId) group.push(template)
    else groups.push([template])
  }
  return groups
}

/** Counts a match of a template: how often, when, and the running mean of its confidence. Part of another statement. */
export function countMatch(
  db: Pick<Database, 'updateTable'>,
  templateId: number,
  confidence: number,
  now: Date,
) {
  return db
    .updateTable('face_templates')
    .set({
      match_count: sql`match_count + 1`,
      last_matched: now,
      avg_match_confidence: sql`(avg_match_confidence * match_count + ${confidence}::double precision) / (match_count + 1)`,
    })
    .where('id', '=', templateId)
}

/** All file names that rows refer to. */
export async function knownFiles(db: Database): Promise<Set<string>> {
  const rows = await db.selectFrom('samples').select('file_path').execute()
  return new Set(rows.map((row) => row.file_path))
}
