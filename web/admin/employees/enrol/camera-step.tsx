import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { takePicture } from '../../../kiosk/burst.ts'
import { useCamera } from '../../../kiosk/camera.ts'
import type { Detector } from '../../../kiosk/detector.ts'
import { Button } from '../../../shared/button.tsx'
import { useObjectUrl } from '../../../shared/object-url.ts'
import { type Aim, aims, type Hint } from './aims.ts'
import { guide } from './guide.ts'

export type Shots = Partial<Record<Aim, Blob>>

interface CameraStepProps {
  shots: Shots
  onShot: (aim: Aim, picture: Blob | undefined) => void
}

/** The camera, what to do before it, and the pictures that it took so far. */
export function CameraStep({ shots, onShot }: CameraStepProps) {
  const { t } = useTranslation()
  const { video, state: camera } = useCamera()
  const { detect, failed, fail } = useDetector()
  const [hint, setHint] = useState<Hint>('nobody')
  const next = aims.find((aim) => !shots[aim])
  const latest = useRef({ next, onShot })
  latest.current = { next, onShot }
  useEffect(() => {
    if (camera !== 'live' || !detect) return
    const ending = new AbortController()
    guide({
      video: video.current!,
      detect,
      aim: () => latest.current.next,
      show: (said) => !ending.signal.aborted && setHint(said),
      take: (aim, picture) => latest.current.onShot(aim, picture),
      signal: ending.signal,
    }).catch(fail)
    return () => ending.abort()
  }, [camera, detect])

  const said =
    camera !== 'live'
      ? t(window.isSecureContext ? `cameraState.${camera}` : 'enrol.insecure')
      : !next
        ? t('enrol.enough')
        : failed
          ? t('enrol.noDetector', { what: t(`enrolAim.${next}`) })
          : !detect
            ? t('enrol.loading')
            : t(`enrolHint.${hint === 'good' ? next : hint}`)
  const takeNow = async () => {
    if (next && camera === 'live') onShot(next, await takePicture(video.current!))
  }
  return (
    <div className="flex flex-col gap-4">
      <div className="flex justify-center gap-4 max-sm:flex-col">
        <div className="relative aspect-4/3 w-full max-w-lg self-start overflow-hidden rounded-2xl bg-black">
          <video
            ref={video}
            muted
            playsInline
            aria-label={t('enrol.camera')}
            className="size-full -scale-x-100 object-cover"
          />
          <div
            aria-hidden="true"
            className={`absolute top-[3%] bottom-[17%] left-1/2 aspect-3/4 -translate-x-1/2 rounded-[50%] border-4 ${next && hint !== 'good' ? 'border-white/70 border-dashed' : 'border-emerald-300'}`}
          />
          <p
            role="status"
            className="absolute inset-x-0 bottom-0 bg-black/70 p-3 text-center font-semibold text-lg text-white"
          >
            {said}
          </p>
        </div>
        <ol className="grid grid-cols-3 gap-3 sm:w-28 sm:shrink-0 sm:grid-cols-1 sm:content-start">
          {aims.map((aim) => (
            <Shot
              key={aim}
              aim={aim}
              isNext={aim === next}
              picture={shots[aim]}
              onAgain={() => onShot(aim, undefined)}
            />
          ))}
        </ol>
      </div>
      <div className="flex flex-wrap items-center justify-between gap-3">
        <p className="text-muted text-sm">{t('enrol.byItself')}</p>
        <Button disabled={camera !== 'live' || !next} onClick={takeNow}>
          {t('enrol.takeNow')}
        </Button>
      </div>
    </div>
  )
}

function Shot({
  aim,
  isNext,
  picture,
  onAgain,
}: {
  aim: Aim
  isNext: boolean
  picture: Blob | undefined
  onAgain: () => void
}) {
  const { t } = useTranslation()
  const url = useObjectUrl(picture)
  return (
    <li aria-current={isNext ? 'step' : undefined} className="flex flex-col items-center gap-1 text-center">
      <div
        className={`aspect-4/3 w-full overflow-hidden rounded-xl border-2 bg-sunken ${isNext ? 'border-accent' : 'border-line'}`}
      >
        {url && <img src={url} alt={t('enrol.taken')} className="size-full -scale-x-100 object-cover" />}
      </div>
      <span className="text-sm">{t(`enrolAim.${aim}`)}</span>
      {picture && (
        <button type="button" onClick={onAgain} className="min-h-6 text-accent text-sm underline">
          {t('enrol.again')}
        </button>
      )}
    </li>
  )
}

/** The network that finds faces, which is large: it is loaded when it is first needed. */
function useDetector() {
  const [detect, setDetect] = useState<Detector>()
  const [failed, setFailed] = useState(false)
  const fail = () => setFailed(true)
  useEffect(() => {
    import('../../../kiosk/detector.ts')
      .then(({ loadDetector }) => loadDetector())
      .then((loaded) => setDetect(() => loaded), fail)
  }, [])
  return { detect, failed, fail }
}
