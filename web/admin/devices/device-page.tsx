import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Facts } from '../../shared/facts.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { Failed, Loading } from '../../shared/states.tsx'
import { Card, Page } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { useSites } from '../sites.ts'
import { Commands } from './commands.tsx'
import { Configuration } from './configuration.tsx'
import { DeleteKiosk, type Device, EditKiosk, PairKiosk, RevokeKey, RotateKey } from './device-dialogs.tsx'
import { DeviceState } from './device-state.tsx'
import { NetworkLog } from './network-log.tsx'

const READ_ANEW_MS = 10_000

/** One kiosk: how it is, how it works, what it was told and what it asked for. */
export function DevicePage() {
  const { t } = useTranslation()
  const { deviceId } = useParams({ from: '/office/admin/devices/$deviceId' })
  const device = useQuery({
    queryKey: ['devices', 'one', deviceId],
    queryFn: () => api<Device>(`/devices/${encodeURIComponent(deviceId)}`),
    refetchInterval: READ_ANEW_MS,
  })
  return (
    <Page
      title={device.data?.name ?? deviceId}
      actions={
        <Link to="/admin/devices" className="py-2 text-accent hover:underline">
          <span aria-hidden="true">← </span>
          {t('devices.back')}
        </Link>
      }
    >
      {device.data ? (
        <Kiosk device={device.data} />
      ) : (
        <Card>{device.error ? <Failed error={device.error} onRetry={device.refetch} /> : <Loading />}</Card>
      )}
    </Page>
  )
}

const isDeleted = ({ is_active, name }: Device) => !is_active && name.endsWith('[DELETED]')

function Kiosk({ device }: { device: Device }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const { nameOf } = useSites()
  const mayChange = may('devices:write') && !isDeleted(device)
  return (
    <>
      <Card
        title={t('devices.about')}
        aside={
          device.is_active ? (
            device.paired ? (
              <DeviceState state={device.state} />
            ) : (
              <Badge tone="warn">{t('devices.notPaired')}</Badge>
            )
          ) : (
            <Badge>{t('devices.inactive')}</Badge>
          )
        }
      >
        <Facts
          facts={[
            [t('devices.id'), device.device_id],
            [t('devices.seen'), device.last_heartbeat ? dateTime(device.last_heartbeat) : t('devices.never')],
            [t('devices.battery'), <Status key="status" text={device.last_status} />],
            [t('devices.version'), device.app_version],
            [t('devices.clock'), <Clock key="clock" ms={device.clock_skew_ms} />],
            [t('devices.site'), nameOf(device.site_id)],
            [t('devices.location'), device.location],
            [t('devices.direction'), t(`devices.directions.${device.direction}`)],
            [t('devices.policy'), t(`devices.policies.${device.pad_policy ?? 'server'}`)],
            [t('devices.added'), dateTime(device.created_at)],
          ]}
        />
        {isDeleted(device) && (
          <p className="mx-4 mb-4 rounded-lg bg-info-soft p-3 text-info text-sm">{t('devices.isDeleted')}</p>
        )}
        {mayChange && <Acts device={device} />}
      </Card>
      {mayChange && device.is_active && <Configuration device={device} />}
      <Commands device={device} maySend={mayChange && device.is_active} />
      <NetworkLog deviceId={device.device_id} />
    </>
  )
}

function Acts({ device }: { device: Device }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const [open, setOpen] = useState<'edit' | 'pair' | 'rotate' | 'revoke' | 'delete'>()
  const close = () => setOpen(undefined)
  const activate = useMutation({
    mutationFn: () =>
      api(`/devices/${encodeURIComponent(device.device_id)}`, {
        method: 'PUT',
        body: { is_active: !device.is_active },
      }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['devices'] }),
  })
  return (
    <div className="flex flex-wrap gap-2 border-line border-t p-4">
      <Button look="primary" onClick={() => setOpen('edit')}>
        {t('devices.edit')}
      </Button>
      {device.is_active && (
        <>
          <Button onClick={() => setOpen('pair')}>{t('devices.pair')}</Button>
          <Button onClick={() => setOpen('rotate')}>{t('devices.rotate')}</Button>
          {device.paired && <Button onClick={() => setOpen('revoke')}>{t('devices.revoke')}</Button>}
        </>
      )}
      <Button busy={activate.isPending} onClick={() => activate.mutate()}>
        {t(device.is_active ? 'devices.deactivate' : 'devices.activate')}
      </Button>
      <Button look="danger" onClick={() => setOpen('delete')}>
        {t('devices.delete')}
      </Button>
      <Refusal error={activate.error} />
      {open === 'edit' && <EditKiosk device={device} onClose={close} />}
      {open === 'pair' && <PairKiosk device={device} onClose={close} />}
      {open === 'rotate' && <RotateKey device={device} onClose={close} />}
      {open === 'revoke' && <RevokeKey device={device} onClose={close} />}
      {open === 'delete' && (
        <DeleteKiosk device={device} onDeleted={() => navigate({ to: '/admin/devices' })} onClose={close} />
      )}
    </div>
  )
}

/** What the kiosk says of itself: its battery, where its browser tells that. */
function Status({ text }: { text: string | null }) {
  const { t } = useTranslation()
  const [, level, charging] = /^battery (\d+)%(, charging)?$/.exec(text ?? '') ?? []
  if (level === undefined) return text === null || text === 'running' ? '–' : text
  return (
    <span className={Number(level) <= 20 && !charging ? 'text-bad' : ''}>
      {level}%{charging && ` · ${t('devices.charging')}`}
    </span>
  )
}

const SKEW_MS = 2000

function Clock({ ms }: { ms: number | null }) {
  const { t } = useTranslation()
  if (ms === null) return '–'
  if (Math.abs(ms) < SKEW_MS) return t('devices.clockRight')
  const seconds = number(Math.abs(ms) / 1000)
  return (
    <span className="text-warn">{t(ms > 0 ? 'devices.clockSlow' : 'devices.clockFast', { seconds })}</span>
  )
}
