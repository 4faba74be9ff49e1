import type { z } from 'zod'
import type { Database } from '../database/tables.ts'
import type { PhotoStore } from '../gallery/photo-store.ts'
import { AppError } from '../shared/errors.ts'
import type { Page } from '../shared/paging.ts'
import type { Vault } from '../vault/vault.ts'
import { enterPunch, type ManualDeps, type Voucher } from './manual.ts'
import type { Flag, resolutionSchema } from './sync-schema.ts'

/** A page of what waits for somebody to decide, oldest first, and how much there is in all. */
export async function listPending(db: Database, { limit, skip }: Page) {
  const open = db.selectFrom('kiosk_events').where('state', '=', 'open')
  const rows = await open
    .select([
      'id',
      'device_id',
      'captured_at',
      'received_at',
      'attendance_type',
      'reason',
      'flags',
      'decision_id',
      'punch_id',
      'image_path',
    ])
    .orderBy('id')
    .limit(limit)
    .offset(skip)
    .execute()
  const { total } = await open.select(({ fn }) => fn.countAll<string>().as('total')).executeTakeFirstOrThrow()
  const pending = rows.map(({ image_path, flags, ...row }) => ({
    ...row,
    flags: flags as Flag[],
    has_picture: image_path !== null,
  }))
  return { pending, total: Number(total) }
}

/** The picture of what waits. Rejects with `punch_not_found` or `picture_not_kept`. */
export async function readPendingPicture(
  { db, photos, vault }: { db: Database; photos: PhotoStore; vault: Vault },
  id: number,
): Promise<Buffer> {
  const row = await db
    .selectFrom('kiosk_events')
    .select('image_path')
    .where('id', '=', id)
    .where('state', '=', 'open')
    .executeTakeFirst()
  if (!row) throw noSuch(id)
  const jpeg =
    row.image_path === null ? undefined : await photos.read(row.image_path, await vault.named('probes'))
  if (!jpeg) throw new AppError('picture_not_kept', `There is no picture of the pending punch ${id}.`)
  return jpeg
}

interface ResolveDeps extends ManualDeps {
  photos: PhotoStore
}

/**
 * Enters the punch that was pending, or lets it go; its picture is removed. Resolves to the punch. Rejects with
 * `punch_not_found` where nothing of this number waits, and with the codes of `enterPunch`.
 */
export async function resolvePending(
  deps: ResolveDeps,
  id: number,
  resolution: z.infer<typeof resolutionSchema>,
  voucher: Voucher,
) {
  const { punch, image } = await deps.change(async (trx) => {
    const row = await trx
      .selectFrom('kiosk_events')
      .select(['device_id', 'captured_at', 'image_path', 'punch_id'])
      .where('id', '=', id)
      .where('state', '=', 'open')
      .forUpdate()
      .executeTakeFirst()
    if (!row) throw noSuch(id)
    const { notes } = resolution
    const punch =
      'dismiss' in resolution
        ? null
        : await enterPunch(
            { ...deps, change: (work) => work(trx) },
            {
              employee_id: resolution.employee_id,
              attendance_type: resolution.attendance_type,
              timestamp: row.captured_at,
              device_id: row.device_id,
              notes,
            },
            voucher,
          )
    await trx
      .updateTable('kiosk_events')
      .set({
        state: punch ? 'entered' : 'dismissed',
        punch_id: punch?.id ?? row.punch_id,
        resolved_at: deps.clock.now(),
        resolved_by: voucher.enteredBy,
        notes,
        image_path: null,
      })
      .where('id', '=', id)
      .execute()
    return { punch, image: row.image_path }
  })
  if (image !== null) await deps.photos.remove([image])
  return punch
}

function noSuch(id: number): AppError {
  return new AppError('punch_not_found', `No punch ${id} waits to be decided.`)
}
