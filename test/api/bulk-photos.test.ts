import { readdir, readFile, readlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ZipFile } from 'yazl'
import type { FaceEngine } from '../../src/face/engine.ts'
import { ownerOf } from '../../src/gallery/bulk-photos.ts'
import { voteOf } from '../../src/gallery/gallery.ts'
import { portrait } from '../face/portraits.ts'
import { enrol, form, rowCounts, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let ann: Buffer
let annAgain: Buffer
let bob: Buffer
let blank: Buffer

beforeAll(async () => {
  running = await testApp()
  ann = await sharp(await portrait('blonde'))
    .jpeg()
    .toBuffer()
  annAgain = await sharp(ann).modulate({ brightness: 0.8 }).resize(360).jpeg({ quality: 70 }).toBuffer()
  bob = await sharp(await portrait('longHair'))
    .jpeg()
    .toBuffer()
  const grey = { width: 400, height: 400, channels: 3 as const, background: '#777' }
  blank = await sharp({ create: grey }).jpeg().toBuffer()
})
beforeEach(async () => {
  await running.clear()
  await askForConsent(running, false)
})
afterAll(() => running.close())

const url = '/api/v1/employees/photos/import'

async function askForConsent({ db }: TestApp, require_consent: boolean): Promise<void> {
  await db.updateTable('sites').set({ require_consent }).execute()
}

/** A ZIP with these entries; an entry that is null is a folder. */
async function zip(entries: [string, Buffer | null][], compress = false): Promise<Buffer> {
  const file = new ZipFile()
  for (const [name, content] of entries)
    if (content) file.addBuffer(content, name, { compress })
    else file.addEmptyDirectory(name)
  file.end()
  return buffer(file.outputStream)
}

function send(archive: Uint8Array, fields: Record<string, string> = {}, headers = {}, company = running) {
  return company.app.inject({ method: 'POST', url, payload: form({ ...fields, file: archive }), headers })
}

interface Row {
  entry: string
  employee_id: string | null
  outcome: string
  code: string | null
  message: string
  quality_score: number | null
}

const outcomes = (rows: Row[]) => rows.map((row) => [row.entry, row.employee_id, row.code ?? row.outcome])

async function whoIs(picture: Uint8Array): Promise<string | undefined> {
  const analysis = await running.engine.analyse(picture)
  if (analysis.kind !== 'face') throw new Error('a picture with one face was expected')
  const { candidates, threshold } = running.gallery.identify([voteOf(analysis.face)], 1)
  return candidates[0]?.confidence >= threshold ? candidates[0].employeeId : undefined
}

describe('a ZIP of photos', () => {
  test('enrols each photo for the person whom it is named by, and tells of every row', async () => {
    await enrol(running, 'EMP_001')
    await enrol(running, 'Nguyễn-2')
    const archive = await zip([
      ['Hà Nội/', null],
      ['Hà Nội/EMP_001.jpg', ann],
      ['EMP_001/7.jpg', annAgain],
      // As macOS writes names.
      ['Hà Nội/Nguyễn-2.JPG'.normalize('NFD'), bob],
      ['NOBODY.jpg', bob],
      ['EMP_001_2.png', blank],
      ['__MACOSX/._EMP_001.jpg', blank],
      ['.DS_Store', blank],
    ])
    const answer = await send(archive)
    expect(answer.statusCode).toBe(200)
    const { rows, ...totals } = answer.json()
    expect(outcomes(rows)).toEqual([
      ['Hà Nội/EMP_001.jpg', 'EMP_001', 'enrolled'],
      ['EMP_001/7.jpg', 'EMP_001', 'enrolled'],
      ['Hà Nội/Nguyễn-2.JPG', 'Nguyễn-2', 'enrolled'],
      ['NOBODY.jpg', null, 'employee_not_found'],
      ['EMP_001_2.png', 'EMP_001', 'no_face'],
    ])
    expect(rows[0].quality_score).toBeGreaterThan(0.5)
    expect(totals).toEqual({
      success: false,
      dry_run: false,
      enrolled: 3,
      already_stored: 0,
      refused: 2,
      ignored: 3,
      stopped: null,
    })
    expect(await whoIs(annAgain)).toBe('EMP_001')
    expect(await whoIs(bob)).toBe('Nguyễn-2')
    const { filename } = await running.db
      .selectFrom('samples')
      .select('filename')
      .where('employee_id', '=', 'Nguyễn-2')
      .executeTakeFirstOrThrow()
    expect(filename).toBe('Nguyễn-2.JPG')
  })

  test('sent again adds nothing', async () => {
    await enrol(running, 'EMP_001')
    const archive = await zip([['EMP_001.jpg', ann]])
    expect((await send(archive)).json()).toMatchObject({ enrolled: 1, success: true })
    const before = await rowCounts(running.db)
    expect((await send(archive)).json()).toMatchObject({ enrolled: 0, already_stored: 1, success: true })
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('is answered row by row to whoever accepts lines of JSON', async () => {
    await enrol(running, 'EMP_001')
    const archive = await zip([
      ['EMP_001.jpg', ann],
      ['NOBODY.jpg', bob],
    ])
    const answer = await send(archive, {}, { accept: 'application/x-ndjson' })
    expect(answer.headers['content-type']).toBe('application/x-ndjson')
    const [first, second, totals, end] = answer.body.split('\n')
    expect(outcomes([JSON.parse(first!), JSON.parse(second!)])).toEqual([
      ['EMP_001.jpg', 'EMP_001', 'enrolled'],
      ['NOBODY.jpg', null, 'employee_not_found'],
    ])
    expect(JSON.parse(totals!)).toMatchObject({ success: false, enrolled: 1, refused: 1, stopped: null })
    expect(end).toBe('')
  })

  test('of which a dry run looks at every photo and stores nothing', async () => {
    await enrol(running, 'EMP_001')
    const archive = await zip([
      ['EMP_001.jpg', ann],
      ['EMP_001_2.jpg', blank],
      ['NOBODY.jpg', bob],
    ])
    const before = [await rowCounts(running.db), await readdir(running.uploads)]
    const { rows, ...totals } = (await send(archive, { dry_run: 'true', consent: '2025-03' })).json()
    expect(totals).toMatchObject({ dry_run: true, enrolled: 1, refused: 2 })
    expect(outcomes(rows).map(([, , code]) => code)).toEqual(['enrolled', 'no_face', 'employee_not_found'])
    expect([await rowCounts(running.db), await readdir(running.uploads)]).toEqual(before)
    await send(archive)
    expect((await send(archive, { dry_run: 'true' })).json()).toMatchObject({
      enrolled: 0,
      already_stored: 1,
    })
  })

  test('of a stranger among the photos of a person is refused in its row, and the others are taken', async () => {
    await enrol(running, 'EMP_001')
    await enrol(running, 'EMP_002')
    const archive = await zip([
      ['EMP_001/1.jpg', ann],
      ['EMP_001/2.jpg', bob],
      ['EMP_002/1.jpg', bob],
    ])
    expect(outcomes((await send(archive)).json().rows).map(([, , code]) => code)).toEqual([
      'enrolled',
      'face_mismatch',
      'enrolled',
    ])
  })

  test('leaves no file behind, and the next one is taken', async () => {
    await enrol(running, 'EMP_001')
    const folder = dirname(running.uploads)
    await send(await zip([['EMP_001.jpg', ann]]))
    await send(Buffer.from('no zip'))
    expect((await readdir(folder)).filter((name) => name.endsWith('.upload'))).toEqual([])
    expect((await send(await zip([['EMP_001.jpg', ann]]))).statusCode).toBe(200)
  })

  test.skipIf(process.platform !== 'linux')('is sealed on the disk while it is worked on', async () => {
    await enrol(running, 'EMP_001')
    const archive = await zip([['EMP_001.jpg', ann]])
    let over = false
    const answer = send(archive).finally(() => {
      over = true
    })
    let stored = Buffer.alloc(0)
    while (!over && stored.length < archive.length) {
      for (const descriptor of await readdir('/proc/self/fd')) {
        const path = await readlink(`/proc/self/fd/${descriptor}`).catch(() => '')
        if (path.endsWith('.upload (deleted)'))
          stored = await readFile(`/proc/self/fd/${descriptor}`).catch(() => stored)
      }
      await sleep(1)
    }
    expect((await answer).json()).toMatchObject({ enrolled: 1, success: true })
    expect(stored).toHaveLength(archive.length)
    expect(stored.includes(ann.subarray(0, 16))).toBe(false)
    expect(stored.includes('EMP_001')).toBe(false)
  })

  test('is refused to whoever may not enrol', async () => {
    const viewer = await signIn(running.db, 'viewer')
    expect((await send(await zip([['EMP_001.jpg', ann]]), {}, viewer)).statusCode).toBe(403)
  })
})

describe('a client that goes away', () => {
  test('stops the work, and the same ZIP sent again goes on there', async () => {
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    let looks = 0
    const slow = (engine: FaceEngine): FaceEngine => ({
      ...engine,
      analyse: async (...picture) => {
        if (++looks > 1) await gate
        return engine.analyse(...picture)
      },
    })
    const { db, gallery, photos, vault, ledger } = running
    const company = await testApp({ db, gallery, photos, vault, ledger }, {}, slow)
    try {
      for (const id of ['EMP_001', 'EMP_002', 'EMP_003', 'EMP_004', 'EMP_005', 'EMP_006'])
        await enrol(running, id)
      const archive = await zip(
        ['EMP_001', 'EMP_002', 'EMP_003', 'EMP_004', 'EMP_005', 'EMP_006'].map((id) => [`${id}.jpg`, bob]),
      )
      const base = await company.app.listen({ host: '127.0.0.1', port: 0 })
      const headers = { ...(await signIn(db, 'hr')), accept: 'application/x-ndjson' }
      const post = () => fetch(base + url, { method: 'POST', headers, body: form({ file: archive }) })
      const answer = await post()
      const reader = answer.body!.getReader()
      const first = new TextDecoder().decode((await reader.read()).value)
      // The row is there while the others are still being looked at.
      expect(first).toMatch(/^\{"entry":"EMP_001.jpg".*\n$/)
      expect((await post()).status).toBe(503)
      await reader.cancel()
      await sleep(500)
      open()

      let again = await post()
      for (let tries = 0; again.status === 503 && tries < 50; tries++) {
        await sleep(100)
        again = await post()
      }
      const rows = (await again.text())
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      const { enrolled, already_stored } = rows.at(-1)
      expect(enrolled + already_stored).toBe(6)
      expect(already_stored).toBeGreaterThan(0)
      expect(enrolled).toBeGreaterThan(0)
    } finally {
      await company.close()
    }
  })
})

describe('consent', () => {
  test('is asked for where the site says so, and recorded where the form brings it', async () => {
    await enrol(running, 'EMP_001')
    await askForConsent(running, true)
    const archive = await zip([['EMP_001.jpg', ann]])
    const code = async (fields = {}) => outcomes((await send(archive, fields)).json().rows)[0]![2]
    expect(await code()).toBe('consent_missing')
    expect(await code({ dry_run: 'true' })).toBe('consent_missing')
    expect(await rowCounts(running.db)).toMatchObject({ consents: 0, samples: 0 })
    expect(await code({ consent: '2025-03' })).toBe('enrolled')
    const consents = await running.db.selectFrom('consents').selectAll().execute()
    expect(consents).toMatchObject([{ employee_id: 'EMP_001', text_version: '2025-03', withdrawn_at: null }])
    expect(consents[0]!.given_by).toMatch(/^user:\d+$/)
  })
})

describe('a hostile or broken ZIP', () => {
  const problem = async (archive: Uint8Array) => {
    const answer = await send(archive)
    return [answer.statusCode, answer.json().code]
  }

  test.each([
    ['no ZIP', () => Buffer.from('this is no ZIP at all, however long it may be')],
    ['an empty ZIP', () => zip([])],
    ['a ZIP of folders alone', () => zip([['EMP_001/', null]])],
    ['a ZIP that was cut off', async () => (await zip([['EMP_001.jpg', ann]])).subarray(0, -400)],
    [
      'a list of entries that is no list',
      async () => overwrite(await zip([['EMP_001.jpg', ann]]), 'PK\x01\x02', 0, 0x11111111),
    ],
    [
      'more entries than it has',
      async () => overwrite(await zip([['EMP_001.jpg', ann]]), 'PK\x05\x06', 8, 0x00090009),
    ],
  ])('%s is refused, and nothing is stored', async (_what, make) => {
    await enrol(running, 'EMP_001')
    const before = await rowCounts(running.db)
    expect(await problem(await make())).toEqual([422, 'invalid_request'])
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('a form without a file, with two files, or with a text for one is refused', async () => {
    const archive = await zip([['EMP_001.jpg', ann]])
    const payloads = [form({}), form({ file: 'text' }), form({ dry_run: 'perhaps', file: archive })]
    const twice = form({ file: archive })
    twice.append('file', new Blob([new Uint8Array(archive)]), 'again.zip')
    for (const payload of [...payloads, twice]) {
      const { statusCode } = await running.app.inject({ method: 'POST', url, payload })
      expect([413, 422]).toContain(statusCode)
    }
    const json = await running.app.inject({ method: 'POST', url, payload: { file: 'x' } })
    expect(json.statusCode).toBe(415)
    expect((await send(archive)).statusCode).toBe(200)
  })

  test('names that lead elsewhere, and names that come twice, are faults of their rows', async () => {
    await enrol(running, 'EMP_001')
    // The writer refuses such names, so one of the same length takes their place.
    const archive = await zip([
      ['XX/XX/EMP_001.jpg', ann],
      ['EMP_001_1.jpg', ann],
      ['EMP_001_9.jpg', annAgain],
    ])
    const hostile = replaceAll(replaceAll(archive, 'XX/XX/', '../../'), 'EMP_001_9', 'EMP_001_1')
    const { rows } = (await send(hostile)).json()
    expect(rows.map((row: Row) => [row.entry, row.code ?? row.outcome])).toEqual([
      ['../../EMP_001.jpg', 'invalid_request'],
      ['EMP_001_1.jpg', 'enrolled'],
      ['EMP_001_1.jpg', 'invalid_request'],
    ])
  })

  test('what unpacks to more than a photo is refused by what comes out, whatever the header says', async () => {
    await enrol(running, 'EMP_001')
    const bomb = await zip([['EMP_001.jpg', Buffer.alloc(40 * 1024 * 1024)]], true)
    expect(bomb.length).toBeLessThan(100_000)
    const lying = overwrite(Buffer.from(bomb), 'PK\x01\x02', 24, 1000)
    for (const archive of [bomb, lying])
      expect((await send(archive)).json().rows).toMatchObject([{ code: 'upload_too_large' }])
  })

  test('a locked, a damaged and a wrongly declared photo are faults of their rows', async () => {
    await enrol(running, 'EMP_001')
    const archive = await zip([['EMP_001.jpg', ann]])
    const flag = (bytes: Buffer) => {
      const at = bytes.indexOf('PK\x01\x02', 0, 'latin1') + 8
      bytes.writeUInt16LE(bytes.readUInt16LE(at) | 1, at)
      return bytes
    }
    const damaged = Buffer.from(archive)
    damaged[2000]! ^= 0xff
    const short = overwrite(Buffer.from(archive), 'PK\x01\x02', 24, ann.length - 5)
    const codes = []
    for (const hostile of [flag(Buffer.from(archive)), damaged, short])
      codes.push((await send(hostile)).json().rows[0].code)
    expect(codes).toEqual(['invalid_request', 'invalid_image', 'invalid_image'])
    expect(await readdir(running.uploads)).toEqual([])
  })

  test('a picture that is none, and one that is cut off, are faults of their rows', async () => {
    await enrol(running, 'EMP_001')
    const archive = await zip([
      ['EMP_001.jpg', Buffer.from('GIF89a, or so it says')],
      ['EMP_001_2.jpg', ann.subarray(0, ann.length / 2)],
      ['EMP_001_3.jpg', Buffer.alloc(0)],
      ['EMP_001_4.jpg', ann],
    ])
    expect((await send(archive)).json().rows.map((row: Row) => row.code ?? row.outcome)).toEqual([
      'unsupported_media_type',
      'invalid_image',
      'invalid_image',
      'enrolled',
    ])
  })

  test('a whole import stops with a sentence when the database is lost', async () => {
    await enrol(running, 'EMP_001')
    const lost = Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })
    const { db, gallery, photos } = running
    const company = await testApp({ db, gallery, photos }, {}, (engine) => ({
      ...engine,
      analyse: () => Promise.reject(lost),
    }))
    try {
      const archive = await zip([
        ['EMP_001.jpg', ann],
        ['EMP_001_2.jpg', annAgain],
      ])
      expect((await send(archive, {}, {}, company)).json()).toMatchObject({
        success: false,
        rows: [],
        stopped: { code: 'database_unavailable' },
      })
    } finally {
      await company.close()
    }
  })
})

test('a photo is of whom its name or its folder says, and of nobody where they disagree', () => {
  const people = ['EMP_001', 'EMP_002', 'EMP', '7', '12', 'Nguyễn']
  const owner = (path: string) => ownerOf(path, (id) => people.includes(id)).employeeId
  const owners: [string, string | null][] = [
    ['EMP_001.jpg', 'EMP_001'],
    ['a/b/EMP_001.jpeg', 'EMP_001'],
    ['EMP_001/1.jpg', 'EMP_001'],
    ['EMP_001/7.jpg', 'EMP_001'],
    ['12/7.jpg', '12'],
    ['7.jpg', '7'],
    ['EMP_001_2.png', 'EMP_001'],
    ['EMP_001 (2).png', 'EMP_001'],
    ['EMP_001-12.png', 'EMP_001'],
    ['EMP_001/EMP_001_2.png', 'EMP_001'],
    ['EMP_001/front.png', 'EMP_001'],
    ['EMP_001/EMP_002.png', null],
    // The number belongs to an id that nobody has; it must not become another person's photo.
    ['EMP_003.jpg', null],
    ['EMP_0012.jpg', null],
    ['EMP_001', 'EMP_001'],
    ['.jpg', null],
    ['', null],
    ['Nguyễn.jpg', 'Nguyễn'],
  ]
  expect(owners.map(([path]) => [path, owner(path)])).toEqual(owners)
})

/** Writes a 32-bit number at an offset behind the first signature. */
function overwrite(bytes: Buffer, signature: string, offset: number, value: number): Buffer {
  bytes.writeUInt32LE(value, bytes.indexOf(signature, 0, 'latin1') + offset)
  return bytes
}

/** Puts a text of the same length in the place of another, in all headers. */
function replaceAll(bytes: Buffer, from: string, to: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll(from, to), 'latin1')
}
