import { readdir } from 'node:fs/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import type { InjectOptions } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { groupPhoto, portrait } from '../face/portraits.ts'
import { enrol, form, registerKiosk, rowCounts, type TestApp, testApp } from '../support/app.ts'

let running: TestApp

beforeAll(async () => {
  running = await testApp()
  await registerKiosk(running, 'GATE')
  await registerKiosk(running, 'OFF')
  const payload = { is_active: false }
  await running.app.inject({ method: 'PUT', url: '/api/v1/devices/OFF', payload })
  await enrol(running, 'ANN', await portrait('blonde'))
})
afterAll(() => running.close())

const stored = async () => ({ rows: await rowCounts(running.db), files: await readdir(running.uploads) })

// ---------------------------------------------------------------- pictures

const good = await portrait('blonde')
const jpeg = await sharp(good).jpeg().toBuffer()
const gray = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#777' } })

/** A valid PNG of 12,000 x 12,000 one-bit pixels in a few kilobytes. */
function bomb(): Buffer {
  const side = 12_000
  const header = Buffer.alloc(13)
  header.writeUInt32BE(side, 0)
  header.writeUInt32BE(side, 4)
  header[8] = 1
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    check.writeUInt32BE(crc(body))
    return Buffer.concat([length, body, check])
  }
  const pixels = deflateSync(Buffer.alloc(side * (1 + side / 8)))
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ])
}
function crc(bytes: Buffer): number {
  let value = ~0
  for (const byte of bytes) {
    value ^= byte
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (0xedb88320 & -(value & 1))
  }
  return ~value >>> 0
}

const random = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7919 + (i >> 3)) & 255))
const onGray = async (face: Buffer, width: number, height: number) =>
  gray(width, height)
    .composite([{ input: face, left: 0, top: 0 }])
    .jpeg()
    .toBuffer()

type Outcome = [status: number, code: string]
const notAPicture: Outcome = [415, 'unsupported_media_type']
const damaged: Outcome = [422, 'invalid_image']

/** What is refused wherever a picture is taken. */
const pictures: [what: string, picture: Buffer, ...Outcome][] = [
  ['a text', Buffer.from('I am a face, honestly.'), ...notAPicture],
  ['a PDF', Buffer.from('%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj'), ...notAPicture],
  ['random bytes', random, ...notAPicture],
  ['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), ...notAPicture],
  ['a GIF', await sharp(good).resize(50).gif().toBuffer(), ...notAPicture],
  ['a TIFF', await sharp(good).resize(50).tiff().toBuffer(), ...notAPicture],
  ['an AVIF by its head', Buffer.from('\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf'), ...notAPicture],
  ['a JPEG cut off', jpeg.subarray(0, jpeg.length / 2), ...damaged],
  ['a JPEG of its head alone', jpeg.subarray(0, 20), ...damaged],
  ['a PNG cut off', good.subarray(0, good.length / 2), ...damaged],
  ['a PNG of its signature alone', good.subarray(0, 8), ...damaged],
  ['a WebP of its head alone', Buffer.from('RIFF\xff\0\0\0WEBPVP8 ', 'latin1'), ...damaged],
  ['random bytes that begin like a JPEG', Buffer.concat([Buffer.of(0xff, 0xd8, 0xff), random]), ...damaged],
  ['no byte', Buffer.alloc(0), 422, 'invalid_request'],
  ['30 MB', Buffer.concat([jpeg, Buffer.alloc(30 * 1024 * 1024, 1)]), 413, 'upload_too_large'],
  [
    'one byte too many',
    Buffer.concat([jpeg, Buffer.alloc(10 * 1024 * 1024 + 1 - jpeg.length)]),
    413,
    'upload_too_large',
  ],
  ['a bomb of 144 megapixels', bomb(), 413, 'image_too_many_pixels'],
  ['a wall', await gray(400, 300).jpeg().toBuffer(), 422, 'no_face'],
  ['a single pixel', await gray(1, 1).png().toBuffer(), 422, 'no_face'],
  ['a line', await gray(3000, 1).png().toBuffer(), 422, 'no_face'],
  ['a group', groupPhoto(1), 422, 'several_faces'],
]

/** What is refused where a face is compared or kept. */
const poorFaces: typeof pictures = [
  ['a tiny face', await onGray(await sharp(good).resize(40).toBuffer(), 200, 200), 422, 'poor_quality'],
  ['a blurred face', await sharp(good).blur(14).jpeg().toBuffer(), 422, 'poor_quality'],
  ['a face in the dark', await sharp(good).linear(0.06, 0).png().toBuffer(), 422, 'poor_quality'],
]

// ---------------------------------------------------------------- requests

type Body = Pick<InjectOptions, 'payload' | 'headers'>
const check = '/api/v1/attendance/check'
const uploadPhoto = '/api/v1/employees/ANN/upload-photo'
const uploadFace = '/api/v1/employees/ANN/upload-face'
const process_ = '/api/v1/recognition/process'

/** The routes that take a picture: the name of its field, and the other fields they need. */
const routes: Record<string, { field: string; others: Record<string, string> }> = {
  [check]: { field: 'image', others: { device_id: 'GATE' } },
  [uploadPhoto]: { field: 'photo', others: {} },
  [uploadFace]: { field: 'file', others: {} },
  [process_]: { field: 'image', others: { employee_id: 'ANN' } },
}

const asForm = (parts: Record<string, string | Uint8Array>) => (): Body => ({ payload: form(parts) })
/** A body written by hand, for what no honest client sends. */
const byHand =
  (...lines: (string | Buffer)[]) =>
  (): Body => ({
    payload: Buffer.concat(lines.flatMap((line) => [Buffer.from(line as string), Buffer.from('\r\n')])),
    headers: { 'content-type': 'multipart/form-data; boundary=edge' },
  })
const fileHead = (field: string) =>
  `--edge\r\nContent-Disposition: form-data; name="${field}"; filename="a.jpg"\r\n`
const textHead = (field: string) => `--edge\r\nContent-Disposition: form-data; name="${field}"\r\n`
const withField = (name: string, bytes: Buffer, path: string) =>
  byHand(fileHead(routes[path].field), good, textHead(name), bytes, '--edge--')

const invalid: Outcome = [422, 'invalid_request']
const badTexts: [string, Buffer][] = [
  ['NUL', Buffer.from('GA\0TE')],
  ['a lone surrogate', Buffer.from([0x47, 0xed, 0xa0, 0x80])],
  ['bytes that are no UTF-8', Buffer.from([0xff, 0xfe, 0x80])],
  ['10,000 characters', Buffer.from('a'.repeat(10_000))],
  ['20,000 characters', Buffer.from('a'.repeat(20_000))],
  ['nothing', Buffer.from('')],
  ['a path', Buffer.from('../../etc/passwd')],
  ['SQL', Buffer.from("GATE'; DROP TABLE employees; --")],
  ['a line break', Buffer.from('GATE\nX')],
]

interface Case {
  what: string
  path: string
  body: () => Body
  status: number
  code: string
}
const cases: Case[] = [
  ...Object.entries(routes).flatMap(([path, { field, others }]) => {
    const faces = path === process_ ? [] : poorFaces
    return [
      ...[...pictures, ...faces].map(([what, picture, status, code]) => ({
        what,
        path,
        body: asForm({ [field]: picture, ...others }),
        status,
        code,
      })),
      ...(
        [
          ['no picture', asForm({ other: 'x', ...others }), ...invalid],
          [
            'the picture as a text',
            asForm({ [field]: 'data:image/jpeg;base64,AAAA', ...others }),
            ...invalid,
          ],
          ['the picture in another field', asForm({ [`${field}s`]: good, ...others }), ...invalid],
          ['JSON', () => ({ payload: { [field]: 'x', ...others } }), ...notAPicture],
          [
            'a bare picture',
            () => ({ payload: jpeg, headers: { 'content-type': 'image/jpeg' } }),
            ...notAPicture,
          ],
          ['no body', () => ({}), ...notAPicture],
          [
            'a form without a boundary',
            () => ({ payload: 'x', headers: { 'content-type': 'multipart/form-data' } }),
            400,
            'malformed_request',
          ],
          ['a form that is cut off', byHand(fileHead(field), jpeg), 400, 'malformed_request'],
          ['a form that is none', byHand('hello'), 400, 'malformed_request'],
          ['an empty form', byHand('--edge--'), ...invalid],
          ...(path === uploadPhoto
            ? []
            : ([
                [
                  'two pictures',
                  byHand(fileHead(field), jpeg, fileHead(field), jpeg, '--edge--'),
                  ...invalid,
                ],
              ] as const)),
          [
            'a field __proto__',
            byHand(textHead('__proto__'), 'x', fileHead(field), jpeg, '--edge--'),
            ...invalid,
          ],
        ] as [string, () => Body, number, string][]
      ).map(([what, body, status, code]) => ({ what, path, body, status, code })),
    ]
  }),
  ...badTexts.flatMap(([what, bytes]) =>
    [
      [check, 'device_id'],
      [process_, 'employee_id'],
    ].map(([path, name]) => ({
      what: `${what} as ${name}`,
      path,
      body: withField(name, bytes, path),
      status: 422,
      code: 'invalid_request',
    })),
  ),
  ...(
    [
      ['no device', { image: good }, ...invalid],
      ['a device as a file', { image: good, device_id: jpeg }, ...invalid],
      ['a device that nobody registered', { image: good, device_id: 'ELSEWHERE' }, 401, 'unknown_device'],
      ['a device by its number', { image: good, device_id: '1' }, 401, 'unknown_device'],
      ['a device that is deactivated', { image: good, device_id: 'OFF' }, 403, 'device_inactive'],
      ['BANANA', { image: good, device_id: 'GATE', attendance_type: 'BANANA' }, ...invalid],
      ['a type in small letters', { image: good, device_id: 'GATE', attendance_type: 'in' }, ...invalid],
      ['an empty type', { image: good, device_id: 'GATE', attendance_type: '' }, ...invalid],
    ] as [string, Record<string, string | Buffer>, number, string][]
  ).map(([what, parts, status, code]) => ({ what, path: check, body: asForm(parts), status, code })),
  ...[
    ['a\0b', ...invalid],
    ['%ed%a0%80', 400, 'malformed_request'],
    ['..%2f..%2fetc', ...invalid],
    ['a'.repeat(900), ...invalid],
    ['a'.repeat(10_000), 404, 'not_found'],
    ['NOBODY', 404, 'employee_not_found'],
  ].map(([id, status, code]) => ({
    what: `the id ${String(id).slice(0, 20)}`,
    path: `/api/v1/employees/${String(id).replace('\0', '%00')}/upload-photo`,
    body: asForm({ photo: good }),
    status: status as number,
    code: code as string,
  })),
  {
    what: 'somebody unknown',
    path: process_,
    body: asForm({ image: good, employee_id: 'NOBODY' }),
    status: 404,
    code: 'employee_not_found',
  },
]

const send = ({ path, body }: Pick<Case, 'path' | 'body'>) =>
  running.app.inject({ method: 'POST', url: path, ...body() })

/** What only a developer or an intruder wants to read. */
const innards =
  /\n\s+at |node_modules|\/(work|tmp|home|root|usr|etc)\/|\.(ts|js|mjs):\d|\b(select|insert|update|delete)\b.+\b(from|into|set)\b|relation "|\bsharp\b|vips|jpeg library|libpng|spng|onnx|tensor|zod|busboy|fastify|kysely|pglite|ECONN|ENOENT|undefined|\[object|Invalid (input|option|key|element|string|ISO|e-?mail|URL|UUID|date|number)\b|\breceived\b|\bexpected\b|\bToo (big|small)\b|Unrecognized key/i

test('the words of the schemas themselves would be noticed', () => {
  const { localeError } = z.locales.en()
  const issues: Parameters<typeof localeError>[0][] = [
    { code: 'invalid_type', expected: 'string', input: 5 },
    { code: 'invalid_value', values: ['IN', 'OUT'], input: 'in' },
    { code: 'invalid_value', values: ['IN'], input: 'in' },
    { code: 'too_big', origin: 'string', maximum: 3, input: 'aaaa' },
    { code: 'too_small', origin: 'number', minimum: 3, input: 1 },
    { code: 'invalid_format', format: 'datetime', input: 'x' },
    { code: 'invalid_format', format: 'email', input: 'x' },
    { code: 'invalid_format', format: 'regex', pattern: '/x/', input: 'y' },
    { code: 'unrecognized_keys', keys: ['a'], input: {} },
    { code: 'invalid_union', errors: [], input: 5 },
    { code: 'custom', input: 5 },
  ]
  for (const issue of issues) {
    const words = localeError(issue)
    expect(typeof words === 'string' ? words : words?.message).toMatch(innards)
  }
})

/** Whether it is a check whose picture was looked at: that it could not be compared is a decision, and kept. */
const isLookedAt = ({ path, code }: Case) =>
  path === check && ['no_face', 'several_faces', 'poor_quality'].includes(code)
const withDecisions = ({ rows, files }: Awaited<ReturnType<typeof stored>>, more: number) => ({
  rows: { ...rows, decisions: rows.decisions! + more },
  files,
})

describe('bad input', () => {
  test.each(cases.map((one) => [one.what, one.path.slice(7, 60), one] as const))(
    '%s to %s is refused',
    async (_what, _path, one) => {
      const earlier = await stored()
      const answer = await send(one)
      const body = answer.json()
      expect([answer.statusCode, body.code]).toEqual([one.status, one.code])
      expect(body).toMatchObject({ success: false, error: body.message, detail: body.message })
      expect(body.message).toMatch(/^\S.{8,}[.!]$/s)
      expect(body.request_id).toBe(answer.headers['x-request-id'])
      expect(JSON.stringify({ ...body, request_id: '' })).not.toMatch(innards)
      expect(answer.body.length).toBeLessThan(2000)
      expect(await stored()).toEqual(withDecisions(earlier, isLookedAt(one) ? 1 : 0))
    },
  )

  test('all of it, twice more, is neither kept nor remembered', async () => {
    const earlier = await stored()
    const atFirst = heldMb()
    for (let round = 0; round < 2; round++) for (const one of cases) await send(one)
    const atLast = heldMb()
    expect(atLast.reachable - atFirst.reachable).toBeLessThan(30)
    // The allocator gives pages back when it likes; the large uploads of one round, kept, would be more.
    expect(atLast.resident - atFirst.resident).toBeLessThan(250)
    expect(await stored()).toEqual(withDecisions(earlier, 2 * cases.filter(isLookedAt).length))
    expect(
      (await send({ path: check, body: asForm({ image: good, device_id: 'GATE' }) })).json().employee_id,
    ).toBe('ANN')
  })
})

/** Megabytes that cannot be freed, and those that the system has given. */
function heldMb() {
  setFlagsFromString('--expose-gc')
  for (let round = 0; round < 2; round++) runInNewContext('gc')()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { reachable: (heapUsed + external) / 2 ** 20, resident: rss / 2 ** 20 }
}

describe('any fields at all', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array)),
    fc.string({ unit: 'binary', maxLength: 80 }).map((value) => Buffer.from(value)),
    fc.constantFrom('GATE', 'OFF', 'IN', 'AUTO', '1', '__proto__', '').map((value) => Buffer.from(value)),
  )
  const name = fc.oneof(
    fc.constantFrom('image', 'device_id', 'attendance_type'),
    fc.string({ maxLength: 12 }).map((value) => value.replace(/["\r\n]/g, '_')),
  )
  const part = fc.record({ name, isFile: fc.boolean(), bytes })

  test('never make the server fail, and never leave a row', async () => {
    const earlier = await rowCounts(running.db)
    const outcomes = new Set<number>()
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), fc.boolean(), async (parts, complete) => {
        const lines = parts.flatMap((one) => [
          one.isFile ? fileHead(one.name) : textHead(one.name),
          one.bytes,
        ])
        const needed = complete
          ? [fileHead('image'), Buffer.from('not a picture'), textHead('device_id'), 'GATE']
          : []
        const answer = await send({ path: check, body: byHand(...needed, ...lines, '--edge--') })
        outcomes.add(answer.statusCode)
        expect(answer.statusCode).toBeGreaterThanOrEqual(400)
        expect(answer.statusCode).toBeLessThan(500)
        expect(answer.json().success).toBe(false)
      }),
      { numRuns: 400 },
    )
    expect([...outcomes]).toEqual(expect.arrayContaining([415, 422]))
    expect(await rowCounts(running.db)).toEqual(earlier)
  })
})
