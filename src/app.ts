import { randomUUID } from 'node:crypto'
import fastifyCookie from '@fastify/cookie'
import fastifyCors from '@fastify/cors'
import fastifyHelmet from '@fastify/helmet'
import { fastify, LogController } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { caRoute } from './access/ca-route.ts'
import { callerId } from './access/caller.ts'
import { isStill, registerGuard } from './access/guard.ts'
import { limitAddresses, limitCallers } from './access/rate-limit.ts'
import { authRoutes } from './access/routes.ts'
import { deriveKey } from './access/secret.ts'
import { disputeRoutes } from './attendance/dispute-routes.ts'
import { explainRoutes } from './attendance/explain-routes.ts'
import { pinRoutes } from './attendance/pin-routes.ts'
import { attendanceRoutes } from './attendance/routes.ts'
import { syncRoutes } from './attendance/sync-routes.ts'
import { isConnectionError } from './database/errors.ts'
import type { Database } from './database/tables.ts'
import { cleanUpEachMinute } from './devices/clean-up.ts'
import { localNetwork, type Network } from './devices/discovery.ts'
import { kioskOfKey } from './devices/keys.ts'
import { deviceManagementRoutes } from './devices/management-routes.ts'
import { registerNetworkLog } from './devices/network-log.ts'
import { deviceRoutes } from './devices/routes.ts'
import { employeeRoutes } from './employees/routes.ts'
import type { CachedEngine } from './face/cache.ts'
import { bulkPhotoRoutes } from './gallery/bulk-photos.ts'
import { calibrationRoutes } from './gallery/calibration-routes.ts'
import { eraseBiometrics } from './gallery/erase.ts'
import type { Gallery } from './gallery/gallery.ts'
import type { Learner } from './gallery/learn.ts'
import { livenessRoutes } from './gallery/liveness-routes.ts'
import type { ModelSwitch } from './gallery/model-switch.ts'
import { modelSwitchRoutes } from './gallery/model-switch-routes.ts'
import type { PhotoStore } from './gallery/photo-store.ts'
import { recognitionRoutes } from './gallery/recognition-routes.ts'
import { galleryRoutes } from './gallery/routes.ts'
import type { Author, Ledger } from './ledger/ledger.ts'
import { ledgerRoutes } from './ledger/routes.ts'
import { backupRoutes } from './monitoring/backup-routes.ts'
import { metricsRoutes, stageTimes, timed } from './monitoring/metrics.ts'
import { inferenceProbe, startHealthProbe } from './monitoring/probe.ts'
import { healthRoutes } from './monitoring/routes.ts'
import { statusRoutes } from './monitoring/status.ts'
import { registerDocumentation } from './openapi.ts'
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
import { localTlsFiles, type Tls } from './shared/tls.ts'
import type { WorkQueue } from './shared/work-queue.ts'
import { siteRoutes } from './sites/routes.ts'
import { openBox } from './vault/box.ts'
import type { Vault } from './vault/vault.ts'
import { webRoutes } from './web.ts'

/** Everything the application stands on, made by main.ts or by a test. */
export interface AppDeps {
  config: Config
  db: Database
  log: Logger
  clock: Clock
  version: string
  engine: CachedEngine
  gallery: Gallery
  /** What learns templates from checks, beside them. */
  learner: Learner
  photos: PhotoStore
  /** Changes the models behind engine and gallery. */
  modelSwitch: ModelSwitch
  /** The keys that photos and templates are sealed with. */
  vault: Vault
  /** What every change goes through. */
  ledger: Ledger
  /** Where pictures wait for the networks. */
  queue: WorkQueue
  /** What tokens are signed and second factors sealed with. */
  secret: Buffer
  /** What HTTPS is served with; plain HTTP without it. */
  tls?: Tls
  /** Makes a backup and resolves to its file; undefined where the server makes none. */
  backUp?: (author: Author) => Promise<string>
  /** The network in which kiosks are looked for; this machine's, unless a test has one of its own. */
  network?: Network
}

/** Builds the HTTP application; it neither listens nor opens the database. The caller closes it. */
export async function buildApp(given: AppDeps): Promise<App> {
  const stages = stageTimes()
  const engine = timed(given.engine, stages)
  const deps = { ...given, engine, forgetPictures: engine.cache.forget }
  const { config, gallery } = deps
  const app = createServer(deps)
  logRequests(app)
  stopInOrder(app)
  limitConnections(app)
  await protectBrowsers(app, config.CORS_ORIGINS)
  demandHttps(app, deps.tls)
  await limitAddresses(app, config.RATE_LIMIT)
  registerErrorHandling(app, isConnectionError)
  const tokenKey = deriveKey(deps.secret, 'access tokens')
  await app.register(fastifyCookie)
  const guard = {
    ...deps,
    tokenKey,
    deviceAuth: config.DEVICE_AUTH,
    origins: config.CORS_ORIGINS,
    kioskOfKey: (keyHash: string, author: Author) => kioskOfKey(deps, keyHash, author),
  }
  registerGuard(app, guard)
  limitCallers(app, config.RATE_LIMIT)
  registerNetworkLog(app, deps)
  cleanUpEachMinute(app, { ...deps, logDays: config.RETENTION_NETWORK_LOG_DAYS })
  await registerUploads(app, config.MAX_UPLOAD_SIZE)
  await registerDocumentation(app, deps.version)

  await webRoutes(app)
  caRoute(app, localTlsFiles(config.DATA_DIR).ca)
  const probe = startHealthProbe(deps.db, config.DATA_DIR)
  app.addHook('onReady', () => probe.firstResult)
  app.addHook('onClose', async () => probe.stop())
  const liveness = config.ANTI_SPOOFING_ENABLED ? ('available' as const) : ('off' as const)
  const engineStatus = () => ({ ready: deps.engine.ready(), liveness })
  healthRoutes(app, {
    ...deps,
    engineStatus,
    health: probe.state,
    databaseAnswers: probe.databaseAnswers,
    inferenceWorks: inferenceProbe(deps.engine),
    deviceAuth: config.DEVICE_AUTH,
  })
  metricsRoutes(app, { ...deps, stages, health: probe.state })

  const box = await openBox(deps.vault, 'kiosk-queue')
  await app.register(
    async (scope) => {
      const api = scope.withTypeProvider<ZodTypeProvider>()
      // Every room writes its paths below /api/v1. What one room needs of another is passed in here.
      authRoutes(api, {
        ...deps,
        tokenKey,
        sealingKey: deriveKey(deps.secret, 'second factors'),
        accessTokenMs: config.ACCESS_TOKEN_EXPIRE_MINUTES * 60_000,
      })
      ledgerRoutes(api, deps)
      siteRoutes(api, deps)
      backupRoutes(api, deps)
      statusRoutes(api, { ...deps, timeZone: config.TIME_ZONE })
      employeeRoutes(api, {
        ...deps,
        eraseBiometrics: (trx, employeeId, reason) => eraseBiometrics(deps, trx, employeeId, reason),
        onEmployeeChanged: (employeeId) => gallery.refresh(employeeId),
      })
      deviceRoutes(api, { ...deps, sealingKey: box.publicKey, timeZone: config.TIME_ZONE })
      deviceManagementRoutes(api, {
        ...deps,
        network: deps.network ?? localNetwork,
        discovery: config.DISCOVERY,
        scanNetworks: config.SCAN_NETWORKS,
        scanPorts: config.SCAN_PORTS,
      })
      bulkPhotoRoutes(api, {
        ...deps,
        folder: config.DATA_DIR,
        maxPhotoBytes: config.MAX_UPLOAD_SIZE,
      })
      galleryRoutes(api, { ...deps, timeZone: config.TIME_ZONE })
      modelSwitchRoutes(api, deps)
      livenessRoutes(api, deps)
      recognitionRoutes(api, { ...deps, threshold: config.FACE_RECOGNITION_THRESHOLD })
      calibrationRoutes(api, { ...deps, threshold: config.FACE_RECOGNITION_THRESHOLD })
      explainRoutes(api, { ...deps, timeZone: config.TIME_ZONE })
      const checkIns = {
        ...deps,
        timeZone: config.TIME_ZONE,
        padPolicy: config.ANTI_SPOOFING_ENABLED ? ('flag' as const) : ('off' as const),
        duplicateWindowMs: config.DUPLICATE_WINDOW_S * 1000,
      }
      syncRoutes(api, { ...checkIns, box })
      pinRoutes(api, checkIns)
      attendanceRoutes(api, { ...checkIns, isStill: (request) => isStill(request, guard) })
      disputeRoutes(api, {
        ...deps,
        timeZone: config.TIME_ZONE,
        duplicateWindowMs: config.DUPLICATE_WINDOW_S * 1000,
      })
    },
    { prefix: '/api/v1' },
  )
  return app
}

function createServer(deps: AppDeps): App {
  const { tls } = deps
  const app = fastify({
    ...(tls && { https: { cert: tls.cert, key: tls.key, handshakeTimeout: 10_000 } }),
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: () => randomUUID(),
    // A slow sender must not hold a connection for ever; 10 MB over a poor mobile link take about a minute.
    requestTimeout: 120_000,
    connectionTimeout: 90_000,
    keepAliveTimeout: 60_000,
    maxRequestsPerSocket: 10_000,
    trustProxy: deps.config.TRUST_PROXY.length > 0 ? deps.config.TRUST_PROXY : false,
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
  takeEmptyJson(app as unknown as App)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  return app as unknown as App
}

/** Many clients call every body JSON, also none: where a route takes no body, an empty one is nothing to refuse. */
function takeEmptyJson(app: App): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '' && request.routeOptions.schema?.body === undefined) done(null, undefined)
    else parse(request, body, done)
  })
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
      // Who, as a number: the log must tell what somebody did, and not their name.
      {
        method,
        route: routeOptions.url ?? 'unknown',
        caller: callerId(request.caller),
        status: reply.statusCode,
        ms,
      },
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

/** What browsers are told: which pages may call the API, and what a page of ours may load. */
async function protectBrowsers(app: App, origins: readonly string[]): Promise<void> {
  await app.register(fastifyHelmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        // Swagger UI draws its symbols from data: addresses.
        imgSrc: ["'self'", 'data:', 'blob:'],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    frameguard: { action: 'deny' },
    // Not over plain HTTP: see `demandHttps`.
    strictTransportSecurity: false,
  })
  if (origins.length === 0) return
  await app.register(fastifyCors, {
    origin: [...origins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      'authorization',
      'content-type',
      'idempotency-key',
      'if-match',
      'last-event-id',
      'x-api-key',
      'x-device-key',
    ],
    exposedHeaders: ['etag', 'idempotent-replayed', 'link', 'retry-after', 'x-request-id', 'x-total-count'],
    maxAge: 600,
  })
}

const DAY_S = 24 * 60 * 60

/**
 * Over HTTPS, browsers are told to stay with it; other servers of the same domain are none of our business. A CA of
 * one's own may be made anew any time, and then nobody should be kept out for half a year.
 */
function demandHttps(app: App, tls: Tls | undefined): void {
  const value = `max-age=${tls?.local ? DAY_S : 180 * DAY_S}`
  app.addHook('onRequest', async (request, reply) => {
    if (request.protocol === 'https') reply.header('strict-transport-security', value)
  })
}

const MAX_CONNECTIONS = 1000

/** A client may neither take all connections nor keep one for nothing. */
function limitConnections(app: App): void {
  app.server.maxConnections = MAX_CONNECTIONS
  app.server.headersTimeout = 20_000
}
