import { type ReactNode, type TextareaHTMLAttributes, useId } from 'react'

interface About {
  label: ReactNode
  hint?: ReactNode
  error?: ReactNode
}

/** As a Field, for several lines. */
export function TextArea({
  label,
  hint,
  error,
  ...area
}: About & TextareaHTMLAttributes<HTMLTextAreaElement>) {
  const id = useId()
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="font-medium text-sm">
        {label}
      </label>
      <textarea
        id={id}
        rows={4}
        spellCheck={false}
        aria-invalid={error ? true : undefined}
        aria-describedby={error || hint ? `${id}-about` : undefined}
        className="w-full rounded-lg border border-line bg-surface px-3 py-2 font-mono text-sm aria-invalid:border-bad"
        {...area}
      />
      {(error || hint) && (
        <p id={`${id}-about`} className={`text-sm ${error ? 'text-bad' : 'text-muted'}`}>
          {error || hint}
        </p>
      )}
    </div>
  )
}
