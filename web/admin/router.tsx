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
  component: lazyRouteComponent(() => import('./today/today-page.tsx'), 'TodayPage'),
})
const start = createRoute({
  getParentRoute: () => office,
  path: '/admin/start',
  component: lazyRouteComponent(() => import('./start/start-page.tsx'), 'StartPage'),
})
const employees = createRoute({
  getParentRoute: () => office,
  path: '/admin/employees',
  component: lazyRouteComponent(() => import('./employees/employees-page.tsx'), 'EmployeesPage'),
})
const employee = createRoute({
  getParentRoute: () => office,
  path: '/admin/employees/$employeeId',
  component: lazyRouteComponent(() => import('./employees/employee-page.tsx'), 'EmployeePage'),
})
const attendance = createRoute({
  getParentRoute: () => office,
  path: '/admin/attendance',
  component: lazyRouteComponent(() => import('./attendance/attendance-page.tsx'), 'AttendancePage'),
})
const devices = createRoute({
  getParentRoute: () => office,
  path: '/admin/devices',
  component: lazyRouteComponent(() => import('./devices/devices-page.tsx'), 'DevicesPage'),
})
const device = createRoute({
  getParentRoute: () => office,
  path: '/admin/devices/$deviceId',
  component: lazyRouteComponent(() => import('./devices/device-page.tsx'), 'DevicePage'),
})
const recognition = createRoute({
  getParentRoute: () => office,
  path: '/admin/recognition',
  component: lazyRouteComponent(() => import('./recognition/recognition-page.tsx'), 'RecognitionPage'),
})
const access = createRoute({
  getParentRoute: () => office,
  path: '/admin/access',
  component: lazyRouteComponent(() => import('./access/access-page.tsx'), 'AccessPage'),
})
const audit = createRoute({
  getParentRoute: () => office,
  path: '/admin/audit',
  component: lazyRouteComponent(() => import('./audit/audit-page.tsx'), 'AuditPage'),
})
const settings = createRoute({
  getParentRoute: () => office,
  path: '/admin/settings',
  component: lazyRouteComponent(() => import('./settings/settings-page.tsx'), 'SettingsPage'),
})
const account = createRoute({
  getParentRoute: () => office,
  path: '/admin/account',
  component: lazyRouteComponent(() => import('./access/account-page.tsx'), 'AccountPage'),
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
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
