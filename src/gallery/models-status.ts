import { z } from 'zod'
import type { CachedEngine } from '../face/cache.ts'

/** What the older system's clients read of the models, wherever they ask. */
export const modelsFigures = {
  models_loaded: z.object({
    face_detector: z.boolean(),
    anti_spoof: z.boolean().describe('Presentation attack detection'),
    face_recognizer: z.boolean(),
  }),
  performance: z.object({
    total_recognitions: z
      .number()
      .describe('Pictures, or bursts of them, that were analysed or found in the cache'),
    avg_processing_time: z
      .number()
      .describe('Seconds that an analysis took, on average; what was found in the cache does not count'),
    cache_hits: z.number().describe('Pictures found in the cache: no network had to run'),
    last_reset: z.date(),
  }),
  cache_size: z.number().describe('Pictures whose analyses are kept, 1000 at most'),
}

/** The models as they are now, and what they have done since the start. */
export function modelsStatus({ engine }: { engine: CachedEngine }) {
  const { analyses, meanMs, since } = engine.performance()
  const ready = engine.ready()
  return {
    models_loaded: {
      face_detector: ready,
      anti_spoof: ready && engine.looksForAttacks,
      face_recognizer: ready,
    },
    performance: {
      total_recognitions: analyses + engine.cache.hits(),
      avg_processing_time: meanMs / 1000,
      cache_hits: engine.cache.hits(),
      last_reset: since,
    },
    cache_size: engine.cache.size(),
  }
}
