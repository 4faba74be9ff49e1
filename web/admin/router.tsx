import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import type { ComponentType } from 'react'
import { ApiError } from '../shared/api.ts'
import { Failed } from '../shared/states.tsx'
import { Layout } from './layout.tsx'
import { ResetPage, SetupPage } from './link-pages.tsx'
import { NotFound, PageFailed } from './no-page.tsx'
import { isSignedIn } from './session.ts'
import { SignInPage } from './sign-in-page.tsx'

const root = createRootRoute({
  component: Outlet,
  // Within the frame, so that one can go on from there. A route for all that is left would take /admin, too.
  notFoundComponent: () => (
    <Layout>
      <NotFound />
    </Layout>
  ),
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
  onEnter: () => whenIdle(loadPages),
})

// Each page is loaded when it is first asked for, or before it, when there is nothing else to do.
const today = createRoute({
  getParentRoute: () => office,
  path: '/admin',
  component: lazyPage(() => import('./today/today-page.tsx'), 'TodayPage'),
})
const start = createRoute({
  getParentRoute: () => office,
  path: '/admin/start',
  component: lazyPage(() => import('./start/start-page.tsx'), 'StartPage'),
})
const employees = createRoute({
  getParentRoute: () => office,
  path: '/admin/employees',
  component: lazyPage(() => import('./employees/employees-page.tsx'), 'EmployeesPage'),
})
const employee = createRoute({
  getParentRoute: () => office,
  path: '/admin/employees/$employeeId',
  component: lazyPage(() => import('./employees/employee-page.tsx'), 'EmployeePage'),
})
const attendance = createRoute({
  getParentRoute: () => office,
  path: '/admin/attendance',
  component: lazyPage(() => import('./attendance/attendance-page.tsx'), 'AttendancePage'),
})
const devices = createRoute({
  getParentRoute: () => office,
  path: '/admin/devices',
  component: lazyPage(() => import('./devices/devices-page.tsx'), 'DevicesPage'),
})
const device = createRoute({
  getParentRoute: () => office,
  path: '/admin/devices/$deviceId',
  component: lazyPage(() => import('./devices/device-page.tsx'), 'DevicePage'),
})
const recognition = createRoute({
  getParentRoute: () => office,
  path: '/admin/recognition',
  component: lazyPage(() => import('./recognition/recognition-page.tsx'), 'RecognitionPage'),
})
const access = createRoute({
  getParentRoute: () => office,
  path: '/admin/access',
  component: lazyPage(() => import('./access/access-page.tsx'), 'AccessPage'),
})
const audit = createRoute({
  getParentRoute: () => office,
  path: '/admin/audit',
  component: lazyPage(() => import('./audit/audit-page.tsx'), 'AuditPage'),
})
const settings = createRoute({
  getParentRoute: () => office,
  path: '/admin/settings',
  component: lazyPage(() => import('./settings/settings-page.tsx'), 'SettingsPage'),
})
const account = createRoute({
  getParentRoute: () => office,
  path: '/admin/account',
  component: lazyPage(() => import('./access/account-page.tsx'), 'AccountPage'),
})

const pages = [
  today,
  start,
  employees,
  employee,
  attendance,
  devices,
  device,
  recognition,
  access,
  audit,
  settings,
  account,
]

export const router = createRouter({
  routeTree: root.addChildren([signIn, setup, reset, office.addChildren(pages)]),
  scrollRestoration: true,
  defaultErrorComponent: PageFailed,
  notFoundMode: 'root',
})

/** A page whose file does not come is a failure like any other: by itself the router would load the window anew. */
function lazyPage<Module, Name extends keyof Module & string>(load: () => Promise<Module>, name: Name) {
  const loaded = () =>
    load().catch((): never => {
      throw new ApiError(0, 'unreachable', 'A file of the page did not come.')
    })
  return lazyRouteComponent(loaded as () => Promise<Record<Name, ComponentType>>, name)
}

function whenIdle(act: () => void): void {
  // Safari has no such thing.
  if ('requestIdleCallback' in window) requestIdleCallback(act)
  else setTimeout(act, 2000)
}

function loadPages(): void {
  for (const { options } of pages) options.component?.preload?.()
}

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
