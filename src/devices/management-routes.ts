import { z } from 'zod'
import { authorOf } from '../access/caller.ts'
import type { Database } from '../database/tables.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems } from '../shared/http.ts'
import { setPageHeaders, wholeList } from '../shared/paging.ts'
import { expectedVersions, ifMatch } from '../shared/version.ts'
import { queueCommand } from './commands.ts'
import { discover, lastScan, type Network, scan } from './discovery.ts'
import { listNetworkLogs } from './network-log.ts'
import { requireActiveDevice, requireDevice, updateDevice } from './records.ts'
import * as schema from './schema.ts'

interface ManagementDeps {
  db: Database
  clock: Clock
  ledger: Ledger
  network: Network
  /** Whether mDNS may be used. */
  discovery: boolean
  /** What may be scanned: private networks, and ports. */
  scanNetworks: readonly string[]
  scanPorts: readonly number[]
}

const tags = ['Device management']

/** What an administrator does to kiosks from afar: reset, configure, read their log, look for them. */
export function deviceManagementRoutes(app: App, deps: ManagementDeps): void {
  const { db, clock, ledger } = deps

  app.post(
    '/device-management/reset/:device_id',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: 'Queue the command reset; the kiosk gets it with its next heartbeat',
        params: schema.devicePath,
        response: { 200: schema.resetAnswer, ...problems },
      },
    },
    async (request) => {
      const { device_id } = await requireActiveDevice(db, request.params.device_id)
      const { id } = await queueCommand(ledger.by(authorOf(request)), device_id, 'reset', clock.now())
      return { message: `The device ${device_id} will be reset at its next heartbeat`, command_id: id }
    },
  )

  app.post(
    '/device-management/update/:device_id',
    {
      config: { access: 'devices:write' },
      schema: {
        tags,
        summary: "Replace a kiosk's configuration; it gets it with its next heartbeat",
        description: 'If-Match takes the ETag of the device, as PUT /devices/{device_id} does.',
        params: schema.devicePath,
        headers: ifMatch,
        body: schema.settings,
        response: { 200: schema.configAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const { device_id } = await requireActiveDevice(db, request.params.device_id)
      const expected = expectedVersions(request.headers['if-match'])
      const change = ledger.by(authorOf(request))
      const device = await updateDevice(change, device_id, { config: request.body }, expected)
      // The device's, as everywhere; `version` in the body is that of the configuration.
      reply.header('etag', `"${device.version}"`)
      return {
        success: true as const,
        message: 'Device configuration updated',
        config: device.config,
        version: device.config_version,
      }
    },
  )

  app.get(
    '/device-management/logs',
    {
      config: { access: 'devices:read' },
      schema: {
        tags,
        summary: 'What kiosks asked for, the newest first; with the refused attempts to be one',
        querystring: schema.logQuery,
        response: { 200: z.array(schema.logSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { logs, total } = await listNetworkLogs(db, undefined, request.query)
      setPageHeaders(request, reply, request.query, total)
      return logs
    },
  )

  app.get(
    '/device-management/logs/:device_id',
    {
      config: { access: 'devices:read' },
      schema: {
        tags,
        summary: 'What a kiosk asked for, the newest first',
        description:
          'Kept for RETENTION_NETWORK_LOG_DAYS, 30 by default; an entry appears within a second or two.',
        params: schema.devicePath,
        querystring: schema.logQuery,
        response: { 200: z.array(schema.logSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { device_id } = await requireDevice(db, request.params.device_id)
      const { logs, total } = await listNetworkLogs(db, device_id, request.query)
      setPageHeaders(request, reply, request.query, total)
      return logs
    },
  )

  app.post(
    '/device-management/discover',
    {
      config: { access: 'network:scan' },
      schema: {
        tags,
        summary: 'Kiosks that announce themselves by mDNS, or answer on port 5000',
        description: 'Only with DISCOVERY=true. Takes about two seconds.',
        response: { 200: schema.discoveryAnswer, ...problems },
      },
    },
    async () => {
      if (!deps.discovery)
        throw new AppError(
          'discovery_off',
          'Discovery is off. Set DISCOVERY=true and start the server again.',
        )
      const discovered_devices = await discover(db, deps.network, clock.now())
      return { discovered_devices, total_found: discovered_devices.length }
    },
  )

  app.get(
    '/device-management/network/scan',
    {
      config: { access: 'network:scan' },
      schema: {
        tags,
        summary: 'What the last scan found; nothing is scanned',
        response: { 200: schema.scanAnswer, ...problems },
      },
    },
    async (request, reply) => wholeList(request, reply, await lastScan(db)),
  )

  app.post(
    '/device-management/network/scan',
    {
      config: { access: 'network:scan' },
      schema: {
        tags,
        summary: 'Scan the networks of SCAN_NETWORKS, at most once a minute',
        description:
          'Private networks and the ports of SCAN_PORTS only: a connection is opened and closed, nothing is sent.',
        response: { 200: schema.scanAnswer, ...problems },
      },
    },
    async (request, reply) =>
      wholeList(request, reply, await scan(db, deps.network, deps.scanNetworks, deps.scanPorts, clock)),
  )
}
