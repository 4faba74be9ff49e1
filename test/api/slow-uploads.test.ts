import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { portrait } from '../face/portraits.ts'
import { enrol, registerKiosk, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
let owner: { authorization: string }
beforeAll(async () => {
  running = await testApp()
  owner = await signIn(running.db, 'owner')
  await registerKiosk(running, 'GATE')
  await enrol(running, 'ANN', await portrait('blonde'))
  await running.app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(() => running.close())

const MEGABYTE = 1024 * 1024
const port = () => (running.app.server.address() as AddressInfo).port

/** Sends most of a picture of 9 MB and then no more; resolves to the socket and what was answered meanwhile. */
async function halfAnUpload(): Promise<{ socket: Socket; answer: () => string }> {
  const socket = connect(port(), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.on('error', () => {})
  await once(socket, 'connect')
  const head = '--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
  socket.write(
    `POST /api/v1/attendance/check HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${owner.authorization}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: ${9 * MEGABYTE}\r\n\r\n${head}`,
  )
  await new Promise((sent) => socket.write(Buffer.alloc(8 * MEGABYTE, 7), sent))
  return { socket, answer: () => answer }
}

test('senders that do not finish cannot fill the memory, and others are served as soon as they are gone', async () => {
  const before = process.memoryUsage.rss()
  const uploads = await Promise.all(Array.from({ length: 24 }, halfAnUpload))
  await expect
    .poll(() => uploads.filter(({ answer }) => answer() !== '').length, { timeout: 10_000 })
    .toBeGreaterThan(0)
  const answers = uploads.map(({ answer }) => answer()).filter((answer) => answer !== '')
  for (const answer of answers) {
    expect(answer).toMatch(/^HTTP\/1.1 503 /)
    expect(answer).toMatch(/retry-after: 1/i)
  }
  // 24 x 8 MB were sent by this very process; the server may hold 128 MB of them.
  expect(process.memoryUsage.rss() - before).toBeLessThan(600 * MEGABYTE)

  for (const { socket } of uploads) socket.destroy()
  const check = async () => {
    const form = new FormData()
    form.append('device_id', 'GATE')
    form.append('image', new Blob([new Uint8Array(await portrait('blonde'))]), 'a.png')
    const response = await fetch(`http://127.0.0.1:${port()}/api/v1/attendance/check`, {
      method: 'POST',
      headers: owner,
      body: form,
    })
    return response.status
  }
  await expect.poll(check, { timeout: 10_000 }).toBe(200)
})
