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

const codes = [
  'employee_not_found',
  'employee_id_taken',
  'employee_inactive',
  'consent_missing',
  'too_many_photos',
  'no_face',
  'several_faces',
  'poor_quality',
  'face_mismatch',
  'invalid_image',
  'image_too_many_pixels',
  'unsupported_media_type',
  'upload_too_large',
  'photo_not_found',
  'biometrics_unreadable',
  'storage_unavailable',
  'model_failure',
] as const

/** The sentence for a refusal about people, faces and files; as `useErrorText` for all others. */
export function usePeopleError() {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const { valueFault } = useFaultText()
  /** Of a code, and what the server says of it. */
  const codeText = (code: string | null, message: string | null): string => {
    const one = codes.find((known) => known === code)
    return one ? t(`employeeError.${one}`) : (message ?? '')
  }
  const errorOf = (error: unknown): string => {
    if (!(error instanceof ApiError)) return errorText(error)
    const ofFile = error.field('file')
    if (ofFile !== undefined) return t('employees.fileFault', { fault: valueFault(ofFile) })
    return codes.some((known) => known === error.code) ? codeText(error.code, null) : errorText(error)
  }
  return { errorOf, codeText }
}
