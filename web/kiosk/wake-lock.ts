import { useEffect } from 'react'

/** Keeps the screen on as long as the page is seen, where the browser can. */
export function useWakeLock(): void {
  useEffect(() => {
    const ask = () => {
      if (document.visibilityState === 'visible')
        // Refused when the battery is low, say; then the device's own settings decide.
        navigator.wakeLock?.request('screen').catch(() => {})
    }
    ask()
    document.addEventListener('visibilitychange', ask)
    return () => document.removeEventListener('visibilitychange', ask)
  }, [])
}
