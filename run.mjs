#!/usr/bin/env node
// The one entry of all npm scripts. Plain JavaScript on Node alone, because it runs before anything is installed:
// it installs the packages and builds the program where they are missing or older than the sources, then runs it.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(fileURLToPath(import.meta.url))
process.chdir(root)

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `Rollcall needs Node 20.19 or newer; this is ${process.version}. Install a newer one from https://nodejs.org`,
  )
  process.exit(1)
}

const inCi = process.env.CI === 'true'
const [verb, ...rest] = process.argv.slice(2)
const verbs = {
  start: () => program('start'),
  demo: () => program('demo'),
  rollcall: () => program(),
  build: () => {},
  dev,
  bench: () => node(['--import', 'tsx', 'bench/bench.ts', ...rest]),
  evaluate: () => node(['--import', 'tsx', 'bench/evaluate.ts', ...rest]),
  torture: () => node(['--import', 'tsx', 'bench/torture.ts', ...rest]),
  check,
  test,
}
if (!Object.hasOwn(verbs, verb)) {
  console.error(`usage: node run.mjs ${Object.keys(verbs).join(' | ')}`)
  process.exit(2)
}
install()
build()
await verbs[verb]()

// --- What each verb needs

function install() {
  const wanted = hash(['package-lock.json', '.npmrc'])
  const stamp = 'node_modules/.rollcall-installed'
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  tell('installing the packages (once, about a minute)')
  // Not "npm ci": it refuses a lock that lacks the binaries of other systems.
  // Everything else comes from the lock; --no-save leaves it as it is.
  quietly('npm', ['install', '--no-save', '--no-audit', '--no-fund'], { shell: process.platform === 'win32' })
  writeFileSync(stamp, wanted)
}

function build() {
  buildProgram()
  buildPages()
}

function buildProgram() {
  const wanted = hash(['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', ...filesBelow('src')])
  const stamp = 'build/.rollcall-built'
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync('dist/cli.js')) return
  tell('building')
  mkdirSync('build', { recursive: true })
  // The pages in it are built on their own.
  const old = existsSync('dist') ? readdirSync('dist').filter((name) => name !== 'web') : []
  for (const name of old) rmSync(join('dist', name), { recursive: true })
  const optimise = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd']
  for (const kernel of ['search-kernel', 'crop-kernel']) {
    const files = [`src/face/${kernel}.as.ts`, '-o', `build/${kernel}.wasm`]
    quietly(process.execPath, ['node_modules/assemblyscript/bin/asc.js', ...files, ...optimise])
  }
  quietly(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'])
  writeFileSync(stamp, wanted)
}

function buildPages() {
  const wanted = hash(['package-lock.json', ...filesBelow('web')])
  const stamp = 'build/.rollcall-pages-built'
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync('dist/web/admin.html')) return
  tell('building the pages')
  quietly(process.execPath, ['node_modules/vite/bin/vite.js', 'build', 'web'])
  writeFileSync(stamp, wanted)
}

/** In this very process, so that Ctrl+C and a service manager's stop reach the server itself. */
async function program(...words) {
  process.argv = [process.argv[0], join(root, 'dist/cli.js'), ...words, ...rest]
  process.setSourceMapsEnabled(true)
  await import('./dist/cli.js')
}

/** The server and the pages from what is made of the sources, at every change. */
function dev() {
  const words = [
    'node_modules/typescript/bin/tsc',
    '-p',
    'tsconfig.build.json',
    '--watch',
    '--preserveWatchOutput',
  ]
  const pages = ['node_modules/vite/bin/vite.js', 'build', 'web', '--watch']
  for (const builder of [words, pages]) {
    const child = spawn(process.execPath, builder, { stdio: 'inherit' })
    process.on('exit', () => child.kill())
  }
  node(['--watch', '--enable-source-maps', 'dist/cli.js', 'start', ...rest])
}

/** Everything that needs no server: types, style, dead code, and which room may import which. */
function check() {
  run(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit'])
  run(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'web'])
  run(process.execPath, ['node_modules/@biomejs/biome/bin/biome', 'check', '.'])
  run(process.execPath, ['node_modules/knip/bin/knip.js'])
  run(process.execPath, [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--project',
    'embedded',
    'test/house.test.ts',
  ])
}

function test() {
  const projects = ['--project', 'embedded']
  if (havePostgres()) projects.push('--project', 'postgres')
  haveProgram('strace', 'strace', 'the test that watches the disk being synced')
  if (haveProgram('chromium', 'chromium', 'the tests of the pages in a real browser'))
    projects.push('--project', 'web')
  haveProgram('certutil', 'libnss3-tools', 'the test of a kiosk that trusts a CA of its own')
  node(['node_modules/vitest/vitest.mjs', 'run', ...projects, ...rest])
}

function havePostgres() {
  const installed = () => {
    const folder = '/usr/lib/postgresql'
    const versions = existsSync(folder) ? readdirSync(folder) : []
    return versions.some((version) => existsSync(join(folder, version, 'bin/initdb'))) || onPath('initdb')
  }
  return haveIt(installed, 'postgresql', 'the second run of the database tests, on a PostgreSQL server')
}

function haveProgram(name, debianPackage, purpose) {
  return haveIt(() => onPath(name), debianPackage, purpose)
}

/** Installs a Debian package where that is allowed; else says what is skipped. In CI a skip is a failure. */
function haveIt(installed, debianPackage, purpose) {
  if (installed()) return true
  if (process.getuid?.() === 0 && onPath('apt-get')) {
    tell(`installing ${debianPackage} for ${purpose}`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore', env })
    spawnSync('apt-get', ['install', '-y', '-qq', debianPackage], { stdio: 'ignore', env })
    if (installed()) return true
  }
  tell(`skipped: ${purpose}. To have it: apt-get install ${debianPackage}`)
  if (inCi) process.exit(1)
  return false
}

// --- Running things

function node(words) {
  run(process.execPath, words)
}

/** Runs a program in the foreground and ends with its exit code if that is not 0. */
function run(command, words) {
  const { status, signal, error } = spawnSync(command, words, { stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? (signal ? 1 : 0))
}

function quietly(command, words, options = {}) {
  const { status, stdout, stderr } = spawnSync(command, words, { encoding: 'utf8', ...options })
  if (status === 0) return
  console.error(stdout, stderr)
  console.error(`${command} ${words.join(' ')} failed`)
  process.exit(1)
}

function onPath(name) {
  return spawnSync(process.platform === 'win32' ? 'where' : 'which', [name], { stdio: 'ignore' }).status === 0
}

function hash(paths) {
  const sum = createHash('sha256')
  for (const path of paths) sum.update(path).update(readFileSync(path))
  return sum.digest('hex')
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .map((path) => join(folder, String(path)))
    .filter((path) => statSync(path).isFile())
    .sort()
}

function tell(line) {
  console.error(`rollcall: ${line}`)
}
