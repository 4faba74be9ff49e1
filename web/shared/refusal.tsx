import { useTranslation } from 'react-i18next'
import { ApiError } from './api.ts'
import { useErrorText } from './error-text.ts'

/** Why something was not done, below a form; nothing where there is no error. */
export function Refusal({ error }: { error: unknown }) {
  const { t, i18n } = useTranslation()
  const errorText = useErrorText()
  if (!error) return null
  const key = `refusals.${error instanceof ApiError ? error.code : ''}` as 'refusals.last_owner'
  const isKnown: boolean = i18n.exists(key)
  return (
    <p role="alert" className="text-bad text-sm">
      {isKnown ? t(key) : errorText(error)}
    </p>
  )
}
