import { useTranslation } from 'react-i18next'
import { Page } from '../page.tsx'

export function EmployeesPage() {
  const { t } = useTranslation()
  return <Page title={t('employees.title')}>{null}</Page>
}
