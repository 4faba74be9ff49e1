import { createHash } from 'node:crypto'
import type { PackFile } from './pack.ts'

/** What a pack's networks are known by: SHA-256, in hex, over the sorted SHA-256s of its files. */
export function digestOf(files: Readonly<Record<string, Pick<PackFile, 'sha256'>>>): string {
  const sum = createHash('sha256')
  for (const sha256 of Object.values(files)
    .map((file) => file.sha256)
    .sort())
    sum.update(`${sha256}\n`)
  return sum.digest('hex')
}
