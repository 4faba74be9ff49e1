import { z } from 'zod'
import type { Database } from '../database/tables.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems } from '../shared/http.ts'
import { pageQuery, setPageHeaders } from '../shared/paging.ts'
import {
  deleteDevice,
  findDevice,
  listDevices,
  recordHeartbeat,
  registerDevice,
  removeDeletedDevices,
  updateDevice,
} from './records.ts'
import {
  cleanupAnswer,
  deletionAnswer,
  deviceChangesSchema,
  devicePath,
  deviceSchema,
  heartbeatAnswer,
  heartbeatSchema,
  newDeviceSchema,
} from './schema.ts'

interface DeviceDeps {
  db: Database
  clock: Clock
}

const tags = ['Devices']

/** Kiosks: registration, heartbeat, changes and removal. */
export function deviceRoutes(app: App, { db, clock }: DeviceDeps): void {
  app.post(
    '/devices/register',
    {
      schema: {
        tags,
        summary: 'Register a kiosk, or a deleted one again',
        body: newDeviceSchema,
        response: { 201: deviceSchema, ...problems },
      },
    },
    async (request, reply) => {
      const device = await registerDevice(db, request.body, clock.now())
      if (device === undefined) {
        throw new AppError('device_id_taken', `The id ${request.body.device_id} belongs to another device.`)
      }
      return reply.code(201).send(device)
    },
  )

  app.get(
    '/devices',
    {
      schema: {
        tags,
        summary: 'List; X-Total-Count and Link tell of the other pages',
        querystring: pageQuery,
        response: { 200: z.array(deviceSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { devices, total } = await listDevices(db, request.query)
      setPageHeaders(request, reply, request.query, total)
      return devices
    },
  )

  app.post(
    '/devices/heartbeat',
    {
      schema: {
        tags,
        summary: 'A kiosk tells that it is alive',
        body: heartbeatSchema,
        response: { 200: heartbeatAnswer, ...problems },
      },
    },
    async (request) => {
      const { device_id } = request.body
      const result = await recordHeartbeat(db, device_id, clock.now())
      if (result === 'unknown')
        throw new AppError('unknown_device', `The device ${device_id} is not registered.`)
      if (result === 'inactive')
        throw new AppError('device_inactive', `The device ${device_id} is deactivated.`)
      return { msg: 'Heartbeat updated' as const }
    },
  )

  app.get(
    '/devices/:device_id',
    {
      schema: {
        tags,
        summary: 'One kiosk',
        params: devicePath,
        response: { 200: deviceSchema, ...problems },
      },
    },
    async (request) => {
      const { device_id } = request.params
      return (await findDevice(db, device_id)) ?? notFound(device_id)
    },
  )

  app.put(
    '/devices/:device_id',
    {
      schema: {
        tags,
        summary: 'Change the given fields; null clears an optional one',
        params: devicePath,
        body: deviceChangesSchema,
        response: { 200: deviceSchema, ...problems },
      },
    },
    async (request) => {
      const { device_id } = request.params
      if (Object.values(request.body).every((value) => value === undefined)) {
        throw new AppError('invalid_request', 'The request changes nothing: send at least one field.')
      }
      return (await updateDevice(db, device_id, request.body)) ?? notFound(device_id)
    },
  )

  app.delete(
    '/devices/:device_id',
    {
      schema: {
        tags,
        summary: 'Delete, or deactivate where attendance records refer to it',
        params: devicePath,
        response: { 200: deletionAnswer, ...problems },
      },
    },
    async (request) => {
      const { device_id } = request.params
      const action = await deleteDevice(db, device_id)
      if (action === 'not_found') return notFound(device_id)
      const message =
        action === 'deleted' ? 'Device permanently deleted' : 'Device deactivated (has attendance records)'
      return { success: true as const, message, action }
    },
  )

  app.delete(
    '/devices/cleanup/deleted',
    {
      schema: {
        tags,
        summary: 'Remove deleted kiosks that no record refers to',
        response: { 200: cleanupAnswer, ...problems },
      },
    },
    async () => {
      const deleted = await removeDeletedDevices(db)
      return { success: true as const, message: `${deleted} deleted devices removed`, deleted }
    },
  )
}

function notFound(device: string): never {
  throw new AppError('device_not_found', `There is no device ${device}.`)
}
