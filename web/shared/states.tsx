import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from './button.tsx'
import { useErrorText } from './error-text.ts'

/** What stands where a list would, while it comes, when there is nothing in it, and when it did not come. */
export function Loading() {
  const { t } = useTranslation()
  return (
    <div role="status" className="space-y-3 p-4">
      <span className="sr-only">{t('common.loading')}</span>
      {[80, 95, 70].map((width) => (
        <div key={width} className="h-5 animate-pulse rounded bg-sunken" style={{ width: `${width}%` }} />
      ))}
    </div>
  )
}

export function Empty({ children }: { children: ReactNode }) {
  return <p className="p-8 text-center text-muted">{children}</p>
}

export function Failed({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation()
  const text = useErrorText()
  return (
    <div role="alert" className="flex flex-col items-center gap-3 p-8 text-center text-bad">
      <p>{text(error)}</p>
      {onRetry && <Button onClick={onRetry}>{t('common.retry')}</Button>}
    </div>
  )
}
