import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../../shared/api.ts'
import { Loading } from '../../shared/states.tsx'
import { Card, Page } from '../page.tsx'
import { api, apiList, useMe } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { ConsentCard } from './consent-card.tsx'
import { DataCard } from './data-card.tsx'
import { EmployeeActs } from './employee-acts.tsx'
import { type Employee, keyOf, pathOf } from './people.ts'
import { PersonCard } from './person-card.tsx'
import { PhotosCard } from './photos-card.tsx'
import { PinCard } from './pin-card.tsx'
import { PunchesCard } from './punches-card.tsx'
import { TemplatesCard } from './templates-card.tsx'

/** Everything about one person. */
export function EmployeePage() {
  const { employeeId } = useParams({ from: '/office/admin/employees/$employeeId' })
  const { t } = useTranslation()
  const { may } = useMe()
  const { data: employee, error } = useQuery({
    queryKey: keyOf(employeeId),
    queryFn: () => findPerson(employeeId),
    retry: (failures, fault) => failures < 2 && !(fault instanceof ApiError && fault.status < 500),
  })
  if (!employee)
    return (
      <Page title={employeeId}>
        <Card>
          <div className="flex flex-col items-start gap-4 p-6">
            {error ? <ErrorAlert error={error} /> : <Loading />}
            <Link to="/admin/employees" className="text-accent underline">
              {t('employees.backToList')}
            </Link>
          </div>
        </Card>
      </Page>
    )
  const isHere = employee.ended_at === null
  return (
    <Page title={employee.name} actions={isHere && <EmployeeActs employee={employee} />}>
      <div className="grid items-start gap-5 lg:grid-cols-[3fr_2fr]">
        <div className="flex min-w-0 flex-col gap-5">
          <PersonCard employee={employee} />
          {isHere && may('biometrics:read') && <PhotosCard employee={employee} />}
          {isHere && may('biometrics:read') && <TemplatesCard employee={employee} />}
        </div>
        <div className="flex min-w-0 flex-col gap-5">
          {may('biometrics:read') && <ConsentCard employee={employee} />}
          {isHere && <PinCard employee={employee} />}
          {may('attendance:read') && <PunchesCard employee={employee} />}
          {may('biometrics:read') && <DataCard employee={employee} />}
        </div>
      </div>
    </Page>
  )
}

/** Also one who has left, of whom the API keeps a list of its own. */
async function findPerson(employeeId: string): Promise<Employee> {
  try {
    return await api<Employee>(pathOf(employeeId))
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'employee_not_found') throw error
    const left = await apiList<Employee>('/employees', { query: { ended: true, search: employeeId } })
    const person = left.rows.find(({ employee_id }) => employee_id === employeeId)
    if (!person) throw error
    return person
  }
}
