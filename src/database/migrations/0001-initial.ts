import { type Kysely, sql } from 'kysely'

/** The tables that the face-recognition attendance core stands on. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`CREATE TABLE employees (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      employee_id text NOT NULL UNIQUE CHECK (length(employee_id) BETWEEN 1 AND 64),
      name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
      department text,
      email text,
      phone text,
      position text,
      is_active boolean NOT NULL DEFAULT true,
      ended_at timestamptz,
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      CHECK (ended_at IS NULL OR NOT is_active)
    )`,
    sql`CREATE INDEX employees_department ON employees (department)`,

    sql`CREATE TABLE devices (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      device_id text NOT NULL UNIQUE CHECK (length(device_id) BETWEEN 1 AND 64 AND device_id !~ '^[0-9]+$'),
      name text NOT NULL,
      location text,
      ip_address text,
      is_active boolean NOT NULL DEFAULT true,
      created_at timestamptz NOT NULL DEFAULT now(),
      last_heartbeat timestamptz,
      config jsonb
    )`,

    sql`CREATE TABLE samples (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      employee_id text NOT NULL REFERENCES employees (employee_id) ON DELETE CASCADE,
      file_path text NOT NULL UNIQUE,
      filename text NOT NULL,
      content_type text NOT NULL,
      size_bytes integer NOT NULL CHECK (size_bytes > 0),
      width_px integer NOT NULL CHECK (width_px > 0),
      height_px integer NOT NULL CHECK (height_px > 0),
      sha256 text NOT NULL,
      quality_score double precision NOT NULL CHECK (quality_score BETWEEN 0 AND 1),
      created_from text NOT NULL CHECK (created_from IN ('ADMIN_UPLOAD', 'ATTENDANCE')),
      is_avatar boolean NOT NULL DEFAULT false,
      created_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (employee_id, sha256)
    )`,
    sql`CREATE UNIQUE INDEX samples_one_avatar ON samples (employee_id) WHERE is_avatar`,

    sql`CREATE TABLE sample_embeddings (
      sample_id integer NOT NULL REFERENCES samples (id) ON DELETE CASCADE,
      pack text NOT NULL,
      embedding_vector bytea NOT NULL CHECK (length(embedding_vector) > 0 AND length(embedding_vector) % 4 = 0),
      PRIMARY KEY (sample_id, pack)
    )`,

    sql`CREATE TABLE face_templates (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      employee_id text NOT NULL REFERENCES employees (employee_id) ON DELETE CASCADE,
      image_id integer NOT NULL CHECK (image_id BETWEEN 0 AND 3),
      pack text NOT NULL,
      filename text NOT NULL,
      file_path text NOT NULL,
      embedding_vector bytea NOT NULL CHECK (length(embedding_vector) > 0 AND length(embedding_vector) % 4 = 0),
      is_primary boolean NOT NULL DEFAULT false,
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      created_from text NOT NULL CHECK (created_from IN ('ADMIN_UPLOAD', 'ATTENDANCE')),
      quality_score double precision NOT NULL DEFAULT 0 CHECK (quality_score BETWEEN 0 AND 1),
      confidence_score double precision NOT NULL DEFAULT 0 CHECK (confidence_score BETWEEN 0 AND 1),
      match_count integer NOT NULL DEFAULT 0 CHECK (match_count >= 0),
      last_matched timestamptz,
      avg_match_confidence double precision NOT NULL DEFAULT 0 CHECK (avg_match_confidence BETWEEN 0 AND 1),
      UNIQUE (employee_id, image_id, pack)
    )`,

    sql`CREATE TABLE calibrations (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      pack text NOT NULL,
      people integer NOT NULL CHECK (people > 0),
      mean bytea NOT NULL,
      cohort text[],
      created_at timestamptz NOT NULL DEFAULT now()
    )`,

    sql`CREATE TABLE decisions (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      created_at timestamptz NOT NULL DEFAULT now(),
      device_id text REFERENCES devices (device_id),
      kind text NOT NULL CHECK (kind IN ('face')),
      outcome text NOT NULL CHECK (outcome IN ('identified', 'not_identified', 'attack', 'undecided', 'no_face',
        'several_faces', 'poor_quality', 'ambiguous', 'duplicate')),
      employee_id text REFERENCES employees (employee_id),
      confidence double precision CHECK (confidence BETWEEN 0 AND 1),
      pack text,
      calibration_id integer REFERENCES calibrations (id),
      duplicate_of integer,
      record jsonb NOT NULL,
      CHECK (kind <> 'face' OR pack IS NOT NULL),
      CHECK ((outcome = 'duplicate') = (duplicate_of IS NOT NULL))
    )`,
    sql`CREATE INDEX decisions_created_at ON decisions (created_at)`,
    sql`CREATE INDEX decisions_employee ON decisions (employee_id, created_at)`,

    sql`CREATE TABLE attendance (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      employee_id text NOT NULL REFERENCES employees (employee_id),
      device_id text NOT NULL REFERENCES devices (device_id),
      timestamp timestamptz NOT NULL,
      attendance_type text NOT NULL CHECK (attendance_type IN ('IN', 'OUT')),
      confidence_score double precision NOT NULL DEFAULT 0 CHECK (confidence_score BETWEEN 0 AND 1),
      liveness text NOT NULL CHECK (liveness IN ('bona_fide', 'attack', 'undecided', 'unavailable')),
      decision_id integer NOT NULL UNIQUE REFERENCES decisions (id),
      image_path text,
      notes text
    )`,
    sql`CREATE INDEX attendance_employee_timestamp ON attendance (employee_id, timestamp DESC)`,
    sql`CREATE INDEX attendance_device_timestamp ON attendance (device_id, timestamp DESC)`,
    sql`CREATE INDEX attendance_timestamp ON attendance (timestamp DESC)`,
    sql`ALTER TABLE decisions ADD FOREIGN KEY (duplicate_of) REFERENCES attendance (id)`,

    // Payroll relies on what was written: a punch or a decision is corrected by a new row, never changed.
    sql`CREATE FUNCTION refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME;
      END $$`,
    sql`CREATE TRIGGER attendance_is_final BEFORE UPDATE ON attendance
      FOR EACH ROW EXECUTE FUNCTION refuse_update()`,
    sql`CREATE TRIGGER decisions_are_final BEFORE UPDATE ON decisions
      FOR EACH ROW EXECUTE FUNCTION refuse_update()`,

    sql`CREATE TABLE idempotency_keys (
      device_id text NOT NULL REFERENCES devices (device_id) ON DELETE CASCADE,
      key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
      request_hash text NOT NULL,
      answer jsonb NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (device_id, key)
    )`,
    sql`CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at)`,

    // No foreign key: a call from a device that nobody registered is worth a line as well.
    sql`CREATE TABLE network_logs (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      created_at timestamptz NOT NULL DEFAULT now(),
      device_id text,
      ip_address text,
      action text NOT NULL,
      result text NOT NULL,
      latency_ms double precision
    )`,
    sql`CREATE INDEX network_logs_device ON network_logs (device_id, created_at DESC)`,
  ]
  for (const statement of statements) await statement.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`ALTER TABLE decisions DROP CONSTRAINT decisions_duplicate_of_fkey`.execute(db)
  await sql`DROP TABLE network_logs, idempotency_keys, attendance, decisions, calibrations, face_templates, sample_embeddings, samples, devices, employees`.execute(
    db,
  )
  await sql`DROP FUNCTION refuse_update()`.execute(db)
}
