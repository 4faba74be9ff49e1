import { useTranslation } from 'react-i18next'
import { type Axis, AxisScale, confidenceAxis } from '../../shared/confidence-axis.tsx'
import { number } from '../../shared/i18n.ts'
import { useMeasuredWidth } from '../../shared/measured-width.ts'
import type { Calibration } from './calibrations.ts'

type Curve = NonNullable<Calibration['curves']>['minus_log10_fmr']

const TOP_PX = 26
const HEIGHT_PX = 180
const FOOT_PX = 40
const SIDE_PX = 18

interface CurvesChartProps {
  curves: Curve
  thresholds: Calibration['thresholds']
}

/** How comparisons of one person and of different people spread over the confidence, and where the threshold cuts. */
export function CurvesChart({ curves, thresholds }: CurvesChartProps) {
  const { t } = useTranslation()
  const { ref, width } = useMeasuredWidth<HTMLDivElement>()
  const axis = confidenceAxis(width, SIDE_PX, confidenceAt(curves, curves.impostor.length))
  const bottom = TOP_PX + HEIGHT_PX
  const { in_force, site, site_interval } = thresholds
  const genuine = sum(curves.genuine)
  const impostor = sum(curves.impostor)
  const label = t('recognition.curves.label', {
    genuine: number(genuine),
    impostor: number(impostor),
    threshold: number(in_force, 3),
    passed: number(above(curves, 'impostor', in_force)),
    missed: number(genuine - above(curves, 'genuine', in_force)),
  })
  return (
    <figure ref={ref as never} className="flex flex-col gap-2">
      <svg role="img" aria-label={label} width={width} height={bottom + FOOT_PX} className="block">
        {site_interval && (
          <rect
            x={axis.x(site_interval[0])}
            width={Math.max(1, axis.x(site_interval[1]) - axis.x(site_interval[0]))}
            y={TOP_PX}
            height={HEIGHT_PX}
            className="fill-info-soft"
          />
        )}
        <path
          d={outline(curves, 'impostor', axis, bottom)}
          className="fill-warn stroke-warn"
          fillOpacity="0.45"
        />
        <path
          d={outline(curves, 'genuine', axis, bottom)}
          className="fill-good stroke-good"
          fillOpacity="0.45"
        />
        {site !== null && (
          <line
            x1={axis.x(site)}
            x2={axis.x(site)}
            y1={TOP_PX}
            y2={bottom}
            className="stroke-2 stroke-info"
            strokeDasharray="4 3"
          />
        )}
        <line
          x1={axis.x(in_force)}
          x2={axis.x(in_force)}
          y1={TOP_PX - 6}
          y2={bottom}
          className="stroke-2 stroke-bad"
        />
        <text
          x={axis.x(in_force)}
          y={TOP_PX - 10}
          textAnchor={axis.x(in_force) > width / 2 ? 'end' : 'start'}
          className="fill-bad font-medium text-xs"
        >
          {t('recognition.curves.threshold', { threshold: number(in_force, 3) })}
        </text>
        <AxisScale axis={axis} y={bottom} />
      </svg>
      <figcaption className="flex flex-col gap-2 text-sm">
        <span className="flex flex-wrap gap-x-5 gap-y-1">
          <Key
            className="bg-warn/60"
            text={t('recognition.curves.impostor', { count: impostor, total: number(impostor) })}
          />
          <Key
            className="bg-good/60"
            text={t('recognition.curves.genuine', { count: genuine, total: number(genuine) })}
          />
          <Key className="bg-bad" text={t('recognition.thresholds.inForce')} />
          {site !== null && <Key className="bg-info" text={t('recognition.curves.site')} />}
        </span>
        <span className="text-muted">{t('recognition.curves.axis')}</span>
      </figcaption>
    </figure>
  )
}

function Key({ className, text }: { className: string; text: string }) {
  return (
    <span className="flex items-center gap-2">
      <span aria-hidden="true" className={`size-3 rounded-sm ${className}`} />
      {text}
    </span>
  )
}

type Kind = 'genuine' | 'impostor'

const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0)

const confidenceAt = ({ from, step }: Curve, index: number) => 0.25 + (from + step * index) / 10

function above(curve: Curve, kind: Kind, threshold: number): number {
  return sum(curve[kind].filter((_, index) => confidenceAt(curve, index) >= threshold))
}

/** Steps as high as the logarithm of their number, which shows the few that matter beside the many. */
function outline(curve: Curve, kind: Kind, axis: Axis, bottom: number): string {
  const counts = curve[kind]
  const highest = Math.log10(1 + Math.max(1, ...counts))
  const steps = counts.map((count, index) => {
    const y = bottom - (Math.log10(1 + count) / highest) * HEIGHT_PX
    return `V${y.toFixed(1)}H${axis.x(confidenceAt(curve, index + 1)).toFixed(1)}`
  })
  return `M${axis.x(confidenceAt(curve, 0)).toFixed(1)} ${bottom}${steps.join('')}V${bottom}Z`
}
