import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { Field } from '../../shared/field.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { type Employee, pathOf } from './people.ts'

/** Removes a person with all that there is of them. Nobody does it by a slip: the id is to be typed. */
export function Purge({ employee, onClose }: { employee: Employee; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const [typed, setTyped] = useState('')
  const purge = useMutation({
    mutationFn: () =>
      api(pathOf(employee.employee_id), { method: 'DELETE', query: { purge: true, confirm: typed.trim() } }),
    onSuccess: async () => {
      tell(t('employees.purged', { name: employee.name }))
      await navigate({ to: '/admin/employees' })
      queries.invalidateQueries({ queryKey: ['employees'] })
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    purge.mutate()
  }
  return (
    <Dialog title={t('employees.purgeOf', { name: employee.name })} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <ul className="list-disc space-y-1 pl-5 text-muted">
          <li>{t('employees.purgeGoes')}</li>
          <li>{t('employees.purgeEvidence')}</li>
          <li>{t('employees.purgeStays')}</li>
        </ul>
        <p className="font-medium text-bad">{t('employees.noWayBack')}</p>
        <Field
          label={t('employees.purgeType', { id: employee.employee_id })}
          value={typed}
          autoComplete="off"
          onChange={(event) => setTyped(event.target.value)}
        />
        <ErrorAlert error={purge.error} />
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button
            type="submit"
            look="danger"
            busy={purge.isPending}
            disabled={typed.trim() !== employee.employee_id}
          >
            {t('employees.purge')}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
