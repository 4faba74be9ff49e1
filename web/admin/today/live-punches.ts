import { useEffect, useRef, useState } from 'react'
import type { punchSchema } from '../../../src/attendance/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { readEvents } from '../../shared/events.ts'
import { request } from '../session.ts'

export type Punch = Answer<typeof punchSchema>

const PAUSE_MS = 3000

/**
 * Calls `onPunch` for each new punch, as long as the page is there; comes back by itself after a break. Says whether new
 * ones come at the moment.
 */
export function useLivePunches(onPunch: (punch: Punch) => void): boolean {
  const [isLive, setLive] = useState(false)
  const latest = useRef(onPunch)
  latest.current = onPunch
  useEffect(() => {
    const ending = new AbortController()
    follow(ending.signal, (punch) => latest.current(punch), setLive)
    return () => ending.abort()
  }, [])
  return isLive
}

async function follow(
  signal: AbortSignal,
  onPunch: (punch: Punch) => void,
  onLive: (isLive: boolean) => void,
): Promise<void> {
  let lastId = ''
  while (!signal.aborted) {
    try {
      const headers = lastId === '' ? undefined : { 'last-event-id': lastId }
      const response = await request('/attendance/stream', { signal, headers })
      onLive(true)
      for await (const { id, event, data } of readEvents(response)) {
        if (id !== '') lastId = id
        if (event === 'punch') onPunch(JSON.parse(data))
      }
    } catch {
      if (signal.aborted) return
      onLive(false)
      // The server is away or refuses: the lists say so; here it is only asked again.
      await new Promise((wake) => setTimeout(wake, PAUSE_MS))
    }
  }
}
