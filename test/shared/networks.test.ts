import { expect, test } from 'vitest'
import { isInNetworks } from '../../src/shared/networks.ts'

test.each([
  ['10.0.0.1', [], true],
  ['10.0.0.1', ['10.0.0.1'], true],
  ['10.0.0.2', ['10.0.0.1'], false],
  ['10.0.255.255', ['10.0.0.0/16'], true],
  ['10.1.0.0', ['10.0.0.0/16'], false],
  ['192.0.2.7', ['0.0.0.0/0'], true],
  ['::ffff:10.0.3.4', ['10.0.0.0/16'], true],
  ['::ffff:10.1.3.4', ['10.0.0.0/16'], false],
  ['fd00::1', ['0.0.0.0/0'], false],
  ['fd00::1', ['fd00::/8'], true],
  ['fd00::1', ['fd00::1'], true],
  ['no address', ['0.0.0.0/0', '::/0'], false],
  ['', ['0.0.0.0/0'], false],
])('%s in %j is %s', (address, networks, inside) => {
  expect(isInNetworks(address, networks)).toBe(inside)
  // The parsed list is kept; it must say the same again.
  expect(isInNetworks(address, networks)).toBe(inside)
})
