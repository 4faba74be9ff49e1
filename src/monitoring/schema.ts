import { z } from 'zod'

/** What the face engine says of itself; app.ts passes it in. */
export interface EngineStatus {
  /** Detector and recogniser are loaded and checked. */
  ready: boolean
  /** Whether presentation attacks are looked for. */
  liveness: 'available' | 'unavailable' | 'off'
}

export const healthSchema = z
  .object({
    status: z.enum(['healthy', 'degraded']),
    database: z.enum(['connected', 'disconnected']),
    service: z.string(),
    active_devices: z.number(),
    version: z.string(),
    timestamp: z.date(),
    liveness: z
      .enum(['available', 'unavailable', 'off'])
      .describe('Whether presentation attacks are looked for'),
    components: z.object({
      database: z.enum(['healthy', 'unhealthy']),
      ai_models: z.enum(['healthy', 'degraded']),
      active_devices: z.number(),
    }),
    system_load: z.object({
      cpu_percent: z.number(),
      memory_percent: z.number(),
      disk_percent: z.number().nullable(),
    }),
  })
  .meta({ id: 'Health' })

export type Health = z.infer<typeof healthSchema>

export const liveSchema = z.object({ status: z.literal('alive') })

export const readySchema = z.object({
  status: z.enum(['ready', 'not_ready']),
  database: z.enum(['connected', 'disconnected']),
  ai_models: z.enum(['ready', 'not_ready']),
})
