import type { App } from '../../src/shared/http.ts'

export type Json = Record<string, unknown>

/** One operation of /openapi.json. */
export interface Operation {
  /** Such as `GET /api/v1/employees/{employee_id}`. */
  name: string
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  /** Names of the parameters in the path. */
  pathNames: string[]
  parameters: { in: string; name: string; required?: boolean; schema: Json }[]
  /** Schema of the body and its content type, where one is taken. */
  body?: { type: string; schema: Json }
  /** How a caller may show who they are: bearer, apiKey, deviceKey; none where everybody may call it. */
  schemes: string[]
  /** Statuses that the document lists. */
  statuses: number[]
}

export interface Document {
  operations: Operation[]
  schemas: Record<string, Json>
}

/** What the application says that it can do. */
export async function readDocument(app: App): Promise<Document> {
  const { paths, components } = (await app.inject('/openapi.json')).json()
  const operations = Object.entries<Record<string, Json>>(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => operationOf(path, method, operation)),
  )
  return { operations, schemas: components.schemas }
}

function operationOf(written: string, method: string, operation: Json): Operation {
  const path = written.replace(/(.)\/$/, '$1')
  const { content = {} } = (operation.requestBody ?? {}) as { content?: Record<string, { schema: Json }> }
  const [body] = Object.entries(content).map(([type, { schema }]) => ({ type, schema }))
  return {
    name: `${method.toUpperCase()} ${path}`,
    method: method.toUpperCase() as Operation['method'],
    path,
    pathNames: [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!),
    parameters: (operation.parameters ?? []) as Operation['parameters'],
    ...(body && { body }),
    schemes: ((operation.security ?? []) as Json[]).flatMap(Object.keys),
    statuses: Object.keys(operation.responses as Json).map(Number),
  }
}

/** The address of an operation; `value` names what stands in each place of its path, encoded already. */
export function addressOf(path: string, value: (name: string) => string): string {
  return path.replace(/\{(\w+)\}/g, (_, name) => value(name))
}
