import { z } from 'zod'
import { livenessSchema } from '../gallery/schema.ts'

// What decisions.record holds. Every key may be missing: older versions wrote fewer, and in time some are forgotten.

const number = z.number()
const text = z.string()

const candidate = z
  .object({
    employee_id: text,
    template_id: number,
    raw_score: number,
    score: number,
    /** Not clamped, as the confidence is: what a margin is measured by. */
    minus_log10_fmr: number,
    confidence: number,
    /** Beyond what the pack's impostor pairs could count the table is a fitted tail. */
    extrapolated: z.boolean(),
    /** How much surer than this person the first one must be; null for the first. */
    margin: number.nullable(),
    /** Whether the two are known to be too much alike, which makes the margin wider. */
    look_alike: z.boolean(),
  })
  .partial()

const frame = z
  .object({
    kind: z.enum(['face', 'no_face', 'several_faces']),
    /** The quality's score; null where there was no face to assess. */
    quality: number.nullable(),
    embedded: z.boolean(),
    /** Whom this picture alone resembles most. */
    votes: z.object({ employee_id: text, confidence: number }).nullable(),
    /** When it was taken, counted from the first one. */
    at_ms: number.nullable(),
  })
  .partial()

const signal = z
  .object({
    signal: z.enum(['model', 'passive', 'challenge']),
    state: livenessSchema,
    /** A score that could not be taken is null. */
    scores: z.record(text, number.nullable()),
    reason: text.nullable(),
  })
  .partial()

const punchAsRecorded = z.object({ timestamp: text, attendance_type: text, is_void: z.boolean() }).partial()

export const decisionRecordSchema = z
  .object({
    rule: text,
    requested: z.enum(['IN', 'OUT', 'AUTO']),
    /** `client`: the punch counts when the client says that the picture was taken. */
    time_of: z.literal('client'),
    captured_at: text,
    received_at: text,
    /** The employee code that came with the pictures: of whomever, or of nobody. */
    claimed: text,
    /** Whose networks looked; see `digestOf`. */
    pack: z.object({ name: text, digest: text }).partial(),
    picture: z.object({ widthPx: number, heightPx: number }).partial(),
    face: z
      .object({
        box: z.object({ x: number, y: number, width: number, height: number }),
        score: number,
        pose: z.object({ yaw: number, pitch: number, roll: number }),
      })
      .partial(),
    quality: z
      .object({ score: number, parts: z.record(text, number), measures: z.record(text, number) })
      .partial(),
    /** One for each picture of the check, in the order in which they were taken. */
    frames: z.array(frame),
    liveness: z
      .object({
        state: livenessSchema,
        policy: z.enum(['off', 'flag', 'enforce']),
        /** What the challenge asked for, in order; missing where none was answered. */
        steps: z.array(text),
        signals: z.array(signal),
      })
      .partial(),
    thresholds: z
      .object({
        /** The one that held. */
        confidence: number,
        configured: number,
        pack: number.nullable(),
        /** What the site's own calibration asks for. */
        site: number.nullable(),
        /** Whether an administrator allowed one below the pack's own. */
        lowered: z.boolean(),
        high: number,
        learning: number,
        margin: number,
        quality: number,
      })
      .partial(),
    scale: z.enum(['raw', 'normalised']),
    people: number,
    candidates: z.array(candidate),
    /** Why the pictures could not be compared. */
    refused: z.object({ code: text, details: z.record(text, z.unknown()) }).partial(),
    timings_ms: z.record(text, number),

    /** Of a punch that no face led to: who vouches for it, and what was said of it. */
    entered_by: text,
    notes: text.nullable(),
    corrects: number,
    before: punchAsRecorded,
    after: punchAsRecorded,
    /** Of an imported punch: who imported it, and what it was in the system that made it. */
    imported_by: text,
    source: text,
    legacy_id: number.nullable(),
    legacy_device_id: text.nullable(),
    legacy_confidence_score: z.unknown(),
    legacy_image_path: text.nullable(),
  })
  .partial()

export type DecisionRecord = z.infer<typeof decisionRecordSchema>
