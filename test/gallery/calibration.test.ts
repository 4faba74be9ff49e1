import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Database } from '../../src/database/tables.ts'
import { fuse } from '../../src/face/embed.ts'
import { cohortMean, normaliseScore } from '../../src/face/normalise.ts'
import { humanV1 as pack } from '../../src/face/packs/human-v1.ts'
import type { Pack } from '../../src/face/packs/pack.ts'
import { confidenceOf, minusLog10Fmr, scoreAt } from '../../src/face/score-table.ts'
import {
  CALIBRATION_KEY,
  calibrationContext,
  calibrationDue,
  drawCohort,
  MIN_COHORT_LEFT,
} from '../../src/gallery/calibration.ts'
import { type Gallery, openGallery } from '../../src/gallery/gallery.ts'
import { openTemplate, sealTemplate, toBytes, toVector } from '../../src/gallery/templates.ts'
import type { Change } from '../../src/ledger/ledger.ts'
import { createLogger } from '../../src/shared/log.ts'
import { open as openSealed } from '../../src/vault/seal.ts'
import { openVault, type Vault } from '../../src/vault/vault.ts'
import { type TestDatabase, testDatabase } from '../support/database.ts'

const now = new Date('2025-03-03T01:00:00Z')
let database: TestDatabase
let db: Database
let gallery: Gallery | undefined
let folder: string
let vault: Vault
/** One key a person, whichever test they are in. */
const keys = new Map<string, { id: string; key: Buffer }>()

beforeAll(async () => {
  database = await testDatabase()
  db = database.db
  folder = await mkdtemp(join(tmpdir(), 'rollcall-calibration-'))
  vault = await openVault({ dir: folder, masterKey: randomBytes(32) })
})
beforeEach(async () => {
  await gallery?.close()
  for (const table of ['employees', 'calibrations'] as const) await db.deleteFrom(table).execute()
})
afterAll(async () => {
  await gallery?.close()
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

const open = async (on: Database = db, as: Pack = pack) => {
  const log = createLogger({ level: 'silent' })
  const change: Change = (work) => on.transaction().execute(work)
  gallery = await openGallery({
    db: on,
    vault,
    change,
    pack: as,
    clock: { now: () => now },
    log,
    threshold: 0.65,
  })
  return gallery
}

/** A repeatable source of numbers (mulberry32). */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A vector built like those that are stored: what `near` gives and something of its own, each part of length 1. */
function face(seed: number, near?: Float32Array): Float32Array {
  const next = random(seed)
  const vector = Float32Array.from({ length: pack.dimension }, (_, i) => next() - (i < 1024 ? 0 : 0.5))
  if (near) for (let i = 0; i < vector.length; i++) vector[i] = near[i] + vector[i] / (i < 1024 ? 80 : 8)
  let from = 0
  for (const { dimension } of pack.embedders) {
    const part = vector.subarray(from, from + dimension)
    const length = Math.hypot(...part)
    for (let i = 0; i < dimension; i++) part[i] /= length
    from += dimension
  }
  return vector
}

interface Person {
  employeeId: string
  /** By slot, from 1. */
  vectors: Float32Array[]
}

/** People with one template each, and every third with up to three. */
const makePeople = (count: number, firstNumber = 1): Person[] =>
  Array.from({ length: count }, (_, i) => {
    const number = firstNumber + i
    const first = face(number)
    const more = number % 3 === 0 ? [face(number + 10_000, first), face(number + 20_000, first)] : []
    return {
      employeeId: `P${String(number).padStart(3, '0')}`,
      vectors: [first, ...more.slice(0, number % 2 ? 1 : 2)],
    }
  })

async function store(people: readonly Person[]): Promise<void> {
  for (const { employeeId } of people) {
    if (keys.has(employeeId)) continue
    const id = await vault.newKey()
    keys.set(employeeId, { id, key: (await vault.key(id))! })
  }
  const employees = people.map(({ employeeId }) => ({
    employee_id: employeeId,
    name: `Name of ${employeeId}`,
    key_id: keys.get(employeeId)!.id,
  }))
  await db.insertInto('employees').values(employees).execute()
  const templates = people.flatMap(({ employeeId, vectors }) =>
    vectors.map((vector, i) => template(employeeId, vector, i + 1)),
  )
  for (let i = 0; i < templates.length; i += 50)
    await db
      .insertInto('face_templates')
      .values(templates.slice(i, i + 50))
      .execute()
}

const template = (employee_id: string, vector: Float32Array, image_id: number) => ({
  employee_id,
  image_id,
  pack: pack.name,
  filename: 'a.jpg',
  file_path: 'a.jpg',
  embedding_vector: sealed(employee_id, vector, image_id),
  created_from: 'ADMIN_UPLOAD' as const,
})

const sealed = (employeeId: string, vector: Float32Array, slot: number) =>
  sealTemplate(keys.get(employeeId)!.key, vector, { employeeId, slot, pack: pack.name })

const setActive = (employeeId: string, is_active: boolean) =>
  db.updateTable('employees').set({ is_active }).where('employee_id', '=', employeeId).execute()
const calibrations = () => db.selectFrom('calibrations').selectAll().orderBy('id').execute()
const meanOf = async ({ mean, people }: { mean: Uint8Array; people: number }) =>
  toVector(openSealed(await vault.named(CALIBRATION_KEY), mean, calibrationContext(pack.name, people)))

/** Stores people with the gallery open, as enrolments do. */
async function enrolAll(into: Gallery, people: readonly Person[]): Promise<void> {
  await store(people)
  for (const { employeeId } of people) await into.refresh(employeeId)
  await into.settled()
}

const vote = (vector: Float32Array) => ({ pack: pack.name, vector, weight: 1 })

const defaultMean = toVector(Buffer.from(pack.measured.defaultMean, 'base64'))
const dot = (one: Float32Array, other: Float32Array) =>
  one.reduce((sum, value, i) => sum + value * other[i], 0)

/** The normalised scores by their definition: every template, a cohort of one template a person, nobody with themself. */
function bruteForce(
  probe: Float32Array,
  people: readonly Person[],
  mean: Float32Array,
  cohort: readonly string[] | null,
) {
  const fused = new Map(
    people.map(({ employeeId, vectors }) => [
      employeeId,
      vectors.map((one) => fuse(pack.embedders, one, mean)),
    ]),
  )
  const query = fuse(pack.embedders, probe, mean)
  const withOthers = (vector: Float32Array, employeeId: string) =>
    cohortMean(
      cohort!
        .filter((member) => member !== employeeId && fused.has(member))
        .map((member) => dot(vector, fused.get(member)![0])),
    )
  const table = cohort ? pack.measured.normalised : pack.measured.raw
  return [...fused]
    .map(([employeeId, vectors]) => {
      const scores = vectors.map((vector) => {
        const raw = dot(query, vector)
        return cohort
          ? normaliseScore(raw, withOthers(query, employeeId), withOthers(vector, employeeId))
          : raw
      })
      // A learned template lifts by a quarter of a decade at most.
      const most = scoreAt(table, minusLog10Fmr(table, scores[0]) + 0.25)
      return { employeeId, score: Math.max(scores[0], Math.min(most, Math.max(...scores))) }
    })
    .sort((one, other) => other.score - one.score)
}

function expectSame(
  found: Gallery,
  probe: Float32Array,
  people: readonly Person[],
  mean: Float32Array,
  cohort: string[] | null,
) {
  const expected = bruteForce(probe, people, mean, cohort)
  const { candidates } = found.identify([vote(probe)], people.length)
  expect(candidates.map(({ employeeId }) => employeeId)).toEqual(expected.map(({ employeeId }) => employeeId))
  const furthest = Math.max(...candidates.map(({ score }, i) => Math.abs(score - expected[i].score)))
  expect(furthest).toBeLessThan(1e-5)
  const table = cohort ? pack.measured.normalised : pack.measured.raw
  for (const { score, confidence } of candidates) expect(confidence).toBe(confidenceOf(table, score))
}

/** What two galleries answer to the same faces, without the last digits. */
function expectAlike(one: Gallery, other: Gallery, probes: readonly Float32Array[]) {
  const answers = [one, other].map((each) =>
    probes.map((probe) => {
      const { candidates, ...rest } = each.identify([vote(probe)], 20)
      return {
        ...rest,
        candidates: candidates.map(({ employeeId, name, templateId, score }) => ({
          employeeId,
          name,
          templateId,
          score: expect.closeTo(score, 5),
        })),
      }
    }),
  )
  expect(one.identify([vote(probes[0])], 1).candidates.length).toBeGreaterThan(0)
  for (const [i, answer] of answers[0].entries()) {
    const given = other.identify([vote(probes[i])], 20)
    expect(given).toMatchObject(answer)
    expect(given.candidates).toHaveLength(answer.candidates.length)
  }
  expect([one.people, one.templates, one.normalised]).toEqual([
    other.people,
    other.templates,
    other.normalised,
  ])
}

describe('when to calibrate', () => {
  test.each([
    [0, null, false, false],
    [9, null, false, false],
    [10, null, false, true],
    [50, null, false, true],
    [19, 10, false, false],
    [20, 10, false, true],
    [99, 50, false, false],
    [100, 51, false, true],
    [100, 100, true, false],
    [199, 100, true, false],
    [200, 100, true, true],
    [150, 100, false, true],
    [9, 100, false, false],
    [40, 100, false, false],
  ])('%d people, calibrated at %s, normalised %s: %s', (people, calibratedAt, normalised, due) => {
    expect(calibrationDue(people, calibratedAt === null ? null : { people: calibratedAt }, normalised)).toBe(
      due,
    )
  })
})

describe('the cohort', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, i) => `EMP_${i}`)

  test.each([
    [0, undefined],
    [99, undefined],
    [100, 100],
    [200, 200],
    [5000, 200],
  ])('of %d people has %s members', (people, size) => {
    expect(drawCohort(ids(people))?.length).toBe(size)
  })

  test('is drawn alike whatever the order of the people, nobody twice', () => {
    const cohort = drawCohort(ids(1000))!
    fc.assert(
      fc.property(fc.shuffledSubarray(ids(1000), { minLength: 1000 }), (shuffled) => {
        expect(drawCohort(shuffled)).toEqual(cohort)
      }),
      { numRuns: 5 },
    )
    expect(new Set(cohort).size).toBe(200)
    expect(cohort).not.toEqual(ids(200))
  })
})

describe('a growing gallery', () => {
  test('takes its own mean at ten people, and not before', async () => {
    const people = makePeople(10)
    const growing = await open()
    await enrolAll(growing, people.slice(0, 9))
    expect([await calibrations(), growing.calibration]).toEqual([[], null])
    expectSame(growing, face(5001), people.slice(0, 9), defaultMean, null)

    await enrolAll(growing, people.slice(9))
    const [row, ...more] = await calibrations()
    expect(more).toEqual([])
    expect(row).toMatchObject({ pack: pack.name, people: 10, cohort: null, created_at: now })
    const mean = await meanOf(row)
    expect(mean).toHaveLength(1024)
    for (let i = 0; i < mean.length; i++) {
      const byHand = people.reduce((sum, { vectors }) => sum + vectors[0][i], 0) / 10
      expect(Math.abs(mean[i] - byHand)).toBeLessThan(1e-7)
    }
    expect(growing.identify([vote(face(5001))], 1)).toMatchObject({
      scale: 'raw',
      calibrationId: row.id,
      people: 10,
    })
    expectSame(growing, face(5001), people, mean, null)
  })

  test('calibrates at 10, 20, 40, 80, and with a cohort at 100, then rests', async () => {
    const people = makePeople(120)
    const growing = await open()
    for (let i = 0; i < people.length; i++) await enrolAll(growing, [people[i]])
    const rows = await calibrations()
    expect(rows.map(({ people }) => people)).toEqual([10, 20, 40, 80, 100])
    expect(rows.map(({ cohort }) => cohort?.length)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      100,
    ])
    expect([...rows[4].cohort!].sort()).toEqual(people.slice(0, 100).map(({ employeeId }) => employeeId))
    expect(growing.identify([vote(face(1))], 1)).toMatchObject({ scale: 'normalised', people: 120 })
    expectSame(growing, face(9001, people[7].vectors[0]), people, await meanOf(rows[4]), rows[4].cohort)
  })

  test('that somebody left below ten does not calibrate', async () => {
    const growing = await open()
    await enrolAll(growing, makePeople(9))
    await setActive('P001', false)
    await growing.refresh('P001')
    await enrolAll(growing, makePeople(1, 10))
    expect(await calibrations()).toEqual([])
  })
})

describe('a gallery of a pack without a centred part', () => {
  const plain: Pack = {
    ...pack,
    embedders: pack.embedders.map((spec) => ({ ...spec, centred: false })),
    measured: { ...pack.measured, defaultMean: '' },
  }

  test('calibrates with an empty mean, finds who it should, and opens again', async () => {
    const people = makePeople(10)
    const growing = await open(db, plain)
    await enrolAll(growing, people)
    const [row] = await calibrations()
    expect(await meanOf(row)).toHaveLength(0)
    const probe = face(7001, people[3].vectors[0])
    const found = growing.identify([vote(probe)], 1)
    expect(found).toMatchObject({ calibrationId: row.id, candidates: [{ employeeId: 'P004' }] })
    const [one, other] = [probe, people[3].vectors[0]].map((v) =>
      fuse(plain.embedders, v, new Float32Array()),
    )
    expect(found.candidates[0].rawScore).toBeCloseTo(dot(one, other), 5)
    await growing.close()
    expect((await open(db, plain)).identify([vote(probe)], 1)).toEqual(found)
  })

  test('does not open where nobody has measured what its scores mean', async () => {
    await expect(open(db, { ...pack, measured: null })).rejects.toThrow(/"rollcall models measure human-v1/)
  })
})

describe('a normalised gallery', () => {
  const people = makePeople(110)
  let mean: Float32Array
  let cohort: string[]

  beforeEach(async () => {
    await store(people.slice(0, 99))
    const growing = await open()
    await enrolAll(growing, people.slice(99))
    const row = (await calibrations()).at(-1)!
    mean = await meanOf(row)
    cohort = row.cohort!
  })
  const probes = [face(7001), ...[0, 2, 5, 50, 104, 109].map((i) => face(8000 + i, people[i].vectors[0]))]

  test('scores everybody as the definition says', () => {
    expect(gallery!.normalised).toBe(true)
    for (const probe of probes.slice(0, 3)) expectSame(gallery!, probe, people, mean, cohort)
  })

  test('finds the right person first, however few are asked for', () => {
    for (const [i, person] of [0, 2, 5, 50, 104, 109].entries())
      for (const top of [1, 5]) {
        const { candidates } = gallery!.identify([vote(probes[i + 1])], top)
        expect(candidates).toHaveLength(top)
        expect(candidates[0].employeeId).toBe(people[person].employeeId)
      }
  })

  test('gives the same first ones whether few or all are asked for', () => {
    for (let stranger = 0; stranger < 300; stranger++) {
      const probe = face(50_000 + stranger)
      const idsOf = (top: number) =>
        gallery!.identify([vote(probe)], top).candidates.map(({ employeeId }) => employeeId)
      const all = idsOf(people.length)
      for (const top of [1, 5]) expect(idsOf(top)).toEqual(all.slice(0, top))
    }
  })

  test('verifies with the score that it identifies with', () => {
    for (const probe of probes)
      for (const one of gallery!.identify([vote(probe)], people.length).candidates) {
        const { score, rawScore, ...rest } = gallery!.verify(vote(probe), one.employeeId)!
        expect(rest).toMatchObject({ employeeId: one.employeeId, name: one.name, templateId: one.templateId })
        expect(score).toBeCloseTo(one.score, 5)
        expect(rawScore).toBeCloseTo(one.rawScore, 5)
      }
    expect(gallery!.verify(vote(probes[0]), 'nobody')).toBeUndefined()
  })

  test('is the same when it is opened again', async () => {
    expectAlike(gallery!, await open(), probes)
  })

  test.each<[string, (id: string) => Promise<unknown>]>([
    ['leaves', (id) => setActive(id, false)],
    ['is erased', (id) => db.deleteFrom('face_templates').where('employee_id', '=', id).execute()],
    [
      'gets another template',
      (id) =>
        db
          .updateTable('face_templates')
          .set({ embedding_vector: sealed(id, face(6001, people[60].vectors[0]), 1) })
          .where('employee_id', '=', id)
          .where('image_id', '=', 1)
          .execute(),
    ],
    [
      'is renamed',
      (id) => db.updateTable('employees').set({ name: 'Another' }).where('employee_id', '=', id).execute(),
    ],
    [
      'leaves and comes back',
      async (id) => {
        await setActive(id, false)
        await gallery!.refresh(id)
        await setActive(id, true)
      },
    ],
  ])('is as if opened again when a member of the cohort %s', async (_what, change) => {
    const before = gallery!
    expect(cohort).toContain('P003')
    await change('P003')
    await before.refresh('P003')
    await before.settled()
    expectAlike(before, await open(), probes)
    await before.close()
  })

  test('forgets a member of the cohort who leaves', async () => {
    await setActive('P003', false)
    await gallery!.refresh('P003')
    expect(gallery!.verify(vote(probes[2]), 'P003')).toBeUndefined()
    const { candidates, people: compared } = gallery!.identify([vote(probes[2])], 200)
    expect(compared).toBe(109)
    expect(candidates.map(({ employeeId }) => employeeId)).not.toContain('P003')
    await gallery!.settled()
    const left = people.filter(({ employeeId }) => employeeId !== 'P003')
    expectSame(gallery!, probes[2], left, mean, cohort)
  })

  test('goes back to plain scores when too few of its cohort are left', async () => {
    const leaving = cohort.slice(0, cohort.length - MIN_COHORT_LEFT + 1)
    for (const id of leaving) {
      await setActive(id, false)
      await gallery!.refresh(id)
    }
    await gallery!.settled()
    expect(gallery!.normalised).toBe(false)
    const left = people.filter(({ employeeId }) => !leaving.includes(employeeId))
    expectSame(gallery!, probes[5], left, mean, null)
  })
})

describe('loading', () => {
  test('finds everybody, however many active people have no template', async () => {
    const [first, last] = makePeople(2)
    const without = Array.from({ length: 1200 }, (_, i) => ({ employee_id: `N${i}`, name: 'Nobody' }))
    await store([first])
    await db.insertInto('employees').values(without).execute()
    await store([last])
    const opened = await open()
    expect(opened.people).toBe(2)
    expect(opened.identify([vote(last.vectors[0])], 1).candidates[0].employeeId).toBe(last.employeeId)
  })

  test('finds everybody of more pages than one, and nobody inactive or of another pack', async () => {
    const people = makePeople(1100)
    await store(people)
    await setActive('P001', false)
    await db
      .updateTable('face_templates')
      .set({ pack: 'another' })
      .where('employee_id', '=', 'P002')
      .execute()
    const opened = await open()
    expect(opened.people).toBe(1098)
    expect(opened.templates).toBe(people.slice(2).flatMap(({ vectors }) => vectors).length)
    expect(opened.verify(vote(people[1].vectors[0]), 'P002')).toBeUndefined()
  })
})

describe('a database that fails', () => {
  /** The same database, which can be made to fail for all or for one statement. */
  function failing() {
    const state = { down: false }
    const flaky = new Proxy(db, {
      get(target, key) {
        if (state.down && key === 'selectFrom')
          return () => {
            throw Object.assign(new Error('the connection was lost'), { code: 'ECONNRESET' })
          }
        const value = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    return { state, flaky }
  }

  test('holds no caller, and is asked again until the gallery is in step', async () => {
    const people = makePeople(3)
    await store(people)
    const { state, flaky } = failing()
    const surviving = await open(flaky)
    await setActive('P001', false)
    await setActive('P002', false)
    state.down = true
    const start = performance.now()
    await surviving.refresh('P001')
    await surviving.refresh('P002')
    expect(performance.now() - start).toBeLessThan(500)
    expect(surviving.people).toBe(3)
    state.down = false
    await surviving.settled()
    expect(surviving.people).toBe(1)
  })

  test('does not keep the gallery from closing', async () => {
    await store(makePeople(1))
    const { state, flaky } = failing()
    const surviving = await open(flaky)
    state.down = true
    await surviving.refresh('P001')
    await surviving.close()
  })

  test('a row that cannot be read does not keep the others from being brought into step', async () => {
    const people = makePeople(3)
    await store(people)
    const surviving = await open()
    await db
      .updateTable('face_templates')
      .set({ embedding_vector: Buffer.alloc(8) })
      .where('employee_id', '=', 'P001')
      .execute()
    await surviving.refresh('P001')
    await setActive('P002', false)
    await surviving.refresh('P002')
    expect(surviving.verify(vote(people[1].vectors[0]), 'P002')).toBeUndefined()
  })

  test('everybody leaving at once does not stop it', async () => {
    const surviving = await open()
    const people = makePeople(12)
    await store(people)
    for (const { employeeId } of people.slice(0, 9)) await surviving.refresh(employeeId)
    // Nobody is left in the database by the time that the tenth makes a calibration due.
    const refreshed = surviving.refresh('P010')
    await refreshed
    await db.updateTable('employees').set({ is_active: false }).execute()
    for (const { employeeId } of people) await surviving.refresh(employeeId)
    await surviving.settled()
    expect(surviving.people).toBe(0)
  })
})

describe('stored vectors', () => {
  test('come back from the database bit for bit', async () => {
    await store(makePeople(1))
    const numbers = fc.float32Array({ minLength: 1, maxLength: 300 })
    await fc.assert(
      fc.asyncProperty(numbers, async (vector) => {
        await db
          .updateTable('face_templates')
          .set({ embedding_vector: sealed('P001', vector, 1) })
          .where('employee_id', '=', 'P001')
          .execute()
        const { embedding_vector } = await db
          .selectFrom('face_templates')
          .select('embedding_vector')
          .where('employee_id', '=', 'P001')
          .executeTakeFirstOrThrow()
        const where = { employeeId: 'P001', slot: 1, pack: pack.name }
        const opened = openTemplate(keys.get('P001')!.key, embedding_vector, where)
        expect(Buffer.from(opened.buffer)).toEqual(Buffer.from(vector.buffer))
      }),
      { numRuns: 60 },
    )
  })

  test('are little-endian, whatever the address of the bytes', () => {
    expect([...toBytes(Float32Array.of(1, -2))]).toEqual([0, 0, 128, 63, 0, 0, 0, 192])
    const shifted = Buffer.from([9, 0, 0, 128, 63]).subarray(1)
    expect([...toVector(shifted)]).toEqual([1])
  })
})
