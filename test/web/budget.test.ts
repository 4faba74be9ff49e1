import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'

const folder = 'dist/web'

/** What a page loads by itself: the scripts and styles that it names, and what those import in turn. */
function filesOf(page: string, isWanted: (statement: string) => boolean): string[] {
  const found = new Set<string>()
  const visit = (name: string) => {
    if (found.has(name)) return
    found.add(name)
    const source = readFileSync(join(folder, 'assets', name), 'utf8')
    const imports = source.matchAll(/(import\s*\(\s*|from\s*|import\s*)["'`]\.\/([\w.-]+\.js)["'`]/g)
    for (const [, statement, other] of imports) if (isWanted(statement)) visit(other)
  }
  const html = readFileSync(join(folder, page), 'utf8')
  for (const [, name] of html.matchAll(/(?:src|href)="\/assets\/([^"]+)"/g)) visit(name)
  return [...found]
}

const gzipped = (names: string[]) =>
  names.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, 'assets', name))).length, 0)

const isLanguage = (name: string) => /^(vi|en)-/.test(name)
/** The larger of the two catalogues, of which one is loaded. */
const language = () =>
  Math.max(
    ...readdirSync(join(folder, 'assets'))
      .filter(isLanguage)
      .map((name) => gzipped([name])),
  )

const isDetector = (name: string) => name.startsWith('detector-')
const isStatic = (statement: string) => !statement.includes('(')

describe.skipIf(!existsSync(folder))('the pages as they are built', () => {
  test('are small: the kiosk before the detector', () => {
    expect(gzipped(filesOf('kiosk.html', isStatic)) + language()).toBeLessThanOrEqual(150_000)
  })

  test('are small: the office with all its pages before the detector, which waits until somebody is enrolled', () => {
    const files = filesOf('admin.html', () => true)
    const detector = filesOf('admin.html', isStatic).filter(isDetector)
    expect(detector).toEqual([])
    const others = files.filter((name) => !isDetector(name) && !isLanguage(name))
    expect(files.filter(isLanguage)).toHaveLength(2)
    expect(gzipped(others) + language()).toBeLessThanOrEqual(250_000)
  })

  test('have no code and no style inside them, and ask nobody else for anything', () => {
    for (const page of readdirSync(folder).filter((name) => name.endsWith('.html')))
      expect(readFileSync(join(folder, page), 'utf8')).not.toMatch(
        /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|https?:\/\//i,
      )
  })
})
