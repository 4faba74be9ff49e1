import { useTranslation } from 'react-i18next'
import { Page } from './page.tsx'

export function DevicesPage() {
  const { t } = useTranslation()
  return <Page title={t('devices.title')}>{null}</Page>
}
