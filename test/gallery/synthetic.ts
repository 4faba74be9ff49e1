import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '../../src/database/tables.ts'
import { averageVectors, unit } from '../../src/face/embed.ts'
import type { Pack, ScoreTable } from '../../src/face/packs/pack.ts'
import { type Gallery, openGallery } from '../../src/gallery/gallery.ts'
import { sealSample, sealTemplate } from '../../src/gallery/templates.ts'
import type { Change } from '../../src/ledger/ledger.ts'
import { createLogger } from '../../src/shared/log.ts'
import { openVault, type Vault } from '../../src/vault/vault.ts'
import { testDatabase } from '../support/database.ts'

const dimension = 48

/**
 * -log10 of the chance that two random directions of 48 dimensions have a cosine above s: their density is
 * (1 - s^2)^((48 - 3) / 2) (Muirhead, Aspects of Multivariate Statistical Theory, 1982, thm 1.5.7), summed numerically.
 */
function tableOfRandomDirections(decadesPerDecade: number): ScoreTable {
  const steps = 4000
  const density = (s: number) => (1 - s * s) ** ((dimension - 3) / 2)
  const cosines = Array.from({ length: steps }, (_, i) => -1 + (2 * (i + 0.5)) / steps)
  const all = cosines.reduce((sum, s) => sum + density(s), 0)
  const points: [number, number][] = []
  let above = 0
  for (const s of cosines.reverse()) {
    above += density(s)
    const decades = -Math.log10(above / all) * decadesPerDecade
    if (s < 0.9 && (points.length === 0 || s < points.at(-1)![0] - 0.01)) points.push([s, decades])
  }
  return { points: points.reverse(), countedTo: 3 }
}

/** About what a random direction reaches with the ten most alike of 200 others: 2.06 deviations of 1 / sqrt(48). */
const WITH_COHORT = 0.297

/** A pack without a centred part. Its tables are right for `stranger()`, or say a multiple of the true decades. */
export function syntheticPack(decadesPerDecade = 1): Pack {
  const raw = tableOfRandomDirections(decadesPerDecade)
  const points = raw.points.map(([score, decades]) => [score - WITH_COHORT, decades] as const)
  return {
    name: 'synthetic',
    title: 'Synthetic',
    description: 'Random directions.',
    licence: { name: 'none', mustBeAccepted: false },
    files: {},
    detector: {
      kind: 'blazeface',
      network: { file: 'none', format: 'dlib-resnet' },
      sidePx: 0,
      clearScore: 0,
    },
    points: 'mesh',
    pad: [],
    embedders: [
      {
        network: { file: 'none', format: 'dlib-resnet' },
        sidePx: 0,
        normalization: { order: 'RGB', mean: [0, 0, 0], deviation: 1 },
        place: (point) => point,
        dimension,
        squareRoot: false,
        centred: false,
        weight: 1,
      },
    ],
    dimension,
    measured: { defaultMean: '', raw, normalised: { points, countedTo: 3 } },
  }
}

/** A repeatable source of normally distributed numbers (mulberry32, Box and Muller). */
function normal(seed: number): () => number {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next())
}

/** Somebody's face: a random direction; `kin` is how much all of them have of one and the same other face. */
export function stranger(seed: number, kin = 0, length = dimension): Float32Array {
  const [own, common] = [normal(seed), normal(-1)]
  return unit(Float32Array.from({ length }, () => own() + kin * common()))
}

/** Another picture of a face; with `spread` 1 as much of it is noise as is the face. */
export function again(face: Float32Array, seed: number, spread = 0.3): Float32Array {
  const noise = stranger(seed)
  return unit(face.map((value, i) => value + spread * noise[i]))
}

export interface Person {
  employeeId: string
  photos: Float32Array[]
}

/** People with one photo each, and every third with two. */
export const somePeople = (count: number, kin = 0, first = 1): Person[] =>
  Array.from({ length: count }, (_, i) => {
    const face = stranger(first + i, kin)
    const photos = i % 3 === 0 ? [again(face, 100_000 + i), again(face, 200_000 + i)] : [face]
    return { employeeId: `P${String(first + i).padStart(4, '0')}`, photos }
  })

/** Stores people with their photos and the template of these. */
export async function storePeople(
  { db, vault, pack }: { db: Database; vault: Vault; pack: Pack },
  people: readonly Person[],
): Promise<void> {
  for (const { employeeId, photos } of people) {
    const key_id = await vault.newKey()
    const key = (await vault.key(key_id))!
    await db
      .insertInto('employees')
      .values({ employee_id: employeeId, name: `Name of ${employeeId}`, key_id })
      .execute()
    const samples = await db
      .insertInto('samples')
      .values(
        photos.map((_, i) => ({
          employee_id: employeeId,
          file_path: `${employeeId}-${i}.jpg`,
          filename: 'a.jpg',
          content_type: 'image/jpeg',
          size_bytes: 1,
          width_px: 1,
          height_px: 1,
          sha256: `${employeeId}-${i}`,
          quality_score: 1,
          created_from: 'ADMIN_UPLOAD' as const,
        })),
      )
      .returning('id')
      .execute()
    const where = { employeeId, pack: pack.name }
    await db
      .insertInto('sample_embeddings')
      .values(
        samples.map(({ id }, i) => ({
          sample_id: id,
          pack: pack.name,
          embedding_vector: sealSample(key, photos[i], { ...where, sampleId: id }),
        })),
      )
      .execute()
    await db
      .insertInto('face_templates')
      .values({
        employee_id: employeeId,
        image_id: 1,
        pack: pack.name,
        filename: 'a.jpg',
        file_path: `${employeeId}-0.jpg`,
        embedding_vector: sealTemplate(key, averageVectors(pack.embedders, photos), {
          ...where,
          slot: 1,
        }),
        created_from: 'ADMIN_UPLOAD',
      })
      .execute()
  }
}

/** A database of people who exist as vectors only, and the galleries that are opened on it. */
export async function syntheticCompany(pack: Pack = syntheticPack()) {
  const database = await testDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-synthetic-'))
  const vault = await openVault({ dir: folder, masterKey: randomBytes(32) })
  const { db } = database
  const clock = { now: () => new Date('2025-03-03T01:00:00Z') }
  const opened: Gallery[] = []
  const change: Change = (work) => db.transaction().execute(work)
  const deps = { db, vault, change, pack, clock, log: createLogger({ level: 'silent' }), threshold: 0.65 }

  return {
    db,
    vault,
    pack,
    deps,
    async open(overrides: { threshold?: number; pack?: Pack; db?: Database; change?: Change } = {}) {
      const gallery = await openGallery({ ...deps, ...overrides })
      opened.push(gallery)
      return gallery
    },
    store: (people: readonly Person[]) => storePeople({ db, vault, pack }, people),
    calibrations: () => db.selectFrom('calibrations').selectAll().orderBy('id').execute(),
    async clear(): Promise<void> {
      for (const gallery of opened.splice(0)) await gallery.close()
      for (const table of ['employees', 'calibrations'] as const) await db.deleteFrom(table).execute()
    },
    async close(): Promise<void> {
      for (const gallery of opened.splice(0)) await gallery.close()
      await database.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type Company = Awaited<ReturnType<typeof syntheticCompany>>

export const vote = (vector: Float32Array, weight = 1) => ({ pack: 'synthetic', vector, weight })
