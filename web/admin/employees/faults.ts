import { useTranslation } from 'react-i18next'
import { faultOf } from '../../shared/api.ts'
import { useErrorText } from '../../shared/error-text.ts'
import { faultText } from '../../shared/fault-text.ts'

const columns = [
  'employee_id',
  'name',
  'department',
  'position',
  'email',
  'phone',
  'site',
  'is_active',
] as const

/** Says in the reader's language what the server says of a row of a file: `name: is required`. */
export function useRowFault() {
  const { t } = useTranslation()
  return (message: string): string => {
    const [, name, rest] = /^(\w+): (.*)$/.exec(message) ?? []
    const column = columns.find((one) => one === name)
    return column ? `${t(`employeeColumn.${column}`)}: ${faultText(rest)}` : faultText(message)
  }
}

/** The sentence for a refusal, which for a file says what is wrong with it. */
export function usePeopleError() {
  const { t } = useTranslation()
  const errorText = useErrorText()
  return (error: unknown): string => {
    const ofFile = faultOf(error, 'file')
    return ofFile === undefined ? errorText(error) : t('employees.fileFault', { fault: ofFile })
  }
}
