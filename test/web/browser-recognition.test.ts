import sharp, { type Sharp } from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { call } from '../../src/onboarding.ts'
import { cuts, type PortraitName, portrait } from '../face/portraits.ts'
import { addPerson } from '../support/server-process.ts'
import { expectGoodLooks, looks, useOffice } from './office.ts'

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
  await addPerson(office.server.base, office.company, employeeId)
  return addPhotos(employeeId, picture)
}

async function addPhotos(employeeId: string, picture: Sharp): Promise<boolean> {
  const { server, company } = office
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
  // Two photos of one person can be compared with each other.
  for (const name of names.slice(0, 4))
    await addPhotos(name, sharp(await portrait(name)).modulate({ brightness: 0.85 }))
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
    // Both curves rise somewhere: they have more than one height.
    for (const curve of await chart
      .locator('path')
      .evaluateAll((all) => all.map((one) => one.getAttribute('d')!)))
      expect(new Set(curve.match(/V[\d.]+/g)).size).toBeGreaterThan(1)
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

/** What the server answers of a change, without the second pack that no test has at hand. */
const change = {
  id: 1,
  from_pack: 'human-v1',
  to_pack: 'auraface',
  state: 'embedding',
  total: 40,
  done: 10,
  estimated_seconds_left: 12,
  skipped: [{ employee_id: 'bun', photo_id: 3, reason: 'no_face' }],
  unrecognisable: [{ employee_id: 'bun', reason: 'no_face' }],
  comparison: {
    basis: 'kept_pictures',
    compared: 310,
    unreadable: 0,
    same: 305,
    newly_recognised: [7, 9],
    no_longer_recognised: [11],
    different_person: [],
    from_ms: 190,
    to_ms: 240,
  },
  thresholds: { from: 0.65, to: 0.672 },
  error: null,
  started_at: '2026-11-27T08:00:00.000Z',
  started_by: 'user:1',
  finished_at: null as string | null,
}

test('a change of the models is begun, seen through, judged and confirmed', async () => {
  let row: typeof change | undefined
  const asked: string[] = []
  const { page, faults } = await office.signIn()
  const packs = await api<{ name: string; state: string }[]>('GET', '/recognition/models')
  await page.route('**/api/v1/recognition/models', (route) =>
    route.fulfill({
      json: packs.map((pack) => (pack.name === 'auraface' ? { ...pack, state: 'ready' } : pack)),
    }),
  )
  await page.route('**/api/v1/recognition/models/switches', (route) =>
    route.fulfill({ json: row ? [row] : [] }),
  )
  await page.route(/\/models\/switch(\/confirm)?$/, (route) => {
    asked.push(`${route.request().url().split('/models/')[1]} ${route.request().postData() ?? ''}`)
    row = asked.length === 1 ? change : { ...change, state: 'switched', finished_at: change.started_at }
    return route.fulfill({ json: row })
  })
  await page.goto(view('models'))
  await page
    .getByRole('row', { name: /auraface/ })
    .getByRole('button', { name: 'Switch to it' })
    .click()
  await page.getByText(/Meanwhile the kiosks go on with the pack in use/).waitFor()
  await expectGoodLooks(page, 'recognition-switch-begin-en')
  await page.getByRole('dialog').getByRole('button', { name: 'Switch to it' }).click()
  await page.getByText('10 of 40 photos · about 12 s left').waitFor()
  await expectGoodLooks(page, 'recognition-switch-progress-en')
  row = { ...change, state: 'ready', done: 40, estimated_seconds_left: null as never }
  await page.getByText('Compared on 310 kept pictures of check-ins of the last 7 days.').waitFor()
  expect(await page.getByRole('link', { name: '#11' }).getAttribute('href')).toBe(
    '/admin/attendance?decision=11',
  )
  await expectGoodLooks(page, 'recognition-switch-report-en')
  await page.getByRole('button', { name: 'Use the new pack' }).click()
  await page.getByText('1 person will not be recognised any more.').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Use the new pack' }).click()
  await page.getByText('auraface is in use.').waitFor()
  await page.getByText(/The way back: switch to the pack before/).waitFor()
  expect(asked).toEqual(['switch {"pack":"auraface"}', 'switch/confirm '])
  expect(faults).toEqual([])
}, 120_000)

describe.each(looks)('every view in %s', (language, locale, colorScheme) => {
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
