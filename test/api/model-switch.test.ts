import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { activePack } from '../../src/gallery/active-pack.ts'
import { learnedVector } from '../../src/gallery/adapt.ts'
import { findKey } from '../../src/gallery/person-key.ts'
import { openTemplate, sealTemplate, upsertSampleVector } from '../../src/gallery/templates.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { createLogger } from '../../src/shared/log.ts'
import { createWorkQueue } from '../../src/shared/work-queue.ts'
import { type PortraitName, portrait } from '../face/portraits.ts'
import { enrol, form, recordPunch, registerKiosk, type TestApp, testApp } from '../support/app.ts'
import { embedded, testSwitch } from '../support/models.ts'

const base = '/api/v1/recognition/models'
/** Nobody stands at a kiosk. */
const idle = createWorkQueue({ atOnce: 1, maxWaiting: 1, maxWaitingPerKey: 1, maxWaitMs: 1000 })
const log = createLogger({ level: 'silent' })
const mirrored = (png: Buffer) => sharp(png).flop().toBuffer()
let running: TestApp

beforeEach(async () => {
  running = await testApp()
})
afterEach(() => running.close())

const post = (path: string, payload: object = {}) =>
  running.app.inject({ method: 'POST', url: `${base}${path}`, payload })
const begin = (pack = 'second') => post('/switch', { pack })
const state = async () => (await running.app.inject(`${base}/switch`)).json()
/** What the server does of itself in the background. */
const work = () => running.modelSwitch.work()

async function switchTo(pack: string) {
  expect((await begin(pack)).statusCode).toBe(202)
  await work()
  expect((await post('/switch/confirm')).json()).toMatchObject({ state: 'switched', to_pack: pack })
}

async function check(name: PortraitName) {
  const payload = form({ image: await portrait(name), device_id: 'GATE', attendance_type: 'IN' })
  const answer = await running.app.inject({ method: 'POST', url: '/api/v1/attendance/check', payload })
  running.clock.advance(3_600_000)
  const decision = await running.db
    .selectFrom('decisions')
    .select(['pack', 'employee_id'])
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow()
  expect(answer.json()).toMatchObject({ success: true })
  return decision
}

/** Gives a person a template in slot 2 as a check-in would have. */
async function learn({ db, vault, photos, engine, clock }: TestApp, employeeId: string) {
  const key = (await findKey(vault, db, employeeId))!
  const jpeg = await sharp(await portrait('frontal'))
    .resize(300)
    .jpeg()
    .toBuffer()
  const analysis = await engine.analyse(jpeg)
  if (analysis.kind !== 'face') throw new Error('the portrait shows a face')
  const { vector: face, pack } = analysis.face
  const shared = { employee_id: employeeId, filename: 'door.jpg', file_path: await photos.save(jpeg, key) }
  const sample = await db
    .insertInto('samples')
    .values({
      ...shared,
      content_type: 'image/jpeg',
      size_bytes: jpeg.length,
      width_px: 300,
      height_px: 300,
      sha256: 'learned',
      quality_score: 0.9,
      created_from: 'ATTENDANCE',
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  await db
    .transaction()
    .execute((trx) => upsertSampleVector(trx, key, { employeeId, sampleId: sample.id, pack, vector: face }))
  const parent = await db
    .selectFrom('face_templates')
    .select(['id', 'embedding_vector'])
    .where('employee_id', '=', employeeId)
    .executeTakeFirstOrThrow()
  const ofPhotos = openTemplate(key, parent.embedding_vector, { employeeId, slot: 1, pack })
  const vector = learnedVector(engine.pack.embedders, ofPhotos, face)
  const facts = {
    active_from: new Date(clock.now().getTime() + 86_400_000),
    is_suspended: true,
    learned_from: await recordPunch(db, employeeId, 'GATE'),
    sample_id: sample.id,
  }
  await db
    .insertInto('face_templates')
    .values({
      ...shared,
      ...facts,
      image_id: 2,
      pack,
      embedding_vector: sealTemplate(key, vector, { employeeId, slot: 2, pack }),
      created_from: 'ATTENDANCE',
      parent_id: parent.id,
    })
    .execute()
  return { key, vector, facts }
}

const distance = (one: Float32Array, other: Float32Array) =>
  Math.hypot(...one.map((value, i) => value - other[i]!))

describe('the list of the packs', () => {
  test('begins with the one in use, and says what each of the others lacks', async () => {
    const packs = (await running.app.inject(base)).json()
    expect(packs[0]).toMatchObject({ name: 'human-v1', state: 'in_use', message: null })
    expect(packs[0].files[0]).toEqual({
      name: expect.any(String),
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(packs.find(({ name }: { name: string }) => name === 'auraface')).toMatchObject({
      state: 'not_installed',
      message: expect.any(String),
    })
  })
})

describe('a change of the models', () => {
  beforeEach(async () => {
    await registerKiosk(running, 'GATE')
    await enrol(running, 'ANN', await portrait('frontal'))
    await enrol(running, 'BEN', await portrait('longHair'))
  })

  test('embeds everybody anew while the pack in use answers, and is ready with a report', async () => {
    const begun = await begin()
    expect(begun.statusCode).toBe(202)
    expect(begun.json()).toMatchObject({ from_pack: 'human-v1', to_pack: 'second', state: 'embedding' })
    expect(await check('frontal')).toEqual({ pack: 'human-v1', employee_id: 'ANN' })
    await work()
    expect(await state()).toMatchObject({
      state: 'ready',
      total: 2,
      done: 2,
      skipped: [],
      unrecognisable: [],
      // No site keeps pictures: each photo is the only one of its person, and of nobody else.
      comparison: { basis: 'stored_photos', compared: 2, same: 2, different_person: [] },
      thresholds: { from: 0.65, to: 0.65 },
    })
    expect(await embedded(running.db, 'second')).toBe(2)
    expect(await check('frontal')).toEqual({ pack: 'human-v1', employee_id: 'ANN' })
  })

  test('is made by a confirmation: the next decision is of the new pack, and the way back embeds nothing', async () => {
    await switchTo('second')
    expect(await check('frontal')).toEqual({ pack: 'second', employee_id: 'ANN' })
    expect(await check('longHair')).toEqual({ pack: 'second', employee_id: 'BEN' })
    const before = await running.db.selectFrom('sample_embeddings').selectAll().orderBy('pack').execute()
    await switchTo('human-v1')
    expect(await check('longHair')).toEqual({ pack: 'human-v1', employee_id: 'BEN' })
    const after = await running.db.selectFrom('sample_embeddings').selectAll().orderBy('pack').execute()
    expect(after).toEqual(before)
    const history = (await running.app.inject(`${base}/switches`)).json()
    expect(history.map(({ to_pack }: { to_pack: string }) => to_pack)).toEqual(['human-v1', 'second'])
  })

  test('is written down with who began and who confirmed it', async () => {
    await switchTo('second')
    const rows = await running.db
      .selectFrom('audit_log')
      .select(['action', 'by', 'details'])
      .where('subject_kind', '=', 'model_switches')
      .orderBy('id')
      .execute()
    expect(rows.map(({ action, by, details }) => [action, by.split(':')[0], details?.after])).toEqual([
      ['insert', 'user', expect.objectContaining({ state: 'embedding', to_pack: 'second' })],
      ['update', 'server', { state: 'ready' }],
      ['update', 'user', expect.objectContaining({ state: 'switched' })],
    ])
    expect((await running.ledger.verify()).faults).toEqual([])
  })

  test('takes those along who are enrolled after it was ready', async () => {
    await begin()
    await work()
    await enrol(running, 'CAT', await portrait('bun'))
    await enrol(running, 'DAN', await portrait('redLips'))
    await enrol(running, 'EVE', await portrait('sunlit'))
    expect((await post('/switch/confirm')).json()).toMatchObject({ state: 'switched', total: 5, done: 5 })
    for (const [name, id] of [
      ['bun', 'CAT'],
      ['redLips', 'DAN'],
      ['sunlit', 'EVE'],
    ] as const)
      expect(await check(name)).toEqual({ pack: 'second', employee_id: id })
  })

  test('takes no template along that was removed, nor a photo that was deleted, in either direction', async () => {
    await enrol(running, 'CAT', await portrait('bun'), await portrait('bun').then(mirrored))
    await switchTo('second')
    const photos = (await running.app.inject('/api/v1/employees/CAT/photos')).json()
    const templates = (await running.app.inject('/api/v1/employees/BEN/templates')).json()
    const second = templates.find(({ pack }: { pack: string }) => pack === 'second')
    const remove = (url: string) => running.app.inject({ method: 'DELETE', url: `/api/v1/employees/${url}` })
    await remove(`CAT/photos/${photos[0].photo_id}`)
    await remove(`BEN/templates/${second.template_id}`)
    await switchTo('human-v1')
    expect((await check('longHair')).employee_id).toBeNull()
    expect((await check('bun')).employee_id).toBe('CAT')
    const [kept] = await running.db
      .selectFrom('face_templates')
      .select(({ fn }) => fn.countAll<string>().as('n'))
      .where('employee_id', '=', 'BEN')
      .execute()
    expect(kept!.n).toBe('0')
  })

  test('makes what was learned anew from its own photo, as quarantined, suspended and descended as it was', async () => {
    const learned = await learn(running, 'ANN')
    await switchTo('second')
    const rows = await running.db
      .selectFrom('face_templates')
      .select(['id', 'image_id', 'created_from', 'active_from', 'is_suspended', 'parent_id', 'learned_from'])
      .select(['sample_id', 'embedding_vector'])
      .where('employee_id', '=', 'ANN')
      .where('pack', '=', 'second')
      .orderBy('image_id')
      .execute()
    const [{ id: parent_id }, { id: _, embedding_vector, ...copy }] = rows as [
      (typeof rows)[0],
      (typeof rows)[0],
    ]
    expect(copy).toEqual({ ...learned.facts, image_id: 2, created_from: 'ATTENDANCE', parent_id })
    const opened = openTemplate(learned.key, embedding_vector, { employeeId: 'ANN', slot: 2, pack: 'second' })
    // The same networks under another name.
    expect(distance(opened, learned.vector)).toBeLessThan(1e-5)
    // Taken back in the new pack, it does not come back with the old one.
    await running.db.deleteFrom('samples').where('id', '=', learned.facts.sample_id).execute()
    await switchTo('human-v1')
    const left = await running.db
      .selectFrom('face_templates')
      .select(['pack', 'image_id'])
      .where('employee_id', '=', 'ANN')
      .orderBy('pack')
      .execute()
    expect(left).toEqual([
      { pack: 'human-v1', image_id: 1 },
      { pack: 'second', image_id: 1 },
    ])
  })

  test('names the people whom the new pack can make nothing of, and goes on with the others', async () => {
    const [{ file_path }] = await running.db
      .selectFrom('samples')
      .select('file_path')
      .where('employee_id', '=', 'ANN')
      .execute()
    await running.photos.remove([file_path])
    await begin()
    await work()
    expect(await state()).toMatchObject({
      state: 'ready',
      done: 2,
      skipped: [{ employee_id: 'ANN', photo_id: 1, reason: 'photo_missing' }],
      unrecognisable: [{ employee_id: 'ANN', reason: 'photo_missing' }],
    })
    await post('/switch/confirm')
    expect((await check('longHair')).employee_id).toBe('BEN')
    expect((await check('frontal')).employee_id).toBeNull()
    // What the former pack knew of her is still there.
    await switchTo('human-v1')
    expect((await check('frontal')).employee_id).toBe('ANN')
  })

  test('goes on where it was when the process that worked is gone', async () => {
    let looks = 0
    const broken = testSwitch({
      ...running,
      models: undefined,
      queue: {
        ...idle,
        get waiting() {
          // The second photo never gets its turn.
          if (++looks > 1) throw new Error('the process is gone')
          return 0
        },
      },
      log,
    })
    await begin()
    await expect(broken.work()).rejects.toThrow('the process is gone')
    expect(await state()).toMatchObject({ state: 'embedding', total: 2, done: 1 })
    const [first] = await running.db
      .selectFrom('sample_embeddings')
      .selectAll()
      .where('pack', '=', 'second')
      .execute()
    await work()
    expect(await state()).toMatchObject({ state: 'ready', done: 2 })
    const [again] = await running.db
      .selectFrom('sample_embeddings')
      .selectAll()
      .where('pack', '=', 'second')
      .where('sample_id', '=', first!.sample_id)
      .execute()
    // Sealed anew it would be other bytes.
    expect(again).toEqual(first)
  })

  test('that is cancelled leaves the pack as it was, and another try finds what was embedded', async () => {
    await begin()
    await work()
    expect((await post('/switch/cancel')).json()).toMatchObject({ state: 'cancelled' })
    expect((await post('/switch/confirm')).json()).toMatchObject({ code: 'switch_not_found' })
    expect(await activePack(running.db)).toBe('human-v1')
    expect((await check('frontal')).pack).toBe('human-v1')
    const before = await running.db.selectFrom('sample_embeddings').selectAll().orderBy('pack').execute()
    await switchTo('second')
    const after = await running.db.selectFrom('sample_embeddings').selectAll().orderBy('pack').execute()
    expect(after).toEqual(before)
  })

  test('refuses what another process enrols with the former pack a moment later', async () => {
    await begin()
    await work()
    // Another process confirms: this one does not know it yet.
    const other = testSwitch({ ...running, models: undefined, queue: idle, log })
    await other.confirm(running.ledger.by(serverAuthor))
    const payload = form({ photo: await portrait('bun') })
    await running.app.inject({
      method: 'POST',
      url: '/api/v1/employees',
      payload: { employee_id: 'CAT', name: 'Cat' },
    })
    const late = () =>
      running.app.inject({ method: 'POST', url: '/api/v1/employees/CAT/upload-photo', payload })
    expect((await late()).json()).toMatchObject({ code: 'pack_changed' })
    expect(
      await running.db.selectFrom('samples').select('id').where('employee_id', '=', 'CAT').execute(),
    ).toEqual([])
    await running.modelSwitch.follow()
    expect((await late()).statusCode).toBe(200)
    expect(await check('bun')).toEqual({ pack: 'second', employee_id: 'CAT' })
  })
})

describe('refused with a code is', () => {
  test('an unknown pack, the one in use, a second switch, and a confirmation before its time', async () => {
    expect((await begin('other')).json()).toMatchObject({ code: 'pack_unknown' })
    expect((await begin('human-v1')).json()).toMatchObject({ code: 'pack_in_use' })
    for (const path of ['/switch/confirm', '/switch/cancel'])
      expect((await post(path)).json()).toMatchObject({ code: 'switch_not_found' })
    expect((await running.app.inject(`${base}/switch`)).json()).toMatchObject({ code: 'switch_not_found' })
    await begin()
    expect((await begin()).json()).toMatchObject({ code: 'switch_running' })
    expect((await post('/switch/confirm')).json()).toMatchObject({ code: 'switch_not_ready' })
  })
})
