import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Author } from '../../src/ledger/ledger.ts'
import { signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let asked: Author[] = []
let fail: Error | undefined
let release: Promise<void> = Promise.resolve()
const folder = () => join(dirname(running.uploads), 'backups')

beforeAll(async () => {
  running = await testApp({
    backUp: async (author) => {
      asked.push(author)
      await release
      if (fail) throw fail
      const file = join(folder(), 'office-1-20250303T010000Z.zip')
      await mkdir(folder(), { recursive: true })
      await writeFile(file, 'PK everything')
      await writeFile(`${file}.keys`, 'PK keys')
      return file
    },
  })
})
afterAll(() => running.close())

const url = '/api/v1/system/backups'
const inject = (method: 'GET' | 'POST' | 'HEAD', path = '', headers = {}) =>
  running.app.inject({ method, url: url + path, headers })

describe('backups by the office', () => {
  test('there is none at first', async () => {
    expect((await inject('GET')).json()).toMatchObject({ making: false, nightly_hour: 3, backups: [] })
  })

  test('an owner makes one, and however many ask meanwhile are answered the same', async () => {
    let let_go = () => {}
    release = new Promise((done) => {
      let_go = done
    })
    const both = Promise.all([inject('POST'), inject('POST')])
    await expect.poll(async () => (await inject('GET')).json().making).toBe(true)
    let_go()
    const made = {
      name: 'office-1-20250303T010000Z.zip',
      bytes: 13,
      has_keys: true,
      made_at: expect.any(String),
    }
    for (const answer of await both) expect([answer.statusCode, answer.json()]).toEqual([201, made])
    expect(asked).toMatchObject([{ by: expect.stringMatching(/^user:\d+$/) }])
    expect((await inject('GET')).json()).toMatchObject({ making: false, backups: [made] })
  })

  test('an owner takes it and its keys away, which the audit log tells', async () => {
    const main = await inject('GET', '/office-1-20250303T010000Z.zip')
    expect([main.statusCode, main.body]).toEqual([200, 'PK everything'])
    expect(main.headers).toMatchObject({
      'content-type': 'application/zip',
      'content-disposition': 'attachment; filename="office-1-20250303T010000Z.zip"',
      'cache-control': 'private, no-store',
    })
    const keys = await inject('GET', '/office-1-20250303T010000Z.zip.keys')
    expect([keys.statusCode, keys.body]).toEqual([200, 'PK keys'])
    const { json } = await running.app.inject('/api/v1/audit?subject_kind=backup&action=export')
    expect(json()).toMatchObject([
      { details: { file: 'office-1-20250303T010000Z.zip.keys' } },
      { details: { file: 'office-1-20250303T010000Z.zip' } },
    ])
  })

  test('nothing else leaves the server this way', async () => {
    await writeFile(join(folder(), 'notes.txt'), 'mine')
    for (const name of ['notes.txt', '..%2Fsecret-key', 'none.zip', 'none.zip.keys', '%00.zip'])
      expect((await inject('GET', `/${name}`)).json().code).toMatch(
        /^(backup_not_found|not_found|malformed_request)$/,
      )
  })

  test('an admin sees how they are, and neither makes nor takes one; others see nothing of it', async () => {
    const admin = await signIn(running.db, 'admin')
    const hr = await signIn(running.db, 'hr')
    expect((await inject('GET', '', admin)).statusCode).toBe(200)
    expect((await inject('GET', '', hr)).statusCode).toBe(403)
    for (const who of [admin, hr]) {
      expect((await inject('POST', '', who)).statusCode).toBe(403)
      expect((await inject('GET', '/office-1-20250303T010000Z.zip', who)).statusCode).toBe(403)
    }
    expect(asked).toHaveLength(1)
  })

  test('one that fails says why, and the next one is made', async () => {
    fail = new Error('The disk of /x is full, and no backup was made. Make room.')
    const answer = await inject('POST')
    expect([answer.statusCode, answer.json()]).toEqual([
      503,
      expect.objectContaining({ code: 'storage_unavailable', message: fail.message }),
    ])
    fail = undefined
    asked = []
    expect((await inject('POST')).statusCode).toBe(201)
    expect(asked).toHaveLength(1)
  })
})

test('a server that makes none says what does', async () => {
  const other = await testApp()
  try {
    const answer = await other.app.inject({ method: 'POST', url })
    expect([answer.statusCode, answer.json().code]).toEqual([409, 'backups_off'])
    expect((await other.app.inject(url)).json()).toMatchObject({ nightly_hour: null, backups: [] })
  } finally {
    await other.close()
  }
})
