import { z } from 'zod'
import { curvesSchema, tailSchema } from './calibration-report.ts'

const confidence = z.number().min(0).max(1)
const interval = z.tuple([z.number(), z.number()]).describe('95% interval, from a bootstrap over people')

const alikeSchema = z.object({
  people: z
    .array(
      z.object({
        label: z.string().describe('Stands for the person where their name may not be seen'),
        employee_id: z.string().nullable(),
        name: z.string().nullable(),
      }),
    )
    .describe('Both; without id and name where you may not see both of them'),
  origin: z
    .enum(['calibration', 'dispute'])
    .describe('calibration: the networks find them alike; dispute: they were mixed up at a kiosk'),
  confidence: confidence.nullable().describe('How sure the pack is that they are one person'),
  margin: confidence.describe('How much surer the first of them must be than the second'),
})

export const calibrationSchema = z
  .object({
    id: z.int().describe('Also the version of centring mean and cohort'),
    pack: z.string(),
    scale: z.enum(['raw', 'normalised']).nullable().describe('null in those of an older version'),
    made_at: z.date(),
    people: z.int().describe('How many people it was taken from'),
    cohort_size: z.int().describe('People whom scores are normalised against; 0 for raw scores'),
    compared: z.int().describe('People who were compared with each other: all, or 5,000 drawn by a hash'),
    comparisons: z
      .int()
      .describe("Photos compared with another person, by the best of that person's templates"),
    message: z.string().describe('What it says, in words'),
    thresholds: z.object({
      in_force: confidence.describe('At the present number of people'),
      configured: confidence.describe('FACE_RECOGNITION_THRESHOLD: never below that'),
      pack: confidence.describe("What the pack's score table asks for"),
      site: confidence.nullable().describe('What the people of this site ask for; null: too few of them'),
      site_interval: interval.nullable(),
      lowered: z.boolean().describe('The term of the pack does not count, because it was accepted so'),
    }),
    fpir: z
      .object({
        target: z.number(),
        predicted: z.number().describe('Share of strangers who would be taken for somebody'),
        interval,
      })
      .nullable()
      .describe('At the threshold in force and the present number of people'),
    lowering: z.object({
      possible: z.boolean().describe('Whether accepting it would lower the threshold'),
      accepted_by: z.string().nullable(),
      accepted_at: z.date().nullable(),
    }),
    tail: tailSchema.omit({ replicates: true }).nullable().describe('Of the comparisons of different people'),
    curves: curvesSchema.nullable(),
    look_alikes: z.array(alikeSchema).describe('Pairs of people who are hard to tell apart'),
  })
  .meta({ id: 'Calibration' })

export const pastCalibrationSchema = calibrationSchema
  .pick({ id: true, pack: true, scale: true, made_at: true, people: true, cohort_size: true })
  .extend({
    comparisons: z.int().nullable(),
    threshold: confidence.nullable().describe('What the site asked for then'),
    accepted_by: z.string().nullable(),
    accepted_at: z.date().nullable(),
  })
  .meta({ id: 'PastCalibration' })
