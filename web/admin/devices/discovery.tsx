import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { discoveryAnswer, scanAnswer } from '../../../src/devices/schema.ts'
import { type Answer, ApiError } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { type Column, Table } from '../../shared/table.tsx'
import { Card } from '../page.tsx'
import { api } from '../session.ts'

type Discovered = Answer<typeof discoveryAnswer>
type Scanned = Answer<typeof scanAnswer>
type Found = Discovered['discovered_devices'][number]

/** Looks for kiosks in the network. Both ways are off until the server's settings allow them. */
export function Discovery() {
  return (
    <>
      <Announced />
      <Scan />
    </>
  )
}

/** What announces itself, or was found to answer where kiosks of older systems do. */
function Announced() {
  const { t } = useTranslation()
  const look = useMutation({
    mutationFn: () => api<Discovered>('/device-management/discover', { method: 'POST' }),
  })
  const columns = useColumns<Found>()
  return (
    <Card
      title={t('devices.announced')}
      aside={
        <Button busy={look.isPending} onClick={() => look.mutate()}>
          {t(look.isPending ? 'devices.looking' : 'devices.look')}
        </Button>
      }
    >
      <p className="p-4 text-muted text-sm">{t('devices.announcedMeans')}</p>
      <WhyNot error={look.error} howTo={t('devices.discoveryOff')} />
      {look.data && (
        <Table
          caption={t('devices.announced')}
          rows={{ data: look.data.discovered_devices, error: null }}
          rowKey={({ ip }) => ip}
          empty={t('devices.nothingAnnounced')}
          columns={columns}
        />
      )}
    </Card>
  )
}

/** Opens a connection to each address of the networks that the settings list. */
function Scan() {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [asks, setAsks] = useState(false)
  const last = useQuery({
    queryKey: ['network-scan'],
    queryFn: () => api<Scanned>('/device-management/network/scan'),
  })
  const scan = useMutation({
    mutationFn: () => api<Scanned>('/device-management/network/scan', { method: 'POST' }),
    onSuccess: (found) => queries.setQueryData(['network-scan'], found),
    onSettled: () => setAsks(false),
  })
  const columns = useColumns<Scanned[number]>()
  return (
    <Card
      title={t('devices.scan')}
      aside={
        <Button busy={scan.isPending} onClick={() => setAsks(true)}>
          {t(scan.isPending ? 'devices.looking' : 'devices.scanNow')}
        </Button>
      }
    >
      <p className="p-4 text-muted text-sm">{t('devices.scanMeans')}</p>
      <WhyNot error={scan.error} howTo={t('devices.scanOff')} />
      <Table
        caption={t('devices.scan')}
        rows={last}
        rowKey={({ ip, port }) => `${ip}:${port}`}
        empty={t('devices.nothingScanned')}
        columns={[
          ...columns,
          { id: 'port', header: t('devices.port'), cell: ({ port }) => port, alignRight: true },
        ]}
      />
      {asks && (
        <Confirm
          title={t('devices.scan')}
          act={t('devices.scanNow')}
          busy={scan.isPending}
          onConfirm={() => scan.mutate()}
          onClose={() => setAsks(false)}
        >
          <p>{t('devices.scanAsks')}</p>
        </Confirm>
      )}
    </Card>
  )
}

function useColumns<Row extends Pick<Found, 'ip' | 'hostname' | 'last_seen'>>(): Column<Row>[] {
  const { t } = useTranslation()
  return [
    { id: 'ip', header: t('devices.address'), cell: ({ ip }) => <code>{ip}</code> },
    {
      id: 'hostname',
      header: t('devices.hostname'),
      cell: ({ hostname }) => (hostname === 'Unknown' ? '–' : hostname),
    },
    { id: 'seen', header: t('devices.seen'), cell: ({ last_seen }) => dateTime(last_seen) },
  ]
}

/** Where the settings do not allow it: which one does. */
function WhyNot({ error, howTo }: { error: unknown; howTo: string }) {
  if (!error) return null
  return (
    <div className="px-4 pb-4">
      {error instanceof ApiError && error.code === 'discovery_off' ? (
        <p role="alert" className="rounded-lg bg-info-soft p-3 text-info text-sm">
          {howTo}
        </p>
      ) : (
        <Refusal error={error} />
      )}
    </div>
  )
}
