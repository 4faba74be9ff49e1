/**
 * The one table of error codes and the HTTP status each one is answered with.
 * A fault that is not in it is a bug: it is logged and answered as a plain 500.
 */
export const statusOfCode = {
  malformed_request: 400,
  request_timeout: 408,
  headers_too_large: 431,
  invalid_request: 422,
  import_rejected: 422,
  invalid_image: 422,
  image_too_many_pixels: 413,
  upload_too_large: 413,
  unsupported_media_type: 415,
  no_face: 422,
  several_faces: 422,
  poor_quality: 422,
  face_mismatch: 422,
  unknown_device: 401,
  not_signed_in: 401,
  invalid_credentials: 401,
  code_required: 401,
  forbidden: 403,
  wrong_device: 403,
  network_not_allowed: 403,
  pin_not_allowed: 403,
  link_not_valid: 403,
  device_inactive: 403,
  not_found: 404,
  employee_not_found: 404,
  device_not_found: 404,
  command_not_found: 404,
  photo_not_found: 404,
  picture_not_kept: 404,
  punch_not_found: 404,
  template_not_found: 404,
  decision_not_found: 404,
  dispute_not_found: 404,
  calibration_not_found: 404,
  switch_not_found: 404,
  pack_unknown: 404,
  user_not_found: 404,
  session_not_found: 404,
  key_not_found: 404,
  site_not_found: 404,
  backup_not_found: 404,
  employee_id_taken: 409,
  username_taken: 409,
  last_owner: 409,
  device_id_taken: 409,
  discovery_off: 409,
  backups_off: 409,
  employee_inactive: 409,
  too_many_photos: 409,
  site_in_use: 409,
  site_name_taken: 409,
  consent_missing: 409,
  challenge_invalid: 409,
  not_me_too_late: 409,
  dispute_settled: 409,
  too_few_people: 409,
  calibration_superseded: 409,
  nothing_to_lower: 409,
  pack_not_installed: 409,
  pack_licence_not_accepted: 409,
  pack_not_measured: 409,
  pack_in_use: 409,
  switch_running: 409,
  switch_not_ready: 409,
  version_mismatch: 412,
  idempotency_key_reused: 409,
  already_corrected: 409,
  duplicate_punch: 409,
  too_many_requests: 429,
  overloaded: 503,
  stopping: 503,
  storage_unavailable: 503,
  storage_full: 507,
  database_unavailable: 503,
  pack_changed: 503,
  model_failure: 503,
  biometrics_unreadable: 500,
  internal: 500,
} as const

export type ErrorCode = keyof typeof statusOfCode

/**
 * A refusal with a code from the table and a sentence that tells the reader what to do.
 * `details` may carry further keys of the answer (never a path, SQL or a library's own text).
 */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly details: Record<string, unknown>

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, { cause })
    this.name = 'AppError'
    this.code = code
    this.details = details
  }

  get status(): number {
    return statusOfCode[this.code]
  }
}
