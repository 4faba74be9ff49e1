import type { Permission } from '../session.ts'

/** What a program's key can be given. */
export type Scope = Exclude<Permission, 'users:manage' | 'devices:report' | 'backups:make'>

const never: readonly Permission[] = ['users:manage', 'devices:report', 'backups:make']

export const isScope = (permission: Permission): permission is Scope => !never.includes(permission)

type Underscored<Name extends string> = Name extends `${infer Kind}:${infer Act}` ? `${Kind}_${Act}` : never

/** The key of its text: a colon means something else in there. */
export const scopeText = (scope: Scope) =>
  `access.scopes.${scope.replace(':', '_') as Underscored<Scope>}` as const
