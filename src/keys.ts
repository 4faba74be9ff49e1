import { createHmac } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Database } from './database/tables.ts'
import { type Ledger, openLedger } from './ledger/ledger.ts'
import type { Clock } from './shared/clock.ts'
import type { Config } from './shared/config.ts'
import type { Logger } from './shared/log.ts'
import { loadMasterKey } from './vault/master-key.ts'
import { openVault, type Vault } from './vault/vault.ts'

type KeySettings = Pick<Config, 'DATA_DIR' | 'KEY_DIR' | 'MASTER_KEY' | 'MASTER_KEY_FILE'>

/**
 * Opens the keys of a migrated database, and its ledger with them; at the very first start they are made.
 * Throws an Error for the operator, and touches nothing, when they are missing or of another database. The caller
 * closes the ledger.
 */
export async function openKeys(
  config: KeySettings,
  db: Database,
  clock: Clock,
  log: Logger,
): Promise<{ vault: Vault; ledger: Ledger }> {
  const { id, ledger_key_check: known } = await db
    .selectFrom('instance')
    .selectAll()
    .executeTakeFirstOrThrow()
  const dir = join(config.KEY_DIR, id)
  if (known !== null && !existsSync(join(dir, 'ledger.key')))
    throw new Error(
      `The keys of this database are missing: they belong in ${dir}. Nothing was changed. ` +
        'Put that folder back from its backup, or set KEY_DIR to where it is; several hosts share one. ' +
        'Without the keys photos and templates cannot be read again.',
    )
  const masterKey = await loadMasterKey(config, known === null)
  const vault = await openVault({ dir, masterKey })
  const key = await vault.named('ledger')
  const check = createHmac('sha256', key).update(`rollcall ledger of ${id}`).digest('hex')
  // Of several servers at their first start the first one's keys count.
  const { ledger_key_check: held } = await db
    .updateTable('instance')
    .set(({ fn, val, ref }) => ({
      ledger_key_check: fn.coalesce(ref('ledger_key_check'), val(check)),
    }))
    .returning('ledger_key_check')
    .executeTakeFirstOrThrow()
  if (held !== check)
    throw new Error(
      `The keys in ${dir} are not those that this database was sealed with. Nothing was changed. ` +
        'Give all servers of one database the same KEY_DIR and MASTER_KEY.',
    )
  const headsFile = join(config.DATA_DIR, 'ledger-heads.jsonl')
  return { vault, ledger: await openLedger({ db, clock, log, key, keyFolder: dir, headsFile }) }
}
