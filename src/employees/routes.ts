import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { authorOf, visibleDepartments } from '../access/caller.ts'
import { hasPermission } from '../access/guard.ts'
import type { Database } from '../database/tables.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, invalidField, problems } from '../shared/http.ts'
import { setPageHeaders, wholeList } from '../shared/paging.ts'
import { expectedVersions, ifMatch, sendVersioned, versionMismatch } from '../shared/version.ts'
import {
  createEmployee,
  type EraseBiometrics,
  employeeStats,
  endEmployment,
  findEmployee,
  listDepartments,
  listEmployees,
  purgeEmployee,
  setActive,
  updateEmployee,
} from './records.ts'
import {
  type Employee,
  employeeChangesSchema,
  employeePath,
  employeeQuery,
  employeeSchema,
  endedSchema,
  endQuery,
  newEmployeeSchema,
  statsSchema,
} from './schema.ts'
import { transferRoutes } from './transfer-routes.ts'

export interface EmployeeDeps {
  db: Database
  ledger: Ledger
  clock: Clock
  eraseBiometrics: EraseBiometrics
  /** Awaited after a commit that changes whether, or under which name, a person may be recognised. */
  onEmployeeChanged: (employeeId: string) => Promise<void>
}

const tags = ['Employees']

/** Everything about people but their photos, faces and templates. */
export function employeeRoutes(app: App, deps: EmployeeDeps): void {
  transferRoutes(app, deps)
  const { db, ledger, clock, eraseBiometrics, onEmployeeChanged } = deps
  const changing = (request: FastifyRequest) => ledger.by(authorOf(request))

  app.post(
    '/employees',
    {
      config: { access: 'employees:write' },
      schema: {
        tags,
        summary: 'Create an employee',
        body: newEmployeeSchema,
        response: { 201: employeeSchema, ...problems },
      },
    },
    async (request, reply) => {
      const result = await createEmployee(changing(request), request.body, clock.now())
      if (result.outcome === 'no_such_site') throw noSuchSite()
      if (result.outcome === 'taken') throw taken(result.employeeId, result.former)
      await onEmployeeChanged(result.employee.employee_id)
      return reply.code(201).send(sendVersioned(reply, result.employee))
    },
  )

  app.get(
    '/employees',
    {
      config: { access: 'employees:read' },
      schema: {
        tags,
        summary: 'List, filter, search and sort; X-Total-Count and Link tell of the other pages',
        querystring: employeeQuery,
        response: { 200: z.array(employeeSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { employees, total } = await listEmployees(db, request.query, visibleDepartments(request.caller))
      setPageHeaders(request, reply, request.query, total)
      return employees
    },
  )

  app.get(
    '/employees/departments',
    {
      config: { access: 'employees:read' },
      schema: {
        tags,
        summary: 'Names of the departments',
        response: { 200: z.array(z.string()), ...problems },
      },
    },
    async (request, reply) =>
      wholeList(request, reply, await listDepartments(db, visibleDepartments(request.caller))),
  )

  app.get(
    '/employees/stats',
    {
      config: { access: 'employees:read' },
      schema: { tags, summary: 'Head counts', response: { 200: statsSchema, ...problems } },
    },
    async (request) => employeeStats(db, visibleDepartments(request.caller)),
  )

  app.get(
    '/employees/:employee_id',
    {
      config: { access: 'employees:read' },
      schema: {
        tags,
        summary: 'One employee',
        params: employeePath,
        response: { 200: employeeSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { employee_id } = request.params
      const employee = await findEmployee(db, employee_id, visibleDepartments(request.caller))
      return sendVersioned(reply, employee ?? notFound(employee_id))
    },
  )

  // PUT changes only what is sent, as the clients of the older system expect of it.
  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '/employees/:employee_id',
      config: { access: 'employees:write' },
      schema: {
        tags,
        summary: 'Change the given fields; null clears an optional one',
        params: employeePath,
        headers: ifMatch,
        body: employeeChangesSchema,
        response: { 200: employeeSchema, ...problems },
      },
      handler: async (request, reply): Promise<Employee> => {
        const { employee_id } = request.params
        const { employee_id: repeatedId, ...changes } = request.body
        if (repeatedId !== undefined && repeatedId !== employee_id) {
          throw invalidField('employee_id', 'cannot be changed')
        }
        if (Object.values(changes).every((value) => value === undefined)) {
          throw new AppError('invalid_request', 'The request changes nothing: send at least one field.')
        }
        const expected = expectedVersions(request.headers['if-match'])
        const result = await updateEmployee(changing(request), employee_id, changes, expected, clock.now())
        if (result.outcome === 'not_found') return notFound(employee_id)
        if (result.outcome === 'version_mismatch') throw versionMismatch()
        if (result.outcome === 'no_such_site') throw noSuchSite()
        if (changes.name !== undefined || changes.is_active !== undefined)
          await onEmployeeChanged(employee_id)
        return sendVersioned(reply, result.employee)
      },
    })
  }

  for (const [verb, active, summary] of [
    ['deactivate', false, 'No longer recognise a person, who stays on the list; again, it changes nothing'],
    ['reactivate', true, 'Recognise a deactivated person again; again, it changes nothing'],
  ] as const) {
    app.post(
      `/employees/:employee_id/${verb}`,
      {
        config: { access: 'employees:write' },
        schema: {
          tags,
          summary,
          params: employeePath,
          headers: ifMatch,
          response: { 200: employeeSchema, ...problems },
        },
      },
      async (request, reply) => {
        const { employee_id } = request.params
        const expected = expectedVersions(request.headers['if-match'])
        const employee =
          (await setActive(changing(request), employee_id, active, expected, clock.now())) ??
          notFound(employee_id)
        await onEmployeeChanged(employee_id)
        return sendVersioned(reply, employee)
      },
    )
  }

  app.delete(
    '/employees/:employee_id',
    {
      config: { access: 'employees:write' },
      schema: {
        tags,
        summary: 'End employment: photos and templates are erased, punches stay',
        description:
          'With `purge=true&confirm={employee_id}` the person is removed instead, also after the end of employment, ' +
          'with punches, decisions, consents and all. That destroys pay evidence and cannot be undone.',
        params: employeePath,
        querystring: endQuery,
        headers: ifMatch,
        response: { 200: endedSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id } = request.params
      const expected = expectedVersions(request.headers['if-match'])
      if (request.query.purge) {
        if (!hasPermission(request.caller, 'employees:purge'))
          throw new AppError(
            'forbidden',
            'A purge needs the permission employees:purge, which you do not have.',
          )
        if (request.query.confirm?.normalize('NFC') !== employee_id)
          throw invalidField('confirm', 'must repeat the employee_id, because a purge cannot be undone')
        return purge(request, employee_id, expected)
      }
      const ended = await endEmployment(
        changing(request),
        employee_id,
        expected,
        clock.now(),
        eraseBiometrics,
      )
      if (ended.outcome === 'not_found') return notFound(employee_id)
      if (ended.outcome === 'version_mismatch') throw versionMismatch()
      // First of all the person must no longer be recognised; the files follow.
      await onEmployeeChanged(employee_id)
      await ended.afterCommit()
      return {
        message: 'Employment ended and biometric data erased; attendance records are kept',
        deleted_face_templates: ended.templates,
        deleted_attendance_records: 0,
        retained_attendance_records: ended.punches,
      }
    },
  )

  async function purge(
    request: FastifyRequest,
    employee_id: string,
    expected: readonly number[] | undefined,
  ) {
    const purged = await purgeEmployee(changing(request), employee_id, expected, eraseBiometrics)
    if (purged.outcome === 'not_found') return notFound(employee_id)
    if (purged.outcome === 'version_mismatch') throw versionMismatch()
    await onEmployeeChanged(employee_id)
    await purged.afterCommit()
    return {
      message: 'The person and everything about them is removed, attendance records included',
      deleted_face_templates: purged.templates,
      deleted_attendance_records: purged.punches,
      retained_attendance_records: 0,
      deleted_decisions: purged.decisions,
    }
  }
}

function noSuchSite(): AppError {
  return invalidField('site_id', 'must be the number of a site that exists')
}

function notFound(employeeId: string): never {
  throw new AppError('employee_not_found', `There is no employee ${employeeId}.`)
}

function taken(employeeId: string, former: boolean): AppError {
  const holder = former ? 'a former employee, whose records keep it' : 'another employee'
  return new AppError('employee_id_taken', `The id ${employeeId} belongs to ${holder}. Choose another one.`)
}
