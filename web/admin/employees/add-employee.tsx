import { useMutation, useQueryClient } from '@tanstack/react-query'
import type { FormEvent } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError, faultOf } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { Field } from '../../shared/field.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { usePeopleError } from './faults.ts'
import type { Employee } from './people.ts'
import { isAboutField, PersonFields, readValues } from './person-fields.tsx'

export function AddEmployee({
  onAdded,
  onClose,
}: {
  onAdded: (employee: Employee) => void
  onClose: () => void
}) {
  const { t } = useTranslation()
  const errorOf = usePeopleError()
  const tell = useToast()
  const queries = useQueryClient()
  const add = useMutation({
    mutationFn: (body: object) => api<Employee>('/employees', { method: 'POST', body }),
    onSuccess: (employee) => {
      queries.invalidateQueries({ queryKey: ['employees'] })
      tell(t('employees.addedName', { name: employee.name }))
      onAdded(employee)
    },
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const employeeId = String(form.get('employee_id')).trim()
    add.mutate({ ...readValues(form), ...(employeeId && { employee_id: employeeId }) })
  }
  const isTaken = add.error instanceof ApiError && add.error.code === 'employee_id_taken'
  const idFault = faultOf(add.error, 'employee_id')
  return (
    <Dialog title={t('employees.add')} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field
          label={t('employeeColumn.employee_id')}
          hint={t('employees.idHint')}
          error={isTaken ? errorOf(add.error) : idFault}
          name="employee_id"
          maxLength={64}
          autoComplete="off"
        />
        <PersonFields error={add.error} />
        {!isTaken && !isAboutField(add.error) && <ErrorAlert error={add.error} />}
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button type="submit" look="primary" busy={add.isPending}>
            {t('employees.add')}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
