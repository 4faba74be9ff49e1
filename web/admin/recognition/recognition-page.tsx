import { useTranslation } from 'react-i18next'
import { Page } from '../page.tsx'

export function RecognitionPage() {
  const { t } = useTranslation()
  return <Page title={t('recognition.title')}>{null}</Page>
}
