import { type Kysely, sql } from 'kysely'
import { auditTable } from './0007-ledger.ts'

/** Learned templates and their lineage, calibrated thresholds, look-alikes, liveness, changes of the model pack. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // A learned template goes with what it descends from: the template that recognised the face, the punch, the photo.
    sql`ALTER TABLE face_templates
      ADD COLUMN active_from timestamptz,
      ADD COLUMN is_suspended boolean NOT NULL DEFAULT false,
      ADD COLUMN parent_id integer REFERENCES face_templates (id) ON DELETE CASCADE,
      ADD COLUMN learned_from integer REFERENCES attendance (id) ON DELETE CASCADE,
      ADD COLUMN sample_id integer REFERENCES samples (id) ON DELETE CASCADE,
      ADD CHECK (created_from = 'ATTENDANCE' OR (learned_from IS NULL AND parent_id IS NULL))`,
    sql`CREATE INDEX face_templates_learned_from ON face_templates (learned_from) WHERE learned_from IS NOT NULL`,
    sql`CREATE INDEX face_templates_parent ON face_templates (parent_id) WHERE parent_id IS NOT NULL`,
    sql`CREATE INDEX face_templates_sample ON face_templates (sample_id) WHERE sample_id IS NOT NULL`,

    sql`ALTER TABLE calibrations
      ADD COLUMN threshold double precision CHECK (threshold BETWEEN 0 AND 1),
      ADD COLUMN report jsonb,
      ADD COLUMN lowered_by text,
      ADD COLUMN lowered_at timestamptz,
      ADD CHECK ((lowered_by IS NULL) = (lowered_at IS NULL))`,
    sql`DROP TRIGGER audit ON calibrations`,
    auditTable({ table: 'calibrations', subject: 'id', hidden: ['mean', 'cohort', 'report'] }),

    // Two people whom the networks hardly tell apart. Without a pack: whichever runs.
    sql`CREATE TABLE look_alikes (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      employee_a text NOT NULL REFERENCES employees (employee_id) ON DELETE CASCADE,
      employee_b text NOT NULL REFERENCES employees (employee_id) ON DELETE CASCADE,
      pack text,
      origin text NOT NULL CHECK (origin IN ('calibration', 'dispute')),
      confidence double precision CHECK (confidence BETWEEN 0 AND 1),
      margin double precision NOT NULL CHECK (margin BETWEEN 0 AND 1),
      created_at timestamptz NOT NULL,
      CHECK (employee_a < employee_b),
      CHECK ((origin = 'calibration') = (pack IS NOT NULL))
    )`,
    sql`CREATE UNIQUE INDEX look_alikes_pair ON look_alikes (employee_a, employee_b, coalesce(pack, ''))`,
    sql`CREATE INDEX look_alikes_b ON look_alikes (employee_b)`,

    sql`ALTER TABLE devices ADD COLUMN pad_policy text CHECK (pad_policy IN ('off', 'flag', 'enforce'))`,
    sql`ALTER TABLE sites ADD COLUMN pad_model_enough boolean NOT NULL DEFAULT false`,
    sql`CREATE TABLE liveness_challenges (
      nonce_hash text PRIMARY KEY,
      device_id text NOT NULL REFERENCES devices (device_id) ON DELETE CASCADE,
      steps jsonb NOT NULL,
      created_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      used_at timestamptz
    )`,
    sql`CREATE INDEX liveness_challenges_expires ON liveness_challenges (expires_at)`,
    sql`CREATE INDEX liveness_challenges_device ON liveness_challenges (device_id)`,

    // Somebody said at a kiosk that a punch is not theirs.
    sql`CREATE TABLE disputes (
      punch_id integer PRIMARY KEY REFERENCES attendance (id) ON DELETE CASCADE,
      device_id text NOT NULL REFERENCES devices (device_id),
      created_at timestamptz NOT NULL,
      state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'confirmed', 'rejected')),
      resolved_at timestamptz,
      resolved_by text,
      actual_employee_id text REFERENCES employees (employee_id) ON DELETE SET NULL,
      correction_id integer REFERENCES attendance (id) ON DELETE SET NULL,
      notes text,
      CHECK ((state = 'open') = (resolved_at IS NULL AND resolved_by IS NULL))
    )`,
    sql`CREATE INDEX disputes_open ON disputes (created_at) WHERE state = 'open'`,
    // Who it really was is personal, and said by the correction.
    auditTable({ table: 'disputes', subject: 'punch_id', hidden: ['actual_employee_id', 'notes'] }),

    // The pack in use is that of the last switch that was made; human-v1 before any.
    sql`CREATE TABLE model_switches (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      from_pack text NOT NULL,
      to_pack text NOT NULL,
      state text NOT NULL CHECK (state IN ('embedding', 'ready', 'switched', 'cancelled', 'failed')),
      total integer NOT NULL DEFAULT 0 CHECK (total >= 0),
      done integer NOT NULL DEFAULT 0 CHECK (done >= 0),
      report jsonb,
      error text,
      started_at timestamptz NOT NULL,
      started_by text NOT NULL,
      finished_at timestamptz,
      CHECK (from_pack <> to_pack),
      CHECK ((state IN ('embedding', 'ready')) = (finished_at IS NULL))
    )`,
    // One at a time.
    sql`CREATE UNIQUE INDEX model_switches_open ON model_switches ((true)) WHERE finished_at IS NULL`,
    auditTable({ table: 'model_switches', subject: 'id', ignored: ['total', 'done', 'report'] }),

    // What each picture showed and whom it resembled, and the scores of liveness, are measures too.
    onlyForget("(OLD.record - '{candidates,face,quality,frames}'::text[]) #- '{liveness,signals}'::text[]"),
    sql`DROP INDEX decisions_to_forget`,
    sql`CREATE INDEX decisions_to_forget ON decisions (created_at)
      WHERE record ?| '{candidates,face,quality,frames}' OR record #> '{liveness,signals}' IS NOT NULL`,
  ]
  for (const statement of statements) await statement.execute(db)
}

/** Lets a decision's record become what `left` makes of it, and lets nothing else of the row change. */
export function onlyForget(left: string) {
  return sql`CREATE OR REPLACE FUNCTION only_forget() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF to_jsonb(NEW) - 'record' = to_jsonb(OLD) - 'record'
          AND NEW.record = ${sql.raw(left)} THEN RETURN NEW; END IF;
        RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME;
      END $$`
}

/** Learned templates are lost: the program before this one does not know them for what they are. */
export async function down(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`DROP INDEX decisions_to_forget`,
    sql`CREATE INDEX decisions_to_forget ON decisions (created_at) WHERE record ?| '{candidates,face,quality}'`,
    onlyForget("OLD.record - '{candidates,face,quality}'::text[]"),
    sql`DROP TABLE model_switches, disputes, liveness_challenges, look_alikes`,
    sql`ALTER TABLE sites DROP COLUMN pad_model_enough`,
    sql`ALTER TABLE devices DROP COLUMN pad_policy`,
    sql`DROP TRIGGER audit ON calibrations`,
    sql`ALTER TABLE calibrations
      DROP COLUMN threshold, DROP COLUMN report, DROP COLUMN lowered_by, DROP COLUMN lowered_at`,
    auditTable({ table: 'calibrations', subject: 'id', hidden: ['mean', 'cohort'] }),
    sql`DELETE FROM face_templates WHERE created_from = 'ATTENDANCE'`,
    sql`ALTER TABLE face_templates
      DROP COLUMN active_from, DROP COLUMN is_suspended, DROP COLUMN parent_id,
      DROP COLUMN learned_from, DROP COLUMN sample_id`,
  ]
  for (const statement of statements) await statement.execute(db)
}
