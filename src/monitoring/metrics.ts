import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { z } from 'zod'
import type { Database } from '../database/tables.ts'
import type { CachedEngine } from '../face/cache.ts'
import type { FaceEngine } from '../face/engine.ts'
import type { Stage } from '../face/pipeline.ts'
import type { Gallery } from '../gallery/gallery.ts'
import type { Clock } from '../shared/clock.ts'
import { backupFolder, type Config } from '../shared/config.ts'
import { type App, problems } from '../shared/http.ts'
import type { WorkQueue } from '../shared/work-queue.ts'
import type { HealthState } from './probe.ts'

interface MetricsDeps {
  config: Pick<Config, 'BACKUP_DIR' | 'DATA_DIR'>
  clock: Clock
  db: Database
  engine: CachedEngine
  gallery: Gallery
  queue: WorkQueue
  health: () => HealthState
  stages: Histogram<'stage'>
}

/** Routes that end as a check does: with a code, or a list of codes. */
const checkRoutes = new Set(['check', 'upload', 'batch'].map((name) => `/api/v1/attendance/${name}`))

/** Where `timed` writes how long the stages of an analysis took. */
export const stageTimes = () =>
  new Histogram({
    name: 'rollcall_stage_duration_seconds',
    help: 'How long each stage of looking at a picture took',
    labelNames: ['stage'],
    buckets: [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2],
    registers: [],
  })

/** The engine, with the time of each stage that it runs written down. */
export function timed<Engine extends FaceEngine>(engine: Engine, stages: Histogram<'stage'>): Engine {
  const noted = <Result extends { timings: Record<Stage, number> }>(result: Result): Result => {
    // A picture without a face never gets to the later ones, and one from the cache to none.
    for (const [stage, ms] of Object.entries(result.timings)) if (ms > 0) stages.observe({ stage }, ms / 1000)
    return result
  }
  return {
    ...engine,
    // They change with the pack.
    get pack() {
      return engine.pack
    },
    get looksForAttacks() {
      return engine.looksForAttacks
    },
    analyse: async (...picture) => noted(await engine.analyse(...picture)),
    analyseFrames: async (...pictures) => noted(await engine.analyseFrames(...pictures)),
  }
}

/**
 * GET /metrics for Prometheus, and the hooks that count for it. Routes stand there by their pattern, checks by how
 * they ended: no person, no kiosk and no address is named. Register it before the routes that it counts.
 */
export function metricsRoutes(app: App, deps: MetricsDeps): void {
  const register = new Registry()
  const registers = [register]
  collectDefaultMetrics({ register })
  register.registerMetric(deps.stages)
  countRequests(app, registers)
  countChecks(app, registers)
  gaugeParts(registers, deps)

  app.get(
    '/metrics',
    {
      config: { access: 'system:read' },
      schema: {
        tags: ['Health'],
        summary: 'Figures for Prometheus, in its text format',
        response: { 200: z.string(), ...problems },
      },
    },
    async (_request, reply) => reply.type(register.contentType).send(await register.metrics()),
  )
}

function countRequests(app: App, registers: Registry[]): void {
  const durations = new Histogram({
    name: 'rollcall_http_request_duration_seconds',
    help: 'How long answers took',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
    registers,
  })
  app.addHook('onResponse', async ({ method, routeOptions }, reply) => {
    const labels = { method, route: routeOptions.url ?? 'unknown', status: reply.statusCode }
    durations.observe(labels, reply.elapsedTime / 1000)
  })
}

function countChecks(app: App, registers: Registry[]): void {
  const outcomes = new Counter({
    name: 'rollcall_checks_total',
    help: 'Check-ins by how they ended',
    labelNames: ['outcome'],
    registers,
  })
  app.addHook('preSerialization', async ({ routeOptions }, _reply, payload) => {
    if (!checkRoutes.has(routeOptions.url ?? '')) return payload
    for (const answer of [payload].flat()) {
      const { code } = (answer ?? {}) as { code?: unknown }
      if (typeof code === 'string') outcomes.inc({ outcome: code })
    }
    return payload
  })
}

function gaugeParts(registers: Registry[], deps: MetricsDeps): void {
  const { db, engine, gallery, queue, health } = deps
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `rollcall_${name}`,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge('queue_running', 'Pictures that are being looked at', () => queue.running)
  gauge('queue_waiting', 'Pictures that wait for their turn', () => queue.waiting)
  gauge('engine_ready', '1 when the models are loaded', () => Number(engine.ready()))
  gauge(
    'engine_analyses_total',
    'Pictures and bursts that the networks looked at since the start',
    () => engine.performance().analyses,
  )
  gauge(
    'engine_analysis_seconds_mean',
    'Mean time of an analysis, those from the cache left out',
    () => engine.performance().meanMs / 1000,
  )
  gauge('engine_cache_hits_total', 'Pictures answered from the cache since the start', engine.cache.hits)
  gauge('engine_cache_size', 'Pictures whose analyses are kept', engine.cache.size)
  gauge('database_up', '1 while the database answers', () => Number(health().databaseConnected))
  gauge('database_answer_seconds', 'How long its last small answer took', () => health().databaseMs / 1000)
  gauge('gallery_people', 'People who can be recognised', () => gallery.people)
  gauge('gallery_templates', 'Templates held for the search', () => gallery.templates)
  new Gauge({
    name: 'rollcall_backup_age_seconds',
    help: 'Time since the newest backup in BACKUP_DIR was made; +Inf without one',
    registers,
    async collect() {
      this.set(await backupAgeSeconds(deps))
    },
  })
  new Gauge({
    name: 'rollcall_devices',
    help: 'Kiosks by whether they are active',
    labelNames: ['state'],
    registers,
    async collect() {
      const { rows } = await sql<{ active: number; inactive: number }>`SELECT
        count(*) FILTER (WHERE is_active)::int AS active,
        count(*) FILTER (WHERE NOT is_active)::int AS inactive FROM devices`.execute(db)
      this.set({ state: 'active' }, rows[0]!.active)
      this.set({ state: 'inactive' }, rows[0]!.inactive)
    },
  })
}

async function backupAgeSeconds({ config, clock }: MetricsDeps): Promise<number> {
  const folder = backupFolder(config)
  const names = await readdir(folder).catch(() => [])
  const times = names
    .filter((name) => name.endsWith('.zip'))
    // Gone in between: an old one that the new one takes the place of.
    .map((name) =>
      stat(join(folder, name)).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    )
  const newest = Math.max(0, ...(await Promise.all(times)))
  return newest === 0 ? Number.POSITIVE_INFINITY : Math.max(0, (clock.now().getTime() - newest) / 1000)
}
