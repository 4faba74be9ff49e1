import type { heartbeatAnswer } from '../../src/devices/schema.ts'
import type { Answer } from '../shared/api.ts'
import { type Kiosk, sendAs } from './pairing.ts'

export type Heartbeat = Answer<typeof heartbeatAnswer>
export type Command = Heartbeat['commands'][number]

interface Battery {
  level: number
  charging: boolean
}

/** Which build this page is: the file that it was loaded as has the hash of its content in its name. */
export const version = /kiosk-([\w-]+)\.js/.exec(import.meta.url)?.[1] ?? 'development'

/** Tells the server that the kiosk is alive. Rejects with an ApiError. */
export async function beat(kiosk: Kiosk): Promise<Heartbeat> {
  const body = {
    device_id: kiosk.deviceId,
    timestamp: new Date().toISOString(),
    status: await batteryStatus(),
    app_version: version,
  }
  return (await sendAs(kiosk, '/devices/heartbeat', { method: 'POST', body })).json()
}

/** Where the browser tells it: Chromium does, others do not. */
async function batteryStatus(): Promise<string> {
  const { getBattery } = navigator as Navigator & { getBattery?: () => Promise<Battery> }
  const battery = await getBattery?.call(navigator).catch(() => undefined)
  if (!battery) return 'running'
  return `battery ${Math.round(battery.level * 100)}%${battery.charging ? ', charging' : ''}`
}

/** Tells how a command ended. */
export async function acknowledge(kiosk: Kiosk, { id }: Command, state: 'done' | 'failed', result: string) {
  await sendAs(kiosk, `/devices/commands/${id}`, { method: 'POST', body: { state, result } })
}

/** Whether the server has another build of this page by now. */
export async function isOutdated(): Promise<boolean> {
  const response = await fetch('/kiosk', { cache: 'no-store' })
  return response.ok && version !== 'development' && !(await response.text()).includes(version)
}
