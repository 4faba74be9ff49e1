import { join } from 'node:path'
import { sql } from 'kysely'
import type { Database } from '../database/tables.ts'
import { openKeys } from '../keys.ts'
import type { Clock } from '../shared/clock.ts'
import type { Config } from '../shared/config.ts'
import { createLogger } from '../shared/log.ts'
import { loadMasterKey } from '../vault/master-key.ts'
import { keysIn, openVault, type Vault } from '../vault/vault.ts'
import type { Installation } from './backup.ts'

/** Whether there is anything in the database that somebody would miss. */
export async function holdsRows(db: Database): Promise<boolean> {
  for (const table of ['employees', 'devices', 'users']) {
    const { rows } = await sql<{
      present: boolean
    }>`SELECT to_regclass(${table}) IS NOT NULL AS present`.execute(db)
    if (!rows[0]!.present) continue
    const found = await sql`SELECT FROM ${sql.table(table)} LIMIT 1`.execute(db)
    if (found.rows.length > 0) return true
  }
  return false
}

/** The database with everything that belongs to it, for a backup. Throws an Error for the operator. */
export async function openInstallation(
  config: Config,
  db: Database,
  version: string,
  clock: Clock,
): Promise<Installation> {
  const instance = await db.selectFrom('instance').selectAll().executeTakeFirstOrThrow()
  const keys = join(config.KEY_DIR, instance.id)
  const vault = 'ledger_key_check' in instance ? await openPresent() : await openFirst()
  return {
    db,
    version,
    instance: instance.id,
    photos: join(config.UPLOAD_DIR, instance.id),
    keys,
    ledgerKey: await vault.named('ledger'),
  }

  async function openPresent(): Promise<Vault> {
    const { vault, ledger } = await openKeys(config, db, clock, createLogger({ level: 'silent' }))
    await ledger.close()
    return vault
  }

  /** Of a version that sealed nothing yet; the backup before the update is signed with the first key. */
  async function openFirst(): Promise<Vault> {
    const masterKey = await loadMasterKey(config, (await keysIn(keys)).length === 0)
    return openVault({ dir: keys, masterKey })
  }
}

/** Where the ledger's head is kept outside the database. */
export function ledgerFiles(config: Config, instance: string): { keyFolder: string; headsFile: string } {
  return {
    keyFolder: join(config.KEY_DIR, instance),
    headsFile: join(config.DATA_DIR, 'ledger-heads.jsonl'),
  }
}
