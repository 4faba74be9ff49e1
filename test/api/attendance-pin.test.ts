import type { LightMyRequestResponse } from 'fastify'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { enrol, kioskHeaders, registerKiosk, rowCounts, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let kiosk: { 'x-device-key': string }

beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
  await running.db.deleteFrom('login_failures').execute()
  await allow(true)
  await registerKiosk(running, 'GATE')
  await enrol(running, 'ANN')
  kiosk = await kioskHeaders(running, 'GATE')
})
afterEach(async () => {
  expect((await running.ledger.verify()).faults).toEqual([])
})
afterAll(() => running.close())

const send = (
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  payload?: object,
  headers = {},
) => running.app.inject({ method, url: `/api/v1${path}`, payload, headers })
const allow = (pin_allowed: boolean) => send('PATCH', '/sites/1', { pin_allowed })
const setPin = (pin: string, of = 'ANN') => send('PUT', `/employees/${of}/pin`, { pin })
const punch = (pin: string, more: object = {}, headers: object = kiosk) =>
  send('POST', '/attendance/pin', { device_id: 'GATE', employee_id: 'ANN', pin, ...more }, headers)
const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]

describe('a punch by employee code and PIN', () => {
  beforeEach(() => setPin('4711'))

  test('stands in the lists, and says how it was made', async () => {
    const answer = await punch('4711')
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({
      ...{ recognized: true, code: 'identified', employee_id: 'ANN', employee_name: 'ANN' },
      ...{ attendance_type: 'IN', timestamp: '2025-03-03T01:00:00.000Z', liveness: 'unavailable' },
    })
    expect(answer.json().confidence).toBeUndefined()
    const [row] = (await send('GET', '/attendance')).json()
    expect(row).toMatchObject({ employee_id: 'ANN', kind: 'pin', confidence_score: 0, device_id: 'GATE' })
    const explained = (await send('GET', `/attendance/${row.id}/explain`)).json()
    expect(explained).toMatchObject({ kind: 'pin', outcome: 'identified', rule: 'employee code and PIN' })
  })

  test('goes out where it has come in, and twice is once', async () => {
    await punch('4711')
    expect((await punch('4711')).json()).toMatchObject({ code: 'duplicate', attendance_id: 1 })
    running.clock.set('2025-03-03T10:00:00Z')
    const out = (await punch('4711', { attendance_type: 'AUTO' })).json()
    expect(out).toMatchObject({ code: 'identified', attendance_type: 'OUT' })
    expect((await rowCounts(running.db)).attendance).toBe(2)
  })

  test.each([
    ['a wrong PIN', { pin: '4712' }],
    ['the code of somebody who has none', { employee_id: 'BOB' }],
    ['the code of nobody', { employee_id: 'NOBODY' }],
  ])('is refused alike with %s, and leaves a decision and no punch', async (_, sent) => {
    await enrol(running, 'BOB')
    const answer = await punch('4711', sent)
    const { decision_id, processing_time, ...told } = answer.json()
    expect(told).toEqual({
      ...{ success: true, recognized: false, code: 'wrong_pin', duplicate: false, liveness: 'unavailable' },
      message: 'The employee code or the PIN is wrong',
    })
    expect(await rowCounts(running.db)).toMatchObject({ attendance: 0, decisions: 1 })
    const explained = (await send('GET', `/attendance/decisions/${decision_id}/explain`)).json()
    expect(explained).toMatchObject({ kind: 'pin', outcome: 'wrong_pin' })
  })

  test('is not to be guessed: after five wrong ones even the right one waits', async () => {
    for (let wrong = 0; wrong < 5; wrong++) expect(outcome(await punch('0815'))).toEqual([200, 'wrong_pin'])
    const answer = await punch('4711')
    expect(outcome(answer)).toEqual([429, 'too_many_requests'])
    expect(answer.headers['retry-after']).toBeDefined()
    expect((await rowCounts(running.db)).attendance).toBe(0)
    // Others at the same kiosk do not wait.
    await enrol(running, 'BOB')
    await setPin('9035', 'BOB')
    expect(outcome(await punch('9035', { employee_id: 'BOB' }))).toEqual([200, 'identified'])
    // Nor do they, whoever made how many mistakes there.
    for (let nobody = 0; nobody < 40; nobody++) await punch('0815', { employee_id: `NOBODY${nobody}` })
    await enrol(running, 'CYD')
    await setPin('6172', 'CYD')
    expect(outcome(await punch('6172', { employee_id: 'CYD' }))).toEqual([200, 'identified'])
    running.clock.set('2025-03-03T01:00:05Z')
    expect(outcome(await punch('4711'))).toEqual([200, 'identified'])
  })

  test('is taken where the site allows it, and nowhere else', async () => {
    await allow(false)
    expect(outcome(await punch('4711'))).toEqual([403, 'pin_not_allowed'])
    expect(await rowCounts(running.db)).toMatchObject({ attendance: 0, decisions: 0 })
  })

  test('is not made by one kiosk in the name of another', async () => {
    await registerKiosk(running, 'BACK')
    expect((await punch('4711', { device_id: 'BACK' })).statusCode).toBe(403)
  })

  test('is not made for somebody who was deactivated, or whose PIN was taken away', async () => {
    await send('POST', '/employees/ANN/deactivate')
    expect(outcome(await punch('4711'))).toEqual([200, 'wrong_pin'])
    await send('POST', '/employees/ANN/reactivate')
    await send('DELETE', '/employees/ANN/pin')
    expect(outcome(await punch('4711'))).toEqual([200, 'wrong_pin'])
  })
})

describe('a PIN', () => {
  test('is told of by nothing but when it was set', async () => {
    expect((await send('GET', '/employees/ANN/pin')).json()).toEqual({ employee_id: 'ANN', set_at: null })
    const state = { employee_id: 'ANN', set_at: '2025-03-03T01:00:00.000Z' }
    expect((await setPin('4711')).json()).toEqual(state)
    expect((await send('GET', '/employees/ANN/pin')).json()).toEqual(state)
    const audit = await running.db
      .selectFrom('audit_log')
      .selectAll()
      .where('subject_kind', '=', 'pins')
      .execute()
    expect(audit).toMatchObject([{ subject: 'ANN', details: { after: { pin_hash: '(hidden)' } } }])
  })

  test.each(['123', '123456789', '12a4', '', '1111', '1234', '012345', '987654'])(
    'is not %s',
    async (pin) => {
      expect(outcome(await setPin(pin))).toEqual([422, 'invalid_request'])
    },
  )

  test('is given to nobody unknown or gone, and goes with the end of employment', async () => {
    expect(outcome(await setPin('4711', 'NOBODY'))).toEqual([404, 'employee_not_found'])
    await setPin('4711')
    await send('DELETE', '/employees/ANN')
    expect(await running.db.selectFrom('pins').selectAll().execute()).toEqual([])
    expect(outcome(await setPin('4711'))).toEqual([404, 'employee_not_found'])
  })

  test('is told to the kiosk as allowed or not with each heartbeat', async () => {
    const beat = () => send('POST', '/devices/heartbeat', { device_id: 'GATE' }, kiosk)
    expect((await beat()).json()).toMatchObject({ pin_allowed: true })
    await allow(false)
    expect((await beat()).json()).toMatchObject({ pin_allowed: false })
  })
})
