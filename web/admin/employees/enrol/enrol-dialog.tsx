import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../../../shared/api.ts'
import { Button } from '../../../shared/button.tsx'
import { Dialog } from '../../../shared/dialog.tsx'
import { FileDrop } from '../../../shared/file-drop.tsx'
import { Failed, Loading } from '../../../shared/states.tsx'
import { api } from '../../session.ts'
import { ErrorAlert } from '../alert.tsx'
import { useSites } from '../choices.ts'
import { ConsentAsked, newestTextVersion } from '../consent-asked.tsx'
import { holds, useConsents } from '../consent-card.tsx'
import { useReadAnew } from '../done.ts'
import { Working } from '../import-parts.tsx'
import { type Employee, type Enrolled, type PhotoVerdict, pathOf } from '../people.ts'
import { usePhotos } from '../picture.tsx'
import { aims } from './aims.ts'
import { CameraStep, type Shots } from './camera-step.tsx'
import { PhotoChoice } from './photo-choice.tsx'
import { shrink } from './shrink.ts'
import { Verdicts } from './verdicts.tsx'

const ways = ['camera', 'files'] as const
/** What a person may have. */
const MAX_PHOTOS = 10

/** Photos of a person, from the camera or from files: consent first, then the photos, then what the server says of each. */
export function EnrolDialog({ employee, onClose }: { employee: Employee; onClose: () => void }) {
  const { t } = useTranslation()
  const consents = useConsents(employee.employee_id)
  return (
    <Dialog title={t('enrol.title', { name: employee.name })} onClose={onClose} isWide>
      {consents.error ? (
        <Failed error={consents.error} onRetry={consents.refetch} />
      ) : !consents.data ? (
        <Loading />
      ) : (
        <Enrolment employee={employee} hasConsent={consents.data.some(holds)} onClose={onClose} />
      )}
    </Dialog>
  )
}

interface EnrolmentProps {
  employee: Employee
  hasConsent: boolean
  onClose: () => void
}

function Enrolment({ employee, hasConsent, onClose }: EnrolmentProps) {
  const { t } = useTranslation()
  // As it was at first: what is recorded with the photos does not change what is drawn here.
  const [isAsked] = useState(!hasConsent)
  const [agreed, setAgreed] = useState(false)
  const [version, setVersion] = useState(newestTextVersion)
  const site = useSites()?.find(({ id }) => id === employee.site_id)
  const isReady = !isAsked || agreed || site?.require_consent === false
  const [way, setWay] = useState<(typeof ways)[number]>('camera')
  const [shots, setShots] = useState<Shots>({})
  const [files, setFiles] = useState<File[]>([])
  const hasAvatar = usePhotos(employee.employee_id).data?.some(({ is_avatar }) => is_avatar) ?? false
  const [chosen, setChosen] = useState<number>()
  const photos =
    way === 'files'
      ? files
      : aims.flatMap((aim) =>
          shots[aim] ? [new File([shots[aim]], t(`enrolAim.${aim}`), { type: 'image/jpeg' })] : [],
        )
  const avatar = hasAvatar ? chosen : (chosen ?? 0)
  const send = useEnrolment(employee)
  const results = resultsOf(send.data, send.error)
  const again = () => {
    setShots({})
    setFiles([])
    setChosen(undefined)
    send.reset()
  }

  if (results && send.variables)
    return (
      <div className="flex flex-col gap-4">
        <Outcome results={results} warning={send.data?.also_enrolled_as.length !== 0} />
        <Verdicts photos={send.variables.photos} results={results} />
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={again}>{t('enrol.more')}</Button>
          <Button look="primary" onClick={onClose}>
            {t('common.close')}
          </Button>
        </div>
      </div>
    )
  return (
    <div className="flex flex-col gap-4">
      {isAsked && (
        <ConsentAsked
          label={t('employees.agrees', { name: employee.name })}
          {...{ agreed, version }}
          onAgreed={setAgreed}
          onVersion={setVersion}
        />
      )}
      {isReady ? (
        <>
          <fieldset className="flex gap-2">
            <legend className="sr-only">{t('enrol.way')}</legend>
            {ways.map((one) => (
              <Button
                key={one}
                aria-pressed={way === one}
                onClick={() => {
                  setWay(one)
                  setChosen(undefined)
                }}
                className="aria-pressed:border-accent aria-pressed:text-accent"
              >
                {t(`enrolFrom.${one}`)}
              </Button>
            ))}
          </fieldset>
          {way === 'camera' ? (
            <CameraStep
              shots={shots}
              onShot={(aim, picture) => setShots((before) => ({ ...before, [aim]: picture }))}
            />
          ) : (
            <FileDrop
              label={t('enrol.chooseFiles')}
              hint={t('enrol.filesHint')}
              accept="image/jpeg,image/png,image/webp"
              multiple
              onFiles={async (added) => {
                const small = await Promise.all(added.map(shrink))
                setFiles((before) => [...before, ...small].slice(0, MAX_PHOTOS))
              }}
            />
          )}
          {photos.length > 0 && (
            <PhotoChoice
              {...{ photos, avatar, hasAvatar }}
              onAvatar={setChosen}
              onRemove={
                way === 'files'
                  ? (index) => {
                      setFiles((before) => before.filter((_, at) => at !== index))
                      setChosen(undefined)
                    }
                  : undefined
              }
            />
          )}
        </>
      ) : (
        <p className="text-muted">{t('enrol.consentFirst')}</p>
      )}
      {send.isPending && <Working>{t('enrol.looking')}</Working>}
      <ErrorAlert error={send.error} />
      <div className="flex flex-wrap justify-end gap-3">
        <Button onClick={onClose}>{t('common.cancel')}</Button>
        <Button
          look="primary"
          disabled={!isReady || photos.length === 0}
          busy={send.isPending}
          onClick={() => send.mutate({ photos, avatar, consent: isAsked && agreed ? version : undefined })}
        >
          {photos.length === 0 ? t('enrol.act') : t('enrol.send', { count: photos.length })}
        </Button>
      </div>
    </div>
  )
}

interface Sent {
  photos: File[]
  avatar: number | undefined
  consent: string | undefined
}

function useEnrolment(employee: Employee) {
  const readAnew = useReadAnew(employee)
  return useMutation({
    mutationFn: ({ photos, avatar, consent }: Sent) => {
      const body = new FormData()
      if (consent !== undefined) body.append('consent', consent)
      if (avatar !== undefined) body.append('selected_avatar_index', String(avatar))
      for (const photo of photos) body.append('photo', photo)
      return api<Enrolled>(`${pathOf(employee.employee_id)}/upload-photo`, { method: 'POST', body })
    },
    onSuccess: readAnew,
  })
}

/** What is said of each photo, also where none could be used. */
function resultsOf(enrolled: Enrolled | undefined, error: unknown): PhotoVerdict[] | undefined {
  if (enrolled) return enrolled.results
  return error instanceof ApiError ? (error.body.results as PhotoVerdict[] | undefined) : undefined
}

function Outcome({ results, warning }: { results: readonly PhotoVerdict[]; warning: boolean }) {
  const { t } = useTranslation()
  const accepted = results.filter((one) => one.accepted).length
  const isTwice = warning && results.some((one) => one.accepted && one.also_enrolled_as.length > 0)
  return (
    <div role="status" className="flex flex-col gap-1">
      <p className={`font-medium text-lg ${accepted > 0 ? 'text-good' : 'text-bad'}`}>
        {accepted > 0
          ? `✓ ${t('enrol.done', { count: accepted, of: results.length })}`
          : `✕ ${t('enrol.nothing')}`}
      </p>
      {isTwice && <p className="text-warn">{t('enrol.twice')}</p>}
    </div>
  )
}
