/** What Node says when the server cannot be reached or went away. */
const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
])

/** SQLSTATEs after which the same request may succeed a little later. */
const transientStates = new Set([
  '25006', // read-only: the server became a standby
  '25P03', // idle_in_transaction_session_timeout
  '40001', // serialization failure
  '40P01', // deadlock
  '55P03', // lock_timeout
  '57014', // statement_timeout
  '57P01', // shut down by the administrator
  '57P02', // crash of another session
  '57P03', // starting up or shutting down
  '57P05', // idle_session_timeout
  '58030', // input/output error
])

/** SQLSTATE classes: 08 connection, 53 out of disk, memory or connections. */
const transientClass = /^(08|53)[0-9A-Z]{3}$/

/** What pg, its pool, Kysely and PGlite say without a code. */
const transientMessage =
  /^(timeout exceeded when trying to connect|timeout expired|Connection terminated|Query read timeout|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end|driver has already been destroyed|PGlite is clos)/

/**
 * True when the database could not serve the request now (unreachable, stopped, full, out of time), so that
 * the caller may be told to come back; false for mistakes such as a violated constraint or wrong SQL.
 */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = codeOf(error)
  if (code !== undefined) {
    if (networkCodes.has(code) || transientStates.has(code) || transientClass.test(code)) return true
  }
  if (transientMessage.test(error.message)) return true
  return error.cause !== undefined && isConnectionError(error.cause)
}

/** The SQLSTATE or the system's code of an error. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}
