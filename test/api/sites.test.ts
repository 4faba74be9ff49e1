import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { registerKiosk, rowCounts, signIn, type TestApp, testApp } from '../support/app.ts'

let running: TestApp
beforeAll(async () => {
  running = await testApp()
})
beforeEach(async () => {
  await running.clear()
  await running.db.deleteFrom('sites').where('id', '>', 1).execute()
})
afterAll(() => running.close())

const sites = '/api/v1/sites'
const send = (
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  url: string,
  payload?: object,
  headers = {},
) => running.app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) })

async function addSite(name: string, more: object = {}): Promise<number> {
  const answer = await send('POST', sites, { name, ...more })
  expect(answer.statusCode).toBe(201)
  return answer.json().id
}

describe('the list of sites', () => {
  const names = async (query: string) =>
    (await send('GET', `${sites}?${query}`)).json().map(({ name }: { name: string }) => name)

  test('is searched without accents, sorted by name and answered in pages', async () => {
    for (const name of ['Huế', 'Đà Nẵng', 'an giang', 'Cần Thơ']) await addSite(name)
    expect(await names('search=da+nang')).toEqual(['Đà Nẵng'])
    expect(await names('search=AN')).toEqual(['Đà Nẵng', 'an giang', 'Cần Thơ'])
    expect(await names('search=an&sort=name')).toEqual(['an giang', 'Cần Thơ', 'Đà Nẵng'])
    expect(await names('search=an&sort=-name')).toEqual(['Đà Nẵng', 'Cần Thơ', 'an giang'])
    const page = await send('GET', `${sites}?search=an&sort=name&limit=1&skip=1`)
    expect([page.json()[0].name, page.headers['x-total-count']]).toEqual(['Cần Thơ', '3'])
    expect(page.headers.link).toContain('search=an&sort=name&limit=1&skip=2')
    expect((await send('GET', `${sites}?sort=time_zone`)).statusCode).toBe(422)
  })
})

test('of a site is written down who made, changed and removed it', async () => {
  const admin = await signIn(running.db, 'admin')
  const as = (method: 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object) =>
    send(method, url, payload, admin)
  const id = (await as('POST', sites, { name: 'Huế' })).json().id
  await as('PATCH', `${sites}/${id}`, { time_zone: 'Asia/Tokyo' })
  await as('PATCH', `${sites}/${id}`, { name: 'Late' }).then(() =>
    send('PATCH', `${sites}/${id}`, { name: 'Too late' }, { ...admin, 'if-match': '"1"' }),
  )
  await as('DELETE', `${sites}/${id}`)
  const rows = (await send('GET', `/api/v1/audit?subject_kind=sites&subject=${id}&sort=id`)).json()
  const seq = expect.any(Number)
  const where = { from: '127.0.0.1', request_id: expect.any(String) }
  expect(rows).toMatchObject([
    { action: 'insert', seq, details: { after: { name: 'Huế' }, route: `POST ${sites}`, ...where } },
    { action: 'update', seq, details: { before: { time_zone: null }, after: { time_zone: 'Asia/Tokyo' } } },
    { action: 'update', seq, details: { before: { name: 'Huế' }, after: { name: 'Late' } } },
    { action: 'delete', seq, details: { before: { name: 'Late' }, route: `DELETE ${sites}/:site_id` } },
  ])
  for (const { by } of rows) expect(by).toMatch(/^user:\d+$/)
})

describe('a site', () => {
  test('is there from the start, so that everybody belongs to one', async () => {
    const answer = await send('GET', sites)
    expect(answer.json()).toMatchObject([{ id: 1, time_zone: null, allowed_networks: [] }])
    expect(answer.headers['x-total-count']).toBe('1')
  })

  test('is added, read, changed and removed', async () => {
    const created = await send('POST', sites, {
      name: ' Đà Nẵng ',
      time_zone: 'Asia/Ho_Chi_Minh',
      allowed_networks: ['192.168.1.0/24', 'fd00::/8', '192.168.1.0/24', '10.0.0.7'],
    })
    expect(created.statusCode).toBe(201)
    expect(created.headers.etag).toBe('"1"')
    const site = created.json()
    expect(site).toMatchObject({
      name: 'Đà Nẵng',
      time_zone: 'Asia/Ho_Chi_Minh',
      allowed_networks: ['192.168.1.0/24', 'fd00::/8', '10.0.0.7'],
      version: 1,
    })
    expect((await send('GET', `${sites}/${site.id}`)).json()).toEqual(site)

    const changed = await send('PATCH', `${sites}/${site.id}`, { time_zone: null })
    expect(changed.json()).toMatchObject({ name: 'Đà Nẵng', time_zone: null, version: 2 })
    expect((await send('PUT', `${sites}/${site.id}/`, { name: 'Huế' })).json().name).toBe('Huế')

    expect((await send('DELETE', `${sites}/${site.id}`)).statusCode).toBe(200)
    expect((await send('GET', `${sites}/${site.id}`)).json().code).toBe('site_not_found')
  })

  test.each<[string, object, string]>([
    ['no name', {}, 'name'],
    ['an empty name', { name: ' ' }, 'name'],
    ['an unknown time zone', { name: 'A', time_zone: 'Mars/Olympus' }, 'time_zone'],
    ['an offset as a time zone', { name: 'A', time_zone: '+07:00' }, 'time_zone'],
    ['a time zone with SQL in it', { name: 'A', time_zone: "UTC'; DROP TABLE sites" }, 'time_zone'],
    ['a host instead of a network', { name: 'A', allowed_networks: ['kiosk.local'] }, 'allowed_networks.0'],
    ['a prefix that is too long', { name: 'A', allowed_networks: ['10.0.0.0/33'] }, 'allowed_networks.0'],
    ['a network with a zone', { name: 'A', allowed_networks: ['fe80::1%eth0'] }, 'allowed_networks.0'],
  ])('with %s is refused, and nothing is stored', async (_what, body, path) => {
    const before = await rowCounts(running.db)
    const answer = await send('POST', sites, body)
    expect(answer.statusCode).toBe(422)
    expect(answer.json().fields[0].path).toBe(path)
    expect(await rowCounts(running.db)).toEqual(before)
  })

  test('cannot have the name of another one', async () => {
    await addSite('Huế')
    const id = await addSite('Vinh')
    for (const answer of [
      await send('POST', sites, { name: 'Huế' }),
      await send('POST', sites, { name: 'HUẾ' }),
      await send('POST', sites, { name: 'hue' }),
      await send('PATCH', `${sites}/${id}`, { name: 'hue' }),
      await send('PATCH', `${sites}/${id}`, { name: 'Huế' }),
    ]) {
      expect(answer.statusCode).toBe(409)
      expect(answer.json().code).toBe('site_name_taken')
    }
    expect((await send('PATCH', `${sites}/${id}`, { name: 'Vinh' })).statusCode).toBe(200)
  })

  test('that people or kiosks belong to is not removed', async () => {
    const id = await addSite('Huế')
    await registerKiosk(running, 'GATE')
    await running.db.updateTable('devices').set({ site_id: id }).execute()
    const answer = await send('DELETE', `${sites}/${id}`)
    expect(answer.statusCode).toBe(409)
    expect(answer.json().code).toBe('site_in_use')
    expect((await send('GET', `${sites}/${id}`)).statusCode).toBe(200)
  })

  test('that somebody else has changed since is not changed again', async () => {
    const id = await addSite('Huế')
    const as = (version: string) => ({ 'if-match': version })
    expect((await send('PUT', `${sites}/${id}`, { name: 'A' }, as('"1"'))).headers.etag).toBe('"2"')
    for (const method of ['PUT', 'PATCH', 'DELETE'] as const) {
      const answer = await send(
        method,
        `${sites}/${id}`,
        method === 'DELETE' ? undefined : { name: 'B' },
        as('"1"'),
      )
      expect(answer.statusCode).toBe(412)
      expect(answer.json().code).toBe('version_mismatch')
    }
    expect((await send('PATCH', `${sites}/${id}`, { name: 'B' }, as('*'))).json()).toMatchObject({
      name: 'B',
      version: 3,
    })
  })

  test('changed by two people at once is changed by one of them', async () => {
    const id = await addSite('Huế')
    const answers = await Promise.all(
      ['A', 'B'].map((name) => send('PATCH', `${sites}/${id}`, { name }, { 'if-match': '"1"' })),
    )
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 412])
  })

  test('that does not exist, or is no number, is not found or refused', async () => {
    expect((await send('PATCH', `${sites}/999`, { name: 'A' })).statusCode).toBe(404)
    expect((await send('DELETE', `${sites}/999`)).statusCode).toBe(404)
    expect((await send('GET', `${sites}/one`)).statusCode).toBe(422)
    expect((await send('PATCH', `${sites}/1`, {})).statusCode).toBe(422)
  })

  test('is read by a viewer and changed by an admin', async () => {
    const viewer = await signIn(running.db, 'viewer')
    expect((await send('GET', sites, undefined, viewer)).statusCode).toBe(200)
    expect((await send('POST', sites, { name: 'A' }, viewer)).statusCode).toBe(403)
    expect((await send('POST', sites, { name: 'A' }, await signIn(running.db, 'admin'))).statusCode).toBe(201)
  })
})

test('the list of sites comes in pages', async () => {
  for (const name of ['A', 'B']) await addSite(name)
  const answer = await send('GET', `${sites}?limit=1&skip=1`)
  expect(answer.json()).toMatchObject([{ name: 'A' }])
  expect(answer.headers['x-total-count']).toBe('3')
  expect(answer.headers.link).toContain('rel="next"')
})

describe('what a site says of consent, pictures and liveness', () => {
  const rules = { require_consent: true, keep_pictures: false, picture_days: 30, pad_model_enough: false }

  test('is consent asked for, no pictures kept and no network enough, until it is changed under its version', async () => {
    const id = await addSite('Lab')
    const before = await send('GET', `${sites}/${id}`)
    expect(before.json()).toMatchObject(rules)
    const changed = {
      require_consent: false,
      keep_pictures: true,
      picture_days: 3650,
      pad_model_enough: true,
    }
    const headers = { 'if-match': before.headers.etag as string }
    expect((await send('PATCH', `${sites}/${id}`, changed, headers)).json()).toMatchObject(changed)
    expect((await send('PATCH', `${sites}/${id}`, rules, headers)).statusCode).toBe(412)
    expect((await send('GET', `${sites}/${id}`)).json()).toMatchObject(changed)
  })

  test.each([
    { picture_days: 0 },
    { picture_days: 3651 },
    { picture_days: 1.5 },
    { picture_days: '7' },
    { require_consent: null },
    { keep_pictures: 'yes' },
    { pad_model_enough: 1 },
  ])('%o is refused', async (rule) => {
    const id = await addSite('Lab')
    expect((await send('POST', sites, { name: 'Another', ...rule })).statusCode).toBe(422)
    expect((await send('PATCH', `${sites}/${id}`, rule)).statusCode).toBe(422)
    expect((await send('GET', `${sites}/${id}`)).json()).toMatchObject(rules)
  })
})
