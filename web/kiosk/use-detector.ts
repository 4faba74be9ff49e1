import { useEffect, useState } from 'react'
import type { Detector } from './detector.ts'

const RETRY_MS = 10_000

/** Loads the detector, and tries again for as long as it cannot be had. */
export function useDetector(): { detect: Detector | undefined; hasFailed: boolean } {
  const [detect, setDetect] = useState<Detector>()
  const [hasFailed, setFailed] = useState(false)
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let ended = false
    const load = async () => {
      try {
        const { loadDetector } = await import('./detector.ts')
        const loaded = await loadDetector()
        if (ended) return
        setDetect(() => loaded)
        setFailed(false)
        dispatchEvent(new Event('rollcall:ready'))
      } catch {
        if (ended) return
        setFailed(true)
        timer = setTimeout(load, RETRY_MS)
      }
    }
    load()
    return () => {
      ended = true
      clearTimeout(timer)
    }
  }, [])
  return { detect, hasFailed }
}
