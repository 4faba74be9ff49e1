import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Measured, Pack } from './pack.ts'

/** What `rollcall models measure` writes beside the weights that it measured. */
export interface MeasuredFile {
  pack: string
  /** The SHA-256 of each of the pack's files: a table of other weights is never used. */
  files: Record<string, string>
  photos: number
  people: number
  measured: Measured
}

/** Where the measurement of a pack lies that does not carry its own. */
export const measuredPath = (pack: string, modelPath: string) => join(modelPath, pack, 'measured.json')

/**
 * What was measured of a pack: what it carries, else what was measured on this machine with the very same files;
 * undefined where neither is. Without it nothing can be said of false matches.
 */
export function measuredOf(pack: Pack, modelPath?: string): Measured | undefined {
  if (pack.measured) return pack.measured
  if (modelPath === undefined) return undefined
  const path = measuredPath(pack.name, modelPath)
  if (!existsSync(path)) return undefined
  const file = readMeasured(path)
  if (!file) return undefined
  const same = Object.entries(pack.files).every(([name, { sha256 }]) => file.files[name] === sha256)
  return same && file.pack === pack.name ? file.measured : undefined
}

/** Undefined for a file that is damaged: it says nothing, as if nobody had measured. */
function readMeasured(path: string): MeasuredFile | undefined {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as Partial<MeasuredFile>
    return file.files && file.measured?.raw && file.measured.normalised ? (file as MeasuredFile) : undefined
  } catch {
    return undefined
  }
}

/** What a pack as an engine has it carries. Throws where nobody has measured what its scores mean. */
export function requireMeasured({ name, measured }: Pack): Measured {
  if (measured) return measured
  throw new Error(
    `Nobody has measured what a score of the model pack ${name} means. Run "rollcall models measure ${name} ` +
      '--faces DIR", with photos of 50 people or more.',
  )
}
