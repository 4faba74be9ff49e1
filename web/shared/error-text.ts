import { useTranslation } from 'react-i18next'
import { ApiError, faultsOf } from './api.ts'
import { faultText } from './fault-text.ts'

/** The sentence for one of the server's codes; `message` is the server's own, and of some codes says what is wrong. */
export function useCodeText(): (code: string, message: string) => string {
  const { t, i18n } = useTranslation()
  return (code, message) => {
    const key = `errors.${code}` as 'errors.invalid_request'
    // A page that is older than its server does not know all codes.
    const isKnown: boolean = i18n.exists(key)
    return isKnown ? t(key, { fault: faultText(message) }) : message
  }
}

/** The sentence that tells a person what an error means for them. */
export function useErrorText(): (error: unknown) => string {
  const { t } = useTranslation()
  const codeText = useCodeText()
  return (error) => {
    if (!(error instanceof ApiError)) return t('errors.internal')
    const [first] = faultsOf(error)
    if (!first) return codeText(error.code, error.message)
    const fault = faultText(first.message)
    return codeText(error.code, first.path === '' ? fault : `${first.path}: ${fault}`)
  }
}
