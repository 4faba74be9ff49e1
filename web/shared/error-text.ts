import { useTranslation } from 'react-i18next'
import { ApiError } from './api.ts'

/** The sentence that tells a person what an error means for them; the server's own where there is no other. */
export function useErrorText(): (error: unknown) => string {
  const { t, i18n } = useTranslation()
  return (error) => {
    const code = error instanceof ApiError ? error.code : 'internal'
    // Codes are the server's, and more of them than the pages know.
    const key = `errors.${code}` as 'errors.internal'
    const isKnown: boolean = i18n.exists(key)
    if (isKnown) return t(key)
    return error instanceof ApiError ? error.message : t('errors.internal')
  }
}
