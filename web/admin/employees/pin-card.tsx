import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { pinStateSchema } from '../../../src/attendance/schema.ts'
import { type Answer, faultOf } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { Field } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Failed, Loading } from '../../shared/states.tsx'
import { Card } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { useDone } from './done.ts'
import { type Employee, keyOf, pathOf } from './people.ts'

/** Whether the person has a PIN for kiosks that do not recognise them, and giving or taking it. */
export function PinCard({ employee }: { employee: Employee }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const [open, setOpen] = useState<'set' | 'remove'>()
  const pin = useQuery({
    queryKey: keyOf(employee.employee_id, 'pin'),
    queryFn: () => api<Answer<typeof pinStateSchema>>(`${pathOf(employee.employee_id)}/pin`),
  })
  const close = () => setOpen(undefined)
  if (!pin.data)
    return (
      <Card title={t('employees.pin')}>
        {pin.error ? <Failed error={pin.error} onRetry={pin.refetch} /> : <Loading />}
      </Card>
    )
  const { set_at } = pin.data
  return (
    <Card title={t('employees.pin')}>
      <div className="flex flex-wrap items-center justify-between gap-3 p-4">
        <p className="min-w-0 flex-1 text-muted">
          {set_at ? t('employees.pinSince', { time: dateTime(set_at) }) : t('employees.noPin')}
        </p>
        {may('employees:write') && employee.is_active && (
          <div className="flex flex-wrap gap-2">
            <Button onClick={() => setOpen('set')}>
              {t(set_at ? 'employees.changePin' : 'employees.setPin')}
            </Button>
            {set_at && (
              <Button look="quiet" onClick={() => setOpen('remove')}>
                {t('employees.removePin')}
              </Button>
            )}
          </div>
        )}
      </div>
      {open === 'set' && <SetPin employee={employee} onClose={close} />}
      {open === 'remove' && <RemovePin employee={employee} onClose={close} />}
    </Card>
  )
}

interface ActProps {
  employee: Employee
  onClose: () => void
}

function SetPin({ employee, onClose }: ActProps) {
  const { t } = useTranslation()
  const done = useDone(employee, onClose)
  const set = useMutation({
    mutationFn: (pin: string) => api(`${pathOf(employee.employee_id)}/pin`, { method: 'PUT', body: { pin } }),
    onSuccess: () => done(t('employees.pinIsSet')),
  })
  const fault = faultOf(set.error, 'pin') ? t('employees.pinRefused') : undefined
  return (
    <FormDialog
      title={t('employees.pinOf', { name: employee.name })}
      act={t('employees.setPin')}
      busy={set.isPending}
      error={fault ? undefined : set.error}
      onSubmit={(form) => set.mutate(typed(form, 'pin'))}
      onClose={onClose}
    >
      <Field
        label={t('employees.newPin')}
        hint={t('employees.pinHint')}
        error={fault}
        name="pin"
        inputMode="numeric"
        autoComplete="off"
        pattern="[0-9]{4,8}"
        maxLength={8}
        required
      />
    </FormDialog>
  )
}

function RemovePin({ employee, onClose }: ActProps) {
  const { t } = useTranslation()
  const done = useDone(employee, onClose)
  const remove = useMutation({
    mutationFn: () => api(`${pathOf(employee.employee_id)}/pin`, { method: 'DELETE' }),
    onSuccess: () => done(t('employees.pinRemoved')),
  })
  return (
    <Confirm
      title={t('employees.removePinOf', { name: employee.name })}
      act={t('employees.removePin')}
      busy={remove.isPending}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      <p>{t('employees.removePinMeans')}</p>
      <ErrorAlert error={remove.error} />
    </Confirm>
  )
}
