import sharp, { type Sharp } from 'sharp'
import { describe, expect, test } from 'vitest'
import { decode, MAX_PIXELS, type Picture, sniffFormat } from '../../src/face/decode.ts'

const red = { r: 220, g: 30, b: 20 }
const blue = { r: 10, g: 40, b: 210 }

/** A picture of 40 x 20 whose left half is red and whose right half is blue. */
function twoColours(): Sharp {
  const half = Buffer.from(
    Array(20 * 20)
      .fill([blue.r, blue.g, blue.b])
      .flat(),
  )
  return sharp({ create: { width: 40, height: 20, channels: 3, background: red } }).composite([
    { input: half, raw: { width: 20, height: 20, channels: 3 }, left: 20, top: 0 },
  ])
}

function pixel({ data, width }: Picture, x: number, y: number): number[] {
  return Array.from(data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3))
}

function expectColour(picture: Picture, x: number, y: number, { r, g, b }: typeof red, tolerance = 8) {
  for (const [i, value] of [r, g, b].entries())
    expect(Math.abs(pixel(picture, x, y)[i] - value), `${pixel(picture, x, y)}`).toBeLessThanOrEqual(
      tolerance,
    )
}

const refusal = (code: string) => expect.objectContaining({ name: 'AppError', code })

describe('decoding', () => {
  test.each(['jpeg', 'png', 'webp'] as const)('a %s gives its pixels as RGB', async (format) => {
    const picture = await decode(await twoColours().toFormat(format, { quality: 95 }).toBuffer())
    expect([picture.width, picture.height, picture.data.length]).toEqual([40, 20, 40 * 20 * 3])
    expectColour(picture, 5, 10, red)
    expectColour(picture, 35, 10, blue)
  })

  test.each([
    // What EXIF calls the orientation, the upright size, and where red and blue then lie.
    [1, 40, 20, [2, 10], [37, 10]],
    [2, 40, 20, [37, 10], [2, 10]],
    [3, 40, 20, [37, 10], [2, 10]],
    [4, 40, 20, [2, 10], [37, 10]],
    [5, 20, 40, [10, 2], [10, 37]],
    [6, 20, 40, [10, 2], [10, 37]],
    [7, 20, 40, [10, 37], [10, 2]],
    [8, 20, 40, [10, 37], [10, 2]],
  ])('turns a picture of EXIF orientation %i upright', async (orientation, width, height, redAt, blueAt) => {
    const picture = await decode(
      await twoColours().withMetadata({ orientation }).jpeg({ quality: 95 }).toBuffer(),
    )
    expect([picture.width, picture.height]).toEqual([width, height])
    expectColour(picture, redAt[0], redAt[1], red)
    expectColour(picture, blueAt[0], blueAt[1], blue)
  })

  test.each(['jpeg', 'png', 'webp'] as const)('a gray %s gives three equal channels', async (format) => {
    const gray = sharp(Buffer.alloc(600, 90), { raw: { width: 30, height: 20, channels: 1 } })
    const picture = await decode(await gray.toColourspace('b-w').toFormat(format, { quality: 95 }).toBuffer())
    expect(picture.data).toHaveLength(30 * 20 * 3)
    expectColour(picture, 15, 10, { r: 90, g: 90, b: 90 }, 2)
  })

  test('16-bit colours are brought to 8 bits', async () => {
    const wide = Uint16Array.from({ length: 10 * 10 * 3 }, (_, i) => [60_000, 30_000, 300][i % 3])
    const raw = { width: 10, height: 10, channels: 3 as const }
    const png = await sharp(wide, { raw }).toColourspace('rgb16').png().toBuffer()
    expect((await sharp(png).metadata()).depth).toBe('ushort')
    expectColour(await decode(png), 5, 5, { r: 234, g: 117, b: 1 }, 2)
  })

  test('16-bit gray is brought to 8 bits', async () => {
    const wide = new Uint16Array(100).fill(30_000)
    const png = await sharp(wide, { raw: { width: 10, height: 10, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer()
    expect((await sharp(png).metadata()).depth).toBe('ushort')
    expectColour(await decode(png), 5, 5, { r: 117, g: 117, b: 117 }, 2)
  })

  test('a palette becomes colours', async () => {
    expectColour(await decode(await twoColours().png({ palette: true }).toBuffer()), 35, 10, blue)
  })

  test.each(['png', 'webp'] as const)(
    'what is transparent in a %s becomes gray, what is not keeps its colour',
    async (format) => {
      const pixels = Buffer.from(
        [...Array(50).fill([220, 30, 20, 255]), ...Array(50).fill([220, 30, 20, 0])].flat(),
      )
      const image = sharp(pixels, { raw: { width: 10, height: 10, channels: 4 } })
      const picture = await decode(await image.toFormat(format, { lossless: true }).toBuffer())
      expect(picture.data).toHaveLength(300)
      expectColour(picture, 5, 2, red)
      expectColour(picture, 5, 7, { r: 128, g: 128, b: 128 })
    },
  )

  test('gray with transparency becomes RGB', async () => {
    const pixels = Buffer.from(Array(100).fill([90, 255]).flat())
    const image = sharp(pixels, { raw: { width: 10, height: 10, channels: 2 } }).toColourspace('b-w')
    const picture = await decode(await image.png().toBuffer())
    expect(picture.data).toHaveLength(300)
    expectColour(picture, 5, 5, { r: 90, g: 90, b: 90 }, 2)
  })

  test('CMYK becomes RGB of about the same colours', async () => {
    const jpeg = await twoColours().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer()
    expect((await sharp(jpeg).metadata()).space).toBe('cmyk')
    const picture = await decode(jpeg)
    expect(picture.data).toHaveLength(40 * 20 * 3)
    expectColour(picture, 5, 10, red, 40)
    // CMYK has no such blue.
    expectColour(picture, 35, 10, blue, 80)
  })

  test('an interlaced PNG and a progressive JPEG are read', async () => {
    for (const image of [
      twoColours().png({ progressive: true }),
      twoColours().jpeg({ progressive: true, quality: 95 }),
    ])
      expectColour(await decode(await image.toBuffer()), 35, 10, blue)
  })

  test('scales a large picture down to 1600 pixels on its longer side, and enlarges none', async () => {
    const large = await decode(await blank(2400, 1200).jpeg().toBuffer())
    expect([large.width, large.height]).toEqual([1600, 800])
    const small = await decode(await blank(3, 1).png().toBuffer())
    expect([small.width, small.height]).toEqual([3, 1])
  })

  test('keeps at least one pixel of a very long strip', async () => {
    const picture = await decode(await blank(8000, 1).png().toBuffer())
    expect([picture.width, picture.height, picture.data.length]).toEqual([1600, 1, 4800])
  })

  test('takes bytes that are a view into a larger buffer', async () => {
    const jpeg = await twoColours().jpeg().toBuffer()
    const padded = new Uint8Array(jpeg.length + 20)
    padded.set(jpeg, 10)
    expect((await decode(padded.subarray(10, 10 + jpeg.length))).width).toBe(40)
  })
})

describe('refusing', () => {
  test('nothing at all is an invalid image', async () => {
    await expect(decode(new Uint8Array())).rejects.toEqual(refusal('invalid_image'))
  })

  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
  test.each<[string, () => Promise<Uint8Array> | Uint8Array]>([
    ['a GIF', () => twoColours().gif().toBuffer()],
    ['a TIFF', () => twoColours().tiff().toBuffer()],
    ['an AVIF', () => twoColours().avif().toBuffer()],
    ['an SVG', () => Buffer.from(svg)],
    ['an SVG with an XML head', () => Buffer.from(`<?xml version="1.0"?>${svg}`)],
    ['a PDF', () => Buffer.from('%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF')],
    ['a text', () => Buffer.from('Good morning')],
    ['a single byte', () => Uint8Array.of(0xff)],
    ['RIFF that is not WebP', () => Buffer.from('RIFF\x24\x00\x00\x00WAVEfmt ')],
    [
      'a JPEG after a line of text',
      async () => Buffer.concat([Buffer.from('\n'), await twoColours().jpeg().toBuffer()]),
    ],
  ])('%s is an unsupported media type, whatever its name was', async (_, make) => {
    await expect(decode(await make())).rejects.toEqual(refusal('unsupported_media_type'))
  })

  test('sharp itself no longer opens anything but the three formats', async () => {
    for (const bytes of [
      Buffer.from(svg),
      await twoColours().gif().toBuffer(),
      await twoColours().tiff().toBuffer(),
    ])
      await expect(sharp(bytes).raw().toBuffer()).rejects.toThrow(/unsupported/)
  })

  test.each(
    (['jpeg', 'png', 'webp'] as const).flatMap((format) =>
      [0.02, 0.1, 0.5, 0.9, 0.99].map((share) => ({ format, share })),
    ),
  )('a $format cut off after $share of its length is an invalid image', async ({ format, share }) => {
    const whole = await noise(200, 150).toFormat(format, { quality: 90 }).toBuffer()
    await expect(decode(whole.subarray(0, Math.floor(whole.length * share)))).rejects.toEqual(
      refusal('invalid_image'),
    )
  })

  test.each([
    ['JPEG', [0xff, 0xd8, 0xff, 0xe0]],
    ['PNG', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
    ['WebP', [...Buffer.from('RIFF\x00\x10\x00\x00WEBPVP8 ')]],
  ])('the first bytes of a %s followed by garbage are an invalid image', async (_, magic) => {
    const garbage = Uint8Array.from({ length: 4000 }, (_, i) => (i * 167 + 13) % 251)
    await expect(decode(Buffer.concat([Uint8Array.from(magic), garbage]))).rejects.toEqual(
      refusal('invalid_image'),
    )
  })

  test('a PNG with a damaged middle is an invalid image', async () => {
    const png = Buffer.from(await noise(200, 150).png().toBuffer())
    const middle = Math.floor(png.length / 2)
    png.fill(0x55, middle, middle + 200)
    await expect(decode(png)).rejects.toEqual(refusal('invalid_image'))
  })

  test('a message says nothing of libraries and offsets', async () => {
    const jpeg = await noise(200, 150).jpeg().toBuffer()
    await expect(decode(jpeg.subarray(0, 1000))).rejects.toThrow(/^The picture is damaged or cut off\./)
  })

  test('144 million pixels in a small PNG are too many, and are never unpacked', async () => {
    const bomb = await blank(12_000, 12_000).png({ compressionLevel: 9 }).toBuffer()
    expect(bomb.length).toBeLessThan(1e6)
    const before = process.memoryUsage().rss
    await expect(decode(bomb)).rejects.toEqual(refusal('image_too_many_pixels'))
    expect(process.memoryUsage().rss - before).toBeLessThan(150e6)
  })

  test('too many pixels in a JPEG are told, too', async () => {
    const jpeg = await blank(8000, 8000).jpeg().toBuffer()
    await expect(decode(jpeg)).rejects.toEqual(refusal('image_too_many_pixels'))
  })

  test('the message tells the size and the limit', async () => {
    const wide = await blank(MAX_PIXELS / 5000 + 1, 5000)
      .png()
      .toBuffer()
    await expect(decode(wide)).rejects.toThrow(/10001 x 5000.*50 million/)
  })
})

test('the format is told by the first bytes', async () => {
  expect(sniffFormat(await twoColours().jpeg().toBuffer())).toBe('image/jpeg')
  expect(sniffFormat(await twoColours().png().toBuffer())).toBe('image/png')
  expect(sniffFormat(await twoColours().webp().toBuffer())).toBe('image/webp')
  expect(sniffFormat(await twoColours().gif().toBuffer())).toBeUndefined()
})

function blank(width: number, height: number): Sharp {
  return sharp({ create: { width, height, channels: 3, background: red }, limitInputPixels: false })
}

function noise(width: number, height: number): Sharp {
  const pixels = Buffer.from(Array.from({ length: width * height * 3 }, (_, i) => (i * i * 31 + i * 7) % 253))
  return sharp(pixels, { raw: { width, height, channels: 3 } })
}
