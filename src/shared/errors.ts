/**
 * The one table of error codes and the HTTP status each one is answered with.
 * A fault that is not in it is a bug: it is logged and answered as a plain 500.
 */
export const statusOfCode = {
  malformed_request: 400,
  request_timeout: 408,
  headers_too_large: 431,
  invalid_request: 422,
  invalid_image: 422,
  image_too_many_pixels: 413,
  upload_too_large: 413,
  unsupported_media_type: 415,
  no_face: 422,
  several_faces: 422,
  poor_quality: 422,
  face_mismatch: 422,
  unknown_device: 401,
  device_inactive: 403,
  not_found: 404,
  employee_not_found: 404,
  device_not_found: 404,
  photo_not_found: 404,
  employee_id_taken: 409,
  device_id_taken: 409,
  employee_inactive: 409,
  too_many_photos: 409,
  idempotency_key_reused: 409,
  too_many_requests: 429,
  overloaded: 503,
  stopping: 503,
  storage_unavailable: 503,
  database_unavailable: 503,
  model_failure: 503,
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
