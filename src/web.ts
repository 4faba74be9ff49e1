import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyReply } from 'fastify'
import type { App } from './shared/http.ts'

/** Beside this file once it is built; seen from the sources, in the same place. */
const folder = fileURLToPath(new URL('../dist/web/', import.meta.url))
const YEAR_MS = 365 * 24 * 3_600_000

/** The pages that people see, the kiosk's and the office's, and what they are made of. */
export async function webRoutes(app: App): Promise<void> {
  const open = { config: { access: 'public' }, schema: { hide: true } } as const
  await app.register(fastifyStatic, { root: folder, serve: false, cacheControl: false })

  app.get('/', open, (_request, reply) => reply.redirect('/admin'))
  const sendPage = (reply: FastifyReply, name: string) => {
    // The detector of faces, at the kiosk and where people are enrolled, is WebAssembly, which counts as a script.
    const policy = `${reply.getHeader('content-security-policy')};script-src 'self' 'wasm-unsafe-eval'`
    // A page names the files of its version, and so must never be an older one than they.
    return reply.header('cache-control', 'no-store').header('content-security-policy', policy).sendFile(name)
  }
  for (const path of ['/admin', '/admin/*', '/setup', '/reset'])
    app.get(path, open, (_request, reply) => sendPage(reply, 'admin.html'))
  app.get('/kiosk', open, (_request, reply) => sendPage(reply, 'kiosk.html'))
  // The pairing code stands behind a #, which a browser takes along and sends to nobody.
  app.get('/pair', open, (_request, reply) => reply.redirect('/kiosk'))
  for (const name of ['icon.svg', 'icon-192.png', 'icon-512.png', 'kiosk.webmanifest', 'kiosk-worker.js'])
    app.get(`/${name}`, open, (_request, reply) => reply.header('cache-control', 'no-cache').sendFile(name))
  // Such a file has the hash of its content in its name: another content is another file.
  app.get<{ Params: { '*': string } }>('/assets/*', open, (request, reply) =>
    reply.sendFile(`assets/${request.params['*']}`, { cacheControl: true, maxAge: YEAR_MS, immutable: true }),
  )
}
