import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { useTranslation } from 'react-i18next'
import type { deviceSchema, pairingAnswer } from '../../../src/devices/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { clockTime } from '../../shared/i18n.ts'
import { Failed, Loading } from '../../shared/states.tsx'
import { api } from '../session.ts'

type Device = Answer<typeof deviceSchema>
type Pairing = Answer<typeof pairingAnswer>

const LOOK_MS = 2000

/**
 * A code that is good once, to be typed or scanned at the kiosk; and whether it was. A kiosk that has a key already has
 * it until the code is used, so that nothing tells of that.
 */
export function PairingCode({ device, onPaired }: { device: Device; onPaired?: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const path = `/devices/${encodeURIComponent(device.device_id)}`
  const pairing = useQuery({
    queryKey: ['pairing', device.device_id],
    queryFn: () => api<Pairing>(`${path}/pair`, { method: 'POST' }),
    // Each question makes the code before void.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
    retry: false,
  })
  const now = useQuery({
    queryKey: ['devices', 'pairing', device.device_id],
    queryFn: () => api<Device>(path),
    enabled: !device.paired && pairing.data !== undefined,
    refetchInterval: ({ state }) => (state.data?.paired ? false : LOOK_MS),
    gcTime: 0,
  })
  const isPaired = !device.paired && now.data?.paired === true
  useEffect(() => {
    if (!isPaired) return
    queries.invalidateQueries({ queryKey: ['devices', 'list'] })
    onPaired?.()
  }, [isPaired, queries, onPaired])

  if (isPaired)
    return (
      <p role="status" className="rounded-lg bg-good-soft p-4 text-center font-medium text-good">
        <span aria-hidden="true">✓ </span>
        {t('devices.pairedNow', { name: device.name })}
      </p>
    )
  if (pairing.error) return <Failed error={pairing.error} onRetry={pairing.refetch} />
  if (!pairing.data) return <Loading />
  return (
    <div className="flex flex-col items-center gap-4 text-center">
      <p className="text-muted">{t('devices.pairingHow', { address: `${location.origin}/kiosk` })}</p>
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
      {!window.isSecureContext && (
        <p className="rounded-lg bg-warn-soft p-3 text-sm text-warn">{t('devices.needsTls')}</p>
      )}
      <p role="status" className="text-muted text-sm">
        {!device.paired && t('devices.waiting')}
      </p>
      <Button look="quiet" busy={pairing.isFetching} onClick={() => pairing.refetch()}>
        {t('devices.newCode')}
      </Button>
    </div>
  )
}
