import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { saveBlob } from '../../shared/save-blob.ts'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, request, useMe } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { Certificates } from './certificates.tsx'
import { useDone } from './done.ts'
import { usePeopleError } from './faults.ts'
import { type Employee, pathOf } from './people.ts'
import { Purge } from './purge.tsx'

/** What a person has a right to: a copy of what is kept of them, and that their face is forgotten. */
export function DataCard({ employee }: { employee: Employee }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const tell = useToast()
  const errorOf = usePeopleError()
  const [isErasing, setErasing] = useState(false)
  const [isPurging, setPurging] = useState(false)
  const path = pathOf(employee.employee_id)
  const save = useMutation({
    mutationFn: async (format: 'zip' | 'json') => {
      const response = await request(`${path}/data-export`, { query: { format } })
      saveBlob(await response.blob(), `${employee.employee_id}.${format}`)
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
      {may('employees:purge') && (
        <div className="flex flex-col items-start gap-2 border-line border-t p-4">
          <p className="text-muted text-sm">{t('employees.purgeFor')}</p>
          <Button look="danger" onClick={() => setPurging(true)}>
            {t('employees.purge')}
          </Button>
        </div>
      )}
      <Certificates employeeId={employee.employee_id} />
      {isErasing && <Erase employee={employee} onClose={() => setErasing(false)} />}
      {isPurging && <Purge employee={employee} onClose={() => setPurging(false)} />}
    </Card>
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
