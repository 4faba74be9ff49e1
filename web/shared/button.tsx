import type { ButtonHTMLAttributes } from 'react'

const looks = {
  primary: 'bg-accent text-on-accent hover:bg-accent-strong border-transparent',
  plain: 'bg-surface text-ink border-line hover:bg-sunken',
  danger: 'bg-bad-soft text-bad border-bad hover:brightness-95',
  quiet: 'border-transparent text-accent hover:bg-sunken',
}

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: keyof typeof looks
  /** Whether what it does is under way. */
  busy?: boolean
}

export function Button({ look = 'plain', busy = false, className = '', disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={`inline-flex min-h-10 items-center justify-center gap-2 rounded-lg border px-4 py-2 font-medium transition-colors disabled:opacity-60 ${looks[look]} ${className}`}
      {...rest}
    />
  )
}
