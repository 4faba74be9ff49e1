import { useMutation, useQueryClient } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { linkSchema } from '../../../src/access/schema.ts'
import type { Answer, Call } from '../../shared/api.ts'
import { Confirm } from '../../shared/dialog.tsx'
import { Refusal } from '../../shared/refusal.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api } from '../session.ts'
import type { User } from './users.tsx'

interface ActProps {
  user: User
  onClose: () => void
}

/** A new password for who has lost theirs, or their second factor. */
export function NewLink({ user, onMade, onClose }: ActProps & { onMade: (path: string) => void }) {
  const { t } = useTranslation()
  return (
    <Act
      user={user}
      title={t('access.newLinkOf', { name: user.name })}
      act={t('access.newLink')}
      path="/reset-link"
      call={{ method: 'POST' }}
      onDone={(link) => onMade((link as Answer<typeof linkSchema>).path)}
      onClose={onClose}
    >
      {t('access.newLinkMeans')}
    </Act>
  )
}

export function EndSessions({ user, onClose }: ActProps) {
  const { t } = useTranslation()
  return (
    <Act
      user={user}
      title={t('access.signOutOf', { name: user.name })}
      act={t('access.signOut')}
      path="/sessions"
      call={{ method: 'DELETE' }}
      done={t('access.signedOut')}
      onClose={onClose}
    >
      {t('access.signOutMeans')}
    </Act>
  )
}

/** Lets somebody in no more, or again. */
export function SwitchUser({ user, onClose }: ActProps) {
  const { t } = useTranslation()
  const { is_active: isActive, name } = user
  return (
    <Act
      user={user}
      title={t(isActive ? 'access.disableOf' : 'access.enableOf', { name })}
      act={t(isActive ? 'access.disable' : 'access.enable')}
      path=""
      call={{ method: 'PATCH', body: { is_active: !isActive } }}
      done={t('access.saved')}
      onClose={onClose}
    >
      {t(isActive ? 'access.disableMeans' : 'access.enableMeans')}
    </Act>
  )
}

export function RemoveUser({ user, onClose }: ActProps) {
  const { t } = useTranslation()
  return (
    <Act
      user={user}
      title={t('access.removeOf', { name: user.name })}
      act={t('access.remove')}
      path=""
      call={{ method: 'DELETE' }}
      done={t('access.removed')}
      onClose={onClose}
    >
      {t('access.removeMeans')}
    </Act>
  )
}

interface AskProps extends ActProps {
  title: string
  act: string
  /** Below the user's own. */
  path: string
  call: Call
  /** What is said afterwards. */
  done?: string
  onDone?: (answer: unknown) => void
  children: ReactNode
}

/** Asks, and then does it. */
function Act({ user, title, act, path, call, done, onDone, onClose, children }: AskProps) {
  const tell = useToast()
  const queries = useQueryClient()
  const doIt = useMutation({
    mutationFn: () => api(`/auth/users/${user.id}${path}`, call),
    onSuccess: (answer) => {
      queries.invalidateQueries({ queryKey: ['users'] })
      if (done) tell(done)
      if (onDone) onDone(answer)
      else onClose()
    },
  })
  return (
    <Confirm title={title} act={act} busy={doIt.isPending} onConfirm={() => doIt.mutate()} onClose={onClose}>
      <p>{children}</p>
      <Refusal error={doIt.error} />
    </Confirm>
  )
}
