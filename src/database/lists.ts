import { type RawBuilder, type SqlBool, sql } from 'kysely'

/** Whether every word that somebody typed occurs in a text of the database; accents and case do not matter. */
export function hasWords(text: RawBuilder<string>, typed: string): RawBuilder<SqlBool> {
  const words = searchPatterns(typed).map((pattern) => sql<SqlBool>`${plain(text)} ~ ${pattern}`)
  return words.length === 0 ? sql<SqlBool>`true` : sql<SqlBool>`(${sql.join(words, sql` AND `)})`
}

/**
 * ORDER BY one of the `keys`, with `-` before it the other way round. Ends with the number of the row, which is all
 * there is without a key, so that a page never repeats or leaves out anything.
 */
export function sortedBy<Key extends string>(
  sort: Key | `-${Key}` | undefined,
  keys: Record<Key, RawBuilder<unknown>>,
): RawBuilder<unknown> {
  const direction = sort?.startsWith('-') ? sql`DESC` : sql`ASC`
  const key = sort && keys[sort.replace('-', '') as Key]
  return sql.join([...(key ? [key] : []), sql`id`].map((each) => sql`${each} ${direction}`))
}

/** Whether a text of the database is the one that somebody typed; accents and case do not matter. */
export function isSameText(text: RawBuilder<string>, typed: string): RawBuilder<SqlBool> {
  const pattern = [...withoutAccents(typed)].map(eitherCase).join('')
  return sql<SqlBool>`${plain(text)} ~ ${`^${pattern}$`}`
}

/** A text of the database without accents, as `withoutAccents` makes one of what was typed. */
export function plain(text: RawBuilder<string>): RawBuilder<string> {
  return sql<string>`translate(
  regexp_replace(normalize(${text}, NFD), '[\\u0300-\\u036f]', '', 'g'), 'đĐ', 'dD')`
}

/**
 * Turns what somebody typed into regular expressions for PostgreSQL, one a word, that ignore accents and case.
 * Case is spelled out letter by letter, because lower() knows only ASCII in a database of the C locale.
 */
function searchPatterns(typed: string): string[] {
  const words = withoutAccents(typed).split(/\s+/u)
  return words.filter((word) => word !== '').map((word) => [...word].map(eitherCase).join(''))
}

/** đ is a letter of its own, not a d with a mark. */
export function withoutAccents(value: string): string {
  return value
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/gu, '')
    .replaceAll('đ', 'd')
    .replaceAll('Đ', 'D')
}

function eitherCase(character: string): string {
  const cases = new Set([character, character.toLowerCase(), character.toUpperCase()])
  const letters = [...cases].filter((letter) => [...letter].length === 1)
  if (letters.length > 1) return `[${letters.join('')}]`
  return /[!-/:-@[-`{-~]/.test(character) ? `\\${character}` : character
}
