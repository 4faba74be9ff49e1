import { useTranslation } from 'react-i18next'
import { Page } from '../page.tsx'

export function AttendancePage() {
  const { t } = useTranslation()
  return <Page title={t('attendance.title')}>{null}</Page>
}
