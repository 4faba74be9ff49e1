import { useTranslation } from 'react-i18next'
import { Page } from '../page.tsx'

export function AccessPage() {
  const { t } = useTranslation()
  return <Page title={t('access.title')}>{null}</Page>
}
