import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { configSchema } from '../src/shared/config.ts'

/** From the ground up. A file imports from its own room and from lower floors only; rooms of one floor do not meet. */
const floors = [
  ['shared'],
  ['face', 'database', 'vault'],
  ['ledger'],
  ['keys.ts', 'settings-note.ts'],
  ['access'],
  ['sites'],
  ['employees', 'devices'],
  ['gallery'],
  ['attendance'],
  ['timesheet', 'webhooks'],
  ['monitoring'],
  ['openapi-examples.ts'],
  ['openapi.ts', 'web.ts'],
  ['app.ts'],
  ['main.ts', 'onboarding.ts'],
  ['demo.ts', 'operations'],
  ['cli.ts'],
]

const src = resolve('src')
const files = readdirSync(src, { recursive: true })
  .map(String)
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.as.ts'))

/** Static, dynamic and side-effect imports and re-exports, types included, as they are written. */
export function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  const patterns = [
    /\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*['"]([^'"]+)['"]/g,
    /\bimport\s*\(\s*['"]([^'"]+)['"]/g,
  ]
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map(([, specifier]) => specifier))
}

/** What the pages run of the server. */
const decoding = ['blazeface-boxes.ts', 'detection.ts'].map((name) => join('face', 'detect', name))

const roomOf = (path: string) => path.split(/[\\/]/)[0]
const floorOf = (room: string) => floors.findIndex((rooms) => rooms.includes(room))

/** file -> the files of src that it imports, both relative to src. */
const graph = new Map(
  files.map((file) => {
    const imported = importsOf(readFileSync(join(src, file), 'utf8')).filter((specifier) =>
      specifier.startsWith('.'),
    )
    return [file, imported.map((specifier) => relative(src, resolve(dirname(join(src, file)), specifier)))]
  }),
)

describe('the house', () => {
  test('every file stands on a floor', () => {
    expect(files.filter((file) => floorOf(roomOf(file)) < 0)).toEqual([])
    expect(files.length).toBeGreaterThan(40)
  })

  test('imports go down only, and never to another room of the same floor', () => {
    const wrong = [...graph].flatMap(([file, imports]) =>
      imports
        .filter(
          (target) => roomOf(target) !== roomOf(file) && floorOf(roomOf(target)) >= floorOf(roomOf(file)),
        )
        .map((target) => `${file} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  test('no file imports itself over others', () => {
    const circles: string[] = []
    const done = new Set<string>()
    const visit = (file: string, path: string[]) => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
      else if (!done.has(file)) for (const target of graph.get(file) ?? []) visit(target, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
    expect(circles).toEqual([])
  })

  test('an import leads to a file that is there', () => {
    const missing = [...graph].flatMap(([file, imports]) =>
      imports.filter((target) => !files.includes(target)).map((target) => `${file}: ${target}`),
    )
    expect(missing).toEqual([])
  })

  test('only the settings read the environment', () => {
    const readers = files.filter((file) => readFileSync(join(src, file), 'utf8').includes('process.env'))
    // The second one only sets something, for a library.
    expect(readers.sort()).toEqual(['config.ts', 'no-telemetry.ts'].map((name) => join('shared', name)))
  })

  test('the face engine knows no database and no HTTP', () => {
    const outside = files
      .filter((file) => roomOf(file) === 'face')
      .flatMap((file) => importsOf(readFileSync(join(src, file), 'utf8')))
    expect(outside.filter((specifier) => /fastify|kysely|^pg$|pglite|node:http/.test(specifier))).toEqual([])
  })

  test('the pages take types alone from the server, and the pure decoding of the detector', () => {
    const pages = readdirSync('web', { recursive: true })
      .map((path) => join('web', String(path)))
      .filter((path) => /\.tsx?$/.test(path))
    const taken = pages.flatMap((page) =>
      importsIn(page)
        .filter(({ target }) => target.startsWith(`${src}${sep}`))
        .map(({ target, typesOnly }) => ({ page, file: relative(src, target), typesOnly })),
    )
    const ofServer = taken.filter(({ file }) => !decoding.includes(file))
    expect(ofServer.filter(({ file, typesOnly }) => !typesOnly || !file.endsWith('schema.ts'))).toEqual([])
    expect(taken.length).toBeGreaterThan(3)
    // What is pure stays so.
    const needed = decoding.flatMap((file) => importsIn(join('src', file)))
    expect(
      needed.filter(({ target, typesOnly }) => !typesOnly && !decoding.includes(relative(src, target))),
    ).toEqual([])
  })

  /** What a file imports from its own repository, and whether as types alone. */
  function importsIn(file: string) {
    const statements = readFileSync(file, 'utf8').matchAll(/\b(?:import|export)\s[^'"]*?from\s*'(\.[^']+)'/g)
    return [...statements].map(([statement, specifier]) => ({
      target: resolve(dirname(file), specifier),
      typesOnly: statement.startsWith('import type '),
    }))
  }

  test('imports are found however they are written', () => {
    const source = `import a from './a.ts'\nimport './b.ts'\nconst c = await import('./c.ts')
export { d } from "./d.ts"\nimport type { E } from './e.ts'\n// import './not.ts'\n/* from './nor.ts' */`
    expect(importsOf(source).sort()).toEqual(['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts'])
  })
})

describe('the documents', () => {
  const documents = ['README.md', 'CHANGELOG.md', 'THIRD_PARTY.md'].concat(
    readdirSync('docs', { recursive: true })
      .map((path) => join('docs', String(path)))
      .filter((path) => path.endsWith('.md')),
  )

  test('link to files that are there', () => {
    const links = documents.flatMap((document) =>
      [...readFileSync(document, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => ({
        document,
        link,
      })),
    )
    const own = links.filter(({ link }) => !/^([a-z]+:|#)/.test(link))
    const broken = own.filter(
      ({ document, link }) => !existsSync(join(dirname(document), link.replace(/#.*/, ''))),
    )
    expect(broken).toEqual([])
    expect(own.length).toBeGreaterThan(5)
  })

  test('name tests that are there', () => {
    const named = documents.flatMap((document) =>
      [...readFileSync(document, 'utf8').matchAll(/`(test\/[^`*]+\.ts)`/g)].map(([, path]) => path!),
    )
    expect(named.filter((path) => !existsSync(path))).toEqual([])
    expect(named.length).toBeGreaterThan(20)
  })

  test('README.md lists every setting, and no other', () => {
    const rows = [...readFileSync('README.md', 'utf8').matchAll(/^\| `([A-Z_]+)` /gm)]
    expect(rows.map(([, name]) => name).sort()).toEqual(Object.keys(configSchema.shape).sort())
  })

  test('THIRD_PARTY.md names every package that is not MIT and gets installed for use, under its licence', () => {
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
      packages: Record<string, { dev?: boolean; license?: string }>
    }
    const wanted = Object.entries(packages)
      .filter(([path, { dev }]) => path !== '' && !dev)
      .map(([path, { license = 'none' }]) => ({
        name: path.replace(/^.*node_modules\//, ''),
        // What is installed says it itself; the lock also knows the binaries of other systems.
        licence: (existsSync(path) && installedLicence(path)) || license,
      }))
    const rows = readFileSync('THIRD_PARTY.md', 'utf8').split('\n')
    const missing = wanted.filter(({ name, licence }) => {
      const row = rows.find((line) => line.split('|')[1]?.trim() === licence)
      return row === undefined || !(licence === 'MIT' || namesPackage(row, name))
    })
    expect(missing).toEqual([])
    expect(wanted.length).toBeGreaterThan(100)
  })

  function installedLicence(path: string): string | undefined {
    return JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')).license
  }

  /** The binaries of sharp for each system are named by one pattern. */
  function namesPackage(row: string, name: string): boolean {
    const named = [...row.matchAll(/`([^`]+)`/g)].map(([, words]) => words)
    return named.some((words) => (words.endsWith('*') ? name.startsWith(words.slice(0, -1)) : words === name))
  }
})
