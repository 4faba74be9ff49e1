import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { call, signIn as signInByApi } from '../../src/onboarding.ts'
import { password, useOffice } from './office.ts'

const office = useOffice()
const { open, signIn, look } = office

/** Calls the API as the owner, or with a kiosk's key. */
async function api<T>(
  method: string,
  path: string,
  body?: object,
  headers?: Record<string, string>,
): Promise<T> {
  const owner = async () => ({
    authorization: `Bearer ${await signInByApi(office.server.base, { username: 'owner', password })}`,
  })
  return call<T>(method, `${office.server.base}/api/v1${path}`, { body, headers: headers ?? (await owner()) })
}

const codeOf = (page: Page) => page.getByText(/^[A-Z0-9]{4}-[A-Z0-9]{4}$/)
const pictureLoaded = (page: Page) => page.getByRole('img').first().waitFor()
let kiosk: { 'x-device-key': string }

describe('the first steps', () => {
  test('lead from the setup link over the site to a kiosk that is paired, and a person', async () => {
    const { page, faults } = await open()
    await page.goto(office.server.base + office.server.setupPath)
    await page.getByLabel('Name to sign in with').fill('owner')
    await page.getByLabel('New password').fill(password)
    await page.getByLabel('The same once more').fill(password)
    await page.getByRole('button', { name: 'Make the owner' }).click()
    await page.getByRole('heading', { level: 1, name: 'First steps' }).waitFor()
    await look('/admin/start', 'start-site', (each) => each.locator('[name=time_zone]').waitFor())

    await page.getByLabel('Name of the site').fill('Head office')
    const zone = await page.evaluate('Intl.DateTimeFormat().resolvedOptions().timeZone')
    expect(await page.getByLabel('Time zone').inputValue()).toBe(zone)
    await page.getByLabel('Time zone').fill('Asia/Ho_Chi_Minh')
    await page.getByRole('button', { name: 'Save and go on' }).click()
    await page.getByLabel('Id', { exact: true }).waitFor()
    const sites = await api<object[]>('GET', '/sites')
    expect(sites).toMatchObject([{ name: 'Head office', time_zone: 'Asia/Ho_Chi_Minh' }])

    // Left and gone on with: what the server has counts.
    await page.goto(`${office.server.base}/admin`)
    await page.getByRole('link', { name: 'Take the first steps' }).click()
    await look('/admin/start', 'start-kiosk', (each) => each.locator('[name=device_id]').waitFor())
    await page.getByRole('button', { name: 'Show the pairing code' }).click()
    await codeOf(page).waitFor()
    await look('/admin/start', 'start-pair', pictureLoaded)
    await page.reload()
    await page.getByText('Waiting for the kiosk').waitFor()
    const code = await codeOf(page).textContent()
    const { device_key } = await api<{ device_key: string }>('POST', '/devices/pair', { code }, {})
    kiosk = { 'x-device-key': device_key }
    await page.getByText('Main entrance is paired.').waitFor()
    await page.getByRole('button', { name: 'Go on' }).click()

    await look('/admin/start?step=person', 'start-person', (each) => each.locator('[name=name]').waitFor())
    await page.getByLabel('Full name').fill('Nguyễn Thị Bình')
    await page.getByLabel('Employee id').fill('NV001')
    await page.getByRole('button', { name: 'Add the person' }).click()
    await page.getByRole('heading', { name: 'Add photos of Nguyễn Thị Bình' }).waitFor()
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.getByRole('heading', { name: 'All is ready' }).waitFor()
    await look('/admin/start', 'start-done', (each) => each.getByRole('heading', { level: 2 }).waitFor())
    await page.getByRole('link', { name: 'Add photos of Nguyễn Thị Bình' }).click()
    await page.waitForURL('**/admin/employees/NV001')
    // Nothing leads there any more.
    await page.goto(`${office.server.base}/admin`)
    await page.getByText('Nobody has punched today.').waitFor()
    expect(await page.getByRole('link', { name: 'Take the first steps' }).count()).toBe(0)
    expect(faults).toEqual([])
  }, 300_000)
})

const beat = (body: object = {}) =>
  api<{ commands: { id: number; command: string }[]; config: object | null }>(
    'POST',
    '/devices/heartbeat',
    { device_id: 'KIOSK_001', timestamp: new Date().toISOString(), ...body },
    kiosk,
  )

describe('the page of a kiosk', () => {
  test('shows how it is, and changes how it works', async () => {
    await beat({ status: 'battery 15%', app_version: 'abc123' })
    const { page, faults } = await signIn()
    await page.goto(`${office.server.base}/admin/devices`)
    await page.getByRole('link', { name: 'Main entrance' }).click()
    await page.getByText('15%').waitFor()
    await page.getByText('abc123').waitFor()
    await page.getByText(/Online$/).waitFor()
    await page.getByRole('button', { name: 'Edit', exact: true }).click()
    await page.getByLabel('Name').fill('North gate')
    await page.getByLabel('Direction').selectOption('IN')
    await page.getByLabel('Liveness check').selectOption('enforce')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { level: 1, name: 'North gate' }).waitFor()
    const device = await api('GET', '/devices/KIOSK_001')
    expect(device).toMatchObject({ name: 'North gate', direction: 'IN', pad_policy: 'enforce' })

    await page.getByRole('button', { name: 'Edit configuration' }).click()
    await page.getByRole('textbox', { name: 'Configuration' }).fill('volume: 80')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('This line is not “name = value”: volume: 80').waitFor()
    await page
      .getByRole('textbox', { name: 'Configuration' })
      .fill('volume = 80\ngreeting = Xin chào\nmute = false')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Xin chào').waitFor()
    const { config } = await beat({ status: 'battery 15%' })
    expect(config).toEqual({ volume: 80, greeting: 'Xin chào', mute: false })
    expect(faults).toEqual([])
  }, 120_000)

  test('sends a command, and tells what became of it', async () => {
    const { page, faults } = await signIn()
    await page.goto(`${office.server.base}/admin/devices/KIOSK_001`)
    await page.getByRole('button', { name: 'Test the camera' }).click()
    const row = page.getByRole('row', { name: /Test the camera/ })
    await row.getByText('Waiting').waitFor()
    const { commands } = await beat()
    expect(commands).toMatchObject([{ command: 'test_picture' }])
    await row.getByText('Sent').waitFor({ timeout: 30_000 })
    await api(
      'POST',
      `/devices/commands/${commands[0]!.id}`,
      { state: 'done', result: '1280 × 720, mean brightness 101' },
      kiosk,
    )
    await row.getByText('Done').waitFor({ timeout: 30_000 })
    await row.getByText('mean brightness 101').waitFor()
    // What the kiosk asked for is in its log.
    await page.getByLabel('Request').fill('heartbeat')
    await page.waitForURL(/action=heartbeat/)
    await page
      .getByRole('row', { name: /POST \/devices\/heartbeat/ })
      .first()
      .waitFor({ timeout: 30_000 })
    expect(faults).toEqual([])
  }, 120_000)

  test('gives a new key, which it shows once', async () => {
    const { page, faults } = await signIn()
    await page.goto(`${office.server.base}/admin/devices/KIOSK_001`)
    await page.getByRole('button', { name: 'New key' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: 'New key' }).click()
    const key = await dialog.getByLabel('Device key').inputValue()
    await dialog.getByRole('button', { name: 'Copy' }).click()
    await dialog.getByText('Copied.').waitFor()
    await expect(beat()).rejects.toThrow('401')
    kiosk = { 'x-device-key': key }
    await beat()
    expect(faults).toEqual([])
  }, 120_000)

  test('looks well, and so do its dialogs', async () => {
    const path = '/admin/devices/KIOSK_001'
    const openDialog = (number: number) => async (page: Page) => {
      await page.locator('main button').nth(number).click()
      await page.getByRole('dialog').waitFor()
    }
    await look(path, 'device', (page) => page.getByRole('row').nth(1).waitFor())
    await look(path, 'device-edit', openDialog(0))
    await look(path, 'device-rotate', openDialog(2))
    await look(path, 'device-delete', openDialog(5))
    await look(path, 'device-config', openDialog(6))
  }, 300_000)
})

describe('the devices page', () => {
  test('finds kiosks by words and state, which are in its address', async () => {
    await api('POST', '/devices/register', { device_id: 'BACK', name: 'Cửa sau' })
    await api('POST', '/devices/register', { device_id: 'OLD', name: 'Old tablet' })
    await beat()
    const { page, faults } = await signIn()
    await page.goto(`${office.server.base}/admin/devices`)
    await page.getByRole('link', { name: 'Cửa sau' }).waitFor()
    await page.getByLabel('Search by name').fill('cua sau')
    await page.waitForURL(/search=cua/)
    await page.getByRole('link', { name: 'North gate' }).waitFor({ state: 'detached' })
    await page.getByLabel('Search by name').fill('')
    await page.waitForURL(/devices$/)
    await page.getByLabel('State').selectOption('online')
    await page.waitForURL(/state=online/)
    await page.getByRole('link', { name: 'Cửa sau' }).waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'North gate' }).waitFor()
    await page.goBack()
    await page.getByRole('link', { name: 'Cửa sau' }).waitFor()

    await page.getByRole('link', { name: 'Old tablet' }).click()
    await page.getByRole('button', { name: 'Take out of use' }).click()
    await page.getByRole('button', { name: 'Put into use' }).waitFor()
    await page.goto(`${office.server.base}/admin/devices?state=inactive`)
    await page.getByRole('link', { name: 'Old tablet' }).click()
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('Old tablet is deleted.').waitFor()
    await page.getByRole('link', { name: 'Cửa sau' }).waitFor()
    expect((await api<object[]>('GET', '/devices')).length).toBe(2)
    expect(faults).toEqual([])
  }, 120_000)

  test('shows who was refused', async () => {
    const wrong = { 'x-device-key': 'rollcall_device_guess' }
    await expect(api('POST', '/devices/heartbeat', { device_id: 'KIOSK_001' }, wrong)).rejects.toThrow('401')
    const { page, faults } = await signIn()
    await page.goto(`${office.server.base}/admin/devices`)
    await page.getByRole('link', { name: 'Network log' }).click()
    await page.getByLabel('Result').selectOption('401')
    await page
      .getByRole('row', { name: /Unknown.*heartbeat.*401/ })
      .first()
      .waitFor({ timeout: 30_000 })
    expect(faults).toEqual([])
  }, 120_000)

  test('says how to allow what the settings do not', async () => {
    const { page } = await signIn()
    await page.goto(`${office.server.base}/admin/devices?tab=network`)
    await page.getByRole('button', { name: 'Look', exact: true }).click()
    await page.getByText(/turns it on with DISCOVERY=true/).waitFor()
    await page.getByRole('button', { name: 'Scan now' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Scan now' }).click()
    await page.getByText(/lists private networks in SCAN_NETWORKS/).waitFor()
  }, 120_000)

  test('looks well in each of its parts', async () => {
    await look('/admin/devices', 'devices-list', (page) => page.getByRole('row').nth(2).waitFor())
    await look('/admin/devices?tab=log', 'devices-log', (page) => page.getByRole('row').nth(2).waitFor())
    await look('/admin/devices?tab=network', 'devices-network', async (page) => {
      await page.locator('main section button').first().click()
      await page.getByRole('alert').waitFor()
    })
    await look('/admin/devices', 'devices-pair', async (page) => {
      await page.locator('main table button').first().click()
      await pictureLoaded(page)
    })
  }, 300_000)
})
