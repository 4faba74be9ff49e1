import { useTranslation } from 'react-i18next'
import { Tabs } from '../../shared/tabs.tsx'
import { useTab } from '../filters.tsx'
import { Page } from '../page.tsx'
import { Keys } from './keys.tsx'
import { Users } from './users.tsx'

/** Who may use the system: people, and programs with keys. */
export function AccessPage() {
  const { t } = useTranslation()
  const tab = useTab(['users', 'keys'])
  return (
    <Page title={t('access.title')}>
      <Tabs
        label={t('access.title')}
        chosen={tab}
        parameter="tab"
        tabs={[
          { id: 'users', label: t('access.users') },
          { id: 'keys', label: t('access.keys') },
        ]}
      />
      {tab === 'users' ? <Users /> : <Keys />}
    </Page>
  )
}
