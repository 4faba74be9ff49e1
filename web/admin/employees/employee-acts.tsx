import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api, useMe } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { useDone } from './done.ts'
import { EditEmployee } from './edit-employee.tsx'
import { type Employee, keyOf, pathOf } from './people.ts'

/** What can be done with a person who is here. */
export function EmployeeActs({ employee }: { employee: Employee }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const [open, setOpen] = useState<'edit' | 'deactivate' | 'reactivate' | 'end'>()
  const close = () => setOpen(undefined)
  if (!may('employees:write')) return null
  const turn = employee.is_active ? 'deactivate' : 'reactivate'
  return (
    <>
      <Button onClick={() => setOpen('end')} look="danger">
        {t('employees.end')}
      </Button>
      <Button onClick={() => setOpen(turn)}>{t(`employeeAct.${turn}`)}</Button>
      <Button look="primary" onClick={() => setOpen('edit')}>
        {t('employees.edit')}
      </Button>
      {open === 'edit' && <EditEmployee employee={employee} onClose={close} />}
      {(open === 'deactivate' || open === 'reactivate') && (
        <Turn employee={employee} act={open} onClose={close} />
      )}
      {open === 'end' && <EndEmployment employee={employee} onClose={close} />}
    </>
  )
}

interface ActProps {
  employee: Employee
  onClose: () => void
}

function Turn({ employee, act, onClose }: ActProps & { act: 'deactivate' | 'reactivate' }) {
  const { t } = useTranslation()
  const done = useDone(employee, onClose)
  const turn = useMutation({
    mutationFn: () => api(`${pathOf(employee.employee_id)}/${act}`, { method: 'POST' }),
    onSuccess: () => done(t(`employeeDone.${act}`, { name: employee.name })),
  })
  return (
    <Confirm
      title={t(`employeeAsk.${act}`, { name: employee.name })}
      act={t(`employeeAct.${act}`)}
      busy={turn.isPending}
      onConfirm={() => turn.mutate()}
      onClose={onClose}
    >
      <p>{t(`employeeMeans.${act}`)}</p>
      <ErrorAlert error={turn.error} />
    </Confirm>
  )
}

function EndEmployment({ employee, onClose }: ActProps) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const key = keyOf(employee.employee_id)
  const end = useMutation({
    mutationFn: () => api(pathOf(employee.employee_id), { method: 'DELETE' }),
    onSuccess: () => {
      // What there is of somebody who is here is no longer to be asked for.
      queries.setQueryData<Employee>(key, { ...employee, ended_at: new Date().toISOString() })
      for (const part of ['consents', 'erasures']) queries.invalidateQueries({ queryKey: [...key, part] })
      queries.invalidateQueries({ queryKey: ['employees'] })
      tell(t('employees.ended', { name: employee.name }))
      onClose()
    },
  })
  return (
    <Confirm
      title={t('employees.endOf', { name: employee.name })}
      act={t('employees.end')}
      busy={end.isPending}
      onConfirm={() => end.mutate()}
      onClose={onClose}
    >
      <ul className="list-disc space-y-1 pl-5">
        <li>{t('employees.endErases')}</li>
        <li>{t('employees.endKeeps')}</li>
        <li>{t('employees.endId', { id: employee.employee_id })}</li>
      </ul>
      <p className="font-medium text-bad">{t('employees.noWayBack')}</p>
      <ErrorAlert error={end.error} />
    </Confirm>
  )
}
