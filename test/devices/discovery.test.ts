import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { Bonjour } from 'bonjour-service'
import { afterEach, expect, test } from 'vitest'
import { answers, browse } from '../../src/devices/discovery.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await new Promise<void>((resolve) => void closing(server, resolve))
})
function closing(server: { close(done?: () => void): unknown }, done: () => void): void {
  server.close(() => done())
}

async function listening(server: ReturnType<typeof createServer>): Promise<number> {
  open.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

test('a port that accepts connections answers, a closed one does not', async () => {
  const server = createServer((socket) => socket.destroy())
  const port = await listening(server)
  expect(await answers('127.0.0.1', port)).toBe(true)
  open.splice(0)
  server.close()
  await once(server, 'close')
  expect(await answers('127.0.0.1', port)).toBe(false)
})

test('nothing is sent, so that a redirect leads nowhere', async () => {
  let requests = 0
  let bytes = 0
  const elsewhere = createHttpServer((_request, response) => {
    requests++
    response.end()
  })
  const target = await listening(elsewhere)
  const redirecting = createServer((socket) => {
    socket.on('data', (data) => {
      bytes += data.length
    })
    socket.on('error', () => {})
    socket.write(`HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:${target}/\r\nContent-Length: 0\r\n\r\n`)
  })
  const gone = once(redirecting, 'connection').then(
    ([socket]) => new Promise((resolve) => socket.once('close', resolve)),
  )
  expect(await answers('127.0.0.1', await listening(redirecting))).toBe(true)
  await gone
  expect([requests, bytes]).toEqual([0, 0])
})

/** mDNS over loopback to oneself alone: no multicast. */
async function loopbackBonjour(): Promise<Bonjour> {
  const probe = createSocket('udp4')
  probe.bind(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  const options = { multicast: false, ip: '127.0.0.1', bind: '127.0.0.1', port, reuseAddr: false }
  return new Bonjour(options as never)
}

test('what is announced by mDNS is found, and what is of another type is not', async () => {
  const bonjour = await loopbackBonjour()
  const announce = (name: string, type: string, port: number, txt = {}) =>
    bonjour.publish({ name, type, port, txt, host: `${name}.local`, probe: false })
  announce('gate', 'rollcall-kiosk', 8000, { version: '1' })
  announce('printer', 'ipp', 631)
  const found = await browse(bonjour, ['rollcall-kiosk', 'http'], 1500)
  expect(found).toEqual([
    {
      type: 'rollcall-kiosk',
      hostname: 'gate.local',
      port: 8000,
      addresses: expect.any(Array),
      txt: { version: '1' },
    },
  ])
})

test('a machine that cannot ask its network says so', async () => {
  const taken = createSocket('udp4')
  taken.bind(0, '127.0.0.1')
  await once(taken, 'listening')
  open.push(taken)
  const { port } = taken.address()
  const options = { multicast: false, ip: '127.0.0.1', bind: '127.0.0.1', port, reuseAddr: false }
  await expect(browse(new Bonjour(options as never), ['rollcall-kiosk'], 5000)).rejects.toMatchObject({
    code: 'discovery_off',
  })
})
