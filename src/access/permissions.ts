/**
 * What may be done, as routes ask for it. A route names one; a person's role, a program's key or being a kiosk gives it.
 */
export const permissions = {
  'employees:read': 'People: names, departments, contact data',
  'employees:write': 'Add, change, import and deactivate people, end employment',
  'employees:purge': 'Remove a person with everything about them, pay evidence included',
  'biometrics:read': 'Photos and facts about templates',
  'biometrics:write': 'Enrol: add and remove photos and templates',
  'embeddings:read': 'Face embeddings in a data export',
  'recognition:run': 'Compare a picture with the gallery without a punch',
  'recognition:calibrate': "Calibrate the gallery, and accept a threshold below the model pack's own",
  'attendance:read': 'Punches and decisions',
  'attendance:write': 'Enter and correct punches by hand',
  'attendance:check': 'Check in with a picture, as a kiosk does',
  'devices:read': 'Kiosks, their state and their log',
  'devices:write': 'Pair, change, command and remove kiosks',
  'devices:report':
    'A kiosk about itself: heartbeat, commands, key, whom it has just recognised, punches that were not theirs',
  'network:scan': 'Look for kiosks in the network',
  'sites:read': 'Sites and their time zones',
  'sites:write': 'Add and change sites',
  'models:write': 'Change the face models',
  'system:read': 'State of the server and its figures',
  'backups:make': 'Make and download backups, which hold everything',
  'audit:read': 'Who changed what, and whether the ledger is whole',
  'users:manage': 'Users, their roles and sessions, and the keys of programs',
} as const

export type Permission = keyof typeof permissions

export const permissionNames = Object.keys(permissions) as [Permission, ...Permission[]]

export const roles = ['owner', 'admin', 'hr', 'manager', 'viewer'] as const

export type Role = (typeof roles)[number]

const reading: Permission[] = ['employees:read', 'attendance:read', 'sites:read']

const hr: Permission[] = [
  ...reading,
  'employees:write',
  'biometrics:read',
  'biometrics:write',
  'recognition:run',
  'attendance:write',
  'devices:read',
]

const admin: Permission[] = [
  ...hr,
  'attendance:check',
  'recognition:calibrate',
  'devices:write',
  'network:scan',
  'sites:write',
  'models:write',
  'system:read',
  'audit:read',
  'users:manage',
]

/** What each role may do. A manager sees their own departments only; an admin may not touch owners. */
export const permissionsOfRole: Record<Role, ReadonlySet<Permission>> = {
  owner: new Set<Permission>([...admin, 'employees:purge', 'embeddings:read', 'backups:make']),
  admin: new Set(admin),
  hr: new Set(hr),
  manager: new Set(reading),
  viewer: new Set<Permission>([...reading, 'devices:read']),
}

/** What a paired kiosk may do, and only about itself. */
export const permissionsOfKiosk: ReadonlySet<Permission> = new Set<Permission>([
  'attendance:check',
  'devices:report',
])

/** What a program's key may be given: everything but the running of the place itself. */
export const scopes = permissionNames.filter(
  (permission) => !['users:manage', 'devices:report', 'backups:make'].includes(permission),
) as [Permission, ...Permission[]]
