import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { call } from '../../src/onboarding.ts'
import {
  type Company,
  type CompanyOptions,
  endServers,
  foundCompany,
  type ServerProcess,
  startServer,
} from '../support/server-process.ts'
import { seriousFaults } from './axe.ts'
import { launchBrowser, openPage } from './browser.ts'

export const password = 'correct horse battery'
/** Where pictures of every page are written: one looks at them after a change. */
const screenshots = join('build', 'screenshots')

export interface Office {
  server: ServerProcess
  /** Its owner signs in as `owner`. Undefined before `found`, for a server without anybody. */
  company: Company
  /** A new browser window; its faults are what went wrong in it. */
  open(options?: BrowserContextOptions): Promise<{ page: Page; faults: string[] }>
  /** A new window in which the owner has signed in and sees today. */
  signIn(options?: BrowserContextOptions): Promise<{ page: Page; faults: string[] }>
  /** A new window in which somebody has signed in who was just invited as a viewer, and who may only read. */
  signInAsViewer(): Promise<{ page: Page; faults: string[] }>
  /** Looks at a page in both languages, as it is once `ready` has been done with it. */
  look(path: string, name: string, ready: (page: Page) => Promise<unknown>): Promise<void>
}

/** Both languages, each in one of the colours. */
export const looks = [
  ['vi', 'vi-VN', 'light'],
  ['en', 'en-GB', 'dark'],
] as const

/**
 * A server and a browser for the tests of a file. `company`: it has an owner, people and kiosks from the start. `video`:
 * what the browser's camera sees.
 */
export function useOffice(options: { company?: CompanyOptions; video?: () => Promise<string> } = {}): Office {
  let folder: string
  let browser: Awaited<ReturnType<typeof launchBrowser>>
  const contexts: { close(): Promise<void> }[] = []
  const office = {
    async open(context = {}) {
      const opened = await browser.newContext({
        locale: 'en-GB',
        viewport: { width: 1440, height: 900 },
        permissions: ['camera'],
        ...context,
      })
      contexts.push(opened)
      return openPage(opened)
    },
    async signIn(context = {}) {
      const opened = await office.open(context)
      await sendSignIn(opened.page, office.server.base)
      // Hidden behind the menu's button on a narrow screen.
      await opened.page.getByRole('navigation').locator('a').first().waitFor({ state: 'attached' })
      return opened
    },
    async signInAsViewer() {
      const { link } = await call<{ link: { path: string } }>(
        'POST',
        `${office.server.base}/api/v1/auth/users`,
        { body: { username: 'viewer', role: 'viewer' }, headers: office.company.owner },
      )
      const opened = await office.open()
      const { page } = opened
      await page.goto(office.server.base + link.path)
      await page.getByLabel('New password').fill(password)
      await page.getByLabel('The same once more').fill(password)
      await page.getByRole('button', { name: 'Choose a password' }).click()
      await page.getByLabel('Name to sign in with').fill('viewer')
      await page.getByLabel('Password').fill(password)
      await page.getByRole('button', { name: 'Sign in' }).click()
      return opened
    },
    async look(path, name, ready) {
      for (const [language, locale, colorScheme] of looks) {
        const { page } = await office.signIn({ locale, colorScheme })
        await page.goto(office.server.base + path)
        await page.getByRole('heading', { level: 1 }).waitFor()
        await ready(page)
        await expectGoodLooks(page, `${name}-${language}`)
        await page.context().close()
      }
    },
  } as Office

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-office-'))
    await mkdir(screenshots, { recursive: true })
    office.server = await startServer({
      DATA_DIR: folder,
      UPLOAD_DIR: join(folder, 'uploads'),
      KEY_DIR: join(folder, 'keys'),
    })
    if (options.company) office.company = await foundCompany(office.server, options.company)
    browser = await launchBrowser(await options.video?.())
  }, 300_000)
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close()
  })
  afterAll(async () => {
    await browser?.close()
    await endServers()
    await rm(folder, { recursive: true, force: true })
  })
  return office
}

/** Fills in name and password of the owner, and does not wait for what comes then. */
export async function sendSignIn(page: Page, base: string): Promise<void> {
  await page.goto(`${base}/`)
  await page.locator('[name=username]').fill('owner')
  await page.locator('[name=password]').fill(password)
  await page.locator('[type=submit]').click()
}

/** How far things jumped about by themselves since the page was loaded (Cumulative Layout Shift, without its windows). */
export async function layoutShift(page: Page): Promise<number> {
  return (await page.evaluate(`new Promise((done) => {
    let sum = 0
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value
    }).observe({ type: 'layout-shift', buffered: true })
    // What was buffered is told in the next turn.
    setTimeout(() => done(sum), 50)
  })`)) as number
}

/**
 * Looks at the page as it is now at three widths: writes a picture of each, finds nothing that sticks out at the side, and
 * no serious fault of accessibility.
 */
export async function expectGoodLooks(page: Page, name: string): Promise<void> {
  for (const width of [390, 820, 1440]) {
    await page.setViewportSize({ width, height: 900 })
    await page.screenshot({ path: join(screenshots, `${name}-${width}.png`) })
    const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
    expect([name, width, over]).toEqual([name, width, 0])
  }
  expect([name, await seriousFaults(page)]).toEqual([name, []])
}
