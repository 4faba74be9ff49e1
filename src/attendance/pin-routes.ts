import type { FastifyRequest } from 'fastify'
import { authorOf, visibleDepartments } from '../access/caller.ts'
import { requireOwnDevice } from '../access/guard.ts'
import { employeePath } from '../employees/schema.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems } from '../shared/http.ts'
import type { CheckInDeps } from './check-in.ts'
import { checkPin, pinSetAt, removePin, setPin } from './pin.ts'
import { personExists } from './punches.ts'
import { addressOf } from './routes.ts'
import { checkedSchema, newPinSchema, pinCheckSchema, pinStateSchema } from './schema.ts'

/** Punching by employee code and PIN, and giving people their PINs. */
export function pinRoutes(app: App, deps: CheckInDeps & { ledger: Ledger }): void {
  const { db, ledger, clock, timeZone } = deps

  app.post(
    '/attendance/pin',
    {
      config: { access: 'attendance:check' },
      schema: {
        tags: ['Attendance'],
        summary: 'Punch by employee code and PIN, where the site allows it',
        description:
          'For whom no camera recognises. The punch says how it was made: its kind is `pin`, and no confidence speaks for ' +
          'it. After five wrong tries for a person at a kiosk there are pauses, which grow.',
        body: pinCheckSchema,
        response: { 200: checkedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { device_id, employee_id, pin, attendance_type } = request.body
      requireOwnDevice(request.caller, device_id)
      const answer = await checkPin(deps, {
        ...{ deviceId: device_id, address: addressOf(request), employeeId: employee_id },
        ...{ pin, requested: attendance_type },
      })
      return { ...answer, processing_time: reply.elapsedTime / 1000 }
    },
  )

  app.get(
    '/employees/:employee_id/pin',
    {
      config: { access: 'employees:read' },
      schema: {
        tags: ['Employees'],
        summary: 'Whether a person has a PIN, and since when',
        params: employeePath,
        response: { 200: pinStateSchema, ...problems },
      },
    },
    async (request) => {
      await requireSeen(request, request.params.employee_id)
      return state(request.params.employee_id)
    },
  )

  app.put(
    '/employees/:employee_id/pin',
    {
      config: { access: 'employees:write' },
      schema: {
        tags: ['Employees'],
        summary: 'Give a person a PIN, in place of any former one',
        params: employeePath,
        body: newPinSchema,
        response: { 200: pinStateSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id } = request.params
      await requireSeen(request, employee_id)
      await setPin(ledger.by(authorOf(request)), employee_id, request.body.pin, clock.now())
      return state(employee_id)
    },
  )

  app.delete(
    '/employees/:employee_id/pin',
    {
      config: { access: 'employees:write' },
      schema: {
        tags: ['Employees'],
        summary: "Take a person's PIN away",
        params: employeePath,
        response: { 200: pinStateSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id } = request.params
      await requireSeen(request, employee_id)
      await removePin(ledger.by(authorOf(request)), employee_id)
      return state(employee_id)
    },
  )

  async function state(employee_id: string) {
    return { employee_id, set_at: await pinSetAt(db, employee_id) }
  }

  async function requireSeen(request: FastifyRequest, employeeId: string): Promise<void> {
    const view = { timeZone, departments: visibleDepartments(request.caller) }
    if (!(await personExists(db, employeeId, view)))
      throw new AppError('employee_not_found', `There is no employee ${employeeId}.`)
  }
}
