import { pause, takePicture } from '../../../kiosk/burst.ts'
import type { Detector } from '../../../kiosk/detector.ts'
import { watchWalkUps } from '../../../kiosk/walk-up.ts'
import { ApiError } from '../../../shared/api.ts'
import { api } from '../../session.ts'
import type { Processed } from '../people.ts'
import { type Aim, type Hint, judge, placeFault } from './aims.ts'

interface GuideDeps {
  video: HTMLVideoElement
  detect: Detector
  /** Which picture is to be taken next; undefined where there are enough. */
  aim: () => Aim | undefined
  show: (hint: Hint) => void
  take: (aim: Aim, picture: Blob) => void
  signal: AbortSignal
}

const LOOK_MS = 150
/** The server looks at a picture about once a second: those at the kiosks come first. */
const ASK_MS = 900

/** Leads somebody to stand and look as they should, and takes each picture when it is good. */
export async function guide({ video, detect, aim, show, take, signal }: GuideDeps): Promise<void> {
  const watcher = watchWalkUps()
  let askAt = 0
  while (!signal.aborted) {
    await pause(LOOK_MS)
    const wanted = aim()
    if (!wanted || video.readyState < video.HAVE_CURRENT_DATA) continue
    const boxes = detect(video)
    const picture = { width: video.videoWidth, height: video.videoHeight }
    const fault = placeFault(watcher.see(boxes, picture, performance.now()), boxes, picture)
    if (fault) show(fault)
    if (fault || performance.now() < askAt) continue
    askAt = performance.now() + ASK_MS
    const taken = await takePicture(video)
    const hint = await look(taken, wanted, signal)
    if (signal.aborted || aim() !== wanted) continue
    show(hint)
    if (hint === 'good') take(wanted, taken)
  }
}

async function look(picture: Blob, aim: Aim, signal: AbortSignal): Promise<Hint> {
  const body = new FormData()
  body.append('image', picture, 'camera.jpg')
  try {
    return judge(await api<Processed>('/recognition/process', { method: 'POST', body, signal }), aim)
  } catch (error) {
    const code = error instanceof ApiError ? error.code : ''
    if (code === 'no_face') return 'nobody'
    return code === 'several_faces' ? 'several' : 'busy'
  }
}
