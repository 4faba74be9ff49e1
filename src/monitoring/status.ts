import { sql } from 'kysely'
import { today } from '../attendance/punches.ts'
import type { Database } from '../database/tables.ts'
import type { CachedEngine } from '../face/cache.ts'
import { modelsStatus } from '../gallery/models-status.ts'
import type { Clock } from '../shared/clock.ts'
import { type App, problems } from '../shared/http.ts'
import { type SystemStatus, systemStatusSchema } from './schema.ts'

interface StatusDeps {
  db: Database
  clock: Clock
  timeZone: string
  engine: CachedEngine
}

/** The overview for whoever runs the place. */
export function statusRoutes(app: App, deps: StatusDeps): void {
  app.get(
    '/device-management/status',
    {
      config: { access: 'system:read' },
      schema: {
        tags: ['Device management'],
        summary: 'Kiosks, punches of today, models and figures at a glance',
        response: { 200: systemStatusSchema, ...problems },
      },
    },
    () => systemStatus(deps),
  )
}

async function systemStatus(deps: StatusDeps): Promise<SystemStatus> {
  const figures = await readFigures(deps.db, deps.clock.now(), deps.timeZone)
  const status = modelsStatus(deps)
  return {
    devices: {
      total: figures.total_devices,
      active: figures.active_devices,
      inactive: figures.total_devices - figures.active_devices,
    },
    attendance: { today: figures.today_attendance },
    ai_models: status.models_loaded,
    // Without presentation attack detection the server works as it was set up to.
    system_health: deps.engine.ready() ? 'healthy' : 'degraded',
    ...figures,
    ...status,
  }
}

type Figures = Pick<
  SystemStatus,
  | 'total_employees'
  | 'total_devices'
  | 'active_devices'
  | 'today_attendance'
  | 'total_templates'
  | 'avg_confidence'
>

async function readFigures(db: Database, now: Date, timeZone: string): Promise<Figures> {
  const view = { departments: undefined, timeZone }
  const punches = await today(db, { limit: 1, skip: 0 }, now, view)
  const { rows } = await sql<Omit<Figures, 'today_attendance'>>`
    SELECT
      (SELECT count(*)::int FROM employees WHERE ended_at IS NULL) AS total_employees,
      (SELECT count(*)::int FROM devices) AS total_devices,
      (SELECT count(*)::int FROM devices WHERE is_active) AS active_devices,
      (SELECT count(*)::int FROM face_templates) AS total_templates,
      (SELECT coalesce(avg(confidence_score), 0)::float8 FROM attendance JOIN decisions
        ON decisions.id = decision_id AND kind = 'face') AS avg_confidence`.execute(db)
  return { ...rows[0]!, today_attendance: punches?.total ?? 0 }
}
