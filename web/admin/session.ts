import { useQuery } from '@tanstack/react-query'
import type { meSchema, signedInSchema } from '../../src/access/schema.ts'
import { type Answer, ApiError, type Call, send } from '../shared/api.ts'
import { forget, recall, store } from '../shared/local.ts'

export type Me = Answer<typeof meSchema>
export type Permission = Me['permissions'][number]

/** In memory alone: the refresh token, which outlives the page, is a cookie that no script can read. */
let accessToken: string | undefined

let isIn = false
let onEnd = () => {}
/** Of the tabs of this browser, which share a session. */
const tabs = new BroadcastChannel('rollcall.session')
tabs.onmessage = () => end()

/** Has `act` done when the session ends on an open page: it has expired, was taken away, or left in another tab. */
export function whenSessionEnds(act: () => void): void {
  onEnd = act
}

function end(): void {
  if (!isIn) return
  isIn = false
  accessToken = undefined
  forget('session')
  onEnd()
}

/** Sends a request as who is signed in; renews the access token once where it has expired. */
export async function request(path: string, call: Call = {}): Promise<Response> {
  const token = accessToken
  try {
    return await send(path, authorised(call))
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'not_signed_in') throw error
    // Another request may have renewed it meanwhile.
    if (token === accessToken) await renew().catch(endIfRefused)
    return send(path, authorised(call)).catch(endIfRefused)
  }
}

/** What renewing does not cure. */
function endIfRefused(error: unknown): never {
  if (error instanceof ApiError && error.code === 'not_signed_in') end()
  throw error
}

/** As `request`, and reads the answer. */
export async function api<T>(path: string, call?: Call): Promise<T> {
  return (await request(path, call)).json()
}

/** A page of a list, and how many entries it has in all. */
export async function apiList<T>(path: string, call?: Call): Promise<{ rows: T[]; total: number }> {
  const response = await request(path, call)
  const rows: T[] = await response.json()
  return { rows, total: Number(response.headers.get('x-total-count') ?? rows.length) }
}

const authorised = (call: Call): Call => ({
  ...call,
  headers: { ...call.headers, ...(accessToken && { authorization: `Bearer ${accessToken}` }) },
})

export interface Credentials {
  username: string
  password: string
  /** Of the second factor. */
  code?: string
}

/** Rejects with `code_required` where the second factor is asked for. */
export async function signIn(credentials: Credentials): Promise<void> {
  const response = await send('/auth/login', { method: 'POST', body: credentials })
  takeToken(await response.json())
}

/** Makes the first owner, who is signed in then. */
export async function setUp(owner: { token: string; username: string; password: string }): Promise<void> {
  const response = await send('/auth/setup', { method: 'POST', body: owner })
  takeToken(await response.json())
}

export async function signOut(): Promise<void> {
  await request('/auth/logout', { method: 'POST' }).catch(() => {})
  isIn = false
  accessToken = undefined
  forget('session')
  tabs.postMessage('out')
}

/** Whether somebody is signed in here, from an earlier visit say. Rejects where the server cannot be asked. */
export async function isSignedIn(): Promise<boolean> {
  if (accessToken) return true
  // The cookie cannot be seen from here; to ask the server for nothing would be an error on the console.
  if (recall('session', ['yes']) === undefined) return false
  try {
    await renew()
    return true
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      forget('session')
      return false
    }
    throw error
  }
}

let renewing: Promise<void> | undefined

/** One at a time, also of several tabs: a refresh token that is used twice ends its session. */
function renew(): Promise<void> {
  const exchange = async () => {
    accessToken = undefined
    takeToken(await (await send('/auth/refresh', { method: 'POST' })).json())
  }
  // Without TLS a browser has no locks; then two tabs that renew in the same moment sign in again.
  renewing ??= (navigator.locks ? navigator.locks.request('rollcall.renew', exchange) : exchange()).finally(
    () => {
      renewing = undefined
    },
  )
  return renewing
}

function takeToken({ access_token }: Answer<typeof signedInSchema>): void {
  accessToken = access_token
  isIn = true
  store('session', 'yes')
}

/** Who is signed in, and whether they may do something. */
export function useMe() {
  const {
    data: me,
    error,
    refetch: retry,
  } = useQuery({ queryKey: ['me'], queryFn: () => api<Me>('/auth/me') })
  return { me, error, retry, may: (permission: Permission) => me?.permissions.includes(permission) ?? false }
}
