import { useId, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from './button.tsx'

/** Something that is shown this once, such as a key or a link, and a button that copies it. */
export function SecretText({ label, value }: { label: string; value: string }) {
  const { t } = useTranslation()
  const id = useId()
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    const field = document.getElementById(id) as HTMLTextAreaElement
    field.select()
    // Without TLS a browser has no clipboard for pages, and with it may deny it; what is selected can be copied all the same.
    await navigator.clipboard?.writeText(value).catch(() => {})
    document.execCommand('copy')
    setCopied(true)
  }
  return (
    <div className="flex flex-col gap-2">
      <label htmlFor={id} className="font-medium text-sm">
        {label}
      </label>
      <textarea
        id={id}
        readOnly
        rows={2}
        value={value}
        spellCheck={false}
        className="w-full resize-none break-all rounded-lg border border-line bg-sunken p-3 font-mono text-sm"
      />
      <div className="flex items-center gap-3">
        <Button onClick={copy}>{t('access.copy')}</Button>
        <span role="status" className="text-good text-sm">
          {copied && t('access.copied')}
        </span>
      </div>
    </div>
  )
}
