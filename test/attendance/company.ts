import { randomBytes } from 'node:crypto'
import sharp from 'sharp'
import { hashToken } from '../../src/access/tokens.ts'
import type { Database } from '../../src/database/tables.ts'
import { type PortraitName, portrait } from '../face/portraits.ts'
import { enrol, registerKiosk, type TestApp } from '../support/app.ts'

/** The same face as a kiosk would see it another day: turned, darker, smaller, badly compressed. */
export async function changed(name: PortraitName): Promise<Buffer> {
  const turned = await sharp(await portrait(name))
    .rotate(8, { background: '#888' })
    .modulate({ brightness: 0.8 })
    .toBuffer()
  return sharp(turned).resize(300).jpeg({ quality: 60 }).toBuffer()
}

export function blankPicture(): Promise<Buffer> {
  return sharp({ create: { width: 300, height: 300, channels: 3, background: '#777' } })
    .jpeg()
    .toBuffer()
}

/** Ann and Bob are enrolled, and there is a kiosk. */
export async function openCompany(company: TestApp): Promise<void> {
  await registerKiosk(company, 'GATE')
  await enrol(company, 'ANN', await portrait('blonde'))
  await enrol(company, 'BOB', await portrait('longHair'))
}

/** Headers of a paired kiosk. */
export async function pair(db: Database, device_id: string): Promise<{ 'x-device-key': string }> {
  const key = randomBytes(32).toString('base64url')
  await db
    .updateTable('devices')
    .set({ key_hash: hashToken(key), key_created_at: new Date('2025-01-01T00:00:00Z') })
    .where('device_id', '=', device_id)
    .execute()
  return { 'x-device-key': key }
}

let sites = 0

/** Makes a site and puts these kiosks there; returns its number. */
export async function openSite(
  db: Database,
  site: { time_zone?: string; allowed_networks?: string[] },
  ...kiosks: string[]
): Promise<number> {
  const { id } = await db
    .insertInto('sites')
    .values({ name: `Site ${++sites} of the test`, ...site })
    .returning('id')
    .executeTakeFirstOrThrow()
  if (kiosks.length > 0)
    await db.updateTable('devices').set({ site_id: id }).where('device_id', 'in', kiosks).execute()
  return id
}

/** Puts everybody into a department. */
export async function assign(db: Database, departments: Record<string, string>): Promise<void> {
  for (const [employee_id, department] of Object.entries(departments))
    await db.updateTable('employees').set({ department }).where('employee_id', '=', employee_id).execute()
}
