import { z } from 'zod'
import type { FaceEngine } from '../face/engine.ts'
import type { Gallery } from './gallery.ts'

/** What the older system's clients read of the models, wherever they ask. */
export const modelsFigures = {
  models_loaded: z.object({
    face_detector: z.boolean(),
    anti_spoof: z.boolean().describe('Presentation attack detection'),
    face_recognizer: z.boolean(),
  }),
  performance: z.object({
    total_recognitions: z.number(),
    avg_processing_time: z.number().describe('Seconds'),
    cache_hits: z.number().describe('Always 0: there is no cache of embeddings to hit'),
    last_reset: z.date(),
  }),
  cache_size: z.number().describe('Templates held in memory for the search'),
}

/** The models as they are now, and what they have done since the start. */
export function modelsStatus({ engine, gallery }: { engine: FaceEngine; gallery: Gallery }) {
  const { analyses, meanMs, since } = engine.performance()
  const ready = engine.ready()
  return {
    models_loaded: {
      face_detector: ready,
      anti_spoof: ready && engine.looksForAttacks,
      face_recognizer: ready,
    },
    performance: {
      total_recognitions: analyses,
      avg_processing_time: meanMs / 1000,
      cache_hits: 0,
      last_reset: since,
    },
    cache_size: gallery.templates,
  }
}
