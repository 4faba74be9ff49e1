import { useQuery } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { explanationSchema } from '../../../../src/attendance/explain-schema.ts'
import type { Answer } from '../../../shared/api.ts'
import { Button } from '../../../shared/button.tsx'
import { Failed, Loading } from '../../../shared/states.tsx'
import { useUrlState } from '../../../shared/url-state.ts'
import { Card, Page } from '../../page.tsx'
import { api, useMe } from '../../session.ts'
import { CorrectDialog } from '../correct-dialog.tsx'
import type { Punch } from '../marks.tsx'
import { DecisionPicture } from '../picture.tsx'
import { ChainCard } from './chain-card.tsx'
import { FramesCard } from './frames-card.tsx'
import { LivenessCard } from './liveness-card.tsx'
import { ModelsCard } from './models-card.tsx'
import { QualityCard } from './quality-card.tsx'
import { ScoresCard } from './scores-card.tsx'
import { TimingsCard } from './timings-card.tsx'
import { VerdictCard } from './verdict-card.tsx'

export type Explanation = Answer<typeof explanationSchema>

/** Why a punch is there, or why none is: the sentence first, then everything that led to it. */
export function ExplainView({ path }: { path: string }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const explanation = useQuery({
    queryKey: ['explanation', path],
    queryFn: () => api<Explanation>(path),
  })
  const { data } = explanation
  return (
    <Page
      title={t('attendance.explain.title')}
      actions={
        <>
          {data?.attendance_id && may('attendance:write') && <CorrectButton id={data.attendance_id} />}
          <BackButton />
        </>
      }
    >
      {data === undefined ? (
        explanation.error ? (
          <Failed error={explanation.error} onRetry={explanation.refetch} />
        ) : (
          <Loading />
        )
      ) : (
        <>
          <VerdictCard explanation={data} />
          <div className="grid items-start gap-5 lg:grid-cols-[3fr_2fr]">
            <div className="flex min-w-0 flex-col gap-5">
              {data.candidates.length > 0 && <ScoresCard explanation={data} />}
              {data.attendance_id !== null && <ChainCard id={data.attendance_id} />}
              {data.frames.length > 0 && <FramesCard frames={data.frames} />}
              {data.kind === 'face' && <ModelsCard explanation={data} />}
            </div>
            <div className="flex min-w-0 flex-col gap-5">
              <Picture explanation={data} />
              {data.quality && (
                <QualityCard quality={data.quality} minimum={data.thresholds?.quality ?? null} />
              )}
              {data.liveness && <LivenessCard liveness={data.liveness} />}
              {Object.keys(data.timings_ms).length > 0 && <TimingsCard timings={data.timings_ms} />}
            </div>
          </div>
          <details className="rounded-2xl border border-line bg-surface">
            <summary className="px-4 py-3 font-medium">{t('attendance.explain.raw')}</summary>
            <pre className="overflow-x-auto whitespace-pre-wrap break-all border-line border-t p-4 font-mono text-sm">
              {JSON.stringify(data, null, 2)}
            </pre>
          </details>
        </>
      )}
    </Page>
  )
}

/** Where one came from; to the list where one came by a link from elsewhere. */
function BackButton() {
  const { t } = useTranslation()
  const { history } = useRouter()
  const [, change] = useUrlState()
  const back = () => (history.canGoBack() ? history.back() : change({ explain: '', decision: '' }))
  return <Button onClick={back}>{t('attendance.explain.back')}</Button>
}

/** Of the punch as it stands, unless another one has its place already. */
function CorrectButton({ id }: { id: number }) {
  const { t } = useTranslation()
  const [isOpen, setOpen] = useState(false)
  const { data: punch } = useQuery({
    queryKey: ['punches', id],
    queryFn: () => api<Punch>(`/attendance/${id}`),
  })
  if (!punch || punch.superseded_by !== null || punch.is_void) return null
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t('attendance.correct.open')}</Button>
      {isOpen && <CorrectDialog punch={punch} onClose={() => setOpen(false)} />}
    </>
  )
}

function Picture({ explanation }: { explanation: Explanation }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const { kind, picture_url, picture, face_box } = explanation
  if (kind !== 'face') return null
  return (
    <Card title={t('attendance.explain.picture')}>
      <div className="flex flex-col p-4">
        {picture_url === null ? (
          <p className="text-muted">{t('attendance.explain.noPicture')}</p>
        ) : may('biometrics:read') ? (
          <DecisionPicture path={picture_url.replace('/api/v1', '')} box={face_box} size={picture} />
        ) : (
          <p className="text-muted">{t('attendance.explain.hiddenPicture')}</p>
        )}
      </div>
    </Card>
  )
}
