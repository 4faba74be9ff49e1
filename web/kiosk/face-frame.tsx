import type { RefObject } from 'react'
import type { FaceBox, Sight } from './walk-up.ts'

const looks: Record<Sight, string> = {
  nobody: 'border-white/40',
  far: 'border-amber-300 border-dashed',
  several: 'border-amber-300 border-dashed',
  moving: 'border-white',
  still: 'border-emerald-300',
}

interface FaceFrameProps {
  video: RefObject<HTMLVideoElement | null>
  face: FaceBox | undefined
  sight: Sight
}

/** A frame around the face, so that people see that they are seen. */
export function FaceFrame({ video, face, sight }: FaceFrameProps) {
  if (!face || !video.current) return null
  const { videoWidth, videoHeight, clientWidth, clientHeight } = video.current
  // The picture covers the screen, and is shown as a mirror does.
  const scale = Math.max(clientWidth / videoWidth, clientHeight / videoHeight)
  const left = (clientWidth - videoWidth * scale) / 2 + (videoWidth - face.x - face.width) * scale
  const top = (clientHeight - videoHeight * scale) / 2 + face.y * scale
  return (
    <div
      aria-hidden="true"
      className={`absolute rounded-[2rem] border-4 transition-all duration-150 ${looks[sight]}`}
      style={{ left, top, width: face.width * scale, height: face.height * scale }}
    />
  )
}
