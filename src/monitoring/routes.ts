import type { Clock } from '../shared/clock.ts'
import type { App } from '../shared/http.ts'
import type { HealthState } from './probe.ts'
import { type EngineStatus, type Health, healthSchema, liveSchema, readySchema } from './schema.ts'

interface HealthDeps {
  clock: Clock
  version: string
  engineStatus: () => EngineStatus
  health: () => HealthState
}

/** GET /health and its short forms for load balancers. They read the last known state and ask nobody. */
export function healthRoutes(app: App, deps: HealthDeps): void {
  app.get(
    '/health',
    {
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

  app.get(
    '/health/live',
    { schema: { tags: ['Health'], summary: 'The process answers', response: { 200: liveSchema } } },
    async () => ({ status: 'alive' as const }),
  )

  app.get(
    '/health/ready',
    {
      schema: {
        tags: ['Health'],
        summary: 'Database and models are ready; 503 when not',
        response: { 200: readySchema, 503: readySchema },
      },
    },
    async (_request, reply) => {
      const { status, database, components } = describeHealth(deps)
      const ready = status === 'healthy'
      return reply.code(ready ? 200 : 503).send({
        status: ready ? 'ready' : 'not_ready',
        database,
        ai_models: components.ai_models === 'healthy' ? 'ready' : 'not_ready',
      })
    },
  )
}

function describeHealth({ clock, version, engineStatus, health }: HealthDeps): Health {
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
