import { useTranslation } from 'react-i18next'
import { Fact } from '../../../shared/fact.tsx'
import { number } from '../../../shared/i18n.ts'
import { Card } from '../../page.tsx'
import { CopyableDigest } from '../../recognition/copyable-digest.tsx'
import { PackFiles } from '../../recognition/pack-files.tsx'
import type { Explanation } from './explain-view.tsx'

const figures = ['confidence', 'configured', 'pack', 'site', 'margin', 'high', 'learning', 'quality'] as const

/** Which networks looked, to the byte, and the thresholds that held then. */
export function ModelsCard({ explanation: { pack, thresholds, scale } }: { explanation: Explanation }) {
  const { t } = useTranslation()
  if (!pack && !thresholds) return null
  return (
    <Card title={t('attendance.models.title')}>
      <dl className="grid gap-x-8 gap-y-3 p-4 sm:grid-cols-2">
        {pack && <Fact label={t('attendance.models.pack')}>{pack.name ?? '–'}</Fact>}
        {pack?.digest && (
          <Fact label={t('attendance.models.digest')}>
            <CopyableDigest digest={pack.digest} />
          </Fact>
        )}
        {scale && (
          <Fact label={t('attendance.models.scale')}>{t(`attendance.models.scales.${scale as 'raw'}`)}</Fact>
        )}
        {thresholds && (
          <Fact label={t('attendance.models.version')}>
            {thresholds.calibration_id === null
              ? t('attendance.models.uncalibrated')
              : t('attendance.models.calibration', { id: thresholds.calibration_id })}
            {thresholds.lowered && ` · ${t('attendance.models.lowered')}`}
          </Fact>
        )}
      </dl>
      {thresholds && (
        <dl className="grid grid-cols-2 gap-x-8 gap-y-3 border-line border-t p-4 sm:grid-cols-4">
          {figures.map((figure) => (
            <Fact key={figure} label={t(`attendance.thresholds.${figure}`)}>
              <span className="tabular-nums">
                {thresholds[figure] === null ? '–' : number(thresholds[figure], 3)}
              </span>
            </Fact>
          ))}
        </dl>
      )}
      {pack?.files && (
        <PackFiles title={t('attendance.models.files', { count: pack.files.length })} files={pack.files} />
      )}
    </Card>
  )
}
