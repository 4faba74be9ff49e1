import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { deviceSchema, newDeviceSchema, pairingAnswer } from '../../../src/devices/schema.ts'
import { type Answer, ApiError, type Sent } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Confirm, Dialog } from '../../shared/dialog.tsx'
import { useErrorText } from '../../shared/error-text.ts'
import { Field } from '../../shared/field.tsx'
import { clockTime } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card, Page } from '../page.tsx'
import { api, apiList, useMe } from '../session.ts'
import { DeviceState } from './device-state.tsx'

type Device = Answer<typeof deviceSchema>
type Pairing = Answer<typeof pairingAnswer>

const PAGE = 50
const READ_ANEW_MS = 15_000

/** The kiosks: how they are, adding one, and giving or taking its key. */
export function DevicesPage() {
  const { t } = useTranslation()
  const { may } = useMe()
  const [skip, setSkip] = useState(0)
  const [open, setOpen] = useState<{ act: 'add' } | { act: 'pair' | 'revoke'; device: Device }>()
  const devices = useQuery({
    queryKey: ['devices', 'list', skip],
    queryFn: () => apiList<Device>('/devices', { query: { is_active: true, limit: PAGE, skip } }),
    refetchInterval: READ_ANEW_MS,
  })
  const close = () => setOpen(undefined)
  const mayChange = may('devices:write')
  return (
    <Page
      title={t('devices.title')}
      actions={
        mayChange && (
          <Button look="primary" onClick={() => setOpen({ act: 'add' })}>
            {t('devices.add')}
          </Button>
        )
      }
    >
      <Card>
        <Table
          caption={t('devices.title')}
          rows={{ ...devices, data: devices.data?.rows }}
          rowKey={({ id }) => id}
          empty={t('devices.empty')}
          columns={[
            {
              id: 'name',
              header: t('devices.name'),
              cell: ({ name, device_id }) => (name === device_id ? name : `${name} (${device_id})`),
            },
            {
              id: 'state',
              header: t('devices.state'),
              cell: ({ state, paired }) =>
                paired ? <DeviceState state={state} /> : <Badge tone="warn">{t('devices.notPaired')}</Badge>,
            },
            {
              id: 'acts',
              header: '',
              alignRight: true,
              cell: (device) =>
                mayChange && (
                  <div className="flex flex-wrap justify-end gap-2">
                    <Button onClick={() => setOpen({ act: 'pair', device })}>{t('devices.pair')}</Button>
                    {device.paired && (
                      <Button look="quiet" onClick={() => setOpen({ act: 'revoke', device })}>
                        {t('devices.revoke')}
                      </Button>
                    )}
                  </div>
                ),
            },
          ]}
        />
        <Pager skip={skip} limit={PAGE} total={devices.data?.total ?? 0} onSkip={setSkip} />
      </Card>
      {open?.act === 'add' && (
        <AddKiosk onAdded={(device) => setOpen({ act: 'pair', device })} onClose={close} />
      )}
      {open?.act === 'pair' && <PairKiosk device={open.device} onClose={close} />}
      {open?.act === 'revoke' && <RevokeKey device={open.device} onClose={close} />}
    </Page>
  )
}

function AddKiosk({ onAdded, onClose }: { onAdded: (device: Device) => void; onClose: () => void }) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const queries = useQueryClient()
  const add = useMutation({
    mutationFn: (body: Sent<typeof newDeviceSchema>) =>
      api<Device>('/devices/register', { method: 'POST', body }),
    onSuccess: (device) => {
      queries.invalidateQueries({ queryKey: ['devices'] })
      onAdded(device)
    },
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const name = String(form.get('name')).trim()
    add.mutate({ device_id: String(form.get('device_id')), ...(name && { name }) })
  }
  const fault = add.error instanceof ApiError ? add.error.field('device_id') : undefined
  return (
    <Dialog title={t('devices.add')} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field
          label={t('devices.id')}
          hint={t('devices.idHint')}
          error={fault}
          name="device_id"
          maxLength={64}
          required
        />
        <Field label={t('devices.name')} hint={t('devices.nameHint')} name="name" maxLength={200} />
        {add.error !== null && !fault && (
          <p role="alert" className="text-bad text-sm">
            {errorText(add.error)}
          </p>
        )}
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button type="submit" look="primary" busy={add.isPending}>
            {t('devices.add')}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

/** A code that is good once, to be typed or scanned at the kiosk. */
function PairKiosk({ device, onClose }: { device: Device; onClose: () => void }) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const path = `/devices/${encodeURIComponent(device.device_id)}/pair`
  const pairing = useQuery({
    queryKey: ['pairing', device.device_id],
    queryFn: () => api<Pairing>(path, { method: 'POST' }),
    // Each question makes the code before void.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
    retry: false,
  })
  return (
    <Dialog title={t('devices.pairing', { name: device.name })} onClose={onClose}>
      {pairing.error !== null && (
        <p role="alert" className="text-bad">
          {errorText(pairing.error)}
        </p>
      )}
      {pairing.data && (
        <div className="flex flex-col items-center gap-4 text-center">
          <p className="text-muted">{t('devices.pairingHow')}</p>
          <img
            src={`data:image/svg+xml;utf8,${encodeURIComponent(pairing.data.qr_svg)}`}
            alt={t('devices.qr')}
            width="208"
            height="208"
            className="rounded-lg bg-white p-2"
          />
          <p className="font-mono text-3xl tracking-widest">{pairing.data.code}</p>
          <p className="text-muted text-sm">
            {t('devices.until', { time: clockTime(pairing.data.expires_at, undefined) })}
          </p>
        </div>
      )}
      <div className="mt-6 flex justify-end">
        <Button onClick={onClose}>{t('common.close')}</Button>
      </div>
    </Dialog>
  )
}

function RevokeKey({ device, onClose }: { device: Device; onClose: () => void }) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const tell = useToast()
  const queries = useQueryClient()
  const revoke = useMutation({
    mutationFn: () => api(`/devices/${encodeURIComponent(device.device_id)}/key`, { method: 'DELETE' }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['devices'] })
      tell(t('devices.revoked'))
      onClose()
    },
  })
  return (
    <Confirm
      title={t('devices.revokeOf', { name: device.name })}
      act={t('devices.revoke')}
      busy={revoke.isPending}
      onConfirm={() => revoke.mutate()}
      onClose={onClose}
    >
      <p>{t('devices.revokeMeans')}</p>
      {revoke.error !== null && (
        <p role="alert" className="text-bad">
          {errorText(revoke.error)}
        </p>
      )}
    </Confirm>
  )
}
