import { existsSync, readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TestApp, testApp } from '../support/app.ts'

const folder = 'dist/web'

describe.skipIf(!existsSync(folder))('the pages', () => {
  let running: TestApp
  beforeAll(async () => {
    running = await testApp()
  }, 300_000)
  afterAll(() => running.close())

  const get = (url: string) => running.app.inject({ url, headers: { authorization: '' } })

  test.each(['/admin', '/admin/', '/admin/employees', '/admin/sign-in', '/setup', '/reset', '/kiosk'])(
    'are answered at %s to everybody, and kept by nobody',
    async (url) => {
      const { statusCode, headers, body } = await get(url)
      expect([statusCode, headers['content-type'], headers['cache-control']]).toEqual([
        200,
        'text/html; charset=utf-8',
        'no-store',
      ])
      expect(body).toContain('<div id="root">')
    },
  )

  test('are led to from where people begin', async () => {
    expect((await get('/')).headers.location).toBe('/admin')
    expect((await get('/pair')).headers.location).toBe('/kiosk')
  })

  test.each(['/admin', '/setup', '/kiosk'])(
    'run no code at %s but their own, the detector included',
    async (url) => {
      const policy = String((await get(url)).headers['content-security-policy'])
      expect(policy).toContain("default-src 'self'")
      expect(policy).toMatch(/script-src 'self' 'wasm-unsafe-eval'$/)
      expect(policy).not.toMatch(/'unsafe-/)
    },
  )

  test('have files that are kept for ever, because another content has another name', async () => {
    for (const name of readdirSync(`${folder}/assets`)) {
      const { statusCode, headers } = await get(`/assets/${name}`)
      expect([name, statusCode]).toEqual([name, 200])
      expect(headers['cache-control']).toBe('public, max-age=31536000, immutable')
    }
    for (const url of ['/kiosk-worker.js', '/kiosk.webmanifest', '/icon.svg'])
      expect((await get(url)).headers['cache-control']).toBe('no-cache')
  })

  test.each([
    '/assets/nothing.js',
    '/assets/../kiosk.html',
    '/assets/%2e%2e/%2e%2e/package.json',
    '/adminx',
    '/api/v1/nothing',
  ])('are not what %s asks for: that is answered as the API does', async (url) => {
    const { statusCode, headers, json } = await get(url)
    expect([statusCode, headers['content-type']]).toEqual([404, 'application/json; charset=utf-8'])
    expect(json().code).toBe('not_found')
  })
})
