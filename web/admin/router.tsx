import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { Failed } from '../shared/states.tsx'
import { Layout } from './layout.tsx'
import { ResetPage, SetupPage } from './link-pages.tsx'
import { isSignedIn } from './session.ts'
import { SignInPage } from './sign-in-page.tsx'

const root = createRootRoute({
  component: Outlet,
  errorComponent: ({ error, reset }) => <Failed error={error} onRetry={reset} />,
})

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/admin/sign-in',
  component: SignInPage,
  validateSearch: (search): { to?: string } => ({
    // Only within the office: the address may have been written by anybody.
    to: typeof search.to === 'string' && /^\/admin(\/|$)/.test(search.to) ? search.to : undefined,
  }),
})
const setup = createRoute({ getParentRoute: () => root, path: '/setup', component: SetupPage })
const reset = createRoute({ getParentRoute: () => root, path: '/reset', component: ResetPage })

/** All that only a signed-in person sees. */
const office = createRoute({
  getParentRoute: () => root,
  id: 'office',
  component: Layout,
  beforeLoad: async ({ location }) => {
    if (!(await isSignedIn())) throw redirect({ to: '/admin/sign-in', search: { to: location.href } })
  },
})

// Each page is loaded when it is first asked for.
const today = createRoute({
  getParentRoute: () => office,
  path: '/admin',
  component: lazyRouteComponent(() => import('./today-page.tsx'), 'TodayPage'),
})
const devices = createRoute({
  getParentRoute: () => office,
  path: '/admin/devices',
  component: lazyRouteComponent(() => import('./devices-page.tsx'), 'DevicesPage'),
})

export const router = createRouter({
  routeTree: root.addChildren([signIn, setup, reset, office.addChildren([today, devices])]),
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
