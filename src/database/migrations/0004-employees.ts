import { type Kysely, sql } from 'kysely'

// The databases disagree about Vietnamese (an embedded one knows no locales at all), so the order is spelled out here:
// every letter becomes a character that sorts by its plain code, in the order of the Vietnamese alphabet.

const alphabet = [...'aăâbcdđeêfghijklmnoôơpqrstuưvwxyz']
const bothCases = alphabet.join('') + alphabet.join('').toUpperCase()
/** U+007F to U+009F: as many as there are letters, and no name may contain them. */
const letterCodes = alphabet.map((_, index) => String.fromCharCode(0x7f + index)).join('')
/** Huyền, hỏi, ngã, sắc, nặng; they sort after every letter, because a syllable without a tone comes first. */
const tones = '\u0300\u0309\u0303\u0301\u0323'
const toneCodes = '\u00a1\u00a2\u00a3\u00a4\u00a5'
/** Circumflex, breve and horn make letters of their own; every other mark does not. */
const letterMarks = '\u0302\u0306\u031b'
const otherMarks = '[\\u0300\\u0301\\u0303-\\u0305\\u0307-\\u031a\\u031c-\\u036f]'

const lettersOf = (words: string) =>
  `translate(normalize(regexp_replace(normalize(${words}, NFD), '${otherMarks}', '', 'g'), NFC),
    '${bothCases}', '${letterCodes}${letterCodes}')`
// What has no counterpart is left out: those marks have been compared with their letters.
const tonesOf = (words: string) =>
  `translate(normalize(${words}, NFD), '${bothCases}${tones}${letterMarks}', '${letterCodes}${letterCodes}${toneCodes}')`

/** Versions of people, the order of their names, and their consent to be recognised by face. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const givenName = `substring(full_name FROM '[^[:space:]]+$')`
  const statements = [
    sql`ALTER TABLE employees ADD COLUMN version integer NOT NULL DEFAULT 1`,

    // As a list is read in Vietnam: by the given name, which is the last word, then by the whole name; tones matter only
    // between names of the same letters. Compare what it returns with COLLATE "C".
    sql.raw(`CREATE FUNCTION name_order(full_name text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
      SELECT ARRAY[${lettersOf(givenName)}, ${tonesOf(givenName)}, ${lettersOf('full_name')}, ${tonesOf('full_name')}]
    $$`),
    sql`CREATE INDEX employees_name_order ON employees (name_order(name) COLLATE "C", id)`,

    sql`CREATE TABLE consents (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      employee_id text NOT NULL REFERENCES employees (employee_id) ON DELETE CASCADE,
      text_version text NOT NULL CHECK (length(text_version) BETWEEN 1 AND 100),
      given_at timestamptz NOT NULL,
      given_by text NOT NULL,
      withdrawn_at timestamptz,
      CHECK (withdrawn_at >= given_at)
    )`,
    sql`CREATE INDEX consents_employee ON consents (employee_id)`,
  ]
  for (const statement of statements) await statement.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`DROP TABLE consents`.execute(db)
  await sql`DROP INDEX employees_name_order`.execute(db)
  await sql`DROP FUNCTION name_order(text)`.execute(db)
  await sql`ALTER TABLE employees DROP COLUMN version`.execute(db)
}
