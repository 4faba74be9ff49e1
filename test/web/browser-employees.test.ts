import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer as readAll } from 'node:stream/consumers'
import type { Page } from 'playwright-core'
import { afterAll, describe, expect, test } from 'vitest'
import { ZipFile } from 'yazl'
import { call } from '../../src/onboarding.ts'
import { groupPhoto, portrait } from '../face/portraits.ts'
import { check } from '../support/server-process.ts'
import { writeHeadVideo } from './head-video.ts'
import { expectGoodLooks, looks, useOffice } from './office.ts'

const PATIENCE_MS = 60_000
const folder = await mkdtemp(join(tmpdir(), 'rollcall-employees-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

const office = useOffice({
  company: { people: ['bun'], kiosks: 1 },
  video: async () => {
    const file = join(folder, 'head.mjpeg')
    await writeHeadVideo(file, 'frontal')
    return file
  },
})

const ask = <Answer>(method: string, path: string, body?: object) =>
  call<Answer>(method, `${office.server.base}/api/v1${path}`, { body, headers: office.company.owner })

async function openList(context = {}) {
  const opened = await office.signIn(context)
  await opened.page.goto(`${office.server.base}/admin/employees`)
  await opened.page.getByRole('heading', { level: 1 }).waitFor()
  return opened
}

async function openCard(employeeId: string, context = {}) {
  const opened = await office.signIn(context)
  await opened.page.goto(`${office.server.base}/admin/employees/${employeeId}`)
  await opened.page.getByRole('heading', { level: 2 }).first().waitFor()
  return opened
}

/** How many people there are that the filters let through. */
async function countPeople(query = ''): Promise<number> {
  const response = await fetch(`${office.server.base}/api/v1/employees?limit=1${query}`, {
    headers: office.company.owner,
  })
  return Number(response.headers.get('x-total-count'))
}

const people = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    id: `NV${String(index + 1).padStart(4, '0')}`,
    name: `${index % 10 === 0 ? 'Lê' : 'Nguyễn'} Văn ${String(index + 1).padStart(4, '0')}`,
    department: index % 4 === 0 ? 'Kho' : 'Sản xuất',
  }))

/** A file as Excel saves it in Vietnam. `spoil`: what becomes of some of its rows. */
function listOf(rows: ReturnType<typeof people>, spoil: Record<number, string> = {}) {
  const lines = rows.map(
    ({ id, name, department }, index) => spoil[index + 2] ?? `${id};${name};${department};`,
  )
  const text = `\uFEFF${['Mã nhân viên;Họ tên;Phòng ban;Email', ...lines].join('\r\n')}`
  return { name: 'people.csv', mimeType: 'text/csv', buffer: Buffer.from(text) }
}

const chooseFile = (page: Page, file: Parameters<ReturnType<Page['locator']>['setInputFiles']>[0]) =>
  page.getByRole('dialog').locator('input[type=file]').setInputFiles(file)

describe('the list of employees', () => {
  test('adds somebody, says what is wrong beside the field, and opens their card', async () => {
    const { page, faults } = await openList()
    await page.getByRole('button', { name: 'Add an employee' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Employee id').fill('bun')
    await dialog.getByLabel('Name', { exact: true }).fill('Trần Thị Bình')
    await dialog.getByLabel('E-mail').fill('binh@example.com')
    await dialog.getByRole('button', { name: 'Add an employee' }).click()
    await dialog.getByText('This id is taken').waitFor()
    await dialog.getByLabel('Employee id').fill('BINH')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Trần Thị Bình' }).waitFor()
    expect(page.url()).toBe(`${office.server.base}/admin/employees/BINH`)
    expect(await ask('GET', '/employees/BINH')).toMatchObject({ email: 'binh@example.com', department: null })
    // The refusal stands on the browser's console.
    expect(faults.filter((fault) => !fault.includes('409'))).toEqual([])
  }, 120_000)

  test('imports a thousand people after three faulty rows were named and mended', async () => {
    const { page, faults } = await openList({ acceptDownloads: true })
    const before = await countPeople()
    await page.getByRole('button', { name: 'Import a list' }).first().click()
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download a template' }).click()
    expect((await download).suggestedFilename()).toBe('rollcall-employees.csv')

    const rows = people(1000)
    await chooseFile(
      page,
      listOf(rows, { 5: 'NV0004;;Kho;', 300: 'NV0001;Lặp Lại;Kho;', 777: 'NV0776;Sai Thư;Kho;no address' }),
    )
    const preview = page.getByRole('region', { name: 'Preview' })
    await preview.getByText('3 rows have faults').waitFor({ timeout: PATIENCE_MS })
    const faulty = await preview.getByRole('row').allInnerTexts()
    expect(faulty.map((text) => text.split(/\s+/).join(' '))).toEqual([
      expect.stringContaining('Row'),
      expect.stringContaining('5 NV0004 Name: must not be empty'),
      expect.stringContaining('300 NV0001 Employee id: stands in row 2 already'),
      expect.stringContaining('777 NV0776 E-mail: must look like name@example.com'),
    ])
    await expectGoodLooks(page, 'employees-import-en')
    expect(await page.getByRole('button', { name: 'Import', exact: true }).isDisabled()).toBe(true)
    expect(await countPeople()).toBe(before)

    await chooseFile(page, listOf(rows))
    await page.getByText('All rows are in order.').waitFor({ timeout: PATIENCE_MS })
    await page.getByRole('button', { name: 'Import 1,000 people' }).click()
    await page.getByText('The import is done.').waitFor({ timeout: PATIENCE_MS })
    expect(await countPeople()).toBe(before + 1000)
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByText(`${(before + 1000).toLocaleString('en-GB')} people`).waitFor()
    expect(faults).toEqual([])
  }, 240_000)

  test('finds, filters, sorts and turns pages, and keeps all of it in the address', async () => {
    const { page, faults } = await openList({ acceptDownloads: true })
    const names = () => page.getByRole('row').getByRole('link').allInnerTexts()
    const searchBox = page.getByLabel('Search')
    await searchBox.fill('le van')
    await page.getByText('100 people').waitFor()
    await page.getByLabel('Department').selectOption('Kho')
    await page.getByText('50 people').waitFor()
    expect(page.url()).toContain('department=Kho')
    await page.getByLabel('Department').selectOption('')
    await page.getByText('100 people').waitFor()
    await page.getByRole('button', { name: 'Next' }).click()
    await page.getByText('26–50 of 100').waitFor()
    expect(page.url()).toContain('skip=25')
    await page.reload()
    await page.getByText('26–50 of 100').waitFor()
    expect(await searchBox.inputValue()).toBe('le van')
    await page.getByRole('button', { name: 'Employee id' }).click()
    await page.getByText('1–25 of 100').waitFor()
    await page.getByRole('button', { name: 'Employee id' }).click()
    await expect.poll(async () => (await names())[0]).toContain('Lê Văn 0991')
    expect(await page.getByRole('columnheader', { name: 'Employee id' }).getAttribute('aria-sort')).toBe(
      'descending',
    )
    await page.goBack()
    await expect.poll(async () => (await names())[0]).toContain('Lê Văn 0001')

    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Export CSV' }).click()
    const csv = await readFile(await (await download).path(), 'utf8')
    expect(csv.trim().split('\n')).toHaveLength(101)

    await searchBox.fill('nobody at all')
    await page.getByText('Nobody matches').waitFor()
    await page.getByRole('button', { name: 'Clear the filters' }).click()
    await page.getByText(/1,00\d people/).waitFor()
    expect(faults).toEqual([])
  }, 120_000)
})

describe('the card of an employee', () => {
  test('enrols somebody by webcam, whom a kiosk knows then', async () => {
    await ask('POST', '/employees', { employee_id: 'AN', name: 'Nguyễn Văn An', email: 'an@webcam.example' })
    const { page, faults } = await openCard('AN')
    await page.getByText('There are no photos.').waitFor()
    await page.getByRole('button', { name: 'Add photos' }).click()
    const dialog = page.getByRole('dialog')
    const consent = dialog.getByRole('checkbox')
    expect(await consent.isChecked()).toBe(false)
    expect(await dialog.locator('video').count()).toBe(0)
    await consent.check()
    await dialog.getByLabel('Version of the consent text').fill('2026-01')
    // One after the other, by themselves.
    await dialog.getByRole('button', { name: 'Take again' }).first().waitFor({ timeout: PATIENCE_MS })
    await expectGoodLooks(page, 'employee-webcam-en')
    await dialog.getByText('That is enough.').waitFor({ timeout: 2 * PATIENCE_MS })
    await dialog.getByRole('radio').nth(1).check()
    await dialog.getByRole('button', { name: 'Enrol 3 photos' }).click()
    await dialog.getByText('3 of 3 photos are enrolled.').waitFor({ timeout: PATIENCE_MS })
    expect(await dialog.getByText('The same person as in the other photos').count()).toBe(3)
    await expectGoodLooks(page, 'employee-verdicts-en')
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page
      .getByRole('listitem')
      .getByText(/^★?Avatar$/)
      .waitFor()

    const photos = await ask<{ is_avatar: boolean }[]>('GET', '/employees/AN/photos')
    expect(photos.map(({ is_avatar }) => is_avatar)).toEqual([false, true, false])
    expect(await ask('GET', '/employees/AN/templates')).toMatchObject([{ image_id: 1 }])
    expect(await ask('GET', '/employees/AN/consent')).toMatchObject([{ text_version: '2026-01' }])
    const { body } = await check(office.server.base, office.company.kiosks[0], 'frontal')
    expect(body).toMatchObject({ recognized: true, employee_id: 'AN' })
    await page.reload()
    await page.getByRole('row', { name: /In GATE1/ }).waitFor()

    await page.getByRole('link', { name: 'Employees' }).click()
    // Alone among a thousand names like it.
    await page.getByLabel('Search').fill('an@webcam.example')
    const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: /Nguyễn Văn An$/ }) })
    await row.waitFor()
    expect(await row.getByText('No photo').count()).toBe(0)
    await page.getByLabel('State').selectOption({ label: 'Without a photo' })
    await expect.poll(() => row.count(), { timeout: PATIENCE_MS }).toBe(0)
    // A look at the server that came in a moment without a face is no fault.
    expect(faults.filter((fault) => !/422.*recognition\/process/.test(fault))).toEqual([])
  }, 300_000)

  test('enrols from files, and says of each photo what is wrong and whom it resembles', async () => {
    await ask('POST', '/employees', { employee_id: 'FILES', name: 'Lê Văn Tệp' })
    const { page } = await openCard('FILES')
    await page.getByRole('button', { name: 'Add photos' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('checkbox').check()
    await dialog.getByRole('button', { name: 'From files' }).click()
    await chooseFile(page, [
      { name: 'good.png', mimeType: 'image/png', buffer: await portrait('bun') },
      { name: 'group.jpg', mimeType: 'image/jpeg', buffer: groupPhoto(6) },
      {
        name: 'broken.jpg',
        mimeType: 'image/jpeg',
        buffer: Buffer.from('\xff\xd8\xff no picture', 'latin1'),
      },
    ])
    await dialog.getByRole('button', { name: 'Enrol 3 photos' }).click()
    await dialog.getByText('1 of 3 photos is enrolled.').waitFor({ timeout: PATIENCE_MS })
    await dialog.getByText('There are several faces in the picture.').waitFor()
    await dialog.getByText('The picture cannot be read').waitFor()
    await dialog.getByRole('link', { name: 'bun' }).waitFor()
    await dialog.getByText('Unless they are twins').waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('button', { name: 'Delete', exact: true }).first().click()
    await page.getByText('Lê Văn Tệp is recognised at no kiosk any more').waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('There are no photos.').waitFor()
    expect(await ask('GET', '/employees/FILES/photos')).toEqual([])
  }, 120_000)

  test('changes what was changed here alone, and says what somebody else changed meanwhile', async () => {
    const { page } = await openCard('BINH')
    await page.getByRole('button', { name: 'Edit' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Position').fill('Trưởng nhóm')
    await ask('PATCH', '/employees/BINH', { department: 'Kho' })
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.getByText('Department: was “–”, is now “Kho”').waitFor()
    await dialog.getByRole('button', { name: 'Save all the same' }).click()
    await page.getByText('Saved.').waitFor()
    expect(await ask('GET', '/employees/BINH')).toMatchObject({ department: 'Kho', position: 'Trưởng nhóm' })
    await page.getByRole('button', { name: 'Deactivate' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Deactivate' }).click()
    await page.getByRole('button', { name: 'Reactivate' }).waitFor()
    expect(await ask('GET', '/employees/BINH')).toMatchObject({ is_active: false })
  }, 120_000)

  test('erases a face after saying what that means, shows the certificate, and gives out all data', async () => {
    const { page } = await openCard('bun', { acceptDownloads: true })
    await page
      .getByText('Quality 1')
      .or(page.getByText(/Quality \d+%/))
      .first()
      .waitFor()
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download ZIP' }).click()
    expect((await download).suggestedFilename()).toBe('bun.zip')
    await page.getByRole('button', { name: 'Erase face data' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('All photos and face templates of the person are erased at once').waitFor()
    await dialog.getByText('the punches stay').waitFor()
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    expect(await ask<unknown[]>('GET', '/employees/bun/photos')).toHaveLength(1)
    await page.getByRole('button', { name: 'Erase face data' }).click()
    await dialog.getByRole('button', { name: 'Erase face data' }).click()
    await page.getByText('There are no photos.').waitFor()
    await page.getByRole('heading', { name: 'Certificates of erasure' }).waitFor()
    await page.getByText('Photos: 1, templates: 1').waitFor()
    expect(await ask('GET', '/employees/bun/photos')).toEqual([])
    expect(await ask('GET', '/employees/bun/templates')).toEqual([])
  }, 120_000)

  test('says why the camera gives nothing, and takes files all the same', async () => {
    await ask('POST', '/employees', { employee_id: 'NOCAM', name: 'Đỗ Thị Ảnh' })
    const { page } = await office.signIn()
    await page.addInitScript(`navigator.mediaDevices.getUserMedia = () =>
      Promise.reject(new DOMException('no', 'NotAllowedError'))`)
    await page.goto(`${office.server.base}/admin/employees/NOCAM`)
    await page.getByRole('button', { name: 'Add photos' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('The camera opens only then.').waitFor()
    await dialog.getByRole('checkbox').check()
    await dialog.getByText('The browser may not use the camera.').waitFor()
    expect(await dialog.getByRole('button', { name: 'Take it now' }).isDisabled()).toBe(true)
    await dialog.getByRole('button', { name: 'From files' }).click()
    await chooseFile(page, { name: 'b.png', mimeType: 'image/png', buffer: await portrait('redLips') })
    await dialog.getByRole('button', { name: 'Enrol 1 photo' }).click()
    await dialog.getByText('1 of 1 photos is enrolled.').waitFor({ timeout: PATIENCE_MS })
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('button', { name: 'Withdraw consent' }).click()
    await page
      .getByText('Photos and face templates are erased; the person and the punches stay.')
      .last()
      .waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Withdraw consent' }).click()
    await page.getByText('There are no photos.').waitFor()
    expect(await ask<unknown[]>('GET', '/employees/NOCAM/photos')).toEqual([])
    expect(await ask('GET', '/employees/NOCAM/consent')).toMatchObject([{ withdrawn_at: expect.any(String) }])
  }, 120_000)

  test('removes somebody for good only after the id was typed', async () => {
    await ask('POST', '/employees', { employee_id: 'GONE', name: 'Vũ Văn Hết' })
    const { page } = await openCard('GONE')
    await page.getByRole('button', { name: 'Remove for good' }).click()
    const act = page.getByRole('dialog').getByRole('button', { name: 'Remove for good' })
    await page.getByLabel('Type GONE to confirm').fill('GON')
    expect(await act.isDisabled()).toBe(true)
    await page.getByLabel('Type GONE to confirm').fill('GONE')
    await act.click()
    await page.getByText('Vũ Văn Hết is removed.').waitFor()
    expect(await countPeople('&search=GONE')).toBe(0)
  }, 120_000)

  test('ends employment, and keeps the card of who has left', async () => {
    await ask('POST', '/employees', { employee_id: 'LEAVER', name: 'Phạm Thị Đi' })
    const { page } = await openCard('LEAVER')
    await page.getByRole('button', { name: 'End employment' }).click()
    await page.getByText('All photos and face templates are erased.').waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'End employment' }).click()
    await page.getByText(/^■?Left$/).waitFor()
    expect(await countPeople('&ended=true&search=LEAVER')).toBe(1)
    await page.reload()
    await page.getByText(/^■?Left$/).waitFor()
    expect(await page.getByRole('button', { name: 'Edit' }).count()).toBe(0)
  }, 120_000)
})

test('photos of many people come from a ZIP, each with what became of it', async () => {
  for (const id of ['ZIP1', 'ZIP2']) await ask('POST', '/employees', { employee_id: id, name: id })
  const zip = new ZipFile()
  zip.addBuffer(await portrait('longHair'), 'ZIP1.png')
  zip.addBuffer(groupPhoto(1), 'ZIP2.jpg')
  zip.addBuffer(await portrait('blonde'), 'NOBODY.png')
  zip.end()
  const buffer = await readAll(zip.outputStream)
  const { page } = await openList()
  await page.getByRole('button', { name: 'Import photos' }).click()
  await page.getByRole('dialog').getByRole('checkbox').check()
  await chooseFile(page, { name: 'photos.zip', mimeType: 'application/zip', buffer })
  await page.getByRole('button', { name: 'Import the photos' }).click()
  await page.getByText('All photos were gone through.').waitFor({ timeout: PATIENCE_MS })
  await page.getByRole('row', { name: /ZIP1\.png.*Enrolled/ }).waitFor()
  await page.getByRole('row', { name: /ZIP2\.jpg.*several faces/ }).waitFor()
  await page.getByRole('row', { name: /NOBODY\.png.*no such employee/ }).waitFor()
  await expectGoodLooks(page, 'employees-photos-en')
  expect(await ask<unknown[]>('GET', '/employees/ZIP1/photos')).toHaveLength(1)
}, 120_000)

test('a manager is offered what they may see, and nothing that they may not do', async () => {
  const { page, faults } = await office.signInAsViewer()
  await page.getByRole('link', { name: 'Employees' }).click()
  await page.getByRole('row').nth(1).waitFor()
  expect(await page.getByRole('button', { name: /^Add |Import/ }).count()).toBe(0)
  await page.getByRole('row').getByRole('link').first().click()
  await page.getByRole('heading', { name: 'Last punches' }).waitFor()
  expect(await page.getByRole('main').getByRole('button').count()).toBe(0)
  expect(await page.getByRole('heading', { name: 'Photos' }).count()).toBe(0)
  expect(faults).toEqual([])
}, 120_000)

describe.each(looks)('the pages of employees in %s', (language, locale, colorScheme) => {
  const { employees, enrol, employeeAct, enrolFrom } = JSON.parse(
    readFileSync(`web/i18n/${language}.json`, 'utf8'),
  )

  /** Presses a button of the page, looks at the dialog that it opens, and closes it again. */
  async function lookAtDialog(page: Page, button: string, name: string) {
    await page.getByRole('main').getByRole('button', { name: button, exact: true }).first().click()
    await page.getByRole('dialog').waitFor()
    await expectGoodLooks(page, `${name}-${language}`)
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  }

  test('look well: the list, and what it opens', async () => {
    const { page, faults } = await openList({ locale, colorScheme })
    await page.getByRole('row').nth(1).waitFor()
    await page.waitForLoadState('networkidle')
    await expectGoodLooks(page, `employees-${language}`)
    await lookAtDialog(page, employees.add, 'employees-add')
    await lookAtDialog(page, employees.import, 'employees-import')
    await lookAtDialog(page, employees.importPhotos, 'employees-photos')
    await page.goto(`${office.server.base}/admin/employees?search=nobody+at+all`)
    await page.getByText(employees.noMatch).waitFor()
    await expectGoodLooks(page, `employees-none-${language}`)
    expect(faults).toEqual([])
  }, 300_000)

  test('look well: the card, and what it opens', async () => {
    const { page, faults } = await openCard('AN', { locale, colorScheme })
    await page.getByRole('listitem').locator('img').first().waitFor()
    await page.waitForLoadState('networkidle')
    await expectGoodLooks(page, `employee-${language}`)
    for (const width of [390, 820, 1440]) {
      await page.setViewportSize({ width, height: 900 })
      const path = join('build', 'screenshots', `employee-whole-${language}-${width}.png`)
      await page.screenshot({ path, fullPage: true })
    }
    await lookAtDialog(page, employees.edit, 'employee-edit')
    await lookAtDialog(page, employees.end, 'employee-end')
    await lookAtDialog(page, employeeAct.deactivate, 'employee-deactivate')
    await lookAtDialog(page, employees.withdraw, 'employee-withdraw')
    await lookAtDialog(page, employees.delete, 'employee-delete-photo')
    await lookAtDialog(page, employees.erase, 'employee-erase')
    await lookAtDialog(page, employees.purge, 'employee-purge')
    await lookAtDialog(page, enrol.add, 'employee-enrol')
    await page.getByRole('button', { name: enrol.add, exact: true }).click()
    await page.getByRole('dialog').getByRole('button', { name: enrolFrom.files }).click()
    await chooseFile(page, [
      { name: 'stranger.png', mimeType: 'image/png', buffer: await portrait('blonde') },
      { name: 'group.jpg', mimeType: 'image/jpeg', buffer: groupPhoto(6) },
    ])
    await expectGoodLooks(page, `employee-files-${language}`)
    await page.getByRole('dialog').getByRole('button').last().click()
    await page.getByText(enrol.nothing).waitFor({ timeout: PATIENCE_MS })
    await expectGoodLooks(page, `employee-refused-${language}`)
    await page.keyboard.press('Escape')
    await page.goto(`${office.server.base}/admin/employees/bun`)
    await page.getByRole('heading', { name: employees.certificates }).waitFor()
    await expectGoodLooks(page, `employee-erased-${language}`)
    // That the photos were refused stands on the browser's console.
    expect(faults.filter((fault) => !/422.*(upload-photo|process)/.test(fault))).toEqual([])
  }, 400_000)
})
