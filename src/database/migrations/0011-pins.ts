import { type Kysely, sql } from 'kysely'
import { auditTable } from './0007-ledger.ts'

const kinds = ['face', 'manual', 'correction', 'import']
// biome-ignore format: one a line would be long
const outcomes = [
  'identified', 'not_identified', 'attack', 'undecided', 'no_face', 'several_faces', 'poor_quality', 'ambiguous',
  'duplicate', 'entered', 'corrected', 'voided', 'imported',
]

const checks = (of: { kinds: string[]; outcomes: string[] }) =>
  sql.raw(`ALTER TABLE decisions
    DROP CONSTRAINT decisions_kind_check,
    DROP CONSTRAINT decisions_outcome_check,
    ADD CONSTRAINT decisions_kind_check CHECK (kind IN ('${of.kinds.join("', '")}')),
    ADD CONSTRAINT decisions_outcome_check CHECK (outcome IN ('${of.outcomes.join("', '")}'))`)

/** Punches by employee code and PIN, where a site allows them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`ALTER TABLE sites ADD COLUMN pin_allowed boolean NOT NULL DEFAULT false`,
    sql`CREATE TABLE pins (
      employee_id text PRIMARY KEY REFERENCES employees (employee_id) ON DELETE CASCADE,
      pin_hash text NOT NULL,
      set_at timestamptz NOT NULL
    )`,
    auditTable({ table: 'pins', subject: 'employee_id', hidden: ['pin_hash'] }),
    checks({ kinds: [...kinds, 'pin'], outcomes: [...outcomes, 'wrong_pin'] }),
  ]
  for (const statement of statements) await statement.execute(db)
}

/** Fails, and changes nothing, where there are punches by PIN: an older version could not say what they are. */
export async function down(db: Kysely<unknown>): Promise<void> {
  await checks({ kinds, outcomes }).execute(db)
  await sql`DROP TABLE pins`.execute(db)
  await sql`ALTER TABLE sites DROP COLUMN pin_allowed`.execute(db)
}
