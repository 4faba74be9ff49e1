import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { wholeNumber } from './http.ts'

/** Query parameters of every list; extend it with the list's own filters. */
export const pageQuery = z.object({
  limit: wholeNumber(1, 1000).default(100).describe('Most entries to answer'),
  skip: wholeNumber(0, 1_000_000_000).default(0).describe('Entries to leave out before the first'),
})

/** Query parameter of a list that can be sorted: one of the keys, or with a `-` before it the other way round. */
export function sortBy<const Key extends string>(...keys: Key[]) {
  return z.enum(keys.flatMap((key) => [key, `-${key}`] as [Key, `-${Key}`])).optional()
}

export type Page = z.infer<typeof pageQuery>

/**
 * Tells how long a list is and where its other pages are: X-Total-Count and Link (RFC 8288).
 * The list itself stays a bare array, which is what clients read.
 */
export function setPageHeaders(
  request: FastifyRequest,
  reply: FastifyReply,
  page: Page,
  total: number,
): void {
  const { limit, skip } = page
  const last = lastSkip(page, total)
  const links = [pageLink(request.url, limit, 0, 'first')]
  // Behind the end of the list, the page before is the last one that has entries.
  const previous = Math.min(Math.max(0, skip - limit), last)
  if (skip > 0) links.push(pageLink(request.url, limit, previous, 'prev'))
  if (skip + limit < total) links.push(pageLink(request.url, limit, skip + limit, 'next'))
  links.push(pageLink(request.url, limit, last, 'last'))
  reply.header('x-total-count', String(total)).header('link', links.join(', '))
}

/** Answers a list that has no pages, and tells the same of it: how long it is, and that this is all. */
export function wholeList<T>(request: FastifyRequest, reply: FastifyReply, list: T[]): T[] {
  const { pathname, search } = new URL(request.url, 'http://localhost')
  const links = ['first', 'last'].map((relation) => `<${pathname}${search}>; rel="${relation}"`)
  reply.header('x-total-count', String(list.length)).header('link', links.join(', '))
  return list
}

/** Counted from the page that was asked for, so that following `next` ends at `last`. */
function lastSkip({ limit, skip }: Page, total: number): number {
  const offset = skip % limit
  return total <= offset ? 0 : offset + Math.floor((total - 1 - offset) / limit) * limit
}

function pageLink(requestUrl: string, limit: number, skip: number, relation: string): string {
  // The host is a stand-in: only the path and the query are kept, so the link holds behind any proxy.
  const url = new URL(requestUrl, 'http://localhost')
  url.searchParams.set('limit', String(limit))
  url.searchParams.set('skip', String(skip))
  return `<${url.pathname}${url.search}>; rel="${relation}"`
}
