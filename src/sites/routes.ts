import { z } from 'zod'
import { authorOf } from '../access/caller.ts'
import type { Database } from '../database/tables.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems } from '../shared/http.ts'
import { setPageHeaders } from '../shared/paging.ts'
import { expectedVersions, ifMatch, sendVersioned, versionMismatch } from '../shared/version.ts'
import { createSite, deleteSite, findSite, listSites, updateSite } from './records.ts'
import { newSiteSchema, siteChangesSchema, siteDeleted, sitePath, siteQuery, siteSchema } from './schema.ts'

interface SiteDeps {
  db: Database
  clock: Clock
  ledger: Ledger
}

const tags = ['Sites']

/** Places, their time zones and the networks that their kiosks call from. */
export function siteRoutes(app: App, { db, clock, ledger }: SiteDeps): void {
  app.get(
    '/sites',
    {
      config: { access: 'sites:read' },
      schema: {
        tags,
        summary: 'List, search and sort; X-Total-Count and Link tell of the other pages',
        querystring: siteQuery,
        response: { 200: z.array(siteSchema), ...problems },
      },
    },
    async (request, reply) => {
      const { sites, total } = await listSites(db, request.query)
      setPageHeaders(request, reply, request.query, total)
      return sites
    },
  )

  app.post(
    '/sites',
    {
      config: { access: 'sites:write' },
      schema: {
        tags,
        summary: 'Add a site',
        body: newSiteSchema,
        response: { 201: siteSchema, ...problems },
      },
    },
    async (request, reply) => {
      const change = ledger.by(authorOf(request))
      const site = (await createSite(db, change, request.body, clock.now())) ?? nameTaken(request.body.name)
      return reply.code(201).send(sendVersioned(reply, site))
    },
  )

  app.get(
    '/sites/:site_id',
    {
      config: { access: 'sites:read' },
      schema: { tags, summary: 'One site', params: sitePath, response: { 200: siteSchema, ...problems } },
    },
    async (request, reply) => {
      const { site_id } = request.params
      return sendVersioned(reply, (await findSite(db, site_id)) ?? notFound(site_id))
    },
  )

  // PUT changes only what is sent, as everywhere in this API.
  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '/sites/:site_id',
      config: { access: 'sites:write' },
      schema: {
        tags,
        summary: "Change the given fields; a null time_zone means the server's",
        params: sitePath,
        headers: ifMatch,
        body: siteChangesSchema,
        response: { 200: siteSchema, ...problems },
      },
      handler: async (request, reply) => {
        const { site_id } = request.params
        if (Object.values(request.body).every((value) => value === undefined))
          throw new AppError('invalid_request', 'The request changes nothing: send at least one field.')
        const expected = expectedVersions(request.headers['if-match'])
        const change = ledger.by(authorOf(request))
        const update = await updateSite(db, change, site_id, request.body, expected, clock.now())
        if (update.outcome === 'changed') return sendVersioned(reply, update.site)
        if (update.outcome === 'not_found') return notFound(site_id)
        if (update.outcome === 'name_taken') return nameTaken(request.body.name)
        throw versionMismatch()
      },
    })
  }

  app.delete(
    '/sites/:site_id',
    {
      config: { access: 'sites:write' },
      schema: {
        tags,
        summary: 'Remove a site that no person and no kiosk belongs to',
        params: sitePath,
        headers: ifMatch,
        response: { 200: siteDeleted, ...problems },
      },
    },
    async (request) => {
      const { site_id } = request.params
      const expected = expectedVersions(request.headers['if-match'])
      const outcome = await deleteSite(ledger.by(authorOf(request)), site_id, expected)
      if (outcome === 'not_found') return notFound(site_id)
      if (outcome === 'version_mismatch') throw versionMismatch()
      if (outcome === 'in_use')
        throw new AppError(
          'site_in_use',
          'People or kiosks belong to this site. Move them to another one first.',
        )
      return { message: 'Site removed' }
    },
  )
}

function notFound(id: number): never {
  throw new AppError('site_not_found', `There is no site ${id}.`)
}

function nameTaken(name: string | undefined): never {
  throw new AppError('site_name_taken', `Another site is called ${name}. Choose another name.`)
}
