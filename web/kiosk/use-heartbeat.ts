import { type RefObject, useEffect } from 'react'
import { ApiError } from '../shared/api.ts'
import { pause, takePicture } from './burst.ts'
import { acknowledge, beat, type Command, type Heartbeat, isOutdated } from './heartbeat.ts'
import { useLatest } from './latest.ts'
import { type Kiosk, keepKiosk } from './pairing.ts'
import type { Queue } from './queue.ts'

const BEAT_MS = 30_000
const BEATS_PER_VERSION_CHECK = 4

interface HeartbeatProps {
  kiosk: Kiosk
  queue: Queue
  video: RefObject<HTMLVideoElement | null>
  isIdle: RefObject<boolean>
  onReached: (isReached: boolean) => void
  onChange: (kiosk: Kiosk) => void
  onDisowned: () => void
}

/** Tells the server that the kiosk is alive, does what it asks for, and sends what waits. */
export function useHeartbeat(props: HeartbeatProps): void {
  const latest = useLatest(props)
  useEffect(() => {
    let beats = 0
    const loadAnew = pageLoader(latest)
    const tick = async () => {
      const { kiosk, queue, video, onReached, onChange, onDisowned } = latest.current
      try {
        const { commands, ...told } = await beat(kiosk)
        onReached(true)
        const self = asTold(told)
        if (Object.entries(self).some(([key, value]) => kiosk[key as keyof typeof self] !== value)) {
          await keepKiosk({ ...kiosk, ...self })
          onChange({ ...kiosk, ...self })
        }
        try {
          await queue.send()
        } finally {
          // The server gives a command once: it must not be lost to what went wrong before it, nor be waited for.
          obeyAll(kiosk, commands, video, loadAnew)
        }
        if (beats++ % BEATS_PER_VERSION_CHECK === 0 && (await isOutdated())) loadAnew([])
      } catch (error) {
        if (error instanceof ApiError && error.code === 'unknown_device') onDisowned()
        else onReached(error instanceof ApiError && error.status >= 400 && error.status < 500)
      }
    }
    tick()
    const timer = setInterval(tick, BEAT_MS)
    addEventListener('online', tick)
    return () => {
      clearInterval(timer)
      removeEventListener('online', tick)
    }
  }, [])
}

/** What the server says of the kiosk, which somebody may have changed. */
function asTold(told: Omit<Heartbeat, 'commands'>) {
  const { direction, pin_allowed: pinAllowed, name, site_name: siteName, time_zone: timeZone } = told
  return { direction, pinAllowed, name, siteName, timeZone }
}

/** Does what needs no new page first: with the page goes whatever has not had its turn. */
async function obeyAll(
  kiosk: Kiosk,
  commands: Command[],
  video: RefObject<HTMLVideoElement | null>,
  loadAnew: (commands: Command[]) => Promise<void>,
): Promise<void> {
  const isLoad = ({ command }: Command) => command === 'reload' || command === 'reset'
  for (const command of commands.filter((one) => !isLoad(one))) {
    try {
      if (command.command === 'test_picture') await testPicture(kiosk, command, video.current)
      else await acknowledge(kiosk, command, 'done', 'configuration taken')
    } catch (error) {
      await acknowledge(kiosk, command, 'failed', String(error)).catch(() => {})
    }
  }
  const loads = commands.filter(isLoad)
  if (loads.length > 0) await loadAnew(loads)
}

async function testPicture(kiosk: Kiosk, command: Command, video: HTMLVideoElement | null): Promise<void> {
  if (!video?.videoWidth) return acknowledge(kiosk, command, 'failed', 'the camera gives no pictures')
  const { size } = await takePicture(video)
  const result = `${video.videoWidth} x ${video.videoHeight} pixels, ${size} bytes`
  await acknowledge(kiosk, command, 'done', result)
}

/** Loads the page anew, once for everything that asks for it until nobody stands here. */
function pageLoader(latest: RefObject<HeartbeatProps>): (commands: Command[]) => Promise<void> {
  const asked: Command[] = []
  let isWaiting = false
  return async (commands) => {
    asked.push(...commands)
    if (isWaiting) return
    isWaiting = true
    while (!latest.current.isIdle.current) await pause(500)
    isWaiting = false
    const { kiosk } = latest.current
    const done = asked.splice(0)
    const told = done.map((command) => acknowledge(kiosk, command, 'done', 'loading the page anew'))
    const answers = await Promise.allSettled(told)
    // Where the server does not answer, the page could not come back.
    if (done.length > 0 && answers.every(({ status }) => status === 'rejected')) return
    // A reset also forgets what was kept of the page; what waits to be sent stays.
    if (done.some(({ command }) => command === 'reset')) await caches?.delete('kiosk')
    location.reload()
  }
}
