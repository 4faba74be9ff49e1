import { useTranslation } from 'react-i18next'
import { ApiError } from './api.ts'

/** The sentence for one of the server's codes; `message`, which is the server's own, where the catalogue has none. */
export function useCodeText(): (code: string, message: string) => string {
  const { t, i18n } = useTranslation()
  return (code, message) => {
    // Codes are the server's, and more of them than the pages know.
    const key = `errors.${code}` as 'errors.internal'
    const isKnown: boolean = i18n.exists(key)
    return isKnown ? t(key) : message
  }
}

/** The sentence that tells a person what an error means for them. */
export function useErrorText(): (error: unknown) => string {
  const { t } = useTranslation()
  const codeText = useCodeText()
  return (error) => (error instanceof ApiError ? codeText(error.code, error.message) : t('errors.internal'))
}
