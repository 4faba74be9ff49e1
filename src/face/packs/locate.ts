import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { PackFile } from './pack.ts'

/**
 * Finds a pack's file in the installed npm package and checks its size and SHA-256 against the manifest.
 * Throws with a sentence that names the file and what to do when it is missing or differs.
 */
export function locate(file: PackFile): string {
  const path = join(packageFolder(file.package), file.path)
  if (!existsSync(path)) throw new Error(`The face model ${path} is missing. Run "npm install" again.`)
  const bytes = readFileSync(path)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  if (bytes.length !== file.sizeBytes || sha256 !== file.sha256)
    throw new Error(
      `The face model ${path} is not the one that was measured (SHA-256 ${sha256}). Run "npm install" again.`,
    )
  return path
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
