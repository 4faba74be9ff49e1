import { type InputHTMLAttributes, type ReactNode, useId } from 'react'
import { useTranslation } from 'react-i18next'
import { Field } from '../shared/field.tsx'

/** A time zone, by its IANA name; those that the browser knows are offered while one types. */
export function TimeZoneField({
  hint,
  error,
  ...input
}: { hint?: ReactNode; error?: ReactNode } & InputHTMLAttributes<HTMLInputElement>) {
  const { t } = useTranslation()
  const id = useId()
  return (
    <>
      <Field
        label={t('settings.timeZone')}
        hint={hint}
        error={error}
        name="time_zone"
        list={id}
        maxLength={64}
        autoComplete="off"
        spellCheck={false}
        {...input}
      />
      <datalist id={id}>
        {Intl.supportedValuesOf('timeZone').map((zone) => (
          <option key={zone} value={zone} />
        ))}
      </datalist>
    </>
  )
}
