import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { number, shortDate } from '../../shared/i18n.ts'
import { type Column, Pager, Table } from '../../shared/table.tsx'
import { Card, Page } from '../page.tsx'
import { apiList, useMe } from '../session.ts'
import { AddEmployee } from './add-employee.tsx'
import { EmployeeState } from './employee-state.tsx'
import { ExportButtons } from './export-buttons.tsx'
import { ImportPeople } from './import-people.tsx'
import { ImportPhotos } from './import-photos.tsx'
import { ListFilters } from './list-filters.tsx'
import { filterQuery, isFiltered, type ListView, useListView } from './list-view.ts'
import type { Employee } from './people.ts'
import { Avatar } from './picture.tsx'

const PAGE = 25

/** Everybody: finding, adding, importing and exporting people. */
export function EmployeesPage() {
  const { t } = useTranslation()
  const { may } = useMe()
  const navigate = useNavigate()
  const [view, change] = useListView()
  const [open, setOpen] = useState<'add' | 'people' | 'photos'>()
  const skip = view.skip ?? 0
  const employees = useQuery({
    queryKey: ['employees', 'list', view],
    queryFn: () => apiList<Employee>('/employees', { query: { ...filterQuery(view), limit: PAGE, skip } }),
    placeholderData: keepPreviousData,
  })
  const close = () => setOpen(undefined)
  const mayChange = may('employees:write')
  const columns = useColumns(view, change)
  return (
    <Page
      title={t('employees.title')}
      actions={
        mayChange && (
          <>
            {may('biometrics:write') && (
              <Button onClick={() => setOpen('photos')}>{t('employees.importPhotos')}</Button>
            )}
            <Button onClick={() => setOpen('people')}>{t('employees.import')}</Button>
            <Button look="primary" onClick={() => setOpen('add')}>
              {t('employees.add')}
            </Button>
          </>
        )
      }
    >
      <Card>
        <ListFilters view={view} onChange={change} />
        <div
          className={`border-line border-t transition-opacity ${employees.isPlaceholderData ? 'opacity-60' : ''}`}
        >
          <Table
            caption={t('employees.title')}
            rows={{ ...employees, data: employees.data?.rows }}
            rowKey={({ id }) => id}
            columns={columns}
            empty={
              isFiltered(view) ? (
                <EmptyWith text={t('employees.noMatch')}>
                  <Button
                    onClick={() =>
                      change({ search: undefined, department: undefined, site: undefined, state: undefined })
                    }
                  >
                    {t('employees.clearFilters')}
                  </Button>
                </EmptyWith>
              ) : (
                <EmptyWith text={t('employees.empty')}>
                  {mayChange && (
                    <>
                      <Button look="primary" onClick={() => setOpen('add')}>
                        {t('employees.add')}
                      </Button>
                      <Button onClick={() => setOpen('people')}>{t('employees.import')}</Button>
                    </>
                  )}
                </EmptyWith>
              )
            }
          />
        </div>
        <div className="flex flex-wrap items-center justify-between gap-2 border-line border-t px-2 py-1">
          <ExportButtons view={view} />
          {employees.data && (
            <p role="status" className="px-2 text-muted text-sm">
              {t('employees.count', { count: employees.data.total, shown: number(employees.data.total) })}
            </p>
          )}
        </div>
        <Pager
          skip={skip}
          limit={PAGE}
          total={employees.data?.total ?? 0}
          onSkip={(to) => change({ ...view, skip: to })}
        />
      </Card>
      {open === 'add' && (
        <AddEmployee
          onAdded={({ employee_id }) =>
            navigate({ to: '/admin/employees/$employeeId', params: { employeeId: employee_id } })
          }
          onClose={close}
        />
      )}
      {open === 'people' && <ImportPeople onClose={close} />}
      {open === 'photos' && <ImportPhotos onClose={close} />}
    </Page>
  )
}

function EmptyWith({ text, children }: { text: string; children: ReactNode }) {
  return (
    <span className="flex flex-col items-center gap-4">
      <span>{text}</span>
      <span className="flex flex-wrap justify-center gap-2">{children}</span>
    </span>
  )
}

function useColumns(view: ListView, change: (changes: ListView) => void): Column<Employee>[] {
  const { t } = useTranslation()
  /** A click sorts upwards, another one downwards. */
  const sort = (by: 'name' | 'employee_id' | 'created_at'): NonNullable<Column<Employee>['sort']> => {
    const now = view.sort ?? 'name'
    return {
      order: now === by ? 'ascending' : now === `-${by}` ? 'descending' : undefined,
      onSort: () => change({ ...view, skip: undefined, sort: now === by ? `-${by}` : by }),
    }
  }
  return [
    {
      id: 'name',
      header: t('employees.name'),
      sort: sort('name'),
      cell: (employee) => (
        <Link
          to="/admin/employees/$employeeId"
          params={{ employeeId: employee.employee_id }}
          className="flex items-center gap-3 font-medium text-accent hover:underline max-sm:flex-row-reverse"
        >
          <Avatar employee={employee} />
          <span className="min-w-0 break-words sm:min-w-32">{employee.name}</span>
        </Link>
      ),
    },
    {
      id: 'employee_id',
      header: t('employeeColumn.employee_id'),
      sort: sort('employee_id'),
      cell: ({ employee_id }) => <span className="break-all text-sm">{employee_id}</span>,
    },
    {
      id: 'department',
      header: t('employeeColumn.department'),
      cell: ({ department, position }) => (
        <>
          <p>{department ?? '–'}</p>
          {position && <p className="text-muted text-sm">{position}</p>}
        </>
      ),
    },
    {
      id: 'state',
      header: t('employees.stateOf'),
      cell: (employee) => (
        <span className="flex flex-wrap gap-1.5 max-sm:justify-end">
          <EmployeeState employee={employee} />
          {employee.photos === 0 && !employee.ended_at && (
            <Badge tone="warn" symbol="!">
              {t('employees.noPhoto')}
            </Badge>
          )}
        </span>
      ),
    },
    {
      id: 'created_at',
      header: t('employees.added'),
      sort: sort('created_at'),
      alignRight: true,
      cell: ({ created_at }) => <span className="text-sm">{shortDate(created_at)}</span>,
    },
  ]
}
