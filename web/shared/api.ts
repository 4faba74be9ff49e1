import type { z } from 'zod'
import { faultText } from './fault-text.ts'

/** What the server's schema describes, as it looks once it was JSON. */
export type Json<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? Json<Item>[]
    : T extends object
      ? { [Key in keyof T]: Json<T[Key]> }
      : T

/** What a route answers, by its schema: `Answer<typeof punchSchema>`. */
export type Answer<Schema extends z.ZodType> = Json<z.output<Schema>>
/** What a route takes, by its schema. */
export type Sent<Schema extends z.ZodType> = z.input<Schema>

export interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Sent as JSON, unless it is a form. */
  body?: unknown
  /** Of the address; what is undefined or empty is left out. */
  query?: Record<string, string | number | boolean | undefined>
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** A refusal of the server, or `unreachable` where it did not answer at all. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  /** The answer's body, with the further keys of some codes. */
  readonly body: Record<string, unknown>

  constructor(status: number, code: string, message: string, body: Record<string, unknown> = {}) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.code = code
    this.body = body
  }
}

/** What is wrong with the values that were sent, in the server's words; empty where the error says nothing of any. */
export function faultsOf(error: unknown): { path: string; message: string }[] {
  return error instanceof ApiError ? ((error.body.fields ?? []) as ReturnType<typeof faultsOf>) : []
}

/** What is wrong with a field of what was sent; undefined where the error says nothing of it. */
export function faultOf(error: unknown, field: string): string | undefined {
  const fault = faultsOf(error).find(({ path }) => path === field)
  return fault && faultText(fault.message)
}

/** Sends a request to `/api/v1` + path. Rejects with an ApiError for every answer that is not a success. */
export async function send(path: string, call: Call = {}): Promise<Response> {
  const { method = 'GET', body, query = {}, headers = {}, signal } = call
  const asForm = body instanceof FormData
  const request: RequestInit = {
    method,
    signal,
    cache: 'no-store',
    headers: { ...(body !== undefined && !asForm && { 'content-type': 'application/json' }), ...headers },
    body: asForm ? body : JSON.stringify(body),
  }
  const response = await fetch(`/api/v1${path}${queryOf(query)}`, request).catch((error: unknown) => {
    if (signal?.aborted) throw error
    throw new ApiError(0, 'unreachable', 'The server does not answer.')
  })
  if (response.ok) return response
  const problem = await response.json().catch(() => ({}))
  throw new ApiError(
    response.status,
    String(problem.code ?? 'internal'),
    String(problem.message ?? response.statusText),
    problem,
  )
}

function queryOf(query: NonNullable<Call['query']>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
  return given.length === 0
    ? ''
    : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`
}
