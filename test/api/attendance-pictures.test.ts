import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { knownPictures } from '../../src/attendance/pictures.ts'
import { knownFiles } from '../../src/gallery/templates.ts'
import { blankPicture, changed, openCompany } from '../attendance/company.ts'
import { portrait } from '../face/portraits.ts'
import { form, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer
let stranger: Buffer

beforeAll(async () => {
  running = await testApp()
  ;[ann, stranger] = await Promise.all([changed('blonde'), changed('sunlit')])
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
  await openCompany(running)
  await keepPictures({ keep_pictures: true, picture_days: 30 })
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

const send = (method: 'POST' | 'PUT' | 'PATCH', url: string, payload?: object) =>
  running.app.inject({ method, url: `/api/v1${url}`, payload })
async function keepPictures(settings: object) {
  expect((await send('PATCH', '/sites/1', settings)).statusCode).toBe(200)
}
const check = (image: Uint8Array, fields: Record<string, string> = {}, headers = {}) =>
  running.app.inject({
    method: 'POST',
    url: '/api/v1/attendance/check',
    payload: form({ image, device_id: 'GATE', ...fields }),
    headers,
  })
const imageOf = (id: number, headers = {}) =>
  running.app.inject({ url: `/api/v1/attendance/${id}/image`, headers })
const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
/** The files that are no photos of an enrolment. */
async function pictures(): Promise<string[]> {
  const enrolled = await knownFiles(running.db)
  return (await readdir(running.uploads)).filter((name) => !enrolled.has(name))
}
const decisions = () => running.db.selectFrom('decisions').selectAll().orderBy('id').execute()

/** As the server does each hour; all files are old enough to be strays. */
async function tidyUp(): Promise<number> {
  const { db, photos, uploads, clock } = running
  const longAgo = new Date('2020-01-01T00:00:00Z')
  for (const name of await readdir(uploads)) await utimes(join(uploads, name), longAgo, longAgo)
  return photos.sweep(new Set([...(await knownFiles(db)), ...(await knownPictures(db, clock.now()))]))
}

describe('where a site keeps pictures', () => {
  test('that of a check-in is there for those who may see faces, as a JPEG without metadata', async () => {
    const large = await sharp(await portrait('blonde'))
      .resize(2000)
      .withExif({ IFD0: { Artist: 'Secret' } })
      .jpeg()
      .toBuffer()
    const { attendance_id } = (await check(large)).json()
    const answer = await imageOf(attendance_id)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers).toMatchObject({
      'content-type': 'image/jpeg',
      'cache-control': 'private, no-store',
    })
    const metadata = await sharp(answer.rawPayload).metadata()
    expect(metadata.format).toBe('jpeg')
    expect(metadata.exif).toBeUndefined()
    expect(Math.max(metadata.width, metadata.height)).toBe(1280)
    for (const role of ['viewer', 'manager'] as const)
      expect(statusAndCode(await imageOf(attendance_id, await signIn(running.db, role)))).toEqual([
        403,
        'forbidden',
      ])
  })

  test('its file is sealed, and opens with the key of the person only', async () => {
    await check(ann)
    const [name] = await pictures()
    const bytes = await readFile(join(running.uploads, name!))
    expect(bytes.subarray(0, 3)).not.toEqual(Buffer.from([0xff, 0xd8, 0xff]))
    await expect(running.photos.read(name!, await running.vault.named('probes'))).rejects.toThrow(
      'does not open',
    )
  })

  test('that of a check without a punch is kept too, under the key of the place or of the person', async () => {
    const { decision_id } = (await check(stranger)).json()
    await check(ann)
    const again = (await check(ann)).json()
    expect(again.duplicate).toBe(true)
    const [refused, punched, repeated] = await decisions()
    expect(refused).toMatchObject({ id: decision_id, outcome: 'not_identified' })
    const jpeg = await running.photos.read(refused!.image_path!, await running.vault.named('probes'))
    expect((await sharp(jpeg).metadata()).format).toBe('jpeg')
    expect(punched!.image_path).toBe(null)
    expect(repeated).toMatchObject({ outcome: 'duplicate', image_path: expect.any(String) })
    expect(await pictures()).toHaveLength(3)
  })

  test('what shows no face leaves its own, and what is answered again none', async () => {
    expect((await check(await blankPicture())).statusCode).toBe(422)
    expect(await pictures()).toHaveLength(1)
    const key = { 'idempotency-key': 'once' }
    const [one, other] = await Promise.all([check(ann, {}, key), check(ann, {}, key)])
    expect(one.json().attendance_id).toBe(other.json().attendance_id)
    await check(ann, {}, key)
    expect(await pictures()).toHaveLength(2)
  })

  test('a check that is refused in the end leaves none', async () => {
    const { db, gallery, photos, vault, ledger, clock } = running
    const slow = await testApp({ db, gallery, photos, vault, ledger, clock }, {}, (engine) => ({
      ...engine,
      analyse: async (...picture) => {
        const analysis = await engine.analyse(...picture)
        await send('PUT', '/devices/GATE', { is_active: false })
        return analysis
      },
    }))
    const answer = await slow.app.inject({
      method: 'POST',
      url: '/api/v1/attendance/check',
      payload: form({ image: ann, device_id: 'GATE' }),
    })
    expect(statusAndCode(answer)).toEqual([403, 'device_inactive'])
    expect(await pictures()).toEqual([])
    await slow.close()
  })

  test('a correction has the picture of the punch that it corrects', async () => {
    const { attendance_id } = (await check(ann)).json()
    const payload = { attendance_type: 'OUT', notes: 'Was going home' }
    const { id } = (await send('POST', `/attendance/${attendance_id}/correct`, payload)).json()
    expect((await imageOf(id)).rawPayload).toEqual((await imageOf(attendance_id)).rawPayload)
    // It does not make it any younger.
    running.clock.set('2025-04-02T01:00:01Z')
    expect(statusAndCode(await imageOf(id))).toEqual([404, 'picture_not_kept'])
  })

  test('it goes after the days of the site, and not before', async () => {
    const { attendance_id } = (await check(ann)).json()
    await check(stranger)
    running.clock.set('2025-04-02T00:59:59Z')
    expect(await tidyUp()).toBe(0)
    expect((await imageOf(attendance_id)).statusCode).toBe(200)
    running.clock.set('2025-04-02T01:00:00Z')
    // Also before the hour in which the file goes.
    expect(statusAndCode(await imageOf(attendance_id))).toEqual([404, 'picture_not_kept'])
    expect(await tidyUp()).toBe(2)
    expect(await pictures()).toEqual([])
    expect((await decisions()).length).toBe(2)
  })

  test('the days of a site are counted as they are now', async () => {
    const { attendance_id } = (await check(ann)).json()
    running.clock.set('2025-03-13T02:00:00Z')
    await keepPictures({ picture_days: 10 })
    expect(statusAndCode(await imageOf(attendance_id))).toEqual([404, 'picture_not_kept'])
    await keepPictures({ picture_days: 11 })
    expect((await imageOf(attendance_id)).statusCode).toBe(200)
  })

  test('who is erased has none any more, also once enrolled anew', async () => {
    const { attendance_id } = (await check(ann)).json()
    await check(stranger)
    running.clock.advance(1000)
    expect((await send('POST', '/employees/ANN/erase')).statusCode).toBe(200)
    expect(statusAndCode(await imageOf(attendance_id))).toEqual([404, 'picture_not_kept'])
    const photo = form({ photo: await portrait('blonde') })
    expect((await send('POST', '/employees/ANN/upload-photo', photo)).statusCode).toBeLessThan(300)
    expect(statusAndCode(await imageOf(attendance_id))).toEqual([404, 'picture_not_kept'])
    expect(await tidyUp()).toBe(1)
    running.clock.advance(120_000)
    const later = (await check(ann)).json()
    expect((await imageOf(later.attendance_id)).statusCode).toBe(200)
  })

  test('an altered one is an error, and never shown', async () => {
    const { attendance_id } = (await check(ann)).json()
    const [name] = await pictures()
    const path = join(running.uploads, name!)
    const bytes = await readFile(path)
    bytes[bytes.length >> 1]! ^= 1
    await writeFile(path, bytes)
    const answer = await imageOf(attendance_id)
    expect(answer.json().code).toBe('biometrics_unreadable')
    expect(answer.statusCode).toBeGreaterThanOrEqual(500)
  })
})

test('where a site keeps none, nothing is written', async () => {
  await keepPictures({ keep_pictures: false })
  const { attendance_id } = (await check(ann)).json()
  await check(stranger)
  expect(await pictures()).toEqual([])
  const answer = await imageOf(attendance_id)
  expect(statusAndCode(answer)).toEqual([404, 'picture_not_kept'])
  expect(answer.json().message).toContain('its site keeps none')
  expect(statusAndCode(await imageOf(99))).toEqual([404, 'punch_not_found'])
})
