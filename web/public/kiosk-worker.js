// Keeps the kiosk's page for when the network is away: the page itself, and every file that it has asked for.

const cacheName = 'kiosk'
const PATIENCE_MS = 4000

self.addEventListener('install', () => self.skipWaiting())

self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))

self.addEventListener('fetch', (event) => {
  const { pathname, origin } = new URL(event.request.url)
  if (origin !== location.origin || event.request.method !== 'GET') return
  if (event.request.mode === 'navigate') event.respondWith(newestPage(event.request))
  else if (pathname.startsWith('/assets/') || pathname === '/icon.svg') event.respondWith(kept(event.request))
})

/** The server's page, or where it does not answer the last one that it gave. */
async function newestPage(request) {
  const cache = await caches.open(cacheName)
  try {
    // By its address: a browser lets nobody add to a request for a page.
    const response = await fetch(request.url, { signal: AbortSignal.timeout(PATIENCE_MS) })
    // A proxy before a server that is away answers too.
    if (!response.ok) return (await cache.match('/kiosk')) ?? response
    await cache.put('/kiosk', response.clone())
    return response
  } catch (error) {
    const page = await cache.match('/kiosk')
    if (page) return page
    throw error
  }
}

/** A file of the page: its name changes with its content, so that a kept one is never an old one. */
async function kept(request) {
  const cache = await caches.open(cacheName)
  const found = await cache.match(request)
  if (found) return found
  const response = await fetch(request)
  if (response.ok) await cache.put(request, response.clone())
  return response
}

// The page tells which files it uses: those that came before this worker did are fetched once more, others are dropped.
self.addEventListener('message', (event) => event.waitUntil(keepOnly(event.data.files)))

async function keepOnly(files) {
  const cache = await caches.open(cacheName)
  for (const file of files) if (!(await cache.match(file))) await cache.add(file)
  for (const request of await cache.keys()) {
    const { pathname } = new URL(request.url)
    if (!files.includes(pathname)) await cache.delete(request)
  }
}
