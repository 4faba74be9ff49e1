import { z } from 'zod'
import { employeeId } from '../employees/schema.ts'
import { oneOrMore, text, uploadedFile, wholeNumber } from '../shared/http.ts'
import { MAX_PHOTOS } from './enrol.ts'
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

export const photoForm = z
  .object({
    photo: oneOrMore(uploadedFile, MAX_PHOTOS).describe(
      `1 to ${MAX_PHOTOS} photos of the person, JPEG, PNG or WebP, each with one face; together not larger than one upload may be`,
    ),
    selected_avatar_index: wholeNumber(0, MAX_PHOTOS - 1)
      .optional()
      .describe(
        'Which of these photos, counted from 0, is to be the avatar. When missing the avatar stays; where there is none, ' +
          'the first photo becomes it',
      ),
    consent: consentGiven,
  })
  .refine(({ photo, selected_avatar_index: index }) => index === undefined || index < photo.length, {
    path: ['selected_avatar_index'],
    error: 'must be the place of one of the photos, counted from 0',
  })
export const faceForm = z.object({
  file: uploadedFile.describe('JPEG, PNG or WebP with one face'),
  consent: consentGiven,
})

export const processForm = z.object({
  image: uploadedFile.describe('JPEG, PNG or WebP'),
  employee_id: employeeId.optional().describe('Compare the face with this person'),
})

const sameFaces = z.array(
  z.object({
    employee_id: z.string().nullable().describe('Null for somebody whom the caller may not see'),
    name: z.string().nullable(),
    confidence: z.number(),
  }),
)

const photoResultSchema = z.object({
  filename: z.string().describe('What the client called it'),
  accepted: z.boolean(),
  code: z.string().nullable().describe('Why it was refused'),
  message: z.string().nullable(),
  photo_id: z.number().nullable(),
  is_avatar: z.boolean(),
  already_stored: z.boolean(),
  quality: z
    .object({ score: z.number(), parts: z.record(z.string(), z.number()) })
    .nullable()
    .describe('Null where there was no one face to assess'),
  reasons: z.array(z.string()).describe('The parts of the quality that fall short, worst first'),
  advice: z.array(z.string()).describe('What to do about each of them'),
  same_person: z
    .object({ same: z.boolean(), likeness: z.number().describe('On the scale of confidence') })
    .nullable()
    .describe(
      "Whether the face is that of the person's other photos, stored and sent along; null without any",
    ),
  also_enrolled_as: sameFaces.describe('Others whom this face identifies'),
})

export type PhotoAnswer = z.infer<typeof photoResultSchema>

export const enrolledSchema = z
  .object({
    success: z.literal(true),
    message: z.string(),
    employee_id: z.string(),
    photo_id: z
      .number()
      .describe('Of several photos the first that was accepted; so are the keys about one photo'),
    template_id: z.number(),
    slot: z.number(),
    photos: z.number().describe('How many photos the template is made of'),
    is_avatar: z.boolean(),
    already_stored: z.boolean().describe('The same picture was there; nothing changed'),
    also_enrolled_as: sameFaces.describe(
      'Others whom an accepted face identifies: the same person under another id, or a twin',
    ),
    warning: z.string().nullable(),
    quality_score: z.number(),
    reasons: z.array(z.string()),
    liveness: livenessSchema,
    results: z
      .array(photoResultSchema)
      .describe('What became of each photo, in the order in which they were sent'),
    avatar_refused: z
      .boolean()
      .describe('The photo that was to be the avatar was refused: the avatar did not change to it'),
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
    quality_score: z.number().describe('The worst part of the quality. The parts themselves are not kept'),
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
    is_real: z
      .boolean()
      .nullable()
      .describe(
        'What an installed network says of a presentation attack; null where it is not sure or there is none',
      ),
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

export const identifyForm = z.object({
  image: uploadedFile.describe('JPEG, PNG or WebP with one face'),
  top: wholeNumber(1, 20).default(5).describe('How many people to name'),
})

export const identifiedSchema = z
  .object({
    success: z.literal(true),
    candidates: z
      .array(
        z.object({
          employee_id: z.string().nullable().describe('Null for somebody whom the caller may not see'),
          name: z.string().nullable(),
          confidence: z.number(),
          above_threshold: z.boolean(),
          look_alike: z.boolean().describe('Known to be hard to tell from the first'),
        }),
      )
      .describe('Best first'),
    threshold: z.number().describe('The confidence from which a person is recognised now'),
    people: z.number().describe('How many were compared'),
    liveness: livenessSchema,
    processing_time: z.number().describe('Seconds'),
  })
  .meta({ id: 'Identified' })

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
    liveness: z
      .enum(['available', 'unavailable'])
      .describe(
        'Whether a network against presentation attacks is installed; bursts and challenges need none',
      ),
  })
  .meta({ id: 'ModelsStatus' })
