/** A face in a photo of this size has more pixels than any model takes. */
const MAX_SIDE_PX = 1920
const SMALL_BYTES = 1_000_000
const JPEG_QUALITY = 0.92

/** A large photo, from a phone say, made as small as is useful; what the browser cannot read stays as it is. */
export async function shrink(file: File): Promise<File> {
  if (file.size <= SMALL_BYTES) return file
  try {
    const bitmap = await createImageBitmap(file)
    const scale = Math.min(1, MAX_SIDE_PX / Math.max(bitmap.width, bitmap.height))
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale))
    canvas.getContext('2d')!.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
    bitmap.close()
    const jpeg = await canvas.convertToBlob({ type: 'image/jpeg', quality: JPEG_QUALITY })
    return new File([jpeg], file.name.replace(/\.\w+$/, '.jpg'), { type: jpeg.type })
  } catch {
    return file
  }
}
