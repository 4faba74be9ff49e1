import { type ReactNode, useId } from 'react'
import { useTranslation } from 'react-i18next'
import { Field } from '../../shared/field.tsx'

/** What the text is called where nobody says otherwise: after the month. */
export const newestTextVersion = () => new Date().toISOString().slice(0, 7)

interface ConsentAskedProps {
  label: ReactNode
  agreed: boolean
  version: string
  onAgreed: (agreed: boolean) => void
  onVersion: (version: string) => void
}

/** That people agreed, and to which text. Never ticked before somebody says so. */
export function ConsentAsked({ label, agreed, version, onAgreed, onVersion }: ConsentAskedProps) {
  const { t } = useTranslation()
  const id = useId()
  return (
    <div className="rounded-xl border border-line p-4">
      <div className="flex items-start gap-3">
        <input
          id={id}
          type="checkbox"
          checked={agreed}
          onChange={(event) => onAgreed(event.target.checked)}
          className="mt-0.5 size-5 shrink-0 accent-(--accent)"
        />
        <label htmlFor={id}>{label}</label>
      </div>
      {agreed && (
        <Field
          label={t('employees.textVersion')}
          hint={t('employees.textVersionHint')}
          className="mt-3"
          value={version}
          maxLength={100}
          required
          onChange={(event) => onVersion(event.target.value)}
        />
      )}
    </div>
  )
}
