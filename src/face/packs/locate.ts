import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { PackFile } from './pack.ts'

/**
 * Where a pack's file is, once it was read and its size and SHA-256 are those of the manifest.
 * Throws an Error that names the file, the pack and what to do when the file is missing or differs.
 */
export function locate(file: PackFile, pack: string, modelPath?: string): string {
  const path = placeOf(file, modelPath)
  const remedy =
    file.source.kind === 'npm' ? 'Run "npm install" again.' : `Run "rollcall models install ${pack}".`
  const fault = faultOf(file, path)
  if (fault) throw new Error(`The file ${path} of the model pack ${pack} ${fault}. ${remedy}`)
  return path
}

/** Where a pack's file lies, or would lie. */
export function placeOf({ path, source }: PackFile, modelPath = ''): string {
  return join(source.kind === 'npm' ? packageFolder(source.package) : modelPath, path)
}

/** Where it is written down that somebody has agreed to the licence of a pack's weights. */
export const licenceRecord = (pack: string, modelPath: string) =>
  join(modelPath, pack, 'licence-accepted.json')

/** What is wrong with the file at `path`, as the end of a sentence about it; undefined where it is the pinned one. */
export function faultOf({ sha256, sizeBytes }: PackFile, path: string): string | undefined {
  if (!existsSync(path)) return 'is missing'
  const bytes = readFileSync(path)
  if (sizeBytes !== null && bytes.length !== sizeBytes)
    return `has ${bytes.length} bytes instead of ${sizeBytes}`
  const actual = createHash('sha256').update(bytes).digest('hex')
  return actual === sha256 ? undefined : `is not the one that was measured (SHA-256 ${actual})`
}

/** The folder of an installed package, whose `exports` hide everything but its entry. */
export function packageFolder(name: string): string {
  let folder: string
  try {
    folder = dirname(createRequire(import.meta.url).resolve(name))
  } catch (cause) {
    throw new Error(`The package ${name}, which holds face models, is missing. Run "npm install".`, { cause })
  }
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
