import { useTranslation } from 'react-i18next'
import { number } from '../../../shared/i18n.ts'
import { Card } from '../../page.tsx'
import type { Explanation } from './explain-view.tsx'

const parts = ['size', 'sharpness', 'exposure', 'pose', 'occlusion'] as const
/** From here on a part is as in a good photo: `MIN_QUALITY_SCORE` of the server. */
const GOOD = 0.8

interface QualityCardProps {
  quality: NonNullable<Explanation['quality']>
  /** Below it a face is not compared. */
  minimum: number | null
}

/** Each part of the picture's quality with the limits that there are. */
export function QualityCard({ quality, minimum }: QualityCardProps) {
  const { t } = useTranslation()
  return (
    <Card
      title={t('attendance.quality.title')}
      aside={quality.score !== null && <span className="tabular-nums">{number(quality.score, 2)}</span>}
    >
      <div className="flex flex-col gap-3 p-4">
        {parts
          .filter((part) => part in quality.parts)
          .map((part) => (
            <Meter
              key={part}
              label={t(`attendance.quality.${part}`)}
              value={quality.parts[part]}
              limits={[minimum ?? 0, GOOD]}
            />
          ))}
        <p className="text-muted text-sm">
          {t('attendance.quality.limits', { minimum: number(minimum ?? 0, 2), good: number(GOOD, 2) })}
        </p>
        {quality.reasons.length > 0 && (
          <ul className="list-disc pl-5 text-sm">
            {parts
              .filter((part) => quality.reasons.includes(part))
              .map((part) => (
                <li key={part}>{t(`attendance.advice.${part}`)}</li>
              ))}
          </ul>
        )}
      </div>
    </Card>
  )
}

/** A share of 1 with lines where limits are. */
function Meter({ label, value, limits }: { label: string; value: number; limits: [number, number] }) {
  const [minimum, good] = limits
  const tone = value < minimum ? 'fill-bad' : value < good ? 'fill-warn' : 'fill-good'
  return (
    <div className="grid grid-cols-[7rem_1fr_2.5rem] items-center gap-3">
      <span className="text-sm">{label}</span>
      <svg
        aria-hidden="true"
        viewBox="0 0 100 10"
        preserveAspectRatio="none"
        className="h-3 w-full rounded bg-sunken"
      >
        <rect width={Math.max(1, 100 * Math.min(1, value))} height="10" className={tone} />
        {limits.map((limit) => (
          <line
            key={limit}
            x1={100 * limit}
            x2={100 * limit}
            y2="10"
            className="stroke-ink"
            strokeWidth="2"
            vectorEffect="non-scaling-stroke"
          />
        ))}
      </svg>
      <span className="text-right text-sm tabular-nums">{number(value, 2)}</span>
    </div>
  )
}
