import type { ReactNode } from 'react'

/** A figure with what it is, inside a `<dl>`. */
export function Figure({ label, hint, children }: { label: string; hint?: ReactNode; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-muted text-sm">{label}</dt>
      <dd className="break-words font-medium tabular-nums">{children}</dd>
      {hint && <dd className="text-muted text-sm">{hint}</dd>}
    </div>
  )
}
