import { readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { kioskPicture } from '../../bench/people.ts'
import { averageVectors } from '../../src/face/embed.ts'
import { guardTemplates } from '../../src/gallery/drift.ts'
import { voteOf } from '../../src/gallery/gallery.ts'
import { createLearner, type Learnable, releaseQuarantine } from '../../src/gallery/learn.ts'
import { keyOf } from '../../src/gallery/person-key.ts'
import { findPerson, knownFiles, openTemplate, sealTemplate } from '../../src/gallery/templates.ts'
import type { Change } from '../../src/ledger/ledger.ts'
import { AppError } from '../../src/shared/errors.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, registerKiosk, rowCounts, type TestApp, testApp } from '../support/app.ts'
import { bonaFidePunch, faceIn, goodCheck, learnFrom, learningDeps } from './learned.ts'

const DAY_MS = 24 * 3_600_000
const start = new Date('2025-03-03T01:00:00Z')
let running: TestApp
let [ann, bob]: Buffer[] = []
/** Ann at a kiosk, differently each time. */
let takes: Buffer[]

beforeAll(async () => {
  running = await testApp()
  ;[ann, bob] = await Promise.all([portrait('blonde'), portrait('longHair')])
  takes = await Promise.all([0, 1, 2, 3].map((take) => kioskPicture('blonde', take)))
})
beforeEach(async () => {
  running.clock.set(start.toISOString())
  await running.clear()
  await registerKiosk(running, 'GATE')
  await enrol(running, 'ANN', ann!)
  await enrol(running, 'BOB', bob!)
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
  // Whatever happened: each photo has its file, and nothing else is there.
  expect(await knownFiles(running.db)).toEqual(new Set(await readdir(running.uploads)))
})
afterAll(() => running.close())

const learned = () =>
  running.db.selectFrom('face_templates').selectAll().where('image_id', '>', 1).orderBy('image_id').execute()
const keyOfAnn = async () => keyOf(running.vault, (await findPerson(running.db, 'ANN'))!)
const annAgain = (take = 1) => goodCheck(running, 'ANN', takes[take]!)
const send = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, payload?: object) =>
  running.app.inject({ method, url: `/api/v1/employees/ANN${path}`, ...(payload && { payload }) })
const byHand: Change = (work) => running.ledger.by({ by: 'test' })(work)
const days = (count: number) => running.clock.advance(count * DAY_MS)

describe('a learned template', () => {
  test('says what it descends from, and is sealed for its person', async () => {
    const check = await annAgain()
    await learnFrom(running, check)
    const [template, ...more] = await learned()
    expect(more).toEqual([])
    expect(template).toMatchObject({
      employee_id: 'ANN',
      image_id: 2,
      pack: running.engine.pack.name,
      is_primary: false,
      created_from: 'ATTENDANCE',
      quality_score: check.face.quality.score,
      confidence_score: 1,
      parent_id: 1,
      learned_from: check.punchId,
      is_suspended: false,
      created_at: start,
      active_from: new Date(start.getTime() + DAY_MS),
    })
    const where = { employeeId: 'ANN', slot: 2, pack: running.engine.pack.name }
    const vector = openTemplate(await keyOfAnn(), template!.embedding_vector, where)
    // Three parts of Ann's photo and one of the check.
    const enrolled = await faceIn(running, (await send('GET', '/photos/1')).rawPayload)
    const parts = [enrolled, enrolled, enrolled, check.face].map((face) => face.vector)
    expect(vector).toEqual(averageVectors(running.engine.pack.embedders, parts))
    const photo = await send('GET', `/photos/${template!.sample_id}`)
    const again = await faceIn(running, photo.rawPayload)
    expect(running.gallery.likeness('human-v1', again.vector, check.face.vector)).toBe(1)
  })

  test('is not searched for a day, and then is, without a restart', async () => {
    await learnFrom(running, await annAgain())
    const slotsNow = async () => {
      const vote = voteOf(await faceIn(running, takes[1]!))
      return running.gallery.templatesOf(vote, 'ANN').map(({ slot }) => slot)
    }
    const release = () => releaseQuarantine(learningDeps(running), start)
    running.clock.advance(DAY_MS - 1)
    expect(await release()).toBe(0)
    await running.gallery.refresh('ANN')
    expect(await slotsNow()).toEqual([1])
    running.clock.advance(1)
    expect(await slotsNow()).toEqual([1])
    expect(await release()).toBe(1)
    expect(await slotsNow()).toEqual([1, 2])
    expect(await releaseQuarantine(learningDeps(running), running.clock.now())).toBe(0)
  })

  test('is not searched while it is suspended', async () => {
    await learnFrom(running, await annAgain())
    days(1)
    await running.gallery.reload()
    expect(running.gallery.templates).toBe(3)
    await running.db
      .updateTable('face_templates')
      .set({ is_suspended: true })
      .where('image_id', '=', 2)
      .execute()
    await running.gallery.refresh('ANN')
    expect(running.gallery.templates).toBe(2)
  })

  test('comes once in ten days, and the older one makes room', async () => {
    await learnFrom(running, await annAgain(0))
    const [first] = await learned()
    running.clock.advance(10 * DAY_MS - 1)
    await learnFrom(running, await annAgain(1))
    expect(await learned()).toHaveLength(1)
    running.clock.advance(1)
    await learnFrom(running, await annAgain(1))
    const [, second] = await learned()
    days(10)
    await learnFrom(running, await annAgain(2))
    const [third, ...others] = await learned()
    expect(others.map(({ id }) => id)).toEqual([second!.id])
    expect(third).toMatchObject({ image_id: 2, parent_id: 1 })
    expect(third!.id).not.toBe(first!.id)
    expect((await send('GET', '/photos')).json()).toHaveLength(3)
  })

  test('that was removed does not buy another try', async () => {
    await learnFrom(running, await annAgain(0))
    await send('DELETE', `/templates/${(await learned())[0]!.id}`)
    days(9)
    await learnFrom(running, await annAgain(1))
    expect(await learned()).toEqual([])
    days(1)
    await learnFrom(running, await annAgain(1))
    expect(await learned()).toHaveLength(1)
  })

  test('is counted as matched when it is the best', async () => {
    await learnFrom(running, await annAgain())
    days(1)
    await running.gallery.refresh('ANN')
    const payload = form({ image: takes[1]!, device_id: 'GATE' })
    const answer = await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload })
    expect(answer.json()).toMatchObject({ recognized: true, employee_id: 'ANN' })
    expect((await learned())[0]).toMatchObject({ match_count: 1, last_matched: running.clock.now() })
  })
})

describe('nothing is learned', () => {
  type Spoil = (check: Learnable) => Promise<Partial<Learnable> | undefined>
  const cases: [string, Spoil][] = [
    ['where liveness was not looked for', async () => ({ liveness: 'unavailable' })],
    ['where it is undecided', async () => ({ liveness: 'undecided' })],
    ['from an attack', async () => ({ liveness: 'attack' })],
    [
      'where the punch itself does not say bona fide',
      async () => ({ punchId: await bonaFidePunch(running, 'ANN', { liveness: 'undecided' }) }),
    ],
    ['from a duplicate', async () => ({ outcome: 'duplicate' })],
    ['from the punch of somebody else', async () => ({ punchId: await bonaFidePunch(running, 'BOB') })],
    ['from a punch that is not there', async () => ({ punchId: 999 })],
    [
      'from a poor picture',
      async ({ face }) => ({ face: { ...face, quality: { ...face.quality, score: 0.79 } } }),
    ],
    ['from the face of somebody else', async () => ({ face: await faceIn(running, bob!) })],
    ['from a face of other networks', async ({ face }) => ({ face: { ...face, pack: 'another' } })],
    ['from a picture that is enrolled', async () => ({ picture: ann! })],
    [
      'from a punch that was corrected',
      async ({ punchId }) => {
        const url = `/api/v1/attendance/${punchId}/correct`
        await running.app.inject({ method: 'POST', url, payload: { void: true, notes: 'It was a test' } })
        return undefined
      },
    ],
    [
      'from a person who was deactivated, before the gallery hears of it',
      async () => {
        await byHand((trx) => trx.updateTable('employees').set({ is_active: false }).execute())
        return undefined
      },
    ],
    [
      'from a person with an open dispute',
      async () => {
        const punch_id = await bonaFidePunch(running, 'ANN')
        const dispute = { punch_id, device_id: 'GATE', created_at: start }
        await byHand((trx) => trx.insertInto('disputes').values(dispute).execute())
        return undefined
      },
    ],
    [
      'from a person who has a look-alike',
      async () => {
        const pair = { employee_a: 'ANN', employee_b: 'BOB', origin: 'dispute', margin: 0.15 } as const
        await running.db
          .insertInto('look_alikes')
          .values({ ...pair, created_at: start })
          .execute()
        return undefined
      },
    ],
    [
      'while the photos are embedded for another pack',
      async () => {
        const change = { from_pack: 'human-v1', to_pack: 'other', state: 'embedding' } as const
        await byHand((trx) =>
          trx
            .insertInto('model_switches')
            .values({ ...change, started_at: start, started_by: 'test' })
            .execute(),
        )
        return undefined
      },
    ],
    [
      'without a consent where one is needed',
      async () => {
        await byHand((trx) => trx.updateTable('sites').set({ require_consent: true }).execute())
        return undefined
      },
    ],
  ]
  afterEach(async () => {
    await byHand(async (trx) => {
      await trx.updateTable('sites').set({ require_consent: false }).execute()
      await trx.deleteFrom('model_switches').execute()
    })
  })

  test.each(cases)('%s', async (_what, spoil) => {
    const check = await annAgain()
    const changes = await spoil(check)
    const before = await rowCounts(running.db)
    await learnFrom(running, { ...check, ...changes })
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('from the very picture that was learned from before', async () => {
    await learnFrom(running, await annAgain())
    days(10)
    await learnFrom(running, await annAgain())
    expect(await learned()).toHaveLength(1)
  })

  test('from what a learned template alone recognises', async () => {
    await learnFrom(running, await annAgain())
    const [template] = await learned()
    // As if it had drifted as far as that: it is Bob's face now.
    const face = await faceIn(running, bob!)
    await putVector(template!.id, face.vector)
    days(11)
    await running.app.inject({ method: 'POST', url: '/api/v1/employees/BOB/erase' })
    await running.gallery.reload()
    const check = await goodCheck(running, 'ANN', await kioskPicture('longHair', 1))
    const each = running.gallery.templatesOf(voteOf(check.face), 'ANN')
    expect(each).toMatchObject([{ slot: 1 }, { slot: 2, confidence: 1 }])
    // It lifts her only a little above what her photos say.
    const [first] = running.gallery.identify([voteOf(check.face)], 1).candidates
    expect(first.minusLog10Fmr).toBeCloseTo(each[0].minusLog10Fmr + 0.25, 5)
    await learnFrom(running, check)
    expect(await learned()).toHaveLength(1)
  })

  test("where the administrator's template was changed meanwhile", async () => {
    const check = await annAgain()
    const refresh = running.gallery.refresh.bind(running.gallery)
    const gallery = new Proxy(running.gallery, {
      get: (target, key) =>
        key !== 'refresh'
          ? Reflect.get(target, key)
          : async (employeeId: string) => {
              await refresh(employeeId)
              const payload = form({ photo: takes[3]! })
              const url = '/api/v1/employees/ANN/upload-photo'
              await running.app.inject({ method: 'POST', url, payload })
            },
    })
    const learner = createLearner({ ...learningDeps(running), gallery })
    learner.offer(check)
    await learner.settled()
    expect(await learned()).toEqual([])
  })
})

/** Puts another vector into a learned template of Ann, as drift would, past everything that guards it. */
async function putVector(id: number, vector: Float32Array): Promise<void> {
  const where = { employeeId: 'ANN', slot: 2, pack: running.engine.pack.name }
  const embedding_vector = sealTemplate(await keyOfAnn(), vector, where)
  await byHand((trx) =>
    trx.updateTable('face_templates').set({ embedding_vector }).where('id', '=', id).execute(),
  )
}

describe('what goes wrong', () => {
  const logged = () => {
    const log = { ...learningDeps(running).log, error: vi.fn(), info: vi.fn(), debug: vi.fn(), warn: vi.fn() }
    return log as unknown as ReturnType<typeof learningDeps>['log'] & { error: ReturnType<typeof vi.fn> }
  }

  test('a full disk leaves no row and no file, and is logged', async () => {
    const log = logged()
    const full = async () => {
      throw new AppError('storage_full', 'The disk is full.')
    }
    const check = await annAgain()
    const before = await rowCounts(running.db)
    const learner = createLearner({
      ...learningDeps(running),
      photos: { ...running.photos, save: full },
      log,
    })
    learner.offer(check)
    await learner.settled()
    expect(log.error).toHaveBeenCalledOnce()
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('a transaction that fails after the photo was written leaves neither row nor file', async () => {
    const log = logged()
    const check = await annAgain()
    const before = await rowCounts(running.db)
    await sql`ALTER TABLE face_templates ADD CONSTRAINT broken CHECK (image_id < 2)`.execute(running.db)
    const learner = createLearner({ ...learningDeps(running), log })
    learner.offer(check)
    await learner.settled()
    await sql`ALTER TABLE face_templates DROP CONSTRAINT broken`.execute(running.db)
    expect(log.error).toHaveBeenCalledOnce()
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('a commit that is lost leaves at most a file, which the sweep removes', async () => {
    const { change, ...deps } = learningDeps(running)
    const losing: Change = (work) =>
      change(async (trx) => {
        await work(trx)
        throw new Error('the connection was lost')
      })
    const check = await annAgain()
    const before = await rowCounts(running.db)
    const learner = createLearner({ ...deps, change: losing })
    learner.offer(check)
    await learner.settled()
    expect(await rowCounts(running.db)).toEqual(before)
    const known = await knownFiles(running.db)
    const strays = (await readdir(running.uploads)).filter((name) => !known.has(name))
    expect(strays).toHaveLength(1)
    await utimes(join(running.uploads, strays[0]!), new Date(0), new Date(0))
    expect(await running.photos.sweep(known)).toBe(1)
  })

  test('a database that is gone fails no check, and the next one is learned from', async () => {
    const log = logged()
    const deps = learningDeps(running)
    let gone = true
    const db = new Proxy(running.db, {
      get(target, key) {
        if (gone && key === 'selectFrom') throw new Error('the connection was lost')
        const value = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const learner = createLearner({ ...deps, db, log })
    const check = await annAgain()
    expect(() => learner.offer(check)).not.toThrow()
    await learner.settled()
    expect(log.error).toHaveBeenCalledOnce()
    gone = false
    learner.offer(check)
    await learner.settled()
    expect(await learned()).toHaveLength(1)
  })

  test('of two that learn at once from two punches one does', async () => {
    const checks = [await annAgain(1), await annAgain(2)]
    await Promise.all(checks.map((check) => learnFrom(running, check)))
    expect(await learned()).toHaveLength(1)
  })

  test('of many that come at once no more are held than a handful', async () => {
    const check = await annAgain()
    let analysed = 0
    const gallery = new Proxy(running.gallery, {
      get(target, key) {
        if (key === 'identify') analysed++
        return Reflect.get(target, key)
      },
    })
    const learner = createLearner({ ...learningDeps(running), gallery })
    // Somebody who has no template, so that each ends with one look at the gallery.
    for (let i = 0; i < 100; i++) learner.offer({ ...check, employeeId: 'NOBODY' })
    await learner.settled()
    expect(analysed).toBe(8)
  })

  test('a learner that is closed drops what waits', async () => {
    const learner = createLearner(learningDeps(running))
    const check = await annAgain()
    const closed = learner.close()
    learner.offer(check)
    await closed
    expect(await learned()).toEqual([])
  })
})

describe('the photo of a learned template', () => {
  beforeEach(async () => learnFrom(running, await annAgain()))

  test('is listed for what it is, as the template is', async () => {
    const photos = (await send('GET', '/photos')).json()
    expect(photos).toMatchObject([
      { photo_id: 1, created_from: 'ADMIN_UPLOAD', is_avatar: true },
      { photo_id: 3, created_from: 'ATTENDANCE', is_avatar: false, filename: 'check-1.jpg' },
    ])
    const templates = (await send('GET', '/templates')).json()
    expect(templates[1]).toMatchObject({
      image_id: 2,
      created_from: 'ATTENDANCE',
      active_from: '2025-03-04T01:00:00.000Z',
      is_suspended: false,
      parent_id: 1,
      learned_from: 1,
      photo_id: 3,
    })
    expect(JSON.stringify(templates)).not.toContain('embedding')
  })

  test('goes with it, and it with its photo', async () => {
    const deleted = await send('DELETE', `/templates/${(await learned())[0]!.id}`)
    expect(deleted.json()).toMatchObject({ remaining_templates: 1 })
    expect((await send('GET', '/photos')).json()).toHaveLength(1)
    days(10)
    await learnFrom(running, await annAgain(2))
    const photo = (await send('GET', '/photos')).json()[1].photo_id
    expect((await send('DELETE', `/photos/${photo}`)).json()).toMatchObject({ remaining_photos: 1 })
    expect(await learned()).toEqual([])
  })

  test("goes with the administrator's template that it descends from", async () => {
    expect((await send('DELETE', '/templates/1')).json()).toMatchObject({ remaining_templates: 0 })
    expect(await learned()).toEqual([])
    expect((await send('GET', '/photos')).json()).toHaveLength(1)
  })

  test('goes with the last photo that was uploaded', async () => {
    expect((await send('DELETE', '/photos/1')).json()).toMatchObject({ remaining_photos: 0 })
    expect((await send('GET', '/photos')).json()).toEqual([])
    expect((await send('GET', '/templates')).json()).toEqual([])
  })

  test('goes with its punch, when that is taken away: also after other corrections of it', async () => {
    const [{ learned_from }] = await learned()
    const correct = (id: number, body: object) =>
      running.app.inject({ method: 'POST', url: `/api/v1/attendance/${id}/correct`, payload: body })
    const moved = await correct(learned_from!, { attendance_type: 'OUT', notes: 'wrong way' })
    expect(moved.statusCode).toBe(201)
    expect(await learned()).toHaveLength(1)
    const voided = await correct(moved.json().id, { void: true, notes: 'It was somebody else' })
    expect(voided.statusCode).toBe(201)
    expect(await learned()).toEqual([])
    expect((await send('GET', '/photos')).json()).toHaveLength(1)
  })

  test('is no avatar', async () => {
    expect((await send('PUT', '/photo', { photo_id: 3 })).json()).toMatchObject({ code: 'photo_not_found' })
    await send('POST', '/upload-photo', form({ photo: takes[3]! }))
    await send('DELETE', '/photos/1')
    const photos = (await send('GET', '/photos')).json()
    expect(photos).toMatchObject([
      { photo_id: 3, is_avatar: false },
      { photo_id: 4, is_avatar: true },
    ])
  })

  test("makes no part of the administrator's template", async () => {
    const before = await vectorOf(1)
    expect((await send('POST', '/templates/rebuild')).statusCode).toBe(200)
    expect(await vectorOf(1)).toEqual(before)
    const uploaded = await send('POST', '/upload-photo', form({ photo: takes[3]! }))
    expect(uploaded.json()).toMatchObject({ photos: 2 })
  })

  test('is erased with everything else of the person', async () => {
    const erased = await send('POST', '/erase')
    expect(erased.json()).toMatchObject({ deleted_photos: 2, deleted_face_templates: 2 })
    expect(await learned()).toEqual([])
    expect(await readdir(running.uploads)).toHaveLength(1)
  })

  test('is in the export of what is kept of the person', async () => {
    const exported = (await send('GET', '/data-export')).json()
    expect(exported.photos).toMatchObject([{ id: 1 }, { id: 3, created_from: 'ATTENDANCE' }])
    expect(exported.templates[1]).toMatchObject({ learned_from: 1, parent_id: 1, sample_id: 3 })
  })

  async function vectorOf(slot: number) {
    const { embedding_vector } = await running.db
      .selectFrom('face_templates')
      .select('embedding_vector')
      .where('employee_id', '=', 'ANN')
      .where('image_id', '=', slot)
      .executeTakeFirstOrThrow()
    return openTemplate(await keyOfAnn(), embedding_vector, {
      employeeId: 'ANN',
      slot,
      pack: running.engine.pack.name,
    })
  }
})

describe('the drift guard', () => {
  let cyd: Buffer
  beforeAll(async () => {
    cyd = await portrait('tilted')
  })
  beforeEach(async () => learnFrom(running, await annAgain()))

  const notes = async () => {
    const rows = await running.db
      .selectFrom('audit_log')
      .select(['by', 'subject', 'details'])
      .where('action', '=', 'drift')
      .execute()
    return rows
  }
  const drift = async (towards: Uint8Array) =>
    putVector((await learned())[0]!.id, (await faceIn(running, towards)).vector)

  test('leaves alone what is nearest to its own person', async () => {
    expect(await guardTemplates(learningDeps(running))).toBe(0)
    expect(await learned()).toHaveLength(1)
  })

  test('removes what has become somebody else, with its photo, and says why', async () => {
    await drift(bob!)
    expect(await guardTemplates(learningDeps(running))).toBe(1)
    expect(await learned()).toEqual([])
    expect((await send('GET', '/photos')).json()).toHaveLength(1)
    expect(await notes()).toMatchObject([
      { by: 'server', subject: 'ANN', details: { slot: 2, nearest_confidence: expect.any(Number) } },
    ])
    expect(await guardTemplates(learningDeps(running))).toBe(0)
  })

  test('looks once more when the quarantine ends, before anything is searched', async () => {
    await drift(bob!)
    days(1)
    await releaseQuarantine(learningDeps(running), start)
    expect(await learned()).toEqual([])
  })

  test('removes what becomes somebody else by their enrolment', async () => {
    await drift(cyd)
    days(1)
    // It is Ann's all the same, as long as nobody resembles it more and her photos still know it.
    await running.gallery.refresh('ANN')
    await enrol(running, 'CYD', cyd)
    expect(await learned()).toEqual([])
    expect(await notes()).toMatchObject([{ by: expect.stringMatching(/^user:/), subject: 'ANN' }])
  })

  test('removes what new photos of the person no longer recognise', async () => {
    await send('POST', '/upload-photo', form({ photo: takes[3]! }))
    expect(await learned()).toHaveLength(1)
    // The wrong photos, as it turns out: all of them are of somebody else.
    await running.app.inject({ method: 'POST', url: '/api/v1/employees/BOB/erase' })
    await drift(bob!)
    await send('DELETE', '/photos/1')
    expect(await learned()).toEqual([])
    expect((await notes())[0]).toMatchObject({ details: { why: expect.stringContaining('no longer') } })
  })
})
