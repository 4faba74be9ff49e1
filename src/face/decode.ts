import sharp from 'sharp'
import { AppError } from '../shared/errors.ts'

/** A decoded picture: 8-bit RGB, row by row, three bytes a pixel, upright. */
export interface Picture {
  data: Uint8Array
  width: number
  height: number
}

/** More pixels than any tablet or telephone camera takes at a door; a larger picture is refused before decoding. */
export const MAX_PIXELS = 50_000_000
/** Pictures are scaled down to this longer side: a face that fills a crop of 224 pixels loses nothing by it. */
const WORKING_SIDE_PX = 1600

// Everything that libvips can load is an open door; three formats are what cameras and scanners send.
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({ operation: ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadWebp'] })
// One thread per picture: several checks run side by side.
sharp.concurrency(1)
sharp.cache(false)

export type PictureFormat = 'image/jpeg' | 'image/png' | 'image/webp'

/** The format by the first bytes, whatever the sender called it; undefined for anything but JPEG, PNG and WebP. */
export function sniffFormat(bytes: Uint8Array): PictureFormat | undefined {
  const text = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to))
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'image/jpeg'
  if (text(0, 8) === '\x89PNG\r\n\x1a\n') return 'image/png'
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') return 'image/webp'
  return undefined
}

/**
 * Decodes a JPEG, PNG or WebP, turned upright by its EXIF orientation and scaled down to the working size.
 * Rejects with `invalid_image` (empty, truncated, corrupt), `unsupported_media_type` or `image_too_many_pixels`.
 */
export async function decode(bytes: Uint8Array): Promise<Picture> {
  if (bytes.length === 0)
    throw new AppError('invalid_image', 'The picture is empty (0 bytes). Take it again.')
  if (!sniffFormat(bytes))
    throw new AppError(
      'unsupported_media_type',
      'This is not a JPEG, PNG or WebP picture. Send one of these.',
    )
  try {
    const { data, info } = await sharp(bytes, { failOn: 'error', limitInputPixels: MAX_PIXELS })
      .autoOrient()
      .resize(WORKING_SIDE_PX, WORKING_SIDE_PX, { fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#808080' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    return {
      data: info.channels === 3 ? data : grayToRgb(data, info.channels),
      width: info.width,
      height: info.height,
    }
  } catch (cause) {
    throw await reasonOf(cause, bytes)
  }
}

/** Why a picture was not decoded. Only then is its header read on its own: sharp's error does not tell the size. */
async function reasonOf(cause: unknown, bytes: Uint8Array): Promise<AppError> {
  const header = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch(() => undefined)
  if (header && header.width * header.height > MAX_PIXELS)
    return new AppError(
      'image_too_many_pixels',
      `The picture has ${header.width} x ${header.height} pixels; at most ${MAX_PIXELS / 1e6} million are taken. Send a smaller one.`,
    )
  return new AppError('invalid_image', 'The picture is damaged or cut off. Take or send it again.', {}, cause)
}

function grayToRgb(data: Uint8Array, channels: number): Uint8Array {
  const pixels = data.length / channels
  const rgb = new Uint8Array(pixels * 3)
  for (let i = 0; i < pixels; i++) rgb.fill(data[i * channels], i * 3, i * 3 + 3)
  return rgb
}

/**
 * A photo as it is kept: a JPEG of the working size, upright, without the metadata (place, owner, camera) that
 * telephones write. Rejects as `decode` does.
 */
export async function toStoredJpeg(
  bytes: Uint8Array,
): Promise<{ bytes: Uint8Array; width: number; height: number }> {
  const { data, width, height } = await decode(bytes)
  const jpeg = await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 95, chromaSubsampling: '4:4:4' })
    .toBuffer()
  return { bytes: jpeg, width, height }
}
