import { z } from 'zod'
import { deviceId } from '../devices/schema.ts'
import { employeeId } from '../employees/schema.ts'
import { livenessSchema } from '../gallery/schema.ts'
import { rowNumber } from '../shared/http.ts'
import { pageQuery } from '../shared/paging.ts'
import { decisionKind, disputeState } from './schema.ts'

const kind = decisionKind.describe('What led to the decision')
// biome-ignore format: one a line would be long
const outcome = z.enum([
  'identified', 'duplicate', 'not_identified', 'ambiguous', 'attack', 'undecided', 'no_face', 'several_faces',
  'poor_quality', 'entered', 'corrected', 'voided', 'imported', 'wrong_pin',
])
const time = z.iso.datetime({ offset: true })

export const decisionPath = z.object({ decision_id: rowNumber('a decision') })

export const decisionQuery = pageQuery.extend({
  device_id: deviceId.optional(),
  employee_id: employeeId.optional().describe('Whom the decision is about'),
  outcome: outcome.optional().describe('Only decisions that ended so'),
  from: time.optional().describe('Not made before this time'),
  to: time.optional().describe('Made before this time'),
})

export type DecisionQuery = z.infer<typeof decisionQuery>

const decided = {
  decision_id: z.number(),
  attendance_id: z.number().nullable().describe('The punch that it made, if any'),
  kind,
  outcome: z.string(),
  rule: z.string().nullable().describe('The sentence that decided; null where none was kept'),
  made_at: z.date(),
  device_id: z.string().nullable(),
  employee_id: z.string().nullable().describe('Whom it is about; null where nobody was recognised'),
  employee_name: z.string().nullable(),
  confidence: z.number().nullable().describe('Of the person who was recognised, or of the one most alike'),
}

export const decisionSchema = z
  .object({
    ...decided,
    pack: z.string().nullable(),
    liveness: livenessSchema.nullable().describe('Null where no face was looked at'),
  })
  .meta({ id: 'Decision' })

const number = z.number().nullable()
const text = z.string().nullable()
const punchBefore = z
  .object({ timestamp: text, attendance_type: text, is_void: z.boolean().nullable() })
  .nullable()

/** Who is meant, as far as the caller may see it. */
const person = {
  employee_id: text.describe('Null for somebody whom the caller may not see, or who was erased'),
  name: text,
  pseudonym: z.string().describe('Stands for the same person everywhere in this answer'),
}

const forAdministrators = 'Only for those who may see the state of the server'

export const explanationSchema = z
  .object({
    ...decided,
    forgotten: z
      .boolean()
      .describe(
        'The time to keep measures and candidates is over: what was decided, and by which rule, stays',
      ),
    requested: text.describe('IN, OUT or AUTO'),
    captured_at: text.describe(
      "When the picture was taken by the client's clock, where it was sent in later",
    ),
    claimed: z
      .object(person)
      .nullable()
      .describe(
        'Who the person said to be, where an employee code came with the pictures; of nobody as well',
      ),
    duplicate_of: number.describe('The punch that it repeated'),
    superseded_by: number.describe('The correction that took the place of its punch'),
    disputed: disputeState.nullable().describe('Whether somebody said that its punch is not theirs'),
    refused: z
      .object({ code: text, details: z.record(z.string(), z.unknown()) })
      .nullable()
      .describe('Why nothing could be compared'),
    pack: z
      .object({
        name: text,
        digest: text.describe('SHA-256 over the sorted SHA-256s of its files, each on a line'),
        files: z
          .array(z.object({ name: z.string(), sha256: z.string() }))
          .nullable()
          .describe('Where the pack is known and still of this digest'),
      })
      .nullable(),
    picture: z.object({ width_px: number, height_px: number }).nullable(),
    picture_kept: z.boolean(),
    picture_url: text,
    face_box: z
      .object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() })
      .nullable()
      .describe('In pixels of the upright picture of `picture` size'),
    pose: z.object({ yaw: z.number(), pitch: z.number(), roll: z.number() }).nullable().describe('Degrees'),
    quality: z
      .object({
        score: number,
        parts: z.record(z.string(), z.number()),
        reasons: z.array(z.string()).describe('The parts that fall short of a good photo, worst first'),
        advice: z.array(z.string()).describe('What to do about each of them'),
      })
      .nullable(),
    frames: z
      .array(
        z.object({
          kind: text,
          quality: number,
          embedded: z.boolean(),
          votes: z
            .object({ ...person, confidence: z.number() })
            .nullable()
            .describe('Whom this picture alone resembles most'),
          at_ms: number.describe('Since the first picture'),
        }),
      )
      .describe('Where several pictures came: each of them, in the order in which they were taken'),
    liveness: z
      .object({
        state: livenessSchema.nullable(),
        policy: text,
        steps: z
          .array(z.string())
          .nullable()
          .describe('What the challenge asked for, in order, where the pictures answer one'),
        signals: z.array(
          z.object({
            signal: text,
            state: livenessSchema.nullable(),
            scores: z.record(z.string(), number),
            reason: text,
          }),
        ),
      })
      .nullable(),
    scale: text.describe('Whether scores were raw, or normalised against a cohort'),
    people: number.describe('How many people the face was compared with'),
    candidates: z.array(
      z.object({
        rank: z.number(),
        ...person,
        confidence: number,
        above_threshold: z.boolean().nullable(),
        margin: number.describe('How much surer than this person the first one had to be'),
        look_alike: z.boolean().describe('Known to be hard to tell from the first one'),
        extrapolated: z
          .boolean()
          .describe('The confidence is read from a fitted tail, not from counted pairs'),
        raw_score: z.number().optional().describe(forAdministrators),
        score: z.number().optional().describe(forAdministrators),
        template_id: z.number().optional().describe(forAdministrators),
      }),
    ),
    margin: number.describe('How much surer the first one was than the second, in confidence'),
    thresholds: z
      .object({
        confidence: number.describe('The one in force'),
        configured: number,
        pack: number.describe("What the pack's table asks for at this number of people"),
        site: number.describe("What the site's own calibration asks for"),
        lowered: z.boolean().nullable().describe("An administrator set the pack's aside"),
        high: number,
        learning: number,
        margin: number,
        quality: number,
        calibration_id: number.describe('Their version'),
      })
      .nullable(),
    vouched: z
      .object({
        by: text,
        by_name: text.describe('What the user is called; null for a program, and for a user who was removed'),
        notes: text,
        corrects: number.describe('The punch that it takes the place of'),
        before: punchBefore,
        after: punchBefore,
        imported_from: text,
        original: z
          .object({ id: number, device_id: text, confidence_score: z.unknown(), image_path: text })
          .nullable()
          .describe('What the punch was in the system that made it'),
      })
      .nullable()
      .describe('Who vouches for a punch that no face led to'),
    timings_ms: z.record(z.string(), z.number()).describe('Per stage'),
  })
  .meta({ id: 'Explanation' })

export type Explanation = z.infer<typeof explanationSchema>
