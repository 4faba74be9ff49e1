import i18next from 'i18next'

/** What the server says of a value or a file, and the words of the catalogue for it; `n` is what it names. */
const known = [
  ['required', /^(?:is required|must not be empty)$/],
  ['tooLong', /^must (?:be|have) at most (?<n>\d+) characters/],
  ['email', /^must look like name@/],
  ['id', /^must be 1 to 64 letters/],
  ['reserved', /^(?:is a reserved word|must not consist of)/],
  ['taken', /^is taken$/],
  ['twice', /^stands in row (?<n>\d+) already/],
  ['former', /^belongs to a former employee/],
  ['site', /^(?:must be the (?:name or the )?number of a site|there is no such site)/],
  ['active', /^must be true or false/],
  ['cells', /^There are more cells/],
  ['formula', /^(?<n>[A-Z]+\d+): holds a formula/],
  ['fileEmpty', /^is (?:empty|an empty file)$/],
  ['noRows', /^has a header, but no people/],
  ['sameColumns', /^has two columns for (?<n>\w+)/],
  ['noHeader', /^has no header/],
  ['tooManyColumns', /^has more than (?<n>\d+) columns/],
  ['tooManyRows', /^has more than (?<n>\d+) rows/],
  ['oldExcel', /^is an old or encrypted Excel/],
  ['notUtf8', /^is not a text in UTF-8/],
  ['badCsv', /^is not valid CSV.* near line (?<n>\d+)/],
  ['badXlsx', /^is not a (?:readable|plain) XLSX/],
  ['badZip', /^is not a ZIP/],
  ['noPhotos', /^holds no photos/],
  ['tooManyEntries', /^(?:has more than|must have at most) (?<n>\d+) entries/],
  ['tooShort', /^must have at least (?<n>\d+) characters/],
  ['guessed', /^is one of the first that are guessed/],
  ['timeZone', /IANA time zone|time zone that the database/],
  ['network', /^must be an address or a block/],
  ['address', /^must be an IPv4 or IPv6 address/],
  ['future', /^lies in the future/],
  ['notATime', /^must be a (?:time|date)/],
  ['manager', /^(?:must be given for a manager|is for managers alone)/],
  ['spaces', /^must not contain spaces/],
  ['characters', /^must not contain control characters/],
  ['samePerson', /^is the person whom the punch names/],
  ['past', /^must lie in the future/],
  ['yearAtMost', /^is more than a year a(?:go|fter from)/],
  ['laterThanStart', /^must be later than from/],
  ['code', /^(?:is not the one that the app shows|must be the 6 digits)/],
  ['pin', /^must be 4 to 8 digits/],
  ['fixed', /^cannot be changed/],
  ['deletedMark', /^must not end with/],
  ['confirm', /^must repeat the employee_id/],
  ['unchanged', /^The (?:punch is already as|request changes nothing)/],
  ['secondFactor', /^A second factor is set up/],
  ['leadsOut', /^The name leads out of the ZIP/],
  ['sameName', /^The ZIP has this name twice/],
  ['locked', /^The photo is locked with a password/],
] as const

/** Says in the reader's language what the server says of a value or a request; in the server's own words where they are new. */
export function faultText(message: string): string {
  for (const [key, pattern] of known) {
    const match = pattern.exec(message)
    if (match) return i18next.t(`fault.${key}`, { n: match.groups?.n ?? '' })
  }
  return message
}
