import { useTranslation } from 'react-i18next'
import type { Phase } from './attendant.ts'
import type { CameraState } from './camera.ts'

interface HintProps {
  phase: Phase
  camera: CameraState
  detectorFailed: boolean
  hasStopped: boolean
  isLoading: boolean
}

/** What the person is to do, or what is wrong with the kiosk. */
export function Hint({ phase, camera, detectorFailed, hasStopped, isLoading }: HintProps) {
  const { t } = useTranslation()
  const text = () => {
    if (camera !== 'live') return t(`cameraState.${camera}`)
    if (hasStopped) return t('kiosk.restarting')
    if (detectorFailed) return t('kiosk.noDetector')
    if (isLoading) return t('kiosk.starting')
    if (phase.kind === 'looking') return t('kiosk.looking')
    return phase.kind === 'waiting' ? t(`sight.${phase.sight}`) : ''
  }
  const said = text()
  return (
    <p
      role="status"
      className="max-w-4xl text-balance text-center font-semibold text-3xl [text-shadow:0_2px_12px_#000] sm:text-5xl"
    >
      {said}
    </p>
  )
}
