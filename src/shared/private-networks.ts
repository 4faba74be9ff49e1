import { BlockList, isIPv4 } from 'node:net'

/** RFC 1918. Not among them: public, loopback, link-local (169.254, where clouds keep secrets) and multicast. */
const privateRanges = new BlockList()
privateRanges.addSubnet('10.0.0.0', 8)
privateRanges.addSubnet('172.16.0.0', 12)
privateRanges.addSubnet('192.168.0.0', 16)

/** Whether an address belongs to a private IPv4 network. */
export function isPrivateAddress(address: string): boolean {
  return isIPv4(address) && privateRanges.check(address)
}

/** The most addresses of one network: a /22. */
export const MAX_ADDRESSES = 1024

/**
 * The hosts' addresses of a network such as 192.168.1.0/24. Undefined when it is no such text, not wholly private,
 * or larger than MAX_ADDRESSES.
 */
export function privateAddresses(network: string): string[] | undefined {
  const [, base = '', prefix = ''] = /^([\d.]+)\/(\d{1,2})$/.exec(network) ?? []
  const bits = 32 - Number(prefix)
  if (!isIPv4(base) || bits < 0 || 2 ** bits > MAX_ADDRESSES) return undefined
  const size = 2 ** bits
  const first = Math.floor(numberOf(base) / size) * size
  const all = Array.from({ length: size }, (_, i) => addressOf(first + i))
  if (!all.every(isPrivateAddress)) return undefined
  // The first names the network and the last reaches everybody in it.
  return size > 2 ? all.slice(1, -1) : all
}

function numberOf(address: string): number {
  return address.split('.').reduce((number, byte) => number * 256 + Number(byte), 0)
}

function addressOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.')
}
