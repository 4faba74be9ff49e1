import type { ColumnType, Generated, GeneratedAlways, JSONColumnType, Kysely, Transaction } from 'kysely'

/** The tables as TypeScript sees them; migrations/ is what makes them. Timestamps are timestamptz, read as Date. */
export interface Tables {
  employees: EmployeesTable
  devices: DevicesTable
  samples: SamplesTable
  sample_embeddings: SampleEmbeddingsTable
  face_templates: FaceTemplatesTable
  calibrations: CalibrationsTable
  decisions: DecisionsTable
  attendance: AttendanceTable
  idempotency_keys: IdempotencyKeysTable
  network_logs: NetworkLogsTable
  pairing_codes: PairingCodesTable
  device_commands: DeviceCommandsTable
  network_scans: NetworkScansTable
  instance: InstanceTable
  sites: SitesTable
  users: UsersTable
  sessions: SessionsTable
  one_time_links: OneTimeLinksTable
  api_keys: ApiKeysTable
  login_failures: LoginFailuresTable
  consents: ConsentsTable
  pins: PinsTable
  erasures: ErasuresTable
  audit_log: AuditLogTable
  ledger: LedgerTable
  ledger_head: LedgerHeadTable
  look_alikes: LookAlikesTable
  liveness_challenges: LivenessChallengesTable
  disputes: DisputesTable
  model_switches: ModelSwitchesTable
  kiosk_events: KioskEventsTable
}

/** The pool, or the one connection of an open transaction: inside a transaction only the latter may be used. */
export type Database = Kysely<Tables>
export type DatabaseTransaction = Transaction<Tables>

export interface EmployeesTable {
  id: GeneratedAlways<number>
  employee_id: string
  name: string
  department: string | null
  email: string | null
  phone: string | null
  position: string | null
  is_active: Generated<boolean>
  /** When employment ended. The row stays, because its punches are pay evidence. */
  ended_at: Date | null
  created_at: Generated<Date>
  updated_at: Generated<Date>
  site_id: Generated<number>
  /** Counts the changes, so that of two editors the second learns of the first. */
  version: Generated<number>
  /** The key in the vault that their photos and templates are sealed with; null before the first photo and once erased. */
  key_id: string | null
}

/** That a person's photos, templates and the key to them are gone: what an auditor is shown. */
export interface ErasuresTable {
  id: GeneratedAlways<number>
  employee_id: string
  key_id: string
  at: Date
  /** As `callerId` names them. */
  by: string
  reason: 'erase' | 'consent_withdrawn' | 'employment_ended' | 'purge' | 'retention' | 'restore'
  photos: number
  templates: number
  /** The audit row that says so in the ledger. */
  audit_id: string
}

/** That a person agreed to be recognised by face: to which text, when, and who wrote it down. */
export interface ConsentsTable {
  id: GeneratedAlways<number>
  employee_id: string
  text_version: string
  given_at: Date
  /** As `callerId` names them. */
  given_by: string
  withdrawn_at: Date | null
}

export interface DevicesTable {
  id: GeneratedAlways<number>
  device_id: string
  name: string
  location: string | null
  ip_address: string | null
  is_active: Generated<boolean>
  created_at: Generated<Date>
  last_heartbeat: Date | null
  config: JSONColumnType<Record<string, unknown>> | null
  site_id: Generated<number>
  /** SHA-256 of the kiosk's key, and of the one that takes its place as soon as it is used. */
  key_hash: string | null
  next_key_hash: string | null
  key_created_at: Date | null
  /** What a check-in here is; AUTO leaves it to the check-in. */
  direction: Generated<'IN' | 'OUT' | 'AUTO'>
  /** One more with each change by a person. */
  version: Generated<number>
  config_version: Generated<number>
  /** The server's clock minus the kiosk's at the last heartbeat. */
  clock_skew_ms: number | null
  last_status: string | null
  app_version: string | null
  /** What presentation attack detection means here; null where the server's default holds. */
  pad_policy: 'off' | 'flag' | 'enforce' | null
  /** The public half of the key that it signs what it keeps off line with: a point of P-256 in base64url. */
  signing_key: string | null
}

/** One-time codes that kiosks exchange for their keys; at most one a device. */
export interface PairingCodesTable {
  code_hash: string
  device_id: string
  expires_at: Date
  created_by: number | null
  created_at: Date
}

export interface DeviceCommandsTable {
  id: GeneratedAlways<number>
  device_id: string
  command: 'reload' | 'reset' | 'test_picture' | 'update'
  state: Generated<'queued' | 'sent' | 'done' | 'failed'>
  created_at: Date
  sent_at: Date | null
  finished_at: Date | null
  result: string | null
}

/** The last scan of the network, in the row with number 1. */
export interface NetworkScansTable {
  id: number
  started_at: Date
  found: ColumnType<unknown[], string | undefined, string>
}

/** One stored photo of a person. The picture itself is a file that the photo store named. */
export interface SamplesTable {
  id: GeneratedAlways<number>
  employee_id: string
  file_path: string
  filename: string
  content_type: string
  size_bytes: number
  width_px: number
  height_px: number
  /**
   * HMAC-SHA-256 under the person's key of the upload's SHA-256: tells the same picture when it comes again, and proves
   * nothing to a thief who has a picture of somebody.
   */
  sha256: string
  quality_score: number
  created_from: 'ADMIN_UPLOAD' | 'ATTENDANCE'
  is_avatar: Generated<boolean>
  created_at: Generated<Date>
}

/** A photo's face as one pack's networks see it; a template is made of these. */
export interface SampleEmbeddingsTable {
  sample_id: number
  pack: string
  /** Sealed. Float32, little-endian, not centred, so that the centring mean can be derived again from it. */
  embedding_vector: Uint8Array
}

export interface FaceTemplatesTable {
  id: GeneratedAlways<number>
  employee_id: string
  /** Slot: 1 the administrator's photos, 2 and 3 learned at check-ins; 0 is kept for the avatar of older systems. */
  image_id: number
  pack: string
  filename: string
  file_path: string
  /** As in sample_embeddings: the mean of the photos' vectors. */
  embedding_vector: Uint8Array
  is_primary: Generated<boolean>
  created_at: Generated<Date>
  updated_at: Generated<Date>
  created_from: 'ADMIN_UPLOAD' | 'ATTENDANCE'
  quality_score: Generated<number>
  confidence_score: Generated<number>
  match_count: Generated<number>
  last_matched: Date | null
  avg_match_confidence: Generated<number>
  /** Not searched before: a learned template waits for a day. */
  active_from: Date | null
  /** Not searched while the punch that it was learned from is disputed. */
  is_suspended: Generated<boolean>
  /** The template that recognised the face that this one was learned from, its punch, and the photo. */
  parent_id: number | null
  learned_from: number | null
  sample_id: number | null
}

/** What the site's own gallery taught: the centring mean and, from 100 people on, the normalisation cohort. */
export interface CalibrationsTable {
  id: GeneratedAlways<number>
  pack: string
  people: number
  /** Float32, little-endian; sealed but for what an older version wrote. */
  mean: Uint8Array
  is_sealed: Generated<boolean>
  /** employee_id of each cohort member; null while raw scores are used. */
  cohort: string[] | null
  created_at: Generated<Date>
  /** What the site's own impostor pairs ask for, on the scale of confidence; null where they are too few. */
  threshold: number | null
  /** The curves and figures behind it; null in rows of an older version. */
  report: JSONColumnType<Record<string, unknown>> | null
  /** Who allowed a threshold below the pack's own, and when. */
  lowered_by: string | null
  lowered_at: Date | null
}

/** Why a check ended as it did. Never changed once written, but for what is forgotten of `record` in time. */
export interface DecisionsTable {
  id: GeneratedAlways<number>
  created_at: Generated<Date>
  device_id: string | null
  kind: 'face' | 'manual' | 'correction' | 'import' | 'pin'
  outcome: string
  employee_id: string | null
  confidence: number | null
  pack: string | null
  calibration_id: number | null
  /** The punch that this check repeated. */
  duplicate_of: number | null
  record: JSONColumnType<Record<string, unknown>>
  /** The picture's file where the check made no punch and its site keeps pictures; see attendance.image_path. */
  image_path: string | null
}

/** The punches. Never changed once written: a correction is a new row. */
export interface AttendanceTable {
  id: GeneratedAlways<number>
  employee_id: string
  /** Null for a punch that was entered by hand without a kiosk. */
  device_id: string | null
  timestamp: Date
  attendance_type: 'IN' | 'OUT'
  confidence_score: number
  liveness: 'bona_fide' | 'attack' | 'undecided' | 'unavailable'
  decision_id: number
  image_path: string | null
  notes: string | null
  /** The punch that this row takes the place of. */
  corrects: number | null
  /** The punch that this row corrects does not count, and nothing counts in its place. */
  is_void: Generated<boolean>
  /** For the ledger's commitment to what is personal in the row. */
  salt: Generated<string>
}

export interface IdempotencyKeysTable {
  device_id: string
  key: string
  request_hash: string
  answer: JSONColumnType<Record<string, unknown>>
  created_at: Generated<Date>
}

export interface NetworkLogsTable {
  id: GeneratedAlways<number>
  created_at: Generated<Date>
  device_id: string | null
  ip_address: string | null
  action: string
  result: string
  latency_ms: number | null
}

/** One row: what tells this database from every other one. */
export interface InstanceTable {
  only_one: Generated<boolean>
  id: Generated<string>
  /** What the ledger's key makes of the id, so that wrong keys are refused; null until the first start. */
  ledger_key_check: string | null
}

/** With which a person punches at a kiosk that does not recognise them. */
export interface PinsTable {
  employee_id: string
  /** Argon2id. */
  pin_hash: string
  set_at: Date
}

/** A place with its own time zone. Number 1 is made by the migration; devices and people belong to it at first. */
export interface SitesTable {
  id: GeneratedAlways<number>
  name: string
  /** IANA name; null means the server's TIME_ZONE. */
  time_zone: string | null
  /** CIDR blocks that the site's kiosks call from; empty means any. */
  allowed_networks: Generated<string[]>
  /** Whether nobody is enrolled here without a consent on record. */
  require_consent: Generated<boolean>
  /** Whether the pictures of check-ins are kept, and for how many days. */
  keep_pictures: Generated<boolean>
  picture_days: Generated<number>
  /** Whether an installed network's word is enough where presentation attack detection is enforced. */
  pad_model_enough: Generated<boolean>
  /** Whether kiosks here take an employee code with its PIN where a face cannot be recognised. */
  pin_allowed: Generated<boolean>
  version: Generated<number>
  created_at: Generated<Date>
  updated_at: Generated<Date>
}

/** A person who works with the system, as opposed to one who is recognised by it. */
export interface UsersTable {
  id: GeneratedAlways<number>
  username: string
  name: string
  role: 'owner' | 'admin' | 'hr' | 'manager' | 'viewer'
  /** What a manager sees; null for every other role. */
  departments: string[] | null
  /** Argon2id; null until the first password is set. */
  password_hash: string | null
  is_active: Generated<boolean>
  /** Sealed with a key from SECRET_KEY. */
  totp_secret: Uint8Array | null
  totp_confirmed: Generated<boolean>
  /** The time step of the last code that was taken: none is taken twice. */
  totp_last_step: string | null
  /** One more with each change by an administrator. */
  version: Generated<number>
  created_at: Generated<Date>
  updated_at: Generated<Date>
  last_login_at: Date | null
}

export interface SessionsTable {
  id: string
  user_id: number
  /** SHA-256 of the refresh token that is good now, and of the one before it. */
  refresh_hash: string
  previous_hash: string | null
  rotated_at: Date
  created_at: Date
  expires_at: Date
  ip_address: string | null
  user_agent: string | null
}

export interface OneTimeLinksTable {
  token_hash: string
  purpose: 'setup' | 'password'
  user_id: number | null
  created_at: Date
  expires_at: Date
}

export interface ApiKeysTable {
  id: GeneratedAlways<number>
  name: string
  key_hash: string
  /** The key's first characters, to tell it by. */
  hint: string
  scopes: string[]
  created_by: number | null
  created_at: Date
  expires_at: Date | null
  last_used_at: Date | null
}

/** Failed logins of a name or from an address (hashed), for the throttle. */
export interface LoginFailuresTable {
  key: string
  failures: number
  last_at: Date
}

/** Every change of people, devices, settings and keys, and every export. Triggers write it. */
export interface AuditLogTable {
  id: GeneratedAlways<string>
  at: Date
  /** As `callerId` names them; `server`, `cli`, or `sql:<user>` for a change past the program. */
  by: string
  /** insert, update, delete, or an act such as export. */
  action: string
  /** A table, or what the act was about. */
  subject_kind: string
  /** Which of them; null where it was let go. */
  subject: string | null
  details: JSONColumnType<Record<string, unknown>> | null
  released: JSONColumnType<{ punches: number[]; audits: number[] }> | null
  salt: Generated<string | null>
}

/** The chain over punches and audit rows. */
export interface LedgerTable {
  seq: string
  kind: 'audit' | 'punch'
  row_id: string
  digest: Uint8Array
  commitment: Uint8Array
  mac: Uint8Array
}

export interface LedgerHeadTable {
  only_one: Generated<boolean>
  seq: string
  mac: Uint8Array
}

/** Two people whom the networks hardly tell apart; employee_a sorts before employee_b. */
export interface LookAlikesTable {
  id: GeneratedAlways<number>
  employee_a: string
  employee_b: string
  /** Whose networks; null, from a dispute: whichever run. */
  pack: string | null
  origin: 'calibration' | 'dispute'
  /** How sure the pack is that they are one person; null from a dispute. */
  confidence: number | null
  /** How much surer the first of the two must be than the second, in confidence. */
  margin: number
  created_at: Date
}

/** What a kiosk was asked to have somebody do; good once and for ten seconds. */
export interface LivenessChallengesTable {
  nonce_hash: string
  device_id: string
  steps: JSONColumnType<string[]>
  created_at: Date
  expires_at: Date
  used_at: Date | null
}

/** Somebody said at a kiosk that a punch is not theirs, and what HR found. */
export interface DisputesTable {
  punch_id: number
  device_id: string
  created_at: Date
  state: Generated<'open' | 'confirmed' | 'rejected'>
  resolved_at: Date | null
  resolved_by: string | null
  /** Who it was, where HR knows. */
  actual_employee_id: string | null
  correction_id: number | null
  notes: string | null
}

/** A change of the model pack. The pack in use is that of the last one that is `switched`; human-v1 before any. */
export interface ModelSwitchesTable {
  id: GeneratedAlways<number>
  from_pack: string
  to_pack: string
  /** embedding: photos are embedded anew; ready: all are, and the report is there. */
  state: 'embedding' | 'ready' | 'switched' | 'cancelled' | 'failed'
  total: Generated<number>
  done: Generated<number>
  report: JSONColumnType<Record<string, unknown>> | null
  error: string | null
  started_at: Date
  started_by: string
  finished_at: Date | null
}

/** A check that a kiosk kept while it was off line; with `state`, something that somebody has or had to decide. */
export interface KioskEventsTable {
  id: GeneratedAlways<number>
  device_id: string
  /** As the kiosk named it: sent again it stands once. */
  event_id: string
  /** What it was signed with: a new key begins a new chain. */
  signing_key: string | null
  seq: number
  /** SHA-256 of the signed text, which the next event names. */
  hash: string
  captured_at: Date
  received_at: Date
  /** A clock that nobody can set, and which run of it. */
  boot_id: string
  monotonic_ms: number
  attendance_type: 'IN' | 'OUT' | 'AUTO'
  flags: Generated<string[]>
  outcome: 'punched' | 'duplicate' | 'pending'
  /** Why there is no punch. */
  reason: string | null
  decision_id: number | null
  punch_id: number | null
  /** Kept until it is decided, sealed with the place's own key. */
  image_path: string | null
  state: 'open' | 'entered' | 'dismissed' | null
  resolved_at: Date | null
  resolved_by: string | null
  notes: string | null
}
