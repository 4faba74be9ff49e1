import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { faultOf } from '../../shared/api.ts'
import { Field, Select } from '../../shared/field.tsx'
import { FormDialog } from '../../shared/form-dialog.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { useToast } from '../../shared/toast.tsx'
import { PersonField } from '../person-field.tsx'
import { api } from '../session.ts'
import { momentOf, useZone, wallTime } from '../site-time.ts'
import { Direction, type Punch } from './marks.tsx'
import { DirectionField, ReasonField } from './punch-fields.tsx'

const ways = ['change', 'person', 'void'] as const
type Way = (typeof ways)[number]

/** Puts another punch in the place of one, gives it to somebody else, or takes it away. The old one stays to be seen. */
export function CorrectDialog({ punch, onClose }: { punch: Punch; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const zone = useZone()
  const queries = useQueryClient()
  const [way, setWay] = useState<Way>('change')
  const before = wallTime(punch.timestamp, zone)
  const correct = useMutation({
    mutationFn: (form: FormData) => send(punch, way, form, before, zone),
    onSuccess: () => {
      for (const key of ['punches', 'explanation', 'chain']) queries.invalidateQueries({ queryKey: [key] })
      tell(t('attendance.correct.done'))
      onClose()
    },
  })
  const fault = (field: string) => faultOf(correct.error, field)
  return (
    <FormDialog
      title={t('attendance.correct.title', { name: punch.employee_name })}
      act={t(`attendance.correct.act.${way}`)}
      look={way === 'void' ? 'danger' : 'primary'}
      busy={correct.isPending}
      error={correct.error}
      onSubmit={correct.mutate}
      onClose={onClose}
    >
      <p className="flex flex-wrap items-center gap-2 text-muted">
        <Direction type={punch.attendance_type} />
        {dateTime(punch.timestamp, zone)} · {punch.device_id ?? t('attendance.noDevice')}
      </p>
      <Select
        label={t('attendance.correct.what')}
        hint={t(`attendance.correct.means.${way}`)}
        value={way}
        onChange={({ target }) => setWay(ways.find((one) => one === target.value)!)}
      >
        {ways.map((one) => (
          <option key={one} value={one}>
            {t(`attendance.correct.way.${one}`)}
          </option>
        ))}
      </Select>
      {way === 'change' && (
        <div className="grid gap-4 sm:grid-cols-2">
          <Field
            label={t('attendance.time')}
            error={fault('timestamp')}
            name="time"
            type="datetime-local"
            defaultValue={before}
            required
          />
          <DirectionField defaultValue={punch.attendance_type} />
        </div>
      )}
      {way === 'person' && (
        <PersonField
          label={t('attendance.correct.whose')}
          name="employee_id"
          error={fault('employee_id')}
          required
        />
      )}
      <ReasonField />
    </FormDialog>
  )
}

async function send(punch: Punch, way: Way, form: FormData, before: string, zone: string | undefined) {
  const notes = String(form.get('notes'))
  const correction = (body: object) =>
    api(`/attendance/${punch.id}/correct`, { method: 'POST', body: { ...body, notes } })
  if (way === 'void') return correction({ void: true })
  if (way === 'person') {
    // With all that follows from a mistaken face: what was learned from it goes, and the two are told apart more surely.
    if (punch.kind === 'face')
      return api(`/attendance/${punch.id}/not-me/resolve`, {
        method: 'POST',
        body: { confirmed: true, employee_id: String(form.get('employee_id')).trim(), notes },
      })
    // First: where it is refused nothing has happened.
    const { device_id, timestamp, attendance_type } = punch
    const employee_id = String(form.get('employee_id')).trim()
    const body = { employee_id, device_id, timestamp, attendance_type, notes }
    await api('/attendance/manual', { method: 'POST', body })
    return correction({ void: true })
  }
  const time = String(form.get('time'))
  return correction({
    attendance_type: form.get('attendance_type'),
    // A punch has seconds, which the field does not show: who leaves it as it is keeps them.
    ...(time !== before && { timestamp: momentOf(time, zone).toISOString() }),
  })
}
