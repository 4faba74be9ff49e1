import { useEffect } from 'react'

const AGAIN_MS = 1000

/** Keeps the screen on as long as the page is seen, where the browser can. */
export function useWakeLock(): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let ended = false
    const ask = async () => {
      if (document.visibilityState !== 'visible') return
      // Refused when the battery is low, say; then the device's own settings decide.
      const lock = await navigator.wakeLock?.request('screen').catch(() => undefined)
      if (ended) return lock?.release()
      // The system takes it away as it likes, also while the page is seen.
      lock?.addEventListener('release', () => {
        clearTimeout(timer)
        if (!ended) timer = setTimeout(ask, AGAIN_MS)
      })
    }
    ask()
    document.addEventListener('visibilitychange', ask)
    return () => {
      ended = true
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', ask)
    }
  }, [])
}
