import { randomUUID } from 'node:crypto'
import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import { fastify, LogController } from 'fastify'
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod'
import { attendanceRoutes } from './attendance/routes.ts'
import { isConnectionError } from './database/errors.ts'
import type { Database } from './database/tables.ts'
import { deviceRoutes } from './devices/routes.ts'
import { employeeRoutes } from './employees/routes.ts'
import type { FaceEngine } from './face/engine.ts'
import { eraseBiometrics } from './gallery/enrol.ts'
import type { Gallery } from './gallery/gallery.ts'
import type { PhotoStore } from './gallery/photo-store.ts'
import { galleryRoutes } from './gallery/routes.ts'
import { startHealthProbe } from './monitoring/probe.ts'
import { healthRoutes } from './monitoring/routes.ts'
import type { Clock } from './shared/clock.ts'
import type { Config } from './shared/config.ts'
import { AppError } from './shared/errors.ts'
import {
  type App,
  answerClientError,
  registerErrorHandling,
  registerUploads,
  requestIdHeader,
  sendProblem,
} from './shared/http.ts'
import type { Logger } from './shared/log.ts'
import type { WorkQueue } from './shared/work-queue.ts'

/** Everything the application stands on, made by main.ts or by a test. */
export interface AppDeps {
  config: Config
  db: Database
  log: Logger
  clock: Clock
  version: string
  engine: FaceEngine
  gallery: Gallery
  photos: PhotoStore
  /** Where pictures wait for the networks. */
  queue: WorkQueue
}

/** Builds the HTTP application; it neither listens nor opens the database. The caller closes it. */
export async function buildApp(deps: AppDeps): Promise<App> {
  const { config, gallery } = deps
  const app = createServer(deps)
  logRequests(app)
  stopInOrder(app)
  registerErrorHandling(app, isConnectionError)
  await registerUploads(app, config.MAX_UPLOAD_SIZE)
  await registerDocumentation(app, deps.version)

  const probe = startHealthProbe(deps.db, config.DATA_DIR)
  app.addHook('onReady', () => probe.firstResult)
  app.addHook('onClose', async () => probe.stop())
  // Presentation attacks are not looked for yet.
  const engineStatus = () => ({ ready: deps.engine.ready(), liveness: 'unavailable' as const })
  healthRoutes(app, { ...deps, engineStatus, health: probe.state })

  await app.register(
    async (scope) => {
      const api = scope.withTypeProvider<ZodTypeProvider>()
      // Every room writes its paths below /api/v1. What one room needs of another is passed in here.
      employeeRoutes(api, {
        ...deps,
        eraseBiometrics: (trx, employeeId) => eraseBiometrics(deps, trx, employeeId),
        onEmployeeChanged: (employeeId) => gallery.refresh(employeeId),
      })
      deviceRoutes(api, deps)
      galleryRoutes(api, { ...deps, threshold: config.FACE_RECOGNITION_THRESHOLD })
      attendanceRoutes(api, {
        ...deps,
        timeZone: config.TIME_ZONE,
        padPolicy: config.ANTI_SPOOFING_ENABLED ? 'flag' : 'off',
        duplicateWindowMs: config.DUPLICATE_WINDOW_S * 1000,
      })
    },
    { prefix: '/api/v1' },
  )
  return app
}

function createServer(deps: AppDeps): App {
  const app = fastify({
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: () => randomUUID(),
    // A slow sender must not hold a connection for ever; 10 MB over a poor mobile link take about a minute.
    requestTimeout: 120_000,
    connectionTimeout: 90_000,
    // Refused in the same shape as everything else: see `stopInOrder`.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    bodyLimit: 256 * 1024,
    // An id of 64 Vietnamese characters, percent-encoded, is far longer than the router's default of 100.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1000 },
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply)
      // No hook runs for what has no route.
      request.log.info({ method: request.method, route: 'unknown', status: reply.statusCode }, 'request')
    },
    clientErrorHandler: answerClientError,
  }).withTypeProvider<ZodTypeProvider>()
  // No route takes a plain text: it is refused for what it is, not as an object that lacks its fields.
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  return app as unknown as App
}

/** One line a request: the route's pattern instead of the address, because addresses hold people's ids. */
function logRequests(app: App): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header(requestIdHeader, request.id)
  })
  app.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions } = request
    const ms = Math.round(reply.elapsedTime * 10) / 10
    request.log.info(
      { method, route: routeOptions.url ?? 'unknown', status: reply.statusCode, ms },
      'request',
    )
  })
  app.addHook('onRequestAbort', async (request) => {
    const { method, routeOptions } = request
    request.log.info({ method, route: routeOptions.url ?? 'unknown' }, 'request cut off by the client')
  })
}

/** How long answers that are under way may take once the server stops. */
const STOP_PATIENCE_MS = 10_000

/** While the server stops, what it took is answered and each connection ends with its answer; what comes is refused. */
function stopInOrder(app: App): void {
  let stopping = false
  app.addHook('preClose', async () => {
    stopping = true
    setTimeout(() => app.server.closeAllConnections(), STOP_PATIENCE_MS).unref()
  })
  app.addHook('onRequest', async () => {
    if (stopping) throw new AppError('stopping', 'The server is stopping. Try again in a moment.')
  })
  app.addHook('onSend', async (_request, reply) => {
    if (stopping) reply.header('connection', 'close')
  })
}

async function registerDocumentation(app: App, version: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Rollcall', description: 'Time attendance with face recognition', version },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => withoutUnusedSchemas(jsonSchemaTransformObject(document)),
  })
  await app.register(fastifySwaggerUi, { routePrefix: '/docs' })
  app.get('/', { schema: { hide: true } }, (_request, reply) => reply.redirect('/docs'))
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}

/** The type provider lists every named schema twice, as it is read and as it is written; one of them is unused. */
function withoutUnusedSchemas<Document extends object>(document: Document): Document {
  const everything = JSON.stringify(document)
  const { components } = document as { components?: { schemas?: Record<string, unknown> } }
  const schemas = Object.entries(components?.schemas ?? {})
  const used = schemas.filter(([name]) => everything.includes(`"#/components/schemas/${name}"`))
  return { ...document, components: { ...components, schemas: Object.fromEntries(used) } }
}
