import { sql } from 'kysely'
import { codeOf } from '../database/errors.ts'
import { hasWords, isSameText, plain, sortedBy } from '../database/lists.ts'
import type { Database } from '../database/tables.ts'
import type { Change } from '../ledger/ledger.ts'
import { invalidField } from '../shared/http.ts'
import type { NewSite, Site, SiteChanges, SiteQuery } from './schema.ts'

const columns = [
  'id',
  'name',
  'time_zone',
  'allowed_networks',
  'require_consent',
  'keep_pictures',
  'picture_days',
  'pad_model_enough',
  'pin_allowed',
  'version',
  'created_at',
  'updated_at',
] as const

/** The sites of one page, and how many there are in all. */
export async function listSites(
  db: Database,
  { limit, skip, search, sort }: SiteQuery,
): Promise<{ sites: Site[]; total: number }> {
  const wanted = db.selectFrom('sites').where(hasWords(sql`name`, search ?? ''))
  const order = sortedBy(sort, {
    // lower() is enough for what has no accents any more.
    name: sql`lower(${plain(sql`name`)}) COLLATE "C"`,
    created_at: sql`created_at`,
  })
  const sites = await wanted.select(columns).orderBy(order).limit(limit).offset(skip).execute()
  const { total } = await wanted.select(sql<number>`count(*)::int`.as('total')).executeTakeFirstOrThrow()
  return { sites, total }
}

export async function findSite(db: Database, id: number): Promise<Site | undefined> {
  return db.selectFrom('sites').select(columns).where('id', '=', id).executeTakeFirst()
}

/** Adds a site; undefined when its name is taken. */
export async function createSite(
  db: Database,
  change: Change,
  site: NewSite,
  now: Date,
): Promise<Site | undefined> {
  await requireKnownZone(db, site.time_zone)
  return change(async (trx) => {
    if (await isTaken(trx, site.name)) return undefined
    return trx
      .insertInto('sites')
      .values({ ...site, created_at: now, updated_at: now })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .returning(columns)
      .executeTakeFirst()
  })
}

export type SiteUpdate =
  | { outcome: 'changed'; site: Site }
  | { outcome: 'not_found' | 'version_mismatch' | 'name_taken' }

/** Changes the given fields, if the site still is one of the `expected` versions; undefined expects none. */
export async function updateSite(
  db: Database,
  change: Change,
  id: number,
  changes: SiteChanges,
  expected: number[] | undefined,
  now: Date,
): Promise<SiteUpdate> {
  await requireKnownZone(db, changes.time_zone)
  return change<SiteUpdate>(async (trx) => {
    const current = await trx
      .selectFrom('sites')
      .select('version')
      .where('id', '=', id)
      .forUpdate()
      .executeTakeFirst()
    if (!current) return { outcome: 'not_found' }
    if (expected && !expected.includes(current.version)) return { outcome: 'version_mismatch' }
    if (changes.name !== undefined && (await isTaken(trx, changes.name, id))) return { outcome: 'name_taken' }
    const site = await trx
      .updateTable('sites')
      .set({ ...changes, version: current.version + 1, updated_at: now })
      .where('id', '=', id)
      .returning(columns)
      .executeTakeFirstOrThrow()
    return { outcome: 'changed', site }
  })
}

/** Removes a site that nothing belongs to. */
export async function deleteSite(
  change: Change,
  id: number,
  expected: number[] | undefined,
): Promise<'deleted' | 'not_found' | 'version_mismatch' | 'in_use'> {
  try {
    return await change(async (trx) => {
      const current = await trx
        .selectFrom('sites')
        .select('version')
        .where('id', '=', id)
        .forUpdate()
        .executeTakeFirst()
      if (!current) return 'not_found'
      if (expected && !expected.includes(current.version)) return 'version_mismatch'
      await trx.deleteFrom('sites').where('id', '=', id).execute()
      return 'deleted'
    })
  } catch (error) {
    if (codeOf(error) === FOREIGN_KEY_VIOLATION) return 'in_use'
    throw error
  }
}

const FOREIGN_KEY_VIOLATION = '23503'
const INVALID_PARAMETER = '22023'

/** Names that differ by case or accents alone are the same to whoever reads or types them. */
async function isTaken(db: Database, name: string, exceptId = 0): Promise<boolean> {
  const other = await db
    .selectFrom('sites')
    .select('id')
    .where(isSameText(sql`name`, name))
    .where('id', '!=', exceptId)
    .executeTakeFirst()
  return other !== undefined
}

/** The database computes the days of a site, and its list of zones may be older than ours. */
async function requireKnownZone(db: Database, zone: string | null | undefined): Promise<void> {
  if (zone == null) return
  try {
    await sql`SELECT now() AT TIME ZONE ${zone}`.execute(db)
  } catch (error) {
    if (codeOf(error) !== INVALID_PARAMETER) throw error
    throw invalidField('time_zone', 'is a time zone that the database does not know')
  }
}
