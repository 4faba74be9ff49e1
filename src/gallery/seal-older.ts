import { sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import type { Change } from '../ledger/ledger.ts'
import type { Logger } from '../shared/log.ts'
import { seal } from '../vault/seal.ts'
import type { Vault } from '../vault/vault.ts'
import { CALIBRATION_KEY, calibrationContext } from './calibration.ts'
import { keyForEnrolment } from './person-key.ts'
import type { PhotoStore } from './photo-store.ts'
import { fingerprint, listSamples, sealSample, sealTemplate, toVector } from './templates.ts'

interface SealDeps {
  db: Database
  vault: Vault
  photos: PhotoStore
  change: Change
  log: Logger
}

/**
 * Seals what an older version stored in the clear: everybody who has photos or templates and no key. A person is sealed
 * as a whole or not at all, so it may be killed at any point; the next start goes on. `progress` is told how far it is.
 * Returns how many people it sealed.
 */
export async function sealOlder(
  deps: SealDeps,
  progress: (step: string) => void = () => {},
): Promise<number> {
  const people = await unsealedPeople(deps.db)
  for (const [index, employeeId] of people.entries()) {
    if (index % 100 === 0) progress(`sealing photos and templates: ${index} of ${people.length} people`)
    await sealPerson(deps, employeeId)
  }
  const calibrations = await sealCalibrations(deps)
  if (people.length + calibrations > 0) {
    progress('removing what was in the clear from the tables')
    await rewriteTables(deps)
  }
  if (people.length > 0) deps.log.info({ people: people.length }, 'sealed what an older version had stored')
  return people.length
}

/**
 * An update leaves the row that it replaces in the table's file. With the tables written anew the old files go; what the
 * write-ahead log still holds goes with its checkpoints.
 */
async function rewriteTables({ db, log }: SealDeps): Promise<void> {
  try {
    // Not in a transaction: VACUUM refuses that.
    await db.connection().execute(async (connection) => {
      await sql`SET statement_timeout = 0`.execute(connection)
      try {
        for (const table of ['samples', 'sample_embeddings', 'face_templates', 'calibrations'])
          await sql`VACUUM FULL ${sql.table(table)}`.execute(connection)
      } finally {
        await sql`RESET statement_timeout`.execute(connection)
      }
    })
  } catch (error) {
    log.warn(
      { err: error },
      'the tables still hold what was in the clear; run VACUUM FULL on samples, sample_embeddings, face_templates and calibrations',
    )
  }
}

async function unsealedPeople(db: Database): Promise<string[]> {
  const rows = await db
    .selectFrom('employees')
    .select('employee_id')
    .where('key_id', 'is', null)
    .where(({ or, exists, selectFrom }) =>
      or([
        exists(
          selectFrom('samples').select('id').whereRef('samples.employee_id', '=', 'employees.employee_id'),
        ),
        exists(
          selectFrom('face_templates')
            .select('id')
            .whereRef('face_templates.employee_id', '=', 'employees.employee_id'),
        ),
      ]),
    )
    .orderBy('id')
    .execute()
  return rows.map(({ employee_id }) => employee_id)
}

async function sealPerson(deps: SealDeps, employeeId: string): Promise<void> {
  const { change, vault, photos } = deps
  const inTheClear = await change(async (trx) => {
    await waitForOthers(trx)
    const person = await trx
      .selectFrom('employees')
      .select('key_id')
      .where('employee_id', '=', employeeId)
      .forNoKeyUpdate()
      .executeTakeFirst()
    // Another server was first, or the person is gone.
    if (!person || person.key_id !== null) return []
    const key = await keyForEnrolment(vault, trx, employeeId)
    await sealVectors(trx, key, employeeId)
    return sealPhotos(deps, trx, key, employeeId)
  })
  // Without a commit the sealed ones are strays, after it these are: a crash in between leaves what the sweep removes.
  await photos.remove(inTheClear)
}

/** Several servers may start at once, and each photo takes its time. */
async function waitForOthers(trx: DatabaseTransaction): Promise<void> {
  await sql`SET LOCAL lock_timeout = 0`.execute(trx)
}

/** Returns the names of the files that are no longer needed. */
async function sealPhotos(
  { photos }: SealDeps,
  trx: DatabaseTransaction,
  key: Buffer,
  employeeId: string,
): Promise<string[]> {
  const inTheClear: string[] = []
  for (const { id, file_path, sha256 } of await listSamples(trx, employeeId)) {
    const jpeg = await photos.readFile(file_path)
    const sealed = jpeg ? await photos.save(jpeg, key) : file_path
    await trx
      .updateTable('samples')
      .set({ file_path: sealed, sha256: fingerprint(key, sha256) })
      .where('id', '=', id)
      .execute()
    await trx
      .updateTable('face_templates')
      .set({ file_path: sealed })
      .where('employee_id', '=', employeeId)
      .where('file_path', '=', file_path)
      .execute()
    if (jpeg) inTheClear.push(file_path)
  }
  return inTheClear
}

async function sealVectors(trx: DatabaseTransaction, key: Buffer, employeeId: string): Promise<void> {
  const samples = await trx
    .selectFrom('sample_embeddings')
    .innerJoin('samples', 'samples.id', 'sample_embeddings.sample_id')
    .select(['sample_id', 'pack', 'embedding_vector'])
    .where('employee_id', '=', employeeId)
    .execute()
  for (const { sample_id, pack, embedding_vector } of samples)
    await trx
      .updateTable('sample_embeddings')
      .set({
        embedding_vector: sealSample(key, toVector(embedding_vector), {
          employeeId,
          sampleId: sample_id,
          pack,
        }),
      })
      .where('sample_id', '=', sample_id)
      .where('pack', '=', pack)
      .execute()
  const templates = await trx
    .selectFrom('face_templates')
    .select(['id', 'image_id', 'pack', 'embedding_vector'])
    .where('employee_id', '=', employeeId)
    .execute()
  for (const { id, image_id, pack, embedding_vector } of templates)
    await trx
      .updateTable('face_templates')
      .set({
        embedding_vector: sealTemplate(key, toVector(embedding_vector), { employeeId, slot: image_id, pack }),
      })
      .where('id', '=', id)
      .execute()
}

/** Returns how many it sealed. */
async function sealCalibrations({ db, vault, change }: SealDeps): Promise<number> {
  const open = await db.selectFrom('calibrations').select('id').where('is_sealed', '=', false).execute()
  if (open.length === 0) return 0
  const key = await vault.named(CALIBRATION_KEY)
  await change(async (trx) => {
    await waitForOthers(trx)
    const rows = await trx
      .selectFrom('calibrations')
      .select(['id', 'pack', 'people', 'mean'])
      .where('is_sealed', '=', false)
      .forUpdate()
      .execute()
    for (const { id, pack, people, mean } of rows)
      await trx
        .updateTable('calibrations')
        .set({ mean: seal(key, mean, calibrationContext(pack, people)), is_sealed: true })
        .where('id', '=', id)
        .execute()
  })
  return open.length
}
