import i18next from 'i18next'

/** A confidence is .25 and .1 more for each decade of false matches: so the axis is one of both. */
const FROM = 0.25
/** What a label of the scale takes: 1:100 nghìn is longer than 1:100K. */
const labelPx = () => (i18next.language === 'vi' ? 72 : 52)

export interface Axis {
  /** Pixels from the left. */
  x(confidence: number): number
  width: number
  to: number
}

/** Confidences end at 1; scores that are counted by their false-match rate go on `to` farther. */
export function confidenceAxis(width: number, margin: number, to = 1): Axis {
  const clamped = (value: number) => Math.min(to, Math.max(FROM, value))
  return { width, to, x: (value) => margin + ((clamped(value) - FROM) / (to - FROM)) * (width - 2 * margin) }
}

/** 10K: of so many comparisons of different people one reaches a confidence. */
export const oneIn = (confidence: number): string => decades(confidence - FROM)

/** 10K, how many times more .4 of confidence is. */
export function decades(confidence: number): string {
  // British English writes a million as m, and Vietnamese a thousand as N, which nobody knows: there it is a word.
  const isVietnamese = i18next.language === 'vi'
  return new Intl.NumberFormat(isVietnamese ? 'vi-VN' : 'en-US', {
    notation: 'compact',
    compactDisplay: isVietnamese ? 'long' : 'short',
    maximumSignificantDigits: 2,
  }).format(10 ** (10 * confidence))
}

/** The scale at the foot of a picture: confidences, and below them the false-match rates that they mean. */
export function AxisScale({ axis, y }: { axis: Axis; y: number }) {
  const count = Math.floor(10 * (axis.to - FROM) + 1e-9)
  const step = Math.ceil((count * labelPx()) / axis.width)
  const marks = Array.from({ length: Math.floor(count / step) + 1 }, (_, index) => index * step)
  return (
    <g className="fill-muted text-xs" textAnchor="middle">
      <line x1={axis.x(FROM)} x2={axis.x(axis.to)} y1={y} y2={y} className="stroke-line" />
      {marks.map((decade) => {
        const confidence = FROM + decade / 10
        return (
          <g key={decade}>
            <line
              x1={axis.x(confidence)}
              x2={axis.x(confidence)}
              y1={y}
              y2={y + 4}
              className="stroke-muted"
            />
            <text x={axis.x(confidence)} y={y + 17}>
              {confidence > 1 ? '' : new Intl.NumberFormat(i18next.language).format(confidence)}
            </text>
            <text x={axis.x(confidence)} y={y + 32}>
              1:{oneIn(confidence)}
            </text>
          </g>
        )
      })}
    </g>
  )
}
