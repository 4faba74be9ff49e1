import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(() => running.clear())
afterAll(() => running.close())

const base = '/api/v1/employees'
type Headers = Record<string, string>
const create = (body: object) => running.app.inject({ method: 'POST', url: base, payload: body })
const get = (path: string, headers: Headers = {}) =>
  running.app.inject({ method: 'GET', url: `${base}${path}`, headers })
const post = (path: string, headers: Headers = {}) =>
  running.app.inject({ method: 'POST', url: `${base}${path}`, headers })
const idsOf = (answer: { json(): { employee_id: string }[] }) => answer.json().map((row) => row.employee_id)
const namesOf = (answer: { json(): { name: string }[] }) => answer.json().map((row) => row.name)

const newSite = async (name: string) =>
  (await running.db.insertInto('sites').values({ name }).returning('id').executeTakeFirstOrThrow()).id

describe('filters', () => {
  beforeEach(async () => {
    await create({ employee_id: 'A', name: 'Ann', department: 'IT' })
    await create({ employee_id: 'B', name: 'Bo', department: 'IT' })
    await create({ employee_id: 'C', name: 'Cy', department: 'HR' })
    await post('/B/deactivate')
    await running.app.inject({ method: 'DELETE', url: `${base}/C` })
  })

  test.each([
    ['', ['A', 'B']],
    ['?is_active=true', ['A']],
    ['?is_active=false', ['B']],
    ['?ended=true', ['C']],
    ['?ended=false', ['A', 'B']],
    ['?ended=true&is_active=true', []],
    ['?ended=true&department=HR', ['C']],
    ['?site_id=1', ['A', 'B']],
    ['?site_id=2147483647', []],
  ])('%s finds exactly the right people', async (query, expected) => {
    const answer = await get(query)
    expect(idsOf(answer)).toEqual(expected)
    expect(answer.headers['x-total-count']).toBe(String(expected.length))
  })

  test.each([
    'is_active=maybe',
    'ended=1',
    'site_id=x',
    'site_id=0',
    'site_id=9999999999',
    'sort=age',
    'sort=',
  ])('%s is refused', async (query) => {
    const answer = await get(`?${query}`)
    expect([answer.statusCode, answer.json().fields[0].path]).toEqual([422, query.split('=')[0]])
  })

  test('one who left has the time of it', async () => {
    expect((await get('?ended=true')).json()[0]).toMatchObject({
      is_active: false,
      ended_at: '2025-03-03T01:00:00.000Z',
      version: 2,
    })
  })
})

describe('sites', () => {
  test('a person is at the first site, or at the one that is given, and may move', async () => {
    const site_id = await newSite('Hà Nội 1')
    await create({ employee_id: 'A', name: 'Ann' })
    expect((await create({ employee_id: 'B', name: 'Bo', site_id })).json().site_id).toBe(site_id)
    expect(idsOf(await get(`?site_id=${site_id}`))).toEqual(['B'])
    const payload = { site_id }
    const moved = await running.app.inject({ method: 'PATCH', url: `${base}/A`, payload })
    expect(moved.json().site_id).toBe(site_id)
    expect(idsOf(await get(`?site_id=${site_id}`))).toEqual(['A', 'B'])
  })

  test.each([0, -1, 1.5, '1', 9_999_999, 99_999_999_999])(
    'site %j is refused, and nothing is stored',
    async (site_id) => {
      await create({ employee_id: 'A', name: 'Ann' })
      const payload = { name: 'X', site_id }
      for (const answer of [
        await create(payload),
        await running.app.inject({ method: 'PUT', url: `${base}/A`, payload }),
      ])
        expect([answer.statusCode, answer.json().fields[0].path]).toEqual([422, 'site_id'])
      expect(namesOf(await get(''))).toEqual(['Ann'])
    },
  )
})

describe('sorting', () => {
  const names = [
    'Nguyễn Văn An',
    'Nguyễn Văn Ân',
    'Trần Thị Ánh',
    'Lê Ảnh',
    'Lê Anh',
    'Lê Ành',
    'Lê Ãnh',
    'Lê Ạnh',
    'Phạm Văn Đức',
    'Phạm Văn Dũng',
    'Phạm Văn Dung',
    'Đỗ Minh Châu',
    'Đỗ Minh Ca',
    'Đặng Ngọc Ưng',
    'Đặng Ngọc Uyên',
    'Bùi Văn Ổn',
    'Bùi Văn Ơn',
    'Bùi Văn On',
    'Vũ Thị Êm',
    'Vũ Thị Em',
    'Hồ Ngọc Hà',
    'Hồ Ngọc Hạ',
    'Hà Ngọc Hà',
    'HOÀNG VĂN AN',
    'hoàng văn ăn',
    'Đào',
    'Dao',
    'Đạo',
  ]
  const collator = new Intl.Collator('vi', { sensitivity: 'accent' })
  const givenName = (name: string) => name.split(' ').at(-1)!
  const inVietnam = (one: string, other: string) =>
    collator.compare(givenName(one), givenName(other)) || collator.compare(one, other)

  test('by name is the Vietnamese order by given name, in either direction', async () => {
    for (const name of names) await create({ name: name.normalize('NFD') })
    const sorted = [...names].sort(inVietnam)
    expect(namesOf(await get('?sort=name'))).toEqual(sorted)
    expect(namesOf(await get('?sort=-name'))).toEqual([...sorted].reverse())
  })

  test('by any name agrees with the order that Unicode knows for Vietnam', async () => {
    const syllables = ['', 'h', 'đ', 'd', 'ng', 'tr'].flatMap((start) =>
      [...'aăâeêioôơuưy'].flatMap((vowel) =>
        ['', '\u0300', '\u0309', '\u0303', '\u0301', '\u0323'].map((tone) =>
          `${start}${vowel}${tone}`.normalize('NFC'),
        ),
      ),
    )
    const values = syllables.map((syllable, index) => ({
      employee_id: `S${index}`,
      name: `${syllables[(index * 37) % syllables.length]} ${syllable}`,
    }))
    await running.db.insertInto('employees').values(values).execute()
    const sorted = values.map(({ name }) => name).sort(inVietnam)
    expect(namesOf(await get('?sort=name&limit=1000'))).toEqual(sorted)
  })

  test('by id and by time, oldest or newest first', async () => {
    for (const employee_id of ['b', 'a', 'C']) {
      running.clock.advance(1000)
      await create({ employee_id, name: 'Ann' })
    }
    expect(idsOf(await get('?sort=employee_id'))).toEqual(['C', 'a', 'b'])
    expect(idsOf(await get('?sort=-employee_id'))).toEqual(['b', 'a', 'C'])
    expect(idsOf(await get('?sort=created_at'))).toEqual(['b', 'a', 'C'])
    expect(idsOf(await get('?sort=-created_at'))).toEqual(['C', 'a', 'b'])
  })

  test.each(['name', '-name', 'created_at', '-created_at'])(
    'by %s visits every one of many that are alike once, page by page',
    async (sort) => {
      await sql`INSERT INTO employees (employee_id, name, created_at)
        SELECT 'P' || n, 'Nguyễn Văn An', '2025-01-01' FROM generate_series(1, 50) AS n`.execute(running.db)
      const seen: string[] = []
      for (let skip = 0; skip < 50; skip += 7)
        seen.push(...idsOf(await get(`?sort=${sort}&limit=7&skip=${skip}`)))
      expect(new Set(seen).size).toBe(50)
      expect(seen).toHaveLength(50)
    },
  )
})

describe('a manager', () => {
  let manager: Headers

  beforeEach(async () => {
    manager = await signIn(running.db, 'manager', ['IT', 'Kỹ thuật'])
    await create({ employee_id: 'A', name: 'Ann', department: 'IT' })
    await create({ employee_id: 'B', name: 'Bo', department: 'Kỹ thuật' })
    await create({ employee_id: 'C', name: 'Cy', department: 'HR' })
    await create({ employee_id: 'D', name: 'Di' })
    await create({ employee_id: 'E', name: 'Ed', department: 'HR' })
    await running.app.inject({ method: 'DELETE', url: `${base}/E` })
  })

  test('sees the people of their own departments and no others', async () => {
    const list = await get('', manager)
    expect(idsOf(list)).toEqual(['A', 'B'])
    expect(list.headers['x-total-count']).toBe('2')
    for (const query of ['?department=HR', '?search=cy', '?ended=true'])
      expect(idsOf(await get(query, manager))).toEqual([])
    expect((await get('/departments', manager)).json()).toEqual(['IT', 'Kỹ thuật'])
    expect((await get('/stats', manager)).json()).toEqual({
      total_employees: 2,
      active_employees: 2,
      inactive_employees: 0,
      by_department: { IT: 1, 'Kỹ thuật': 1 },
      without_department: 0,
    })
    const { body } = await get('/export', manager)
    expect(body).toContain('Ann')
    expect(body).not.toMatch(/Cy|Di|Ed/)
  })

  test('finds others as little as people who do not exist', async () => {
    expect((await get('/A', manager)).statusCode).toBe(200)
    const missing = await get('/NOBODY', manager)
    for (const id of ['C', 'D']) {
      const answer = await get(`/${id}`, manager)
      expect([answer.statusCode, answer.json().code]).toEqual([404, 'employee_not_found'])
      expect(answer.json().message.replace(id, 'NOBODY')).toBe(missing.json().message)
    }
  })

  test('of no department sees nobody', async () => {
    const nowhere = await signIn(running.db, 'manager', [])
    expect(idsOf(await get('', nowhere))).toEqual([])
    expect((await get('/A', nowhere)).statusCode).toBe(404)
    expect((await get('/stats', nowhere)).json().total_employees).toBe(0)
  })
})

describe('reading and writing', () => {
  const writes = [
    ['POST', ''],
    ['PUT', '/A'],
    ['PATCH', '/A'],
    ['DELETE', '/A'],
    ['POST', '/A/deactivate'],
    ['POST', '/A/reactivate'],
  ] as const

  test.each(['viewer', 'manager'] as const)('a %s may read and not write', async (role) => {
    await create({ employee_id: 'A', name: 'Ann', department: 'Any' })
    const headers = await signIn(running.db, role)
    for (const path of ['', '/A', '/departments', '/stats', '/export'])
      expect((await get(path, headers)).statusCode, path).toBe(200)
    for (const [method, path] of writes) {
      const payload = { name: 'B' }
      const answer = await running.app.inject({ method, url: `${base}${path}`, headers, payload })
      expect([answer.statusCode, answer.json().code], `${method} ${path}`).toEqual([403, 'forbidden'])
    }
    expect((await get('/A')).json()).toMatchObject({ name: 'Ann', version: 1 })
  })
})

describe('deactivating', () => {
  beforeEach(() => create({ employee_id: 'A', name: 'Ann' }))

  test('and reactivating answer the person, happen once, and are announced', async () => {
    running.changed.length = 0
    const off = await post('/A/deactivate')
    expect(off.statusCode).toBe(200)
    expect(off.json()).toMatchObject({ employee_id: 'A', is_active: false, version: 2 })
    expect(off.headers.etag).toBe('"2"')
    expect((await post('/A/deactivate')).json()).toEqual(off.json())
    expect((await post('/A/reactivate')).json()).toMatchObject({ is_active: true, version: 3 })
    expect((await post('/A/reactivate')).json()).toMatchObject({ is_active: true, version: 3 })
    expect(new Set(running.changed)).toEqual(new Set(['A']))
  })

  test.each(['deactivate', 'reactivate'])('%s of somebody unknown or gone is 404', async (verb) => {
    await running.app.inject({ method: 'DELETE', url: `${base}/A` })
    for (const id of ['A', 'NOBODY'])
      expect((await post(`/${id}/${verb}`)).json().code).toBe('employee_not_found')
  })
})

describe('two editors', () => {
  const change = (method: 'PUT' | 'PATCH' | 'DELETE', ifMatch: string, payload?: object) =>
    running.app.inject({ method, url: `${base}/A`, headers: { 'if-match': ifMatch }, payload })

  beforeEach(() => create({ employee_id: 'A', name: 'Ann' }))

  test('at once: one wins, the other is told of it', async () => {
    const etag = String((await get('/A')).headers.etag)
    const answers = await Promise.all(['Anna', 'Anne', 'Anni'].map((name) => change('PUT', etag, { name })))
    const codes = answers.map(({ statusCode }) => statusCode).sort()
    expect(codes).toEqual([200, 412, 412])
    const winner = answers.find(({ statusCode }) => statusCode === 200)!
    expect(winner.headers.etag).toBe('"2"')
    expect((await get('/A')).json()).toEqual(winner.json())
    const loser = answers.find(({ statusCode }) => statusCode === 412)!
    expect(loser.json()).toMatchObject({ success: false, code: 'version_mismatch' })
  })

  test.each(['"7"', 'W/"1"', 'nonsense', '', '"1e0"', '"99999999999999999999"'])(
    'If-Match: %s does not match, and changes nothing',
    async (ifMatch) => {
      for (const method of ['PUT', 'PATCH', 'DELETE'] as const)
        expect((await change(method, ifMatch, { name: 'B' })).statusCode).toBe(412)
      expect((await get('/A')).json()).toMatchObject({ name: 'Ann', version: 1 })
    },
  )

  test.each(['"1"', '*', '"7", "1"', '1'])('If-Match: %s matches', async (ifMatch) => {
    expect((await change('PATCH', ifMatch, { name: 'B' })).json()).toMatchObject({ name: 'B', version: 2 })
  })

  test('ending employment obeys it as well', async () => {
    expect((await change('DELETE', '"1"')).statusCode).toBe(200)
    expect((await change('DELETE', '*')).statusCode).toBe(404)
  })

  test('of somebody who does not exist hear that first', async () => {
    const url = `${base}/NOBODY`
    const headers = { 'if-match': '"1"' }
    const answer = await running.app.inject({ method: 'PUT', url, headers, payload: { name: 'B' } })
    expect(answer.json().code).toBe('employee_not_found')
  })
})
