import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { api } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { useDone } from './done.ts'
import { type Employee, keyOf, pathOf } from './people.ts'
import { isAboutField, PersonFields, readValues } from './person-fields.tsx'

const shown = ['name', 'department', 'position', 'email', 'phone'] as const

/**
 * Changes a person, and only what was changed here: what somebody else changed meanwhile in other fields stays. Where
 * somebody did, it is said what it is, and the change can be sent all the same.
 */
export function EditEmployee({ employee, onClose }: { employee: Employee; onClose: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const done = useDone(employee, onClose)
  // As they were when the dialog was opened, whatever is read anew behind it.
  const [before] = useState(employee)
  const [current, setCurrent] = useState(employee)
  const save = useMutation({
    mutationFn: async (body: object) => {
      const headers = { 'if-match': `"${current.version}"` }
      return api<Employee>(pathOf(before.employee_id), { method: 'PATCH', body, headers })
    },
    onSuccess: () => done(t('employees.saved')),
    onError: async (error) => {
      if (!(error instanceof ApiError) || error.code !== 'version_mismatch') return
      setCurrent(await api<Employee>(pathOf(before.employee_id)))
      queries.invalidateQueries({ queryKey: keyOf(before.employee_id) })
    },
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const given = Object.entries(readValues(new FormData(event.currentTarget)))
    const changed = given.filter(([name, value]) => value !== before[name as keyof Employee])
    if (changed.length === 0) onClose()
    else save.mutate(Object.fromEntries(changed))
  }
  const isConflict = save.error instanceof ApiError && save.error.code === 'version_mismatch'
  const theirs = shown.filter((name) => current[name] !== before[name])
  return (
    <Dialog title={t('employees.editOf', { name: before.name })} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <PersonFields person={before} error={save.error} />
        {isConflict && (
          <div role="alert" className="rounded-xl bg-warn-soft p-4 text-warn">
            <p className="font-medium">{t('employees.conflict')}</p>
            <ul className="mt-1 list-disc pl-5">
              {theirs.map((name) => (
                <li key={name}>
                  {t('employees.conflictField', {
                    field: t(`employeeColumn.${name}`),
                    before: before[name] ?? '–',
                    now: current[name] ?? '–',
                  })}
                </li>
              ))}
            </ul>
            <p className="mt-1">{t('employees.conflictHow')}</p>
          </div>
        )}
        {!isConflict && !isAboutField(save.error) && <ErrorAlert error={save.error} />}
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button type="submit" look="primary" busy={save.isPending}>
            {isConflict ? t('employees.saveAnyway') : t('employees.save')}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
