import { type SqlBool, sql } from 'kysely'
import sharp from 'sharp'
import type { Database } from '../database/tables.ts'
import { decode } from '../face/decode.ts'
import { findKey, unreadable } from '../gallery/person-key.ts'
import type { PhotoStore } from '../gallery/photo-store.ts'
import { AppError } from '../shared/errors.ts'
import { SealBroken } from '../vault/seal.ts'
import type { Vault } from '../vault/vault.ts'
import type { DecisionRow } from './decisions.ts'
import { findPunch, type View } from './punches.ts'

export interface PictureDeps {
  db: Database
  photos: PhotoStore
  vault: Vault
}

/** Enough to tell by eye who stood there. */
const KEPT_SIDE_PX = 1280

/** The picture of a check as it is kept: a JPEG, upright, without metadata. Rejects as `decode` does. */
export async function toKeptJpeg(image: Uint8Array): Promise<Uint8Array> {
  const { data, width, height } = await decode(image)
  return sharp(data, { raw: { width, height, channels: 3 } })
    .resize(KEPT_SIDE_PX, KEPT_SIDE_PX, { fit: 'inside', withoutEnlargement: true })
    .jpeg({ quality: 85 })
    .toBuffer()
}

/**
 * Writes a picture, sealed with the key of the person whom it shows, or where that is nobody, or nobody with a key, with
 * the place's own for such pictures. Returns the name of its file.
 */
export async function savePicture(
  { db, photos, vault }: PictureDeps,
  jpeg: Uint8Array,
  employeeId: string | undefined,
): Promise<string> {
  const key = employeeId === undefined ? undefined : await findKey(vault, db, employeeId)
  return photos.save(jpeg, key ?? (await vault.named('probes')))
}

/**
 * The picture of the check that made a punch; of a correction, that of the punch it corrects. Rejects with
 * `punch_not_found`, `picture_not_kept`, or `biometrics_unreadable` where the file was altered.
 */
export async function readPicture(deps: PictureDeps, id: number, view: View, now: Date): Promise<Buffer> {
  const { db } = deps
  const punch = await findPunch(db, id, view)
  if (!punch) throw new AppError('punch_not_found', `There is no punch ${id}.`)
  const { employee_id, image_path } = punch
  const kept = image_path !== null && (await isKept(db, employee_id, image_path, now))
  const jpeg = kept ? await openPicture(deps, image_path, employee_id) : undefined
  if (!jpeg) throw notKept(`the punch ${id}`)
  return jpeg
}

/** What tells where the picture of a decision is. */
type Pictured = Pick<
  DecisionRow,
  'decision_id' | 'attendance_id' | 'employee_id' | 'image_path' | 'punch_image_path'
>

/** The picture that was decided on, whether or not it made a punch. Rejects as `readPicture` does. */
export async function readDecisionPicture(
  deps: PictureDeps,
  decision: Pictured,
  view: View,
  now: Date,
): Promise<Buffer> {
  if (decision.attendance_id !== null) return readPicture(deps, decision.attendance_id, view, now)
  const { image_path, employee_id } = decision
  const kept = image_path !== null && (await isDecisionPictureKept(deps.db, decision, now))
  const jpeg = kept ? await openPicture(deps, image_path, employee_id) : undefined
  if (!jpeg) throw notKept(`the decision ${decision.decision_id}`)
  return jpeg
}

/** Whether the picture that was decided on can still be looked at. */
export async function isDecisionPictureKept(db: Database, decision: Pictured, now: Date): Promise<boolean> {
  const { decision_id, employee_id, punch_image_path } = decision
  if (punch_image_path !== null) return isKept(db, employee_id!, punch_image_path, now)
  const row = await decisionPictures(db, now)
    .select('decisions.id')
    .where('decisions.id', '=', decision_id)
    .executeTakeFirst()
  return row !== undefined
}

function notKept(what: string): AppError {
  return new AppError(
    'picture_not_kept',
    `There is no picture of ${what}: its site keeps none, the time to keep it is over, or it was erased.`,
  )
}

/** Opens a picture with the key of the person whom it shows, or of the place; undefined when its file is gone. */
async function openPicture(
  { db, photos, vault }: PictureDeps,
  name: string,
  employeeId: string | null,
): Promise<Buffer | undefined> {
  const key = employeeId === null ? undefined : await findKey(vault, db, employeeId)
  try {
    return await photos.read(name, key ?? (await vault.named('probes')))
  } catch (error) {
    if (!(error instanceof SealBroken)) throw error
    if (employeeId !== null) throw unreadable(employeeId, error)
    const message = 'The picture cannot be opened: it was altered, or its key is lost.'
    throw new AppError('biometrics_unreadable', message, {}, error)
  }
}

/** Whether the time to keep a picture is not over, and what it shows was not erased since. */
async function isKept(db: Database, employeeId: string, imagePath: string, now: Date): Promise<boolean> {
  // That of the check itself: a correction does not make its picture any younger.
  const row = await punchPictures(db, now)
    .select('attendance.id')
    .where('attendance.employee_id', '=', employeeId)
    .where('attendance.image_path', '=', imagePath)
    .executeTakeFirst()
  return row !== undefined
}

/** The files of all pictures that are still kept; every other one may go. */
export async function knownPictures(db: Database, now: Date): Promise<Set<string>> {
  const punched = await punchPictures(db, now).select('attendance.image_path').execute()
  const others = await decisionPictures(db, now).select('decisions.image_path').execute()
  // What waits for somebody to decide keeps its picture until then.
  const pending = await db
    .selectFrom('kiosk_events')
    .select('image_path')
    .where('state', '=', 'open')
    .execute()
  return new Set([...punched, ...others, ...pending].flatMap(({ image_path }) => image_path ?? []))
}

function decisionPictures(db: Database, now: Date) {
  return db
    .selectFrom('decisions')
    .leftJoin('devices', 'devices.device_id', 'decisions.device_id')
    .leftJoin('sites', 'sites.id', 'devices.site_id')
    .where('decisions.image_path', 'is not', null)
    .where(stillKept(now))
}

/**
 * The pictures of checks since then that are still kept, newest first, each with whose key it is sealed with and who the
 * person said to be.
 */
export async function keptPictures(
  db: Database,
  since: Date,
  now: Date,
  limit: number,
): Promise<{ decisionId: number; employeeId: string | null; claimed: string | null; imagePath: string }[]> {
  const rows = await db
    .selectFrom('decisions')
    .leftJoin('attendance', (join) =>
      join.onRef('attendance.decision_id', '=', 'decisions.id').on('attendance.corrects', 'is', null),
    )
    .leftJoin('devices', 'devices.device_id', 'decisions.device_id')
    .leftJoin('sites', 'sites.id', 'devices.site_id')
    .select(({ fn }) => [
      'decisions.id as decisionId',
      'decisions.employee_id as employeeId',
      fn.coalesce('attendance.image_path', 'decisions.image_path').as('imagePath'),
    ])
    .select(sql<string | null>`decisions.record ->> 'claimed'`.as('claimed'))
    .where('decisions.kind', '=', 'face')
    .where('decisions.created_at', '>', since)
    .where(({ fn, eb }) => eb(fn.coalesce('attendance.image_path', 'decisions.image_path'), 'is not', null))
    .where(stillKept(now))
    .orderBy('decisions.id', 'desc')
    .limit(limit)
    .execute()
  return rows.map(({ imagePath, ...row }) => ({ ...row, imagePath: imagePath! }))
}

function punchPictures(db: Database, now: Date) {
  return db
    .selectFrom('attendance')
    .innerJoin('decisions', 'decisions.id', 'attendance.decision_id')
    .leftJoin('devices', 'devices.device_id', 'attendance.device_id')
    .leftJoin('sites', 'sites.id', 'devices.site_id')
    .where('attendance.image_path', 'is not', null)
    .where('attendance.corrects', 'is', null)
    .where(stillKept(now))
}

const stillKept = (now: Date) => sql<SqlBool>`(
  decisions.created_at > ${now}::timestamptz - (SELECT max(picture_days) FROM sites) * interval '1 day'
  AND decisions.created_at > ${now}::timestamptz - sites.picture_days * interval '1 day'
  AND NOT EXISTS (SELECT FROM erasures
    WHERE erasures.employee_id = decisions.employee_id AND erasures.at >= decisions.created_at))`
