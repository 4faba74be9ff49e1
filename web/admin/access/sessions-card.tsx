import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { sessionSchema } from '../../../src/access/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Address } from '../address.tsx'
import { Card } from '../page.tsx'
import { api, apiList } from '../session.ts'

type Session = Answer<typeof sessionSchema>

const PAGE = 20

/** Where one is signed in; each but this one can be ended. */
export function SessionsCard() {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const [skip, setSkip] = useState(0)
  const sessions = useQuery({
    queryKey: ['sessions', skip],
    queryFn: () => apiList<Session>('/auth/sessions', { query: { limit: PAGE, skip } }),
  })
  const end = useMutation({
    mutationFn: (id: string) => api(`/auth/sessions/${id}`, { method: 'DELETE' }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['sessions'] })
      tell(t('account.ended'))
    },
    onError: () => tell(t('account.notEnded'), 'bad'),
  })
  return (
    <Card title={t('account.sessions')}>
      <Table
        caption={t('account.sessions')}
        rows={{ ...sessions, data: sessions.data?.rows }}
        rowKey={({ id }) => id}
        empty={t('account.noSessions')}
        columns={[
          {
            id: 'browser',
            header: t('account.browser'),
            cell: ({ user_agent, current }) => (
              <>
                {browserOf(user_agent) ?? t('account.unknownBrowser')}{' '}
                {current && <Badge tone="good">{t('account.thisOne')}</Badge>}
              </>
            ),
          },
          { id: 'from', header: t('account.from'), cell: ({ ip_address }) => <Address ip={ip_address} /> },
          { id: 'since', header: t('account.signedInAt'), cell: ({ created_at }) => dateTime(created_at) },
          { id: 'used', header: t('account.lastUsed'), cell: ({ last_used_at }) => dateTime(last_used_at) },
          {
            id: 'acts',
            header: '',
            alignRight: true,
            cell: ({ id, current }) =>
              !current && (
                <Button busy={end.isPending && end.variables === id} onClick={() => end.mutate(id)}>
                  {t('account.end')}
                </Button>
              ),
          },
        ]}
      />
      <Pager skip={skip} limit={PAGE} total={sessions.data?.total ?? 0} onSkip={setSkip} />
    </Card>
  )
}

/** Firefox, Linux: by what each browser says besides all that it pretends to be. */
function browserOf(agent: string | null): string | undefined {
  const find = (text: string, known: [string, RegExp][]) => known.find(([, sign]) => sign.test(text))?.[0]
  if (agent === null) return undefined
  const browser = find(agent, [
    ['Edge', /Edg\w*\//],
    ['Opera', /OPR\//],
    ['Firefox', /Firefox\/|FxiOS/],
    ['Chrome', /Chrom\w+\/|CriOS/],
    ['Safari', /Safari\//],
  ])
  const system = find(agent, [
    ['Windows', /Windows/],
    ['Android', /Android/],
    ['iOS', /iPhone|iPad/],
    ['macOS', /Mac OS/],
    ['Linux', /Linux/],
  ])
  return browser ? [browser, system].filter(Boolean).join(', ') : agent.slice(0, 60)
}
