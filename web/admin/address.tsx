/** An IP address; only one of IPv6 is too long for a line of a narrow table. */
export function Address({ ip }: { ip: string | null }) {
  return <span className={ip?.includes(':') ? 'break-all' : 'whitespace-nowrap'}>{ip ?? '–'}</span>
}
