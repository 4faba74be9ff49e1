import { Agent, type IncomingHttpHeaders, request } from 'node:http'

export interface Reply {
  status: number
  headers: IncomingHttpHeaders
  body: Record<string, unknown>
}

export interface Client {
  get(path: string): Promise<Reply>
  postJson(path: string, body: object, headers?: Record<string, string>): Promise<Reply>
  postForm(path: string, form: Form, headers?: Record<string, string>): Promise<Reply>
  close(): void
}

/** A multipart form, ready to be sent as often as one likes. */
export interface Form {
  type: string
  bytes: Buffer
}

const TIMEOUT_MS = 30_000

/** A client with at most so many connections, which it keeps open. A call rejects when no whole answer comes. */
export function openClient(base: string, connections: number): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  function send(
    method: string,
    path: string,
    bytes?: Uint8Array,
    more: Record<string, string> = {},
  ): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const headers = bytes ? { 'content-length': bytes.length, ...more } : more
      const outgoing = request(
        new URL(path, base),
        { method, agent, headers, timeout: TIMEOUT_MS },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.on('error', reject)
          incoming.on('end', () => {
            try {
              const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>
              resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body })
            } catch (error) {
              reject(error)
            }
          })
        },
      )
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')))
      outgoing.on('error', reject)
      outgoing.end(bytes)
    })
  }
  return {
    get: (path) => send('GET', path),
    postJson: (path, body, more) =>
      send('POST', path, Buffer.from(JSON.stringify(body)), { 'content-type': 'application/json', ...more }),
    postForm: (path, { type, bytes }, more) => send('POST', path, bytes, { 'content-type': type, ...more }),
    close: () => agent.destroy(),
  }
}

export function makeForm(
  fields: Record<string, string>,
  file: { field: string; name: string; bytes: Buffer },
): Form {
  const boundary = '----rollcall-benchmark'
  const texts = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="${file.field}"; filename="${file.name}"\r\nContent-Type: image/jpeg\r\n\r\n`
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    bytes: Buffer.concat([
      Buffer.from(texts.join('') + head),
      file.bytes,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]),
  }
}
