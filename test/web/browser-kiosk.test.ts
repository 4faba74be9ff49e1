import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { call } from '../../src/onboarding.ts'
import {
  type Company,
  endServers,
  foundCompany,
  type ServerProcess,
  startServer,
} from '../support/server-process.ts'
import { seriousFaults } from './axe.ts'
import { launchBrowser, openPage } from './browser.ts'
import { type Scene, writeVideo } from './camera.ts'
import { openWire, type Wire } from './network.ts'
import { expectGoodLooks, looks } from './office.ts'

const PATIENCE_MS = 60_000

let folder: string
let server: ServerProcess
let company: Company
let wire: Wire
let browser: Browser | undefined
let kiosks = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rollcall-kiosk-'))
  // Whoever comes again has punched again: see startServer.
  server = await startServer({
    DATA_DIR: folder,
    UPLOAD_DIR: join(folder, 'uploads'),
    KEY_DIR: join(folder, 'keys'),
  })
  company = await foundCompany(server, { people: ['frontal'], kiosks: 0 })
  wire = await openWire(server.base)
}, 300_000)
afterEach(async () => {
  await browser?.close()
  wire.mend()
})
afterAll(async () => {
  await wire?.close()
  await endServers()
  await rm(folder, { recursive: true, force: true })
})

/** Registers a kiosk and asks for the code that pairs it. */
async function newKiosk(changes: object = {}): Promise<{ deviceId: string; code: string }> {
  const deviceId = `DOOR${++kiosks}`
  const devices = `${server.base}/api/v1/devices`
  const { program, owner } = company
  await call('POST', `${devices}/register`, {
    body: { device_id: deviceId, name: `Cửa ${kiosks}` },
    headers: program,
  })
  if (Object.keys(changes).length > 0)
    await call('PUT', `${devices}/${deviceId}`, { body: changes, headers: owner })
  const { code } = await call<{ code: string }>('POST', `${devices}/${deviceId}/pair`, { headers: program })
  return { deviceId, code }
}

/** Opens the kiosk's page, paired, in a browser whose camera sees the scenes. */
async function openKiosk(scenes: Scene[], { locale = 'vi-VN', changes = {} } = {}) {
  const video = join(folder, `${kiosks}.mjpeg`)
  await writeVideo(video, scenes)
  const { deviceId, code } = await newKiosk(changes)
  browser = await launchBrowser(video)
  const context = await browser.newContext({ locale, viewport: { width: 820, height: 1180 } })
  const { page, faults } = await openPage(context)
  await page.goto(`${wire.base}/pair#${code}`)
  await page.locator('video').waitFor({ timeout: PATIENCE_MS })
  return { page, faults, deviceId }
}

/** The next answer on the screen: what it looks like and what it says. */
async function nextAnswer(page: Page): Promise<{ look: string | null; text: string }> {
  const panel = page.locator('[data-look]')
  await panel.waitFor({ timeout: PATIENCE_MS })
  return { look: await panel.getAttribute('data-look'), text: (await panel.textContent()) ?? '' }
}

const left = (page: Page) => page.locator('[data-look]').waitFor({ state: 'detached', timeout: PATIENCE_MS })

async function punchesAt(deviceId: string): Promise<{ employee_id: string; attendance_type: string }[]> {
  return call('GET', `${server.base}/api/v1/attendance/history/${deviceId}`, { headers: company.owner })
}

/** How many events wait in the browser's own database. */
const countQueue = `new Promise((done) => {
  const opening = indexedDB.open('rollcall')
  opening.onsuccess = () => {
    const counting = opening.result.transaction('queue').objectStore('queue').count()
    counting.onsuccess = () => done(counting.result)
  }
})`

/** Leaves a database of version 1, in which an event waits that no server can read. */
const leaveOlderQueue = `new Promise((done) => {
  const opening = indexedDB.open('rollcall', 1)
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore('kiosk')
    const event = { seq: 1, event: 'nonsense', signature: 'A'.repeat(86), payload: new Blob(['x']) }
    opening.result.createObjectStore('queue').add(event, 1)
  }
  opening.onsuccess = () => {
    opening.result.close()
    done()
  }
})`

/** Of the picture beside the answer, in its own pixels. */
const pictureWidth = `document.querySelector('[data-look] img')?.naturalWidth`

/** Covers the camera. */
const cover = `document.querySelector('video').srcObject.getTracks().forEach((track) => { track.enabled = false })`

const comesAndGoes: Scene[] = [
  { who: undefined, seconds: 2 },
  { who: 'frontal', seconds: 5 },
]

describe('a kiosk', () => {
  test('is paired by its link, sees who walks up, and punches for them without a touch', async () => {
    const { page, faults, deviceId } = await openKiosk(comesAndGoes)
    expect(await page.evaluate('location.hash + location.search')).toBe('')
    const avatar = page.waitForResponse(/\/avatar$/, { timeout: PATIENCE_MS })
    const { look, text } = await nextAnswer(page)
    expect(look).toBe('good')
    expect(text).toMatch(/^✓frontal→ VÀO\d\d:\d\d$/)
    // The face that was taken makes way for the avatar, which is larger.
    expect((await avatar).status()).toBe(200)
    await expect.poll(() => page.evaluate(pictureWidth)).toBe(480)
    expect(await seriousFaults(page)).toEqual([])
    await page.getByRole('button', { name: 'Tôi không phải frontal' }).click()
    await page.getByText('Đã báo cho bộ phận nhân sự').waitFor()
    await left(page)
    expect(await seriousFaults(page)).toEqual([])
    // The first of perhaps several: the video goes on.
    const first = (await punchesAt(deviceId)).at(-1)
    expect(first).toMatchObject({ employee_id: 'frontal', attendance_type: 'IN' })
    expect(faults).toEqual([])
  }, 180_000)

  test('is paired by a typed code too, says so when it is wrong, and speaks English', async () => {
    const { code } = await newKiosk()
    browser = await launchBrowser()
    const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 390, height: 844 } })
    const { page } = await openPage(context)
    await page.goto(`${wire.base}/kiosk`)
    await page.getByLabel('Pairing code').fill('AAAA-AAAA')
    await page.getByRole('button', { name: 'Pair' }).click()
    expect(await page.getByRole('alert').textContent()).toContain('wrong, was used or has expired')
    expect(await seriousFaults(page)).toEqual([])
    await page.getByLabel('Pairing code').fill(code.toLowerCase())
    await page.getByRole('button', { name: 'Pair' }).click()
    await page.getByText('Look into the camera').waitFor({ timeout: PATIENCE_MS })
    await page.getByRole('button', { name: 'Tiếng Việt' }).click()
    await page.getByText('Nhìn vào camera').waitFor()
    await page.getByRole('button', { name: 'English' }).click()
    await page.getByText('Look into the camera').waitFor()
  }, 120_000)

  test('does all that one heartbeat asks for, though some of it loads the page anew', async () => {
    const { page, faults, deviceId } = await openKiosk([{ who: undefined, seconds: 1 }])
    await page.getByText('Nhìn vào camera').waitFor({ timeout: PATIENCE_MS })
    const commands = `${server.base}/api/v1/devices/${deviceId}/commands`
    const headers = company.owner
    for (const command of ['reload', 'test_picture', 'reset', 'update'])
      await call('POST', commands, { body: { command }, headers })
    let loads = 0
    page.on('load', () => loads++)
    await page.evaluate("dispatchEvent(new Event('online'))")
    const states = async () =>
      (await call<{ state: string }[]>('GET', commands, { headers })).map(({ state }) => state)
    await expect.poll(states, { timeout: PATIENCE_MS }).toEqual(Array(4).fill('done'))
    await expect.poll(() => loads, { timeout: PATIENCE_MS }).toBe(1)
    await page.getByText('Nhìn vào camera').waitFor({ timeout: PATIENCE_MS })
    expect(loads).toBe(1)
    expect(faults).toEqual([])
  }, 120_000)

  test('refuses a stranger, in colour, symbol and words', async () => {
    const { page, faults, deviceId } = await openKiosk([{ who: 'bun', seconds: 5 }], { locale: 'en-GB' })
    const { look, text } = await nextAnswer(page)
    expect(look).toBe('bad')
    expect(text).toMatch(/^✕Not recognised/)
    expect(await seriousFaults(page)).toEqual([])
    expect(await punchesAt(deviceId)).toEqual([])
    expect(faults).toEqual([])
  }, 120_000)

  test('asks a picture that is held before it to move, and does not let it in', async () => {
    const scenes: Scene[] = [{ who: 'frontal', seconds: 5 }]
    const { page, deviceId } = await openKiosk(scenes, { changes: { pad_policy: 'enforce' } })
    await page.getByText('Nhìn thẳng vào camera', { exact: true }).waitFor({ timeout: PATIENCE_MS })
    await page
      .getByText(/Quay đầu sang|Ngẩng đầu lên|Cúi đầu xuống|Nhắm mắt lại/)
      .first()
      .waitFor()
    expect((await nextAnswer(page)).look).toBe('bad')
    expect(await punchesAt(deviceId)).toEqual([])
  }, 120_000)

  test('takes an employee code with its PIN where the site allows it', async () => {
    const api = `${server.base}/api/v1`
    const headers = company.owner
    await call('PUT', `${api}/employees/frontal/pin`, { body: { pin: '4711' }, headers })
    await call('PATCH', `${api}/sites/1`, { body: { pin_allowed: true }, headers })
    const { page, faults, deviceId } = await openKiosk([{ who: undefined, seconds: 2 }], {
      locale: 'en-GB',
      // Which it would be by itself is up to how often they were seen before.
      changes: { direction: 'IN' },
    })
    await page.getByRole('button', { name: 'Use employee code and PIN' }).click({ timeout: PATIENCE_MS })
    await page.getByLabel('Employee code', { exact: true }).fill('frontal')
    await page.getByLabel('PIN', { exact: true }).fill('0815')
    await page.keyboard.press('Enter')
    expect(await page.getByRole('alert').textContent()).toContain('The employee code or the PIN is wrong')
    expect(await seriousFaults(page)).toEqual([])
    await page.getByLabel('PIN', { exact: true }).fill('4711')
    await page.getByRole('button', { name: 'Go on' }).click()
    const { look, text } = await nextAnswer(page)
    expect([look, text]).toEqual(['good', expect.stringMatching(/frontal→ IN\d\d:\d\d$/)])
    expect(await page.getByRole('button', { name: 'I am not frontal' }).count()).toBe(0)
    expect(await punchesAt(deviceId)).toMatchObject([{ employee_id: 'frontal', kind: 'pin' }])
    await left(page)
    // Off line nobody could compare a PIN.
    wire.cut()
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.getByRole('button', { name: 'Use employee code and PIN' }).waitFor({ state: 'detached' })
    expect(faults.filter((fault) => !fault.includes('ERR_'))).toEqual([])
  }, 180_000)

  test.each(looks)(
    'looks well in %s: pairing, waiting, typing a PIN, answering, off line',
    async (language, locale) => {
      const api = `${server.base}/api/v1`
      const headers = company.owner
      await call('PUT', `${api}/employees/frontal/pin`, { body: { pin: '4711' }, headers })
      await call('PATCH', `${api}/sites/1`, { body: { pin_allowed: true }, headers })
      const { page } = await openKiosk([{ who: undefined, seconds: 2 }], { locale })
      const unpaired = await openPage(await browser!.newContext({ locale }))
      await unpaired.page.goto(`${wire.base}/kiosk`)
      await unpaired.page.getByRole('textbox').waitFor()
      await expectGoodLooks(unpaired.page, `kiosk-pair-${language}`)
      const byPin = page.getByRole('button', { name: /PIN/ })
      await byPin.waitFor({ timeout: PATIENCE_MS })
      await expectGoodLooks(page, `kiosk-${language}`)
      await byPin.click()
      await expectGoodLooks(page, `kiosk-pin-${language}`)
      await page.getByRole('textbox').first().fill('frontal')
      await page.locator('[type=password]').fill('4711')
      await page.keyboard.press('Enter')
      await nextAnswer(page)
      await expectGoodLooks(page, `kiosk-answer-${language}`)
      await left(page)
      wire.cut()
      await page.evaluate("dispatchEvent(new Event('online'))")
      await byPin.waitFor({ state: 'detached' })
      await expectGoodLooks(page, `kiosk-offline-${language}`)
    },
    180_000,
  )

  test('goes on without a network, also after a new start, and sends what it kept exactly once', async () => {
    const { page, deviceId } = await openKiosk(comesAndGoes)
    // The worker has kept the page and the detector.
    const kept = `caches.open('kiosk').then((cache) => cache.keys())
      .then((requests) => requests.map(({ url }) => url.split('.').at(-1).replace(/^.*kiosk$/, 'page')))`
    await expect
      .poll(() => page.evaluate(kept), { timeout: PATIENCE_MS })
      .toEqual(expect.arrayContaining(['page', 'js', 'css', 'wasm', 'bin']))
    wire.cut()
    await page.reload()
    for (let saved = 1; saved <= 5; saved++) {
      const { look, text } = await nextAnswer(page)
      expect([look, text]).toEqual(['saved', expect.stringContaining('Đã lưu')])
      expect(text).not.toContain('frontal')
      await left(page)
      await page.getByText(`${saved} lượt đang chờ gửi`).waitFor()
    }
    await page.getByText('Mất kết nối').waitFor()
    // From now on nobody is seen.
    await page.evaluate(cover)
    expect(await page.evaluate(countQueue)).toBe(5)
    const before = (await punchesAt(deviceId)).length
    wire.mend()
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.getByText('đang chờ gửi').waitFor({ state: 'detached', timeout: 2 * PATIENCE_MS })
    expect((await punchesAt(deviceId)).length - before).toBe(5)
    const events = await call<unknown[]>('GET', `${server.base}/api/v1/attendance/pending`, {
      headers: company.owner,
    })
    expect(events).toEqual([])
  }, 400_000)

  test('loses nothing that waits when it is paired anew, and what is refused holds up nothing', async () => {
    const video = join(folder, 'paired-anew.mjpeg')
    await writeVideo(video, comesAndGoes)
    browser = await launchBrowser(video)
    const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 820, height: 1180 } })
    const { page } = await openPage(context)
    await page.goto(`${wire.base}/icon.svg`)
    await page.evaluate(leaveOlderQueue)
    const first = await newKiosk()
    await page.goto(`${wire.base}/pair#${first.code}`)
    // By then the detector is here.
    expect((await nextAnswer(page)).look).toBe('good')
    wire.cut()
    await page.getByText('3 punches wait to be sent').waitFor({ timeout: 2 * PATIENCE_MS })
    await page.evaluate(cover)
    // Another tablet becomes this kiosk; this one is a stranger now, and is made another kiosk.
    const devices = `${server.base}/api/v1/devices`
    const other = await call<{ code: string }>('POST', `${devices}/${first.deviceId}/pair`, {
      headers: company.program,
    })
    await call('POST', `${devices}/pair`, { body: { code: other.code } })
    const second = await newKiosk()
    wire.mend()
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.getByLabel('Pairing code').fill(second.code, { timeout: PATIENCE_MS })
    await page.getByRole('button', { name: 'Pair' }).click()
    await page.locator('video').waitFor({ timeout: PATIENCE_MS })
    // Whoever walks up at once is let in: the server answers again.
    expect((await nextAnswer(page)).look).toBe('good')
    wire.cut()
    await left(page)
    const before = (await punchesAt(second.deviceId)).length
    expect((await nextAnswer(page)).look).toBe('saved')
    await page.evaluate(cover)
    wire.mend()
    await page.evaluate("dispatchEvent(new Event('online'))")
    await expect
      .poll(async () => (await punchesAt(second.deviceId)).length, { timeout: PATIENCE_MS })
      .toBe(before + 1)
    // What the first kiosk kept is left to HR; only what nobody can read stays here.
    await expect.poll(() => page.evaluate(countQueue), { timeout: PATIENCE_MS }).toBe(1)
    const pending = await call<{ device_id: string; flags: string[] }[]>(
      'GET',
      `${server.base}/api/v1/attendance/pending`,
      { headers: company.owner },
    )
    expect(pending.length).toBeGreaterThan(0)
    for (const { device_id, flags } of pending)
      if (device_id === second.deviceId) expect(flags).toContain('other_device')
    await page.reload()
    await page.getByText(/to be sent/).waitFor({ timeout: PATIENCE_MS })
  }, 400_000)
})
