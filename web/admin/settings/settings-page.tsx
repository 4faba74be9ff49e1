import { useTranslation } from 'react-i18next'
import { Tabs } from '../../shared/tabs.tsx'
import { useTab } from '../filters.tsx'
import { Page } from '../page.tsx'
import { useMe } from '../session.ts'
import { Backups } from './backups.tsx'
import { Sites } from './sites.tsx'
import { SystemStatus } from './system-status.tsx'

/** The sites, and how the server is. */
export function SettingsPage() {
  const { t } = useTranslation()
  const { may } = useMe()
  const seesSystem = may('system:read')
  const tab = useTab(seesSystem ? ['sites', 'system'] : ['sites'])
  return (
    <Page title={t('settings.title')}>
      {seesSystem && (
        <Tabs
          label={t('settings.title')}
          chosen={tab}
          parameter="tab"
          tabs={[
            { id: 'sites', label: t('settings.sites') },
            { id: 'system', label: t('settings.system') },
          ]}
        />
      )}
      {tab === 'sites' ? (
        <Sites />
      ) : (
        <>
          <SystemStatus />
          <Backups />
        </>
      )}
    </Page>
  )
}
