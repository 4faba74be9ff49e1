import { type Kysely, sql } from 'kysely'

/** An audited table: whose change it is, what changes too often to be told, and what must not be told. */
interface Audited {
  table: string
  subject: string
  ignored?: string[]
  hidden?: string[]
  /** Only updates of these columns are looked at: where others change with each check-in. */
  updateOf?: string[]
}

const audited: Audited[] = [
  { table: 'employees', subject: 'employee_id', ignored: ['version', 'updated_at'] },
  { table: 'consents', subject: 'employee_id' },
  { table: 'samples', subject: 'employee_id', hidden: ['sha256'] },
  {
    table: 'face_templates',
    subject: 'employee_id',
    ignored: ['updated_at', 'match_count', 'last_matched', 'avg_match_confidence'],
    hidden: ['embedding_vector'],
    updateOf: [
      'employee_id',
      'image_id',
      'pack',
      'filename',
      'file_path',
      'embedding_vector',
      'quality_score',
    ],
  },
  { table: 'calibrations', subject: 'id', hidden: ['mean', 'cohort'] },
  {
    table: 'devices',
    subject: 'device_id',
    ignored: ['version', 'last_heartbeat', 'clock_skew_ms', 'last_status', 'app_version'],
    hidden: ['key_hash', 'next_key_hash'],
  },
  { table: 'pairing_codes', subject: 'device_id', hidden: ['code_hash'] },
  { table: 'sites', subject: 'id', ignored: ['version', 'updated_at'] },
  {
    table: 'users',
    subject: 'id',
    ignored: ['version', 'updated_at', 'last_login_at', 'totp_last_step'],
    hidden: ['password_hash', 'totp_secret'],
  },
  { table: 'api_keys', subject: 'id', ignored: ['last_used_at'], hidden: ['key_hash'] },
]

/** Makes every change of the table leave a row in audit_log. */
export function auditTable({ table, subject, ignored = [], hidden = [], updateOf }: Audited) {
  const update = updateOf ? `UPDATE OF ${updateOf.join(', ')}` : 'UPDATE'
  return sql.raw(`CREATE TRIGGER audit AFTER INSERT OR DELETE OR ${update} ON ${table} FOR EACH ROW
    EXECUTE FUNCTION audit_change('${subject}', '{${ignored.join(',')}}', '{${hidden.join(',')}}')`)
}

/** Who changed what, and the chain over that and the punches. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // What may have to be forgotten is in subject and details alone, and goes together with the salt.
    sql`CREATE TABLE audit_log (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at timestamptz NOT NULL,
      by text NOT NULL,
      action text NOT NULL,
      subject_kind text NOT NULL,
      subject text,
      details jsonb,
      released jsonb,
      salt uuid DEFAULT gen_random_uuid()
    )`,
    sql`CREATE INDEX audit_log_subject ON audit_log (subject_kind, subject, id)`,
    sql`CREATE INDEX audit_log_by ON audit_log (by, id)`,

    // For the commitments to what a punch says of a person; see src/ledger/entries.ts.
    sql`ALTER TABLE attendance ADD COLUMN salt uuid NOT NULL DEFAULT gen_random_uuid()`,

    // Tells the right keys from others before anything is written with them.
    sql`ALTER TABLE instance ADD COLUMN ledger_key_check text`,
    sql`CREATE TABLE ledger (
      seq bigint PRIMARY KEY CHECK (seq > 0),
      kind text NOT NULL CHECK (kind IN ('audit', 'punch')),
      row_id bigint NOT NULL,
      digest bytea NOT NULL,
      commitment bytea NOT NULL,
      mac bytea NOT NULL,
      UNIQUE (kind, row_id)
    )`,
    sql`CREATE TABLE ledger_head (
      only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
      seq bigint NOT NULL,
      mac bytea NOT NULL
    )`,
    sql`INSERT INTO ledger_head (seq, mac) VALUES (0, '')`,

    // What a transaction has written is listed in a setting of its own, for the program to enter it before the commit:
    // kind, first and last number, because what is written together is mostly numbered in a row.
    sql`CREATE FUNCTION ledger_list(kind text, row_id bigint) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
      listed text := coalesce(current_setting('rollcall.entries', true), '');
      ending text := format(' %s,', row_id - 1);
    BEGIN
      IF right(listed, length(ending)) = ending AND split_part(listed, ',', -2) LIKE kind || ' %' THEN
        listed := left(listed, -length(ending)) || format(' %s,', row_id);
      ELSE
        listed := listed || format('%s %s %s,', kind, row_id, row_id);
      END IF;
      PERFORM set_config('rollcall.entries', listed, true);
    END $$`,
    // Who does it is told by the program; nobody else sets it, and then it is whoever is connected.
    sql`CREATE FUNCTION audit_write(action text, subject_kind text, subject text, told jsonb, released jsonb)
      RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
      author jsonb := coalesce(nullif(current_setting('rollcall.author', true), ''), '{}')::jsonb;
      row_id bigint;
    BEGIN
      INSERT INTO audit_log (at, by, action, subject_kind, subject, details, released) VALUES (
        coalesce((author->>'at')::timestamptz, now()), coalesce(author->>'by', 'sql:' || session_user),
        action, subject_kind, subject, told || (author - '{at,by}'::text[]), released) RETURNING id INTO row_id;
      PERFORM ledger_list('audit', row_id);
      RETURN row_id;
    END $$`,

    sql`CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      ignored text[] := TG_ARGV[1];
      hidden text[] := TG_ARGV[2];
      old_row jsonb := '{}';
      new_row jsonb := '{}';
      differing text[];
      told jsonb := '{}';
    BEGIN
      -- A backup brings its own audit rows.
      IF current_setting('rollcall.restoring', true) = 'on' THEN RETURN NULL; END IF;
      IF TG_OP <> 'INSERT' THEN old_row := to_jsonb(OLD) - ignored; END IF;
      IF TG_OP <> 'DELETE' THEN new_row := to_jsonb(NEW) - ignored; END IF;
      IF old_row = new_row THEN RETURN NULL; END IF;
      -- While a person is being forgotten, what they were must not be written down anew.
      IF current_setting('rollcall.forgetting', true) = 'on' THEN
        PERFORM audit_write(lower(TG_OP), TG_TABLE_NAME, NULL, '{}', NULL);
        RETURN NULL;
      END IF;
      SELECT array_agg(key) INTO differing
        FROM (SELECT jsonb_object_keys(old_row || new_row) AS key) AS keys
        WHERE old_row->key IS DISTINCT FROM new_row->key;
      IF TG_OP <> 'INSERT' THEN
        told := jsonb_build_object('before', audit_shown(old_row, differing, hidden));
      END IF;
      IF TG_OP <> 'DELETE' THEN
        told := told || jsonb_build_object('after', audit_shown(new_row, differing, hidden));
      END IF;
      PERFORM audit_write(lower(TG_OP), TG_TABLE_NAME, coalesce(new_row->>TG_ARGV[0], old_row->>TG_ARGV[0]), told, NULL);
      RETURN NULL;
    END $$`,
    sql`CREATE FUNCTION audit_shown(of_row jsonb, keys text[], hidden text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
      SELECT coalesce(jsonb_object_agg(key, CASE
        WHEN key = ANY (hidden) AND value <> 'null' THEN to_jsonb('(hidden)'::text) ELSE value END), '{}')
      FROM jsonb_each(of_row) WHERE key = ANY (keys)
    $$`,
    sql`CREATE FUNCTION list_punch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF current_setting('rollcall.restoring', true) IS DISTINCT FROM 'on' THEN PERFORM ledger_list('punch', NEW.id); END IF;
      RETURN NULL;
    END $$`,
    sql`CREATE TRIGGER ledger AFTER INSERT ON attendance FOR EACH ROW EXECUTE FUNCTION list_punch()`,
    ...audited.map(auditTable),
  ]
  for (const statement of statements) await statement.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...audited.map(({ table }) => sql.raw(`DROP TRIGGER audit ON ${table}`)),
    sql`DROP TRIGGER ledger ON attendance`,
    sql`DROP FUNCTION list_punch(), audit_change(), audit_shown(jsonb, text[], text[]),
      audit_write(text, text, text, jsonb, jsonb), ledger_list(text, bigint)`,
    sql`DROP TABLE ledger_head, ledger, audit_log`,
    sql`ALTER TABLE attendance DROP COLUMN salt`,
    sql`ALTER TABLE instance DROP COLUMN ledger_key_check`,
  ]
  for (const statement of statements) await statement.execute(db)
}
