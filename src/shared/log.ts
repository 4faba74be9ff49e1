import { type Logger, pino } from 'pino'

export type { Logger }

/**
 * Makes the JSON logger. What identifies a person or opens a door (names, images, keys) is never passed to it;
 * the redaction is a second line of defence for request headers.
 */
export function createLogger(options: { level: string }): Logger {
  return pino({
    level: options.level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: [
      'req.headers.authorization',
      'req.headers.cookie',
      'req.headers["x-api-key"]',
      'req.headers["x-device-key"]',
    ],
  })
}
