import { deflateRawSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { readXlsx, writeXlsx } from 'hucre/xlsx'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { rowCounts, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
})
beforeEach(() => running.clear())
afterAll(() => running.close())

const base = '/api/v1/employees'
const BOM = '\ufeff'
const create = (body: object) => running.app.inject({ method: 'POST', url: base, payload: body })
const everybody = async () => (await running.app.inject(`${base}?limit=1000`)).json() as Person[]
const download = (query = '') => running.app.inject(`${base}/export${query}`)

interface Person {
  employee_id: string
  name: string
  [key: string]: unknown
}

function upload(file: string | Uint8Array, query = '', fields: Record<string, string> = {}) {
  const payload = new FormData()
  for (const [name, value] of Object.entries(fields)) payload.append(name, value)
  const bytes = typeof file === 'string' ? new TextEncoder().encode(file) : new Uint8Array(file)
  payload.append('file', new Blob([bytes]), 'people.csv')
  return running.app.inject({ method: 'POST', url: `${base}/import${query}`, payload })
}

const sheet = (rows: (string | number | boolean | null)[][]) =>
  writeXlsx({ sheets: [{ name: 'People', rows }] })

/** What may not change when a file is refused. */
const everything = async () => ({ people: await everybody(), rows: await rowCounts(running.db) })

const hostile = [
  '=1+1',
  "=cmd|' /C calc'!A0",
  '+84 912 345 678',
  '-2+3',
  '@SUM(A1)',
  "'=1",
  "''=1",
  "'+",
  "'quoted'",
  '"=1"',
  ';=1',
  ',@x',
  '=HYPERLINK("http://evil","x")',
  'O\u2019Neil;"Bo", Jr',
]

describe('an export', () => {
  test('as CSV opens right in Excel: byte order mark, semicolons, one header, one row a person', async () => {
    await create({ employee_id: 'B', name: 'Nguyễn Văn Đạt', department: 'Kỹ thuật', phone: '0912' })
    await create({ employee_id: 'A', name: 'Ann; "the" boss', email: 'a@b', position: 'Boss' })
    const answer = await download('?sort=employee_id')
    expect(answer.headers).toMatchObject({
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': 'attachment; filename="employees.csv"',
      'cache-control': 'private, no-store',
    })
    expect(answer.body).toBe(
      [
        `${BOM}employee_id;name;department;position;email;phone;site;is_active`,
        'A;"Ann; ""the"" boss";;Boss;a@b;;Main site;true',
        'B;Nguyễn Văn Đạt;Kỹ thuật;;;0912;Main site;true',
        '',
      ]
        .join('\r\n')
        .replace(/\r\n$/, answer.body.endsWith('\r\n') ? '\r\n' : ''),
    )
  })

  test('as CSV has commas where they are asked for, and nothing else', async () => {
    await create({ employee_id: 'A', name: 'Ann, the boss; Bo' })
    expect((await download('?separator=,')).body).toContain('A,"Ann, the boss; Bo",,,,,Main site,true')
    const refused = await download('?separator=|')
    expect([refused.statusCode, refused.json().code]).toEqual([422, 'invalid_request'])
    const before = await everybody()
    for (const separator of [',', ';']) {
      const file = await download(`?separator=${separator}`)
      expect((await upload(file.rawPayload)).json()).toMatchObject({ unchanged: 1, created: 0, failed: 0 })
    }
    expect(await everybody()).toEqual(before)
  })

  test('as XLSX holds the same texts, and neither numbers nor formulas', async () => {
    await create({ employee_id: '007', name: 'Đạt', phone: '0912' })
    const answer = await download('?format=xlsx')
    expect(answer.headers['content-disposition']).toBe('attachment; filename="employees.xlsx"')
    const { sheets } = await readXlsx(answer.rawPayload)
    expect(sheets[0].rows).toEqual([
      ['employee_id', 'name', 'department', 'position', 'email', 'phone', 'site', 'is_active'],
      [
        '007',
        'Đạt',
        expect.toBeOneOf(['', null]),
        expect.toBeOneOf(['', null]),
        expect.toBeOneOf(['', null]),
        '0912',
        'Main site',
        'true',
      ],
    ])
  })

  test('filters as the list does', async () => {
    await create({ employee_id: 'A', name: 'Ann', department: 'IT' })
    await create({ employee_id: 'B', name: 'Bo', department: 'HR' })
    expect((await download('?department=HR')).body).toMatch(/B;Bo/)
    expect((await download('?department=HR')).body).not.toMatch(/A;Ann/)
    expect((await download('?format=pdf')).statusCode).toBe(422)
  })

  test.each(['csv', 'xlsx'])('as %s leaves no cell that a spreadsheet program would run', async (format) => {
    for (const text of hostile) await create({ name: text, department: text, position: text })
    const answer = await download(`?format=${format}`)
    const rows: unknown[][] =
      format === 'csv'
        ? parse(answer.body, { delimiter: ';', bom: true })
        : (await readXlsx(answer.rawPayload)).sheets[0].rows
    expect(rows).toHaveLength(hostile.length + 1)
    for (const cell of rows.flat()) expect(String(cell ?? '')).not.toMatch(/^[=+\-@\t\r]/)
    if (format === 'xlsx') expect((await readXlsx(answer.rawPayload)).sheets[0].cells?.size ?? 0).toBe(0)
  })
})

describe('an import', () => {
  test.each(['csv', 'xlsx'])('of our own export as %s changes nothing', async (format) => {
    for (const text of hostile) await create({ name: text, department: text, position: text, phone: text })
    await create({ name: 'Nguyễn Thị Ánh', email: 'anh@cong-ty.vn' })
    const file = await download(`?format=${format}`)
    const before = await everything()
    const answer = await upload(file.rawPayload)
    expect(answer.json()).toMatchObject({
      success: true,
      unchanged: hostile.length + 1,
      created: 0,
      updated: 0,
    })
    expect(await everything()).toEqual(before)
  })

  test.each(['csv', 'xlsx'])('of our own export as %s makes the same people elsewhere', async (format) => {
    for (const text of hostile) await create({ name: text, department: text, phone: text })
    const people = await everybody()
    const file = await download(`?format=${format}`)
    await running.clear()
    expect((await upload(file.rawPayload)).json()).toMatchObject({ created: hostile.length, failed: 0 })
    const relevant = ({ employee_id, name, department, phone }: Person) => ({
      employee_id,
      name,
      department,
      phone,
    })
    expect((await everybody()).map(relevant)).toEqual(people.map(relevant))
  })

  test('creates, updates and leaves alone, and tells which', async () => {
    await create({ employee_id: 'A', name: 'Ann', department: 'IT', phone: '1' })
    await create({ employee_id: 'B', name: 'Bo' })
    const answer = await upload(
      'Mã nhân viên,Họ tên,Phòng ban,Ngày sinh\nA,Anna,,1990\nB,Bo,,1991\nC,Cy,HR,1992\n,Di,HR,1993\n',
    )
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({
      success: true,
      dry_run: false,
      created: 2,
      updated: 1,
      unchanged: 1,
      failed: 0,
      ignored_columns: ['Ngày sinh'],
      rows: [
        { row: 2, action: 'updated', employee_id: 'A', errors: [] },
        { row: 3, action: 'unchanged', employee_id: 'B', errors: [] },
        { row: 4, action: 'created', employee_id: 'C', errors: [] },
        { row: 5, action: 'created', employee_id: 'EMP_001', errors: [] },
      ],
    })
    expect(await everybody()).toMatchObject([
      { employee_id: 'A', name: 'Anna', department: null, phone: '1', version: 2 },
      { employee_id: 'B', name: 'Bo', version: 1 },
      { employee_id: 'C', name: 'Cy', department: 'HR', version: 1, site_id: 1, is_active: true },
      { employee_id: 'EMP_001', name: 'Di', version: 1 },
    ])
  })

  test('announces only changes of name or state', async () => {
    for (const employee_id of ['A', 'B', 'C']) await create({ employee_id, name: employee_id })
    running.changed.length = 0
    await upload('employee_id;name;department;is_active\nA;Anna;;\nB;B;IT;yes\nC;C;;không\n')
    expect(running.changed).toEqual(['A', 'C'])
    expect((await everybody()).map(({ is_active }) => is_active)).toEqual([true, true, false])
  })

  test('may change one column of people who are there, and needs no name for it', async () => {
    await create({ employee_id: 'A', name: 'Ann', email: 'a@b' })
    const answer = await upload('employee_id,department\nA,IT\nB,IT\n')
    expect(answer.statusCode).toBe(422)
    expect(answer.json().rows).toEqual([
      { row: 2, action: 'updated', employee_id: 'A', errors: [] },
      { row: 3, action: 'failed', employee_id: 'B', errors: ['name: is required'] },
    ])
    await upload('employee_id,department\nA,IT\n')
    expect(await everybody()).toMatchObject([{ name: 'Ann', email: 'a@b', department: 'IT' }])
  })

  test.each([
    ['query', '?dry_run=true', {}],
    ['field', '', { dry_run: 'true' }],
    ['field against the query', '?dry_run=false', { dry_run: 'true' }],
  ])('as a dry run, by its %s, reports all and stores nothing', async (_where, query, fields) => {
    await create({ employee_id: 'A', name: 'Ann' })
    const before = await everything()
    const answer = await upload('employee_id,name,email\nA,Anna,\n,Bo,\nC,,\nD,Di,nobody\n', query, fields)
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({ success: false, dry_run: true, created: 1, updated: 1, failed: 2 })
    expect(answer.json().rows[1]).toEqual({ row: 3, action: 'created', employee_id: null, errors: [] })
    expect(await everything()).toEqual(before)
  })

  test('stores no row when one fails, and says which and why', async () => {
    await create({ employee_id: 'GONE', name: 'Gone' })
    await running.app.inject({ method: 'DELETE', url: `${base}/GONE` })
    const before = await everything()
    const answer = await upload(
      [
        'employee_id;name;email;site;is_active',
        'A;Ann;;;',
        'A;Bo;;;',
        'stats;Cy;;;',
        'B;;nobody;;',
        'C;Cy;;Nowhere;maybe',
        'GONE;Back;;;',
        `${'x'.repeat(65)};Di;;;`,
        'D;Ed;;;;more',
        'E/F;Ed;;;',
        `F;${'x'.repeat(201)};;;`,
        '',
        'G;tab\there;;;',
      ].join('\n'),
    )
    expect(answer.statusCode).toBe(422)
    const { code, success, created, failed, rows, message } = answer.json()
    expect({ code, success, created, failed }).toEqual({
      code: 'import_rejected',
      success: false,
      created: 1,
      failed: 10,
    })
    expect(message).toContain('10 of 11')
    const errors = Object.fromEntries(
      rows.map((row: { row: number; errors: string[] }) => [row.row, row.errors.join(' | ')]),
    )
    expect(errors).toEqual({
      2: '',
      3: 'employee_id: stands in row 2 already',
      4: 'employee_id: is a reserved word',
      5: expect.stringMatching(/name: must not be empty.*email: must look like/),
      6: expect.stringMatching(/site: must be.*is_active: must be/),
      7: expect.stringContaining('former employee'),
      8: expect.stringContaining('employee_id: must be 1 to 64'),
      9: expect.stringContaining('more cells than the header'),
      10: expect.stringContaining('employee_id: must be 1 to 64'),
      11: 'name: must have at most 200 characters',
      13: 'name: must not contain control characters',
    })
    expect(await everything()).toEqual(before)
  })

  test('finds sites by name or number', async () => {
    const { id } = await running.db
      .insertInto('sites')
      .values({ name: 'Đà Nẵng' })
      .returning('id')
      .executeTakeFirstOrThrow()
    await upload(`name,Địa điểm\nAnn,ĐÀ NẴNG\nBo,${id}\nCy,\n`)
    expect((await everybody()).map(({ site_id }) => site_id)).toEqual([id, id, 1])
  })

  test('made ids never collide with ids of the file, or with those that are given meanwhile', async () => {
    await create({ employee_id: 'EMP_001', name: 'A' })
    const [answer, ...others] = await Promise.all([
      // Beyond what the other two may be given before it.
      upload('employee_id,name\n,B\nEMP_004,C\n,D\n'),
      create({ name: 'E' }),
      create({ name: 'F' }),
    ])
    expect(answer.statusCode).toBe(200)
    expect(others.map(({ statusCode }) => statusCode)).toEqual([201, 201])
    const ids = (await everybody()).map(({ employee_id }) => employee_id)
    expect(new Set(ids).size).toBe(6)
  })

  test.each([
    ['commas', 'name,phone\nĐạt,012\n'],
    ['semicolons', 'name;phone\nĐạt;012\n'],
    ['tabulators', 'name\tphone\nĐạt\t012\n'],
    ['a byte order mark', `${BOM}name;phone\r\nĐạt;012\r\n`],
    ['quotation marks', '"name";"phone"\r\n"Đạt";"012"'],
    ['old line ends', 'name;phone\rĐạt;012\r'],
    ['decomposed letters', 'name;phone\nĐạt;012\n'.normalize('NFD')],
    ['headings in Vietnamese', 'HỌ VÀ TÊN; Điện Thoại \nĐạt;012\n'],
    ['headings without accents', 'ho_ten;dien thoai\nĐạt;012\n'],
    ['empty lines', 'name;phone\n\n\nĐạt;012\n;\n\n'],
    ['UTF-16, little-endian', Buffer.from(`${BOM}name\tphone\nĐạt\t012\n`, 'utf16le')],
    ['UTF-16, big-endian', Buffer.from(`${BOM}name\tphone\nĐạt\t012\n`, 'utf16le').swap16()],
  ])('reads CSV with %s', async (_what, file) => {
    const answer = await upload(file)
    expect(answer.statusCode, answer.body).toBe(200)
    expect(await everybody()).toMatchObject([{ name: 'Đạt', phone: '012' }])
  })

  test('reads XLSX: numbers as texts, results of formulas, the first sheet alone', async () => {
    const file = await writeXlsx({
      sheets: [
        {
          name: 'People',
          rows: [
            ['employee_id', 'name', 'phone', 'is_active'],
            [1001, 'x', 912345678, false],
          ],
          cells: new Map([['1,1', { value: 'Đạt', formula: 'A2&"x"', formulaResult: 'Đạt' }]]),
        },
        { name: 'Other', rows: [['name'], ['Bo']] },
      ],
    })
    expect((await upload(file)).json()).toMatchObject({ created: 1, failed: 0 })
    expect(await everybody()).toMatchObject([
      { employee_id: '1001', name: 'Đạt', phone: '912345678', is_active: false },
    ])
  })

  test('refuses a formula in XLSX that was never calculated', async () => {
    const file = await writeXlsx({
      sheets: [
        {
          name: 'People',
          rows: [
            ['name', 'phone'],
            ['Ann', 'x'],
          ],
          cells: new Map([['1,1', { value: null, formula: 'WEBSERVICE("http://evil")' }]]),
        },
      ],
    })
    const answer = await upload(file)
    expect(answer.json()).toMatchObject({ code: 'import_rejected', failed: 1 })
    expect(answer.json().rows[0].errors).toEqual([expect.stringContaining('B2: holds a formula')])
    expect(await everybody()).toEqual([])
  })

  test('takes 10,000 people, and not one more', async () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => `P${i},Nguyễn Văn ${i},IT`)
    const file = `employee_id,name,department\n${rows.join('\n')}\n`
    expect((await upload(file)).json()).toMatchObject({ created: 10_000, failed: 0 })
    expect((await upload(file)).json()).toMatchObject({ unchanged: 10_000 })
    const changed = await upload(file.replaceAll(',IT', ',HR'))
    expect(changed.json()).toMatchObject({ updated: 10_000 })
    const again = await download()
    expect(again.body.split('\r\n').filter(Boolean)).toHaveLength(10_001)
    expect((await upload(again.rawPayload)).json()).toMatchObject({ unchanged: 10_000 })
    const asSheet = await download('?format=xlsx')
    expect((await upload(asSheet.rawPayload)).json()).toMatchObject({ unchanged: 10_000 })

    const before = await rowCounts(running.db)
    const tooMany = await upload(`${file}Z,One more,IT\n`)
    expect([tooMany.statusCode, tooMany.json().code]).toEqual([422, 'invalid_request'])
    const tooManyInSheet = await upload(await sheet([['name'], ...Array(10_001).fill(['Ann'])]))
    expect([tooManyInSheet.statusCode, tooManyInSheet.json().code]).toEqual([422, 'invalid_request'])
    expect(await rowCounts(running.db)).toEqual(before)
  }, 240_000)
})

/** An archive with one entry, whose list may lie about its size. */
function zipOf(name: string, content: Uint8Array, saidBytes = content.length, copies = 1): Buffer {
  const packed = deflateRawSync(content, { level: 9 })
  const title = Buffer.from(name)
  const header = (size: number, signature: number) => {
    const bytes = Buffer.alloc(size)
    bytes.writeUInt32LE(signature)
    return bytes
  }
  const local = header(30, 0x04034b50)
  local.writeUInt16LE(8, 8)
  local.writeUInt32LE(packed.length, 18)
  local.writeUInt32LE(saidBytes, 22)
  local.writeUInt16LE(title.length, 26)
  const entry = header(46, 0x02014b50)
  entry.writeUInt16LE(8, 10)
  entry.writeUInt32LE(packed.length, 20)
  entry.writeUInt32LE(saidBytes, 24)
  entry.writeUInt16LE(title.length, 28)
  const end = header(22, 0x06054b50)
  end.writeUInt16LE(copies, 8)
  end.writeUInt16LE(copies, 10)
  end.writeUInt32LE((46 + title.length) * copies, 12)
  end.writeUInt32LE(30 + title.length + packed.length, 16)
  const list = Array(copies).fill(Buffer.concat([entry, title]))
  return Buffer.concat([local, title, packed, ...list, end])
}

function pointingNowhere(): Buffer {
  const file = zipOf('a.txt', Buffer.from('x'))
  return file.fill(0xee, file.length - 6, file.length - 2)
}

describe('a file that is no list of people is refused, and nothing is stored:', () => {
  const latin1 = (text: string) => Buffer.from(text, 'latin1')
  const nothing = Buffer.alloc(1_000_000)

  test.each<[string, string | Uint8Array | (() => Promise<Uint8Array>)]>([
    ['only a space', ' '],
    ['only a byte order mark', BOM],
    ['only line ends', '\n\n\n'],
    ['only a header', 'employee_id,name\n'],
    ['only a header and empty rows', 'employee_id,name\n,\n,\n'],
    ['no header', 'A1,Ann\nB1,Bo\n'],
    ['two columns for one thing', 'name,Họ tên\nAnn,Bo\n'],
    ['Latin-1', latin1('name\nJos\u00e9\n')],
    ['UTF-16 without its mark', Buffer.from('name\nAnn\n', 'utf16le')],
    ['a JPEG', Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 74, 70, 73, 70, 0])],
    ['a PDF', latin1('%PDF-1.7\n%\u00e2\u00e3\u00cf\u00d3\n')],
    ['JSON', '[{"name":"Ann"}]'],
    ['HTML', '<html><table><tr><td>name</td></tr></table></html>'],
    ['NUL', 'name\nA\0nn\n'],
    ['an open quotation mark', 'name,phone\n"Ann,1\nBo,2\n'],
    ['a stray quotation mark', 'name,phone\nAnn,1"2\n'],
    ['a thousand columns', `name${',x'.repeat(1000)}\nAnn\n`],
    ['an old Excel file', Buffer.from('d0cf11e0a1b11ae1', 'hex')],
    ['the beginning of a ZIP file', latin1('PK\x03\x04')],
    ['a ZIP file that is no sheet', zipOf('a.txt', Buffer.from('name\nAnn\n'))],
    ['a ZIP file with a list cut off', zipOf('a.txt', Buffer.from('x')).subarray(0, 60)],
    ['a ZIP file that points beyond its end', pointingNowhere()],
    ['an empty sheet', async () => sheet([])],
    ['a sheet with a header alone', async () => sheet([['name', 'phone']])],
    ['a sheet cut in half', async () => (await sheet([['name'], ['Ann']])).slice(0, 900)],
    ['an archive that does not say its size', zipOf('xl/workbook.xml', nothing, 0)],
    ['an archive that lies about its size', zipOf('xl/workbook.xml', nothing, 100)],
  ])('%s', async (_what, file) => {
    const before = await everything()
    const answer = await upload(typeof file === 'function' ? await file() : file)
    expect([answer.statusCode, answer.json().code, answer.body]).toEqual([
      422,
      'invalid_request',
      expect.not.stringMatching(/hucre|csv-parse|node_modules|CsvError|Zip(Error|Reader)/i),
    ])
    expect(answer.json().fields[0].path).toBe('file')
    expect(await everything()).toEqual(before)
  })

  test.each<[string, Uint8Array]>([
    ['more than 5 MB', Buffer.concat([Buffer.from('name\n'), Buffer.alloc(5 * 1024 * 1024, 'a')])],
    ['a bomb of one entry', zipOf('xl/workbook.xml', Buffer.alloc(60 * 1024 * 1024))],
    ['a bomb of many entries', zipOf('xl/workbook.xml', nothing, nothing.length, 1000)],
    ['a bomb that says four gigabytes', zipOf('xl/workbook.xml', nothing, 0xffffffff)],
  ])('%s', async (_what, file) => {
    const answer = await upload(file)
    expect([answer.statusCode, answer.json().code]).toEqual([413, 'upload_too_large'])
    expect(await everybody()).toEqual([])
  })

  test('an entity that grows in a sheet', async () => {
    const entities = Array.from({ length: 20 }, (_, i) => `<!ENTITY e${i + 1} "${`&e${i};`.repeat(10)}">`)
    const xml = `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">${entities.join('')}]><workbook>&e20;</workbook>`
    const answer = await upload(zipOf('xl/workbook.xml', Buffer.from(xml)))
    expect(answer.statusCode).toBe(422)
  })

  test.each(['no file', 'a text for a file'])('%s', async (what) => {
    const payload = new FormData()
    payload.append(what === 'no file' ? 'other' : 'file', 'name\nAnn\n')
    const answer = await running.app.inject({ method: 'POST', url: `${base}/import`, payload })
    expect([answer.statusCode, answer.json().fields[0].path]).toEqual([422, 'file'])
  })
})

test.each(['viewer', 'manager'] as const)('a %s may export and not import', async (role) => {
  const headers = await signIn(running.db, role)
  const payload = new FormData()
  payload.append('file', new Blob(['name\nAnn\n']), 'people.csv')
  const answer = await running.app.inject({ method: 'POST', url: `${base}/import`, headers, payload })
  expect(answer.statusCode).toBe(403)
  expect((await running.app.inject({ url: `${base}/export`, headers })).statusCode).toBe(200)
  expect(await everybody()).toEqual([])
})
