import { readFile } from 'node:fs/promises'
import { AppError } from '../shared/errors.ts'
import type { App } from '../shared/http.ts'

/** The CA that `rollcall tls init` made, as `file`, for the devices that are to trust it. */
export function caRoute(app: App, file: string): void {
  app.get('/ca.crt', { config: { access: 'public' }, schema: { hide: true } }, async (_request, reply) => {
    const certificate = await readFile(file).catch(() => {
      throw new AppError('not_found', 'This server has no CA of its own.')
    })
    return reply.type('application/x-x509-ca-cert').send(certificate)
  })
}
