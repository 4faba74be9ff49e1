import type { ReactNode } from 'react'

/** A figure or a name with what it is, inside a `<dl>`. */
export function Fact({ label, hint, children }: { label: string; hint?: ReactNode; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-muted text-sm">{label}</dt>
      <dd className="break-words tabular-nums">{children ?? '–'}</dd>
      {hint && <dd className="text-muted text-sm">{hint}</dd>}
    </div>
  )
}
