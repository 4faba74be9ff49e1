import { type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, useId } from 'react'

interface About {
  label: ReactNode
  hint?: ReactNode
  error?: ReactNode
}

const box =
  'min-h-10 w-full rounded-lg border border-line bg-surface px-3 py-2 text-ink placeholder:text-muted aria-invalid:border-bad'

/** A label, an input, what it is for and what is wrong with it, tied together. */
export function Field({
  label,
  hint,
  error,
  className = '',
  ...input
}: About & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId()
  return (
    <Around id={id} {...{ label, hint, error, className }}>
      <input id={id} className={box} {...described(id, hint, error)} {...input} />
    </Around>
  )
}

export function Select({
  label,
  hint,
  error,
  className = '',
  ...select
}: About & SelectHTMLAttributes<HTMLSelectElement>) {
  const id = useId()
  return (
    <Around id={id} {...{ label, hint, error, className }}>
      <select id={id} className={box} {...described(id, hint, error)} {...select} />
    </Around>
  )
}

function described(id: string, hint: ReactNode, error: ReactNode) {
  return {
    'aria-invalid': error ? true : undefined,
    'aria-describedby': error ? `${id}-error` : hint ? `${id}-hint` : undefined,
  }
}

function Around({
  id,
  label,
  hint,
  error,
  className,
  children,
}: About & { id: string; className: string; children: ReactNode }) {
  return (
    <div className={`flex flex-col gap-1 ${className}`}>
      <label htmlFor={id} className="font-medium text-sm">
        {label}
      </label>
      {children}
      {hint && !error && (
        <p id={`${id}-hint`} className="text-muted text-sm">
          {hint}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} className="text-bad text-sm">
          {error}
        </p>
      )}
    </div>
  )
}
