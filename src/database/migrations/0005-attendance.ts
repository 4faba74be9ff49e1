import { type Kysely, sql } from 'kysely'

/** Manual punches and corrections. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`ALTER TABLE decisions
      DROP CONSTRAINT decisions_kind_check,
      DROP CONSTRAINT decisions_outcome_check,
      ADD CONSTRAINT decisions_kind_check CHECK (kind IN ('face', 'manual', 'correction')),
      ADD CONSTRAINT decisions_outcome_check CHECK (outcome IN ('identified', 'not_identified', 'attack',
        'undecided', 'no_face', 'several_faces', 'poor_quality', 'ambiguous', 'duplicate', 'entered', 'corrected',
        'voided'))`,

    // A punch that was entered by hand may be of no kiosk. What was corrected stays; the row that is right names it.
    sql`ALTER TABLE attendance
      ALTER COLUMN device_id DROP NOT NULL,
      ADD COLUMN corrects integer CONSTRAINT attendance_corrects_key UNIQUE REFERENCES attendance (id),
      ADD COLUMN is_void boolean NOT NULL DEFAULT false,
      ADD CONSTRAINT attendance_void_corrects CHECK (NOT is_void OR corrects IS NOT NULL)`,
  ]
  for (const statement of statements) await statement.execute(db)
}

/** Fails, and changes nothing, where there are manual punches or corrections: they are pay evidence. */
export async function down(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`ALTER TABLE decisions
      DROP CONSTRAINT decisions_kind_check,
      DROP CONSTRAINT decisions_outcome_check,
      ADD CONSTRAINT decisions_kind_check CHECK (kind IN ('face')),
      ADD CONSTRAINT decisions_outcome_check CHECK (outcome IN ('identified', 'not_identified', 'attack',
        'undecided', 'no_face', 'several_faces', 'poor_quality', 'ambiguous', 'duplicate'))`,
    sql`ALTER TABLE attendance
      DROP COLUMN corrects,
      DROP COLUMN is_void,
      ALTER COLUMN device_id SET NOT NULL`,
  ]
  for (const statement of statements) await statement.execute(db)
}
