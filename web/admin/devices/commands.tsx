import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { commandSchema } from '../../../src/devices/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge, type Tone } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { Pager, Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, apiList } from '../session.ts'
import type { Device } from './device-dialogs.tsx'

type Command = Answer<typeof commandSchema>

const PAGE = 10
const WAITING_MS = 3000
const QUIET_MS = 30_000
const commands = ['reload', 'test_picture', 'update', 'reset'] as const
const tones: Record<Command['state'], [Tone, string]> = {
  queued: ['neutral', '…'],
  sent: ['info', '→'],
  done: ['good', '✓'],
  failed: ['bad', '✕'],
}

/** What a kiosk is told to do, and what became of it. */
export function Commands({ device, maySend }: { device: Device; maySend: boolean }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const [skip, setSkip] = useState(0)
  const path = `/devices/${encodeURIComponent(device.device_id)}/commands`
  const sent = useQuery({
    queryKey: ['devices', 'commands', device.device_id, skip],
    queryFn: () => apiList<Command>(path, { query: { limit: PAGE, skip } }),
    // What is under way is watched closely.
    refetchInterval: ({ state }) =>
      state.data?.rows.some((row) => row.finished_at === null) ? WAITING_MS : QUIET_MS,
  })
  const send = useMutation({
    mutationFn: (command: Command['command']) => api<Command>(path, { method: 'POST', body: { command } }),
    onSuccess: () => {
      setSkip(0)
      queries.invalidateQueries({ queryKey: ['devices', 'commands', device.device_id] })
      tell(t('devices.queued'))
    },
  })
  return (
    <Card title={t('devices.commands')}>
      {maySend && (
        <div className="border-line border-b p-4">
          <p className="mb-3 text-muted text-sm">{t('devices.commandsMean')}</p>
          <ul className="grid gap-2 sm:grid-cols-2">
            {commands.map((command) => (
              <li key={command} className="flex items-center gap-3">
                <Button
                  className="min-w-36 shrink-0"
                  disabled={send.isPending}
                  onClick={() => send.mutate(command)}
                >
                  {t(`devices.command.${command}`)}
                </Button>
                <span className="text-muted text-sm">{t(`devices.commandMeans.${command}`)}</span>
              </li>
            ))}
          </ul>
          <Refusal error={send.error} />
        </div>
      )}
      <Table
        caption={t('devices.commands')}
        rows={{ ...sent, data: sent.data?.rows }}
        rowKey={({ id }) => id}
        empty={t('devices.noCommands')}
        columns={[
          { id: 'when', header: t('devices.time'), cell: ({ created_at }) => dateTime(created_at) },
          {
            id: 'command',
            header: t('devices.commandName'),
            cell: ({ command }) => t(`devices.command.${command}`),
          },
          {
            id: 'state',
            header: t('devices.state'),
            cell: ({ state }) => (
              <Badge tone={tones[state][0]} symbol={tones[state][1]}>
                {t(`devices.commandStates.${state}`)}
              </Badge>
            ),
          },
          {
            id: 'ended',
            header: t('devices.ended'),
            cell: ({ finished_at }) => (finished_at ? dateTime(finished_at) : '–'),
          },
          { id: 'result', header: t('devices.saidAbout'), cell: ({ result }) => result ?? '–' },
        ]}
      />
      <Pager skip={skip} limit={PAGE} total={sent.data?.total ?? 0} onSkip={setSkip} />
    </Card>
  )
}
