import { useTranslation } from 'react-i18next'
import { dateTime, shortDate } from '../../shared/i18n.ts'
import { Card } from '../page.tsx'
import { useSites } from './choices.ts'
import { EmployeeState } from './employee-state.tsx'
import type { Employee } from './people.ts'
import { Avatar } from './picture.tsx'

/** Who it is. */
export function PersonCard({ employee }: { employee: Employee }) {
  const { t } = useTranslation()
  const sites = useSites()
  const facts = [
    [t('employeeColumn.employee_id'), employee.employee_id],
    [t('employeeColumn.department'), employee.department],
    [t('employeeColumn.position'), employee.position],
    [t('employeeColumn.email'), employee.email],
    [t('employeeColumn.phone'), employee.phone],
    ...(sites && sites.length > 1
      ? [[t('employeeColumn.site'), sites.find(({ id }) => id === employee.site_id)?.name]]
      : []),
    [t('employees.added'), shortDate(employee.created_at)],
    [t('employees.changed'), dateTime(employee.updated_at)],
    ...(employee.ended_at ? [[t('employees.leftAt'), dateTime(employee.ended_at)]] : []),
  ]
  return (
    <Card title={t('employees.data')} aside={<EmployeeState employee={employee} />}>
      <div className="flex flex-wrap items-start gap-5 p-4">
        <Avatar key={employee.employee_id} employee={employee} size="large" />
        <dl className="grid min-w-0 flex-1 grid-cols-[max-content_1fr] gap-x-4 gap-y-1.5 max-sm:basis-full">
          {facts.map(([label, value]) => (
            <div key={label} className="contents">
              <dt className="text-muted">{label}</dt>
              <dd className="min-w-0 break-words">{value || '–'}</dd>
            </div>
          ))}
        </dl>
      </div>
    </Card>
  )
}
