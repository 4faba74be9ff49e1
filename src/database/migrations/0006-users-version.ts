import { type Kysely, sql } from 'kysely'

/** Versions of users, so that of two editors the second learns of the first. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE users ADD COLUMN version integer NOT NULL DEFAULT 1`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE users DROP COLUMN version`.execute(db)
}
