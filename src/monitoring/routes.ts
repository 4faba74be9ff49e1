import type { Clock } from '../shared/clock.ts'
import type { App } from '../shared/http.ts'
import type { HealthState } from './probe.ts'
import { type EngineStatus, type Health, healthSchema, liveSchema, readySchema } from './schema.ts'

interface HealthDeps {
  clock: Clock
  version: string
  engineStatus: () => EngineStatus
  health: () => HealthState
  databaseAnswers: () => Promise<boolean>
  inferenceWorks: () => Promise<boolean>
  deviceAuth: 'paired' | 'open'
}

/**
 * GET /health, which reads the last known state and asks nobody, and its short forms for load balancers. All are cheap,
 * and never refused for coming too often: a healthy server would be taken for one that is not.
 */
export function healthRoutes(app: App, deps: HealthDeps): void {
  app.get(
    '/health',
    {
      config: { access: 'public', rateLimit: false },
      schema: {
        tags: ['Health'],
        summary: 'State of the server and its parts; 503 when it cannot do its work',
        response: { 200: healthSchema, 503: healthSchema },
      },
    },
    async (_request, reply) => {
      const health = describeHealth(deps)
      return reply.code(health.status === 'healthy' ? 200 : 503).send(health)
    },
  )

  for (const url of ['/health/live', '/live'])
    app.get(
      url,
      {
        config: { access: 'public', rateLimit: false },
        schema: { tags: ['Health'], summary: 'The process answers', response: { 200: liveSchema } },
      },
      async () => ({ status: 'alive' as const }),
    )

  for (const url of ['/health/ready', '/ready'])
    app.get(
      url,
      {
        config: { access: 'public', rateLimit: false },
        schema: {
          tags: ['Health'],
          summary: 'The database answers now, and a face was embedded within the last seconds; 503 when not',
          response: { 200: readySchema, 503: readySchema },
        },
      },
      async (_request, reply) => {
        const [database, works] = await Promise.all([deps.databaseAnswers(), deps.inferenceWorks()])
        const models = works && deps.engineStatus().ready
        const ready = database && models
        return reply.code(ready ? 200 : 503).send({
          status: ready ? 'ready' : 'not_ready',
          database: database ? 'connected' : 'disconnected',
          ai_models: models ? 'ready' : 'not_ready',
        })
      },
    )
}

function describeHealth({ clock, version, engineStatus, health, deviceAuth }: HealthDeps): Health {
  const engine = engineStatus()
  const state = health()
  return {
    status: engine.ready && state.databaseConnected ? 'healthy' : 'degraded',
    database: state.databaseConnected ? 'connected' : 'disconnected',
    service: 'rollcall',
    active_devices: state.activeDevices,
    version,
    timestamp: clock.now(),
    liveness: engine.liveness,
    device_auth: deviceAuth,
    components: {
      database: state.databaseConnected ? 'healthy' : 'unhealthy',
      ai_models: engine.ready ? 'healthy' : 'degraded',
      active_devices: state.activeDevices,
    },
    system_load: {
      cpu_percent: state.cpuPercent,
      memory_percent: state.memoryPercent,
      disk_percent: state.diskPercent,
    },
  }
}
