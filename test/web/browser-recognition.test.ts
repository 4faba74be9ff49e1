import sharp, { type Sharp } from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { call } from '../../src/onboarding.ts'
import { cuts, type PortraitName, portrait } from '../face/portraits.ts'
import { addPerson } from '../support/server-process.ts'
import { expectGoodLooks, useOffice } from './office.ts'

const office = useOffice({ company: { people: [], kiosks: 2 } })

/** The portraits make three people each: as they are, mirrored, and with a narrower face. Enough to calibrate with. */
const makeUps: Record<string, (picture: Sharp) => Sharp> = {
  '': (picture) => picture,
  Twin: (picture) => picture.flop(),
  Narrow: (picture) => picture.resize(340, 400, { fit: 'fill' }),
}
/** Without those who look away. */
const names = (Object.keys(cuts) as PortraitName[]).filter((name) => !['profile', 'laughing'].includes(name))

const api = <T>(method: 'GET' | 'POST' | 'PUT', path: string, body?: object) =>
  call<T>(method, `${office.server.base}/api/v1${path}`, { body, headers: office.company.owner })

async function enrol(employeeId: string, picture: Sharp): Promise<boolean> {
  const { server, company } = office
  await addPerson(server.base, company, employeeId)
  const body = new FormData()
  body.append('consent', 'test-1')
  body.append('photo', new Blob([new Uint8Array(await picture.png().toBuffer())]), 'photo.png')
  const response = await fetch(`${server.base}/api/v1/employees/${employeeId}/upload-photo`, {
    method: 'POST',
    body,
    headers: company.program,
  })
  return response.ok
}

beforeAll(async () => {
  let enrolled = 0
  for (const name of names)
    for (const [made, up] of Object.entries(makeUps))
      enrolled += Number(await enrol(name + made, up(sharp(await portrait(name)))))
  // So many it takes to say how often strangers are taken for somebody.
  expect(enrolled).toBeGreaterThanOrEqual(20)
}, 300_000)

const view = (name: string) => `${office.server.base}/admin/recognition?view=${name}`

describe('the recognition pages', () => {
  test('say what is used, to the byte, and what could be', async () => {
    const { page, faults } = await office.signIn()
    await page.goto(`${office.server.base}/admin/recognition`)
    await page.getByRole('heading', { name: 'In use: human-v1' }).waitFor()
    const [active, ...others] = await api<{ name: string; state: string; files: { sha256: string }[] }[]>(
      'GET',
      '/recognition/models',
    )
    const rows = page.getByRole('table', { name: 'Model packs' }).getByRole('row')
    await rows.filter({ hasText: active.name }).getByText('In use').waitFor()
    const missing = others.find(({ state }) => state === 'not_installed')!
    await page.getByText(`rollcall models install ${missing.name}`, { exact: true }).waitFor()
    await page.getByText(/files, with their SHA-256/).click()
    await page.getByRole('button', { name: `Copy ${active.files[0].sha256.slice(0, 12)}` }).waitFor()
    await page.getByText('The models were never changed.').waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test('calibrate, and show the curves, the threshold and how many strangers get through', async () => {
    const { page, faults } = await office.signIn()
    await page.goto(view('calibration'))
    await page.getByRole('button', { name: 'Calibrate now' }).click()
    await page.getByText('Calibrated.').waitFor({ timeout: 60_000 })
    const found = await api<{ id: number; thresholds: { in_force: number }; comparisons: number }>(
      'GET',
      '/recognition/calibration',
    )
    const threshold = found.thresholds.in_force.toFixed(3)
    await page.getByText(new RegExp(`The threshold is ${threshold.replace('.', '\\.')}`)).waitFor()
    await page.getByText(/Of 1,000 strangers about/).waitFor()
    const chart = page.getByRole('img', { name: new RegExp(`of different people; threshold ${threshold}`) })
    const [impostor, genuine] = await chart
      .locator('path')
      .evaluateAll((paths) => paths.map((path) => path.getAttribute('d')!.split('V').length))
    expect(impostor).toBe(genuine)
    await page.getByRole('table', { name: 'Calibrations so far' }).getByText(`#${found.id}`).waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test('name the people who are hard to tell apart, with their photos', async () => {
    await api('POST', '/recognition/calibration')
    const { look_alikes } = await api<{ look_alikes: { margin: number; people: { name: string }[] }[] }>(
      'GET',
      '/recognition/calibration',
    )
    expect(look_alikes.length).toBeGreaterThan(0)
    const [{ people: pair, margin }] = look_alikes
    const { page, faults } = await office.signIn()
    await page.goto(view('lookAlikes'))
    const row = page.getByRole('row', { name: new RegExp(`${pair[0].name}.*${pair[1].name}`) })
    await row.getByText(margin.toFixed(2)).first().waitFor()
    await row.locator('img').nth(1).waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test("change a kiosk's policy, and the server holds it", async () => {
    const { page, faults } = await office.signIn()
    await page.goto(view('liveness'))
    const { deviceId } = office.company.kiosks[0]
    await page.getByLabel(`Policy of ${deviceId}`).selectOption('enforce')
    await page.getByText(`The policy of ${deviceId} is changed.`).waitFor()
    expect(await api('GET', `/devices/${deviceId}`)).toMatchObject({ pad_policy: 'enforce' })
    await page
      .getByRole('row', { name: new RegExp(deviceId) })
      .getByText('Enforce')
      .first()
      .waitFor()
    // Back to what the server itself holds.
    await page.getByLabel(`Policy of ${deviceId}`).selectOption('')
    await page.getByLabel(`Policy of ${deviceId}`).and(page.locator(':enabled')).waitFor()
    await expect.poll(() => api('GET', `/devices/${deviceId}`)).toMatchObject({ pad_policy: null })
    expect(faults).toEqual([])
  }, 120_000)
})

describe.each([
  ['vi', 'vi-VN', 'light'],
  ['en', 'en-GB', 'dark'],
] as const)('every view in %s', (language, locale, colorScheme) => {
  test('looks good at three widths', async () => {
    await api('POST', '/recognition/calibration')
    const { page, faults } = await office.signIn({ locale, colorScheme })
    for (const name of ['models', 'calibration', 'lookAlikes', 'liveness']) {
      await page.goto(view(name))
      await page.locator('tbody tr, main p').first().waitFor()
      await page.waitForLoadState('networkidle')
      await expectGoodLooks(page, `recognition-${name}-${language}`)
    }
    expect(faults).toEqual([])
  }, 300_000)
})
