import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Select } from '../../shared/field.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Pager, Table } from '../../shared/table.tsx'
import { Tabs } from '../../shared/tabs.tsx'
import { SearchField, useFilters, useTab } from '../filters.tsx'
import { Card, Page } from '../page.tsx'
import { apiList, useMe } from '../session.ts'
import { useSites } from '../sites.ts'
import { CleanUp } from './clean-up.tsx'
import { AddKiosk, type Device, PairKiosk, RevokeKey } from './device-dialogs.tsx'
import { DeviceState } from './device-state.tsx'
import { Discovery } from './discovery.tsx'
import { NetworkLog } from './network-log.tsx'

const PAGE = 50
const READ_ANEW_MS = 15_000

/** The kiosks, what they asked for, and what else is in the network. */
export function DevicesPage() {
  const { t } = useTranslation()
  const { may } = useMe()
  const [open, setOpen] = useState<Open>()
  const maySearch = may('network:scan')
  const tab = useTab(['kiosks', 'log', ...(maySearch ? (['network'] as const) : [])])
  const close = () => setOpen(undefined)
  return (
    <Page
      title={t('devices.title')}
      actions={
        may('devices:write') && (
          <Button look="primary" onClick={() => setOpen({ act: 'add' })}>
            {t('devices.add')}
          </Button>
        )
      }
    >
      <Tabs
        label={t('devices.title')}
        chosen={tab}
        parameter="tab"
        tabs={[
          { id: 'kiosks', label: t('devices.kiosks') },
          { id: 'log', label: t('devices.log') },
          ...(maySearch ? [{ id: 'network', label: t('devices.network') }] : []),
        ]}
      />
      {tab === 'kiosks' && <Kiosks onOpen={setOpen} />}
      {tab === 'log' && <NetworkLog />}
      {tab === 'network' && <Discovery />}
      {open?.act === 'add' && (
        <AddKiosk onAdded={(device) => setOpen({ act: 'pair', device })} onClose={close} />
      )}
      {open?.act === 'pair' && <PairKiosk device={open.device} onClose={close} />}
      {open?.act === 'revoke' && <RevokeKey device={open.device} onClose={close} />}
    </Page>
  )
}

type Open = { act: 'add' } | { act: 'pair' | 'revoke'; device: Device }

/** How they are, and giving or taking their keys. */
function Kiosks({ onOpen }: { onOpen: (open: Open) => void }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const { nameOf } = useSites()
  const { get, set, skip } = useFilters()
  const state = get('state')
  const query = {
    is_active: state !== 'inactive',
    state: ['online', 'late', 'offline'].includes(state) ? state : undefined,
    paired: state === 'unpaired' ? false : undefined,
    site_id: get('site'),
    search: get('search'),
    limit: PAGE,
    skip,
  }
  const devices = useQuery({
    queryKey: ['devices', 'list', query],
    queryFn: () => apiList<Device>('/devices', { query }),
    refetchInterval: READ_ANEW_MS,
    placeholderData: (before) => before,
  })
  const mayChange = may('devices:write')
  const isFiltered = get('search') !== '' || state !== '' || get('site') !== ''
  return (
    <Card>
      <Filters />
      <Table
        caption={t('devices.title')}
        rows={{ ...devices, data: devices.data?.rows }}
        rowKey={({ id }) => id}
        empty={t(isFiltered ? 'devices.noneFound' : 'devices.empty')}
        columns={[
          {
            id: 'name',
            header: t('devices.name'),
            cell: ({ name, device_id }) => (
              <>
                <Link
                  to="/admin/devices/$deviceId"
                  params={{ deviceId: device_id }}
                  className="font-medium text-accent underline-offset-4 hover:underline"
                >
                  {name}
                </Link>
                {name !== device_id && (
                  <span className="block break-all text-muted text-sm">{device_id}</span>
                )}
              </>
            ),
          },
          { id: 'site', header: t('devices.site'), cell: ({ site_id }) => nameOf(site_id) },
          {
            id: 'state',
            header: t('devices.state'),
            cell: ({ state: now, paired, is_active }) =>
              !is_active ? (
                <Badge>{t('devices.inactive')}</Badge>
              ) : paired ? (
                <DeviceState state={now} />
              ) : (
                <Badge tone="warn">{t('devices.notPaired')}</Badge>
              ),
          },
          {
            id: 'seen',
            header: t('devices.seen'),
            cell: ({ last_heartbeat }) => (last_heartbeat ? dateTime(last_heartbeat) : t('devices.never')),
          },
          {
            id: 'acts',
            header: '',
            alignRight: true,
            cell: (device) =>
              mayChange &&
              device.is_active && (
                <div className="flex flex-wrap justify-end gap-2">
                  <Button onClick={() => onOpen({ act: 'pair', device })}>{t('devices.pair')}</Button>
                  {device.paired && (
                    <Button look="quiet" onClick={() => onOpen({ act: 'revoke', device })}>
                      {t('devices.revoke')}
                    </Button>
                  )}
                </div>
              ),
          },
        ]}
      />
      <Pager skip={skip} limit={PAGE} total={devices.data?.total ?? 0} onSkip={(to) => set({ skip: to })} />
      {state === 'inactive' && mayChange && <CleanUp />}
    </Card>
  )
}

const states = ['online', 'late', 'offline', 'unpaired', 'inactive'] as const

function Filters() {
  const { t } = useTranslation()
  const { get, set } = useFilters()
  const { sites } = useSites()
  return (
    <search className="grid gap-3 border-line border-b p-4 sm:grid-cols-3">
      <SearchField label={t('devices.search')} filter="search" />
      <Select
        label={t('devices.state')}
        value={get('state')}
        onChange={({ target }) => set({ state: target.value })}
      >
        <option value="">{t('devices.all')}</option>
        {states.map((state) => (
          <option key={state} value={state}>
            {t(`devices.states.${state}`)}
          </option>
        ))}
      </Select>
      {sites && sites.length > 1 && (
        <Select
          label={t('devices.site')}
          value={get('site')}
          onChange={({ target }) => set({ site: target.value })}
        >
          <option value="">{t('devices.all')}</option>
          {sites.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </Select>
      )}
    </search>
  )
}
