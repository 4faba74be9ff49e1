import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/shared/config.ts'
import { isPrivateAddress, privateAddresses } from '../../src/shared/private-networks.ts'

const config = (settings: Record<string, string>) => loadConfig(settings, '/nowhere', {})

describe('a network that may be scanned', () => {
  test.each([
    ['192.168.1.0/30', ['192.168.1.1', '192.168.1.2']],
    ['192.168.1.77/30', ['192.168.1.77', '192.168.1.78']],
    ['10.255.255.255/32', ['10.255.255.255']],
    ['172.31.255.254/31', ['172.31.255.254', '172.31.255.255']],
  ])('%s has the hosts %j', (network, hosts) => {
    expect(privateAddresses(network)).toEqual(hosts)
  })

  test('has at most 1024 addresses', () => {
    expect(privateAddresses('10.0.0.0/22')).toHaveLength(1022)
    expect(privateAddresses('10.0.0.0/21')).toBeUndefined()
    expect(privateAddresses('0.0.0.0/0')).toBeUndefined()
  })

  test.each([
    ['loopback', '127.0.0.0/30'],
    ['loopback', '127.0.0.1/32'],
    ['link-local, where clouds keep secrets', '169.254.169.254/32'],
    ['public', '8.8.8.8/32'],
    ['public', '172.32.0.0/30'],
    ['public', '172.15.255.252/30'],
    ['public', '192.169.0.0/24'],
    ['shared by carriers', '100.64.0.0/24'],
    ['multicast', '224.0.0.0/30'],
    ['broadcast', '255.255.255.255/32'],
    ['this host', '0.0.0.0/32'],
    ['IPv6', '::1/128'],
    ['IPv6', 'fd00::/120'],
    ['an address alone', '192.168.1.1'],
    ['a name', 'localhost/32'],
    ['octal', '0300.0250.0.1/32'],
    ['octal', '010.0.0.1/32'],
    ['too few bytes', '10.1/32'],
    ['too many bits', '10.0.0.0/33'],
    ['negative', '10.0.0.0/-1'],
    ['nothing', ''],
    ['a range', '10.0.0.1-10.0.0.9'],
  ])('is none of these: %s, %s', (_what, network) => {
    expect(privateAddresses(network)).toBeUndefined()
    if (network !== '') expect(() => config({ SCAN_NETWORKS: network })).toThrow('SCAN_NETWORKS')
  })

  test.each(['127.0.0.1', '169.254.169.254', '8.8.8.8', '::ffff:10.0.0.1', 'localhost', ''])(
    'does not hold %s',
    (address) => {
      expect(isPrivateAddress(address)).toBe(false)
    },
  )
})

describe('the settings of a scan', () => {
  test('are off by default', () => {
    expect(config({})).toMatchObject({ DISCOVERY: false, SCAN_NETWORKS: [], SCAN_PORTS: [5000, 8000] })
  })

  test('are lists', () => {
    expect(config({ SCAN_NETWORKS: '10.0.0.0/24, 192.168.1.0/24', SCAN_PORTS: '80, 5000' })).toMatchObject({
      SCAN_NETWORKS: ['10.0.0.0/24', '192.168.1.0/24'],
      SCAN_PORTS: [80, 5000],
    })
  })

  test('name at most 1024 addresses together', () => {
    const networks = Array.from({ length: 5 }, (_, i) => `10.0.${i}.0/24`).join(',')
    expect(() => config({ SCAN_NETWORKS: networks })).toThrow('at most 1024 addresses together')
  })

  test('refuse one wrong network among good ones', () => {
    expect(() => config({ SCAN_NETWORKS: '10.0.0.0/24,127.0.0.1/32' })).toThrow('must be private')
  })

  test.each(['0', '65536', 'http', '80;81', '1,2,3,4,5', '-1', '5000.5'])('refuse the ports %s', (ports) => {
    expect(() => config({ SCAN_PORTS: ports })).toThrow('SCAN_PORTS')
  })
})
