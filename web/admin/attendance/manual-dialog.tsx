import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { manualSchema } from '../../../src/attendance/schema.ts'
import { faultOf, type Sent } from '../../shared/api.ts'
import { Field } from '../../shared/field.tsx'
import { FormDialog } from '../../shared/form-dialog.tsx'
import { useToast } from '../../shared/toast.tsx'
import { PersonField } from '../person-field.tsx'
import { api } from '../session.ts'
import { momentOf, useZone, wallTime } from '../site-time.ts'
import type { Punch } from './marks.tsx'
import { DirectionField, ReasonField } from './punch-fields.tsx'

/** Enters a punch that no kiosk saw. */
export function ManualDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const zone = useZone()
  const queries = useQueryClient()
  const enter = useMutation({
    mutationFn: (body: Sent<typeof manualSchema>) =>
      api<Punch>('/attendance/manual', { method: 'POST', body }),
    onSuccess: ({ employee_name }) => {
      queries.invalidateQueries({ queryKey: ['punches'] })
      tell(t('attendance.manual.done', { name: employee_name }))
      onClose()
    },
  })
  const submit = (form: FormData) => {
    enter.mutate({
      employee_id: String(form.get('employee_id')).trim(),
      attendance_type: form.get('attendance_type') === 'OUT' ? 'OUT' : 'IN',
      timestamp: momentOf(String(form.get('time')), zone).toISOString(),
      notes: String(form.get('notes')),
    })
  }
  const fault = (field: string) => faultOf(enter.error, field)
  return (
    <FormDialog
      title={t('attendance.manual.open')}
      act={t('attendance.manual.act')}
      busy={enter.isPending}
      error={enter.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <PersonField label={t('attendance.person')} name="employee_id" error={fault('employee_id')} required />
      <div className="grid gap-4 sm:grid-cols-2">
        <Field
          label={t('attendance.time')}
          error={fault('timestamp')}
          name="time"
          type="datetime-local"
          defaultValue={wallTime(new Date(), zone)}
          required
        />
        <DirectionField />
      </div>
      <ReasonField />
    </FormDialog>
  )
}
