import type { Permission } from './session.ts'

/** The pages of the office, in the order of the navigation. `needs`: who lacks this permission is not shown it. */
export const pages = [
  { id: 'today', path: '/admin', needs: 'attendance:read' },
  { id: 'devices', path: '/admin/devices', needs: 'devices:read' },
] as const satisfies readonly { id: string; path: string; needs: Permission }[]
