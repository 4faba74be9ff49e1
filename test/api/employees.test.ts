import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { recordPunch, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(() => running.clear())
afterAll(() => running.close())

const base = '/api/v1/employees'
const create = (body: object) => running.app.inject({ method: 'POST', url: base, payload: body })
const get = (path: string) => running.app.inject({ method: 'GET', url: `${base}${path}` })
const put = (id: string, body: object) =>
  running.app.inject({ method: 'PUT', url: `${base}/${id}`, payload: body })
const remove = (id: string) => running.app.inject({ method: 'DELETE', url: `${base}/${id}` })
const idsOf = (answer: { json(): { employee_id: string }[] }) => answer.json().map((row) => row.employee_id)

/** A template without a photo, as far as the database is concerned. */
const storeTemplate = (employee_id: string) =>
  running.db
    .insertInto('face_templates')
    .values({
      employee_id,
      image_id: 1,
      pack: 'another pack',
      filename: 'a.jpg',
      file_path: 'a.jpg',
      embedding_vector: Buffer.alloc(16, 1),
      created_from: 'ADMIN_UPLOAD',
    })
    .execute()

test('whoever deactivates or reactivates may say which version they have read', async () => {
  await create({ name: 'A' })
  const post = (verb: string, version: string) =>
    running.app.inject({
      method: 'POST',
      url: `${base}/EMP_001/${verb}`,
      headers: { 'if-match': version },
    })
  for (const [verb, version, status] of [
    ['deactivate', '"9"', 412],
    ['deactivate', '"1"', 200],
    ['deactivate', '"1"', 412],
    ['reactivate', '"1"', 412],
    ['reactivate', '"2"', 200],
  ] as const)
    expect([verb, version, (await post(verb, version)).statusCode]).toEqual([verb, version, status])
  expect((await get('/EMP_001')).json()).toMatchObject({ is_active: true, version: 3 })
})

test('a department is found however it is typed', async () => {
  await create({ name: 'A', department: 'Kỹ thuật' })
  await create({ name: 'B', department: 'Kỹ thuật viên' })
  for (const typed of ['Kỹ thuật', 'kỹ THUẬT', 'ky thuat'])
    expect(idsOf(await get(`?department=${encodeURIComponent(typed)}`))).toEqual(['EMP_001'])
  expect(idsOf(await get('?department=ky%20thua.'))).toEqual([])
})

test('a page behind the end leads back to the last one that has entries', async () => {
  for (let i = 0; i < 5; i++) await create({ name: `Person ${i}` })
  const answer = await get('?limit=2&skip=1000')
  expect(answer.json()).toEqual([])
  expect(answer.headers.link).toContain(`<${base}?limit=2&skip=4>; rel="prev"`)
})

test('a list without pages says how long it is as well', async () => {
  await create({ name: 'A', department: 'IT' })
  const lists: [string, string][] = [
    ['/departments', '1'],
    ['/EMP_001/photos', '0'],
    ['/EMP_001/templates', '0'],
    ['/EMP_001/consent', '0'],
    ['/EMP_001/erasures', '0'],
  ]
  for (const [path, total] of lists) {
    const { statusCode, headers } = await get(path)
    expect([path, statusCode, headers['x-total-count']]).toEqual([path, 200, total])
    expect(headers.link).toBe(`<${base}${path}>; rel="first", <${base}${path}>; rel="last"`)
  }
})

describe('creating', () => {
  test('answers the whole employee, with the id made and the texts cleaned', async () => {
    const answer = await create({ name: '  Nguyễn Văn A ', department: 'IT', email: '', phone: '0123456789' })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({
      id: 1,
      employee_id: 'EMP_001',
      name: 'Nguyễn Văn A',
      department: 'IT',
      email: null,
      phone: '0123456789',
      position: null,
      is_active: true,
      site_id: 1,
      created_at: '2025-03-03T01:00:00.000Z',
      updated_at: '2025-03-03T01:00:00.000Z',
      ended_at: null,
      photos: 0,
      version: 1,
    })
    expect(answer.headers.etag).toBe('"1"')
    expect(running.changed).toEqual(['EMP_001'])
  })

  test('twenty at once get twenty consecutive ids', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => create({ name: `Person ${i}` })))
    const ids = answers.map((answer) => answer.json().employee_id).sort()
    expect(ids).toEqual(Array.from({ length: 20 }, (_, i) => `EMP_${String(i + 1).padStart(3, '0')}`))
  })

  test('continues after the highest number that was ever given', async () => {
    await create({ name: 'A', employee_id: 'EMP_1041' })
    await remove('EMP_1041')
    expect((await create({ name: 'B' })).json().employee_id).toBe('EMP_1042')
  })

  test.each(['nv-Đạt.1', 'EMP_001', '٣', 'a'.repeat(64), 'สมชาย', '_'])('accepts the id %s', async (id) => {
    const answer = await create({ name: 'A', employee_id: id })
    expect(answer.statusCode).toBe(201)
    const found = await get(`/${encodeURIComponent(id)}`)
    expect(found.json().employee_id).toBe(id.normalize('NFC'))
  })

  test('holds two spellings of one id for the same', async () => {
    await create({ name: 'A', employee_id: 'Đạt'.normalize('NFD') })
    expect((await create({ name: 'B', employee_id: 'Đạt'.normalize('NFC') })).statusCode).toBe(409)
    expect((await get(`/${encodeURIComponent('Đạt'.normalize('NFD'))}`)).statusCode).toBe(200)
  })

  test.each([
    ['a reserved word', { name: 'A', employee_id: 'stats' }],
    ['the word of a route', { name: 'A', employee_id: 'photos' }],
    ['a reserved word in capitals', { name: 'A', employee_id: 'Departments' }],
    ['a dot', { name: 'A', employee_id: '.' }],
    ['two dots', { name: 'A', employee_id: '..' }],
    ['three dots', { name: 'A', employee_id: '...' }],
    ['a slash', { name: 'A', employee_id: 'a/b' }],
    ['an empty id', { name: 'A', employee_id: '' }],
    ['65 characters', { name: 'A', employee_id: 'a'.repeat(65) }],
    ['10,000 characters', { name: 'A', employee_id: 'a'.repeat(10_000) }],
    ['NUL in the id', { name: 'A', employee_id: 'a\0b' }],
    ['a number as id', { name: 'A', employee_id: 7 }],
    ['no name', { department: 'IT' }],
    ['an empty name', { name: '   ' }],
    ['NUL in the name', { name: 'A\0' }],
    ['a lone surrogate', { name: 'A\ud800' }],
    ['a line break in the name', { name: 'A\nB' }],
    ['a name of 10,000 characters', { name: 'A'.repeat(10_000) }],
    ['a wrong e-mail', { name: 'A', email: 'nobody' }],
    ['a list', [{ name: 'A' }]],
  ])('refuses %s', async (_what, body) => {
    const answer = await create(body)
    expect(answer.statusCode).toBe(422)
    expect(answer.json()).toMatchObject({ success: false, code: 'invalid_request' })
    expect(answer.json().fields.length).toBeGreaterThan(0)
  })

  test('refuses an id in use, and says so when a former employee has it', async () => {
    await create({ name: 'A', employee_id: 'X1' })
    const taken = await create({ name: 'B', employee_id: 'X1' })
    expect(taken.statusCode).toBe(409)
    expect(taken.json()).toMatchObject({
      code: 'employee_id_taken',
      message: expect.stringContaining('another employee'),
    })
    await remove('X1')
    expect((await create({ name: 'B', employee_id: 'X1' })).json()).toMatchObject({
      code: 'employee_id_taken',
      message: expect.stringContaining('former employee'),
    })
  })
})

describe('listing', () => {
  beforeEach(async () => {
    await create({ name: 'Nguyễn Văn Đạt', department: 'Kỹ thuật', email: 'dat@company.com' })
    await create({ name: 'Trần Thị Bình', department: 'IT', employee_id: 'a_b%c'.replace('%', '-') })
    await create({ name: 'Иван Петров', department: 'IT' })
    await create({ name: 'Straße 100% (x) [y] \\ ^$.*+?' })
  })

  test.each([
    ['nguyen', ['EMP_001']],
    ['DAT', ['EMP_001']],
    ['đẠT nguyễn', ['EMP_001']],
    ['nguyễn'.normalize('NFD'), ['EMP_001']],
    ['binh', ['a_b-c']],
    ['ИВАН', ['EMP_002']],
    ['emp_00', ['EMP_001', 'EMP_002', 'EMP_003']],
    ['company', ['EMP_001']],
    ['%', ['EMP_003']],
    ['_b-', ['a_b-c']],
    ['100% (x)', ['EMP_003']],
    ['[y] \\ ^$.*+?', ['EMP_003']],
    ['***=', []],
    ['.', ['EMP_001', 'EMP_003']],
    ['nobody', []],
    ['   ', ['EMP_001', 'a_b-c', 'EMP_002', 'EMP_003']],
  ])('search for %s finds exactly the right people', async (search, expected) => {
    expect(idsOf(await get(`?search=${encodeURIComponent(search)}`))).toEqual(expected)
  })

  test('filters by department', async () => {
    expect(idsOf(await get('/?department=IT'))).toEqual(['a_b-c', 'EMP_002'])
    expect(idsOf(await get(`/?department=${encodeURIComponent('Kỹ thuật'.normalize('NFD'))}`))).toEqual([
      'EMP_001',
    ])
  })

  test('pages, with the total and links to the other pages that keep the filter', async () => {
    const answer = await get('?department=IT&limit=1&skip=1')
    expect(idsOf(answer)).toEqual(['EMP_002'])
    expect(answer.headers['x-total-count']).toBe('2')
    expect(answer.headers.link).toBe(
      [
        '<?department=IT&limit=1&skip=0>; rel="first"',
        '<?department=IT&limit=1&skip=0>; rel="prev"',
        '<?department=IT&limit=1&skip=1>; rel="last"',
      ]
        .join(', ')
        .replaceAll('<', `<${base}`),
    )
  })

  test('following next from the first page visits everybody once', async () => {
    const seen: string[] = []
    let url: string | undefined = `${base}?limit=3`
    while (url !== undefined) {
      const answer: Awaited<ReturnType<typeof get>> = await running.app.inject(url)
      seen.push(...idsOf(answer))
      url = /<([^>]+)>; rel="next"/.exec(String(answer.headers.link))?.[1]
    }
    expect(seen).toEqual(['EMP_001', 'a_b-c', 'EMP_002', 'EMP_003'])
  })

  test.each([
    'limit=0',
    'limit=-1',
    'limit=1001',
    'limit=x',
    'limit=1.5',
    'limit=1&limit=2',
    'skip=-1',
    'skip=1e99',
  ])('refuses %s', async (query) => {
    const answer = await get(`?${query}`)
    expect(answer.statusCode).toBe(422)
    expect(answer.json().fields[0].path).toBe(query.split('=')[0])
  })

  test('departments and stats answer, and count nobody who left', async () => {
    await put('EMP_002', { is_active: false })
    await remove('EMP_001')
    expect((await get('/departments')).json()).toEqual(['IT'])
    expect((await get('/departments/')).json()).toEqual(['IT'])
    expect((await get('/stats')).json()).toEqual({
      total_employees: 3,
      active_employees: 2,
      inactive_employees: 1,
      by_department: { IT: 2 },
      without_department: 1,
    })
  })
})

test('a department may be called like anything that JavaScript knows', async () => {
  for (const department of ['__proto__', 'constructor', 'toString']) await create({ name: 'A', department })
  expect((await get('/departments')).json()).toEqual(['__proto__', 'constructor', 'toString'])
  const { by_department } = (await get('/stats')).json()
  expect(Object.entries(by_department).sort()).toEqual([
    ['__proto__', 1],
    ['constructor', 1],
    ['toString', 1],
  ])
})

describe('one employee', () => {
  beforeEach(() => create({ name: 'A', department: 'IT', email: 'a@b', position: 'Boss' }))

  test.each([
    '/%00',
    '/..%2f..%2fetc',
    '/%ff',
    '/%ed%a0%80',
    '/%zz',
    '/%20',
    `/${'a'.repeat(10_000)}`,
    '/nobody',
  ])('the path %s is refused, not a fault', async (path) => {
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE'] as const) {
      const answer = await running.app.inject({ method, url: `${base}${path}`, payload: { name: 'B' } })
      expect([400, 404, 422]).toContain(answer.statusCode)
      expect(answer.json().success).toBe(false)
    }
  })

  test.each(['PUT', 'PATCH'] as const)('%s changes what is sent and keeps the rest', async (method) => {
    running.clock.set('2025-03-04T01:00:00Z')
    const payload = { department: null, position: '' }
    const answer = await running.app.inject({ method, url: `${base}/EMP_001`, payload })
    running.clock.set('2025-03-03T01:00:00Z')
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({
      name: 'A',
      department: null,
      position: null,
      email: 'a@b',
      updated_at: '2025-03-04T01:00:00.000Z',
    })
    expect((await get('/EMP_001')).json()).toEqual(answer.json())
  })

  test.each([
    {},
    { unknown: 1 },
    { name: null },
    { name: '' },
    { is_active: 'no' },
    { employee_id: 'EMP_002', name: 'B' },
  ])('the change %j is refused', async (body) => {
    const answer = await put('EMP_001', body)
    expect(answer.statusCode).toBe(422)
    expect((await get('/EMP_001')).json().name).toBe('A')
  })

  test('may be sent back as it was read', async () => {
    const employee = (await get('/EMP_001')).json()
    expect((await put('EMP_001', { ...employee, name: 'B' })).json().name).toBe('B')
  })

  test('only a change of name or state is announced', async () => {
    running.changed.length = 0
    await put('EMP_001', { department: 'HR' })
    expect(running.changed).toEqual([])
    await put('EMP_001', { name: 'B' })
    await put('EMP_001', { is_active: false })
    await put('EMP_001', { is_active: true })
    expect(running.changed).toEqual(['EMP_001', 'EMP_001', 'EMP_001'])
  })
})

test('a long number given by hand does not use up the ids that are made', async () => {
  await create({ name: 'A', employee_id: 'EMP_999999999' })
  await create({ name: 'B', employee_id: 'EMP_999999999999999' })
  expect((await create({ name: 'C' })).json().employee_id).toBe('EMP_1000000000')
  expect((await create({ name: 'D' })).json().employee_id).toBe('EMP_1000000001')
})

describe('ending employment', () => {
  test('erases the biometrics, keeps the punches, and happens once', async () => {
    await create({ name: 'A', employee_id: 'X1' })
    await running.app.inject({
      method: 'POST',
      url: '/api/v1/devices/register',
      payload: { device_id: 'K1' },
    })
    await recordPunch(running.db, 'X1', 'K1')
    await storeTemplate('X1')
    const answer = await remove('X1')
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      message: expect.any(String),
      deleted_face_templates: 1,
      deleted_attendance_records: 0,
      retained_attendance_records: 1,
    })
    expect(await running.db.selectFrom('face_templates').select('id').execute()).toEqual([])
    expect(running.changed.at(-1)).toBe('X1')

    const row = await running.db.selectFrom('employees').selectAll().executeTakeFirstOrThrow()
    expect(row).toMatchObject({ employee_id: 'X1', is_active: false, ended_at: running.clock.now() })
    expect((await remove('X1')).statusCode).toBe(404)
    expect((await get('/X1')).statusCode).toBe(404)
    expect((await put('X1', { is_active: true })).statusCode).toBe(404)
    expect((await get('')).json()).toEqual([])
  })

  test('of somebody unknown is 404', async () => {
    const answer = await remove('nobody')
    expect(answer.statusCode).toBe(404)
    expect(answer.json().code).toBe('employee_not_found')
  })

  test('is undone when the biometrics cannot be erased', async () => {
    const failing = await testApp()
    await sql`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'the disk is full: /secret/path'; END $$`.execute(failing.db)
    await sql`CREATE TRIGGER fail BEFORE DELETE ON face_templates
      FOR EACH STATEMENT EXECUTE FUNCTION fail()`.execute(failing.db)
    await failing.app.inject({ method: 'POST', url: base, payload: { name: 'A' } })
    const answer = await failing.app.inject({ method: 'DELETE', url: `${base}/EMP_001` })
    expect(answer.statusCode).toBe(500)
    expect(answer.body).not.toContain('secret')
    expect((await failing.app.inject(`${base}/EMP_001`)).json().is_active).toBe(true)
    await failing.close()
  })
})
