import { useTranslation } from 'react-i18next'
import { dateTime } from '../../shared/i18n.ts'
import { useZone } from '../site-time.ts'

interface WhenProps {
  at: string
  deviceId: string | null
  /** Another time took its place. */
  isOld?: boolean
}

/** When something was, by the site's clock, and at which kiosk. */
export function When({ at, deviceId, isOld = false }: WhenProps) {
  const { t } = useTranslation()
  const zone = useZone()
  return (
    <div>
      <time dateTime={at} className={`whitespace-nowrap tabular-nums ${isOld ? 'line-through' : ''}`}>
        {dateTime(at, zone)}
      </time>
      <p className="text-muted text-sm">{deviceId ?? t('attendance.noDevice')}</p>
    </div>
  )
}
