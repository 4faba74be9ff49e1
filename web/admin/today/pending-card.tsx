import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { pendingSchema } from '../../../src/attendance/sync-schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { Field, Select } from '../../shared/field.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { useObjectUrl } from '../../shared/object-url.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { Table } from '../../shared/table.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, apiList, request, useMe } from '../session.ts'

type Pending = Answer<typeof pendingSchema>

const READ_MS = 30_000

/** What kiosks kept while they were off line, and somebody has to decide; nothing is drawn where nothing waits. */
export function PendingCard() {
  const { t, i18n } = useTranslation()
  const [chosen, setChosen] = useState<Pending>()
  const pending = useQuery({
    queryKey: ['pending'],
    queryFn: () => apiList<Pending>('/attendance/pending', { query: { limit: 20 } }),
    refetchInterval: READ_MS,
  })
  if (!pending.data?.total) return null
  /** Of the catalogue where it is one of the frequent ones. */
  const why = ({ reason, flags }: Pending) => {
    const key = `pendingReason.${reason}` as 'pendingReason.not_identified'
    const told = reason === null ? [] : [i18n.exists(key) ? t(key) : reason]
    return [...told, ...flags.map((flag) => t(`pendingFlag.${flag}`))].join(', ')
  }
  return (
    <Card
      title={t('pending.title')}
      aside={
        <Badge tone="warn" symbol="!">
          {number(pending.data.total)}
        </Badge>
      }
    >
      <Table
        caption={t('pending.title')}
        rows={{ ...pending, data: pending.data.rows }}
        rowKey={({ id }) => id}
        empty={null}
        columns={[
          { id: 'time', header: t('pending.time'), cell: ({ captured_at }) => dateTime(captured_at) },
          { id: 'device', header: t('pending.device'), cell: ({ device_id }) => device_id },
          { id: 'why', header: t('pending.why'), cell: why },
          {
            id: 'act',
            header: '',
            alignRight: true,
            cell: (row) => <Button onClick={() => setChosen(row)}>{t('pending.decide')}</Button>,
          },
        ]}
      />
      {chosen && <Decide pending={chosen} why={why(chosen)} onClose={() => setChosen(undefined)} />}
    </Card>
  )
}

function Decide({ pending, why, onClose }: { pending: Pending; why: string; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const resolve = useMutation({
    mutationFn: (body: object) =>
      api<{ punch: object | null }>(`/attendance/pending/${pending.id}/resolve`, { method: 'POST', body }),
    onSuccess: ({ punch }) => {
      queries.invalidateQueries({ queryKey: ['pending'] })
      queries.invalidateQueries({ queryKey: ['today'] })
      tell(punch ? t('pending.entered') : t('pending.dismissed'))
      onClose()
    },
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const { submitter } = event.nativeEvent as SubmitEvent
    const notes = String(form.get('notes'))
    if ((submitter as HTMLButtonElement).value === 'dismiss') resolve.mutate({ dismiss: true, notes })
    else
      resolve.mutate({
        employee_id: String(form.get('employee_id')),
        attendance_type: form.get('attendance_type'),
        notes,
      })
  }
  return (
    <Dialog title={t('pending.decide')} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <p className="text-muted">
          {dateTime(pending.captured_at)} · {pending.device_id} · {why}
        </p>
        <PendingPicture pending={pending} />
        {pending.punch_id === null && (
          <>
            <Field label={t('pending.who')} hint={t('pending.whoHint')} name="employee_id" maxLength={64} />
            <Select
              label={t('pending.type')}
              name="attendance_type"
              defaultValue={pending.attendance_type === 'OUT' ? 'OUT' : 'IN'}
            >
              <option value="IN">{t('direction.IN')}</option>
              <option value="OUT">{t('direction.OUT')}</option>
            </Select>
          </>
        )}
        <Field
          label={t('pending.notes')}
          hint={t('pending.notesHint')}
          name="notes"
          maxLength={500}
          required
        />
        <Refusal error={resolve.error} />
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button type="submit" value="dismiss" look="danger" busy={resolve.isPending}>
            {t('pending.dismiss')}
          </Button>
          {pending.punch_id === null && (
            <Button type="submit" value="enter" look="primary" busy={resolve.isPending}>
              {t('pending.enter')}
            </Button>
          )}
        </div>
      </form>
    </Dialog>
  )
}

function PendingPicture({ pending: { id, has_picture } }: { pending: Pending }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const picture = useQuery({
    queryKey: ['pending-picture', id],
    queryFn: async () => (await request(`/attendance/pending/${id}/image`)).blob(),
    enabled: has_picture && may('biometrics:read'),
    retry: false,
  })
  const url = useObjectUrl(picture.data)
  if (!url) return null
  return <img src={url} alt={t('pending.picture')} className="max-h-72 rounded-xl object-contain" />
}
