import type { ReactNode } from 'react'

const tones = {
  good: 'bg-good-soft text-good',
  warn: 'bg-warn-soft text-warn',
  bad: 'bg-bad-soft text-bad',
  info: 'bg-info-soft text-info',
  neutral: 'bg-sunken text-muted',
}

export type Tone = keyof typeof tones

/** A short word about a state. The symbol says the same as the colour. */
export function Badge({
  tone = 'neutral',
  symbol,
  children,
}: {
  tone?: Tone
  symbol?: string
  children: ReactNode
}) {
  return (
    <span
      className={`inline-flex items-center gap-1 whitespace-nowrap rounded-full px-2.5 py-0.5 font-medium text-sm ${tones[tone]}`}
    >
      {symbol && <span aria-hidden="true">{symbol}</span>}
      {children}
    </span>
  )
}
