import { randomUUID } from 'node:crypto'
import { URI } from 'otpauth'
import { describe, expect, test } from 'vitest'
import { call } from '../../src/onboarding.ts'
import { check, foundCompany } from '../support/server-process.ts'
import { seriousFaults } from './axe.ts'
import { expectGoodLooks, layoutShift, looks, password, sendSignIn, useOffice } from './office.ts'

const office = useOffice()
const { open, signIn } = office

const pending = () =>
  call<unknown[]>('GET', `${office.server.base}/api/v1/attendance/pending`, { headers: office.company.owner })

/** What a kiosk kept while it was off line, sealed with no key of ours: it waits to be decided. */
async function keepCheck(): Promise<void> {
  const [kiosk] = office.company.kiosks
  const event = {
    device_id: kiosk.deviceId,
    event_id: randomUUID(),
    seq: ++lastSeq,
    previous_hash: '0'.repeat(64),
    captured_at: new Date().toISOString(),
    monotonic_ms: 1000 * lastSeq,
    boot_id: randomUUID(),
    attendance_type: 'AUTO',
    frame_ms: [0],
    payload_sha256: '0'.repeat(64),
  }
  const body = new FormData()
  body.set('event', JSON.stringify(event))
  body.set('signature', 'A'.repeat(86))
  body.set('payload', new Blob(['nothing']), 'payload')
  const answer = await fetch(`${office.server.base}/api/v1/attendance/sync`, {
    method: 'POST',
    headers: kiosk.headers,
    body,
  })
  expect([answer.status, await answer.json()]).toMatchObject([200, { outcome: 'pending' }])
}
let lastSeq = 0

describe('the office', () => {
  test('lets the first owner be made by the link that the server printed', async () => {
    const { page, faults } = await open()
    await page.goto(office.server.base + office.server.setupPath)
    await page.getByLabel('Name to sign in with').fill('first')
    await page.getByLabel('New password').fill(password)
    await page.getByLabel('The same once more').fill('something else')
    await page.getByRole('button', { name: 'Make the owner' }).click()
    expect(await page.getByRole('alert').textContent()).toBe('The two passwords differ.')
    expect(await seriousFaults(page)).toEqual([])
    // The token is nowhere to be seen any more.
    expect(page.url()).toBe(`${office.server.base}/setup`)
    expect(faults).toEqual([])
    // Here it is made for all tests.
    office.company = await foundCompany(office.server, { people: ['frontal', 'bun'], kiosks: 1 })
  }, 120_000)

  test('asks who one is, says what is wrong, and keeps one signed in over a new start', async () => {
    const { page } = await open()
    await page.goto(`${office.server.base}/admin/devices`)
    await page.getByLabel('Name to sign in with').fill('owner')
    await page.getByLabel('Password').fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    expect(await page.getByRole('alert').textContent()).toContain('is not right')
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
    await page.reload()
    await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.goto(`${office.server.base}/admin`)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  }, 120_000)

  test('asks for the second factor where one is set up', async () => {
    const headers = office.company.owner
    const begun = await call<{ uri: string }>('POST', `${office.server.base}/api/v1/auth/totp`, {
      body: { password },
      headers,
    })
    const totp = URI.parse(begun.uri) as import('otpauth').TOTP
    // A code of the step before, so that the present one still is to be used.
    const before = totp.generate({ timestamp: Date.now() - 30_000 })
    await call('POST', `${office.server.base}/api/v1/auth/totp/confirm`, { body: { code: before }, headers })
    const { page } = await open()
    await sendSignIn(page, office.server.base)
    await page.getByLabel('Code').fill(totp.generate())
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { level: 1, name: 'Today' }).waitFor()
    await call('DELETE', `${office.server.base}/api/v1/auth/totp`, { body: { password }, headers })
  }, 120_000)

  test('shows a punch as it is made, without being asked', async () => {
    const { page, faults } = await signIn()
    await page.getByText('Nobody has punched today.').waitFor()
    await check(office.server.base, office.company.kiosks[0], 'frontal')
    const row = page.getByRole('listitem').filter({ hasText: 'frontal' })
    await row.waitFor({ timeout: 30_000 })
    expect(await row.textContent()).toMatch(/frontal.*→In\d\d:\d\d/)
    await page.getByRole('row', { name: /frontal/ }).waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test('adds a kiosk, shows the code that pairs it, and takes its key away', async () => {
    const { page, faults } = await signIn()
    await page.getByRole('link', { name: 'Devices' }).click()
    await page.getByRole('button', { name: 'Add a kiosk' }).click()
    await page.getByLabel('Id').fill('BACK_DOOR')
    await page.getByRole('dialog').getByRole('button', { name: 'Add a kiosk' }).click()
    await page.getByRole('heading', { name: 'Pair BACK_DOOR' }).waitFor()
    const code = await page.getByText(/^[A-Z0-9]{4}-[A-Z0-9]{4}$/).textContent()
    expect(await seriousFaults(page)).toEqual([])
    await call('POST', `${office.server.base}/api/v1/devices/pair`, { body: { code } })
    await page.getByRole('button', { name: 'Close' }).click()
    // The focus is where it was before the dialogs.
    await page.locator('button:focus', { hasText: 'Add a kiosk' }).waitFor()
    await page.reload()
    const row = page.getByRole('row', { name: /BACK_DOOR/ })
    await row.getByRole('button', { name: 'Revoke key' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke key' }).click()
    await row.getByText('Not paired').waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test('shows each person what their role may see', async () => {
    const { page } = await office.signInAsViewer()
    const links = page.getByRole('navigation').getByRole('link')
    await links.first().waitFor()
    expect(await links.allInnerTexts()).toEqual(['Today', 'Employees', 'Attendance', 'Devices', 'Settings'])
    await links.filter({ hasText: 'Devices' }).click()
    await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
    await page.getByRole('table').waitFor()
    expect(await page.getByRole('button', { name: 'Add a kiosk' }).count()).toBe(0)
    // By their address no more is to be seen than by the navigation.
    await page.goto(`${office.server.base}/admin/access`)
    await page.getByRole('heading', { level: 1, name: 'You may not see this page' }).waitFor()
    await page.goto(`${office.server.base}/admin/start`)
    await page.getByRole('heading', { level: 1, name: 'Today' }).waitFor()
    await page.goto(`${office.server.base}/admin/no/such/page`)
    await page.getByRole('heading', { level: 1, name: 'There is no such page' }).waitFor()
    await page.getByRole('link', { name: 'Back to the first page' }).click()
    await page.getByRole('heading', { level: 1, name: 'Today' }).waitFor()
  }, 120_000)

  test('lets HR enter a check that a kiosk kept, by Enter, and asks before one is let go', async () => {
    await keepCheck()
    await keepCheck()
    const { page, faults } = await signIn()
    const rows = page
      .getByRole('table', { name: 'Waits for HR to decide' })
      .getByRole('row', { name: /GATE1/ })
    await rows.first().waitFor()
    await rows.first().getByRole('button', { name: 'Decide' }).click()
    await page.getByLabel('Notes').fill('seen on the video')
    await page.getByLabel('Employee').fill('bun')
    // The kiosk left the direction open: nothing is entered before somebody says it.
    await page.getByLabel('Employee').press('Enter')
    await page.getByLabel('Direction').selectOption('OUT')
    await page.getByLabel('Notes').press('Enter')
    await page.getByText(/The punch of bun is entered: Out/).waitFor()
    await rows.first().getByRole('button', { name: 'Decide' }).click()
    const letGo = page.getByRole('button', { name: 'Let it go' })
    await page.getByLabel('Notes').fill('nobody')
    await letGo.click()
    const confirm = page.getByRole('dialog', { name: 'Let this check go?' })
    expect(await pending()).toHaveLength(1)
    expect(await seriousFaults(page)).toEqual([])
    await confirm.getByRole('button', { name: 'Let it go' }).click()
    await page.getByText('It was let go.').waitFor()
    await rows.first().waitFor({ state: 'detached' })
    expect(await pending()).toEqual([])
    expect(faults).toEqual([])
  }, 120_000)

  test('ends on every tab when one signs out, and leads back', async () => {
    const { page } = await signIn()
    const other = await page.context().newPage()
    await other.goto(`${office.server.base}/admin/devices`)
    await other.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await other.getByRole('heading', { name: 'Sign in' }).waitFor()
    await other.getByLabel('Name to sign in with').fill('owner')
    await other.getByLabel('Password').fill(password)
    await other.getByRole('button', { name: 'Sign in' }).click()
    await other.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
    // Taken away by the server, which the page learns when it next asks for something.
    const sessions = `${office.server.base}/api/v1/auth/sessions`
    const headers = office.company.owner
    for (const { id, current } of await call<{ id: string; current: boolean }[]>('GET', sessions, {
      headers,
    }))
      if (!current) await call('DELETE', `${sessions}/${id}`, { headers })
    await other.getByRole('link', { name: 'Attendance' }).click()
    await other.getByRole('heading', { name: 'Sign in' }).waitFor()
    expect(new URL(other.url()).searchParams.get('to')).toBe('/admin/attendance')
  }, 120_000)

  test('keeps its frame when a page does not come', async () => {
    const { page } = await open()
    // As if nothing was loaded ahead: the files of the page are cut off, and so is the server.
    await page.route(/audit-page/, (route) => route.abort())
    await sendSignIn(page, office.server.base)
    await page.getByRole('link', { name: 'Audit' }).click()
    await page.getByRole('alert').filter({ hasText: 'The server does not answer' }).waitFor()
    await page.unroute(/audit-page/)
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('heading', { level: 1, name: 'Audit' }).waitFor()
  }, 120_000)

  test('remembers language and colours', async () => {
    const { page } = await signIn()
    await page.getByLabel('Language').selectOption('vi')
    await page.getByRole('heading', { level: 1, name: 'Hôm nay' }).waitFor()
    await page.getByLabel('Giao diện').selectOption('dark')
    await page.reload()
    await page.getByRole('heading', { level: 1, name: 'Hôm nay' }).waitFor()
    expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark')
    expect(await page.evaluate('document.documentElement.lang')).toBe('vi')
  }, 120_000)
})

describe.each(looks)('every page of the office in %s', (language, locale, colorScheme) => {
  test('is there at three widths, without a serious fault, and nothing sticks out', async () => {
    const { page, faults } = await signIn({ locale, colorScheme })
    const paths = await page
      .getByRole('navigation')
      .locator('a')
      .evaluateAll((links) => links.map((link) => link.getAttribute('href')!))
    expect(paths).toHaveLength(8)
    for (const path of paths) {
      await page.goto(office.server.base + path)
      await page.getByRole('heading', { level: 1 }).waitFor()
      await page.waitForLoadState('load')
      // "Good" by Lighthouse: what one reads or is about to press has not moved away while the page came.
      expect([path, await layoutShift(page)]).toEqual([
        path,
        expect.toSatisfy((shift: number) => shift < 0.1),
      ])
      await expectGoodLooks(page, `${path.replace(/^\/admin\/?/, '') || 'today'}-${language}`)
    }
    expect(faults).toEqual([])
  }, 300_000)
})
