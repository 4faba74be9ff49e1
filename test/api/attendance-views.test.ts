import type { LightMyRequestResponse } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { assign, openSite } from '../attendance/company.ts'
import { enrol, recordPunch, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let lisbon: number

beforeAll(async () => {
  running = await testApp()
  lisbon = await openSite(running.db, { time_zone: 'Europe/Lisbon' })
})
beforeEach(async () => {
  // 06:00 on the 3rd in Asia/Ho_Chi_Minh, which the server has; 23:00 on the 2nd in Lisbon.
  running.clock.set('2025-03-02T23:00:00Z')
  await running.clear()
  for (const id of ['GATE', 'BACK']) await registerKiosk(running, id)
  await running.db.updateTable('devices').set({ site_id: lisbon }).where('device_id', '=', 'BACK').execute()
  for (const id of ['ANN', 'BOB', 'CAT']) await enrol(running, id)
  await assign(running.db, { ANN: 'Sales', BOB: 'Stock' })
  await recordPunch(running.db, 'ANN', 'GATE', '2025-03-02T16:59:59Z', 'OUT')
  await recordPunch(running.db, 'ANN', 'GATE', '2025-03-02T17:00:00Z', 'IN')
  await recordPunch(running.db, 'BOB', 'BACK', '2025-03-01T23:59:59Z', 'OUT')
  await recordPunch(running.db, 'BOB', 'BACK', '2025-03-02T08:00:00Z', 'IN')
  await recordPunch(running.db, 'BOB', 'BACK', '2025-03-02T18:00:00Z', 'OUT')
  await recordPunch(running.db, 'CAT', 'GATE', '2025-03-02T22:59:00Z', 'IN')
})
afterAll(() => running.close())

const statusAndCode = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().code]
const get = (path: string, headers = {}) => running.app.inject({ url: `/api/v1/attendance${path}`, headers })
const idsOf = (punches: { id: number }[]) => punches.map(({ id }) => id)

describe('lists', () => {
  test.each([
    ['?date=2025-03-02', [5, 1, 4]],
    ['?date=2025-03-03', [6, 2]],
    ['?date=2025-03-01', [3]],
    ['?department=Sales', [2, 1]],
    ['?department=Nowhere', []],
    ['?search=ann', [2, 1]],
    ['?search=nobody', []],
    ['?kind=face', [6, 5, 2, 1, 4, 3]],
    ['?kind=manual', []],
    ['?disputed=open', []],
    ['?sort=timestamp', [3, 4, 1, 2, 5, 6]],
    ['?sort=-timestamp', [6, 5, 2, 1, 4, 3]],
    ['?sort=timestamp&limit=2&skip=1', [4, 1]],
    ['/employee/BOB?date=2025-03-02', [5, 4]],
    ['/history/BACK?sort=timestamp', [3, 4, 5]],
  ])('%s holds exactly the right ones', async (path, ids) => {
    const answer = await get(path)
    expect(idsOf(answer.json())).toEqual(ids)
    if (!path.includes('limit')) expect(answer.headers['x-total-count']).toBe(String(ids.length))
  })

  test('can be of one site', async () => {
    expect(idsOf((await get(`?site_id=${lisbon}`)).json())).toEqual([5, 4, 3])
    expect(idsOf((await get('?site_id=1')).json())).toEqual([6, 2, 1])
  })

  test('give a punch without a kiosk to the site of its person', async () => {
    const payload = {
      employee_id: 'CAT',
      attendance_type: 'IN',
      timestamp: '2025-03-02T17:30:00Z',
      notes: 'No kiosk',
    }
    await running.db
      .updateTable('employees')
      .set({ site_id: lisbon })
      .where('employee_id', '=', 'CAT')
      .execute()
    const url = '/api/v1/attendance/manual'
    const { id } = (await running.app.inject({ method: 'POST', url, payload })).json()
    expect(idsOf((await get(`?site_id=${lisbon}&date=2025-03-02`)).json())).toEqual([5, id, 4])
  })

  test.each([
    'date=2025-02-30',
    'date=yesterday',
    'date=0001-01-01',
    'sort=name',
    'include=some',
    'site_id=x',
    'kind=badge',
    'disputed=yes',
    'department=%00',
  ])('refuse %s', async (query) => {
    expect(statusAndCode(await get(`?${query}`))).toEqual([422, 'invalid_request'])
  })
})

describe('today', () => {
  test('is a day of each site: 06:00 at +07 belongs to it, the evening before does not', async () => {
    const answer = await get('/today')
    expect(answer.statusCode).toBe(200)
    const { punches, ...counts } = answer.json()
    expect(counts).toEqual({
      total: 4,
      people: 3,
      in: 3,
      out: 1,
      sites: [
        {
          site_id: 1,
          name: 'Main site',
          time_zone: 'Asia/Ho_Chi_Minh',
          date: '2025-03-03',
          total: 2,
          people: 2,
          in: 2,
          out: 0,
        },
        {
          site_id: lisbon,
          name: expect.any(String),
          time_zone: 'Europe/Lisbon',
          date: '2025-03-02',
          total: 2,
          people: 1,
          in: 1,
          out: 1,
        },
      ],
    })
    expect(idsOf(punches)).toEqual([6, 5, 2, 4])
    expect(answer.headers['x-total-count']).toBe('4')
  })

  test('can be of one site, and of a page', async () => {
    const answer = await get(`/today?site_id=${lisbon}&limit=1`)
    expect(answer.json()).toMatchObject({ total: 2, people: 1, sites: [{ site_id: lisbon }] })
    expect(idsOf(answer.json().punches)).toEqual([5])
  })

  test('counts what counts', async () => {
    const payload = { void: true, notes: 'A mistake' }
    await running.app.inject({ method: 'POST', url: '/api/v1/attendance/6/correct', payload })
    expect((await get('/today?site_id=1')).json()).toMatchObject({ total: 1, people: 1, in: 1 })
  })

  test('is empty on a quiet day, and says which day that is', async () => {
    running.clock.set('2025-04-01T05:00:00Z')
    expect((await get('/today?site_id=1')).json()).toMatchObject({
      total: 0,
      people: 0,
      sites: [{ date: '2025-04-01', total: 0 }],
      punches: [],
    })
  })

  test('of an unknown site is 404', async () => {
    expect(statusAndCode(await get('/today?site_id=999'))).toEqual([404, 'site_not_found'])
  })
})

describe('one punch', () => {
  test('is found by its number', async () => {
    expect((await get('/2')).json()).toMatchObject({ id: 2, employee_id: 'ANN', kind: 'face' })
    expect((await get('/2/')).json()).toMatchObject({ id: 2 })
  })

  test.each([
    ['/99', 404, 'punch_not_found'],
    ['/2147483648', 422, 'invalid_request'],
    ['/0', 422, 'invalid_request'],
    ['/abc', 422, 'invalid_request'],
    ['/1/image', 404, 'picture_not_kept'],
    ['/1/face', 404, 'not_found'],
  ])('%s is %s', async (path, status, code) => {
    expect(statusAndCode(await get(path))).toEqual([status, code])
  })
})

describe('a manager', () => {
  test('sees the punches of their departments, and no others, wherever they look', async () => {
    const headers = await signIn(running.db, 'manager', ['Sales', 'Elsewhere'])
    const all = await get('?include=all', headers)
    expect([idsOf(all.json()), all.headers['x-total-count']]).toEqual([[2, 1], '2'])
    expect(idsOf((await get('?employee_id=BOB', headers)).json())).toEqual([])
    expect(idsOf((await get('?department=Stock', headers)).json())).toEqual([])
    expect(idsOf((await get('/history/GATE', headers)).json())).toEqual([2, 1])
    expect(idsOf((await get('/history/BACK', headers)).json())).toEqual([])
    expect(idsOf((await get('/employee/ANN', headers)).json())).toEqual([2, 1])
    expect((await get('/2', headers)).statusCode).toBe(200)
    const today = (await get('/today', headers)).json()
    expect(today).toMatchObject({ total: 1, people: 1, in: 1, out: 0 })
    expect(idsOf(today.punches)).toEqual([2])
  })

  test.each([
    ['/employee/BOB', 'employee_not_found'],
    ['/employee/CAT', 'employee_not_found'],
    ['/5', 'punch_not_found'],
    ['/6', 'punch_not_found'],
  ])('finds %s as little as what does not exist', async (path, code) => {
    const headers = await signIn(running.db, 'manager', ['Sales'])
    expect(statusAndCode(await get(path, headers))).toEqual([404, code])
  })

  test('without departments sees nobody', async () => {
    const headers = await signIn(running.db, 'manager', [])
    expect((await get('', headers)).json()).toEqual([])
    expect((await get('/today', headers)).json()).toMatchObject({ total: 0, punches: [] })
  })
})
