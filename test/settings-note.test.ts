import { afterAll, beforeAll, expect, test } from 'vitest'
import { noteSettings } from '../src/settings-note.ts'
import { loadConfig } from '../src/shared/config.ts'
import { type TestApp, testApp } from './support/app.ts'

let running: TestApp
beforeAll(async () => {
  running = await testApp()
})
afterAll(() => running.close())

const noted = () =>
  running.db
    .selectFrom('audit_log')
    .select(['by', 'details'])
    .where('action', '=', 'settings')
    .orderBy('id')
    .execute()

test('what differs from the settings of the last start is written down, without secrets', async () => {
  const start = (settings: Record<string, string>) =>
    noteSettings(running.db, running.ledger, loadConfig(settings, '/nowhere', {}))
  const secrets = {
    SECRET_KEY: 'geheim'.repeat(8),
    MASTER_KEY: 'c5'.repeat(32),
    DB_URL: 'postgresql://clerk:geheim@db:5432/rollcall?password=geheim',
  }
  await start(secrets)
  await start({ ...secrets, MASTER_KEY: 'd6'.repeat(32) })
  expect(await noted()).toMatchObject([
    {
      by: 'server',
      details: { after: { DEVICE_AUTH: 'paired', DB_URL: 'postgresql://clerk@db:5432/rollcall' } },
    },
  ])
  await start({ ...secrets, DEVICE_AUTH: 'open', TRUST_PROXY: '10.0.0.1' })
  await start({ ...secrets, DEVICE_AUTH: 'open', TRUST_PROXY: '10.0.0.1' })
  await start({ DEVICE_AUTH: 'open', TRUST_PROXY: '10.0.0.1' })
  expect((await noted()).slice(1).map(({ details }) => details)).toEqual([
    {
      before: { DEVICE_AUTH: 'paired', TRUST_PROXY: [] },
      after: { DEVICE_AUTH: 'open', TRUST_PROXY: ['10.0.0.1'] },
    },
    { before: { DB_URL: 'postgresql://clerk@db:5432/rollcall' }, after: { DB_URL: null } },
  ])
  expect(JSON.stringify(await noted())).not.toMatch(/geheim|c5c5|d6d6/)
  expect((await running.ledger.verify()).faults).toEqual([])
})
