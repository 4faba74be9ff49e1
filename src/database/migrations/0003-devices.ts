import { type Kysely, sql } from 'kysely'

/** Pairing, keys, commands and state of kiosks, and the last look at the network. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`ALTER TABLE devices
      ADD COLUMN key_hash text UNIQUE,
      ADD COLUMN next_key_hash text UNIQUE,
      ADD COLUMN key_created_at timestamptz,
      ADD COLUMN direction text NOT NULL DEFAULT 'AUTO' CHECK (direction IN ('IN', 'OUT', 'AUTO')),
      ADD COLUMN version integer NOT NULL DEFAULT 1,
      ADD COLUMN config_version integer NOT NULL DEFAULT 0,
      ADD COLUMN clock_skew_ms double precision,
      ADD COLUMN last_status text,
      ADD COLUMN app_version text`,

    // A device has one code at a time: a new one takes the place of the old one.
    sql`CREATE TABLE pairing_codes (
      code_hash text PRIMARY KEY,
      device_id text NOT NULL UNIQUE REFERENCES devices (device_id) ON DELETE CASCADE,
      expires_at timestamptz NOT NULL,
      created_by integer REFERENCES users (id) ON DELETE SET NULL,
      created_at timestamptz NOT NULL
    )`,

    sql`CREATE TABLE device_commands (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      device_id text NOT NULL REFERENCES devices (device_id) ON DELETE CASCADE,
      command text NOT NULL CHECK (command IN ('reload', 'reset', 'test_picture', 'update')),
      state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'done', 'failed')),
      created_at timestamptz NOT NULL,
      sent_at timestamptz,
      finished_at timestamptz,
      result text
    )`,
    sql`CREATE INDEX device_commands_device ON device_commands (device_id, id DESC)`,

    // One row: the last scan, which all processes of the server share.
    sql`CREATE TABLE network_scans (
      id integer PRIMARY KEY CHECK (id = 1),
      started_at timestamptz NOT NULL,
      found jsonb NOT NULL DEFAULT '[]'
    )`,

    sql`CREATE INDEX network_logs_time ON network_logs (created_at)`,
  ]
  for (const statement of statements) await statement.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`DROP INDEX network_logs_time`.execute(db)
  await sql`DROP TABLE network_scans, device_commands, pairing_codes`.execute(db)
  await sql`ALTER TABLE devices
    DROP COLUMN version, DROP COLUMN key_hash, DROP COLUMN next_key_hash, DROP COLUMN key_created_at, DROP COLUMN direction,
    DROP COLUMN config_version, DROP COLUMN clock_skew_ms, DROP COLUMN last_status, DROP COLUMN app_version`.execute(
    db,
  )
}
