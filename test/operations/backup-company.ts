import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { type OpenDatabase, openDatabase } from '../../src/database/connect.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import type { Database } from '../../src/database/tables.ts'
import { openKeys } from '../../src/keys.ts'
import { cliAuthor } from '../../src/ledger/ledger.ts'
import { readColumns } from '../../src/operations/backup.ts'
import { openInstallation } from '../../src/operations/installation.ts'
import { systemClock } from '../../src/shared/clock.ts'
import { type Config, loadConfig } from '../../src/shared/config.ts'
import { createLogger } from '../../src/shared/log.ts'

/** Settings of a server of the tests: all it keeps is in this folder, but for a PostgreSQL database. */
export function settings(folder: string, env: Record<string, string | undefined> = {}): Config {
  return loadConfig({ DATA_DIR: folder, DB_URL: '', MASTER_KEY: masterKey, ...env }, folder, {})
}

/** The master key that all servers of the tests share, as those of one company would. */
export const masterKey = 'c5'.repeat(32)

export const open = (config: Config): Promise<OpenDatabase> =>
  openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR })

/** Runs `work` on a server's database and closes it again. */
export async function onDatabase<T>(config: Config, work: (db: Database) => Promise<T>): Promise<T> {
  const { db, close } = await open(config)
  try {
    return await work(db)
  } finally {
    await close()
  }
}

/** The keys of a server and its ledger, which the caller closes. */
export const keysOf = (config: Config, db: Database) =>
  openKeys(config, db, systemClock, createLogger({ level: 'silent' }))

/** A company with at least one row in each table and with values that are easily lost on the way. */
export async function foundCompany(config: Config, db: Database): Promise<void> {
  await migrateToLatest(db)
  const { photos } = await openInstallation(config, db, '0', systemClock)
  await mkdir(photos, { recursive: true })
  const { vault, ledger } = await keysOf(config, db)
  const keys = [await vault.newKey(), await vault.newKey()]
  const files = ['0b7c1c1e-8a55-4b6e-9d0e-1f6b0a6f0001.jpg', '0b7c1c1e-8a55-4b6e-9d0e-1f6b0a6f0002.jpg']
  for (const name of files) await writeFile(join(photos, name), randomBytes(3000))
  await ledger.by(cliAuthor)(async (trx) => {
    const run = (statement: string) => sql.raw(statement).execute(trx)
    await run(`INSERT INTO sites (name, time_zone, allowed_networks) VALUES
      ('Nhà máy Biên Hòa', 'Asia/Ho_Chi_Minh', '{10.0.0.0/8,"fd00::/8"}'), ('Ha''noi "2"', NULL, '{}')`)
    await run(`INSERT INTO users (username, name, role, departments, totp_secret, totp_last_step, last_login_at) VALUES
      ('chị.hà@example.vn', 'Nguyễn Thị Hà', 'manager', '{"Kho, vận","Sản \\"xuất\\"",NULL}',
        decode('00ff10', 'hex'), 9007199254740993, '2025-03-03T01:02:03.456789Z'),
      ('owner', 'Owner', 'owner', NULL, NULL, NULL, NULL)`)
    await run(`INSERT INTO employees (employee_id, name, department, email, phone, created_at) VALUES
      ('NV_Đỗ', 'Đỗ Thị Mỹ Duyên' || chr(8232) || 'x', 'Kế toán', NULL, '+84 90 123', '1969-12-31T23:59:59.999999Z'),
      ('EMP_002', E'a\\tb\\nc\\\\d"e', '', NULL, NULL, '2025-03-03T01:02:03.000001Z')`)
    await run(
      `INSERT INTO consents (employee_id, text_version, given_at, given_by) VALUES ('NV_Đỗ', 'v1', now(), 'user:1')`,
    )
    await run(`INSERT INTO pins (employee_id, pin_hash, set_at) VALUES ('NV_Đỗ', '$argon2id$', now())`)
    await run(`INSERT INTO devices (device_id, name, config, clock_skew_ms, key_hash) VALUES
      ('kiosk-1', 'Cổng chính', '{"z": [1.10, 1e400, null, "ê"], "a": {"b": false}}', 0.1::float8 + 0.2::float8, 'k1'),
      ('kiosk-2', 'Cổng phụ', NULL, 1e-300, NULL)`)
    for (const [index, person] of ['NV_Đỗ', 'EMP_002'].entries()) {
      await run(`UPDATE employees SET key_id = '${keys[index]}' WHERE employee_id = '${person}'`)
      await run(`INSERT INTO samples (employee_id, file_path, filename, content_type, size_bytes, width_px, height_px,
        sha256, quality_score, created_from, is_avatar) VALUES ('${person}', '${files[index]}', 'ảnh.jpg', 'image/jpeg',
        3000, 40, 40, 'sha', ${1 / 3}, 'ADMIN_UPLOAD', true)`)
    }
    await run(`INSERT INTO sample_embeddings (sample_id, pack, embedding_vector)
      SELECT id, 'p', decode('00017f80ff5c2d27', 'hex') FROM samples`)
    await run(`INSERT INTO face_templates (employee_id, image_id, pack, filename, file_path, embedding_vector, created_from)
      SELECT employee_id, 1, 'p', 'f', file_path, decode('ffff0000', 'hex'), 'ADMIN_UPLOAD' FROM samples`)
    await run(`INSERT INTO calibrations (pack, people, mean, cohort) VALUES
      ('p', 2, decode('80', 'hex'), '{NV_Đỗ,"a,b"}'), ('p', 10, '', NULL)`)
    await run(`INSERT INTO decisions (device_id, kind, outcome, employee_id, confidence, pack, calibration_id, record)
      VALUES ('kiosk-1', 'face', 'identified', 'NV_Đỗ', 0.1234567890123456, 'p', 1, '{"scores": [0.1, -0.5], "x": null}'),
      ('kiosk-1', 'correction', 'corrected', 'NV_Đỗ', NULL, NULL, NULL, '{}')`)
    await run(`INSERT INTO attendance (employee_id, device_id, timestamp, attendance_type, confidence_score, liveness,
      decision_id, notes) VALUES ('NV_Đỗ', 'kiosk-1', '2025-03-03T01:02:03.123456Z', 'IN', 0.7, 'unavailable', 1, 'đi sớm')`)
    await run(`INSERT INTO attendance (employee_id, timestamp, attendance_type, liveness, decision_id, corrects, is_void)
      VALUES ('NV_Đỗ', '2025-03-03T01:02:03Z', 'OUT', 'unavailable', 2, 1, true)`)
    // Of each two that name each other one comes too early, whichever table is restored first.
    await run(`INSERT INTO decisions (device_id, kind, outcome, employee_id, pack, duplicate_of, record)
      VALUES ('kiosk-1', 'face', 'duplicate', 'NV_Đỗ', 'p', 1, '{}')`)
    await run(
      `INSERT INTO disputes (punch_id, device_id, created_at, notes) VALUES (1, 'kiosk-1', now(), 'Đỗ')`,
    )
    await run(`INSERT INTO kiosk_events (device_id, event_id, seq, hash, captured_at, received_at, boot_id, monotonic_ms,
      attendance_type, flags, outcome, punch_id) VALUES ('kiosk-1', gen_random_uuid(), 1, 'h', now(), now(),
      gen_random_uuid(), 0.1, 'AUTO', '{gap}', 'punched', 1)`)
    await run(`INSERT INTO liveness_challenges (nonce_hash, device_id, steps, created_at, expires_at)
      VALUES ('n', 'kiosk-1', '["blink"]', now(), now())`)
    await run(`INSERT INTO look_alikes (employee_a, employee_b, pack, origin, confidence, margin, created_at)
      VALUES ('EMP_002', 'NV_Đỗ', 'p', 'calibration', ${2 / 3}, 0.15, now())`)
    await run(`INSERT INTO model_switches (from_pack, to_pack, state, report, started_at, started_by, finished_at)
      VALUES ('human-v1', 'p', 'cancelled', '{"skipped": []}', now(), 'user:1', now())`)
    await run(`INSERT INTO idempotency_keys (device_id, key, request_hash, answer) VALUES
      ('kiosk-1', 'event-1', 'hash', '{"attendance_id": 1, "employee_name": "Đỗ"}')`)
    await run(`INSERT INTO network_logs (device_id, ip_address, action, result, latency_ms)
      VALUES ('kiosk-9', '::1', 'heartbeat', 'ok', 1.5)`)
    await run(`INSERT INTO network_scans (id, started_at, found) VALUES (1, now(), '[{"ip": "10.0.0.1"}]')`)
    await run(`INSERT INTO pairing_codes (code_hash, device_id, expires_at, created_by, created_at)
      VALUES ('c', 'kiosk-2', now(), 1, now())`)
    await run(
      `INSERT INTO device_commands (device_id, command, created_at) VALUES ('kiosk-1', 'reload', now())`,
    )
    await run(`INSERT INTO sessions (id, user_id, refresh_hash, rotated_at, created_at, expires_at)
      VALUES (gen_random_uuid(), 1, 'r', now(), now(), now())`)
    await run(`INSERT INTO one_time_links (token_hash, purpose, user_id, created_at, expires_at)
      VALUES ('t', 'password', 2, now(), now())`)
    await run(`INSERT INTO api_keys (name, key_hash, hint, scopes, created_by, created_at)
      VALUES ('payroll', 'h', 'rc_1', '{attendance:read}', 1, now())`)
    await run(`INSERT INTO login_failures (key, failures, last_at) VALUES ('someone', 3, now())`)
    await run(`INSERT INTO erasures (employee_id, key_id, at, by, reason, photos, templates, audit_id)
      VALUES ('EMP_009', gen_random_uuid(), now(), 'user:1', 'erase', 2, 1, 1)`)
    // Numbers that were given out and whose rows are gone must not be given out again.
    await run(`INSERT INTO network_logs (action, result) SELECT 'x', 'y' FROM generate_series(1, 40)`)
    await run(`DELETE FROM network_logs WHERE action = 'x'`)
  })
  await ledger.close()
}

/** Every row of every table, each written as PostgreSQL itself writes it, and the last numbers of all sequences. */
export async function everything(db: Database): Promise<Record<string, string[]>> {
  const tables: Record<string, string[]> = {}
  for (const name of (await readColumns(db)).keys()) {
    const { rows } = await sql<{ row: string }>`
      SELECT this_row::text AS row FROM ${sql.table(name)} AS this_row`.execute(db)
    tables[name] = rows.map(({ row }) => row).sort()
  }
  const { rows } = await sql<{ line: string }>`
    SELECT sequencename || ' ' || coalesce(last_value, 0) AS line FROM pg_sequences
    WHERE schemaname = current_schema() ORDER BY 1`.execute(db)
  return { ...tables, sequences: rows.map(({ line }) => line) }
}

/** Without what a restore itself adds to the ledger. */
export function withoutLedger(tables: Record<string, string[]>): Record<string, string[]> {
  const { audit_log, ledger, ledger_head, sequences, ...rest } = tables
  return { ...rest, sequences: sequences!.filter((line) => !line.startsWith('audit_log')) }
}
