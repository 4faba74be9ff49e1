import { useTranslation } from 'react-i18next'
import { type Axis, AxisScale, confidenceAxis, oneIn } from '../../../shared/confidence-axis.tsx'
import { useMeasuredWidth } from '../../../shared/measured-width.ts'
import { confidenceFigure } from '../marks.tsx'
import { type Candidate, useCandidateName } from './candidate-name.ts'
import type { Explanation } from './explain-view.tsx'

const ROW_PX = 46
const BAR_PX = 14
const TOP_PX = 26
const FOOT_PX = 40
const SIDE_PX = 18

/** The candidates as bars on the axis of confidence, with the threshold and what the margin asked for as lines. */
export function ScoreChart({
  explanation: { candidates, thresholds, outcome },
}: {
  explanation: Explanation
}) {
  const { t } = useTranslation()
  const { ref, width } = useMeasuredWidth<HTMLDivElement>()
  const axis = confidenceAxis(width, SIDE_PX)
  const threshold = thresholds?.confidence ?? null
  const bottom = TOP_PX + candidates.length * ROW_PX
  const first = candidates[0].confidence
  const needsMargin = first !== null && candidates.some(({ margin }) => margin !== null)
  const nameOf = useCandidateName()
  const said = (candidate: Candidate) =>
    t(candidate.above_threshold ? 'attendance.scores.above' : 'attendance.scores.below', {
      name: nameOf(candidate),
      figure: figureOf(candidate),
    })
  const isRecognised = outcome === 'identified' || outcome === 'duplicate'
  return (
    <div ref={ref} className="flex flex-col gap-2">
      <svg
        role="img"
        aria-label={`${t('attendance.scores.chart')}: ${candidates.map(said).join('; ')}`}
        width={width}
        height={bottom + FOOT_PX}
        className="block"
      >
        {candidates.map((candidate, index) => (
          <Bar
            key={candidate.rank}
            candidate={candidate}
            axis={axis}
            y={TOP_PX + index * ROW_PX}
            isWinner={isRecognised && index === 0}
            first={first}
          />
        ))}
        {threshold !== null && <ThresholdLine axis={axis} threshold={threshold} bottom={bottom} />}
        <AxisScale axis={axis} y={bottom} />
      </svg>
      <p className="text-muted text-sm">{t('attendance.scores.axis')}</p>
      {threshold !== null && (
        <p className="text-sm">
          <span aria-hidden="true" className="mr-2 inline-block h-3 w-0.5 bg-bad" />
          {t('attendance.scores.threshold', {
            threshold: confidenceFigure(threshold),
            rate: oneIn(threshold),
          })}
        </p>
      )}
      {needsMargin && (
        <p className="text-sm">
          <span aria-hidden="true" className="mr-2 inline-block h-3 border-info border-l-2 border-dashed" />
          {t('attendance.scores.marginLine')}
        </p>
      )}
    </div>
  )
}

const figureOf = ({ confidence }: Candidate) => (confidence === null ? '–' : confidenceFigure(confidence))

interface BarProps {
  candidate: Candidate
  axis: Axis
  y: number
  isWinner: boolean
  /** The confidence of the first one. */
  first: number | null
}

function Bar({ candidate, axis, y, isWinner, first }: BarProps) {
  const { t } = useTranslation()
  const name = useCandidateName()(candidate)
  const { confidence, margin, look_alike } = candidate
  const limit = margin === null || first === null ? null : first - margin
  const start = axis.x(0)
  return (
    <g>
      <text x={start} y={y + 14} className={`fill-ink text-sm ${isWinner ? 'font-semibold' : ''}`}>
        {name}
        {look_alike && ` ≈ ${t('attendance.scores.lookAlike')}`}
      </text>
      <text x={axis.width - SIDE_PX} y={y + 14} textAnchor="end" className="fill-ink text-sm tabular-nums">
        {figureOf(candidate)}
      </text>
      <rect
        x={start}
        y={y + 20}
        width={axis.width - SIDE_PX - start}
        height={BAR_PX}
        rx="4"
        className="fill-sunken"
      />
      {confidence !== null && (
        <rect
          x={start}
          y={y + 20}
          width={Math.max(2, axis.x(confidence) - start)}
          height={BAR_PX}
          rx="4"
          className={isWinner ? 'fill-accent' : 'fill-muted'}
        />
      )}
      {limit !== null && (
        <line
          x1={axis.x(limit)}
          x2={axis.x(limit)}
          y1={y + 17}
          y2={y + 23 + BAR_PX}
          className="stroke-2 stroke-info"
          strokeDasharray="3 2"
        />
      )}
    </g>
  )
}

function ThresholdLine({ axis, threshold, bottom }: { axis: Axis; threshold: number; bottom: number }) {
  const { t } = useTranslation()
  const x = axis.x(threshold)
  const isRight = x > axis.width / 2
  return (
    <g>
      <line x1={x} x2={x} y1={TOP_PX - 8} y2={bottom} className="stroke-2 stroke-bad" />
      <text
        x={isRight ? x + 4 : x - 4}
        y={TOP_PX - 12}
        textAnchor={isRight ? 'end' : 'start'}
        className="fill-bad font-medium text-xs"
      >
        {t('attendance.scores.thresholdShort', { threshold: confidenceFigure(threshold) })}
      </text>
    </g>
  )
}
