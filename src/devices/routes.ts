import type { FastifyRequest } from 'fastify'
import QRCode from 'qrcode'
import { z } from 'zod'
import { authorOf } from '../access/caller.ts'
import { requireOwnDevice } from '../access/guard.ts'
import { countAttempt } from '../access/throttle.ts'
import type { Database } from '../database/tables.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems } from '../shared/http.ts'
import { pageQuery, setPageHeaders } from '../shared/paging.ts'
import { expectedVersions, ifMatch, sendVersioned } from '../shared/version.ts'
import { finishCommand, listCommands, queueCommand, takeCommands } from './commands.ts'
import { offerKey, replaceKey, revokeKey } from './keys.ts'
import { CODE_S, exchangeCode, newPairingCode } from './pairing.ts'
import {
  deleteDevice,
  describeDevice,
  HEARTBEAT_S,
  listDevices,
  recordHeartbeat,
  registerDevice,
  removeDeletedDevices,
  requireActiveDevice,
  requireDevice,
  unknownDevice,
  updateDevice,
} from './records.ts'
import * as schema from './schema.ts'

interface DeviceDeps {
  db: Database
  clock: Clock
  ledger: Ledger
  /** What kiosks seal to what they keep off line. */
  sealingKey: string
  /** Of sites that have none of their own. */
  timeZone: string
}

const tags = ['Devices']

/** Kiosks: registration, pairing, heartbeat, commands, changes and removal. */
export function deviceRoutes(app: App, deps: DeviceDeps): void {
  registrationRoutes(app, deps)
  pairingRoutes(app, deps)
  heartbeatRoutes(app, deps)
  commandRoutes(app, deps)
}

function registrationRoutes(app: App, { db, clock, ledger }: DeviceDeps): void {
  app.post(
    '/devices/register',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: 'Register a kiosk, or a deleted one again',
        body: schema.newDeviceSchema,
        response: { 201: schema.deviceSchema, ...problems },
      },
    },
    async (request, reply) => {
      const device = await registerDevice(ledger.by(authorOf(request)), request.body, clock.now())
      if (device === undefined) {
        throw new AppError('device_id_taken', `The id ${request.body.device_id} belongs to another device.`)
      }
      return reply.code(201).send(sendVersioned(reply, describeDevice(device, clock.now())))
    },
  )

  app.get(
    '/devices',
    {
      config: { access: 'devices:read' },
      schema: {
        tags,
        summary: 'List, filter, search and sort; X-Total-Count and Link tell of the other pages',
        querystring: schema.deviceQuery,
        response: { 200: z.array(schema.deviceSchema), ...problems },
      },
    },
    async (request, reply) => {
      const now = clock.now()
      const { devices, total } = await listDevices(db, request.query, now)
      setPageHeaders(request, reply, request.query, total)
      return devices.map((device) => describeDevice(device, now))
    },
  )

  app.get(
    '/devices/:device_id',
    {
      config: { access: 'devices:read' },
      schema: {
        tags,
        summary: 'One kiosk',
        params: schema.devicePath,
        response: { 200: schema.deviceSchema, ...problems },
      },
    },
    async (request, reply) => {
      const device = await requireDevice(db, request.params.device_id)
      return sendVersioned(reply, describeDevice(device, clock.now()))
    },
  )

  app.put(
    '/devices/:device_id',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: 'Change the given fields; null clears an optional one',
        params: schema.devicePath,
        headers: ifMatch,
        body: schema.deviceChangesSchema,
        response: { 200: schema.deviceSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { device_id } = request.params
      if (Object.values(request.body).every((value) => value === undefined)) {
        throw new AppError('invalid_request', 'The request changes nothing: send at least one field.')
      }
      const expected = expectedVersions(request.headers['if-match'])
      const device = await updateDevice(ledger.by(authorOf(request)), device_id, request.body, expected)
      return sendVersioned(reply, describeDevice(device, clock.now()))
    },
  )

  app.delete(
    '/devices/:device_id',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: 'Delete, or deactivate where attendance records refer to it',
        params: schema.devicePath,
        headers: ifMatch,
        response: { 200: schema.deletionAnswer, ...problems },
      },
    },
    async (request) => {
      const { device_id } = request.params
      const expected = expectedVersions(request.headers['if-match'])
      const action = await deleteDevice(ledger.by(authorOf(request)), device_id, expected)
      if (action === 'not_found') return unknownDevice(device_id)
      const message =
        action === 'deleted' ? 'Device permanently deleted' : 'Device deactivated (has attendance records)'
      return { success: true as const, message, action }
    },
  )

  app.delete(
    '/devices/cleanup/deleted',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: 'Remove deleted kiosks that no record refers to',
        response: { 200: schema.cleanupAnswer, ...problems },
      },
    },
    async (request) => {
      const deleted = await removeDeletedDevices(ledger.by(authorOf(request)))
      return { success: true as const, message: `${deleted} deleted devices removed`, deleted }
    },
  )
}

function pairingRoutes(app: App, { db, clock, ledger, sealingKey, timeZone }: DeviceDeps): void {
  app.post(
    '/devices/:device_id/pair',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: 'A one-time code with which a kiosk gets its key; an earlier code is void',
        params: schema.devicePath,
        response: { 201: schema.pairingAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const { device_id } = await requireActiveDevice(db, request.params.device_id)
      const { caller } = request
      const createdBy = caller.kind === 'user' ? caller.userId : null
      const change = ledger.by(authorOf(request))
      const { code, expires_at } = await newPairingCode(change, device_id, createdBy, clock.now())
      // Behind a #: a browser sends that to nobody, and no log keeps it.
      const path = `/kiosk#${code}`
      const qr_svg = await QRCode.toString(`${request.protocol}://${request.host}${path}`, { type: 'svg' })
      reply.header('cache-control', 'no-store')
      return reply.code(201).send({ device_id, code, path, qr_svg, expires_at, expires_in: CODE_S })
    },
  )

  app.post(
    '/devices/pair',
    {
      config: { access: 'public' },
      schema: {
        tags,
        summary: "Exchange a pairing code for the kiosk's key",
        description: 'The key is shown this once. 403 `link_not_valid`: the code is wrong, used or expired.',
        body: schema.pairingSchema,
        response: { 200: schema.pairedAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const { forgive } = await countAttempt(db, undefined, request.ip, clock.now())
      const paired = await exchangeCode(ledger.by(authorOf(request)), request.body, clock.now())
      await forgive()
      // From here on the log knows who called.
      request.caller = { kind: 'kiosk', deviceId: paired.device_id }
      reply.header('cache-control', 'no-store')
      const site = { ...paired.site, time_zone: paired.site.time_zone ?? timeZone }
      return { ...paired, site, sealing_key: sealingKey }
    },
  )

  app.post(
    '/devices/rotate-key',
    {
      config: { access: 'devices:report' },
      schema: {
        tags,
        summary: 'A kiosk asks for a new key; the old one is good until the new one is first used',
        response: { 200: schema.keyAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const deviceId = ownDevice(request)
      const key = await ledger.by(authorOf(request))((trx) => offerKey(trx, deviceId, clock.now()))
      if (!key) throw new AppError('unknown_device', 'The device key was revoked. Pair the kiosk again.')
      reply.header('cache-control', 'no-store')
      return key
    },
  )

  app.post(
    '/devices/:device_id/rotate-key',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: 'Give a kiosk a new key; the old one is dead at once',
        params: schema.devicePath,
        response: { 200: schema.keyAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const { device_id } = await requireActiveDevice(db, request.params.device_id)
      reply.header('cache-control', 'no-store')
      const change = ledger.by(authorOf(request))
      const key = await change((trx) => replaceKey(trx, device_id, clock.now()))
      return key ?? unknownDevice(device_id)
    },
  )

  app.delete(
    '/devices/:device_id/key',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: "Revoke a kiosk's key and its pairing code, at once",
        params: schema.devicePath,
        response: { 200: schema.doneAnswer, ...problems },
      },
    },
    async (request) => {
      const { device_id } = request.params
      if (!(await revokeKey(ledger.by(authorOf(request)), device_id))) return unknownDevice(device_id)
      return { message: 'The key is revoked. Pair the kiosk again to let it in.' }
    },
  )
}

/** Who a kiosk is by its key. */
function ownDevice({ caller }: FastifyRequest): string {
  if (caller.kind === 'kiosk' && caller.deviceId !== undefined) return caller.deviceId
  throw new AppError('unknown_device', 'Only a kiosk that was paired has a key: send it as X-Device-Key.')
}

function heartbeatRoutes(app: App, { db, clock, timeZone }: DeviceDeps): void {
  app.post(
    '/devices/heartbeat',
    {
      config: { access: 'devices:report' },
      schema: {
        tags,
        summary: 'A kiosk tells that it is alive, and hears of its configuration and commands',
        body: schema.heartbeatSchema,
        response: { 200: schema.heartbeatAnswer, ...problems },
      },
    },
    async (request) => {
      const { device_id, timestamp, status = null, app_version } = request.body
      requireOwnDevice(request.caller, device_id)
      const now = clock.now()
      const clockSkewMs = skewOf(timestamp, now)
      const heartbeat = { clockSkewMs, status, appVersion: app_version ?? undefined }
      const { name, config, config_version, direction, site_id } = await recordHeartbeat(
        db,
        device_id,
        heartbeat,
        now,
      )
      const site = await db
        .selectFrom('sites')
        .select(['name', 'pin_allowed', 'time_zone'])
        .where('id', '=', site_id)
        .executeTakeFirstOrThrow()
      return {
        msg: 'Heartbeat updated' as const,
        server_time: now,
        next_heartbeat_s: HEARTBEAT_S,
        clock_skew_ms: clockSkewMs,
        // Taken all the same: older kiosks send any text.
        ...(timestamp != null &&
          clockSkewMs === null && {
            warning: 'The timestamp is no ISO 8601 time: the clock is not watched.',
          }),
        config,
        config_version,
        direction,
        pin_allowed: site.pin_allowed,
        name,
        site_name: site.name,
        time_zone: site.time_zone ?? timeZone,
        commands: await takeCommands(db, device_id, now),
      }
    },
  )
}

/** How far the kiosk's clock is behind ours; null for a text that is no time. */
function skewOf(timestamp: string | null | undefined, now: Date): number | null {
  const [, time, zone] =
    /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?$/i.exec(timestamp ?? '') ?? []
  const skewMs = now.getTime() - Date.parse(`${time}${zone ?? 'Z'}`)
  return Number.isNaN(skewMs) ? null : skewMs
}

function commandRoutes(app: App, { db, clock, ledger }: DeviceDeps): void {
  app.post(
    '/devices/:device_id/commands',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: 'Queue a command; the kiosk gets it with its next heartbeat',
        params: schema.devicePath,
        body: schema.newCommandSchema,
        response: { 201: schema.commandSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { device_id } = await requireActiveDevice(db, request.params.device_id)
      const change = ledger.by(authorOf(request))
      return reply.code(201).send(await queueCommand(change, device_id, request.body.command, clock.now()))
    },
  )

  app.get(
    '/devices/:device_id/commands',
    {
      config: { access: 'devices:read' },
      schema: {
        tags,
        summary: "A kiosk's commands and what became of them, the newest first",
        params: schema.devicePath,
        querystring: pageQuery,
        response: { 200: z.array(schema.commandSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { device_id } = await requireDevice(db, request.params.device_id)
      const { commands, total } = await listCommands(db, device_id, request.query)
      setPageHeaders(request, reply, request.query, total)
      return commands
    },
  )

  app.post(
    '/devices/commands/:command_id',
    {
      config: { access: 'devices:report' },
      schema: {
        tags,
        summary: 'A kiosk tells how a command ended; the first word counts',
        params: schema.commandPath,
        body: schema.acknowledgementSchema,
        response: { 200: schema.commandSchema, ...problems },
      },
    },
    async (request) => {
      const { caller, params, body } = request
      const deviceId = caller.kind === 'kiosk' ? caller.deviceId : undefined
      const command = await finishCommand(db, params.command_id, deviceId, body, clock.now())
      if (!command) throw new AppError('command_not_found', 'This kiosk was sent no such command.')
      return command
    },
  )
}
