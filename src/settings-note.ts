import type { Database } from './database/tables.ts'
import { type Ledger, note, serverAuthor } from './ledger/ledger.ts'
import type { Config } from './shared/config.ts'

type Settings = Record<string, unknown>

/** Writes down which settings are others than at the last start, before and after; no secret is among them. */
export async function noteSettings(db: Database, ledger: Ledger, config: Config): Promise<void> {
  const known = await knownSettings(db)
  const now = withoutSecrets(config)
  const names = [...new Set([...Object.keys(known), ...Object.keys(now)])]
  const changed = names.filter((name) => !isSame(known[name], now[name]))
  if (changed.length === 0) return
  const pick = (settings: Settings) =>
    Object.fromEntries(changed.map((name) => [name, settings[name] ?? null]))
  const details = { before: pick(known), after: pick(now) }
  await ledger.by(serverAuthor)((trx) => note(trx, { action: 'settings', subject_kind: 'settings', details }))
}

/** As the notes say, each of which has only what it changed. */
async function knownSettings(db: Database): Promise<Settings> {
  const rows = await db
    .selectFrom('audit_log')
    .select('details')
    .where('action', '=', 'settings')
    .where('subject_kind', '=', 'settings')
    .orderBy('id')
    .execute()
  return Object.assign({}, ...rows.map(({ details }) => (details as { after?: Settings } | null)?.after))
}

function withoutSecrets({ SECRET_KEY: _, MASTER_KEY: __, DB_URL, ...rest }: Config): Settings {
  return { ...rest, ...(DB_URL !== undefined && { DB_URL: withoutPassword(DB_URL) }) }
}

/** Host and database alone: a password may stand in the parameters, too. */
function withoutPassword(url: string): string {
  try {
    const { protocol, username, host, pathname } = new URL(url)
    return `${protocol}//${username && `${username}@`}${host}${pathname}`
  } catch {
    return 'set'
  }
}

/** As JSON keeps them; what is not set is null there. */
const isSame = (one: unknown, other: unknown) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null)
