import { useTranslation } from 'react-i18next'
import { ApiError } from './api.ts'
import { faultText } from './fault-text.ts'

/** The sentence for one of the server's codes; `message`, which is the server's own, says what is wrong with a value. */
export function useCodeText(): (code: string, message: string) => string {
  const { t, i18n } = useTranslation()
  return (code, message) => {
    const key = `errors.${code}` as 'errors.invalid_request'
    // A page that is older than its server does not know all codes.
    const isKnown: boolean = i18n.exists(key)
    return isKnown ? t(key, { fault: message }) : message
  }
}

/** The sentence that tells a person what an error means for them. */
export function useErrorText(): (error: unknown) => string {
  const { t } = useTranslation()
  const codeText = useCodeText()
  return (error) => {
    if (!(error instanceof ApiError)) return t('errors.internal')
    const [first] = error.faults
    return codeText(error.code, first ? `${first.path}: ${faultText(first.message)}` : error.message)
  }
}
