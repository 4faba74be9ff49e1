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
    const tick = async () => {
      const { kiosk, queue, video, isIdle, onReached, onChange, onDisowned } = latest.current
      try {
        const { commands, ...told } = await beat(kiosk)
        onReached(true)
        const self = asTold(told)
        if (Object.entries(self).some(([key, value]) => kiosk[key as keyof typeof self] !== value)) {
          await keepKiosk({ ...kiosk, ...self })
          onChange({ ...kiosk, ...self })
        }
        let obeyed: Promise<void> | undefined
        try {
          await queue.send()
        } finally {
          // The server gives a command once: it must not be lost to what went wrong before it, nor be waited for.
          obeyed = obeyAll(kiosk, commands, video, isIdle)
        }
        if (beats++ % BEATS_PER_VERSION_CHECK === 0 && (await isOutdated())) {
          await obeyed
          if (isIdle.current) location.reload()
        }
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
  isIdle: RefObject<boolean>,
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
  await load(kiosk, commands.filter(isLoad), isIdle)
}

async function testPicture(kiosk: Kiosk, command: Command, video: HTMLVideoElement | null): Promise<void> {
  if (!video?.videoWidth) return acknowledge(kiosk, command, 'failed', 'the camera gives no pictures')
  const { size } = await takePicture(video)
  const result = `${video.videoWidth} x ${video.videoHeight} pixels, ${size} bytes`
  await acknowledge(kiosk, command, 'done', result)
}

/** Loads the page anew, once for all commands that ask for it. */
async function load(kiosk: Kiosk, commands: Command[], isIdle: RefObject<boolean>): Promise<void> {
  if (commands.length === 0) return
  // Not in the face of whoever stands here.
  while (!isIdle.current) await pause(500)
  const told = commands.map((command) => acknowledge(kiosk, command, 'done', 'loading the page anew'))
  const isTold = (await Promise.allSettled(told)).some(({ status }) => status === 'fulfilled')
  // Where the server does not answer, the page could not come back.
  if (!isTold) return
  // A reset also forgets what was kept of the page; what waits to be sent stays.
  if (commands.some(({ command }) => command === 'reset')) await caches?.delete('kiosk')
  location.reload()
}
