import { STATUS_CODES } from 'node:http'
import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import type { Access } from './access/caller.ts'
import {
  type Permission,
  permissions,
  permissionsOfKiosk,
  permissionsOfRole,
  roles,
  scopes,
} from './access/permissions.ts'
import { answerExamples, examples, refusedExample } from './openapi-examples.ts'
import type { App } from './shared/http.ts'

/** An operation of the document, as far as it is looked at here. */
interface Operation {
  description?: string
  operationId?: string
  parameters?: { in: string; name: string; description?: string }[]
  requestBody?: { content: Record<string, Content> }
  responses: Record<string, Answer>
  security?: Record<string, never[]>[]
  'x-permission'?: Access
}

interface Content {
  schema?: object
  example?: unknown
}

interface Answer {
  description?: string
  headers?: Record<string, object>
  content?: Record<string, Content>
}

type Paths = Record<string, Record<string, Operation>>
type Schemas = Record<string, { properties?: Record<string, { type?: string }> }>

const introduction = `Time attendance with face recognition.

Every refusal is a Problem: \`code\` is for programs, \`message\` for people, \`request_id\`, which is also the header
X-Request-Id of every answer, for whoever reads the log. Any request may also be answered with 408 (it took too long to
arrive) or 431 (its headers are too large), after which the connection is closed.`

const spreadsheet = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'

const bearer = { bearer: [] }
const apiKey = { apiKey: [] }
const deviceKey = { deviceKey: [] }

/** GET /openapi.json, made from the routes' own schemas, and the page /docs to read it. */
export async function registerDocumentation(app: App, version: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Rollcall', description: introduction, version },
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'A person: the access token of POST /api/v1/auth/login',
          },
          apiKey: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-Key',
            description: 'A program: a key of POST /api/v1/auth/api-keys, with the scopes it was given',
          },
          deviceKey: {
            type: 'apiKey',
            in: 'header',
            name: 'X-Device-Key',
            description: 'A kiosk: the key that it got when it was paired; for itself alone',
          },
        },
      },
    },
    transform: (route) => {
      const { schema, url } = jsonSchemaTransform(route)
      const access = route.route.config?.access
      if (access === undefined || !schema || schema.hide) return { schema, url }
      const description = [schema.description, whoMay(access)].filter(Boolean).join('\n\n')
      return { schema: { ...schema, description, security: securityOf(access), 'x-permission': access }, url }
    },
    transformObject: (document) => {
      const transformed = jsonSchemaTransformObject(document) as object
      const { paths, components } = transformed as { paths: Paths; components: { schemas: Schemas } }
      for (const [path, item] of Object.entries(paths))
        for (const [method, operation] of Object.entries(item))
          complete(operation, method, path, components.schemas)
      return withoutUnusedSchemas(transformed)
    },
  })
  await app.register(fastifySwaggerUi, { routePrefix: '/docs' })
  const open = { config: { access: 'public' }, schema: { hide: true } } as const
  app.get('/openapi.json', open, () => app.swagger())
}

function isPermission(access: Access): access is Permission {
  return access !== 'public' && access !== 'signed-in'
}

function securityOf(access: Access): Record<string, never[]>[] {
  if (access === 'public') return []
  if (!isPermission(access)) return [bearer]
  return [
    ...(roles.some((role) => permissionsOfRole[role].has(access)) ? [bearer] : []),
    ...(scopes.includes(access) ? [apiKey] : []),
    ...(permissionsOfKiosk.has(access) ? [deviceKey] : []),
  ]
}

function whoMay(access: Access): string {
  if (access === 'public') return 'Open to everybody.'
  if (!isPermission(access)) return 'For any signed-in person.'
  const who = [
    ...roles.filter((role) => permissionsOfRole[role].has(access)),
    ...(scopes.includes(access) ? ['a key with this scope'] : []),
    ...(permissionsOfKiosk.has(access) ? ['a paired kiosk'] : []),
  ]
  return `Needs \`${access}\` (${permissions[access]}): ${who.join(', ')}.`
}

/** Names the operation, each status that it may end with and each header that it sends, and shows what goes over. */
function complete(operation: Operation, method: string, path: string, schemas: Schemas): void {
  const address = path.replace(/(.)\/$/, '$1')
  const name = `${method.toUpperCase()} ${address}`
  operation.operationId =
    method + address.replace(/^\/api\/v1|\}/g, '').replace(/[^a-z]+([a-z])/gi, inCapitals)
  for (const parameter of operation.parameters ?? [])
    parameter.description ??= parameterMeanings[parameter.name]
  const { '4XX': problem, '5XX': fault, ...answers } = operation.responses
  for (const [status, answer] of Object.entries(answers))
    describeAnswer(operation, name, Number(status), answer, schemas)
  if (problem && fault) {
    const refusals = refusalsOf(operation, method, name).map((status) => [status, refusal(problem, status)])
    operation.responses = { ...Object.fromEntries(refusals), ...answers }
  }
  const example = examples[name]
  for (const content of Object.values(operation.requestBody?.content ?? {}))
    if (example) content.example = example
}

const inCapitals = (_: string, letter: string) => letter.toUpperCase()

/** Says of a success what it is made of, and what its headers tell. */
function describeAnswer(
  operation: Operation,
  name: string,
  status: number,
  answer: Answer,
  schemas: Schemas,
): void {
  if (answer.description === 'Default Response') answer.description = STATUS_CODES[status] ?? ''
  const json = answer.content?.['application/json']
  const types = mediaTypes[name]
  if (types)
    answer.content = {
      ...(types.includes('application/json') && { 'application/json': json! }),
      ...filesOf(types),
    }
  const example = answerExamples[name]
  if (json && example !== undefined && status < 300) json.example = example
  const { $ref, type } = (json?.schema ?? {}) as { $ref?: string; type?: string }
  const hasPages = operation.parameters?.some((parameter) => parameter.name === 'skip')
  const isList = hasPages || (type === 'array' && !name.endsWith('/batch'))
  const schema = $ref ? schemas[$ref.split('/').at(-1) ?? ''] : undefined
  const sent = [
    ...(isList ? ['X-Total-Count', 'Link'] : []),
    ...(schema?.properties?.version?.type === 'number' || alsoVersioned.includes(name) ? ['ETag'] : []),
    ...(repeatable.includes(name) ? ['Idempotent-Replayed'] : []),
  ]
  if (status < 300 && sent.length > 0) answer.headers = headersOf(sent)
}

function refusal(problem: Answer, status: number): Answer {
  const json = problem.content?.['application/json']
  return {
    ...problem,
    description: meanings[status] ?? STATUS_CODES[status],
    ...([429, 503].includes(status) && { headers: headersOf(['Retry-After']) }),
    ...(status === 422 && { content: { 'application/json': { ...json, example: refusedExample } } }),
  }
}

const headersOf = (names: string[]) =>
  Object.fromEntries(
    names.map((name) => [name, { description: headerMeanings[name], schema: { type: 'string' } }]),
  )

const filesOf = (types: string[]) =>
  Object.fromEntries(
    types
      .filter((type) => type !== 'application/json')
      .map((type) => [
        type,
        { schema: /^text\/|ndjson$/.test(type) ? { type: 'string' } : { type: 'string', format: 'binary' } },
      ]),
  )

function refusalsOf(operation: Operation, method: string, name: string): number[] {
  const { parameters = [], requestBody, 'x-permission': access } = operation
  const changes = method !== 'get'
  const named = parameters.some((parameter) => parameter.in === 'path')
  const when: [number, boolean][] = [
    [400, named || changes],
    [401, access !== 'public' || mayEndWith[401].includes(name)],
    [403, access !== 'public' || changes],
    [404, named || mayEndWith[404].includes(name)],
    [409, mayEndWith[409].includes(name)],
    [412, parameters.some((parameter) => parameter.name.toLowerCase() === 'if-match')],
    [413, requestBody !== undefined],
    [415, changes],
    [422, parameters.length > 0 || requestBody !== undefined],
    [429, true],
    [500, true],
    [503, true],
    [507, mayEndWith[507].includes(name)],
  ]
  return when.filter(([, applies]) => applies).map(([status]) => status)
}

/** What the rules above cannot tell from an operation itself. */
const mayEndWith = {
  401: ['POST /api/v1/auth/login', 'POST /api/v1/auth/refresh'],
  404: [
    'GET /api/v1/attendance/today',
    'POST /api/v1/attendance/manual',
    'POST /api/v1/recognition/process',
    'POST /api/v1/recognition/verify',
    'GET /api/v1/recognition/calibration',
    'POST /api/v1/recognition/models/switch',
    'GET /api/v1/recognition/models/switch',
    'POST /api/v1/recognition/models/switch/confirm',
    'POST /api/v1/recognition/models/switch/cancel',
  ],
  409: [
    'POST /api/v1/system/backups',
    'POST /api/v1/recognition/calibration',
    'POST /api/v1/recognition/calibration/{id}/accept',
    'POST /api/v1/recognition/models/switch',
    'POST /api/v1/recognition/models/switch/confirm',
    'POST /api/v1/auth/setup',
    'POST /api/v1/auth/users',
    'PATCH /api/v1/auth/users/{id}',
    'DELETE /api/v1/auth/users/{id}',
    'POST /api/v1/sites',
    'PUT /api/v1/sites/{site_id}',
    'PATCH /api/v1/sites/{site_id}',
    'DELETE /api/v1/sites/{site_id}',
    'POST /api/v1/employees',
    'DELETE /api/v1/employees/{employee_id}/consent',
    'POST /api/v1/employees/{employee_id}/upload-photo',
    'POST /api/v1/employees/{employee_id}/upload-face',
    'POST /api/v1/devices/register',
    'POST /api/v1/device-management/discover',
    'GET /api/v1/device-management/network/scan',
    'POST /api/v1/device-management/network/scan',
    'POST /api/v1/attendance/check',
    'POST /api/v1/attendance/upload',
    'POST /api/v1/attendance/manual',
    'POST /api/v1/attendance/{id}/correct',
  ],
  507: [
    'POST /api/v1/employees/{employee_id}/upload-photo',
    'POST /api/v1/employees/{employee_id}/upload-face',
    'POST /api/v1/attendance/check',
    'POST /api/v1/attendance/upload',
  ],
}

/** What is answered where it is not JSON, or not only. */
const mediaTypes: Record<string, string[]> = {
  'GET /metrics': ['text/plain'],
  'GET /api/v1/system/backups/{name}': ['application/zip'],
  'GET /api/v1/employees/export': ['text/csv', spreadsheet],
  'GET /api/v1/attendance/export': ['text/csv', spreadsheet],
  'GET /api/v1/attendance/stream': ['text/event-stream'],
  'GET /api/v1/attendance/{id}/image': ['image/jpeg'],
  'GET /api/v1/attendance/pending/{id}/image': ['image/jpeg'],
  'GET /api/v1/attendance/decisions/{decision_id}/image': ['image/jpeg'],
  'GET /api/v1/attendance/decisions/{decision_id}/avatar': ['image/jpeg'],
  'POST /api/v1/employees/photos/import': ['application/json', 'application/x-ndjson'],
  'GET /api/v1/employees/{employee_id}/photo': ['image/jpeg'],
  'GET /api/v1/employees/{employee_id}/photos/{photo_id}': ['image/jpeg'],
  'GET /api/v1/employees/{employee_id}/data-export': ['application/json', 'application/zip'],
}

/** Answers with an ETag that hold the version somewhere else than at their top. */
const alsoVersioned = ['POST /api/v1/auth/users', 'POST /api/v1/device-management/update/{device_id}']
const repeatable = ['POST /api/v1/attendance/check', 'POST /api/v1/attendance/upload']

const headerMeanings: Record<string, string> = {
  'X-Total-Count': 'How long the list is, over all pages',
  Link: 'Where the first, the previous, the next and the last page are (RFC 8288)',
  ETag: 'The version; send it back as If-Match with a change',
  'Retry-After': 'Seconds after which to try again',
  'Idempotent-Replayed': '`true` where this is the first answer to the same Idempotency-Key again',
}

const parameterMeanings: Record<string, string> = {
  id: 'The number of it, as its list tells it',
  session_id: 'As the list of sessions tells it',
  site_id: 'The number of the site',
  photo_id: 'The number of the photo, as the list of photos tells it',
  template_id: 'The number of the template, as the list of templates tells it',
  decision_id: 'The number of the decision, as its list or the answer to a check tells it',
  command_id: 'The number of the command, as the heartbeat told it',
  format: 'What the file is written as',
  direction: 'What a punch at the kiosk is when the request does not say',
  attendance_type: 'Only punches of this type',
  department: 'Only people of this department, which is written exactly so',
}

const meanings: Record<number, string> = {
  400: 'The request is broken: its path, its JSON or its form cannot be read',
  401: 'Not signed in, or the token or key is not valid; `code` says which',
  403: 'This caller may not do this, or not from here',
  404: 'There is no such thing, or this caller may not see it',
  409: 'It conflicts with what is there; `code` says how',
  412: 'Somebody else has changed it since it was read',
  413: 'The body is too large',
  415: 'The body is of a type that is not taken here',
  422: 'A field is not valid; `fields` says which and why',
  429: 'Too many requests; Retry-After says when to come back',
  500: 'A fault of the server; its log has the reason under the request id',
  503: 'The server cannot do it now; Retry-After says when to come back',
  507: 'The disk is full: nothing was stored',
}

/** The type provider lists every named schema twice, as it is read and as it is written; one of them is unused. */
function withoutUnusedSchemas<Document extends object>(document: Document): Document {
  const { components } = document as { components?: { schemas?: Record<string, unknown> } }
  const schemas = Object.entries(components?.schemas ?? {})
  const everything = JSON.stringify(document)
  const used = schemas.filter(([name]) => everything.includes(`"#/components/schemas/${name}"`))
  const kept = { ...document, components: { ...components, schemas: Object.fromEntries(used) } }
  // What only an unused one referred to is unused now.
  return used.length < schemas.length ? withoutUnusedSchemas(kept) : kept
}
