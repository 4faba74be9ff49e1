import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { resolutionSchema, resolvedSchema } from '../../../src/attendance/schema.ts'
import { type Answer, faultOf, type Sent } from '../../shared/api.ts'
import { FormDialog } from '../../shared/form-dialog.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { useToast } from '../../shared/toast.tsx'
import { PersonField } from '../person-field.tsx'
import { api, useMe } from '../session.ts'
import { useZone } from '../site-time.ts'
import type { Dispute } from './disputes-view.tsx'
import { DecisionPicture } from './picture.tsx'
import { ReasonField } from './punch-fields.tsx'

const verdicts = ['confirmed', 'rejected'] as const

/** Says who is right, and before it what follows from it. */
export function ResolveDialog({ dispute, onClose }: { dispute: Dispute; onClose: () => void }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const tell = useToast()
  const zone = useZone()
  const queries = useQueryClient()
  const [verdict, setVerdict] = useState<(typeof verdicts)[number]>('confirmed')
  const { attendance_id, employee_name: name } = dispute
  const resolve = useMutation({
    mutationFn: (body: Sent<typeof resolutionSchema>) =>
      api<Answer<typeof resolvedSchema>>(`/attendance/${attendance_id}/not-me/resolve`, {
        method: 'POST',
        body,
      }),
    onSuccess: ({ state, look_alike }) => {
      for (const key of ['disputes', 'punches']) queries.invalidateQueries({ queryKey: [key] })
      const widened = look_alike === null ? '' : ` ${t('attendance.disputes.widened', { name: look_alike })}`
      tell(t(`attendance.disputes.done.${state as 'confirmed'}`) + widened)
      onClose()
    },
  })
  const submit = (form: FormData) => {
    const notes = String(form.get('notes'))
    const employee_id = String(form.get('employee_id') ?? '').trim()
    resolve.mutate({ confirmed: verdict === 'confirmed', notes, ...(employee_id && { employee_id }) })
  }
  const fault = faultOf(resolve.error, 'employee_id')
  return (
    <FormDialog
      title={t('attendance.disputes.title', { name })}
      act={t(`attendance.disputes.act.${verdict}`)}
      look={verdict === 'confirmed' ? 'danger' : 'primary'}
      busy={resolve.isPending}
      error={resolve.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <p className="text-muted">
        {dateTime(dispute.timestamp, zone)} · {dispute.device_id}
      </p>
      {may('biometrics:read') && <DecisionPicture path={`/attendance/${attendance_id}/image`} />}
      <fieldset className="flex flex-col gap-3">
        <legend className="mb-1 font-medium">{t('attendance.disputes.question', { name })}</legend>
        {verdicts.map((one) => (
          <label key={one} className="flex gap-3 rounded-xl border border-line p-3 has-checked:border-accent">
            <input
              type="radio"
              name="verdict"
              className="mt-1 size-4 accent-accent"
              checked={verdict === one}
              onChange={() => setVerdict(one)}
            />
            <span>
              <span className="font-medium">{t(`attendance.disputes.verdict.${one}`)}</span>
              <span className="block text-muted text-sm">{t(`attendance.disputes.means.${one}`)}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {verdict === 'confirmed' && (
        <PersonField label={t('attendance.disputes.who')} name="employee_id" error={fault} />
      )}
      <ReasonField />
    </FormDialog>
  )
}
