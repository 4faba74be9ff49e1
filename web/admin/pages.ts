import type { Permission } from './session.ts'

/** The pages of the office, in the order of the navigation. `needs`: who lacks this permission is not shown it. */
export const pages = [
  { id: 'today', path: '/admin', needs: 'attendance:read' },
  { id: 'employees', path: '/admin/employees', needs: 'employees:read' },
  { id: 'attendance', path: '/admin/attendance', needs: 'attendance:read' },
  { id: 'devices', path: '/admin/devices', needs: 'devices:read' },
  { id: 'recognition', path: '/admin/recognition', needs: 'system:read' },
  { id: 'access', path: '/admin/access', needs: 'users:manage' },
  { id: 'audit', path: '/admin/audit', needs: 'audit:read' },
  { id: 'settings', path: '/admin/settings', needs: 'sites:read' },
] as const satisfies readonly { id: string; path: string; needs: Permission }[]
