import { type Kysely, sql } from 'kysely'

/** Sites; users, their sessions and one-time links; keys of programs; the login throttle. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // Tells this database from others: files on disk belong to one of them.
    sql`CREATE TABLE instance (
      only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
      id uuid NOT NULL DEFAULT gen_random_uuid()
    )`,
    sql`INSERT INTO instance DEFAULT VALUES`,

    sql`CREATE TABLE sites (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
      time_zone text,
      allowed_networks text[] NOT NULL DEFAULT '{}',
      version integer NOT NULL DEFAULT 1,
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now()
    )`,
    // Everybody who was here before belongs to it.
    sql`INSERT INTO sites (name) VALUES ('Main site')`,
    sql`ALTER TABLE employees ADD COLUMN site_id integer NOT NULL DEFAULT 1 REFERENCES sites (id)`,
    sql`ALTER TABLE devices ADD COLUMN site_id integer NOT NULL DEFAULT 1 REFERENCES sites (id)`,

    sql`CREATE TABLE users (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      username text NOT NULL CHECK (length(username) BETWEEN 1 AND 254),
      name text NOT NULL,
      role text NOT NULL CHECK (role IN ('owner', 'admin', 'hr', 'manager', 'viewer')),
      departments text[],
      password_hash text,
      is_active boolean NOT NULL DEFAULT true,
      totp_secret bytea,
      totp_confirmed boolean NOT NULL DEFAULT false,
      totp_last_step bigint,
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      last_login_at timestamptz,
      CHECK ((role = 'manager') = (departments IS NOT NULL)),
      CHECK (NOT totp_confirmed OR totp_secret IS NOT NULL)
    )`,
    sql`CREATE UNIQUE INDEX users_username ON users (lower(username))`,

    sql`CREATE TABLE sessions (
      id uuid PRIMARY KEY,
      user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
      refresh_hash text NOT NULL UNIQUE,
      previous_hash text UNIQUE,
      rotated_at timestamptz NOT NULL,
      created_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      ip_address text,
      user_agent text
    )`,
    sql`CREATE INDEX sessions_user ON sessions (user_id)`,

    sql`CREATE TABLE one_time_links (
      token_hash text PRIMARY KEY,
      purpose text NOT NULL CHECK (purpose IN ('setup', 'password')),
      user_id integer REFERENCES users (id) ON DELETE CASCADE,
      created_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      CHECK ((purpose = 'setup') = (user_id IS NULL))
    )`,

    sql`CREATE TABLE api_keys (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
      key_hash text NOT NULL UNIQUE,
      hint text NOT NULL,
      scopes text[] NOT NULL,
      created_by integer REFERENCES users (id) ON DELETE SET NULL,
      created_at timestamptz NOT NULL,
      expires_at timestamptz,
      last_used_at timestamptz
    )`,

    sql`CREATE TABLE login_failures (
      key text PRIMARY KEY,
      failures integer NOT NULL CHECK (failures > 0),
      last_at timestamptz NOT NULL
    )`,
  ]
  for (const statement of statements) await statement.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`DROP TABLE instance, login_failures, api_keys, one_time_links, sessions, users`.execute(db)
  await sql`ALTER TABLE devices DROP COLUMN site_id`.execute(db)
  await sql`ALTER TABLE employees DROP COLUMN site_id`.execute(db)
  await sql`DROP TABLE sites`.execute(db)
}
