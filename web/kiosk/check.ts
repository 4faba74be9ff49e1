import type { checkedSchema } from '../../src/attendance/schema.ts'
import { type Answer, ApiError } from '../shared/api.ts'
import type { Picture } from './burst.ts'
import { type Kiosk, sendAs } from './pairing.ts'

export type Checked = Answer<typeof checkedSchema>
export type Direction = 'IN' | 'OUT' | 'AUTO'

export interface CheckIn {
  /** Names this check: sent again it is not done again. */
  eventId: string
  pictures: Picture[]
  direction: Direction
  /** What the pictures answer, where the server asked for it. */
  challenge?: string
  /** Who the person says to be. */
  employeeCode?: string
}

/**
 * Sends the pictures of a check. Rejects with an ApiError: of the pictures, of the server, or `unreachable`; with a
 * TimeoutError where no answer comes in time.
 */
export async function check(kiosk: Kiosk, checkIn: CheckIn, answerMs: number): Promise<Checked> {
  const { eventId, pictures, direction, challenge, employeeCode } = checkIn
  const form = new FormData()
  form.set('device_id', kiosk.deviceId)
  form.set('attendance_type', direction)
  if (challenge !== undefined) form.set('challenge', challenge)
  if (employeeCode !== undefined) form.set('employee_code', employeeCode)
  for (const { jpeg, atMs } of pictures) {
    form.append('image', jpeg, 'kiosk.jpg')
    form.append('frame_ms', String(atMs - pictures[0].atMs))
  }
  const headers = { 'idempotency-key': eventId }
  const response = await sendAs(kiosk, '/attendance/check', {
    method: 'POST',
    body: form,
    headers,
    signal: AbortSignal.timeout(answerMs),
  })
  return response.json()
}

const PIN_ANSWER_MS = 15_000

/** Punches by employee code and PIN. Rejects with an ApiError. */
export async function checkPin(
  kiosk: Kiosk,
  { employeeCode, pin, direction }: { employeeCode: string; pin: string; direction: Direction },
): Promise<Checked> {
  const body = {
    ...{ device_id: kiosk.deviceId, employee_id: employeeCode, pin },
    ...{ attendance_type: direction },
  }
  const signal = AbortSignal.timeout(PIN_ANSWER_MS)
  const response = await sendAs(kiosk, '/attendance/pin', { method: 'POST', body, signal }).catch((error) => {
    if (signal.aborted) throw new ApiError(0, 'unreachable', 'The server does not answer.')
    throw error
  })
  return response.json()
}

export type Step = 'turn_left' | 'turn_right' | 'look_up' | 'look_down' | 'blink'

export interface Challenge {
  challenge: string
  steps: Step[]
  expires_in_ms: number
}

/** What somebody is to do, to show that they are no picture. */
export async function askForChallenge(kiosk: Kiosk): Promise<Challenge> {
  const response = await sendAs(kiosk, '/recognition/liveness/challenge', {
    method: 'POST',
    body: { device_id: kiosk.deviceId },
  })
  return response.json()
}

/** Says that a punch is not of whoever stands here. */
export async function disown(kiosk: Kiosk, punchId: number): Promise<void> {
  await sendAs(kiosk, `/attendance/${punchId}/not-me`, {
    method: 'POST',
    body: { device_id: kiosk.deviceId },
  })
}

/** The answer is on the screen meanwhile, and not for long: an avatar that comes later is of no use. */
const AVATAR_MS = 2500

/** The avatar of whom a check has just recognised. Rejects with an ApiError, or with a TimeoutError. */
export async function fetchAvatar(kiosk: Kiosk, decisionId: number): Promise<Blob> {
  const response = await sendAs(kiosk, `/attendance/decisions/${decisionId}/avatar`, {
    signal: AbortSignal.timeout(AVATAR_MS),
  })
  return response.blob()
}
