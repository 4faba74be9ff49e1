import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { statusOfCode } from '../../src/shared/errors.ts'
import { faultText } from '../../web/shared/fault-text.ts'

type Catalogue = { [key: string]: string | Catalogue }

const catalogues = Object.fromEntries(
  ['vi', 'en'].map((language) => [
    language,
    JSON.parse(readFileSync(`web/i18n/${language}.json`, 'utf8')) as Catalogue,
  ]),
)

/** `today.title` and its text, for each text. */
function texts(catalogue: Catalogue, prefix = ''): [string, string][] {
  return Object.entries(catalogue).flatMap(([key, value]) =>
    typeof value === 'string' ? [[prefix + key, value]] : texts(value, `${prefix}${key}.`),
  )
}

const vietnamese = new Map(texts(catalogues.vi))
const english = new Map(texts(catalogues.en))

const below = (folder: string, names = /\.tsx?$/) =>
  readdirSync(folder, { recursive: true })
    .map((path) => join(folder, String(path)))
    .filter((path) => names.test(path))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n')
const sources = below('web')

/** What no page can send wrongly: fields of kiosks and programs, and numbers that stand in the pages' own addresses. */
const ofPrograms = new RegExp(
  [
    'part of the form|field name that|body is missing|Begin with POST|is too long$|JSON|base64url|P-256',
    'a challenge|for each picture|must not fall|printable ASCII|counted from 0|at most \\$\\{max\\} times',
    'number of a (?:photo|template)|id of a session|HTTP status|7 days ago|cannot (?:come|be given)',
    'must have a timestamp|say where the export begins|true or false',
  ].join('|'),
)

describe('the catalogues', () => {
  test('have the same keys', () => {
    // Vietnamese has one form for every number.
    const keys = [...english.keys()].filter((key) => !key.endsWith('_one'))
    expect(keys.sort()).toEqual([...vietnamese.keys()].sort())
  })

  test('have the same places to fill in', () => {
    const places = (text: string) => (text.match(/\{\{\w+\}\}/g) ?? []).sort()
    const different = [...vietnamese].filter(
      ([key, text]) => `${places(text)}` !== `${places(english.get(key) ?? '')}`,
    )
    expect(different).toEqual([])
  })

  test('have no text that no page uses', () => {
    // A key that is put together, `direction.${type}`, uses all that begin so.
    const beginnings = [...sources.matchAll(/`([\w.]+\.)\$\{/g)].map(([, beginning]) => beginning)
    // What i18next adds to a key that counts something.
    const written = (key: string) => key.replace(/_(one|other)$/, '')
    const unused = [...vietnamese.keys()].filter(
      (key) => !sources.includes(`'${written(key)}'`) && !beginnings.some((start) => key.startsWith(start)),
    )
    expect(unused).toEqual([])
  })

  test('have every text that a page asks for', () => {
    const asked = [...sources.matchAll(/\bt\(\s*'([\w.]+)'/g)].map(([, key]) => key)
    expect(asked.filter((key) => !vietnamese.has(key) && !vietnamese.has(`${key}_other`))).toEqual([])
    expect(asked.length).toBeGreaterThan(30)
  })

  test('have a sentence for everything that the server refuses', () => {
    const codes = Object.keys(statusOfCode)
    expect(codes.filter((code) => !vietnamese.has(`errors.${code}`))).toEqual([])
    const known = new Set([...codes, 'unreachable'])
    expect(Object.keys(catalogues.vi.errors).filter((code) => !known.has(code))).toEqual([])
  })

  test('have words for whatever the server finds wrong with what a page sends', () => {
    const all = below('src')
    const said = [
      ...all.matchAll(/invalidField\(\s*'[^']*',\s*(["'`])(.+?)\1/g),
      ...all.matchAll(/AppError\(\s*'invalid_request',\s*(["'`])(.+?)\1/g),
      ...below('src', /schema\.ts$|http\.ts$/).matchAll(/\berror: (["'`])(.+?)\1/g),
    ].map(([, , sentence]) => sentence)
    expect(said.length).toBeGreaterThan(60)
    // A number takes the place of what is filled in.
    const asSent = said.map((sentence) => sentence.replace(/\$\{(?!max\} times)[^}]+\}/g, '9'))
    expect(asSent.filter((one) => !ofPrograms.test(one) && faultText(one) === one)).toEqual([])
  })

  test('are whole: no text is empty, and few are the same in both', () => {
    expect([...vietnamese, ...english].filter(([, text]) => text.trim() === '')).toEqual([])
    const same = [...vietnamese].filter(([key, text]) => /\p{L}/u.test(text) && english.get(key) === text)
    expect(same.map(([key]) => key)).toEqual([])
  })
})
