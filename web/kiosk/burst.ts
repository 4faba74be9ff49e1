export interface Picture {
  jpeg: Blob
  /** When it was taken, in milliseconds since the first of its burst. */
  atMs: number
}

/** Long enough for a face at two metres, short enough for a poor network. */
const MAX_SIDE_PX = 960
const JPEG_QUALITY = 0.85

export const pause = (ms: number) => new Promise<void>((wake) => setTimeout(wake, ms))

/** Takes one picture of what the camera shows now. */
export function takePicture(video: HTMLVideoElement): Promise<Blob> {
  const scale = Math.min(1, MAX_SIDE_PX / Math.max(video.videoWidth, video.videoHeight))
  const canvas = new OffscreenCanvas(
    Math.round(video.videoWidth * scale),
    Math.round(video.videoHeight * scale),
  )
  canvas.getContext('2d')!.drawImage(video, 0, 0, canvas.width, canvas.height)
  return canvas.convertToBlob({ type: 'image/jpeg', quality: JPEG_QUALITY })
}

/** Takes `count` pictures, `intervalMs` from one to the next. `since`: when the burst began, where this goes on with one. */
export async function takeBurst(
  video: HTMLVideoElement,
  count: number,
  intervalMs: number,
  since = performance.now(),
): Promise<Picture[]> {
  const start = performance.now()
  const pictures: Picture[] = []
  for (let index = 0; index < count; index++) {
    await pause(Math.max(0, start + index * intervalMs - performance.now()))
    const atMs = Math.round(performance.now() - since)
    pictures.push({ atMs, jpeg: await takePicture(video) })
  }
  return pictures
}

/** The part of a picture around a face, for the eye of whoever stands there. */
export async function cutFace(
  video: HTMLVideoElement,
  box: { x: number; y: number; width: number; height: number },
): Promise<Blob> {
  const side = Math.max(box.width, box.height) * 1.6
  const canvas = new OffscreenCanvas(320, 320)
  const context = canvas.getContext('2d')!
  // As in a mirror, which is how people know themselves.
  context.setTransform(-1, 0, 0, 1, 320, 0)
  context.drawImage(
    video,
    box.x + box.width / 2 - side / 2,
    box.y + box.height / 2 - side / 2,
    side,
    side,
    0,
    0,
    320,
    320,
  )
  return canvas.convertToBlob({ type: 'image/jpeg', quality: JPEG_QUALITY })
}
