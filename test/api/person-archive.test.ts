import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { fromBufferPromise } from 'yauzl'
import { createKey } from '../../src/access/api-keys.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, recordPunch, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer

beforeAll(async () => {
  running = await testApp()
  ann = await portrait('blonde')
})
beforeEach(async () => {
  running.clock.set('2025-03-03T01:00:00Z')
  await running.clear()
})
afterAll(() => running.close())

function ask(id: string, query = '', headers = {}) {
  return running.app.inject({
    url: `/api/v1/employees/${encodeURIComponent(id)}/data-export${query}`,
    headers,
  })
}

/** The entries of a ZIP by name. */
async function unzip(bytes: Buffer): Promise<Record<string, Buffer>> {
  const zip = await fromBufferPromise(bytes)
  const entries: Record<string, Buffer> = {}
  for await (const entry of zip.eachEntry())
    entries[entry.fileName] = await buffer(await zip.openReadStreamPromise(entry))
  return entries
}

test('the ZIP holds the data, the photos in the clear, the punches and a note in two languages', async () => {
  await registerKiosk(running, 'GATE')
  await enrol(running, 'ANN', ann, await sharp(ann).modulate({ brightness: 0.8 }).jpeg().toBuffer())
  await enrol(running, 'BOB')
  await recordPunch(running.db, 'ANN', 'GATE', '2025-03-02T18:30:00Z', 'IN')
  await recordPunch(running.db, 'ANN', 'GATE', '2025-03-03T00:30:00Z', 'OUT')
  await recordPunch(running.db, 'BOB', 'GATE')

  const answer = await ask('ANN', '?format=zip')
  expect(answer.statusCode).toBe(200)
  expect(answer.headers).toMatchObject({
    'content-type': 'application/zip',
    'content-disposition':
      'attachment; filename="personal-data.zip"; filename*=UTF-8\'\'personal-data-ANN.zip',
    'cache-control': 'private, no-store',
  })
  const entries = await unzip(answer.rawPayload)
  expect(Object.keys(entries).sort()).toEqual([
    'data.json',
    'photos/1.jpg',
    'photos/2.jpg',
    'punches.csv',
    'readme.txt',
  ])
  expect(JSON.parse(String(entries['data.json']))).toEqual((await ask('ANN')).json())
  expect(String(entries['data.json'])).not.toContain('BOB')

  for (const id of [1, 2]) {
    const photo = await running.app.inject({ url: `/api/v1/employees/ANN/photos/${id}` })
    const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
    expect(hash(entries[`photos/${id}.jpg`]!)).toBe(hash(photo.rawPayload))
    expect((await sharp(entries[`photos/${id}.jpg`]!).metadata()).format).toBe('jpeg')
  }

  const table = String(entries['punches.csv'])
  expect(table.startsWith('\ufeffid;time;time_zone;time_utc;attendance_type;device_id;')).toBe(true)
  const [, first, second] = table.trim().split(/\r?\n/)
  // The day of the place, not of UTC.
  expect(first).toContain(
    ';2025-03-03 01:30:00;Asia/Ho_Chi_Minh;2025-03-02T18:30:00.000Z;IN;GATE;0.9;unavailable;',
  )
  expect(second).toContain(';2025-03-03 07:30:00;')

  const note = String(entries['readme.txt'])
  expect(note).toContain('DỮ LIỆU CÁ NHÂN CỦA ANN')
  expect(note).toContain('PERSONAL DATA OF ANN')
  expect(note).toContain('The avatar is photos/1.jpg')
})

test('the ZIP is what those get who accept it, and JSON all others', async () => {
  await enrol(running, 'ANN')
  const types = async (accept: string, query = '') =>
    (await ask('ANN', query, { accept })).headers['content-type']
  expect(await types('application/zip')).toBe('application/zip')
  expect(await types('*/*')).toContain('application/json')
  expect(await types('application/json')).toContain('application/json')
  expect(await types('application/zip', '?format=json')).toContain('application/json')
  expect((await ask('ANN', '?format=tar')).json()).toMatchObject({ code: 'invalid_request' })
})

test('the name of the file is safe whatever letters the id has', async () => {
  await enrol(running, 'Nguyễn.Văn-1')
  const disposition = String((await ask('Nguyễn.Văn-1', '?format=zip')).headers['content-disposition'])
  expect(disposition).toMatch(/^[\x20-\x7e]+$/)
  const encoded = /filename\*=UTF-8''(\S+)$/.exec(disposition)![1]!
  expect(decodeURIComponent(encoded)).toBe('personal-data-Nguyễn.Văn-1.zip')
})

test('embeddings are in it only for those who may see them', async () => {
  await enrol(running, 'ANN', ann)
  const hr = await signIn(running.db, 'hr')
  const withThem = await unzip((await ask('ANN', '?format=zip')).rawPayload)
  const without = await unzip((await ask('ANN', '?format=zip', hr)).rawPayload)
  expect(JSON.parse(String(withThem['data.json'])).templates[0].embeddings[0].length).toBeGreaterThan(100)
  expect(String(without['data.json'])).not.toMatch(/embedding|file_path/)
  expect(without['photos/1.jpg']).toEqual(withThem['photos/1.jpg'])
})

test('a photo whose file is lost is named in the note, and the rest is there', async () => {
  await enrol(running, 'ANN', ann)
  for (const name of await readdir(running.uploads)) await rm(join(running.uploads, name))
  const entries = await unzip((await ask('ANN', '?format=zip')).rawPayload)
  expect(Object.keys(entries)).not.toContain('photos/1.jpg')
  expect(String(entries['readme.txt'])).toContain('The files of these are lost: photos/1.jpg')
})

test('somebody who has left gets theirs, nobody and the wrong program get a refusal in JSON', async () => {
  await enrol(running, 'ANN', ann)
  await running.app.inject({ method: 'DELETE', url: '/api/v1/employees/ANN' })
  const entries = await unzip((await ask('ANN', '?format=zip')).rawPayload)
  expect(JSON.parse(String(entries['data.json'])).employee.ended_at).toBe('2025-03-03T01:00:00.000Z')
  expect(Object.keys(entries).filter((name) => name.startsWith('photos/'))).toEqual([])

  const nobody = await ask('NOBODY', '?format=zip')
  expect([nobody.statusCode, nobody.json().code]).toEqual([404, 'employee_not_found'])
  const { id } = await running.db.selectFrom('users').select('id').executeTakeFirstOrThrow()
  const scopes = ['biometrics:read' as const]
  const program = { name: 'k', scopes }
  const { key } = await createKey(running.ledger.by({ by: 'test' }), program, id, running.clock.now())
  const refused = await ask('ANN', '?format=zip', { 'x-api-key': key })
  expect([refused.statusCode, refused.json().code]).toEqual([403, 'forbidden'])
})

test('a text that a spreadsheet would take for a formula is none in the table', async () => {
  await registerKiosk(running, 'GATE')
  await enrol(running, 'ANN')
  const payload = {
    employee_id: 'ANN',
    attendance_type: 'IN',
    timestamp: '2025-03-03T00:30:00Z',
    notes: '=HYPERLINK("http://evil.example")',
  }
  const entered = await running.app.inject({ method: 'POST', url: '/api/v1/attendance/manual', payload })
  expect(entered.statusCode).toBe(201)
  const entries = await unzip((await ask('ANN', '?format=zip')).rawPayload)
  expect(String(entries['punches.csv'])).toContain(`'=HYPERLINK(`)
})
