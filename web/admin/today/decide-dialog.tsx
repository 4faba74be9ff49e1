import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type MouseEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { faultOf } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { Field, Select } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { useToast } from '../../shared/toast.tsx'
import { PersonField } from '../person-field.tsx'
import { usePicture } from '../picture.ts'
import { api, useMe } from '../session.ts'
import { useZone } from '../site-time.ts'
import type { Punch } from './live-punches.ts'
import type { Pending } from './pending-card.tsx'

interface DecideDialogProps {
  pending: Pending
  /** In words. */
  why: string
  onDecided: () => void
  onClose: () => void
}

/** Enters a check that a kiosk kept as somebody's punch, or lets it go. One that is a punch already is only seen to. */
export function DecideDialog({ pending, why, onDecided, onClose }: DecideDialogProps) {
  const { t } = useTranslation()
  const tell = useToast()
  const zone = useZone()
  const queries = useQueryClient()
  /** The notes with which it is to be let go, once that was asked for. */
  const [lettingGo, setLettingGo] = useState<string>()
  const resolve = useMutation({
    mutationFn: (body: object) =>
      api<{ punch: Punch | null }>(`/attendance/pending/${pending.id}/resolve`, { method: 'POST', body }),
    onSuccess: ({ punch }) => {
      for (const key of ['pending', 'today', 'punches']) queries.invalidateQueries({ queryKey: [key] })
      if (punch) {
        const direction = t(`direction.${punch.attendance_type}`)
        tell(t('pending.entered', { name: punch.employee_name, direction }))
      } else tell(t(isPunch ? 'pending.seenTo' : 'pending.dismissed'))
      onDecided()
      onClose()
    },
    onError: () => setLettingGo(undefined),
  })
  const isPunch = pending.punch_id !== null
  const letGo = (notes: string) => resolve.mutate({ dismiss: true, notes })
  const submit = (form: FormData) => {
    const notes = typed(form, 'notes')
    if (isPunch) letGo(notes)
    else
      resolve.mutate({
        employee_id: typed(form, 'employee_id'),
        attendance_type: form.get('attendance_type'),
        notes,
      })
  }
  /** It takes notes, too, but nobody's name. */
  const askToLetGo = ({ currentTarget }: MouseEvent<HTMLButtonElement>) => {
    const notes = currentTarget.form!.elements.namedItem('notes') as HTMLInputElement
    if (notes.reportValidity()) setLettingGo(notes.value.trim())
  }
  const fault = faultOf(resolve.error, 'employee_id')
  return (
    <>
      <FormDialog
        title={t('pending.decide')}
        act={t(isPunch ? 'pending.seen' : 'pending.enter')}
        busy={resolve.isPending}
        other={
          !isPunch && (
            <Button look="danger" disabled={resolve.isPending} onClick={askToLetGo}>
              {t('pending.dismiss')}
            </Button>
          )
        }
        error={fault ? undefined : resolve.error}
        onSubmit={submit}
        onClose={onClose}
      >
        <p className="text-muted">
          {dateTime(pending.captured_at, zone)} · {pending.device_id} · {why}
        </p>
        {isPunch && <p>{t('pending.isPunch')}</p>}
        <PendingPicture pending={pending} />
        {!isPunch && (
          <>
            <PersonField label={t('pending.who')} name="employee_id" error={fault} required />
            <Direction asked={pending.attendance_type} />
          </>
        )}
        <Field
          label={t('pending.notes')}
          hint={t('pending.notesHint')}
          name="notes"
          maxLength={500}
          required
        />
      </FormDialog>
      {lettingGo !== undefined && (
        <Confirm
          title={t('pending.dismissAsk')}
          act={t('pending.dismiss')}
          busy={resolve.isPending}
          onConfirm={() => letGo(lettingGo)}
          onClose={() => setLettingGo(undefined)}
        >
          <p>{t('pending.dismissMeans')}</p>
        </Confirm>
      )}
    </>
  )
}

/** As it was asked for at the kiosk; where that left it open, somebody says which it was, for none is likelier. */
function Direction({ asked }: { asked: Pending['attendance_type'] }) {
  const { t } = useTranslation()
  const isOpen = asked === 'AUTO'
  return (
    <Select
      label={t('pending.type')}
      hint={isOpen ? t('pending.typeOpen') : t('pending.typeAsked', { direction: t(`direction.${asked}`) })}
      name="attendance_type"
      defaultValue={isOpen ? '' : asked}
      required
    >
      {isOpen && <option value="">{t('pending.choose')}</option>}
      <option value="IN">{t('direction.IN')}</option>
      <option value="OUT">{t('direction.OUT')}</option>
    </Select>
  )
}

function PendingPicture({ pending: { id, has_picture } }: { pending: Pending }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const isSeen = has_picture && may('biometrics:read')
  const { url } = usePicture(isSeen ? `/attendance/pending/${id}/image` : undefined)
  if (!url) return null
  return <img src={url} alt={t('pending.picture')} className="max-h-72 rounded-xl object-contain" />
}
