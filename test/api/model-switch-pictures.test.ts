import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pastChecks } from '../../src/attendance/past-checks.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, registerKiosk, type TestApp, testApp } from '../support/app.ts'
import { otherPack } from '../support/models.ts'

/** A folder of measuring data, which is never part of the project; without it there are no other networks to change to. */
const data = process.env.EVAL_DATA
const DAY_MS = 24 * 3_600_000

let running: TestApp

beforeEach(async () => {
  running = await testApp()
})
afterEach(() => running.close())

/** The middle of a published photo, `Azra_Akin_0001` say: at the edges others look in. */
const published = (name: string) =>
  sharp(join(data!, 'faces', name.slice(0, -5), `${name}.jpg`))
    .extract({ left: 40, top: 40, width: 170, height: 170 })
    .jpeg({ quality: 95 })
    .toBuffer()
const send = (method: 'POST' | 'PATCH', url: string, payload: object) =>
  running.app.inject({ method, url: `/api/v1${url}`, payload })
const models = '/recognition/models'

/** Resolves to the number of the decision, and whom it recognised. */
async function check(
  image: Uint8Array,
  employee_code?: string,
): Promise<{ decision_id: number; employee_id: string | null }> {
  const code: Record<string, string> = employee_code === undefined ? {} : { employee_code }
  const answer = await send('POST', '/attendance/check', form({ image, device_id: 'GATE', ...code }))
  expect(answer.json()).toMatchObject({ success: true })
  running.clock.advance(3_600_000)
  const { decision_id, employee_id = null } = answer.json()
  return { decision_id, employee_id }
}

/** Has everybody embedded with another pack, and resolves to the switch as it is then. */
async function reportOn(pack: string) {
  expect((await send('POST', `${models}/switch`, { pack })).statusCode).toBe(202)
  await running.modelSwitch.work()
  return (await running.app.inject(`/api/v1${models}/switch`)).json()
}

async function keptPicture(decision: number): Promise<Buffer> {
  const answer = await running.app.inject(`/api/v1/attendance/decisions/${decision}/image`)
  expect(answer.statusCode).toBe(200)
  return answer.rawPayload
}

test('an employee code that told look-alikes apart does so again with another pack', async () => {
  await registerKiosk(running, 'GATE')
  await send('PATCH', '/sites/1', { keep_pictures: true, picture_days: 30 })
  const face = await portrait('blonde')
  for (const id of ['ANN', 'BEA', 'CAT']) await enrol(running, id, face)
  const pairs = [
    ['ANN', 'BEA'],
    ['ANN', 'CAT'],
    ['BEA', 'CAT'],
  ].map(([employee_a, employee_b]) => ({ employee_a, employee_b, origin: 'dispute' as const, margin: 0.5 }))
  await running.db
    .insertInto('look_alikes')
    .values(pairs.map((pair) => ({ ...pair, created_at: running.clock.now() })))
    .execute()
  await running.gallery.reload()
  await running.gallery.settled()
  const ids = ['ANN', 'BEA', 'CAT']
  for (const id of ids) expect(await check(face, id)).toMatchObject({ employee_id: id })

  const { pictures, identify } = pastChecks(running)
  const kept = await pictures(new Date(0), 10)
  const analysis = await running.engine.analyse((await kept[0]!.read())!)
  const again = kept.map(({ claimed }) => identify(running.gallery, analysis, claimed))
  expect(again).toEqual(['CAT', 'BEA', 'ANN'])
  expect(identify(running.gallery, analysis, undefined)).toBe(undefined)
  expect((await reportOn('second')).comparison).toMatchObject({
    basis: 'kept_pictures',
    compared: 3,
    same: 3,
  })
})

describe.runIf(data)('the report on a change of the models, where a site keeps pictures', () => {
  beforeEach(async () => {
    await registerKiosk(running, 'GATE')
    await send('PATCH', '/sites/1', { keep_pictures: true, picture_days: 30 })
    for (const [id, photo] of [
      ['SURE', 'Azra_Akin_0001'],
      ['UNSURE', 'Romano_Prodi_0001'],
      ['LOST', 'Colin_Jackson_0001'],
      ['ALIKE', 'Choi_Sung-hong_0001'],
      ['OTHER', 'Zhang_Wenkang_0002'],
    ] as const)
      await enrol(running, id, await published(photo))
  })

  test('says of each check what the other pack then decides on its picture', async () => {
    // Longer ago than the report looks back.
    await check(await published('Azra_Akin_0003'))
    running.clock.advance(8 * DAY_MS)
    const before = {
      sure: await check(await published('Azra_Akin_0003')),
      stranger: await check(await published('Bill_Simon_0003')),
      unsure: await check(await published('Romano_Prodi_0003')),
      lost: await check(await published('Colin_Jackson_0002')),
      mistaken: await check(await published('Choi_Sung-hong_0004')),
    }
    const idOf = (one: keyof typeof before) => before[one].decision_id
    const unreadable = await check(await published('Azra_Akin_0003'))
    const { image_path } = await running.db
      .selectFrom('attendance')
      .select('image_path')
      .where('decision_id', '=', unreadable.decision_id)
      .executeTakeFirstOrThrow()
    // The other pack has nothing to make a template of.
    const { file_path } = await running.db
      .selectFrom('samples')
      .select('file_path')
      .where('employee_id', '=', 'LOST')
      .executeTakeFirstOrThrow()
    await running.photos.remove([image_path!, file_path])

    const report = await reportOn(otherPack.name)
    expect(report).toMatchObject({ state: 'ready', unrecognisable: [{ employee_id: 'LOST' }] })
    expect(report.comparison).toEqual({
      basis: 'kept_pictures',
      compared: 5,
      unreadable: 1,
      same: 2,
      newly_recognised: [idOf('unsure')],
      no_longer_recognised: [idOf('lost')],
      different_person: [idOf('mistaken')],
      from_ms: expect.any(Number),
      to_ms: expect.any(Number),
    })

    const pictures = new Map<number, Buffer>()
    for (const { decision_id } of Object.values(before))
      pictures.set(decision_id, await keptPicture(decision_id))
    expect((await send('POST', `${models}/switch/confirm`, {})).json()).toMatchObject({ state: 'switched' })
    const decided = async (one: keyof typeof before) => [
      before[one].employee_id,
      (await check(pictures.get(idOf(one))!)).employee_id,
    ]
    expect(await decided('sure')).toEqual(['SURE', 'SURE'])
    expect(await decided('stranger')).toEqual([null, null])
    expect(await decided('unsure')).toEqual([null, 'UNSURE'])
    expect(await decided('lost')).toEqual(['LOST', null])
    expect(await decided('mistaken')).toEqual(['OTHER', 'ALIKE'])
  })
})
