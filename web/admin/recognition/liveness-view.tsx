import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { deviceSchema } from '../../../src/devices/schema.ts'
import type { healthSchema } from '../../../src/monitoring/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { useErrorText } from '../../shared/error-text.ts'
import { Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, useMe } from '../session.ts'

type Device = Answer<typeof deviceSchema>

const policies = ['off', 'flag', 'enforce'] as const
const limits = ['masks', 'video', 'prints', 'people', 'measured'] as const

/** What each kiosk does about pictures and masks of faces, what that means, and what it does not stop. */
export function LivenessView() {
  const { t } = useTranslation()
  const devices = useQuery({
    queryKey: ['devices', 'liveness'],
    queryFn: () => api<Device[]>('/devices', { query: { is_active: true, limit: 1000, sort: 'name' } }),
  })
  const standard = useStandardPolicy()
  return (
    <>
      <Card title={t('recognition.pad.perKiosk')}>
        <Table
          caption={t('recognition.pad.perKiosk')}
          rows={devices}
          rowKey={({ id }) => id}
          empty={t('recognition.pad.noKiosks')}
          columns={[
            {
              id: 'name',
              header: t('recognition.pad.kiosk'),
              cell: ({ name, device_id, location }) => (
                <div>
                  <p className="font-medium">{name}</p>
                  <p className="text-muted text-sm">
                    {[name === device_id ? null : device_id, location].filter(Boolean).join(' · ')}
                  </p>
                </div>
              ),
            },
            {
              id: 'holds',
              header: t('recognition.pad.holds'),
              cell: ({ pad_policy }) => <Policy policy={pad_policy ?? standard} />,
            },
            {
              id: 'policy',
              header: t('recognition.pad.policy'),
              cell: (device) => <PolicySelect device={device} standard={standard} />,
            },
          ]}
        />
      </Card>
      <div className="grid gap-5 lg:grid-cols-2">
        <Card title={t('recognition.pad.meanings')}>
          <dl className="flex flex-col gap-4 p-4">
            {policies.map((policy) => (
              <div key={policy}>
                <dt>
                  <Policy policy={policy} />
                </dt>
                <dd className="mt-1 text-muted">{t(`recognition.pad.means.${policy}`)}</dd>
              </div>
            ))}
          </dl>
        </Card>
        <Card title={t('recognition.pad.limits')}>
          <ul className="flex list-disc flex-col gap-2 p-4 pl-8 text-muted">
            {limits.map((limit) => (
              <li key={limit}>{t(`recognition.pad.limit.${limit}`)}</li>
            ))}
          </ul>
        </Card>
      </div>
    </>
  )
}

const tones = { off: 'neutral', flag: 'info', enforce: 'good' } as const

function Policy({ policy }: { policy: (typeof policies)[number] }) {
  const { t } = useTranslation()
  return <Badge tone={tones[policy]}>{t(`recognition.pad.policies.${policy}`)}</Badge>
}

/** What holds at a kiosk without a policy of its own: the server says only whether it looks at all. */
function useStandardPolicy() {
  const { data } = useQuery({
    queryKey: ['health'],
    queryFn: async (): Promise<Answer<typeof healthSchema>> => (await fetch('/health')).json(),
    staleTime: Number.POSITIVE_INFINITY,
  })
  return data?.liveness === 'off' ? 'off' : 'flag'
}

function PolicySelect({ device, standard }: { device: Device; standard: (typeof policies)[number] }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const tell = useToast()
  const errorText = useErrorText()
  const queries = useQueryClient()
  const change = useMutation({
    mutationFn: (pad_policy: string) =>
      api<Device>(`/devices/${encodeURIComponent(device.device_id)}`, {
        method: 'PUT',
        body: { pad_policy: pad_policy === '' ? null : pad_policy },
        headers: { 'if-match': `"${device.version}"` },
      }),
    onSuccess: ({ name }) => tell(t('recognition.pad.changed', { name })),
    onError: (error) => tell(errorText(error), 'bad'),
    onSettled: () => queries.invalidateQueries({ queryKey: ['devices'] }),
  })
  const standardText = t('recognition.pad.standard', { policy: t(`recognition.pad.policies.${standard}`) })
  return (
    <select
      aria-label={t('recognition.pad.policyOf', { name: device.name })}
      disabled={!may('devices:write') || change.isPending}
      value={(change.isPending ? change.variables : device.pad_policy) ?? ''}
      onChange={({ target }) => change.mutate(target.value)}
      className="min-h-10 max-w-full rounded-lg border border-line bg-surface px-3 py-2 text-ink"
    >
      <option value="">{standardText}</option>
      {policies.map((policy) => (
        <option key={policy} value={policy}>
          {t(`recognition.pad.policies.${policy}`)}
        </option>
      ))}
    </select>
  )
}
