import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import type { Employee } from './people.ts'

/** Whether a person is recognised, and whether they are still here. */
export function EmployeeState({ employee: { is_active, ended_at } }: { employee: Employee }) {
  const { t } = useTranslation()
  if (ended_at) return <Badge symbol="■">{t('employeeState.left')}</Badge>
  return is_active ? (
    <Badge tone="good" symbol="●">
      {t('employeeState.active')}
    </Badge>
  ) : (
    <Badge tone="warn" symbol="○">
      {t('employeeState.inactive')}
    </Badge>
  )
}
