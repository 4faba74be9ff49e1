/**
 * Turns what somebody typed into regular expressions for PostgreSQL, one a word, that ignore accents and case.
 * Case is spelled out letter by letter, because lower() knows only ASCII in a database of the C locale.
 */
export function searchPatterns(typed: string): string[] {
  const words = withoutAccents(typed).split(/\s+/u)
  return words.filter((word) => word !== '').map((word) => [...word].map(eitherCase).join(''))
}

/** The counterpart of what the query does to the column; đ is a letter of its own, not a d with a mark. */
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
