import { isIP } from 'node:net'
import { z } from 'zod'

/** The IANA name of a time zone. */
export const timeZone = z
  .string()
  .max(100)
  .refine(isTimeZone, { error: 'not an IANA time zone such as Asia/Ho_Chi_Minh' })

function isTimeZone(zone: string): boolean {
  // PostgreSQL reads an offset such as +07:00 the other way round.
  if (!/^[A-Za-z]/.test(zone)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false
  }
}

/** Whether a text is an address, or a block of them in CIDR notation. */
export function isNetwork(text: string): boolean {
  const [address, prefix, ...more] = text.split('/')
  const version = isIP(address ?? '')
  if (version === 0 || more.length > 0 || address?.includes('%')) return false
  if (prefix === undefined) return true
  return /^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128)
}
