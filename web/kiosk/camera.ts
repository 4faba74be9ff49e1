import { type RefObject, useEffect, useRef, useState } from 'react'

/** `denied`: the browser may not use it. `missing`: there is none. `lost`: it gives no pictures, or another program has it. */
export type CameraState = 'starting' | 'live' | 'denied' | 'missing' | 'lost'

const RETRY_MS = 3000
/** A camera that gives nothing for so long is opened anew. */
const MUTED_MS = 10_000

/** Shows the camera in a video element, and comes back by itself when it was lost or is allowed after all. */
export function useCamera(): { video: RefObject<HTMLVideoElement | null>; state: CameraState } {
  const video = useRef<HTMLVideoElement>(null)
  const [state, setState] = useState<CameraState>('starting')
  useEffect(() => {
    let stream: MediaStream | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    let ended = false

    const start = async () => {
      try {
        stream = await navigator.mediaDevices.getUserMedia({
          video: { facingMode: 'user', width: { ideal: 1280 }, height: { ideal: 720 } },
        })
        if (ended) return stop(stream)
        const [track] = stream.getVideoTracks()
        track.onended = () => again('lost')
        track.onmute = () => {
          setState('lost')
          clearTimeout(timer)
          timer = setTimeout(() => again('lost'), MUTED_MS)
        }
        track.onunmute = () => {
          clearTimeout(timer)
          setState('live')
        }
        video.current!.srcObject = stream
        await video.current!.play()
        setState('live')
      } catch (error) {
        again(stateOf(error))
      }
    }
    const again = (why: CameraState) => {
      if (ended) return
      setState(why)
      stop(stream)
      clearTimeout(timer)
      timer = setTimeout(start, RETRY_MS)
    }
    start()
    return () => {
      ended = true
      clearTimeout(timer)
      stop(stream)
    }
  }, [])
  return { video, state }
}

function stop(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = track.onmute = track.onunmute = null
    track.stop()
  }
}

function stateOf(error: unknown): CameraState {
  const name = error instanceof DOMException ? error.name : ''
  if (name === 'NotAllowedError' || name === 'SecurityError') return 'denied'
  return name === 'NotFoundError' || name === 'OverconstrainedError' ? 'missing' : 'lost'
}
