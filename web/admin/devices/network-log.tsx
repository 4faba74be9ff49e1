import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import type { logSchema } from '../../../src/devices/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Select } from '../../shared/field.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { type Column, Pager, Table } from '../../shared/table.tsx'
import { Address } from '../address.tsx'
import { SearchField, useFilters } from '../filters.tsx'
import { Card } from '../page.tsx'
import { apiList } from '../session.ts'

type Entry = Answer<typeof logSchema>

const PAGE = 50
const READ_ANEW_MS = 15_000
/** Those that tell something about a kiosk. */
const results = ['200', '201', '400', '401', '403', '404', '409', '422', '429', '503'] as const

/** What one kiosk asked for; or all of them, with those that could not show that they are one. */
export function NetworkLog({ deviceId }: { deviceId?: string }) {
  const { t } = useTranslation()
  const { get, set, skip } = useFilters()
  const query = { action: get('action'), result: get('result'), limit: PAGE, skip }
  const path = `/device-management/logs${deviceId === undefined ? '' : `/${encodeURIComponent(deviceId)}`}`
  const logs = useQuery({
    queryKey: ['device-logs', path, query],
    queryFn: () => apiList<Entry>(path, { query }),
    refetchInterval: READ_ANEW_MS,
    placeholderData: (before) => before,
  })
  const device: Column<Entry> = {
    id: 'device',
    header: t('devices.kiosk'),
    cell: ({ device_id }) =>
      device_id === null ? (
        <Badge tone="warn" symbol="!">
          {t('devices.unknownCaller')}
        </Badge>
      ) : (
        <Link
          to="/admin/devices/$deviceId"
          params={{ deviceId: device_id }}
          className="break-all text-accent hover:underline"
        >
          {device_id}
        </Link>
      ),
  }
  return (
    <Card title={t('devices.log')}>
      <p className="px-4 pt-3 text-muted text-sm">
        {t(deviceId === undefined ? 'devices.logAll' : 'devices.logOne')}
      </p>
      <search className="grid gap-3 p-4 sm:grid-cols-3">
        <SearchField label={t('devices.request')} filter="action" />
        <Select
          label={t('devices.result')}
          value={get('result')}
          onChange={({ target }) => set({ result: target.value })}
        >
          <option value="">{t('devices.all')}</option>
          {results.map((result) => (
            <option key={result} value={result}>
              {result} · {t(`devices.results.${result}`)}
            </option>
          ))}
        </Select>
      </search>
      <Table
        caption={t('devices.log')}
        rows={{ ...logs, data: logs.data?.rows }}
        rowKey={({ id }) => id}
        empty={t('devices.logEmpty')}
        columns={[
          { id: 'time', header: t('devices.time'), cell: ({ created_at }) => dateTime(created_at) },
          ...(deviceId === undefined ? [device] : []),
          {
            id: 'from',
            header: t('devices.address'),
            cell: ({ ip_address }) => <Address ip={ip_address} />,
          },
          {
            id: 'action',
            header: t('devices.request'),
            cell: ({ action }) => <code className="break-all text-sm">{action.replace('/api/v1', '')}</code>,
          },
          {
            id: 'result',
            header: t('devices.result'),
            cell: ({ result }) => (
              <Badge tone={result < '400' ? 'good' : 'bad'} symbol={result < '400' ? '✓' : '✕'}>
                {result}
              </Badge>
            ),
          },
          {
            id: 'ms',
            header: t('devices.took'),
            alignRight: true,
            cell: ({ latency_ms }) => (latency_ms === null ? '–' : `${number(latency_ms)} ms`),
          },
        ]}
      />
      <Pager skip={skip} limit={PAGE} total={logs.data?.total ?? 0} onSkip={(to) => set({ skip: to })} />
    </Card>
  )
}
