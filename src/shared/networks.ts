import { BlockList, isIP } from 'node:net'

/** The lists that were asked for, parsed: sites have few, and checks are many. */
const parsed = new Map<string, BlockList>()

/** Whether an address lies in one of the networks, CIDR blocks such as 10.1.0.0/16. No networks: any address does. */
export function isInNetworks(address: string, networks: readonly string[]): boolean {
  if (networks.length === 0) return true
  const version = isIP(address)
  return version !== 0 && parse(networks).check(address, version === 4 ? 'ipv4' : 'ipv6')
}

function parse(networks: readonly string[]): BlockList {
  const key = networks.join(' ')
  const known = parsed.get(key)
  if (known) return known
  const list = new BlockList()
  for (const network of networks) {
    const [address, prefix] = network.split('/')
    const type = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (prefix === undefined) list.addAddress(address, type)
    else list.addSubnet(address, Number(prefix), type)
  }
  if (parsed.size >= 1000) parsed.clear()
  parsed.set(key, list)
  return list
}
