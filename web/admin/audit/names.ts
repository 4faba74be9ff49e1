import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { keySchema, userSchema } from '../../../src/access/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { api, useMe } from '../session.ts'

export const actions = [
  'insert',
  'update',
  'delete',
  'sign_in',
  'end_sessions',
  'reset_link',
  'command',
  'export',
  'erase',
  'purge',
  'retention',
  'settings',
  'same_face',
  'look_alike',
  'drift',
  'suspend',
  'deny',
  'accept',
  'adopt',
] as const

export const kinds = [
  'employees',
  'attendance',
  'consents',
  'samples',
  'face_templates',
  'devices',
  'pairing_codes',
  'kiosk_events',
  'sites',
  'users',
  'api_keys',
  'calibrations',
  'model_switches',
  'disputes',
  'erasures',
  'settings',
  'backup',
  'ledger',
] as const

const known = <Name extends string>(names: readonly Name[], name: string) =>
  names.find((each) => each === name)

/** What the audit log calls things, as people call them; and who the numbers in it are. */
export function useNames() {
  const { t } = useTranslation()
  const { may } = useMe()
  const enabled = may('users:manage')
  const users = useQuery({
    queryKey: ['users', 'names'],
    queryFn: () => api<Answer<typeof userSchema>[]>('/auth/users', { query: { limit: 1000 } }),
    enabled,
  })
  const keys = useQuery({
    queryKey: ['api-keys', 'names'],
    queryFn: () => api<Answer<typeof keySchema>[]>('/auth/api-keys', { query: { limit: 1000 } }),
    enabled,
  })
  const userOf = (id: string) => users.data?.find((user) => String(user.id) === id)?.name
  const keyOf = (id: string) => keys.data?.find((key) => String(key.id) === id)?.name

  return {
    users: users.data ?? [],
    author(by: string): string {
      const [kind = '', id = ''] = by.split(/:(.*)/s)
      if (kind === 'user') return userOf(id) ?? t('audit.userGone', { id })
      if (kind === 'key') return t('audit.byKey', { name: keyOf(id) ?? id })
      if (kind === 'kiosk') return t('audit.byKiosk', { name: id })
      if (kind === 'sql') return t('audit.bySql', { name: id })
      if (by === 'server') return t('audit.byServer')
      if (by === 'cli') return t('audit.byCli')
      return by === 'nobody' ? t('audit.byNobody') : by
    },
    action(action: string): string {
      const name = known(actions, action)
      return name ? t(`audit.actions.${name}`) : action
    },
    kind(kind: string): string {
      const name = known(kinds, kind)
      return name ? t(`audit.kinds.${name}`) : kind
    },
    subject(kind: string, subject: string): string {
      return (
        (kind === 'users' ? userOf(subject) : kind === 'api_keys' ? keyOf(subject) : undefined) ?? subject
      )
    },
  }
}

export type Names = ReturnType<typeof useNames>
