import { beforeAll, describe, expect, test } from 'vitest'
import { call } from '../../src/onboarding.ts'
import en from '../../web/i18n/en.json' with { type: 'json' }
import vi from '../../web/i18n/vi.json' with { type: 'json' }
import { portrait } from '../face/portraits.ts'
import { check } from '../support/server-process.ts'
import { expectGoodLooks, looks, useOffice } from './office.ts'

const office = useOffice({ company: { people: ['frontal', 'bun', 'longHair'], kiosks: 1 } })

interface Punch {
  id: number
  employee_id: string
  timestamp: string
  attendance_type: string
  corrects: number | null
  superseded_by: number | null
  is_void: boolean
  kind: string
  notes: string | null
}

const api = <T>(method: 'GET' | 'POST' | 'PUT', path: string, body?: object) =>
  call<T>(method, `${office.server.base}/api/v1${path}`, { body, headers: office.company.owner })
const punchesOf = (person: string) => api<Punch[]>('GET', `/attendance?include=all&employee_id=${person}`)

async function punch(person: 'frontal' | 'bun' | 'longHair', type: 'IN' | 'OUT' = 'IN') {
  const { body } = await check(office.server.base, office.company.kiosks[0], person, { type })
  expect(body).toMatchObject({ code: 'identified', employee_id: person })
  return body.attendance_id!
}

/** A check by somebody whom nobody enrolled. */
async function stranger(): Promise<number> {
  const { body } = await check(office.server.base, office.company.kiosks[0], 'sunlit')
  expect(body).toMatchObject({ code: 'not_identified' })
  return (body as unknown as { decision_id: number }).decision_id
}

async function dispute(id: number) {
  const { deviceId, headers } = office.company.kiosks[0]
  await call('POST', `${office.server.base}/api/v1/attendance/${id}/not-me`, {
    body: { device_id: deviceId },
    headers,
  })
}

beforeAll(async () => {
  await api('PUT', '/sites/1', { keep_pictures: true })
}, 300_000)

describe('the punches', () => {
  test('are corrected with a reason, and both rows stay', async () => {
    const id = await punch('frontal')
    const { page, faults } = await office.signIn()
    await page.goto(`${office.server.base}/admin/attendance`)
    const row = page.getByRole('row', { name: /frontal/ }).first()
    await row.getByRole('button', { name: 'Correct' }).click()
    const dialog = page.getByRole('dialog')
    const time = dialog.getByLabel('Time')
    const before = await time.inputValue()
    const earlier = `${before.slice(0, 11)}00:01`
    await time.fill(earlier)
    await dialog.getByLabel('Direction').selectOption('OUT')
    await dialog.getByLabel('Reason').fill('Left by the back door')
    await dialog.getByRole('button', { name: 'Correct it' }).click()
    await page.getByText('The punch is corrected.').waitFor()
    await page
      .getByRole('row', { name: /frontal/ })
      .getByText('Corrected')
      .waitFor()

    const [first, second] = (await punchesOf('frontal')).sort((one, other) => one.id - other.id)
    expect(first).toMatchObject({ id, attendance_type: 'IN', superseded_by: second.id })
    expect(second).toMatchObject({
      attendance_type: 'OUT',
      corrects: id,
      kind: 'correction',
      notes: 'Left by the back door',
    })
    // The chain of both is seen from either.
    await page
      .getByRole('row', { name: /frontal/ })
      .getByRole('link', { name: /Why/ })
      .click()
    const region = page.getByRole('region', { name: 'Verdict' })
    await region
      .getByText('The punch of frontal was corrected by owner, because: Left by the back door')
      .waitFor()
    const chain = page.getByRole('listitem').filter({ hasText: '#' })
    await chain.first().waitFor()
    expect(await chain.count()).toBe(2)
    expect(faults).toEqual([])
  }, 120_000)

  test('are given to somebody else, or taken away', async () => {
    const id = await punch('bun', 'OUT')
    const { page } = await office.signIn()
    await page.goto(`${office.server.base}/admin/attendance?search=bun`)
    await page.getByRole('row', { name: /bun/ }).first().getByRole('button', { name: 'Correct' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('What is wrong?').selectOption('person')
    await dialog.getByLabel('Whose is it?').fill('longHair')
    await dialog.getByText('✓ longHair').waitFor()
    await dialog.getByLabel('Reason').fill('They changed places')
    await dialog.getByRole('button', { name: 'Give it to them' }).click()
    await page.getByText('The punch is corrected.').waitFor()
    const voided = (await punchesOf('bun')).find(({ corrects }) => corrects === id)
    expect(voided).toMatchObject({ is_void: true })
    expect((await punchesOf('longHair'))[0]).toMatchObject({ kind: 'manual', attendance_type: 'OUT' })
  }, 120_000)

  test('are entered by hand', async () => {
    const { page, faults } = await office.signIn()
    await page.goto(`${office.server.base}/admin/attendance`)
    await page.getByRole('button', { name: 'Enter a punch' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Employee').fill('longHair')
    await dialog.getByLabel('Time').fill('2026-01-05T07:58')
    await dialog.getByLabel('Reason').fill('The kiosk was off')
    await dialog.getByLabel('Reason').press('Enter')
    await page.getByText('The punch of longHair is entered.').waitFor()
    await page.goto(`${office.server.base}/admin/attendance?kind=manual&from=2026-01-05&to=2026-01-05`)
    await page.getByText('1 punch', { exact: true }).waitFor()
    const row = page.getByRole('row', { name: /longHair/ })
    expect(await row.textContent()).toContain('05/01/2026, 07:58')
    await row.getByRole('link', { name: /Why/ }).click()
    await page.getByText('Entered for longHair by owner, because: The kiosk was off').waitFor()
    expect((await punchesOf('longHair')).filter(({ notes }) => notes === 'The kiosk was off')).toHaveLength(1)
    expect(faults).toEqual([])
  }, 120_000)

  test('are filtered in the address, and what the filter matches is exported', async () => {
    await punch('bun')
    const { page } = await office.signIn()
    await page.goto(`${office.server.base}/admin/attendance`)
    await page.getByRole('button', { name: 'Today' }).click()
    await page.getByLabel('Search an employee').fill('BÚN')
    await page.waitForURL(/search=/)
    await page.getByRole('row', { name: /bun/ }).first().waitFor()
    await page.getByRole('row', { name: /frontal/ }).waitFor({ state: 'detached' })
    expect(page.url()).toMatch(/from=\d{4}-\d\d-\d\d/)
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'CSV' }).click(),
    ])
    const { readFile } = await import('node:fs/promises')
    const lines = (await readFile((await download.path())!, 'utf8')).trim().split('\n')
    expect(lines[0]).toContain('employee_id')
    expect(lines.length).toBeGreaterThan(1)
    expect(lines.slice(1).every((line) => line.includes('bun'))).toBe(true)
    // Back takes the last filter away again.
    await page.getByLabel('Direction').selectOption('OUT')
    await page.waitForURL(/type=OUT/)
    await page.goBack()
    expect(await page.getByLabel('Direction').inputValue()).toBe('')
    expect(await page.getByLabel('Search an employee').inputValue()).toBe('BÚN')
  }, 120_000)
})

describe('the explanation', () => {
  test('of a check shows whom the face resembled, the threshold, and what looked', async () => {
    const id = await punch('longHair')
    const { thresholds, candidates, pack } = await api<{
      thresholds: { confidence: number }
      candidates: { confidence: number; employee_id: string }[]
      pack: { digest: string }
    }>('GET', `/attendance/${id}/explain`)
    const { page, faults } = await office.signIn()
    await page.goto(`${office.server.base}/admin/attendance?explain=${id}`)
    const figure = candidates[0].confidence.toFixed(2)
    await page
      .getByText(
        `longHair was recognised: confidence ${figure}, where ${thresholds.confidence.toFixed(2)} is needed.`,
      )
      .waitFor()
    await page
      .getByText(`Threshold in force, ${thresholds.confidence.toFixed(2)}: one wrong match in 10K`)
      .waitFor()
    const chart = page.getByRole('img', { name: new RegExp(`longHair: ${figure}, reaches the threshold`) })
    const widthOf = (look: string) =>
      chart
        .locator(`rect.${look}`)
        .first()
        .evaluate((bar) => Number(bar.getAttribute('width')))
    expect(await widthOf('fill-accent')).toBeGreaterThan(await widthOf('fill-muted'))
    await page.getByRole('img', { name: 'What the kiosk saw' }).waitFor()
    await page.getByRole('button', { name: `Copy ${pack.digest.slice(0, 12)}` }).waitFor()
    await page.getByText('no network is installed').waitFor()
    await page.getByText('Raw data (JSON)').click()
    await page.getByText(`"attendance_id": ${id}`).waitFor()
    expect(faults).toEqual([])
  }, 120_000)

  test('tells what was asked of the person, and who they said to be', async () => {
    const { deviceId, headers } = office.company.kiosks[0]
    const base = `${office.server.base}/api/v1`
    const asked = await call<{ challenge: string; steps: string[] }>(
      'POST',
      `${base}/recognition/liveness/challenge`,
      { body: { device_id: deviceId }, headers },
    )
    const form = new FormData()
    form.append('device_id', deviceId)
    form.append('image', new Blob([new Uint8Array(await portrait('sunlit'))]), 'door.png')
    form.append('frame_ms', '0')
    form.append('challenge', asked.challenge)
    form.append('employee_code', 'bun')
    const sent = await fetch(`${base}/attendance/check`, { method: 'POST', body: form, headers })
    const { decision_id } = (await sent.json()) as { decision_id: number }
    for (const [locale, { step }, code] of [
      ['en-GB', en, 'Employee code given'],
      ['vi-VN', vi, 'Mã nhân viên đã nhập'],
    ] as const) {
      const { page, faults } = await office.signIn({ locale })
      await page.goto(`${office.server.base}/admin/attendance?decision=${decision_id}`)
      const steps = asked.steps.map((one) => step[one as 'blink']).join(' → ')
      await page.getByText(steps).waitFor()
      const fact = page.locator('dl > div').filter({ hasText: code })
      expect(await fact.locator('dd').textContent()).toBe('bun')
      await expectGoodLooks(page, `attendance-asked-${locale.slice(0, 2)}`)
      expect(faults).toEqual([])
    }
  }, 120_000)

  test('of a stranger who was refused says how near they came', async () => {
    const decision = await stranger()
    const { page, faults } = await office.signIn()
    await page.goto(`${office.server.base}/admin/attendance?view=decisions`)
    await page.getByLabel('Outcome').selectOption('not_identified')
    const row = page.getByRole('row', { name: /Not recognised/ }).first()
    await row.getByRole('link', { name: /Why/ }).click()
    await page.waitForURL(new RegExp(`decision=${decision}`))
    await page
      .getByText(/Nobody was recognised: the person most alike reached 0\.\d\d, and 0\.65 is needed\./)
      .waitFor()
    await page.getByText(/the best confidence, 0\.\d{3}, is below the threshold, 0\.650/).waitFor()
    await page.getByRole('button', { name: 'Back' }).click()
    await page.getByRole('link', { name: 'Decisions' }).waitFor()
    expect(await page.getByLabel('Outcome').inputValue()).toBe('not_identified')
    expect(faults).toEqual([])
  }, 120_000)
})

test('a dispute is resolved, and what follows from it is said before', async () => {
  const id = await punch('frontal')
  await dispute(id)
  const { page, faults } = await office.signIn()
  await page.goto(`${office.server.base}/admin/attendance?view=disputes&state=open`)
  await page
    .getByRole('row', { name: /frontal/ })
    .getByRole('button', { name: 'Resolve' })
    .click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText(/what was learned from it is deleted/).waitFor()
  await dialog.getByLabel('Who was it? (if known)').fill('bun')
  await dialog.getByLabel('Reason').fill('As the picture shows')
  await expectGoodLooks(page, 'attendance-resolve-en')
  await dialog.getByRole('button', { name: 'Take the punch away' }).click()
  await page.getByText(/told apart more surely from bun/).waitFor()
  await page.getByText('There is no dispute.').waitFor()
  const [resolved] = await api<object[]>('GET', '/attendance/disputes')
  expect(resolved).toMatchObject({ attendance_id: id, state: 'confirmed', actual_employee_id: 'bun' })
  expect((await punchesOf('frontal')).find(({ corrects }) => corrects === id)).toMatchObject({
    is_void: true,
  })
  expect(faults).toEqual([])
}, 120_000)

test('who may only read is offered nothing else', async () => {
  await punch('bun')
  const { page } = await office.signInAsViewer()
  await page.getByRole('link', { name: 'Attendance' }).click()
  const row = page.getByRole('row', { name: /bun/ }).first()
  await row.waitFor()
  expect(await page.getByRole('button', { name: /Correct|Enter a punch/ }).count()).toBe(0)
  await row.getByRole('link', { name: /Why/ }).click()
  await page.getByText('You may not see the picture.').waitFor()
  expect(await page.getByText('Raw score').count()).toBe(0)
}, 120_000)

describe.each(looks)('every view in %s', (language, locale, colorScheme) => {
  test('looks good at three widths', async () => {
    const id = await punch('frontal')
    await dispute(id)
    const decision = await stranger()
    const { page, faults } = await office.signIn({ locale, colorScheme })
    const look = async (path: string, name: string, ready: string) => {
      await page.goto(`${office.server.base}/admin/attendance${path}`)
      await page.locator(ready).first().waitFor()
      await page.waitForLoadState('networkidle')
      await expectGoodLooks(page, `attendance-${name}-${language}`)
    }
    await look('?all=1', 'punches', 'tbody tr')
    await page.setViewportSize({ width: 1440, height: 900 })
    await page.locator('tbody button').first().click()
    await expectGoodLooks(page, `attendance-correct-${language}`)
    await page.keyboard.press('Escape')
    await page.locator('main button').first().click()
    await expectGoodLooks(page, `attendance-manual-${language}`)
    await look('?search=nobody-at-all', 'none', 'main p')
    await look('?view=decisions', 'decisions', 'tbody tr')
    await look('?view=disputes', 'disputes', 'tbody tr')
    await look(`?explain=${id}`, 'explain', 'main svg[role=img]')
    await look(`?decision=${decision}`, 'stranger', 'main svg[role=img]')
    const corrected = (await punchesOf('frontal')).find(({ kind }) => kind === 'correction')!
    await look(`?explain=${corrected.id}`, 'correction', 'main ol')
    expect(faults).toEqual([])
  }, 300_000)
})
