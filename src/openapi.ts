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
import { examples } from './openapi-examples.ts'
import type { App } from './shared/http.ts'

/** An operation of the document, as far as it is looked at here. */
interface Operation {
  description?: string
  parameters?: { in: string; name: string }[]
  requestBody?: { content: Record<string, { example?: unknown }> }
  responses: Record<string, unknown>
  security?: Record<string, never[]>[]
  'x-permission'?: Access
}

type Paths = Record<string, Record<string, Operation>>

const bearer = { bearer: [] }
const apiKey = { apiKey: [] }
const deviceKey = { deviceKey: [] }

/** GET /openapi.json, made from the routes' own schemas, and the page /docs to read it. */
export async function registerDocumentation(app: App, version: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Rollcall', description: 'Time attendance with face recognition', version },
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
      const { paths } = transformed as { paths: Paths }
      for (const [path, item] of Object.entries(paths))
        for (const [method, operation] of Object.entries(item)) complete(operation, method, path)
      return withoutUnusedSchemas(transformed)
    },
  })
  await app.register(fastifySwaggerUi, { routePrefix: '/docs' })
  const open = { config: { access: 'public' }, schema: { hide: true } } as const
  app.get('/', open, (_request, reply) => reply.redirect('/docs'))
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

/** Names each status that the operation may answer besides success, and shows a body to send. */
function complete(operation: Operation, method: string, path: string): void {
  const { '4XX': problem, '5XX': fault, ...successes } = operation.responses
  if (problem !== undefined || fault !== undefined) {
    const refusals = refusalsOf(operation, method).map((status) => [
      status,
      { ...(problem as object), description: meanings[status] ?? STATUS_CODES[status] },
    ])
    operation.responses = { ...Object.fromEntries(refusals), ...successes }
  }
  const example = examples[`${method.toUpperCase()} ${path.replace(/(.)\/$/, '$1')}`]
  for (const content of Object.values(operation.requestBody?.content ?? {}))
    if (example) content.example = example
}

function refusalsOf(operation: Operation, method: string): number[] {
  const { parameters = [], requestBody, 'x-permission': access } = operation
  const changes = method !== 'get'
  const when: [number, boolean][] = [
    [400, true],
    [401, access !== 'public' || changes],
    [403, access !== 'public' || changes],
    [404, parameters.length > 0 || requestBody !== undefined],
    [409, changes],
    [412, parameters.some(({ name }) => name.toLowerCase() === 'if-match')],
    [413, requestBody !== undefined],
    [415, changes],
    [422, parameters.length > 0 || requestBody !== undefined],
    [429, true],
    [500, true],
    [503, true],
  ]
  return when.filter(([, applies]) => applies).map(([status]) => status)
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
