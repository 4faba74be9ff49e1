import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { saveFile } from '../../shared/download.ts'
import { dateTime, number } from '../../shared/i18n.ts'
import { Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, request, useMe } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { useDone } from './employee-acts.tsx'
import { usePeopleError } from './faults.ts'
import { type Employee, type Erasure, keyOf, pathOf } from './people.ts'

/** What a person has a right to: a copy of what is kept of them, and that their face is forgotten. */
export function DataCard({ employee }: { employee: Employee }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const tell = useToast()
  const { errorOf } = usePeopleError()
  const [isErasing, setErasing] = useState(false)
  const path = pathOf(employee.employee_id)
  const save = useMutation({
    mutationFn: async (format: 'zip' | 'json') => {
      const response = await request(`${path}/data-export`, { query: { format } })
      saveFile(await response.blob(), `${employee.employee_id}.${format}`)
    },
    onError: (error) => tell(errorOf(error), 'bad'),
  })
  const mayExport = may('employees:read') && may('attendance:read')
  return (
    <Card title={t('employees.privacy')}>
      {mayExport && (
        <div className="flex flex-col items-start gap-2 p-4">
          <p className="text-muted text-sm">{t('employees.exportMeans')}</p>
          <div className="flex flex-wrap gap-2">
            {(['zip', 'json'] as const).map((format) => (
              <Button
                key={format}
                busy={save.isPending && save.variables === format}
                onClick={() => save.mutate(format)}
              >
                {t('employees.dataAs', { format: format.toUpperCase() })}
              </Button>
            ))}
          </div>
        </div>
      )}
      {may('biometrics:write') && employee.ended_at === null && (
        <div className="flex flex-col items-start gap-2 border-line border-t p-4">
          <p className="text-muted text-sm">{t('employees.eraseMeans')}</p>
          <Button look="danger" onClick={() => setErasing(true)}>
            {t('employees.erase')}
          </Button>
        </div>
      )}
      <Certificates employeeId={employee.employee_id} />
      {isErasing && <Erase employee={employee} onClose={() => setErasing(false)} />}
    </Card>
  )
}

function Certificates({ employeeId }: { employeeId: string }) {
  const { t } = useTranslation()
  const erasures = useQuery({
    queryKey: keyOf(employeeId, 'erasures'),
    queryFn: () => api<Erasure[]>(`${pathOf(employeeId)}/erasures`),
  })
  if (!erasures.data?.length) return null
  return (
    <div className="border-line border-t">
      <h3 className="px-4 pt-3 font-medium">{t('employees.certificates')}</h3>
      <Table
        caption={t('employees.certificates')}
        rows={erasures}
        rowKey={({ erasure_id }) => erasure_id}
        empty={null}
        columns={[
          {
            id: 'at',
            header: t('employees.time'),
            cell: ({ at, reason }) => (
              <>
                <p>{dateTime(at)}</p>
                <p className="text-muted text-sm">{t(`erasedFor.${reason}`)}</p>
              </>
            ),
          },
          {
            id: 'what',
            header: t('employees.erasedWhat'),
            cell: ({ deleted_photos, deleted_face_templates, key_erased }) => (
              <>
                <p>
                  {t('employees.erasedCounts', {
                    photos: number(deleted_photos),
                    templates: number(deleted_face_templates),
                  })}
                </p>
                {key_erased && (
                  <Badge tone="good" symbol="✓">
                    {t('employees.keyErased')}
                  </Badge>
                )}
              </>
            ),
          },
          {
            id: 'save',
            header: '',
            alignRight: true,
            cell: (erasure) => (
              <Button
                look="quiet"
                onClick={() =>
                  saveFile(
                    new Blob([JSON.stringify(erasure, null, 2)], { type: 'application/json' }),
                    `erasure-${erasure.erasure_id}.json`,
                  )
                }
              >
                {t('employees.save')}
              </Button>
            ),
          },
        ]}
      />
    </div>
  )
}

function Erase({ employee, onClose }: { employee: Employee; onClose: () => void }) {
  const { t } = useTranslation()
  const done = useDone(employee, onClose)
  const erase = useMutation({
    mutationFn: () => api(`${pathOf(employee.employee_id)}/erase`, { method: 'POST' }),
    onSuccess: () => done(t('employees.erased')),
  })
  return (
    <Confirm
      title={t('employees.eraseOf', { name: employee.name })}
      act={t('employees.erase')}
      busy={erase.isPending}
      onConfirm={() => erase.mutate()}
      onClose={onClose}
    >
      <ul className="list-disc space-y-1 pl-5">
        <li>{t('employees.eraseGoes')}</li>
        <li>{t('employees.eraseBackups')}</li>
        <li>{t('employees.eraseStays')}</li>
      </ul>
      <p className="font-medium text-bad">{t('employees.noWayBack')}</p>
      <ErrorAlert error={erase.error} />
    </Confirm>
  )
}
