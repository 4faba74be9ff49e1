import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { Refusal } from '../../shared/refusal.tsx'
import { Pager, Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { SearchField, useFilters } from '../filters.tsx'
import { Card } from '../page.tsx'
import { api, apiList, useMe } from '../session.ts'
import type { Site } from '../sites.ts'
import { EditSite } from './edit-site.tsx'

const PAGE = 50

/** The places where kiosks stand, and the rules of each. */
export function Sites() {
  const { t } = useTranslation()
  const { may } = useMe()
  const { get, set, skip } = useFilters()
  const [open, setOpen] = useState<{ act: 'add' } | { act: 'edit' | 'remove'; site: Site }>()
  const close = () => setOpen(undefined)
  const query = { search: get('search'), limit: PAGE, skip }
  const sites = useQuery({
    queryKey: ['sites', 'list', query],
    queryFn: () => apiList<Site>('/sites', { query }),
    placeholderData: (before) => before,
  })
  const mayChange = may('sites:write')
  return (
    <Card
      title={t('settings.sites')}
      aside={
        mayChange && (
          <Button look="primary" onClick={() => setOpen({ act: 'add' })}>
            {t('settings.addSite')}
          </Button>
        )
      }
    >
      <search className="grid gap-3 p-4 sm:grid-cols-3">
        <SearchField label={t('settings.search')} filter="search" />
      </search>
      <Table
        caption={t('settings.sites')}
        rows={{ ...sites, data: sites.data?.rows }}
        rowKey={({ id }) => id}
        empty={t('settings.noSites')}
        columns={[
          {
            id: 'name',
            header: t('settings.name'),
            cell: ({ name }) => <span className="font-medium">{name}</span>,
          },
          {
            id: 'zone',
            header: t('settings.timeZone'),
            cell: ({ time_zone }) => time_zone ?? t('settings.serverZone'),
          },
          {
            id: 'networks',
            header: t('settings.networks'),
            cell: ({ allowed_networks }) =>
              allowed_networks.length === 0 ? t('settings.anyNetwork') : allowed_networks.join(', '),
          },
          { id: 'rules', header: t('settings.rules'), cell: (site) => <Rules site={site} /> },
          {
            id: 'acts',
            header: '',
            alignRight: true,
            cell: (site) =>
              mayChange && (
                <div className="flex flex-wrap justify-end gap-2">
                  <Button onClick={() => setOpen({ act: 'edit', site })}>{t('settings.edit')}</Button>
                  <Button look="quiet" className="!text-bad" onClick={() => setOpen({ act: 'remove', site })}>
                    {t('settings.remove')}
                  </Button>
                </div>
              ),
          },
        ]}
      />
      <Pager skip={skip} limit={PAGE} total={sites.data?.total ?? 0} onSkip={(to) => set({ skip: to })} />
      {open?.act === 'add' && <EditSite onClose={close} />}
      {open?.act === 'edit' && <EditSite site={open.site} onClose={close} />}
      {open?.act === 'remove' && <RemoveSite site={open.site} onClose={close} />}
    </Card>
  )
}

function Rules({ site }: { site: Site }) {
  const { t } = useTranslation()
  return (
    <ul className="text-sm">
      <li>{t(site.require_consent ? 'settings.consentAsked' : 'settings.consentNotAsked')}</li>
      <li>
        {site.keep_pictures
          ? t('settings.picturesKept', { count: site.picture_days })
          : t('settings.picturesNotKept')}
      </li>
    </ul>
  )
}

function RemoveSite({ site, onClose }: { site: Site; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const remove = useMutation({
    mutationFn: () => api(`/sites/${site.id}`, { method: 'DELETE' }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['sites'] })
      tell(t('settings.removed'))
      onClose()
    },
  })
  return (
    <Confirm
      title={t('settings.removeOf', { name: site.name })}
      act={t('settings.remove')}
      busy={remove.isPending}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      <p>{t('settings.removeMeans')}</p>
      <Refusal error={remove.error} />
    </Confirm>
  )
}
