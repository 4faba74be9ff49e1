import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { keySchema } from '../../../src/access/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { Pager, Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { useFilters } from '../filters.tsx'
import { Card } from '../page.tsx'
import { api, apiList } from '../session.ts'
import { MakeKey } from './make-key.tsx'
import { type Scope, scopeText } from './scopes.ts'

type Key = Answer<typeof keySchema>

const PAGE = 50

/** The keys of programs: payroll, a data warehouse, a turnstile. */
export function Keys() {
  const { t } = useTranslation()
  const { set, skip } = useFilters()
  const [makes, setMakes] = useState(false)
  const [revoked, setRevoked] = useState<Key>()
  const keys = useQuery({
    queryKey: ['api-keys', skip],
    queryFn: () => apiList<Key>('/auth/api-keys', { query: { limit: PAGE, skip } }),
  })
  return (
    <Card
      title={t('access.keys')}
      aside={
        <Button look="primary" onClick={() => setMakes(true)}>
          {t('access.makeKey')}
        </Button>
      }
    >
      <p className="p-4 text-muted text-sm">{t('access.keysMean')}</p>
      <Table
        caption={t('access.keys')}
        rows={{ ...keys, data: keys.data?.rows }}
        rowKey={({ id }) => id}
        empty={t('access.noKeys')}
        columns={[
          {
            id: 'name',
            header: t('access.name'),
            cell: ({ name, hint }) => (
              <>
                <span className="font-medium">{name}</span>
                <code className="block text-muted text-sm">{hint}…</code>
              </>
            ),
          },
          {
            id: 'scopes',
            header: t('access.mayDo'),
            cell: ({ scopes }) => (
              <ul className="space-y-0.5 text-sm">
                {scopes.map((scope) => (
                  <li key={scope}>{t(scopeText(scope as Scope))}</li>
                ))}
              </ul>
            ),
          },
          {
            id: 'used',
            header: t('access.lastUsed'),
            cell: ({ last_used_at }) => (last_used_at ? dateTime(last_used_at) : t('access.never')),
          },
          { id: 'expires', header: t('access.expires'), cell: (key) => <Expiry at={key.expires_at} /> },
          {
            id: 'acts',
            header: '',
            alignRight: true,
            cell: (key) => (
              <Button className="whitespace-nowrap" onClick={() => setRevoked(key)}>
                {t('access.revoke')}
              </Button>
            ),
          },
        ]}
      />
      <Pager skip={skip} limit={PAGE} total={keys.data?.total ?? 0} onSkip={(to) => set({ skip: to })} />
      {makes && <MakeKey onClose={() => setMakes(false)} />}
      {revoked && <RevokeKey of={revoked} onClose={() => setRevoked(undefined)} />}
    </Card>
  )
}

function Expiry({ at }: { at: string | null }) {
  const { t } = useTranslation()
  if (at === null) return t('access.noExpiry')
  if (new Date(at) <= new Date()) return <Badge tone="bad">{t('access.expired')}</Badge>
  return dateTime(at)
}

function RevokeKey({ of: key, onClose }: { of: Key; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const revoke = useMutation({
    mutationFn: () => api(`/auth/api-keys/${key.id}`, { method: 'DELETE' }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['api-keys'] })
      tell(t('access.revoked'))
      onClose()
    },
  })
  return (
    <Confirm
      title={t('access.revokeOf', { name: key.name })}
      act={t('access.revoke')}
      busy={revoke.isPending}
      onConfirm={() => revoke.mutate()}
      onClose={onClose}
    >
      <p>{t('access.revokeMeans')}</p>
      <Refusal error={revoke.error} />
    </Confirm>
  )
}
