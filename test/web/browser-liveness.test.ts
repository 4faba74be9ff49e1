import { beforeAll, describe, expect, test } from 'vitest'
import type { Person } from '../../bench/heads/person.ts'
import { call } from '../../src/onboarding.ts'
import { type Film, filmOfHead, filmOfPrint, personOf, putBeforeCamera } from './actor.ts'
import { useOffice } from './office.ts'

const office = useOffice({ company: { people: ['frontal'], kiosks: 0 } })
let person: Person

beforeAll(async () => {
  person = await personOf('frontal')
})

/** A paired kiosk that enforces liveness, and before its camera somebody who does as asked. */
async function openKiosk(deviceId: string, film: Film) {
  const devices = `${office.server.base}/api/v1/devices`
  const { program: headers } = office.company
  await call('POST', `${devices}/register`, {
    body: { device_id: deviceId, pad_policy: 'enforce' },
    headers,
  })
  const { code } = await call<{ code: string }>('POST', `${devices}/${deviceId}/pair`, { headers })
  const { page, faults } = await office.open({ viewport: { width: 820, height: 1180 } })
  await putBeforeCamera(page.context(), film)
  await page.goto(`${office.server.base}/kiosk#${code}`)
  return { page, faults }
}

const punchesAt = (deviceId: string) =>
  call<{ id: number; employee_id: string; liveness: string }[]>(
    'GET',
    `${office.server.base}/api/v1/attendance/history/${deviceId}`,
    { headers: office.company.owner },
  )

describe('a kiosk that enforces liveness', () => {
  test('lets a head in that turns as it asks', async () => {
    const { page, faults } = await openKiosk('GATE_HEAD', await filmOfHead(person))
    // The steps are drawn anew for each try, and closed eyes are not always seen.
    await page.locator('[data-look=good]').waitFor({ timeout: 240_000 })
    expect(await page.locator('[data-look=good]').textContent()).toContain('frontal')
    const [punch] = await punchesAt('GATE_HEAD')
    expect(punch).toMatchObject({ employee_id: 'frontal', liveness: 'bona_fide' })
    const explained = await call<{ liveness: { policy: string; steps: string[]; signals: object[] } }>(
      'GET',
      `${office.server.base}/api/v1/attendance/${punch.id}/explain`,
      { headers: office.company.owner },
    )
    expect(explained.liveness.policy).toBe('enforce')
    expect(explained.liveness.steps.length).toBeGreaterThan(1)
    expect(explained.liveness.signals).toContainEqual(
      expect.objectContaining({ signal: 'challenge', state: 'bona_fide' }),
    )
    expect(faults).toEqual([])
  }, 300_000)

  test('lets nobody in by a photo that is moved as it asks', async () => {
    const { page } = await openKiosk('GATE_PHOTO', await filmOfPrint(person))
    for (let tries = 0; tries < 2; tries++) {
      await page.locator('[data-step]').first().waitFor({ timeout: 120_000 })
      const answer = page.locator('[data-look]')
      await answer.waitFor({ timeout: 120_000 })
      expect(await answer.getAttribute('data-look')).toBe('bad')
      await answer.waitFor({ state: 'detached', timeout: 60_000 })
    }
    expect(await punchesAt('GATE_PHOTO')).toEqual([])
  }, 300_000)
})
