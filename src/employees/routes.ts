import { z } from 'zod'
import type { Database } from '../database/tables.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, invalidField, problems } from '../shared/http.ts'
import { setPageHeaders } from '../shared/paging.ts'
import {
  createEmployee,
  type EraseBiometrics,
  employeeStats,
  endEmployment,
  findEmployee,
  listDepartments,
  listEmployees,
  updateEmployee,
} from './records.ts'
import {
  type Employee,
  employeeChangesSchema,
  employeePath,
  employeeQuery,
  employeeSchema,
  endedSchema,
  newEmployeeSchema,
  statsSchema,
} from './schema.ts'

interface EmployeeDeps {
  db: Database
  clock: Clock
  eraseBiometrics: EraseBiometrics
  /** Awaited after a commit that changes whether, or under which name, a person may be recognised. */
  onEmployeeChanged: (employeeId: string) => Promise<void>
}

const tags = ['Employees']

/** Everything about people but their photos, faces and templates. */
export function employeeRoutes(app: App, deps: EmployeeDeps): void {
  const { db, clock, eraseBiometrics, onEmployeeChanged } = deps

  app.post(
    '/employees',
    {
      schema: {
        tags,
        summary: 'Create',
        body: newEmployeeSchema,
        response: { 201: employeeSchema, ...problems },
      },
    },
    async (request, reply) => {
      const result = await createEmployee(db, request.body, clock.now())
      if (result.outcome === 'taken') throw taken(result.employeeId, result.former)
      await onEmployeeChanged(result.employee.employee_id)
      return reply.code(201).send(result.employee)
    },
  )

  app.get(
    '/employees',
    {
      schema: {
        tags,
        summary: 'List, filter and search; X-Total-Count and Link tell of the other pages',
        querystring: employeeQuery,
        response: { 200: z.array(employeeSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { employees, total } = await listEmployees(db, request.query)
      setPageHeaders(request, reply, request.query, total)
      return employees
    },
  )

  app.get(
    '/employees/departments',
    {
      schema: {
        tags,
        summary: 'Names of the departments',
        response: { 200: z.array(z.string()), ...problems },
      },
    },
    async () => listDepartments(db),
  )

  app.get(
    '/employees/stats',
    { schema: { tags, summary: 'Head counts', response: { 200: statsSchema, ...problems } } },
    async () => employeeStats(db),
  )

  app.get(
    '/employees/:employee_id',
    {
      schema: {
        tags,
        summary: 'One employee',
        params: employeePath,
        response: { 200: employeeSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id } = request.params
      return (await findEmployee(db, employee_id)) ?? notFound(employee_id)
    },
  )

  // PUT changes only what is sent, as the clients of the older system expect of it.
  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '/employees/:employee_id',
      schema: {
        tags,
        summary: 'Change the given fields; null clears an optional one',
        params: employeePath,
        body: employeeChangesSchema,
        response: { 200: employeeSchema, ...problems },
      },
      handler: async (request): Promise<Employee> => {
        const { employee_id } = request.params
        const { employee_id: repeatedId, ...changes } = request.body
        if (repeatedId !== undefined && repeatedId !== employee_id) {
          throw invalidField('employee_id', 'cannot be changed')
        }
        if (Object.values(changes).every((value) => value === undefined)) {
          throw new AppError('invalid_request', 'The request changes nothing: send at least one field.')
        }
        const employee =
          (await updateEmployee(db, employee_id, changes, clock.now())) ?? notFound(employee_id)
        if (changes.name !== undefined || changes.is_active !== undefined)
          await onEmployeeChanged(employee_id)
        return employee
      },
    })
  }

  app.delete(
    '/employees/:employee_id',
    {
      schema: {
        tags,
        summary: 'End employment: photos and templates are erased, punches stay',
        params: employeePath,
        response: { 200: endedSchema, ...problems },
      },
    },
    async (request) => {
      const { employee_id } = request.params
      const ended =
        (await endEmployment(db, employee_id, clock.now(), eraseBiometrics)) ?? notFound(employee_id)
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
}

function notFound(employeeId: string): never {
  throw new AppError('employee_not_found', `There is no employee ${employeeId}.`)
}

function taken(employeeId: string, former: boolean): AppError {
  const holder = former ? 'a former employee, whose records keep it' : 'another employee'
  return new AppError('employee_id_taken', `The id ${employeeId} belongs to ${holder}. Choose another one.`)
}
