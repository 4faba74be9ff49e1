import type { LightMyRequestResponse } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openCompany } from '../attendance/company.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, kioskHeaders, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let [ann, bob, stranger]: Buffer[] = []
let gate: { 'x-device-key': string }

beforeAll(async () => {
  running = await testApp()
  ;[ann, bob, stranger] = await Promise.all([portrait('blonde'), portrait('longHair'), portrait('bun')])
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
  await openCompany(running)
  await registerKiosk(running, 'BACK')
  gate = await kioskHeaders(running, 'GATE')
})
afterAll(() => running.close())

const send = (method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, payload?: object, headers = {}) =>
  running.app.inject({ method, url: `/api/v1${path}`, payload, headers })
/** A check at the gate; returns the number of its decision. */
async function check(image: Buffer): Promise<number> {
  const answer = await send('POST', '/attendance/check', form({ image, device_id: 'GATE' }), gate)
  return answer.json().decision_id
}
const avatar = (decision: number, headers: object = gate, { app } = running) =>
  app.inject({ url: `/api/v1/attendance/decisions/${decision}/avatar`, headers: { ...headers } })
const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
/** How much a picture differs from another one of the same size, from 0 to 255. */
async function difference(one: Buffer, other: Buffer): Promise<number> {
  const { channels } = await sharp(one)
    .composite([{ input: other, blend: 'difference' }])
    .toBuffer()
    .then((differing) => sharp(differing).stats())
  return Math.max(...channels.map(({ mean }) => mean))
}
const sized = async (picture: Buffer, side: number) => sharp(picture).resize(side, side).png().toBuffer()

describe('the avatar of whom a kiosk has just recognised', () => {
  test('is a small picture of them, which nothing keeps on the way', async () => {
    const answer = await avatar(await check(bob!))
    expect(answer.statusCode).toBe(200)
    expect(answer.headers).toMatchObject({
      'content-type': 'image/jpeg',
      'cache-control': 'private, no-store',
    })
    const { format, width, height } = await sharp(answer.rawPayload).metadata()
    expect({ format, width, height }).toEqual({ format: 'jpeg', width: 480, height: 480 })
    expect(await difference(answer.rawPayload, await sized(bob!, 480))).toBeLessThan(10)
    expect(await difference(answer.rawPayload, await sized(ann!, 480))).toBeGreaterThan(20)
  })

  test('is theirs too when they have just punched already', async () => {
    await check(ann!)
    running.clock.advance(20_000)
    const again = await check(ann!)
    const decision = running.db.selectFrom('decisions').select('outcome').where('id', '=', again)
    expect(await decision.executeTakeFirst()).toEqual({ outcome: 'duplicate' })
    expect((await avatar(again)).statusCode).toBe(200)
  })

  test('is theirs too when they came in by their PIN', async () => {
    await send('PATCH', '/sites/1', { pin_allowed: true })
    await send('PUT', '/employees/ANN/pin', { pin: '4711' })
    const punch = (pin: string) =>
      send('POST', '/attendance/pin', { device_id: 'GATE', employee_id: 'ANN', pin }, gate)
    const { decision_id: wrong } = (await punch('0815')).json()
    const { decision_id: right } = (await punch('4711')).json()
    expect(outcome(await avatar(wrong))).toEqual([404, 'decision_not_found'])
    expect((await avatar(right)).statusCode).toBe(200)
  })

  test('is there as long as the kiosk may say that it was not them', async () => {
    const decision = await check(ann!)
    running.clock.advance(15_000)
    expect((await avatar(decision)).statusCode).toBe(200)
    running.clock.advance(1)
    expect(outcome(await avatar(decision))).toEqual([404, 'decision_not_found'])
  })

  test('is for the kiosk of the check alone', async () => {
    const decision = await check(ann!)
    const back = await kioskHeaders(running, 'BACK')
    expect(outcome(await avatar(decision, back))).toEqual([404, 'decision_not_found'])
  })

  test('is for no person, no program and nobody', async () => {
    const decision = await check(ann!)
    for (const role of ['owner', 'admin', 'hr', 'viewer'] as const)
      expect(outcome(await avatar(decision, await signIn(running.db, role)))).toEqual([403, 'forbidden'])
    expect(outcome(await avatar(decision, { authorization: '' }))).toEqual([401, 'not_signed_in'])
  })

  test('is of nobody else: not of a stranger, and not of whom a punch was entered for by hand', async () => {
    const refused = await check(stranger!)
    expect(outcome(await avatar(refused))).toEqual([404, 'decision_not_found'])
    const entry = { employee_id: 'ANN', attendance_type: 'IN', timestamp: running.clock.now() }
    const byHand = await send('POST', '/attendance/manual', { ...entry, notes: 'Seen', device_id: 'GATE' })
    expect(outcome(await avatar(byHand.json().decision_id))).toEqual([404, 'decision_not_found'])
    expect(outcome(await avatar(999))).toEqual([404, 'decision_not_found'])
  })

  test('is not there of who was deactivated, has left or has no photo', async () => {
    const decision = await check(ann!)
    await send('POST', '/employees/ANN/deactivate')
    expect(outcome(await avatar(decision))).toEqual([404, 'decision_not_found'])
    await send('POST', '/employees/ANN/reactivate')
    expect((await avatar(decision)).statusCode).toBe(200)
    await send('POST', '/employees/ANN/erase')
    const none = outcome(await avatar(decision))
    expect(none).toEqual([404, 'photo_not_found'])
    expect(outcome(await running.app.inject('/api/v1/employees/ANN/photo'))).toEqual(none)
    await send('DELETE', '/employees/ANN')
    expect(outcome(await avatar(decision))).toEqual([404, 'decision_not_found'])
  })

  test('is for a kiosk with a key also where kiosks need none', async () => {
    const open = await testApp({}, { DEVICE_AUTH: 'open' })
    try {
      await registerKiosk(open, 'GATE')
      await enrol(open, 'ANN', ann!)
      const headers = { authorization: '', host: 'localhost' }
      const checked = await open.app.inject({
        method: 'POST',
        url: '/api/v1/attendance/check',
        payload: form({ image: ann!, device_id: 'GATE' }),
        headers,
      })
      const { decision_id, recognized } = checked.json()
      expect(recognized).toBe(true)
      expect(outcome(await avatar(decision_id, headers, open))).toEqual([403, 'forbidden'])
      const paired = await kioskHeaders(open, 'GATE')
      expect((await avatar(decision_id, paired, open)).statusCode).toBe(200)
    } finally {
      await open.close()
    }
  })
})
