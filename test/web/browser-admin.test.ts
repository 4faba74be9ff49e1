import { readFile } from 'node:fs/promises'
import { URI } from 'otpauth'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { call } from '../../src/onboarding.ts'
import { password, sendSignIn, useOffice } from './office.ts'

const office = useOffice({ company: { people: [], kiosks: 1 } })
const { open, signIn, look } = office

const api = <T>(method: string, path: string, body?: object, headers: object = office.company.owner) =>
  call<T>(method, `${office.server.base}/api/v1${path}`, { body, headers: { ...headers } })

const secondRow = (page: Page) => page.getByRole('row').nth(1).waitFor()

async function signInAs(page: Page, username: string): Promise<void> {
  await page.getByLabel('Name to sign in with').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

describe('users', () => {
  test('are invited by a link with which they choose their password, and sign in', async () => {
    const { page, faults } = await signIn()
    await page.getByRole('link', { name: 'Users and keys' }).click()
    await page.getByRole('button', { name: 'Add a user' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name to sign in with').fill('binh@example.com')
    await dialog.getByLabel('Name', { exact: true }).fill('Trần Văn Bình')
    await dialog.getByLabel('Role').selectOption('manager')
    await dialog.getByLabel('Other departments').fill('Kho, Sản xuất')
    await dialog.getByRole('button', { name: 'Add a user' }).click()
    const link = await dialog.getByLabel('One-time link').inputValue()
    expect(link).toMatch(new RegExp(`^${office.server.base}/reset\\?token=`))
    await dialog.getByRole('button', { name: 'Copy' }).click()
    await dialog.getByText('Copied.').waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('row', { name: /Trần Văn Bình.*Manager.*Kho, Sản xuất/ }).waitFor()

    const theirs = await open()
    await theirs.page.goto(link)
    await theirs.page.getByLabel('New password').fill(password)
    await theirs.page.getByLabel('The same once more').fill(password)
    await theirs.page.getByRole('button', { name: 'Choose a password' }).click()
    await signInAs(theirs.page, 'binh@example.com')
    await theirs.page.getByRole('heading', { level: 1, name: 'Today' }).waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test('are given another role, are locked out, let in again and removed', async () => {
    const { page, faults } = await signIn()
    await page.goto(`${office.server.base}/admin/access?search=binh`)
    const row = page.getByRole('row', { name: /Trần Văn Bình/ })
    const dialog = page.getByRole('dialog')
    const confirm = async (act: string) => {
      await row.getByRole('button', { name: 'Change' }).click()
      await dialog.getByRole('button', { name: act }).click()
      await dialog.getByRole('heading', { name: /\?$/ }).waitFor()
      await dialog.getByRole('button', { name: act }).click()
    }
    await row.getByRole('button', { name: 'Change' }).click()
    await dialog.getByLabel('Role').selectOption('hr')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('row', { name: /Trần Văn Bình.*HR/ }).waitFor()

    await confirm('Disable')
    await row.getByText('Disabled').waitFor()
    const theirs = await open()
    await theirs.page.goto(`${office.server.base}/admin`)
    await signInAs(theirs.page, 'binh@example.com')
    await theirs.page.getByRole('alert').waitFor()
    await confirm('Enable')
    await row.getByText('Disabled').waitFor({ state: 'detached' })
    await signInAs(theirs.page, 'binh@example.com')
    await theirs.page.getByRole('heading', { level: 1, name: 'Today' }).waitFor()

    await confirm('Sign out everywhere')
    await page.getByText('They are signed out everywhere.').waitFor()
    await theirs.page.reload()
    await theirs.page.getByRole('heading', { name: 'Sign in' }).waitFor()

    await confirm('New link')
    expect(await dialog.getByLabel('One-time link').inputValue()).toContain('/reset?token=')
    await dialog.getByRole('button', { name: 'Close' }).click()
    await confirm('Remove')
    await page.getByText('No user matches.').waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test('look well, and so do their dialogs', async () => {
    for (const [username, role] of [
      ['lan.huong@congty-rat-dai.example.com', 'admin'],
      ['hr@example.com', 'hr'],
    ])
      await api('POST', '/auth/users', { username, role, name: 'Nguyễn Thị Lan Hương' })
    await look('/admin/access', 'access-users', secondRow)
    await look('/admin/access', 'access-add', async (page) => {
      await page.locator('main section button').first().click()
      await page.locator('[name=role]').selectOption('manager')
      await page.locator('[name=others]').waitFor()
    })
    await look('/admin/access?search=hr', 'access-change', (page) =>
      page.locator('main table button').first().click(),
    )
    await look('/admin/access?search=hr', 'access-remove', async (page) => {
      await page.locator('main table button').first().click()
      await page.locator('dialog button').nth(3).click()
      await page.locator('dialog form').waitFor({ state: 'detached' })
    })
  }, 300_000)
})

describe('the keys of programs', () => {
  test('are made with what was chosen, work, and are revoked', async () => {
    const { page, faults } = await signIn()
    await page.goto(`${office.server.base}/admin/access`)
    await page.getByRole('link', { name: 'API keys' }).click()
    await page.getByRole('button', { name: 'Make a key' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('Payroll')
    await dialog.getByRole('button', { name: 'Make a key' }).click()
    await dialog.getByText('Choose at least one.').waitFor()
    await dialog.getByLabel('See people').check()
    await dialog.getByLabel('Expires').selectOption('90')
    await dialog.getByRole('button', { name: 'Make a key' }).click()
    const key = await dialog.getByLabel('Key', { exact: true }).inputValue()
    await dialog.getByRole('button', { name: 'Close' }).click()
    const payroll = { 'x-api-key': key }
    expect(await api('GET', '/employees', undefined, payroll)).toEqual([])
    await expect(api('GET', '/attendance', undefined, payroll)).rejects.toThrow('403')
    const row = page.getByRole('row', { name: /Payroll.*See people/ })
    await row.getByRole('button', { name: 'Revoke' }).click()
    await dialog.getByRole('button', { name: 'Revoke' }).click()
    await row.waitFor({ state: 'detached' })
    await expect(api('GET', '/employees', undefined, payroll)).rejects.toThrow('401')
    expect(faults).toEqual([])
  }, 120_000)

  test('look well, and so do their dialogs', async () => {
    await look('/admin/access?tab=keys', 'access-keys', secondRow)
    await look('/admin/access?tab=keys', 'access-make-key', (page) =>
      page.locator('main section button').first().click(),
    )
    await look('/admin/access?tab=keys', 'access-key', async (page) => {
      await page.locator('main section button').first().click()
      await page.locator('dialog [name=name]').fill('Bảng lương')
      await page.locator('[name=scopes]').first().check()
      await page.locator('dialog [type=submit]').click()
      await page.locator('dialog textarea').waitFor()
    })
  }, 300_000)
})

describe('the audit log', () => {
  test('shows who did what, by filters in its address, with what was there before', async () => {
    const { page, faults } = await signIn()
    await page.getByRole('link', { name: 'Audit log' }).click()
    await page.getByLabel('To what').selectOption('api_keys')
    await page.waitForURL(/kind=api_keys/)
    await page.getByLabel('What was done').selectOption('delete')
    await page.waitForURL(/action=delete/)
    const row = page.getByRole('row', { name: /owner.*Removed.*API key/ }).first()
    await row.getByRole('button', { name: 'Show' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('row', { name: /^name Payroll –/ }).waitFor()
    await dialog.getByRole('row', { name: /^key_hash hidden –/ }).waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.reload()
    await row.waitFor()
    await page.getByLabel('From day').fill('2100-01-01')
    await page.getByText('No change matches.').waitFor()
    await page.getByRole('button', { name: 'Clear the filters' }).click()
    await page
      .getByRole('row', { name: /Signed in/ })
      .first()
      .waitFor()
    await page.getByRole('button', { name: 'Next' }).count()
    await page.getByRole('button', { name: 'Check now' }).click()
    await page.getByText(/^✓ Intact: all \d+ entries/).waitFor({ timeout: 60_000 })
    expect(faults).toEqual([])
  }, 120_000)

  test('looks well', async () => {
    await look('/admin/audit', 'audit-list', async (page) => {
      await secondRow(page)
      await page.locator('main section button').first().click()
      await page.locator('[role=status] p').first().waitFor()
    })
    await look('/admin/audit?kind=users', 'audit-entry', async (page) => {
      await page.locator('main table button').first().click()
      await page.getByRole('dialog').waitFor()
    })
  }, 300_000)
})

describe('the own account', () => {
  test('sets up a second factor, which signing in asks for then, and removes it', async () => {
    const { page, faults } = await signIn()
    await page.getByRole('link', { name: 'My account' }).click()
    await page.getByRole('button', { name: 'Set up a second factor' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Current password').fill(password)
    await dialog.getByRole('button', { name: 'Go on' }).click()
    await dialog.getByRole('img', { name: 'QR code for the authenticator app' }).waitFor()
    const uri = await dialog.getByRole('link').getAttribute('href')
    const totp = URI.parse(uri!) as import('otpauth').TOTP
    expect((await dialog.locator('code').textContent())!.replace(/ /g, '')).toBe(totp.secret.base32)
    // A code of the step before, so that the present one still is to be used.
    await dialog.getByLabel('Code').fill(totp.generate({ timestamp: Date.now() - 30_000 }))
    await dialog.getByRole('button', { name: 'Confirm' }).click()
    await page.getByRole('button', { name: 'Remove the second factor' }).waitFor()

    const again = await open()
    await sendSignIn(again.page, office.server.base)
    await again.page.getByLabel('Code').fill(totp.generate())
    await again.page.getByRole('button', { name: 'Sign in' }).click()
    await again.page.getByRole('heading', { level: 1, name: 'Today' }).waitFor()

    await page.getByRole('button', { name: 'Remove the second factor' }).click()
    await dialog.getByLabel('Current password').fill(password)
    await dialog.getByRole('button', { name: 'Remove the second factor' }).click()
    await page.getByRole('button', { name: 'Set up a second factor' }).waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test('changes the password, and ends another session', async () => {
    const other = await signIn()
    const { page } = await signIn()
    await page.goto(`${office.server.base}/admin/account`)
    await page.getByText('This one').waitFor()
    const count = (await api<object[]>('GET', '/auth/sessions')).length
    await page.getByRole('button', { name: 'End', exact: true }).first().click()
    await page.getByText('The session has ended.').waitFor()
    expect((await api<object[]>('GET', '/auth/sessions')).length).toBe(count - 1)
    await page.getByLabel('Current password').fill(password)
    await page.getByLabel('New password').fill('another long one')
    await page.getByLabel('The same once more').fill('another long one')
    await page.getByRole('button', { name: 'Change the password' }).click()
    await page.getByText('The password is changed.').waitFor()
    await other.page.reload()
    await other.page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.getByLabel('Current password').fill('another long one')
    await page.getByLabel('New password').fill(password)
    await page.getByLabel('The same once more').fill(password)
    await page.getByRole('button', { name: 'Change the password' }).click()
    await expect.poll(() => page.getByText('The password is changed.').count()).toBe(2)
    const { access_token } = await api<{ access_token: string }>('POST', '/auth/login', {
      username: 'owner',
      password,
    })
    office.company.owner.authorization = `Bearer ${access_token}`
  }, 120_000)

  test('looks well, and so does its dialog', async () => {
    await look('/admin/account', 'account', secondRow)
    await look('/admin/account', 'account-factor', async (page) => {
      await page.locator('main section button').nth(1).click()
      await page.locator('dialog [name=password]').fill(password)
      await page.locator('dialog [type=submit]').click()
      await page.locator('dialog img').waitFor()
    })
  }, 300_000)
})

describe('the settings', () => {
  test('add a site, change its rules, and remove it', async () => {
    const { page } = await signIn()
    await page.getByRole('link', { name: 'Settings' }).click()
    await page.getByRole('button', { name: 'Add a site' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('Đà Nẵng')
    await dialog.getByLabel('Time zone').fill('Mars/Olympus')
    await dialog.getByLabel('Allowed networks').fill('192.168.1.0/24\n10.0.0.0/8')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.getByText(/no time zone that is known/).waitFor()
    await dialog.getByLabel('Time zone').fill('Asia/Bangkok')
    await dialog.getByLabel(/Keep the pictures/).check()
    await dialog.getByLabel('For how many days').fill('14')
    await dialog.getByRole('button', { name: 'Save' }).click()
    const row = page.getByRole('row', { name: /Đà Nẵng.*Asia\/Bangkok.*192\.168\.1\.0\/24/ })
    await row.getByText('Pictures are kept for 14 days').waitFor()
    expect(await api('GET', '/sites?search=da%20nang')).toMatchObject([
      {
        time_zone: 'Asia/Bangkok',
        allowed_networks: ['192.168.1.0/24', '10.0.0.0/8'],
        keep_pictures: true,
        picture_days: 14,
        require_consent: true,
      },
    ])
    await row.getByRole('button', { name: 'Edit' }).click()
    await dialog.getByLabel(/Keep the pictures/).uncheck()
    await dialog.getByRole('button', { name: 'Save' }).click()
    await row.getByText('Pictures are not kept').waitFor()
    await row.getByRole('button', { name: 'Remove' }).click()
    await dialog.getByRole('button', { name: 'Remove' }).click()
    await row.waitFor({ state: 'detached' })
    expect((await api<object[]>('GET', '/sites')).length).toBe(1)
  }, 120_000)

  test('tell how the server is, and make a backup that is taken away in two files', async () => {
    const { page, faults } = await signIn()
    await page.goto(`${office.server.base}/admin/settings`)
    await page.getByRole('link', { name: 'System' }).click()
    await page.getByText('There is no backup yet.').first().waitFor()
    await page.getByRole('button', { name: 'Back up now' }).click()
    await page.getByText('The backup is made.').waitFor({ timeout: 60_000 })
    const row = page.getByRole('row', { name: /office-\d+-\w+\.zip/ })
    for (const button of ['Download', 'Download keys']) {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        row.getByRole('button', { name: button, exact: true }).click(),
      ])
      const bytes = await readFile(await download.path())
      expect(bytes.subarray(0, 2).toString()).toBe('PK')
      expect(download.suggestedFilename()).toMatch(button === 'Download' ? /\.zip$/ : /\.zip\.keys$/)
    }
    const exported = await api('GET', '/audit?subject_kind=backup')
    expect(exported).toHaveLength(3)
    expect(exported).toMatchObject([{ action: 'export' }, { action: 'export' }, { by: 'user:1' }])
    expect(faults).toEqual([])
  }, 120_000)

  test('look well, and so do their dialogs', async () => {
    await look('/admin/settings', 'settings-sites', secondRow)
    await look('/admin/settings', 'settings-add-site', async (page) => {
      await page.locator('main section button').first().click()
      await page.locator('[name=pictures]').check()
    })
    await look('/admin/settings?tab=system', 'settings-system', async (page) => {
      await page.getByRole('row').nth(1).waitFor()
      await page
        .getByText(/^\d+ %$/)
        .first()
        .waitFor()
    })
  }, 300_000)
})
