import { type Kysely, sql } from 'kysely'
import { auditTable } from './0007-ledger.ts'

/** What kiosks keep while they are off line, and what of it waits for somebody to decide. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // The public half of the key that the kiosk signs its events with.
    sql`ALTER TABLE devices ADD COLUMN signing_key text`,
    sql`CREATE TABLE kiosk_events (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      device_id text NOT NULL REFERENCES devices (device_id),
      event_id uuid NOT NULL,
      signing_key text,
      seq integer NOT NULL CHECK (seq > 0),
      hash text NOT NULL,
      captured_at timestamptz NOT NULL,
      received_at timestamptz NOT NULL,
      boot_id uuid NOT NULL,
      monotonic_ms double precision NOT NULL,
      attendance_type text NOT NULL CHECK (attendance_type IN ('IN', 'OUT', 'AUTO')),
      flags text[] NOT NULL DEFAULT '{}',
      outcome text NOT NULL CHECK (outcome IN ('punched', 'duplicate', 'pending')),
      reason text,
      decision_id integer REFERENCES decisions (id) ON DELETE SET NULL,
      punch_id integer REFERENCES attendance (id) ON DELETE SET NULL,
      image_path text,
      state text CHECK (state IN ('open', 'entered', 'dismissed')),
      resolved_at timestamptz,
      resolved_by text,
      notes text,
      UNIQUE (device_id, event_id),
      CHECK ((outcome = 'pending') <= (state IS NOT NULL)),
      CHECK ((coalesce(state, 'open') = 'open') = (resolved_at IS NULL AND resolved_by IS NULL))
    )`,
    sql`CREATE INDEX kiosk_events_last ON kiosk_events (device_id, id)`,
    sql`CREATE INDEX kiosk_events_open ON kiosk_events (id) WHERE state = 'open'`,
    sql`CREATE INDEX kiosk_events_decision ON kiosk_events (decision_id) WHERE decision_id IS NOT NULL`,
    sql`CREATE INDEX kiosk_events_punch ON kiosk_events (punch_id) WHERE punch_id IS NOT NULL`,
    auditTable({ table: 'kiosk_events', subject: 'device_id', ignored: ['image_path'] }),
  ]
  for (const statement of statements) await statement.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`DROP TABLE kiosk_events`.execute(db)
  await sql`ALTER TABLE devices DROP COLUMN signing_key`.execute(db)
}
