import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { percent, shortDate } from '../../shared/i18n.ts'
import { Empty, Failed, Loading } from '../../shared/states.tsx'
import { Card } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { ErrorAlert } from './alert.tsx'
import { useDone } from './done.ts'
import { EnrolDialog } from './enrol/enrol-dialog.tsx'
import { reasonsOf } from './enrol/reasons.ts'
import { type Employee, type Photo, type Processed, pathOf } from './people.ts'
import { usePhoto, usePhotos } from './picture.tsx'

/** Below it something about a photo falls short. */
const GOOD_QUALITY = 0.8

/** The photos that the person is recognised by. */
export function PhotosCard({ employee }: { employee: Employee }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const photos = usePhotos(employee.employee_id)
  const [isEnrolling, setEnrolling] = useState(false)
  const enrol = may('biometrics:write') && (
    <Button look="primary" onClick={() => setEnrolling(true)}>
      {t('enrol.add')}
    </Button>
  )
  return (
    <Card title={t('employees.photos')} aside={enrol}>
      {photos.error ? (
        <Failed error={photos.error} onRetry={photos.refetch} />
      ) : !photos.data ? (
        <Loading />
      ) : photos.data.length === 0 ? (
        <Empty>{t('employees.noPhotos')}</Empty>
      ) : (
        <ul className="grid grid-cols-2 gap-4 p-4 sm:grid-cols-3">
          {photos.data.map((photo) => (
            <PhotoTile key={photo.photo_id} {...{ employee, photo }} />
          ))}
        </ul>
      )}
      {isEnrolling && <EnrolDialog employee={employee} onClose={() => setEnrolling(false)} />}
    </Card>
  )
}

function PhotoTile({ employee, photo }: { employee: Employee; photo: Photo }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const [isDeleting, setDeleting] = useState(false)
  const { blob, url } = usePhoto(employee.employee_id, photo.photo_id)
  const reasons = useReasons(employee.employee_id, photo, blob)
  const done = useDone(employee, () => {})
  const choose = useMutation({
    mutationFn: () =>
      api(`${pathOf(employee.employee_id)}/photo`, { method: 'PUT', body: { photo_id: photo.photo_id } }),
    onSuccess: () => done(t('employees.avatarChosen')),
  })
  const isGood = photo.quality_score >= GOOD_QUALITY
  const isLearned = photo.created_from === 'ATTENDANCE'
  return (
    <li className="flex min-w-0 flex-col gap-2">
      <div className="aspect-square overflow-hidden rounded-xl bg-sunken">
        {url && (
          <img
            src={url}
            alt={t('employees.photoOf', { name: employee.name })}
            className="size-full object-cover"
          />
        )}
      </div>
      <div className="flex flex-wrap gap-1.5">
        <Badge tone={isGood ? 'good' : 'warn'} symbol={isGood ? '✓' : '!'}>
          {t('employees.quality', { value: percent(photo.quality_score) })}
        </Badge>
        {photo.is_avatar && (
          <Badge tone="info" symbol="★">
            {t('employees.avatar')}
          </Badge>
        )}
        {isLearned && <Badge>{t('employees.learned')}</Badge>}
      </div>
      {reasons?.map((reason) => (
        <p key={reason} className="text-sm text-warn">
          {t(`enrolReason.${reason}`)}
        </p>
      ))}
      <p className="text-muted text-sm">{shortDate(photo.created_at)}</p>
      {may('biometrics:write') && (
        <div className="mt-auto flex flex-wrap gap-1">
          {!photo.is_avatar && !isLearned && (
            <Button look="quiet" busy={choose.isPending} onClick={() => choose.mutate()} className="px-2!">
              {t('employees.chooseAvatar')}
            </Button>
          )}
          <Button look="quiet" onClick={() => setDeleting(true)} className="px-2!">
            {t('employees.delete')}
          </Button>
        </div>
      )}
      <ErrorAlert error={choose.error} />
      {isDeleting && <DeletePhoto {...{ employee, photo }} onClose={() => setDeleting(false)} />}
    </li>
  )
}

/** What falls short is not kept with a photo: the server looks at it once more. */
function useReasons(employeeId: string, photo: Photo, blob: Blob | undefined) {
  const { may } = useMe()
  return useQuery({
    queryKey: ['photo-reasons', employeeId, photo.photo_id],
    queryFn: async () => {
      const body = new FormData()
      body.append('image', blob!, 'photo.jpg')
      return reasonsOf(
        (await api<Processed>('/recognition/process', { method: 'POST', body })).quality.reasons,
      )
    },
    enabled: blob !== undefined && photo.quality_score < GOOD_QUALITY && may('recognition:run'),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  }).data
}

function DeletePhoto({
  employee,
  photo,
  onClose,
}: {
  employee: Employee
  photo: Photo
  onClose: () => void
}) {
  const { t } = useTranslation()
  const { data: photos } = usePhotos(employee.employee_id)
  const isLast = photos?.length === 1
  const done = useDone(employee, onClose)
  const remove = useMutation({
    mutationFn: () => api(`${pathOf(employee.employee_id)}/photos/${photo.photo_id}`, { method: 'DELETE' }),
    onSuccess: () => done(t('employees.photoDeleted')),
  })
  return (
    <Confirm
      title={t('employees.deletePhoto')}
      act={t('employees.delete')}
      busy={remove.isPending}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      <p>{isLast ? t('employees.deleteLast', { name: employee.name }) : t('employees.deleteMeans')}</p>
      <ErrorAlert error={remove.error} />
    </Confirm>
  )
}
