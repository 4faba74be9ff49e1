import { useParams } from '@tanstack/react-router'
import { Page } from '../page.tsx'

export function EmployeePage() {
  const { employeeId } = useParams({ from: '/office/admin/employees/$employeeId' })
  return <Page title={employeeId}>{null}</Page>
}
