import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import yazl from 'yazl'
import type { FileSource, Installable, PackFile } from '../../src/face/packs/pack.ts'
import { installModels, stateOf, verifyModels } from '../../src/operations/models.ts'
import { progressBar } from '../../src/operations/progress-bar.ts'

const now = new Date('2025-03-03T01:00:00Z')
/** Not the same twice, so that a part in the wrong place has another hash. */
const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 2654435761) >>> 24))
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

let modelPath: string
let server: Server
let base: string
/** What the server does with each request, in order; the last one is repeated. */
let answers: ((request: IncomingMessage, response: ServerResponse) => void)[]
/** The ranges that were asked for. */
let ranges: (string | undefined)[]

beforeEach(async () => {
  modelPath = mkdtempSync(join(tmpdir(), 'rollcall-models-'))
  answers = [whole(content)]
  ranges = []
  server = createServer((request, response) => {
    ranges.push(request.headers.range)
    const answer = answers.length > 1 ? answers.shift()! : answers[0]!
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await new Promise((listening) => server.once('listening', listening))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((closed) => server.close(closed))
  rmSync(modelPath, { recursive: true })
})

/** Everything, whatever part was asked for. */
function whole(bytes: Buffer) {
  return (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes)
  }
}

/** The part that was asked for. */
function ranged(bytes: Buffer) {
  return ({ headers }: IncomingMessage, response: ServerResponse) => {
    const from = Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0)
    if (from >= bytes.length) return response.writeHead(416).end()
    const part = bytes.subarray(from)
    const range = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }
    return response.writeHead(from > 0 ? 206 : 200, { 'content-length': part.length, ...range }).end(part)
  }
}

/** The first bytes, and then the connection is gone. */
function cut(bytes: Buffer, after: number) {
  return (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-length': bytes.length })
    response.write(bytes.subarray(0, after), () => setTimeout(() => response.destroy(), 100))
  }
}

const file = (path: string, bytes: Buffer, source: FileSource): PackFile => ({
  path,
  sha256: sha256(bytes),
  sizeBytes: bytes.length,
  source,
})

const pack = (files: Record<string, PackFile>, mustBeAccepted = false): Installable => ({
  name: 'some',
  title: 'Some pack',
  description: 'A pack of a test.',
  licence: { name: 'non-commercial', mustBeAccepted },
  files,
})

const onePack = () => pack({ net: file('net.onnx', content, { kind: 'url', url: `${base}/net.onnx` }) })

const install = (what: Installable, more: { from?: string; acceptLicence?: boolean } = {}) =>
  installModels(what, { modelPath, acceptLicence: false, now, progress: () => () => {}, ...more })

const installed = () => readFileSync(join(modelPath, 'net.onnx'))

describe('a download', () => {
  test('ends with the pinned file, and nothing beside it', async () => {
    expect(stateOf(onePack(), modelPath)).toBe('not installed')
    await install(onePack())
    expect(installed().equals(content)).toBe(true)
    expect(readdirSync(modelPath)).toEqual(['net.onnx'])
    expect(stateOf(onePack(), modelPath)).toBe('installed')
  })

  test('that was cut goes on from there', async () => {
    answers = [cut(content, 120_000), ranged(content)]
    await expect(install(onePack())).rejects.toThrow(/cut off after \d+ bytes. Run the same command again/)
    expect(existsSync(join(modelPath, 'net.onnx'))).toBe(false)
    const held = readFileSync(join(modelPath, 'net.onnx.part')).length
    expect(held).toBeGreaterThan(0)
    await install(onePack())
    expect(ranges).toEqual([undefined, `bytes=${held}-`])
    expect(installed().equals(content)).toBe(true)
  })

  test('starts again where the server knows no parts', async () => {
    writeFileSync(join(modelPath, 'net.onnx.part'), content.subarray(0, 1000))
    await install(onePack())
    expect(ranges).toEqual(['bytes=1000-'])
    expect(installed().equals(content)).toBe(true)
  })

  test('that was complete but for its name gets it', async () => {
    writeFileSync(join(modelPath, 'net.onnx.part'), content)
    answers = [ranged(content)]
    await install(onePack())
    expect(installed().equals(content)).toBe(true)
  })

  test('of other bytes is thrown away, and the next one starts anew', async () => {
    const altered = Buffer.from(content)
    altered[7] ^= 1
    answers = [whole(altered), ranged(content)]
    await expect(install(onePack())).rejects.toThrow(
      /net\.onnx is not the one that was measured.*thrown away/,
    )
    expect(readdirSync(modelPath)).toEqual([])
    await install(onePack())
    expect(ranges).toEqual([undefined, undefined])
    expect(installed().equals(content)).toBe(true)
  })

  test('that goes on from a part of something else is thrown away', async () => {
    writeFileSync(join(modelPath, 'net.onnx.part'), Buffer.alloc(1000, 1))
    answers = [ranged(content)]
    await expect(install(onePack())).rejects.toThrow(/thrown away; try again/)
    expect(readdirSync(modelPath)).toEqual([])
  })

  test('that the server refuses says so, and how the file comes by hand', async () => {
    answers = [(_, response) => response.writeHead(404).end('not here')]
    await expect(install(onePack())).rejects.toThrow(
      new RegExp(`answers 404.*\\n.*By hand: put net\\.onnx \\(.*${sha256(content)}\\) into ${modelPath}`),
    )
    expect(readdirSync(modelPath)).toEqual([])
  })

  test('without a server says how the file comes by hand', async () => {
    const nobody = createServer().listen(0, '127.0.0.1')
    await new Promise((listening) => nobody.once('listening', listening))
    const { port } = nobody.address() as AddressInfo
    await new Promise((closed) => nobody.close(closed))
    const url = `http://127.0.0.1:${port}/net.onnx`
    await expect(install(pack({ net: file('net.onnx', content, { kind: 'url', url }) }))).rejects.toThrow(
      /127\.0\.0\.1:\d+ cannot be reached\.\nBy hand: put net\.onnx .* --from, and run this again/,
    )
  })

  test('is not begun for what is there already', async () => {
    writeFileSync(join(modelPath, 'net.onnx'), content)
    await install(onePack())
    expect(ranges).toEqual([])
  })

  test('replaces a damaged file', async () => {
    writeFileSync(join(modelPath, 'net.onnx'), content.subarray(1))
    expect(stateOf(onePack(), modelPath)).toBe('damaged')
    expect(verifyModels(onePack(), modelPath)).toEqual([
      { path: join(modelPath, 'net.onnx'), fault: 'has 299999 bytes instead of 300000' },
    ])
    await install(onePack())
    expect(installed().equals(content)).toBe(true)
  })
})

test('a pack of which another one has brought a file is incomplete', () => {
  const missing = file('b.onnx', content, { kind: 'hand' })
  const { net } = onePack().files
  writeFileSync(join(modelPath, 'net.onnx'), content)
  expect(stateOf(pack({ net: net!, missing }), modelPath)).toBe('incomplete')
})

describe('a ZIP', () => {
  const other = Buffer.from('another network')

  const zipOf = async (entries: Record<string, Buffer>): Promise<Buffer> => {
    const zip = new yazl.ZipFile()
    for (const [name, bytes] of Object.entries(entries)) zip.addBuffer(bytes, name)
    zip.end()
    const chunks: Buffer[] = []
    for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  }

  const zipped = () => {
    const source = (member: string): FileSource => ({ kind: 'url', url: `${base}/some.zip`, member })
    return pack({
      one: file('net.onnx', content, source('net.onnx')),
      two: file('b.onnx', other, source('b.onnx')),
    })
  }

  test('is fetched once for all files in it, wherever they lie in there', async () => {
    answers = [whole(await zipOf({ 'some/net.onnx': content, 'b.onnx': other, 'other.onnx': other }))]
    await install(zipped())
    expect(ranges).toHaveLength(1)
    expect(readdirSync(modelPath).sort()).toEqual(['b.onnx', 'net.onnx'])
    expect(installed().equals(content)).toBe(true)
  })

  test('that was cut goes on from there', async () => {
    const bytes = await zipOf({ 'net.onnx': content, 'b.onnx': other })
    answers = [cut(bytes, Math.floor(bytes.length / 2)), ranged(bytes)]
    await expect(install(zipped())).rejects.toThrow(/cut off/)
    await install(zipped())
    expect(ranges[1]).toMatch(/^bytes=\d+-$/)
    expect(installed().equals(content)).toBe(true)
  })

  test.each([
    ['is none', async () => Buffer.from('<html>'), /is no ZIP/],
    ['lacks a file', () => zipOf({ 'net.onnx': content }), /has no b\.onnx/],
    [
      'has another file of the name',
      () => zipOf({ 'net.onnx': other, 'b.onnx': other }),
      /net\.onnx has 15 bytes/,
    ],
  ])('that %s is thrown away', async (_, bytes, message) => {
    answers = [whole(await bytes())]
    await expect(install(zipped())).rejects.toThrow(message)
    expect(readdirSync(modelPath).filter((name) => name.endsWith('.part'))).toEqual([])
  })
})

describe('files that were brought by hand', () => {
  let brought: string
  beforeEach(() => {
    brought = join(modelPath, 'brought')
    mkdirSync(brought)
  })

  test('are taken from their folder when the hash fits, without a request', async () => {
    writeFileSync(join(brought, 'net.onnx'), content)
    await install(onePack(), { from: brought })
    expect(installed().equals(content)).toBe(true)
    expect(ranges).toEqual([])
  })

  test('are refused when it does not fit', async () => {
    writeFileSync(join(brought, 'net.onnx'), content.subarray(2))
    await expect(install(onePack(), { from: brought })).rejects.toThrow(
      /brought\/net\.onnx has 299998 bytes instead/,
    )
    expect(existsSync(join(modelPath, 'net.onnx'))).toBe(false)
  })

  test('are the only way for some, which says so', async () => {
    const what = pack({ net: file('net.onnx', content, { kind: 'hand' }) })
    await expect(install(what)).rejects.toThrow(/^By hand: put net\.onnx/)
    writeFileSync(join(modelPath, 'net.onnx'), content)
    await install(what)
  })
})

describe('a licence that restricts the use', () => {
  const restricted = () => pack(onePack().files, true)
  const record = () => join(modelPath, 'some', 'licence-accepted.json')

  test('has to be accepted before anything is fetched', async () => {
    await expect(install(restricted())).rejects.toThrow(/non-commercial.*--accept-licence/)
    expect(ranges).toEqual([])
    expect(existsSync(record())).toBe(false)
  })

  test('is accepted once, and that is written down', async () => {
    await install(restricted(), { acceptLicence: true })
    const written = { licence: 'non-commercial', acceptedAt: '2025-03-03T01:00:00.000Z' }
    expect(JSON.parse(readFileSync(record(), 'utf8'))).toEqual(written)
    rmSync(join(modelPath, 'net.onnx'))
    await install(restricted())
    expect(installed().equals(content)).toBe(true)
  })
})

test('progress is plain lines where there is no terminal', () => {
  const said: string[] = []
  const out = { isTTY: false, write: (line: string) => said.push(line) } as unknown as NodeJS.WriteStream
  const bar = progressBar(out)
  const progress = bar.begin('net.onnx')
  for (const done of [0, 5, 100, 104, 1000]) progress(done, 1000)
  bar.end()
  expect(said).toEqual(['net.onnx: 0% of 1000\n', 'net.onnx: 10% of 1000\n', 'net.onnx: 100% of 1000\n'])
})
