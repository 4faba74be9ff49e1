import { useTranslation } from 'react-i18next'
import { ApiError } from '../../shared/api.ts'
import { useErrorText } from '../../shared/error-text.ts'

/** What the server says of a value or a file, and the words of the catalogue for it; `n` is what it names. */
const known = [
  ['required', /^(?:is required|must not be empty)$/],
  ['tooLong', /^must be at most (?<n>\d+) characters long$/],
  ['email', /^must look like name@/],
  ['id', /^must be 1 to 64 letters/],
  ['reserved', /^(?:is a reserved word|must not consist of dots)/],
  ['taken', /^is taken$/],
  ['twice', /^stands in row (?<n>\d+) already/],
  ['former', /^belongs to a former employee/],
  ['site', /^must be the (?:name or the )?number of a site/],
  ['active', /^must be true or false/],
  ['cells', /^There are more cells/],
  ['formula', /^(?<n>[A-Z]+\d+): holds a formula/],
  ['fileEmpty', /^is empty$/],
  ['noRows', /^has a header, but no people/],
  ['sameColumns', /^has two columns for (?<n>\w+)/],
  ['noHeader', /^has no header/],
  ['tooManyRows', /^has more than (?<n>\d+) rows/],
  ['oldExcel', /^is an old or encrypted Excel/],
  ['notUtf8', /^is not a text in UTF-8/],
  ['badCsv', /^is not valid CSV.* near line (?<n>\d+)/],
  ['badXlsx', /^is not a (?:readable|plain) XLSX/],
  ['badZip', /^is not a ZIP/],
  ['noPhotos', /^holds no photos/],
  ['tooManyEntries', /^has more than (?<n>\d+) entries/],
] as const

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

/** Says in the reader's language what the server says of a value; in the server's own words where they are new. */
export function useFaultText() {
  const { t } = useTranslation()
  const valueFault = (message: string): string => {
    for (const [key, pattern] of known) {
      const match = pattern.exec(message)
      if (match) return t(`employeeFault.${key}`, { n: match.groups?.n ?? '' })
    }
    return message
  }
  /** Of a row of a file: `name: is required`. */
  const rowFault = (message: string): string => {
    const [, name, rest] = /^(\w+): (.*)$/.exec(message) ?? []
    const column = columns.find((one) => one === name)
    return column ? `${t(`employeeColumn.${column}`)}: ${valueFault(rest)}` : valueFault(message)
  }
  return { valueFault, rowFault }
}

/** The sentence for a refusal, which for a file says what is wrong with it. */
export function usePeopleError() {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const { valueFault } = useFaultText()
  return (error: unknown): string => {
    const ofFile = error instanceof ApiError ? error.field('file') : undefined
    return ofFile === undefined ? errorText(error) : t('employees.fileFault', { fault: valueFault(ofFile) })
  }
}
