import { z } from 'zod'
import { employeeId } from '../employees/schema.ts'
import { text, uploadedFile } from '../shared/http.ts'
import { modelsFigures } from './models-status.ts'

export const livenessSchema = z
  .enum(['bona_fide', 'attack', 'undecided', 'unavailable'])
  .describe('What presentation attack detection says; unavailable: nothing was checked, and nothing passed')

export const photoPath = z.object({
  employee_id: employeeId,
  photo_id: z
    .string()
    .regex(/^[1-9][0-9]{0,8}$/, { error: 'must be the number of a photo' })
    .transform(Number),
})

export const templatePath = z.object({
  employee_id: employeeId,
  template_id: z
    .string()
    .regex(/^[1-9][0-9]{0,8}$/, { error: 'must be the number of a template' })
    .transform(Number),
})

export const avatarSchema = z.object({
  photo_id: z.int().min(1).max(2_147_483_647).describe('One of the photos of the person'),
})

const consentGiven = text(100)
  .optional()
  .describe('Text version: also records that the person agreed to this text, before the photo is added')

export const photoForm = z.object({
  photo: uploadedFile.describe('JPEG, PNG or WebP with one face'),
  consent: consentGiven,
})
export const faceForm = z.object({
  file: uploadedFile.describe('JPEG, PNG or WebP with one face'),
  consent: consentGiven,
})

export const processForm = z.object({
  image: uploadedFile.describe('JPEG, PNG or WebP'),
  employee_id: employeeId.optional().describe('Compare the face with this person'),
})

export const enrolledSchema = z
  .object({
    success: z.literal(true),
    message: z.string(),
    employee_id: z.string(),
    photo_id: z.number(),
    template_id: z.number(),
    slot: z.number(),
    photos: z.number().describe('How many photos the template is made of'),
    is_avatar: z.boolean(),
    already_stored: z.boolean().describe('The same picture was there; nothing changed'),
    also_enrolled_as: z
      .array(
        z.object({
          employee_id: z.string(),
          name: z.string().nullable().describe('Null for somebody whom the caller may not see'),
          confidence: z.number(),
        }),
      )
      .describe('Others whom this face identifies: the same person under another id, or a twin'),
    warning: z.string().nullable(),
    quality_score: z.number(),
    reasons: z.array(z.string()),
    liveness: livenessSchema,
    processing_time: z.number().describe('Seconds'),
  })
  .meta({ id: 'Enrolled' })

export const photoSchema = z
  .object({
    photo_id: z.number(),
    filename: z.string(),
    url: z.string(),
    content_type: z.string(),
    size_bytes: z.number(),
    width_px: z.number(),
    height_px: z.number(),
    quality_score: z.number(),
    created_from: z.enum(['ADMIN_UPLOAD', 'ATTENDANCE']),
    is_avatar: z.boolean(),
    created_at: z.date(),
  })
  .meta({ id: 'Photo' })

export const photoDeletedSchema = z.object({
  success: z.literal(true),
  message: z.string(),
  remaining_photos: z.number(),
})

export const avatarChosenSchema = z.object({
  success: z.literal(true),
  message: z.string(),
  photo_id: z.number(),
})

export const templateDeletedSchema = z.object({
  success: z.literal(true),
  message: z.string(),
  remaining_templates: z.number(),
})

export const rebuiltSchema = z.object({
  success: z.literal(true),
  message: z.string(),
  template_id: z.number(),
  slot: z.number(),
})

export const newConsentSchema = z.object({
  text_version: text(100).describe('Which text the person agreed to, for example 2025-03'),
})

export const consentSchema = z
  .object({
    consent_id: z.number(),
    text_version: z.string(),
    given_at: z.date(),
    given_by: z.string().describe('Who wrote it down'),
    withdrawn_at: z.date().nullable(),
  })
  .meta({ id: 'Consent' })

const erasedCounts = {
  success: z.literal(true),
  message: z.string(),
  deleted_photos: z.number(),
  deleted_face_templates: z.number(),
}

export const erasureSchema = z
  .object({
    erasure_id: z.number(),
    employee_id: z.string(),
    key_id: z.string().describe('The key that everything was sealed with'),
    at: z.date(),
    by: z.string(),
    reason: z.enum(['erase', 'consent_withdrawn', 'employment_ended', 'purge', 'retention', 'restore']),
    deleted_photos: z.number(),
    deleted_face_templates: z.number(),
    key_erased: z.boolean().describe('Whether the key is gone now: without it no copy of the data opens'),
    ledger: z
      .object({ seq: z.number(), mac: z.string() })
      .nullable()
      .describe('The entry that proves the certificate'),
  })
  .meta({ id: 'Erasure' })

const certificate = erasureSchema.nullable().describe('Null where nothing was ever stored')

export const consentWithdrawnSchema = z.object({
  ...erasedCounts,
  withdrawn_consents: z.number(),
  erasure: certificate,
})

export const erasedSchema = z.object({
  ...erasedCounts,
  retained_attendance_records: z.number(),
  erasure: certificate,
})

export const exportQuery = z.object({
  format: z.enum(['json', 'zip']).optional().describe('json, unless Accept asks for application/zip'),
})

const rows = (what: string) => z.array(z.looseObject({ id: z.number() })).describe(what)

export const personalDataSchema = z
  .object({
    exported_at: z.date(),
    employee: z.looseObject({ employee_id: z.string(), name: z.string() }),
    photos: rows('Facts about each photo'),
    templates: rows('Facts about each template'),
    consents: rows('Given and withdrawn'),
    erasures: z.array(erasureSchema).describe('Certificates of what was erased'),
    punches: rows('Every attendance record'),
    decisions: rows('What led to them; other people in a comparison are left out'),
  })
  .meta({ id: 'PersonalData' })

export const templateSchema = z
  .object({
    template_id: z.number(),
    image_id: z.number().describe('Slot: 1 made of the uploaded photos, 2 and 3 learned at check-ins'),
    pack: z.string(),
    is_primary: z.boolean(),
    created_from: z.enum(['ADMIN_UPLOAD', 'ATTENDANCE']),
    quality_score: z.number(),
    confidence_score: z.number(),
    match_count: z.number(),
    last_matched: z.date().nullable(),
    avg_match_confidence: z.number(),
    created_at: z.date(),
    updated_at: z.date(),
    active_from: z.date().nullable().describe('A learned template is not searched before'),
    is_suspended: z.boolean().describe('Not searched, because its punch is disputed'),
    parent_id: z.number().nullable().describe('The template that recognised the face it was learned from'),
    learned_from: z.number().nullable().describe('The punch that it was learned from'),
    photo_id: z.number().nullable().describe('The photo that it was learned from'),
  })
  .meta({ id: 'Template' })

export const processedSchema = z
  .object({
    success: z.literal(true),
    face_detected: z.literal(true),
    is_real: z.null().describe('Presentation attack detection is not available: neither real nor fake'),
    liveness: livenessSchema,
    embedding_extracted: z.literal(true),
    match_result: z
      .object({
        employee_id: z.string(),
        matched: z.boolean(),
        confidence: z.number(),
        threshold: z.number(),
        message: z.string(),
      })
      .optional(),
    message: z.string(),
    quality: z.object({
      score: z.number(),
      parts: z.record(z.string(), z.number()),
      reasons: z.array(z.string()),
    }),
    pose: z.object({ yaw: z.number(), pitch: z.number(), roll: z.number() }).describe('Degrees'),
    face_box: z
      .object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() })
      .describe('In pixels of the upright picture of `picture` size'),
    picture: z.object({ width_px: z.number(), height_px: z.number() }),
    processing_time: z.number().describe('Seconds'),
  })
  .meta({ id: 'Processed' })

export const verifyForm = z.object({
  image: uploadedFile.describe('JPEG, PNG or WebP with one face'),
  employee_id: employeeId.describe('The person whom the face is said to be of'),
})

export const verifiedSchema = z
  .object({
    success: z.literal(true),
    verified: z.boolean(),
    employee_id: z.string(),
    confidence: z.number().describe('0 where the person has no active template'),
    threshold: z.number().describe('From this confidence on the face is verified'),
    message: z.string(),
    liveness: livenessSchema,
    processing_time: z.number().describe('Seconds'),
  })
  .meta({ id: 'Verified' })

export const trainSchema = z
  .object({
    employee_ids: z
      .array(employeeId)
      .min(1)
      .max(10_000)
      .optional()
      .describe('Everybody who has photos, when it is missing'),
  })
  .nullish()

export const trainedSchema = z
  .object({
    success: z.literal(true),
    trained: z.number().describe('How many people have a new template'),
    skipped: z.array(
      z.object({
        employee_id: z.string(),
        reason: z.string().describe('no_photos, photo_missing, or the code of a refusal such as no_face'),
      }),
    ),
    processing_time: z.number().describe('Seconds'),
  })
  .meta({ id: 'Trained' })

export const modelsStatusSchema = z
  .object({
    ...modelsFigures,
    pack: z.string(),
    embedding_dimension: z.number(),
    people: z.number(),
    threshold: z.number().describe('The confidence from which a person is recognised now'),
    score_scale: z.enum(['raw', 'normalised']),
    calibration_id: z.number().nullable(),
    liveness: livenessSchema,
  })
  .meta({ id: 'ModelsStatus' })
