import type { Generated, GeneratedAlways, JSONColumnType, Kysely, Transaction } from 'kysely'

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
  /** Float32, little-endian, not centred, so that the centring mean can be derived again from it. */
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
}

/** What the site's own gallery taught: the centring mean and, from 100 people on, the normalisation cohort. */
export interface CalibrationsTable {
  id: GeneratedAlways<number>
  pack: string
  people: number
  mean: Uint8Array
  /** employee_id of each cohort member; null while raw scores are used. */
  cohort: string[] | null
  created_at: Generated<Date>
}

/** Why a check ended as it did. Never changed once written. */
export interface DecisionsTable {
  id: GeneratedAlways<number>
  created_at: Generated<Date>
  device_id: string | null
  kind: 'face'
  outcome: string
  employee_id: string | null
  confidence: number | null
  pack: string | null
  calibration_id: number | null
  /** The punch that this check repeated. */
  duplicate_of: number | null
  record: JSONColumnType<Record<string, unknown>>
}

/** The punches. Never changed once written: a correction is a new row. */
export interface AttendanceTable {
  id: GeneratedAlways<number>
  employee_id: string
  device_id: string
  timestamp: Date
  attendance_type: 'IN' | 'OUT'
  confidence_score: number
  liveness: 'bona_fide' | 'attack' | 'undecided' | 'unavailable'
  decision_id: number
  image_path: string | null
  notes: string | null
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
