import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { userSchema } from '../../../src/access/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Select } from '../../shared/field.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { SearchField, useFilters } from '../filters.tsx'
import { Card } from '../page.tsx'
import { apiList, useMe } from '../session.ts'
import { AddUser } from './add-user.tsx'
import { EditUser } from './edit-user.tsx'
import { OneTimeLink } from './one-time-link.tsx'
import { EndSessions, NewLink, RemoveUser, SwitchUser } from './user-acts.tsx'

export type User = Answer<typeof userSchema>
export const roles = ['owner', 'admin', 'hr', 'manager', 'viewer'] as const

export type Act = 'switch' | 'link' | 'sessions' | 'remove'
type Open = { act: 'add' } | { act: Act | 'edit'; user: User } | { act: 'show'; path: string; who: string }

const PAGE = 50

/** The people who may sign in. */
export function Users() {
  const { t } = useTranslation()
  const { me } = useMe()
  const { get, set, skip } = useFilters()
  const [open, setOpen] = useState<Open>()
  const close = () => setOpen(undefined)
  const query = { search: get('search'), role: get('role'), is_active: get('active'), limit: PAGE, skip }
  const users = useQuery({
    queryKey: ['users', query],
    queryFn: () => apiList<User>('/auth/users', { query }),
    placeholderData: (before) => before,
  })
  // Only an owner changes owners.
  const mayTouch = ({ role }: User) => role !== 'owner' || me?.role === 'owner'
  return (
    <Card
      title={t('access.users')}
      aside={
        <Button look="primary" onClick={() => setOpen({ act: 'add' })}>
          {t('access.addUser')}
        </Button>
      }
    >
      <search className="grid gap-3 border-line border-b p-4 sm:grid-cols-3">
        <SearchField label={t('access.search')} filter="search" />
        <Select
          label={t('access.role')}
          value={get('role')}
          onChange={({ target }) => set({ role: target.value })}
        >
          <option value="">{t('access.all')}</option>
          {roles.map((role) => (
            <option key={role} value={role}>
              {t(`roles.${role}`)}
            </option>
          ))}
        </Select>
        <Select
          label={t('access.state')}
          value={get('active')}
          onChange={({ target }) => set({ active: target.value })}
        >
          <option value="">{t('access.all')}</option>
          <option value="true">{t('access.active')}</option>
          <option value="false">{t('access.disabled')}</option>
        </Select>
      </search>
      <Table
        caption={t('access.users')}
        rows={{ ...users, data: users.data?.rows }}
        rowKey={({ id }) => id}
        empty={t('access.noUsers')}
        columns={[
          {
            id: 'name',
            header: t('access.name'),
            cell: (user) => <Who user={user} isMe={user.id === me?.id} />,
          },
          {
            id: 'role',
            header: t('access.role'),
            cell: ({ role, departments }) => (
              <>
                {t(`roles.${role}`)}
                {departments && <span className="block text-muted text-sm">{departments.join(', ')}</span>}
              </>
            ),
          },
          {
            id: 'factor',
            header: t('access.factor'),
            cell: ({ totp_enabled }) =>
              totp_enabled ? (
                <Badge tone="good" symbol="✓">
                  {t('access.factorOn')}
                </Badge>
              ) : (
                t('access.factorOff')
              ),
          },
          {
            id: 'last',
            header: t('access.lastSignIn'),
            cell: ({ last_login_at }) => (last_login_at ? dateTime(last_login_at) : t('access.never')),
          },
          {
            id: 'acts',
            header: '',
            alignRight: true,
            cell: (user) =>
              mayTouch(user) && (
                <Button onClick={() => setOpen({ act: 'edit', user })}>{t('access.change')}</Button>
              ),
          },
        ]}
      />
      <Pager skip={skip} limit={PAGE} total={users.data?.total ?? 0} onSkip={(to) => set({ skip: to })} />
      <UserDialog
        open={open}
        onOpen={setOpen}
        onClose={close}
        onLink={(path, who) => setOpen({ act: 'show', path, who })}
      />
    </Card>
  )
}

function Who({ user, isMe }: { user: User; isMe: boolean }) {
  const { t } = useTranslation()
  return (
    <>
      <span className="font-medium">{user.name}</span>
      {isMe && <span className="text-muted"> ({t('access.you')})</span>}
      {user.name !== user.username && (
        <span className="block break-all text-muted text-sm">{user.username}</span>
      )}
      {!user.is_active && <Badge tone="bad">{t('access.disabled')}</Badge>}
    </>
  )
}

interface DialogProps {
  open: Open | undefined
  onOpen: (open: Open) => void
  onClose: () => void
  onLink: (path: string, who: string) => void
}

function UserDialog({ open, onOpen, onClose, onLink }: DialogProps) {
  if (open === undefined) return null
  if (open.act === 'add') return <AddUser onAdded={onLink} onClose={onClose} />
  if (open.act === 'show') return <OneTimeLink path={open.path} who={open.who} onClose={onClose} />
  const { act, user } = open
  if (act === 'edit')
    return <EditUser user={user} onAct={(next) => onOpen({ act: next, user })} onClose={onClose} />
  if (act === 'link')
    return <NewLink user={user} onMade={(path) => onLink(path, user.name)} onClose={onClose} />
  if (act === 'sessions') return <EndSessions user={user} onClose={onClose} />
  if (act === 'switch') return <SwitchUser user={user} onClose={onClose} />
  return <RemoveUser user={user} onClose={onClose} />
}
