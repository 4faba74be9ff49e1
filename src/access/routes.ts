import type { App } from '../shared/http.ts'
import type { AuthDeps } from './person.ts'
import { passwordRoutes, secondFactorRoutes, sessionRoutes, signInRoutes } from './sign-in-routes.ts'
import { keyRoutes, userRoutes } from './user-routes.ts'

/** Signing in and out, users, sessions, second factors, and the keys of programs. */
export function authRoutes(app: App, deps: AuthDeps): void {
  // Tokens, keys and one-time links are in these answers: nothing on the way may keep them.
  app.addHook('onSend', async (request, reply) => {
    if (request.routeOptions.url?.startsWith('/api/v1/auth/')) reply.header('cache-control', 'no-store')
  })
  signInRoutes(app, deps)
  passwordRoutes(app, deps)
  secondFactorRoutes(app, deps)
  sessionRoutes(app, deps)
  userRoutes(app, deps)
  keyRoutes(app, deps)
}
