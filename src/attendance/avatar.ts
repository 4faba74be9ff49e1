import sharp from 'sharp'
import { readPhoto } from '../gallery/person-key.ts'
import { listSamples } from '../gallery/templates.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { NOT_ME_UNTIL_MS } from './disputes.ts'
import type { PictureDeps } from './pictures.ts'

/** Enough for the screen of a kiosk. */
const SIDE_PX = 480

/**
 * The avatar of whom a check at this kiosk has just recognised, by face or PIN: a JPEG of at most 480 pixels a side.
 * Rejects with `decision_not_found` where this kiosk has just recognised nobody by that decision, or nobody who is still
 * active; with `photo_not_found` where they have no avatar, or `biometrics_unreadable`.
 */
export async function readAvatar(
  deps: PictureDeps & { clock: Clock },
  decisionId: number,
  deviceId: string,
): Promise<Buffer> {
  const employeeId = await whoWasRecognised(deps, decisionId, deviceId)
  if (employeeId === undefined)
    throw new AppError(
      'decision_not_found',
      `${deviceId} has just recognised nobody by a decision ${decisionId}.`,
    )
  const samples = await listSamples(deps.db, employeeId)
  const avatar = samples.find(({ is_avatar }) => is_avatar)
  const photo = avatar && (await readPhoto(deps, avatar))
  if (!photo) throw new AppError('photo_not_found', 'Whom it recognised has no avatar.')
  // Where the face is in a photo is written down nowhere: a square around what the eye goes to.
  return sharp(photo)
    .resize(SIDE_PX, SIDE_PX, { position: sharp.strategy.attention, withoutEnlargement: true })
    .jpeg({ quality: 85 })
    .toBuffer()
}

async function whoWasRecognised(
  { db, clock }: PictureDeps & { clock: Clock },
  decisionId: number,
  deviceId: string,
): Promise<string | undefined> {
  const row = await db
    .selectFrom('decisions')
    .innerJoin('employees', 'employees.employee_id', 'decisions.employee_id')
    .select('employees.employee_id')
    .where('decisions.id', '=', decisionId)
    .where('decisions.device_id', '=', deviceId)
    .where('decisions.kind', 'in', ['face', 'pin'])
    .where('decisions.outcome', 'in', ['identified', 'duplicate'])
    .where('decisions.created_at', '>=', new Date(clock.now().getTime() - NOT_ME_UNTIL_MS))
    .where('employees.is_active', '=', true)
    .executeTakeFirst()
  return row?.employee_id
}
