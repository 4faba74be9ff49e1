import { z } from 'zod'
import { modelsFigures } from '../gallery/models-status.ts'

/** What the face engine says of itself; app.ts passes it in. */
export interface EngineStatus {
  /** Detector and recogniser are loaded and checked. */
  ready: boolean
  /** Whether presentation attacks are looked for. */
  liveness: 'available' | 'off'
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
      .enum(['available', 'off'])
      .describe('Whether presentation attacks are looked for where a kiosk has no policy of its own'),
    device_auth: z
      .enum(['paired', 'open'])
      .describe('open: any caller may be any registered kiosk, because DEVICE_AUTH says so'),
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

export const backupPath = z.object({
  name: z.string().describe('As the list has it; with .keys for the file of its keys'),
})

export const backupSchema = z
  .object({
    name: z.string(),
    made_at: z.date(),
    bytes: z.number(),
    has_keys: z.boolean().describe('Whether the file of its keys lies beside it'),
  })
  .meta({ id: 'Backup' })

export const backupsAnswer = z.object({
  folder: z.string().describe("On the server's disk"),
  nightly_hour: z
    .number()
    .nullable()
    .describe('When one is made each night, in TIME_ZONE; null where none is'),
  making: z.boolean().describe('Whether one is being made that was asked for here'),
  backups: z.array(backupSchema),
})

export type Backup = z.infer<typeof backupSchema>

/** The older system's overview and its figures under one roof. */
export const systemStatusSchema = z
  .object({
    devices: z.object({ total: z.number(), active: z.number(), inactive: z.number() }),
    attendance: z.object({
      today: z.number().describe('The punches that count since midnight, at each site by its own time zone'),
    }),
    ai_models: modelsFigures.models_loaded,
    system_health: z.enum(['healthy', 'degraded']),
    total_employees: z.number().describe('People in employment'),
    total_devices: z.number(),
    active_devices: z.number(),
    today_attendance: z.number(),
    total_templates: z.number(),
    avg_confidence: z.number().describe('Of all punches by face; 0 without any'),
    ...modelsFigures,
  })
  .meta({ id: 'SystemStatus' })

export type SystemStatus = z.infer<typeof systemStatusSchema>
