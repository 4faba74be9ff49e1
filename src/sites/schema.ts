import { z } from 'zod'
import { text } from '../shared/http.ts'
import { pageQuery } from '../shared/paging.ts'
import { isNetwork, timeZone } from '../shared/places.ts'

const network = z
  .string()
  .trim()
  .max(64)
  .refine(isNetwork, { error: 'must be an address or a block of them such as 192.168.1.0/24' })

const networks = z
  .array(network)
  .max(100)
  .transform((list) => [...new Set(list)])
  .describe('Addresses and CIDR blocks that the kiosks of the site call from; empty means any')

const zone = timeZone.nullable().describe("IANA name; null means the server's TIME_ZONE")

export const newSiteSchema = z.object({
  name: text(200),
  time_zone: zone.default(null),
  allowed_networks: networks.default([]),
})

export const siteChangesSchema = z.object({
  name: text(200).optional(),
  time_zone: zone.optional(),
  allowed_networks: networks.optional(),
})

export const siteSchema = z
  .object({
    id: z.number(),
    name: z.string(),
    time_zone: zone,
    allowed_networks: z.array(z.string()),
    version: z.number().describe('Also the ETag; send it back as If-Match with a change'),
    created_at: z.date(),
    updated_at: z.date(),
  })
  .meta({ id: 'Site' })

export const sitePath = z.object({
  site_id: z
    .string()
    .regex(/^[1-9][0-9]{0,8}$/, { error: 'must be the number of a site' })
    .transform(Number),
})

export const siteQuery = pageQuery
export const siteDeleted = z.object({ message: z.string() })

export type NewSite = z.infer<typeof newSiteSchema>
export type SiteChanges = z.infer<typeof siteChangesSchema>
export type Site = z.infer<typeof siteSchema>
