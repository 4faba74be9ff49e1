import { useSyncExternalStore } from 'react'
import { recall, store } from './local.ts'

export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const dark = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<() => void>()
let chosen: Theme = recall('theme', themes) ?? 'system'

/** Lets the page have the chosen colours, or those that the device asks for. Call it before anything is drawn. */
export function applyTheme(): void {
  const isDark = chosen === 'dark' || (chosen === 'system' && dark.matches)
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light'
}

dark.addEventListener('change', applyTheme)

export function useTheme(): [Theme, (theme: Theme) => void] {
  const theme = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => chosen,
  )
  return [theme, chooseTheme]
}

function chooseTheme(theme: Theme): void {
  chosen = theme
  store('theme', theme)
  applyTheme()
  for (const listener of listeners) listener()
}
