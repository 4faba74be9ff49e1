import '../shared/style.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { startI18n } from '../shared/i18n.ts'
import { applyTheme } from '../shared/theme.ts'
import { App } from './app.tsx'

applyTheme()
await startI18n()
keepForOffline()
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
)

/** Has the worker keep this page and every file that it uses. Without TLS a browser has no workers. */
async function keepForOffline(): Promise<void> {
  const worker = navigator.serviceWorker
  if (!worker) return
  await worker.register('/kiosk-worker.js', { scope: '/kiosk' })
  const { active } = await worker.ready
  // The detector comes a little later than the page.
  const tell = () => active?.postMessage({ files: ['/kiosk', '/icon.svg', ...ownFiles()] })
  tell()
  addEventListener('rollcall:ready', tell)
}

function ownFiles(): string[] {
  const loaded = performance.getEntriesByType('resource').map(({ name }) => new URL(name))
  const own = loaded.filter(
    ({ origin, pathname }) => origin === location.origin && pathname.startsWith('/assets/'),
  )
  return [...new Set(own.map(({ pathname }) => pathname))]
}
