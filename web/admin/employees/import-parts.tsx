import type { ReactNode } from 'react'
import { number } from '../../shared/i18n.ts'

/** What came of an import, in numbers. */
export function Figures({ figures }: { figures: { label: string; value: number; isBad?: boolean }[] }) {
  return (
    <dl className="grid grid-cols-2 gap-3 sm:grid-cols-4">
      {figures.map(({ label, value, isBad }) => (
        <div key={label} className={`rounded-xl border p-3 ${isBad ? 'border-bad' : 'border-line'}`}>
          <dt className="text-muted text-sm">{label}</dt>
          <dd className={`font-semibold text-2xl tabular-nums ${isBad ? 'text-bad' : ''}`}>
            {number(value)}
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** That something is under way of which nobody knows how long it takes. */
export function Working({ children }: { children: ReactNode }) {
  return (
    <div role="status" className="flex flex-col gap-2">
      <p className="text-muted text-sm">{children}</p>
      <div className="h-1.5 overflow-hidden rounded bg-sunken">
        <div className="h-full w-1/3 animate-pulse rounded bg-accent" />
      </div>
    </div>
  )
}
