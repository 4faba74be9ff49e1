import type { Permission } from './access/permissions.ts'

/** The first steps with a new server, over its API, as the demo, the benchmark and the tests take them. */

export interface Credentials {
  username: string
  password: string
}

type Headers = Record<string, string>

/** Calls the API and reads its JSON. Rejects with the server's own sentence when it refuses. */
export async function call<Answer>(
  method: string,
  url: string,
  { body, headers = {} }: { body?: object; headers?: Headers } = {},
): Promise<Answer> {
  const json = body && !(body instanceof FormData)
  const response = await fetch(url, {
    method,
    headers: json ? { 'content-type': 'application/json', ...headers } : headers,
    body: json ? JSON.stringify(body) : (body as FormData | undefined),
  })
  const answer = (await response.json()) as Answer & { message?: string }
  if (!response.ok)
    throw new Error(`${method} ${new URL(url).pathname}: ${response.status} ${answer.message}`)
  return answer
}

/** Makes the first owner with the link that the server printed, and signs them in. Returns the access token. */
export async function makeOwner(base: string, setupPath: string, owner: Credentials): Promise<string> {
  const token = new URL(setupPath, base).searchParams.get('token')
  const body = { token, ...owner }
  const { access_token } = await call<{ access_token: string }>('POST', `${base}/api/v1/auth/setup`, { body })
  return access_token
}

/** Signs in. Returns the access token. */
export async function signIn(base: string, who: Credentials): Promise<string> {
  const answer = await call<{ access_token: string }>('POST', `${base}/api/v1/auth/login`, { body: who })
  return answer.access_token
}

/** Makes a key for a program. */
export async function makeApiKey(
  base: string,
  accessToken: string,
  name: string,
  scopes: readonly Permission[],
): Promise<string> {
  const headers = { authorization: `Bearer ${accessToken}` }
  const body = { name, scopes }
  const { key } = await call<{ key: string }>('POST', `${base}/api/v1/auth/api-keys`, { body, headers })
  return key
}

/** Pairs a registered kiosk. Returns its key. */
export async function pairKiosk(base: string, headers: Headers, deviceId: string): Promise<string> {
  const devices = `${base}/api/v1/devices`
  const { code } = await call<{ code: string }>('POST', `${devices}/${deviceId}/pair`, { headers })
  const { device_key } = await call<{ device_key: string }>('POST', `${devices}/pair`, { body: { code } })
  return device_key
}
