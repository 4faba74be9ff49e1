import { z } from 'zod'
import { text } from '../shared/http.ts'

export const startSchema = z.object({ pack: text(100).describe('The name of an installed pack') })

export const switchSchema = z
  .object({
    id: z.number(),
    from_pack: z.string(),
    to_pack: z.string(),
    state: z
      .enum(['embedding', 'ready', 'switched', 'cancelled', 'failed'])
      .describe(
        'embedding: photos are embedded anew and the packs compared, while the old one answers; ready: to be confirmed',
      ),
    total: z.number().describe('Stored photos'),
    done: z.number().describe('Of them embedded or skipped'),
    estimated_seconds_left: z.number().nullable().describe('Of the embedding; null while nothing tells'),
    skipped: z
      .array(z.object({ employee_id: z.string(), photo_id: z.number().nullable(), reason: z.string() }))
      .describe('Photos that the new pack cannot use, with the code of why; no number: all of a person'),
    unrecognisable: z
      .array(z.object({ employee_id: z.string(), reason: z.string() }))
      .describe('Who is recognised now and would not be any more: enrol another photo of them'),
    comparison: z
      .object({
        basis: z
          .enum(['kept_pictures', 'stored_photos'])
          .describe(
            'The kept pictures of check-ins of the last 7 days; where there are none the stored photos, each left out of ' +
              "its person's template",
          ),
        compared: z.number(),
        unreadable: z.number(),
        same: z.number().describe('Decided alike by both packs'),
        newly_recognised: z.array(z.number()).describe('Numbers of decisions, or of photos'),
        no_longer_recognised: z.array(z.number()),
        different_person: z.array(z.number()),
        from_ms: z.number().nullable().describe('Milliseconds of the networks for a picture'),
        to_ms: z.number().nullable(),
      })
      .nullable()
      .describe('What would have been decided differently; null until it is known'),
    thresholds: z
      .object({ from: z.number().nullable(), to: z.number() })
      .nullable()
      .describe('The confidence from which a person is recognised, with each pack'),
    error: z.string().nullable(),
    started_at: z.date(),
    started_by: z.string(),
    finished_at: z.date().nullable(),
  })
  .meta({ id: 'ModelSwitch' })

export const packSchema = z
  .object({
    name: z.string(),
    title: z.string(),
    description: z.string(),
    licence: z.string(),
    state: z
      .enum(['in_use', 'ready', 'not_installed', 'not_measured'])
      .describe('ready: it can be switched to. not_measured: nobody knows what its scores mean'),
    message: z.string().nullable().describe('What to do before it can be switched to'),
    files: z.array(z.object({ name: z.string(), sha256: z.string() })),
  })
  .meta({ id: 'ModelPack' })
