import { useTranslation } from 'react-i18next'
import { useToast } from '../../shared/toast.tsx'

/** The first characters of a digest, which a click copies whole. */
export function CopyableDigest({ digest }: { digest: string }) {
  const { t } = useTranslation()
  const tell = useToast()
  const short = digest.slice(0, 12)
  // Only a page that came by HTTPS has a clipboard.
  if (!navigator.clipboard) return <code className="break-all font-mono text-sm">{digest}</code>
  return (
    <button
      type="button"
      title={digest}
      aria-label={t('recognition.copy', { digest: short })}
      className="rounded px-1 font-mono text-sm hover:bg-sunken"
      onClick={() => navigator.clipboard.writeText(digest).then(() => tell(t('recognition.copied')))}
    >
      {short}…{' '}
      <svg aria-hidden="true" viewBox="0 0 12 12" className="inline size-3 fill-none stroke-current">
        <path d="M4 4h7v7H4zM8 4V1H1v7h3" />
      </svg>
    </button>
  )
}
