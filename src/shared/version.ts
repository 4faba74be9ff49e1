import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { AppError } from './errors.ts'

/** Header of a change: the version that the editor has seen. */
export const ifMatch = z.object({
  'if-match': z
    .string()
    .max(1000)
    .optional()
    .describe('The ETag that was read: 412 when somebody else has changed it since. `*` means any'),
})

/** The versions that a change is meant for; undefined means any. */
export function expectedVersions(header: string | undefined): number[] | undefined {
  const tags = header?.split(',').map((tag) => tag.trim())
  if (tags === undefined || tags.includes('*')) return undefined
  // A weak tag never matches, says RFC 9110; nor does what is not a version at all.
  return tags.flatMap((tag) => /^"?([0-9]{1,9})"?$/.exec(tag)?.[1] ?? []).map(Number)
}

/** Answers something that has a version, and the version as its ETag. */
export function sendVersioned<T extends { version: number }>(reply: FastifyReply, thing: T): T {
  reply.header('etag', `"${thing.version}"`)
  return thing
}

export function versionMismatch(): AppError {
  return new AppError(
    'version_mismatch',
    'Somebody else has changed this since you read it. Read it again and repeat your change.',
  )
}
